//! The fraud job's features equal an oracle's, exactly: whatever the shards, the driver, the
//! stalls, and in event-time order whatever the split of the input and its order within the
//! lateness.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails at that line")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};

use pelton::job::{Files, SourceOptions, Splits};
use pelton::record::{Decimal, EventTime, FrameHeader, TimeSpan};
use pelton::sim::Chance;
use pelton::sink::{CollectSink, RowFormat};
use pelton::source::{GeneratorSplit, VecSplit};
use pelton::{Job, Settings};
use pelton_cli::fraud::generator::Transactions;
use pelton_cli::fraud::job::{Order, fraud};
use pelton_cli::fraud::outputs::{DecisionLines, FeatureLines};
use pelton_cli::fraud::records::{Decided, DecidedView, Transaction};
use pelton_cli::fraud::rules::Rules;
use pelton_cli::fraud::rules_in_use::RulesInUse;
use pelton_tests::fraud_oracle::{self, Row};
use pelton_tests::runs::{self, settings};

const LATENESS: TimeSpan = TimeSpan::minutes(10);

fn rules() -> RulesInUse {
    RulesInUse::new(Rules::load(None).unwrap())
}

/// `count` transactions of few keys, with time stretched so that they fill and leave windows.
fn generated(seed: u64, count: u64, stretch: i64) -> Vec<Row> {
    let start = 1_522_540_800_000_000;
    Transactions::new(seed, count)
        .map(|t| Row {
            transaction_id: t.transaction_id,
            time_micros: start + (t.time_micros - start) * stretch,
            customer_id: t.customer_id % 500,
            terminal_id: t.terminal_id % 300,
            amount_micros: t.amount_micros,
            fraud: Some(t.fraud),
        })
        .collect()
}

fn transaction(row: &Row) -> Transaction {
    Transaction {
        transaction_id: row.transaction_id,
        time: EventTime(row.time_micros),
        customer_id: row.customer_id,
        terminal_id: row.terminal_id,
        amount: Decimal(row.amount_micros),
        fraud: row.fraud,
        scenario: None,
        latitude: None,
        longitude: None,
        declined: None,
        pending: None,
        confirms: None,
    }
}

fn splits(parts: &[Vec<Row>]) -> Splits<VecSplit<Transaction>> {
    let split = |part: &Vec<Row>| VecSplit::new("rows", part.iter().map(transaction).collect());
    Splits::new(parts.iter().map(split).collect())
}

fn feature_line(decided: DecidedView) -> String {
    let mut line = Vec::new();
    FeatureLines.write(&FrameHeader::default(), decided, &mut line);
    String::from_utf8(line).unwrap()
}

/// What a run came to: a line of features and a decision for each transaction, sorted.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    features: Vec<String>,
    decisions: Vec<String>,
}

fn outcome(settings: &Settings, parts: &[Vec<Row>], order: Order) -> Outcome {
    let rules = rules();
    let job = Job::new();
    let options = match order {
        Order::Arrival => SourceOptions::new(),
        Order::EventTime => SourceOptions::new().lateness(LATENESS),
    };
    let transactions = job.source(splits(parts), options);
    let decided: CollectSink<Decided> = CollectSink::new();
    fraud(transactions, rules.clone(), order).to(decided.clone());
    let report = runs::run(settings, job).unwrap();
    let rows_in: usize = parts.iter().map(Vec::len).sum();
    let total = report.counts.total;
    assert_eq!(total.accepted, u64::try_from(rows_in).unwrap(), "{settings:?}");
    assert_eq!(report.counts.records_out, total.accepted, "{settings:?}");
    let rows = decided.take_rows();
    let mut features: Vec<String> =
        rows.iter().map(|row| feature_line(pelton::record::Record::view(row))).collect();
    let mut decisions: Vec<String> = rows
        .iter()
        .map(|row| {
            let mut line = Vec::new();
            let lines = DecisionLines::new(rules.used());
            lines.write(&FrameHeader::default(), pelton::record::Record::view(row), &mut line);
            String::from_utf8(line).unwrap()
        })
        .collect();
    features.sort_unstable();
    decisions.sort_unstable();
    Outcome { features, decisions }
}

fn oracle_lines(rows: &[Row]) -> Vec<String> {
    let mut lines: Vec<String> =
        fraud_oracle::features(rows).iter().map(fraud_oracle::Features::csv_row).collect();
    lines.sort_unstable();
    lines
}

/// Says where two long lists differ, and not both lists.
fn assert_same(found: &[String], expected: &[String], run: &str) {
    let differs = found.iter().zip(expected).find(|(found, expected)| found != expected);
    assert_eq!(differs, None, "{run}");
    assert_eq!(found.len(), expected.len(), "{run}");
}

#[test]
fn features_equal_the_oracle_whatever_turns_the_shards() {
    for seed in 1..=3 {
        let rows = generated(seed, 20_000, 8 + 8 * i64::try_from(seed).unwrap());
        let expected = oracle_lines(&rows);
        let known = expected.iter().filter(|line| !line.ends_with("0.000000")).count();
        assert!(known > 200, "the data has frauds that are known: {known}");
        let mut decisions = None;
        for run in (0..20).filter(|run| run % 3 == seed % 3) {
            let settings = settings(run);
            let outcome = outcome(&settings, std::slice::from_ref(&rows), Order::Arrival);
            let run = format!("seed {seed}, {settings:?}");
            assert_same(&outcome.features, &expected, &run);
            let decisions = decisions.get_or_insert_with(|| outcome.decisions.clone());
            assert_same(&outcome.decisions, decisions, &run);
        }
    }
}

/// The rows in four splits: every fourth row, or each quarter.
fn in_four(rows: &[Row]) -> [Vec<Vec<Row>>; 2] {
    let robin = (0..4).map(|first| rows.iter().skip(first).step_by(4).copied().collect());
    let quarter = rows.len().div_ceil(4);
    [robin.collect(), rows.chunks(quarter).map(<[Row]>::to_vec).collect()]
}

/// The rows in another order, none further behind the latest than the lateness.
fn shuffled(rows: &[Row], seed: u64) -> Vec<Row> {
    let mut chance = Chance::new(seed);
    let lateness = u64::try_from(LATENESS.0).unwrap();
    let mut delayed: Vec<(i64, Row)> = rows
        .iter()
        .map(|row| (row.time_micros + i64::try_from(chance.below(lateness)).unwrap(), *row))
        .collect();
    delayed.sort_by_key(|(arrival, _)| *arrival);
    delayed.into_iter().map(|(_, row)| row).collect()
}

#[test]
fn in_event_time_order_neither_the_split_nor_the_order_of_the_input_matters() {
    let rows = generated(9, 20_000, 20);
    let expected = outcome(
        &Settings { shard_count: 1, ..settings(0) },
        std::slice::from_ref(&rows),
        Order::Arrival,
    );
    assert_same(&expected.features, &oracle_lines(&rows), "one ordered split");
    let [robin, quarters] = in_four(&rows);
    let mixed = shuffled(&rows, 5);
    assert_ne!(mixed, rows);
    let [mixed_robin, _] = in_four(&mixed);
    let inputs = [vec![rows.clone()], robin, quarters, vec![mixed], mixed_robin];
    for (run, parts) in (0..).zip(inputs.iter().cycle().take(10)) {
        let settings = settings(run * 7 + 1);
        let outcome = outcome(&settings, parts, Order::EventTime);
        let run = format!("input {}, {settings:?}", run % 5);
        assert_same(&outcome.features, &expected.features, &run);
        assert_same(&outcome.decisions, &expected.decisions, &run);
    }
}

/// In order of arrival, a record sees what has arrived before it and lies in its windows; of its
/// own time, what ranks no higher. A key's events are kept for as long as its newest record may
/// still ask for them. So says a double loop over the arrivals.
fn features_of_arrivals(rows: &[Row]) -> Vec<String> {
    let day = 86_400_000_000;
    let mut lines = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let mut found = fraud_oracle::Features {
            transaction_id: row.transaction_id,
            customer: [(0, 0); 3],
            terminal: [(0, 0); 3],
        };
        let arrived = &rows[..=at];
        let newest = |of: fn(&Row) -> u64| {
            let own = arrived.iter().filter(|other| of(other) == of(row));
            own.map(|other| other.time_micros).max().unwrap()
        };
        let customer_from = newest(|row| row.customer_id) - 30 * day;
        let terminal_from = newest(|row| row.terminal_id) - 37 * day;
        for (number, other) in arrived.iter().enumerate() {
            let not_after =
                (other.time_micros, other.transaction_id) <= (row.time_micros, row.transaction_id);
            let age = row.time_micros - other.time_micros;
            for (window, days) in fraud_oracle::WINDOW_DAYS.iter().enumerate() {
                let kept = other.time_micros > customer_from || number == at;
                if other.customer_id == row.customer_id && not_after && kept && age < days * day {
                    found.customer[window].0 += 1;
                    found.customer[window].1 += i128::from(other.amount_micros);
                }
                let delayed = age - 7 * day;
                let kept = other.time_micros > terminal_from;
                let within = kept && (0..days * day).contains(&delayed);
                if other.terminal_id == row.terminal_id && within {
                    found.terminal[window].0 += 1;
                    found.terminal[window].1 += u64::from(other.fraud == Some(true));
                }
            }
        }
        lines.push(found.csv_row());
    }
    lines.sort_unstable();
    lines
}

#[test]
fn in_arrival_order_features_are_exact_on_what_has_arrived() {
    for seed in 0..24 {
        let mut chance = Chance::new(seed);
        let day = 86_400_000_000_i64;
        // Few keys, many ties, a span of 60 days; every third seed has its input in order.
        let mut rows: Vec<Row> = (0..400)
            .map(|id| Row {
                transaction_id: id * 7 % 400,
                time_micros: 1_600_000_000_000_000
                    + i64::try_from(chance.below(120)).unwrap() * (day / 2)
                    + i64::try_from(chance.below(2)).unwrap(),
                customer_id: chance.below(1 + seed % 4),
                terminal_id: chance.below(1 + seed % 3),
                amount_micros: i64::try_from(chance.below(30_000)).unwrap() * 10_000 - 50_000_000,
                fraud: [None, Some(false), Some(true)][usize::try_from(chance.below(3)).unwrap()],
            })
            .collect();
        if seed % 3 == 0 {
            rows.sort_by_key(|row| (row.time_micros, row.transaction_id));
            assert_eq!(features_of_arrivals(&rows), oracle_lines(&rows), "the oracles agree");
        }
        let settings = settings(seed);
        let found = outcome(&settings, std::slice::from_ref(&rows), Order::Arrival);
        assert_same(
            &found.features,
            &features_of_arrivals(&rows),
            &format!("seed {seed}, {settings:?}"),
        );
    }
}

#[test]
fn the_generator_as_a_source_gives_the_features_of_its_rows() {
    let rows = generated(4, 5_000, 1);
    let job = Job::new();
    let mut feed = rows.clone().into_iter();
    let split = GeneratorSplit::new("generated", move |_| feed.next().as_ref().map(transaction));
    let stream = job.source(Splits::new(vec![split]), SourceOptions::new());
    let decided = CollectSink::new();
    fraud(stream, rules(), Order::Arrival).to(decided.clone());
    runs::run(&settings(1), job).unwrap();
    let mut found: Vec<String> = decided
        .take_rows()
        .iter()
        .map(|row| feature_line(pelton::record::Record::view(row)))
        .collect();
    found.sort_unstable();
    assert_same(&found, &oracle_lines(&rows), "the generator");
}

#[test]
fn features_of_the_real_data_equal_the_oracle_and_the_independent_sample() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let path = format!("{folder}/transactions.csv.zst");
    let (Ok(data), Ok(sample)) =
        (File::open(&path), File::open(format!("{folder}/features_sample.csv")))
    else {
        eprintln!("skipped: {folder} is not there, and it is not ours to ship");
        return;
    };
    let job = Job::new();
    let transactions = job.source(Files::new([path]), SourceOptions::<Transaction>::new());
    let decided = CollectSink::new();
    fraud(transactions, rules(), Order::Arrival).to(decided.clone());
    let settings = Settings { shard_count: 2, ..Settings::default() };
    let report = runs::run(&settings, job).unwrap();
    assert_eq!(report.counts.total.accepted, 872_795);
    let found: BTreeMap<u64, String> = decided
        .take_rows()
        .iter()
        .map(|row| (row.transaction_id, feature_line(pelton::record::Record::view(row))))
        .collect();
    assert_eq!(found.len(), 872_795, "each transaction has one decision");

    let data = zstd::stream::read::Decoder::new(data).unwrap();
    let rows = fraud_oracle::read_rows(BufReader::new(data)).unwrap();
    for features in fraud_oracle::features(&rows) {
        assert_eq!(found[&features.transaction_id], features.csv_row());
    }

    let mut compared = 0;
    for line in BufReader::new(sample).lines().skip(1) {
        let line = line.unwrap();
        let numbers = |line: &str| -> Vec<f64> {
            line.split(',').map(|number| number.parse().unwrap()).collect()
        };
        let id: u64 = line.split(',').next().unwrap().parse().unwrap();
        for (found, expected) in numbers(&found[&id]).iter().zip(numbers(&line)) {
            assert!((found - expected).abs() < 1.5e-6, "{line} against {}", found);
        }
        compared += 1;
    }
    assert_eq!(compared, 872_795_usize.div_ceil(97));
}

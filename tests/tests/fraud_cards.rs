//! The fraud job's travel, terminals in an hour and alerts equal an oracle's, whatever the shards and the
//! driver; and rules that are swapped while it runs decide, whole, what comes after.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails at that line")]

use pelton::job::{SourceOptions, Splits};
use pelton::record::{Decimal, EventTime, FrameHeader, Record, TimeSpan};
use pelton::sim::Chance;
use pelton::sink::RowFormat;
use pelton::source::VecSplit;
use pelton::{Driver, Engine, Job, Settings};
use pelton_cli::fraud::alerts::{Alert, AlertLines, alerts};
use pelton_cli::fraud::job::{Order, fraud};
use pelton_cli::fraud::outputs::DecisionLines;
use pelton_cli::fraud::records::{Decided, Transaction};
use pelton_cli::fraud::rules::Rules;
use pelton_cli::fraud::rules_in_use::{RulesInUse, RulesUsed};
use pelton_cli::fraud::verdict::{CompiledRules, RulesVersion};
use pelton_tests::fraud_cards::{self, CardRow, Thresholds};
use pelton_tests::runs::{self, settings, wait_until};

const MINUTE: i64 = 60_000_000;
const LATENESS: TimeSpan = TimeSpan::minutes(30);
const THRESHOLDS: Thresholds = Thresholds {
    small_to: 5_000_000,
    large_over: 20_000_000,
    small_within: 45 * MINUTE,
    declines: 3,
    declines_within: 60 * MINUTE,
    unconfirmed_within: 30 * MINUTE,
};
const RULES: &str = "
[decision]
review = 50
decline = 100
[[merchants]]
name = \"merchants\"
score = 60
count_min = 4
[[impossible_travel]]
name = \"travel\"
score = 50
kmh_over = 800
km_min = 50
[small_then_large]
small_to = 5
large_over = 20
within = \"45m\"
[declines_then_approval]
declines = 3
within = \"60m\"
[unconfirmed]
within = \"30m\"
";

fn rules(text: &str) -> CompiledRules {
    Rules::parse("my.toml", text).unwrap()
}

/// Rows of a few cards, some of them confirmations, in order of time and number.
fn rows(seed: u64) -> Vec<CardRow> {
    let mut chance = Chance::new(seed);
    let customers = 1 + chance.below(6);
    let (steps, step) = (2 + chance.below(200), *chance.pick(&[1, 5, 20]));
    let mut time_micros = 1_600_000_000_000_000_i64;
    let mut pending: Vec<CardRow> = Vec::new();
    let mut rows = Vec::new();
    for transaction_id in 0..700 {
        if chance.one_in(3) {
            time_micros += i64::try_from(chance.below(steps)).unwrap() * step * MINUTE / 10;
        }
        if chance.one_in(5) && !pending.is_empty() {
            let index = usize::try_from(chance.below(pending.len() as u64)).unwrap();
            let confirmed = pending.swap_remove(index);
            let confirms = Some(confirmed.transaction_id);
            rows.push(CardRow { time_micros, confirms, pending: None, ..confirmed });
            continue;
        }
        let around = |chance: &mut Chance, max: i64| {
            let step = i64::try_from(chance.below(2_001)).unwrap() - 1_000;
            if chance.one_in(20) { step * (max / 1_000) } else { step * 300 }
        };
        let place = (around(&mut chance, 90_000_000), around(&mut chance, 180_000_000));
        let row = CardRow {
            transaction_id,
            time_micros,
            customer_id: chance.below(customers),
            terminal_id: chance.below(7),
            amount_micros: i64::try_from(chance.below(3_000)).unwrap() * 10_000,
            place: (!chance.one_in(4)).then_some(place),
            declined: *chance.pick(&[None, Some(false), Some(true), Some(true), Some(true)]),
            pending: *chance.pick(&[None, Some(false), Some(true)]),
            confirms: None,
        };
        if row.pending == Some(true) {
            pending.push(row);
        }
        rows.push(row);
    }
    rows.sort_by_key(rank);
    rows
}

/// The order in which rows are applied, in order of time.
fn rank(row: &CardRow) -> (i64, u64) {
    (row.time_micros, row.confirms.map_or(row.transaction_id, |_| u64::MAX))
}

fn transaction(row: &CardRow) -> Transaction {
    Transaction {
        transaction_id: row.transaction_id,
        time: EventTime(row.time_micros),
        customer_id: row.customer_id,
        terminal_id: row.terminal_id,
        amount: Decimal(row.amount_micros),
        fraud: None,
        scenario: None,
        latitude: row.place.map(|(latitude, _)| Decimal(latitude)),
        longitude: row.place.map(|(_, longitude)| Decimal(longitude)),
        declined: row.declined,
        pending: row.pending,
        confirms: row.confirms,
    }
}

fn line<R: Record>(format: &impl RowFormat<R>, row: &R) -> String {
    let mut line = Vec::new();
    format.write(&FrameHeader::default(), row.view(), &mut line);
    String::from_utf8(line).unwrap()
}

/// What a run came to.
struct Outcome {
    decided: Vec<Decided>,
    alerts: Vec<Alert>,
    used: RulesUsed,
}

fn outcome(settings: &Settings, parts: &[Vec<CardRow>], order: Order) -> Outcome {
    let rules = RulesInUse::new(rules(RULES));
    let job = Job::new();
    let options = match order {
        Order::Arrival => SourceOptions::new(),
        Order::EventTime => SourceOptions::new().lateness(LATENESS),
    };
    let split = |part: &Vec<CardRow>| VecSplit::new("rows", part.iter().map(transaction).collect());
    let transactions = job.source(Splits::new(parts.iter().map(split).collect()), options);
    let found = alerts(transactions.clone(), rules.clone(), order).collect();
    let decided = fraud(transactions, rules.clone(), order).collect();
    let report = runs::run(settings, job).unwrap();
    let rows_in: usize = parts.iter().map(Vec::len).sum();
    assert_eq!(report.counts.total.accepted, u64::try_from(rows_in).unwrap(), "{settings:?}");
    Outcome { decided: decided.take_rows(), alerts: found.take_rows(), used: rules.used() }
}

/// Holds a run to the oracle on rows in the order in which they were applied; answers how many
/// decisions had a reason.
fn check_decisions(outcome: &Outcome, rows: &[CardRow], run: &str) -> usize {
    let mut expected = fraud_cards::card_features(rows);
    expected.sort_by_key(|features| features.transaction_id);
    let mut decided: Vec<&Decided> = outcome.decided.iter().collect();
    decided.sort_by_key(|row| row.transaction_id);
    assert_eq!(decided.len(), expected.len(), "{run}: one decision a transaction");
    let version = rules(RULES).version();
    let mut with_reasons = 0;
    for (row, expected) in decided.into_iter().zip(&expected) {
        let id = expected.transaction_id;
        assert_eq!(row.transaction_id, id, "{run}");
        assert_eq!(row.merchants_1h as usize, expected.merchants_1h, "{run}, {id}");
        let (metres, micros) = expected.travel.unwrap_or((0.0, 0));
        assert!((f64::from(row.travel_metres) - metres).abs() <= 0.5001, "{run}, {id}: {metres}");
        assert_eq!(row.travel_micros, micros.unsigned_abs(), "{run}, {id}");

        let metres = metres.round();
        #[expect(clippy::cast_precision_loss, reason = "a test's times are near")]
        let too_fast = metres >= 50_000.0 && metres / 1e3 > 800.0 * micros as f64 / 3.6e9;
        let (many, mut reasons, mut score) = (expected.merchants_1h >= 4, vec![], 0);
        if many {
            (reasons, score) = (vec!["\"merchants\""], 60);
        }
        if too_fast {
            reasons.push("\"travel\"");
            score += 50;
        }
        with_reasons += usize::from(score > 0);
        let decision =
            ["approve", "review", "decline"][usize::from(score >= 50) + usize::from(score >= 100)];
        let reasons = reasons.join(",");
        assert_eq!(
            line(&DecisionLines::new(outcome.used.clone()), row),
            format!(
                "{{\"transaction_id\":{id},\"decision\":\"{decision}\",\"score\":{score},\
                 \"reasons\":[{reasons}],\"rules\":\"{version}\"}}"
            ),
            "{run}"
        );
    }
    with_reasons
}

/// As [`check_decisions`], for alerts; answers how many there were of each kind.
fn check_alerts(outcome: &Outcome, rows: &[CardRow], run: &str) -> [usize; 3] {
    let expected = fraud_cards::alerts(rows, &THRESHOLDS);
    let version = rules(RULES).version();
    let amount_of = |id: u64| {
        let row = rows.iter().find(|row| row.transaction_id == id && row.confirms.is_none());
        Decimal(row.unwrap().amount_micros)
    };
    let mut lines: Vec<String> = expected
        .iter()
        .map(|&(kind, customer, id, first, micros)| {
            let (amount, time) = (amount_of(id), EventTime(micros));
            format!(
                "{{\"alert\":\"{kind}\",\"customer_id\":{customer},\"transaction_id\":{id},\
                 \"first_transaction_id\":{first},\"amount\":{amount},\"time\":\"{time}\",\
                 \"rules\":\"{version}\"}}"
            )
        })
        .collect();
    let mut found: Vec<String> = outcome.alerts.iter().map(|row| line(&AlertLines, row)).collect();
    lines.sort_unstable();
    found.sort_unstable();
    let differs = found.iter().zip(&lines).find(|(found, expected)| found != expected);
    assert_eq!(differs, None, "{run}");
    assert_eq!(found.len(), lines.len(), "{run}");
    ["small_then_large", "declines_then_approval", "unconfirmed"]
        .map(|kind| expected.iter().filter(|alert| alert.0 == kind).count())
}

#[test]
fn differential_in_arrival_order_cards_and_alerts_equal_the_oracle() {
    let (mut with_reasons, mut found) = (0, [0; 3]);
    const JOBS: u64 = 24;
    for seed in 0..JOBS {
        let rows = rows(seed);
        let settings = settings(seed);
        let outcome = outcome(&settings, std::slice::from_ref(&rows), Order::Arrival);
        let run = format!("seed {seed}, {settings:?}");
        with_reasons += check_decisions(&outcome, &rows, &run);
        let alerts = check_alerts(&outcome, &rows, &run);
        found = [0, 1, 2].map(|kind| found[kind] + alerts[kind]);
    }
    eprintln!("{JOBS} random jobs: {with_reasons} decisions with reasons, alerts {found:?}");
    assert!(with_reasons > 500 && found.iter().all(|&count| count > 100), "the rows have some");
}

/// The rows in another order, none further behind the latest than the lateness.
fn shuffled(rows: &[CardRow], seed: u64) -> Vec<CardRow> {
    let mut chance = Chance::new(seed);
    let lateness = u64::try_from(LATENESS.0).unwrap();
    let mut delayed: Vec<(i64, CardRow)> = rows
        .iter()
        .map(|row| (row.time_micros + i64::try_from(chance.below(lateness)).unwrap(), *row))
        .collect();
    delayed.sort_by_key(|(arrival, _)| *arrival);
    delayed.into_iter().map(|(_, row)| row).collect()
}

#[test]
fn differential_in_event_time_order_neither_split_nor_order_of_the_input_matters() {
    const JOBS: u64 = 18;
    for seed in 100..100 + JOBS {
        let rows = rows(seed);
        let mixed = shuffled(&rows, seed);
        let split_count = 1 + usize::try_from(seed % 3).unwrap();
        let split = |first| mixed.iter().skip(first).step_by(split_count).copied().collect();
        let parts: Vec<Vec<CardRow>> = (0..split_count).map(split).collect();
        let settings = settings(seed);
        let outcome = outcome(&settings, &parts, Order::EventTime);
        let run = format!("seed {seed}, {split_count} splits, {settings:?}");
        check_decisions(&outcome, &rows, &run);
        check_alerts(&outcome, &rows, &run);
    }
    eprintln!("{JOBS} random jobs");
}

#[test]
fn differential_rows_out_of_order_see_what_has_arrived() {
    const JOBS: u64 = 12;
    for seed in 200..200 + JOBS {
        let mixed = shuffled(&rows(seed), seed);
        let settings = settings(seed);
        let outcome = outcome(&settings, std::slice::from_ref(&mixed), Order::Arrival);
        check_decisions(&outcome, &mixed, &format!("seed {seed}, {settings:?}"));
    }
    eprintln!("{JOBS} random jobs");
}

/// Rules by which every transaction has this reason, and amounts of `small` or less are small.
fn always(reason: &str, small: u32, within: &str) -> CompiledRules {
    rules(&format!(
        "[decision]\nreview = 1\ndecline = 100\n[[merchants]]\nname = \"{reason}\"\nscore = 7\n\
         count_min = 0\n[small_then_large]\nsmall_to = {small}\nlarge_over = 50\nwithin = \"{within}\""
    ))
}

#[test]
fn rules_that_are_swapped_decide_what_comes_after_and_each_decision_names_its_own() {
    let first = always("first", 5, "1h");
    let second = always("second", 1, "10m");
    for run in 0..6 {
        let in_use = RulesInUse::new(first.clone());
        let job = Job::new();
        // A pattern of an endless input needs a watermark that moves.
        let options = SourceOptions::new().lateness(TimeSpan::days(1));
        let (transactions, input) = job.push_with::<Transaction>(10, options);
        let found = alerts(transactions.clone(), in_use.clone(), Order::EventTime).collect();
        let decided = fraud(transactions, in_use.clone(), Order::Arrival).collect();
        let settings = Settings { driver: Driver::Threads, ..settings(run) };
        let running = Engine::with(settings.clone()).start(job).unwrap();
        let mut decisions = Vec::new();
        let mut push = |id: u64, minute: i64, cents: i64| {
            let row = CardRow {
                transaction_id: id,
                time_micros: minute * MINUTE,
                customer_id: id % 3,
                terminal_id: id % 2,
                amount_micros: cents * 10_000,
                place: None,
                declined: None,
                pending: None,
                confirms: None,
            };
            input.push(transaction(&row)).unwrap();
            // What is pushed next is of a later batch.
            wait_until(&running, "decided", || {
                decisions.extend(decided.take_rows());
                decisions.len() as u64 == id + 1
            });
        };
        // Small by the first rules and by no others: of the customers 0, 1 and 2.
        for id in 0..3 {
            push(id, 0, 400);
        }
        push(3, 20, 6_000);
        push(4, 0, 2_000);
        assert!(in_use.swap("my.toml", second.clone()).unwrap());
        // 20 minutes are too many by now, 5 are not.
        push(5, 5, 6_000);
        push(6, 30, 400);
        push(7, 31, 6_000);
        push(8, 32, 2_000);
        running.stop().unwrap();
        for row in &decisions {
            let (reason, rules) =
                if row.transaction_id < 5 { ("first", &first) } else { ("second", &second) };
            let text = line(&DecisionLines::new(in_use.used()), row);
            let expected = format!("[\"{reason}\"],\"rules\":\"{}\"}}", rules.version());
            assert!(text.ends_with(&expected), "run {run}: {text}");
        }
        let mut alerts: Vec<_> = found.take_rows();
        alerts.sort_by_key(|alert| alert.transaction_id);
        let alerts: Vec<_> = alerts
            .iter()
            .map(|a| (a.first_transaction_id, a.transaction_id, RulesVersion(a.rules)))
            .collect();
        // The one at 31 minutes is too far from the small one at 0, by the rules of its own moment.
        let expected = [(0, 3, first.version()), (2, 5, second.version())];
        assert_eq!(alerts, expected, "run {run}, {settings:?}");
    }
}

//! The same multiset of results under every driver, for every number of shards, with stalls: what
//! a naive computation on one thread says.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails at that line")]

use std::collections::BTreeMap;

use pelton::chain::operators::{
    PaneSpec, ProcessContext, ProcessFunction, States, Sum, ValueState,
};
use pelton::job::{SourceOptions, Splits};
use pelton::record::{EventTime, RowKind, TimeSpan};
use pelton::sim::Chance;
use pelton::source::{ScriptedSplit, VecSplit};
use pelton::{Changelog, Job, Stream};
use pelton_tests::runs::{self, settings};

#[pelton::record]
struct Trade {
    #[event_time]
    time: EventTime,
    symbol: String,
    account: u32,
    amount: i64,
}

/// What the jobs here make of trades.
#[pelton::record]
struct Row {
    key: String,
    number: u64,
    amount: i64,
}

fn row(key: impl ToString, number: u64, amount: i64) -> Row {
    Row { key: key.to_string(), number, amount }
}

/// Splits of trades, each in order of time; keys are skewed, and one symbol is long.
fn trades(seed: u64) -> Vec<Vec<Trade>> {
    let mut chance = Chance::new(seed);
    let split_count = 1 + chance.below(4);
    let trade_count = [0, 1, 700, 3_000][usize::try_from(chance.below(4)).unwrap()];
    let split = |_| {
        let mut time = 0;
        (0..trade_count)
            .map(|_| {
                time += i64::try_from(chance.below(40_000)).unwrap();
                let symbol = match chance.below(10) {
                    0..=3 => "AAA".to_owned(),
                    4 => "a symbol with a long name, longer than a cache line, much longer"
                        .to_owned(),
                    _ => format!("S{}", chance.below(50)),
                };
                Trade {
                    time: EventTime(time),
                    symbol,
                    account: u32::try_from(chance.below(20)).unwrap(),
                    amount: i64::try_from(chance.below(2_000)).unwrap() - 1_000,
                }
            })
            .collect()
    };
    (0..split_count).map(split).collect()
}

type Input = Splits<ScriptedSplit<VecSplit<Trade>>>;

fn input(seed: u64, parts: &[Vec<Trade>]) -> Input {
    let split = |part: &Vec<Trade>| {
        // A split that stalls wakes nobody here, so it must not: the driver's stalls do that.
        ScriptedSplit::new(VecSplit::new("trades", part.clone()), seed, 0)
    };
    Splits::new(parts.iter().map(split).collect())
}

/// Runs a job over many inputs, and compares its rows, sorted, with what `naive` says.
fn check<T: Ord + std::fmt::Debug>(
    run_job: impl Fn(Stream<Trade>) -> Box<dyn FnOnce() -> Vec<T>>,
    naive: impl Fn(&[Vec<Trade>]) -> Vec<T>,
) {
    for run in 0..24 {
        let parts = trades(run);
        let settings = settings(run);
        let job = Job::new();
        let options = SourceOptions::new().lateness(TimeSpan::ZERO);
        let rows = run_job(job.source(input(run, &parts), options));
        let report = runs::run(&settings, job).unwrap();
        let rows_in: usize = parts.iter().map(Vec::len).sum();
        assert_eq!(report.counts.total.accepted, u64::try_from(rows_in).unwrap());
        let (mut found, mut expected) = (rows(), naive(&parts));
        found.sort_unstable();
        expected.sort_unstable();
        let differs = found.iter().zip(&expected).find(|(found, expected)| found != expected);
        assert_eq!(differs, None, "seed {run}, {settings:?}");
        assert_eq!(found.len(), expected.len(), "seed {run}, {settings:?}");
    }
}

type Fields = (String, u64, i64);

fn fields(row: Row) -> Fields {
    (row.key, row.number, row.amount)
}

fn all(parts: &[Vec<Trade>]) -> impl Iterator<Item = &Trade> {
    parts.iter().flatten()
}

#[pelton::job]
fn stateless(trades: Stream<Trade>) -> Stream<Row> {
    trades
        .filter(|t| t.amount > -500)
        .map(|t| RowView { key: t.symbol, number: t.account.into(), amount: t.amount * 2 })
        .flat_map(|r| (0..r.number % 4).map(move |copy| RowView { number: copy, ..r }))
        .filter_map(|r| (r.amount % 3 != 0).then_some(r))
}

#[test]
fn stateless_operators_make_of_each_record_what_they_say() {
    check(
        |trades| {
            let rows = stateless(trades).collect();
            Box::new(move || rows.take_rows().into_iter().map(fields).collect())
        },
        |parts| {
            let kept = all(parts).filter(|t| t.amount > -500 && t.amount * 2 % 3 != 0);
            kept.flat_map(|t| {
                (0..u64::from(t.account) % 4).map(|copy| (t.symbol.clone(), copy, t.amount * 2))
            })
            .collect()
        },
    );
}

#[pelton::job]
fn counts(trades: Stream<Trade>) -> Changelog<(String, u32), u64> {
    trades.key_by(|t| (t.symbol, t.account)).count()
}

#[test]
fn counts_change_by_one_and_are_inserted_first() {
    check(
        |trades| {
            let rows = counts(trades).collect();
            Box::new(move || {
                let changes = rows.take_rows().into_iter();
                changes.map(|c| (c.key, c.value, c.kind == RowKind::Insert)).collect()
            })
        },
        |parts| {
            let mut counts = BTreeMap::new();
            for trade in all(parts) {
                *counts.entry((trade.symbol.clone(), trade.account)).or_insert(0_u64) += 1;
            }
            let changes = |(key, count): ((String, u32), u64)| {
                (1..=count).map(move |value| (key.clone(), value, value == 1))
            };
            counts.into_iter().flat_map(changes).collect()
        },
    );
}

#[pelton::job]
fn sums(trades: Stream<Trade>) -> Changelog<u32, i64> {
    trades.key_by(|t| t.account).aggregate::<Sum<i64>, _>(|t| t.amount)
}

#[test]
fn sums_at_the_end_are_the_sums() {
    check(
        |trades| {
            let rows = sums(trades).at_end().collect();
            Box::new(move || rows.take_rows().into_iter().map(|c| (c.key, c.value)).collect())
        },
        |parts| {
            let mut sums = BTreeMap::new();
            for trade in all(parts) {
                *sums.entry(trade.account).or_insert(0) += trade.amount;
            }
            sums.into_iter().collect()
        },
    );
}

#[pelton::job]
fn tumbling(trades: Stream<Trade>) -> Stream<Row> {
    trades
        .key_by(|t| t.symbol)
        .windows::<Sum<i64>, _>(PaneSpec::tumbling(TimeSpan::seconds(1)), |t| t.amount)
        .map(|w| RowView { key: w.key, number: w.start.0.unsigned_abs(), amount: w.value })
}

#[test]
fn tumbling_windows_hold_the_records_of_their_time() {
    check(
        |trades| {
            let rows = tumbling(trades).collect();
            Box::new(move || rows.take_rows().into_iter().map(fields).collect())
        },
        |parts| {
            let mut windows: BTreeMap<(&str, u64), i64> = BTreeMap::new();
            for trade in all(parts) {
                let second = trade.time.0.unsigned_abs() / 1_000_000;
                *windows.entry((&trade.symbol, second * 1_000_000)).or_default() += trade.amount;
            }
            let row = |((symbol, start), sum): ((&str, u64), i64)| (symbol.to_owned(), start, sum);
            windows.into_iter().map(row).collect()
        },
    );
}

#[pelton::job]
fn hopping(trades: Stream<Trade>) -> Stream<Row> {
    trades
        .key_by(|t| t.account)
        .hopping_count(TimeSpan::millis(1_500), TimeSpan::millis(600))
        .map(|w| Row { key: w.key.to_string(), number: w.value, amount: w.start.0 })
}

#[test]
fn hopping_windows_hold_each_record_as_often_as_they_cover_it() {
    check(
        |trades| {
            let rows = hopping(trades).collect();
            Box::new(move || rows.take_rows().into_iter().map(fields).collect())
        },
        |parts| {
            let mut windows: BTreeMap<(u32, i64), u64> = BTreeMap::new();
            for trade in all(parts) {
                let last = trade.time.0.div_euclid(600_000);
                let covering = (last - 3..=last).map(|number| number * 600_000);
                for start in covering.filter(|start| trade.time.0 < start + 1_500_000) {
                    *windows.entry((trade.account, start)).or_default() += 1;
                }
            }
            let row =
                |((account, start), count): ((u32, i64), u64)| (account.to_string(), count, start);
            windows.into_iter().map(row).collect()
        },
    );
}

/// Emits every third trade of a symbol, and how many there were a second after the first one.
#[derive(Clone)]
struct EveryThird;

const SEEN: ValueState<u64> = ValueState::new(0);

impl ProcessFunction for EveryThird {
    type Key = String;
    type In = Trade;
    type Out = Row;

    fn states(&self, states: &mut States) {
        states.value("seen", SEEN);
    }

    fn on_record(&mut self, context: &mut ProcessContext<'_, Row>, key: &str, _: TradeView<'_>) {
        let seen = context.get(SEEN).unwrap_or(0) + 1;
        context.set(SEEN, seen);
        if seen == 1 {
            context.set_timer(EventTime::MAX);
        }
        if seen.is_multiple_of(3) {
            context.emit(RowView { key, number: seen, amount: 0 });
            context.emit(RowView { key, number: seen, amount: 1 });
        }
    }

    fn on_timer(&mut self, context: &mut ProcessContext<'_, Row>, key: &str, _: EventTime) {
        let seen = context.get(SEEN).unwrap_or(0);
        context.emit(RowView { key, number: seen, amount: -1 });
    }
}

#[pelton::job]
fn processed(trades: Stream<Trade>) -> Stream<Row> {
    trades.key_by(|t| t.symbol).process(EveryThird)
}

#[test]
fn a_process_function_sees_each_record_once_and_its_timers_fire_once() {
    check(
        |trades| {
            let rows = processed(trades).collect();
            Box::new(move || rows.take_rows().into_iter().map(fields).collect())
        },
        |parts| {
            let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
            for trade in all(parts) {
                *seen.entry(&trade.symbol).or_default() += 1;
            }
            let rows = |(symbol, count): (&str, u64)| {
                let thirds = (1..=count / 3).flat_map(|third| [(third * 3, 0), (third * 3, 1)]);
                let rows: Vec<Fields> = thirds
                    .chain([(count, -1)])
                    .map(|(number, amount)| (symbol.to_owned(), number, amount))
                    .collect();
                rows
            };
            seen.into_iter().flat_map(rows).collect()
        },
    );
}

#[pelton::job]
fn forked_and_joined(trades: Stream<Trade>) -> Stream<Row> {
    let rows = trades
        .filter(|t| t.amount != 0)
        .map(|t| RowView { key: t.symbol, number: t.account.into(), amount: t.amount })
        .fork();
    let by_key = rows.clone().key_by(|r| r.key).count().changes().map(|_| RowView {
        key: "",
        number: 0,
        amount: 1,
    });
    let by_number = rows.key_by(|r| r.number).process(Echo);
    by_key.join_by_position(by_number).map(|(left, right)| RowView {
        key: right.key,
        number: right.number,
        amount: right.amount + left.amount,
    })
}

/// Hands on what comes.
#[derive(Clone)]
struct Echo;

impl ProcessFunction for Echo {
    type Key = u64;
    type In = Row;
    type Out = Row;

    fn on_record(&mut self, context: &mut ProcessContext<'_, Row>, _: u64, row: RowView<'_>) {
        context.emit(row);
    }
}

#[test]
fn branches_meet_again_record_by_record() {
    check(
        |trades| {
            let rows = forked_and_joined(trades).collect();
            Box::new(move || rows.take_rows().into_iter().map(fields).collect())
        },
        |parts| {
            let kept = all(parts).filter(|t| t.amount != 0);
            kept.map(|t| fields(row(&t.symbol, t.account.into(), t.amount + 1))).collect()
        },
    );
}

/// Windows and a process function give many rows of one record, or rows of none.
#[pelton::job]
fn derived_and_joined(trades: Stream<Trade>) -> Stream<Row> {
    let rows = trades.key_by(|t| t.symbol).process(EveryThird).fork();
    let left = rows.clone().map(|r| r);
    let right = rows.map(|r| RowView { amount: r.amount * 10, ..r });
    left.join_by_position(right).map(|(left, right)| RowView {
        key: left.key,
        number: left.number * 1_000_000 + right.number,
        amount: left.amount * 1_000 + right.amount,
    })
}

#[test]
fn branches_of_a_derived_stream_meet_again_row_by_row() {
    check(
        |trades| {
            let rows = derived_and_joined(trades).collect();
            Box::new(move || rows.take_rows().into_iter().map(fields).collect())
        },
        |parts| {
            let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
            for trade in all(parts) {
                *seen.entry(&trade.symbol).or_default() += 1;
            }
            let rows = |(symbol, count): (&str, u64)| {
                let thirds = (1..=count / 3).flat_map(|third| [(third * 3, 0), (third * 3, 1)]);
                let joined = thirds.chain([(count, -1)]).map(|(number, amount)| {
                    (symbol.to_owned(), number * 1_000_001, amount * 1_010)
                });
                joined.collect::<Vec<Fields>>()
            };
            seen.into_iter().flat_map(rows).collect()
        },
    );
}

//! Joins against their definitions: all pairs of two lists, and which rows have none.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails at that line")]

use std::collections::{BTreeMap, BTreeSet};

use pelton::chain::Out;
use pelton::chain::operators::PaneSpec;
use pelton::job::{SourceOptions, Splits};
use pelton::record::{EventTime, Record, RowKind, TimeSpan};
use pelton::sim::Chance;
use pelton::sink::CollectSink;
use pelton::source::VecSplit;
use pelton::{Driver, Engine, Job, Stream};
use pelton_tests::runs::{self, settings};
use pelton_tests::simulated::setting;

#[pelton::record]
struct Order {
    #[event_time]
    time: EventTime,
    key: String,
    order: u64,
}

#[pelton::record]
struct Payment {
    #[event_time]
    time: EventTime,
    payment: u64,
    key: String,
}

/// What leaves a join: 0 where a side is missing.
#[pelton::record]
struct Row {
    order: u64,
    payment: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Inner,
    Left,
    Right,
    Full,
    Semi,
    Anti,
}

const KINDS: [Kind; 6] = [Kind::Inner, Kind::Left, Kind::Right, Kind::Full, Kind::Semi, Kind::Anti];

/// The rows of two streams, none of them late.
struct Input {
    orders: Vec<Order>,
    payments: Vec<Payment>,
    lateness: i64,
    lower: i64,
    upper: i64,
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap()
}

/// A time that moves on by up to `step`, out of order by up to `lateness`, and all different.
fn times(chance: &mut Chance, count: u64, step: u64, lateness: i64) -> Vec<EventTime> {
    let (mut now, mut taken) = (0, BTreeSet::new());
    let mut times = Vec::new();
    for _ in 0..count {
        now += signed(chance.below(step + 1));
        let mut time = now - signed(chance.below(lateness.unsigned_abs() + 1));
        while !taken.insert(time) {
            time += 1;
        }
        now = now.max(time);
        times.push(EventTime(time));
    }
    times
}

fn input(seed: u64) -> Input {
    let mut chance = Chance::new(seed);
    let lateness = [0, 40, 3_000][usize::try_from(chance.below(3)).unwrap()];
    let step = *chance.pick(&[3, 50, 400]);
    let keys = *chance.pick(&[1, 4, 60]);
    let lower = signed(chance.below(600)) - 400;
    let upper = lower + signed(chance.below(500));
    let key = |chance: &mut Chance| format!("k{}", chance.skewed(keys));
    let count = chance.below(250);
    let orders = times(&mut chance, count, step, lateness);
    let orders = orders.into_iter().zip(1..).map(|(time, order)| Order {
        time,
        order,
        key: key(&mut chance),
    });
    let orders = orders.collect();
    let count = chance.below(250);
    let payments = times(&mut chance, count, step, lateness);
    let payments = payments.into_iter().zip(1..).map(|(time, payment)| Payment {
        time,
        payment,
        key: key(&mut chance),
    });
    let payments = payments.collect();
    Input { orders, payments, lateness, lower, upper }
}

/// The rows of a join whose pairs are those for which `is_pair` answers true.
fn expected(
    input: &Input,
    kind: Kind,
    is_pair: impl Fn(&Order, &Payment) -> bool,
) -> Vec<(u64, u64)> {
    let pairs = input.orders.iter().flat_map(|order| {
        let partners = input.payments.iter().filter(|payment| is_pair(order, payment));
        partners.map(|payment| (order.order, payment.payment))
    });
    let pairs: Vec<_> = pairs.collect();
    let orders = |with_partner: bool| {
        let has = |order: u64| pairs.iter().any(|pair| pair.0 == order);
        let orders = input.orders.iter().map(|order| order.order);
        orders.filter(move |order| has(*order) == with_partner).map(|order| (order, 0))
    };
    let payments = || {
        let has = |payment: u64| pairs.iter().any(|pair| pair.1 == payment);
        let payments = input.payments.iter().map(|payment| payment.payment);
        payments.filter(move |payment| !has(*payment)).map(|payment| (0, payment))
    };
    let mut rows: Vec<_> = match kind {
        Kind::Inner => pairs.clone(),
        Kind::Left => pairs.iter().copied().chain(orders(false)).collect(),
        Kind::Right => pairs.iter().copied().chain(payments()).collect(),
        Kind::Full => pairs.iter().copied().chain(orders(false)).chain(payments()).collect(),
        Kind::Semi => orders(true).collect(),
        Kind::Anti => orders(false).collect(),
    };
    rows.sort_unstable();
    rows
}

fn either(order: Option<OrderView<'_>>, payment: Option<PaymentView<'_>>) -> RowView {
    RowView {
        order: order.map_or(0, |order| order.order),
        payment: payment.map_or(0, |payment| payment.payment),
    }
}

#[derive(Debug, Clone, Copy)]
enum By {
    Interval { lower: TimeSpan, upper: TimeSpan },
    Windows(PaneSpec),
    ForTime(TimeSpan),
    AsOf,
}

/// The last step of every join, by what it is and for each kind.
macro_rules! joined {
    ($pair:expr, $by:expr, |$view:pat_param| $row:expr) => {
        match $by {
            By::Interval { lower, upper } => $pair
                .between(lower, upper)
                .named("joined")
                .map(|$view, out| out.emit($row))
                .collect(),
            By::Windows(spec) => {
                $pair.in_windows(spec).named("joined").map(|$view, out| out.emit($row)).collect()
            }
            By::ForTime(ttl) => $pair
                .for_time(ttl)
                .named("joined")
                .map(|change, out| {
                    let $view = change.row;
                    out.emit($row);
                })
                .collect(),
            By::AsOf => $pair.as_of().named("joined").map(|$view, out| out.emit($row)).collect(),
        }
    };
}

fn join(orders: Stream<Order>, payments: Stream<Payment>, kind: Kind, by: By) -> CollectSink<Row> {
    let payments = payments.key_by(|p, key| key.of(p.key));
    let mut pair = orders.key_by(|o, key| key.of(o.key)).join(payments);
    if let By::AsOf | By::ForTime(_) = by {
        pair = pair.in_time_order();
    }
    match kind {
        Kind::Inner => joined!(pair, by, |(o, p)| either(Some(o), Some(p))),
        Kind::Left => joined!(pair.left_outer(), by, |(o, p)| either(Some(o), p)),
        Kind::Right => joined!(pair.right_outer(), by, |(o, p)| either(o, Some(p))),
        Kind::Full => joined!(pair.full_outer(), by, |(o, p)| either(o, p)),
        Kind::Semi => joined!(pair.semi(), by, |o| either(Some(o), None)),
        Kind::Anti => joined!(pair.anti(), by, |o| either(Some(o), None)),
    }
}

/// A source of `rows`, dealt to splits.
fn source<R: Record + Clone>(
    job: &Job,
    name: &str,
    rows: &[R],
    split_count: usize,
    lateness: TimeSpan,
) -> Stream<R> {
    let split = |number| {
        let rows = rows.iter().skip(number).step_by(split_count).cloned().collect();
        VecSplit::new(format!("{name} {number}"), rows)
    };
    let splits = Splits::new((0..split_count).map(split).collect());
    job.source(splits, SourceOptions::new().lateness(lateness))
}

fn run(seed: u64, input: &Input, kind: Kind, by: By) -> Vec<(u64, u64)> {
    let job = Job::new();
    let split_count = 1 + usize::try_from(seed % 3).unwrap();
    let lateness = TimeSpan::micros(input.lateness * 2 + 1);
    let orders = source(&job, "orders", &input.orders, split_count, lateness);
    let payments = source(&job, "payments", &input.payments, split_count, lateness);
    let rows = join(orders, payments, kind, by);
    let report = runs::run(&settings(seed), job).unwrap();
    assert_eq!(report.counts.total.late, 0, "seed {seed}: a row of the test is late");
    let rows = rows.take_rows().into_iter().map(|row| (row.order, row.payment));
    let mut rows: Vec<_> = rows.collect();
    rows.sort_unstable();
    rows
}

/// Runs random joins; `PELTON_JOINS` says how many.
fn differential(check: impl Fn(u64, &Input, Kind)) {
    let (first, count) = (setting("PELTON_SEED", 0), setting("PELTON_JOINS", 150));
    for seed in first..first + count {
        let kind = KINDS[usize::try_from(seed % 6).unwrap()];
        check(seed, &input(seed), kind);
    }
    eprintln!("{count} random jobs; one of them again: PELTON_SEED=<seed> PELTON_JOINS=1");
}

#[test]
fn differential_interval_joins_say_what_their_definition_says() {
    differential(|seed, input, kind| {
        let (lower, upper) = (TimeSpan::micros(input.lower), TimeSpan::micros(input.upper));
        let rows = run(seed, input, kind, By::Interval { lower, upper });
        let is_pair = |order: &Order, payment: &Payment| {
            let apart = payment.time.0 - order.time.0;
            order.key == payment.key && (input.lower..=input.upper).contains(&apart)
        };
        assert_eq!(rows, expected(input, kind, is_pair), "seed {seed}, {kind:?}");
    });
}

#[test]
fn differential_as_of_joins_find_the_version_that_holds() {
    differential(|seed, input, kind| {
        let kind = match kind {
            // A table's rows do not leave alone.
            Kind::Right => Kind::Inner,
            Kind::Full => Kind::Left,
            kind => kind,
        };
        let rows = run(seed, input, kind, By::AsOf);
        let is_pair = |order: &Order, payment: &Payment| {
            let holds = |other: &&Payment| other.key == order.key && other.time <= order.time;
            let version = input.payments.iter().filter(holds).max_by_key(|other| other.time);
            version.is_some_and(|version| version.payment == payment.payment)
        };
        assert_eq!(rows, expected(input, kind, is_pair), "seed {seed}, {kind:?}");
    });
}

/// The starts of the windows that hold `time`.
fn starts(time: EventTime, length: i64, slide: i64) -> Vec<i64> {
    let first = (time.0 - length).div_euclid(slide) * slide;
    let starts = (0..).map(|number| first + number * slide).take_while(|start| *start <= time.0);
    starts.filter(|start| time.0 < start + length).collect()
}

#[test]
fn differential_window_joins_pair_all_rows_of_each_window() {
    differential(|seed, input, kind| {
        let slide = 1 + (input.upper - input.lower) / 3;
        let length = slide * (1 + signed(seed % 3)) + signed(seed % 2) * slide / 2;
        let spec = PaneSpec::hopping(TimeSpan::micros(length), TimeSpan::micros(slide));
        let rows = run(seed, input, kind, By::Windows(spec));
        type Numbers = (Vec<u64>, Vec<u64>);
        let mut windows: BTreeMap<(i64, &str), Numbers> = BTreeMap::new();
        for order in &input.orders {
            for start in starts(order.time, length, slide) {
                windows.entry((start, &order.key)).or_default().0.push(order.order);
            }
        }
        for payment in &input.payments {
            for start in starts(payment.time, length, slide) {
                windows.entry((start, &payment.key)).or_default().1.push(payment.payment);
            }
        }
        let mut expected = Vec::new();
        for (orders, payments) in windows.values() {
            let pairs = orders.iter().flat_map(|o| payments.iter().map(move |p| (*o, *p)));
            let (no_orders, no_payments) = (orders.is_empty(), payments.is_empty());
            match kind {
                Kind::Semi if !no_payments => expected.extend(orders.iter().map(|o| (*o, 0))),
                Kind::Left | Kind::Full | Kind::Anti if no_payments => {
                    expected.extend(orders.iter().map(|o| (*o, 0)));
                }
                Kind::Right | Kind::Full if no_orders => {
                    expected.extend(payments.iter().map(|p| (0, *p)));
                }
                Kind::Semi | Kind::Anti => {}
                _ => expected.extend(pairs),
            }
        }
        expected.sort_unstable();
        assert_eq!(rows, expected, "seed {seed}, {kind:?}, length {length}, slide {slide}");
    });
}

#[test]
fn differential_rows_with_a_time_to_live_are_forgotten_by_event_time() {
    differential(|seed, input, _| {
        let ttl = 1 + signed(seed % 40) * 23;
        let rows = run(seed * 3, input, Kind::Inner, By::ForTime(TimeSpan::micros(ttl)));
        // Rows go by eighths of their time.
        let width = (ttl / 8).max(1);
        let lives_to = |time: EventTime| (time.0.div_euclid(width) + 1) * width - 1 + ttl;
        let is_pair = |order: &Order, payment: &Payment| {
            let (earlier, later) = (order.time.min(payment.time), order.time.max(payment.time));
            order.key == payment.key && later.0 <= lives_to(earlier)
        };
        assert_eq!(rows, expected(input, Kind::Inner, is_pair), "seed {seed}, {ttl} us");
    });
}

/// Both bounds are included, also negative ones: Flink's documentation, «Joining», «Interval Join».
#[test]
fn the_bounds_of_an_interval_are_included() {
    let order = |time| Order { time: EventTime(time), key: "k".to_owned(), order: 1 };
    let payment = |time, payment| Payment { time: EventTime(time), key: "k".to_owned(), payment };
    for (lower, upper, times, partners) in [
        (-2, 1, [7, 8, 11, 12], vec![2, 3]),
        (0, 0, [9, 10, 10, 11], vec![2, 3]),
        (-3, -1, [6, 7, 9, 10], vec![2, 3]),
        (1, 2, [10, 11, 12, 13], vec![2, 3]),
    ] {
        let payments = times.into_iter().zip(1..).map(|(time, number)| payment(time, number));
        let input = Input {
            orders: vec![order(10)],
            payments: payments.collect(),
            lateness: 10,
            lower,
            upper,
        };
        let by = By::Interval { lower: TimeSpan::micros(lower), upper: TimeSpan::micros(upper) };
        let rows = run(0, &input, Kind::Inner, by);
        let expected: Vec<(u64, u64)> = partners.into_iter().map(|number| (1, number)).collect();
        assert_eq!(rows, expected, "{lower} to {upper}");
    }
}

/// One row of a table of counts, by the count.
#[pelton::record]
struct Counted {
    count: u64,
    name: String,
}

/// A change of the joined table: 1 where a row comes, -1 where it goes.
#[pelton::record]
struct JoinedChange {
    sign: i8,
    left: String,
    right: String,
}

fn change(
    kind: RowKind,
    left: Option<CountedView<'_>>,
    right: Option<CountedView<'_>>,
) -> JoinedChange {
    let name = |side: Option<CountedView<'_>>| side.map_or("-", |side| side.name).to_owned();
    let sign = if matches!(kind, RowKind::Insert | RowKind::UpdateAfter) { 1 } else { -1 };
    JoinedChange { sign, left: name(left), right: name(right) }
}

/// Orders and payments counted by key, and the two tables joined where the counts are equal.
fn tables(
    orders: Stream<Order>,
    payments: Stream<Payment>,
    kind: Kind,
) -> CollectSink<JoinedChange> {
    macro_rules! table {
        ($stream:expr, $name:literal) => {
            $stream
                .key_by(|row, key| key.of(row.key))
                .count()
                .named($name)
                .retracting()
                .changes()
                .map(|c, out: Out<'_, '_, Counted>| {
                    out.emit(CountedView { count: c.value, name: c.key });
                })
                .key_by(|row, key| key.of(row.count))
        };
    }
    macro_rules! rows {
        ($pair:expr, |$row:pat_param| $left:expr, $right:expr) => {
            $pair
                .all()
                .named("joined")
                .map(|change_of, out| {
                    let $row = change_of.row;
                    out.emit(change(change_of.kind, $left, $right));
                })
                .collect()
        };
    }
    let pair = table!(orders, "orders").join(table!(payments, "payments"));
    match kind {
        Kind::Inner => rows!(pair, |(l, r)| Some(l), Some(r)),
        Kind::Left => rows!(pair.left_outer(), |(l, r)| Some(l), r),
        Kind::Right => rows!(pair.right_outer(), |(l, r)| l, Some(r)),
        Kind::Full => rows!(pair.full_outer(), |(l, r)| l, r),
        Kind::Semi => rows!(pair.semi(), |l| Some(l), None),
        Kind::Anti => rows!(pair.anti(), |l| Some(l), None),
    }
}

/// The joined table at the end, by its definition.
fn joined_table(input: &Input, kind: Kind) -> BTreeMap<(String, String), i64> {
    let counts = |keys: Vec<&String>| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        keys.into_iter().for_each(|key| *counts.entry(key.clone()).or_default() += 1);
        counts
    };
    let left = counts(input.orders.iter().map(|order| &order.key).collect());
    let right = counts(input.payments.iter().map(|payment| &payment.key).collect());
    let mut rows = BTreeMap::new();
    let mut row = |left: &str, right: &str| {
        rows.insert((left.to_owned(), right.to_owned()), 1);
    };
    for (name, count) in &left {
        let partners: Vec<_> = right.iter().filter(|(_, other)| *other == count).collect();
        match kind {
            Kind::Semi if !partners.is_empty() => row(name, "-"),
            Kind::Left | Kind::Full | Kind::Anti if partners.is_empty() => row(name, "-"),
            Kind::Semi | Kind::Anti => {}
            _ => partners.iter().for_each(|(other, _)| row(name, other)),
        }
    }
    for (name, count) in &right {
        let alone = !left.values().any(|other| other == count);
        if alone && matches!(kind, Kind::Right | Kind::Full) {
            row("-", name);
        }
    }
    rows
}

#[test]
fn differential_regular_joins_of_changing_tables_end_as_the_join_of_their_last_rows() {
    differential(|seed, input, kind| {
        let job = Job::new();
        let lateness = TimeSpan::micros(input.lateness * 2 + 1);
        let orders = source(&job, "orders", &input.orders, 1, lateness);
        let payments = source(&job, "payments", &input.payments, 1, lateness);
        let changes = tables(orders, payments, kind);
        let report = runs::run(&settings(seed), job).unwrap();
        assert_eq!(
            report.counts.total.dropped, 0,
            "seed {seed}: a row is taken back that never came"
        );
        let mut rows: BTreeMap<(String, String), i64> = BTreeMap::new();
        for change in changes.take_rows() {
            *rows.entry((change.left, change.right)).or_default() += i64::from(change.sign);
        }
        rows.retain(|_, count| *count != 0);
        assert_eq!(rows, joined_table(input, kind), "seed {seed}, {kind:?}");
    });
}

#[test]
fn a_join_that_can_not_work_is_refused_by_its_name_and_one_without_a_bound_says_so() {
    let input = input(3);
    let start = |by: Option<By>| {
        let job = Job::new();
        let orders = source(&job, "orders", &input.orders, 1, TimeSpan::ZERO);
        let payments = source(&job, "payments", &input.payments, 1, TimeSpan::ZERO);
        match by {
            Some(by) => drop(join(orders, payments, Kind::Inner, by)),
            None => drop(tables(orders, payments, Kind::Inner)),
        }
        Engine::new().shards(1).driver(Driver::Threads).start(job)
    };
    let micros = TimeSpan::micros;
    for (by, expected) in [
        (By::Interval { lower: micros(5), upper: micros(4) }, "5 us to 4 us"),
        (By::Windows(PaneSpec::tumbling(micros(0))), "length is 0 us"),
        (By::Windows(PaneSpec::hopping(micros(5), micros(9))), "with_gaps"),
    ] {
        let error = start(Some(by)).unwrap_err().to_string();
        assert!(error.contains("operator `joined`") && error.contains(expected), "{error}");
    }
    let running = start(None).unwrap();
    let warning = running.warnings().concat();
    assert!(warning.contains("`joined`") && warning.contains("for ever"), "{warning}");
    running.join().unwrap();
}

//! Windows through the public API: random specs over random, late input on any number of shards say
//! in the end what a slow computation of all windows says; what cannot work is refused by name.
//!
//! `PELTON_WINDOW_JOBS=2000` runs more; `PELTON_WINDOW_SEED=17 PELTON_WINDOW_JOBS=1` runs one again.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails at that line")]

use std::collections::BTreeMap;

use pelton::chain::operators::{
    Early, MatchOut, Matched, Mode, PaneSpec, Pattern, Sum, Timing, Window, Zone,
};
use pelton::job::{SourceOptions, Splits};
use pelton::record::{EventTime, RowKind, TimeSpan};
use pelton::sim::Chance;
use pelton::sink::CollectSink;
use pelton::source::VecSplit;
use pelton::{Driver, Job, JobError, Settings, Stream};
use pelton_tests::runs;
use pelton_tests::simulated::setting;

#[pelton::record]
struct Trade {
    #[event_time]
    time: EventTime,
    account: u32,
    amount: i64,
}

#[pelton::record]
struct Row {
    account: u32,
    start: i64,
    end: i64,
    length_index: u16,
    kind: u8,
    is_late: bool,
    amount: i64,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Hopping { lengths: [i64; 2], slide: i64 },
    Cumulating { length_max: i64, step: i64 },
    Session { gap: i64 },
    Days { ahead: i64 },
}

#[derive(Debug, Clone, Copy)]
struct Case {
    shape: Shape,
    mode: Mode,
    early: Option<u64>,
    lateness: i64,
    kept: i64,
    shard_count: u16,
}

impl Case {
    fn draw(chance: &mut Chance) -> Self {
        let mut below = |max: u64| i64::try_from(chance.below(max)).unwrap();
        let slide = 100 * (1 + below(9));
        let shape = match below(4) {
            0 => {
                Shape::Hopping { lengths: [slide + 50 * below(20), slide * (1 + below(4))], slide }
            }
            1 => Shape::Cumulating { length_max: slide * (1 + below(5)), step: slide },
            2 => Shape::Session { gap: 1 + below(2_000) },
            _ => Shape::Days { ahead: below(24) - 12 },
        };
        let mode = match (shape, below(3)) {
            (_, 0) => Mode::Retracting,
            (Shape::Session { .. }, 1) | (_, 2) => Mode::Discarding,
            // A session that has grown does not replace its earlier row, so there is no last one.
            (Shape::Session { .. }, _) => Mode::Retracting,
            _ => Mode::Accumulating,
        };
        let (lateness, kept) = (below(2) * below(900), below(2) * below(2_500));
        let early = chance.one_in(3).then(|| 1 + chance.below(4));
        let shard_count = 1 + u16::try_from(chance.below(4)).unwrap();
        Self { shape, mode, early, lateness, kept, shard_count }
    }

    fn window(&self) -> Window {
        match self.shape {
            Shape::Hopping { lengths, slide } => {
                Window::hopping_lengths(lengths.map(TimeSpan), TimeSpan(slide))
            }
            Shape::Cumulating { length_max, step } => {
                Window::cumulate(TimeSpan(length_max), TimeSpan(step))
            }
            Shape::Session { gap } => Window::session(TimeSpan(gap)),
            Shape::Days { ahead } => Window::days().in_zone(Zone::fixed(TimeSpan::hours(ahead))),
        }
    }

    /// How much time goes by from one record to the next, at most.
    fn pace(&self) -> u64 {
        if matches!(self.shape, Shape::Days { .. }) { 9_000_000_000 } else { 300 }
    }

    fn splits(&self, chance: &mut Chance) -> Vec<Vec<Trade>> {
        let split = |_| {
            let mut now = 0;
            let count = chance.below(400);
            let trade = |_| {
                now += i64::try_from(chance.below(self.pace())).unwrap();
                let back = i64::try_from(chance.below(3_000)).unwrap();
                let late = chance.one_in(3);
                Trade {
                    time: EventTime(if late { now - back } else { now }),
                    account: u32::try_from(chance.skewed(6)).unwrap(),
                    amount: i64::try_from(chance.below(2_000)).unwrap() - 1_000,
                }
            };
            (0..count).map(trade).collect()
        };
        (0..3).map(split).collect()
    }
}

/// The records that get past their split's watermark.
fn in_time(case: &Case, splits: &[Vec<Trade>]) -> Vec<Trade> {
    let mut kept = Vec::new();
    for split in splits {
        let mut highest = i64::MIN / 2;
        for trade in split {
            if trade.time.0 + case.kept > highest - case.lateness - 1 {
                highest = highest.max(trade.time.0);
                kept.push(trade.clone());
            }
        }
    }
    kept
}

/// A window: whose, from, to, of which length.
type Bounds = (u32, i64, i64, u16);

/// All windows of all records, by definition.
fn all_windows(case: &Case, trades: &[Trade]) -> BTreeMap<Bounds, i64> {
    const DAY: i64 = 86_400_000_000;
    let mut windows = BTreeMap::new();
    for trade in trades {
        let (account, time) = (trade.account, trade.time.0);
        let mut add = |start: i64, end: i64, length_index: u16| {
            *windows.entry((account, start, end, length_index)).or_insert(0) += trade.amount;
        };
        match case.shape {
            Shape::Hopping { lengths, slide } => {
                for (length, length_index) in lengths.into_iter().zip(0..) {
                    let mut start = time.div_euclid(slide) * slide;
                    while start + length > time {
                        add(start, start + length, length_index);
                        start -= slide;
                    }
                }
            }
            Shape::Cumulating { length_max, step } => {
                let start = time.div_euclid(length_max) * length_max;
                let ends = (start..=start + length_max).step_by(usize::try_from(step).unwrap());
                ends.filter(|end| *end > time).for_each(|end| add(start, end, 0));
            }
            Shape::Days { ahead } => {
                let ahead = ahead * 3_600_000_000;
                let start = (time + ahead).div_euclid(DAY) * DAY - ahead;
                add(start, start + DAY, 0);
            }
            Shape::Session { .. } => {}
        }
    }
    if let Shape::Session { gap } = case.shape {
        let mut accounts: BTreeMap<u32, Vec<&Trade>> = BTreeMap::new();
        trades.iter().for_each(|trade| accounts.entry(trade.account).or_default().push(trade));
        for (account, mut trades) in accounts {
            trades.sort_by_key(|trade| trade.time);
            for run in trades.chunk_by(|trade, next| next.time.0 - trade.time.0 < gap) {
                let (start, end) = (run[0].time.0, run[run.len() - 1].time.0 + gap);
                let amount = run.iter().map(|trade| trade.amount).sum();
                windows.insert((account, start, end, 0), amount);
            }
        }
    }
    windows
}

fn rows_of(case: &Case, trades: Stream<Trade>) -> CollectSink<Row> {
    let windowed = trades
        .key_by(|trade, key| key.of(trade.account))
        .window(case.window())
        .allowed_lateness(TimeSpan(case.kept));
    let windowed = match case.mode {
        Mode::Accumulating => windowed.accumulating(),
        Mode::Discarding => windowed.discarding(),
        Mode::Retracting => windowed.retracting(),
    };
    macro_rules! rows {
        ($windowed:expr) => {
            $windowed
                .aggregate::<Sum<i64>, _>(|trade| trade.amount)
                .named("windows")
                .map(|w, out| {
                    out.emit(RowView {
                        account: w.key,
                        start: w.start.0,
                        end: w.end.0,
                        length_index: w.length_index,
                        kind: w.kind as u8,
                        is_late: w.timing == Timing::Late,
                        amount: w.value,
                    })
                })
                .collect()
        };
    }
    match case.early {
        None => rows!(windowed),
        Some(count) => rows!(windowed.early(Early::every_records(count))),
    }
}

/// What the rows come to, if they are a sound history of each window.
fn settled(case: &Case, rows: Vec<Row>) -> Result<BTreeMap<Bounds, i64>, String> {
    let mut standing = BTreeMap::new();
    for row in rows {
        let at = (row.account, row.start, row.end, row.length_index);
        let before = standing.get(&at).copied();
        let is_sound = match (case.mode, row.kind) {
            (Mode::Discarding, kind) => {
                *standing.entry(at).or_insert(0) += row.amount;
                kind == RowKind::Insert as u8
            }
            (_, kind) if kind == RowKind::Insert as u8 => {
                standing.insert(at, row.amount);
                before.is_none()
            }
            (Mode::Accumulating, _) => standing.insert(at, row.amount).is_some(),
            (Mode::Retracting, kind) if kind == RowKind::UpdateAfter as u8 => {
                standing.insert(at, row.amount);
                before.is_none()
            }
            (Mode::Retracting, _) => standing.remove(&at) == Some(row.amount),
        };
        if !is_sound {
            return Err(format!("{row:?}, where there was {before:?}"));
        }
    }
    Ok(standing)
}

/// Of sessions in turns only the totals are known: a turn's bounds are those of its moment.
fn totals(windows: BTreeMap<Bounds, i64>) -> BTreeMap<u32, i64> {
    let mut totals = BTreeMap::new();
    for ((account, ..), amount) in windows {
        *totals.entry(account).or_insert(0) += amount;
    }
    totals
}

fn run(seed: u64) -> Result<usize, String> {
    let mut chance = Chance::new(seed ^ 0x77_0001);
    let case = Case::draw(&mut chance);
    let splits = case.splits(&mut chance);
    let job = Job::new();
    let inputs = splits.iter().map(|trades| VecSplit::new("trades", trades.clone()));
    let options =
        SourceOptions::new().lateness(TimeSpan(case.lateness)).keep_late(TimeSpan(case.kept));
    let rows = rows_of(&case, job.source(Splits::new(inputs.collect()), options));
    let settings = Settings {
        shard_count: case.shard_count,
        driver: Driver::Simulator { seed },
        stall_seed: Some(seed),
        // Little room, so that watermarks come between few records.
        ring_bytes: if seed.is_multiple_of(4) { 256 << 10 } else { 1_024 },
        ..Settings::default()
    };
    let report = runs::run(&settings, job).map_err(|error| error.to_string())?;
    let taken = in_time(&case, &splits);
    let rows = rows.take_rows();
    let late = rows.iter().filter(|row| row.is_late).count();
    let expected = all_windows(&case, &taken);
    let found = settled(&case, rows).map_err(|what| format!("{case:?}: {what}"))?;
    let counts = report.counts.total;
    if (counts.accepted, counts.dropped) != (u64::try_from(taken.len()).unwrap(), 0) {
        return Err(format!("{case:?}: {counts:?} of {}", taken.len()));
    }
    let is_right = match (case.shape, case.mode) {
        (Shape::Session { .. }, Mode::Discarding) => {
            totals(found.clone()) == totals(expected.clone())
        }
        _ => found == expected,
    };
    if is_right {
        return Ok(late);
    }
    let missing = expected.iter().find(|(at, amount)| found.get(at) != Some(amount));
    let extra = found.iter().find(|(at, amount)| expected.get(at) != Some(amount));
    Err(format!("{case:?}: missing {missing:?}, too much {extra:?}"))
}

#[test]
fn differential_windows_hold_in_the_end_what_all_records_say() {
    let (first, count) = (setting("PELTON_WINDOW_SEED", 0), setting("PELTON_WINDOW_JOBS", 1_000));
    let mut late = 0;
    for seed in first..first + count {
        match run(seed) {
            Ok(of_case) => late += of_case,
            Err(what) => panic!(
                "seed {seed}: {what}\nreplay: PELTON_WINDOW_SEED={seed} PELTON_WINDOW_JOBS=1 \
                 cargo test -p pelton-tests --test windows differential"
            ),
        }
    }
    eprintln!("{count} random jobs from seed {first}, {late} late rows");
    assert!(late > 0 || count < 100, "late records made windows fire again");
}

#[pelton::job]
fn with_side(trades: Stream<Trade>) -> (Stream<Trade>, Stream<Trade>) {
    let (rows, late) = trades
        .key_by(|t| t.account)
        .window(Window::tumbling(TimeSpan(10)))
        .allowed_lateness(TimeSpan(5))
        .aggregate_or_late::<Sum<i64>, _>(|t| t.amount)
        .with_side();
    let rows = rows.map(|w| TradeView { time: w.start, account: w.key, amount: w.value });
    (rows, late)
}

#[test]
fn what_comes_after_the_allowed_lateness_goes_to_the_side() {
    let trade = |time, amount| Trade { time: EventTime(time), account: 1, amount };
    let job = Job::new();
    // So many that the watermark has come to the windows before the last ones are read.
    let mut trades = vec![trade(1, 1), trade(100, 2)];
    trades.extend((0..5_000).map(|number| trade(100 + number, 0)));
    trades.extend([trade(2, 4), trade(3, 8)]);
    let options = SourceOptions::new().lateness(TimeSpan(0)).keep_late(TimeSpan(1_000_000));
    let split = VecSplit::new("trades", trades);
    let (rows, late) = with_side(job.source(Splits::new(vec![split]), options));
    let (rows, late) = (rows.collect(), late.collect());
    let driver = Driver::Simulator { seed: 1 };
    let settings = Settings { shard_count: 1, driver, ..Settings::default() };
    let report = runs::run(&settings, job).unwrap();
    assert_eq!(late.take_rows(), [trade(2, 4), trade(3, 8)]);
    assert_eq!(report.counts.total.dropped, 2);
    assert_eq!(rows.take_rows()[0], Trade { time: EventTime(0), account: 1, amount: 1 });
}

#[test]
fn a_window_fires_by_the_wall_clock_though_nothing_comes() {
    let job = Job::new();
    let options = SourceOptions::new().lateness(TimeSpan::ZERO);
    let (trades, input) = job.push_with::<Trade>(4, options);
    let rows = trades
        .key_by(|trade, key| key.of(trade.account))
        .window(Window::session(TimeSpan::hours(1)))
        .early(Early::every_wall(TimeSpan::millis(1)))
        .retracting()
        .aggregate::<Sum<i64>, _>(|trade| trade.amount)
        .named("visits")
        .map(|w, out| out.emit(TradeView { time: w.start, account: w.key, amount: w.value }))
        .collect();
    let settings = Settings { shard_count: 2, driver: Driver::Threads, ..Settings::default() };
    let running = pelton::Engine::with(settings).start(job).unwrap();
    input.push(Trade { time: EventTime(5), account: 1, amount: 7 }).unwrap();
    runs::wait_until(&running, "an early row", || running.snapshot().records_out >= 1);
    drop(input);
    running.stop().unwrap();
    let amounts: Vec<i64> = rows.take_rows().into_iter().map(|row| row.amount).collect();
    assert_eq!(amounts, [7; 3], "early, taken back, on time");
}

/// What the job is told that has these windows, over records of memory with a lateness.
fn refused(build: impl FnOnce(Stream<Trade>)) -> String {
    let job = Job::new();
    let trade = Trade { time: EventTime(1), account: 1, amount: 1 };
    let split = VecSplit::new("trades", vec![trade]);
    let options = SourceOptions::new().lateness(TimeSpan::ZERO);
    build(job.source(Splits::new(vec![split]), options));
    let error = runs::run(&Settings { shard_count: 1, ..Settings::default() }, job).unwrap_err();
    assert!(matches!(&error, JobError::Operator { operator, .. } if operator == "mine"), "{error}");
    error.to_string()
}

#[test]
fn windows_that_cannot_work_are_refused_by_name() {
    let keyed = |trades: Stream<Trade>| trades.key_by(|trade, key| key.of(trade.account));
    let bad = |window: Window| {
        refused(|trades| {
            let windows = keyed(trades).window(window).aggregate::<Sum<i64>, _>(|t| t.amount);
            let rows = windows.named("mine").map(|w, out| {
                out.emit(TradeView { time: w.start, account: w.key, amount: w.value });
            });
            drop(rows.collect());
        })
    };
    let micros = TimeSpan::micros;
    let cases = [
        (Window::tumbling(micros(0)), "its length is 0 us; it must be more than nothing"),
        (Window::tumbling(micros(-3)), "its length is -3 us; it must be more than nothing"),
        (Window::hopping(micros(3), micros(0)), "its slide is 0 us; it must be more than nothing"),
        (Window::session(micros(-1)), "its gap is -1 us; it must be more than nothing"),
        (
            Window::hopping(micros(3), micros(5)),
            "its windows are 3 us long and start every 5 us, so records in between would belong to \
             none; if that is meant, say `.with_gaps()`",
        ),
        (
            Window::cumulate(micros(10), micros(3)),
            "its longest window of 10 us is no multiple of its step of 3 us",
        ),
        (Window::hopping_lengths([], micros(3)), "it has windows of no length; name one at least"),
    ];
    for (window, problem) in cases {
        assert_eq!(bad(window), format!("operator `mine` can't work: {problem}"));
    }
    let late = refused(|trades| {
        let windows = keyed(trades).window(Window::tumbling(micros(5)));
        let rows = windows.allowed_lateness(micros(-1)).count().named("mine");
        drop(
            rows.map(|w, out| out.emit(TradeView { time: w.start, account: w.key, amount: 0 }))
                .collect(),
        );
    });
    assert!(late.ends_with("its allowed lateness is -1 us; it must not be negative"), "{late}");
    let zero = refused(|trades| {
        let rows = keyed(trades).count_window(0).count().named("mine");
        drop(
            rows.map(|w, out| out.emit(TradeView { time: w.start, account: w.key, amount: 0 }))
                .collect(),
        );
    });
    assert!(zero.ends_with("it fires with every 0 records; name a number from 1 on"), "{zero}");
    let pane = refused(|trades| {
        let spec = PaneSpec::hopping(micros(1), micros(2));
        let rows = keyed(trades).windows::<Sum<i64>, _>(spec, |t| t.amount).named("mine");
        drop(
            rows.map(|w, out| out.emit(TradeView { time: w.start, account: w.key, amount: 0 }))
                .collect(),
        );
    });
    assert!(pane.contains(".with_gaps()"), "{pane}");
}

#[pelton::record]
struct Timeless {
    account: u32,
}

#[test]
fn rows_and_patterns_of_a_time_are_refused_where_the_watermark_never_moves() {
    let error_of = |job| {
        let error = runs::run(&Settings { shard_count: 1, ..Settings::default() }, job);
        error.unwrap_err().to_string()
    };
    let job = Job::new();
    let (trades, input) = job.push::<Trade>(1);
    let rows = trades
        .key_by(|trade, key| key.of(trade.account))
        .dedup_within(TimeSpan(5))
        .named("firsts")
        .collect();
    let error = error_of(job);
    assert!(error.contains("`firsts`") && error.contains("endless source never moves"), "{error}");
    drop((rows, input));
    let job = Job::new();
    let (trades, input) = job.push::<Trade>(1);
    let pattern = Pattern::<Trade>::begin("one").followed_by("other").within(TimeSpan(5));
    let rows = trades
        .key_by(|trade, key| key.of(trade.account))
        .detect(pattern, |found: &Matched<'_, Trade>, out: MatchOut<'_, Timeless>| {
            let account = found.first("one").map_or(0, |trade| trade.account);
            out.emit(TimelessView { account });
        })
        .named("pairs")
        .collect();
    let error = error_of(job);
    assert!(error.contains("`pairs`") && error.contains("endless source never moves"), "{error}");
    drop((rows, input));
}

#[test]
fn more_rows_than_a_key_has_room_for_are_refused_by_name() {
    let error_of = |distance: u32| {
        let job = Job::new();
        let trades = job.records(vec![Trade { time: EventTime(1), account: 1, amount: 1 }]);
        let keyed = trades.key_by(|trade, key| key.of(trade.account));
        let rows = keyed
            .lag(distance, 0, |trade| trade.amount)
            .named("before")
            .map(|(trade, _), out| out.emit(TimelessView { account: trade.account }))
            .collect();
        let ran = runs::run(&Settings::default(), job);
        drop(rows);
        ran.err().map(|error| error.to_string())
    };
    assert_eq!(error_of(4_095), None);
    let error = error_of(4_096).unwrap();
    assert!(error.contains("`before`") && error.contains("room for 4095"), "{error}");
    assert!(error_of(u32::MAX).is_some());
}

#[test]
fn windows_without_event_time_are_refused_by_name() {
    let job = Job::new();
    let count = |rows: Stream<Timeless>| {
        rows.key_by(|row, key| key.of(row.account))
            .window(Window::session(TimeSpan(5)))
            .count()
            .named("visits")
            .map(|w, out| out.emit(TimelessView { account: w.key }))
            .collect()
    };
    let rows = count(job.records(vec![Timeless { account: 1 }]));
    let error = runs::run(&Settings::default(), job).unwrap_err();
    assert_eq!(
        error.to_string(),
        "operator `visits` can't work: it has windows of event time, and its source's records have \
         no time; give the record an `#[event_time]` field, and its source `SourceOptions::lateness`"
    );
    drop(rows);
    // An endless source whose watermark never moves.
    let job = Job::new();
    let (trades, input) = job.push::<Trade>(1);
    let rows = trades
        .key_by(|trade, key| key.of(trade.account))
        .window(Window::tumbling(TimeSpan(5)))
        .count()
        .named("trades")
        .map(|w, out| out.emit(TimelessView { account: w.key }))
        .collect();
    let error = runs::run(&Settings { shard_count: 1, ..Settings::default() }, job).unwrap_err();
    assert!(error.to_string().contains("endless source never moves"), "{error}");
    drop((rows, input));
    // Windows by count need no time.
    let job = Job::new();
    let rows = job
        .records(vec![Timeless { account: 1 }, Timeless { account: 1 }])
        .key_by(|row, key| key.of(row.account))
        .count_window(2)
        .count()
        .named("pairs")
        .map(|w, out| out.emit(TimelessView { account: w.key }))
        .collect();
    runs::run(&Settings { shard_count: 1, ..Settings::default() }, job).unwrap();
    assert_eq!(rows.take_rows().len(), 1);
}

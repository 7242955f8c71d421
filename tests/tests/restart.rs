//! Jobs that are suspended and go on: on other numbers of shards, with everything that may be kept
//! for a key, and with one result for each row over all runs.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use pelton::chain::operators::{
    CountSum, ExactSpec, Joined, ListState, MapState, PaneSpec, ProcessContext, ProcessFunction,
    ReducingState, States, Sum, ValueState, WindowOutput,
};
use pelton::job::{Begin, Checkpoints, Restart, SourceOptions, Splits};
use pelton::record::{EventTime, TimeSpan};
use pelton::sink::{FileSink, format_fn, write_u64};
use pelton::source::{GeneratorSplit, PushInput};
use pelton::state::ExpiryKind;
use pelton::{Driver, Engine, Job, JobReport, Stream};

const KEYS: u64 = 50;
const ROWS: u64 = 30_000;

#[pelton::record]
struct Trade {
    user: u64,
    #[event_time]
    time: EventTime,
    amount: i64,
}

#[pelton::record]
struct Line {
    kind: u8,
    user: u64,
    time: i64,
    value: i64,
}

/// Trade `number` of a split: keys spread, times out of order by up to 90.
fn trade(number: u64) -> Trade {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    let time = i64::try_from(number * 10 + mixed % 90).unwrap();
    let amount = i64::try_from(mixed % 1_000).unwrap();
    Trade { user: mixed / 7 % KEYS, time: EventTime(time), amount }
}

const COUNT: ValueState<u64> = ValueState::new(0);
const AMOUNTS: ListState<i64> = ListState::new(1);
const BY_DIGIT: MapState<u64, u64> = MapState::new(2);
const TOTAL: ReducingState<Sum<i64>> = ReducingState::new(3);
const RECENT: ValueState<u64> = ValueState::new(4).ttl(TimeSpan::micros(5_000), ExpiryKind::Event);

/// Keeps something of every kind, and says it all every 40 records and when a timer fires.
#[derive(Clone)]
struct Everything;

impl Everything {
    fn say(context: &mut ProcessContext<'_, Line>, user: u64, kind: u8, time: EventTime) {
        let listed: i64 = context.iter(AMOUNTS).sum();
        let mapped: u64 = context.map_iter(BY_DIGIT).map(|(digit, count)| digit * count).sum();
        let recent = context.get(RECENT).unwrap_or(0);
        let total = context.reduced(TOTAL).unwrap_or(0);
        let value = listed + total * 3 + i64::try_from(mapped * 5 + recent * 7).unwrap();
        context.emit(LineView { kind, user, time: time.0, value });
    }
}

impl ProcessFunction for Everything {
    type Key = u64;
    type In = Trade;
    type Out = Line;

    fn states(&self, states: &mut States) {
        states
            .value("count", COUNT)
            .list("amounts", AMOUNTS)
            .map("by_digit", BY_DIGIT)
            .reducing("total", TOTAL)
            .value("recent", RECENT);
    }

    fn on_record(&mut self, context: &mut ProcessContext<'_, Line>, user: u64, trade: TradeView) {
        let count = context.get(COUNT).unwrap_or(0) + 1;
        context.set(COUNT, count);
        context.append(AMOUNTS, trade.amount);
        let digit = trade.amount.unsigned_abs() % 10;
        let seen = context.map_get(BY_DIGIT, digit).unwrap_or(0);
        context.map_insert(BY_DIGIT, digit, seen + 1);
        context.reduce(TOTAL, trade.amount);
        context.set(RECENT, count);
        if count.is_multiple_of(40) {
            Self::say(context, user, 1, trade.time);
            context.clear_list(AMOUNTS);
            context.map_remove(BY_DIGIT, digit);
            context.set_timer(EventTime(trade.time.0 + 2_000));
        }
    }

    fn on_timer(&mut self, context: &mut ProcessContext<'_, Line>, user: u64, time: EventTime) {
        Self::say(context, user, 2, time);
    }
}

/// The job: four kinds of state of one stream, each into a file of its own.
fn job(output: &Path, slow_after: u64) -> Job {
    let job = Job::new();
    let split = GeneratorSplit::new("trades", move |number| {
        if number > slow_after {
            // So that a run is still under way when it is suspended.
            std::thread::park_timeout(Duration::from_micros(200));
        }
        (number < ROWS).then(|| trade(number))
    });
    let options = SourceOptions::new().lateness(TimeSpan::micros(100));
    let trades: Stream<Trade> = job.source(Splits::new(vec![split]), options);
    let by_user = |trades: &Stream<Trade>| trades.clone().key_by(|trade, key| key.of(trade.user));
    let file = |name: &str| output.join(name);

    by_user(&trades)
        .in_time_order(|trade| trade.amount.unsigned_abs())
        .process(Everything)
        .named("everything")
        .to(FileSink::csv(file("everything.csv")));
    by_user(&trades)
        .windows::<Sum<i64>, _>(
            PaneSpec::hopping(TimeSpan::micros(2_000), TimeSpan::micros(500)),
            |trade| trade.amount,
        )
        .named("panes")
        .to(FileSink::new(
            file("panes.csv"),
            format_fn::<WindowOutput<u64, i64>, _>(|_, window, out: &mut Vec<u8>| {
                out.extend_from_slice(
                    format!("{},{},{}", window.key, window.end.0, window.value).as_bytes(),
                );
            }),
        ));
    let left = by_user(&trades)
        .in_time_order(|trade| trade.amount.unsigned_abs())
        .exact_windows::<CountSum, 2, _>(
            ExactSpec {
                lengths: [TimeSpan::micros(3_000), TimeSpan::micros(20_000)],
                delay: TimeSpan::ZERO,
            },
            |trade| (0, trade.amount),
        )
        .named("exact")
        .map(|(trade, [short, long]), out| {
            let value = i64::try_from(short.sum * 3 + long.sum).unwrap();
            out.emit(LineView { kind: 3, user: trade.user, time: trade.time.0, value });
        });
    let right = trades.clone().map(|trade, out| {
        out.emit(LineView { kind: 4, user: trade.user, time: trade.time.0, value: trade.amount });
    });
    left.join_by_position(right).named("pairs").to(FileSink::new(
        file("pairs.csv"),
        format_fn::<Joined<Line, Line>, _>(|_, (left, right), out: &mut Vec<u8>| {
            write_u64(out, left.user);
            out.extend_from_slice(
                format!(",{},{},{}", left.time, left.value, right.value).as_bytes(),
            );
        }),
    ));
    trades
        .key_by(|trade, key| key.of(trade.user))
        .count()
        .named("counts")
        .at_end()
        .to(FileSink::csv(file("counts.csv")));
    job
}

fn checkpoints(directory: &Path) -> Checkpoints {
    let mut checkpoints = Checkpoints::new(directory.join("state"));
    checkpoints.interval = Duration::from_millis(5);
    checkpoints.segment_bytes = 64 << 10;
    checkpoints
}

fn lines(output: &Path) -> BTreeMap<String, Vec<String>> {
    let names = ["everything.csv", "panes.csv", "pairs.csv", "counts.csv"];
    let sorted = |name: &str| {
        let text = fs::read_to_string(output.join(name)).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        (name.to_owned(), lines)
    };
    names.map(sorted).into()
}

/// Runs the job over suspensions, with so many shards in each run, to its end.
fn over_runs(output: &Path, shards: &[u16]) -> JobReport {
    let (last, before) = shards.split_last().unwrap();
    let each = ROWS / u64::try_from(shards.len()).unwrap();
    for (run, &shard_count) in (1..).zip(before) {
        let engine = Engine::new().shards(shard_count).driver(Driver::Threads);
        let engine = engine.checkpoints(checkpoints(output));
        let running = engine.start(job(output, run * each)).unwrap();
        while running.snapshot().total.records_in < run * each {
            assert!(!running.is_over(), "the run is over before it is suspended");
            std::thread::park_timeout(Duration::from_micros(100));
        }
        assert!(running.suspend().unwrap() > 0);
    }
    let engine = Engine::new().shards(*last).driver(Driver::Threads);
    engine.checkpoints(checkpoints(output)).run(job(output, u64::MAX)).unwrap()
}

#[test]
fn every_kind_of_state_goes_on_on_any_number_of_shards() {
    let undisturbed = tempfile::tempdir().unwrap();
    let engine = Engine::new().shards(2).driver(Driver::Threads);
    let plain = engine.run(job(undisturbed.path(), u64::MAX)).unwrap();
    let expected = lines(undisturbed.path());
    assert_eq!(expected["pairs.csv"].len() as u64, plain.counts.total.accepted);
    assert!(expected["everything.csv"].len() > 1_000 && expected["panes.csv"].len() > 5_000);
    for shards in [&[1_u16, 3, 2][..], &[2, 2, 2], &[3, 1]] {
        let output = tempfile::tempdir().unwrap();
        let report = over_runs(output.path(), shards);
        for (name, found) in lines(output.path()) {
            assert_eq!(found.len(), expected[&name].len(), "{name} over {shards:?}");
            assert!(found == expected[&name], "{name} over {shards:?}");
        }
        let (total, before) = (report.counts.total, plain.counts.total);
        assert_eq!((total.records_in, total.accepted), (before.records_in, before.accepted));
        assert_eq!(total.late, before.late);
        assert_eq!(report.counts.records_out, plain.counts.records_out, "over {shards:?}");
        let made = report.checkpoints.unwrap();
        assert!(made.stats.count > 0 && made.resumed.is_some());
    }
}

#[test]
fn a_job_that_has_ended_does_nothing_when_it_is_started_again() {
    let output = tempfile::tempdir().unwrap();
    let first = over_runs(output.path(), &[2]);
    let expected = lines(output.path());
    let mut again = checkpoints(output.path());
    again.begin = Begin::Resume;
    let engine = Engine::new().shards(3).driver(Driver::Threads).checkpoints(again);
    let second = engine.run(job(output.path(), u64::MAX)).unwrap();
    assert_eq!(lines(output.path()), expected);
    assert_eq!(second.counts.total.records_in, first.counts.total.records_in);
    assert_eq!(second.counts.records_out, first.counts.records_out);
}

/// A job whose closure panics once, at one record, after checkpoints were made.
fn panics_once(output: &Path, panicked: &Arc<AtomicBool>) -> Job {
    let job = Job::new();
    let split = GeneratorSplit::new("trades", |number| {
        if number % 1_000 == 0 {
            // So that checkpoints are made meanwhile.
            std::thread::park_timeout(Duration::from_millis(2));
        }
        (number < ROWS).then(|| trade(number))
    });
    let trades = job.source(Splits::new(vec![split]), SourceOptions::new());
    let panicked = Arc::clone(panicked);
    trades
        .key_by(|trade, key| key.of(trade.user))
        .exact_windows::<CountSum, 1, _>(
            ExactSpec { lengths: [TimeSpan::micros(3_000)], delay: TimeSpan::ZERO },
            |trade| (0, trade.amount),
        )
        .named("sums")
        .map(move |(trade, [window]), out| {
            let at = EventTime(20_000 * 10);
            if trade.time > at && !panicked.swap(true, Ordering::Relaxed) {
                panic!("a bug of the job's own");
            }
            let value = i64::try_from(window.sum).unwrap();
            out.emit(LineView { kind: 0, user: trade.user, time: trade.time.0, value });
        })
        .to(FileSink::csv(output.join("sums.csv")));
    job
}

fn sums(output: &Path) -> Vec<String> {
    let text = fs::read_to_string(output.join("sums.csv")).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_panic_in_a_closure_is_restarted_from_the_last_checkpoint() {
    let [undisturbed, output] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let engine = || Engine::new().shards(2).driver(Driver::Threads);
    let never = Arc::new(AtomicBool::new(true));
    engine().run(panics_once(undisturbed.path(), &never)).unwrap();

    let once = Arc::new(AtomicBool::new(false));
    let restart = Restart::Fixed { attempts_max: 1, delay: Duration::from_millis(1) };
    let durable = engine().checkpoints(checkpoints(output.path()));
    let report = durable.supervise(restart, || panics_once(output.path(), &once)).unwrap();
    assert_eq!(sums(output.path()), sums(undisturbed.path()));
    assert_eq!(report.counts.total.accepted, ROWS);
    assert_eq!(report.counts.records_out, ROWS);
    assert!(report.checkpoints.unwrap().resumed.unwrap() > 0, "it went on from a checkpoint");
}

#[test]
fn a_record_that_always_panics_ends_the_job_when_the_attempts_are_used_up() {
    let output = tempfile::tempdir().unwrap();
    let starts = Arc::new(AtomicUsize::new(0));
    let engine = Engine::new().shards(2).driver(Driver::Threads);
    let durable = engine.checkpoints(checkpoints(output.path()));
    let restart = Restart::Fixed { attempts_max: 2, delay: Duration::from_millis(1) };
    let ended = durable.supervise(restart, || {
        starts.fetch_add(1, Ordering::Relaxed);
        panics_once(output.path(), &Arc::new(AtomicBool::new(false)))
    });
    assert!(ended.unwrap_err().to_string().contains("operator `sums` panicked"));
    assert_eq!(
        starts.load(Ordering::Relaxed),
        3,
        "one start and two more, though each made checkpoints"
    );
}

#[test]
fn a_fresh_start_does_not_discard_the_state_of_another_job() {
    let output = tempfile::tempdir().unwrap();
    over_runs(output.path(), &[1]);
    let mut others = checkpoints(output.path()).job("others");
    others.begin = Begin::Fresh;
    let engine = Engine::new().shards(1).driver(Driver::Threads).checkpoints(others);
    let error = engine.start(job(output.path(), u64::MAX)).unwrap_err().to_string();
    assert!(error.contains("`job`") && error.contains("`others`"), "{error}");
    assert!(engine_reads(output.path()), "the state is there still");
}

/// Whether the job's own state can be gone on with.
fn engine_reads(output: &Path) -> bool {
    let mut own = checkpoints(output);
    own.begin = Begin::Resume;
    let engine = Engine::new().shards(1).driver(Driver::Threads).checkpoints(own);
    engine.run(job(output, u64::MAX)).is_ok()
}

#[test]
fn without_a_policy_a_panic_names_the_operator_and_the_record() {
    let output = tempfile::tempdir().unwrap();
    let once = Arc::new(AtomicBool::new(false));
    let engine = Engine::new().shards(2).driver(Driver::Threads);
    let durable = engine.checkpoints(checkpoints(output.path()));
    let error = durable.supervise(Restart::Never, || panics_once(output.path(), &once));
    let error = error.unwrap_err().to_string();
    let expected = "operator `sums` panicked on shard";
    assert!(
        error.contains(expected) && error.contains("of split 0: a bug of the job's own"),
        "{error}"
    );
}

/// One table that ends with its own input, beside an input that goes on.
fn two_inputs(output: &Path) -> (Job, PushInput<Trade>) {
    let job = Job::new();
    let few = GeneratorSplit::new("few", |number| (number < 100).then(|| trade(number)));
    let few = job.source(Splits::new(vec![few]), SourceOptions::new());
    few.key_by(|trade, key| key.of(trade.user))
        .count()
        .named("few")
        .at_end()
        .to(FileSink::csv(output.join("few.csv")));
    let (more, input) = job.push::<Trade>(100);
    let _ = more.key_by(|trade, key| key.of(trade.user)).count().named("more").collect();
    (job, input)
}

/// The lines of the table of `two_inputs`: one a user.
fn lines_of_few() -> usize {
    (0..100).map(|number| trade(number).user).collect::<BTreeSet<u64>>().len()
}

#[test]
fn final_rows_are_not_said_again_when_another_input_goes_on() {
    // Suspended when the first shard has said its rows, and when all have: the second one may be
    // late, and then says them in the second run.
    for said in [1, lines_of_few()] {
        let output = tempfile::tempdir().unwrap();
        let engine = || Engine::new().shards(2).driver(Driver::Threads);
        let rows = || fs::read_to_string(output.path().join("few.csv")).unwrap().lines().count();
        let (job, _input) = two_inputs(output.path());
        let running = engine().checkpoints(checkpoints(output.path())).start(job).unwrap();
        while rows() < said {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        running.suspend().unwrap();
        let (job, input) = two_inputs(output.path());
        let running = engine().checkpoints(checkpoints(output.path())).start(job).unwrap();
        input.push(trade(0)).unwrap();
        running.stop().unwrap();
        assert_eq!(rows(), lines_of_few(), "suspended at {said} lines");
    }
}

#[test]
fn a_checkpoint_that_is_asked_for_holds_what_was_pushed_before() {
    let output = tempfile::tempdir().unwrap();
    for pushed in 1..=60_u64 {
        let (job, input) = two_inputs(output.path());
        // Epochs follow each other closely, so that most calls meet one in flight.
        let mut often = checkpoints(output.path());
        often.interval = Duration::from_millis(1);
        let engine = Engine::new().shards(1).driver(Driver::Threads).checkpoints(often);
        let running = engine.start(job).unwrap();
        assert_eq!(input.resumed_at(), pushed - 1);
        input.push(trade(pushed)).unwrap();
        let before = running.snapshot().total.records_in;
        while running.snapshot().total.records_in == before && before < 100 + pushed {
            std::thread::yield_now();
        }
        running.suspend().unwrap();
    }
}

#[test]
fn settings_that_can_not_work_are_refused() {
    let output = tempfile::tempdir().unwrap();
    let refused = |change: fn(&mut Checkpoints)| {
        let mut changed = checkpoints(output.path());
        change(&mut changed);
        let (job, _input) = two_inputs(output.path());
        Engine::new().checkpoints(changed).start(job).unwrap_err().to_string()
    };
    assert!(refused(|changed| changed.segment_bytes = 1_000).contains("segment_bytes is 1000"));
    assert!(refused(|changed| changed.segment_bytes = 3 << 20).contains("a power of two"));
    assert!(refused(|changed| changed.retained = 0).contains("at least 1"));
    assert!(refused(|changed| changed.interval = Duration::ZERO).contains("longer than nothing"));
    assert!(!output.path().join("state").exists(), "nothing was made");
}

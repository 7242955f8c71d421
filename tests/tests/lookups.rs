//! Look-ups: what waits is bounded and is state, a watermark waits behind it and a barrier does not, and
//! what calls fail, are silent or panic is told.

use std::fs;
use std::future::{pending, poll_fn};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use pelton::chain::operators::{Lookup, LookupCounts, LookupFailure, LookupMeters, LookupOptions};
use pelton::job::Checkpoints;
use pelton::job::plan::PlanFormat;
use pelton::sim::{Chance, Simulation};
use pelton::sink::{Csv, FileSink};
use pelton::source::PushInput;
use pelton::{Driver, Engine, Job, JobError, RunningJob};
use pelton_tests::runs::{self, wait_until};
use pelton_tests::simulated::{Case, Shape, setting, verdict};

#[test]
fn differential_lookups_equal_the_oracle_whatever_goes_wrong() {
    let count = setting("PELTON_LOOKUP_JOBS", 60);
    let (mut crashes, mut faults, mut epochs) = (0, 0, 0);
    for seed in 0..count {
        let mut chance = Chance::new(seed ^ 0x100c);
        let shape = *chance.pick(&[Shape::OrderedLookup, Shape::UnorderedLookup]);
        let case = Case::of(shape, seed, *chance.pick(&[20, 150, 900]));
        let simulation = Simulation::new(seed)
            .shards(1..=4)
            .crashes(*chance.pick(&[0, 1, 3]))
            .faults(*chance.pick(&[0, 1, 2]))
            .interval(Duration::from_micros(100 + chance.below(900)))
            .ring_bytes(*chance.pick(&[2_048, 16 << 10]))
            .stalls(*chance.pick(&[0, 24, 90]));
        let outcome = simulation.run(|world| case.build(world));
        crashes += outcome.crashes;
        faults += outcome.faults_hit;
        epochs += outcome.epochs;
        let found = verdict(&case, &outcome);
        assert_eq!(found, Ok(()), "seed {seed}, {shape:?}; `PELTON_LOOKUP_JOBS` says how many run");
    }
    eprintln!("{count} random jobs: {crashes} crashes, {faults} faults, {epochs} epochs");
}

#[pelton::record]
struct Ask {
    user: u64,
    what: u64,
}

#[pelton::record]
struct Told {
    user: u64,
    what: u64,
    answer: u64,
}

/// Where calls wait until it is opened.
#[derive(Default)]
struct Gate {
    is_open: Mutex<(bool, Vec<Waker>)>,
    waiting: AtomicUsize,
    waiting_max: AtomicUsize,
}

impl Gate {
    async fn pass(&self) {
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        self.waiting_max.fetch_max(waiting, Ordering::Relaxed);
        poll_fn(|cx| {
            let mut gate = self.is_open.lock().unwrap_or_else(PoisonError::into_inner);
            if gate.0 {
                return Poll::Ready(());
            }
            gate.1.push(cx.waker().clone());
            Poll::Pending
        })
        .await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    fn open(&self) {
        let mut gate = self.is_open.lock().unwrap_or_else(PoisonError::into_inner);
        gate.0 = true;
        gate.1.drain(..).for_each(Waker::wake);
    }
}

/// Answers behind the gate: 1,000 and what was asked.
struct Gated(Arc<Gate>);

impl Lookup for Gated {
    type In = Ask;
    type Request = u64;
    type Answer = u64;
    type Error = ();

    fn request(&self, ask: AskView) -> u64 {
        ask.what
    }

    async fn call(&self, what: u64) -> Result<u64, ()> {
        self.0.pass().await;
        Ok(1_000 + what)
    }
}

/// Fails, is silent or panics, by what is asked; answers at once else.
struct Bad;

impl Lookup for Bad {
    type In = Ask;
    type Request = u64;
    type Answer = u64;
    type Error = ();

    fn request(&self, ask: AskView) -> u64 {
        ask.what
    }

    async fn call(&self, what: u64) -> Result<u64, ()> {
        match what {
            0 => Err(()),
            1 => pending().await,
            2 => panic!("the store is on fire"),
            _ => Ok(1_000 + what),
        }
    }
}

fn of(ask: AskView, answer: Result<&u64, &LookupFailure<()>>) -> ToldView {
    let answer = match answer {
        Ok(&answer) => answer,
        Err(LookupFailure::TimedOut { attempts }) => u64::from(*attempts),
        Err(LookupFailure::Failed { attempts, .. }) => 100 + u64::from(*attempts),
    };
    ToldView { user: ask.user, what: ask.what, answer }
}

type Told3 = (u64, u64, u64);

/// What comes of asking for all of `what`, one after the other.
fn ask_all<L>(
    shards: u16,
    lookup: L,
    options: LookupOptions,
    what: impl Iterator<Item = u64>,
) -> Result<Vec<Told3>, JobError>
where
    L: Lookup<In = Ask, Answer = u64, Error = ()>,
{
    let job = Job::new();
    let asks = job.records((0..).zip(what).map(|(user, what)| Ask { user, what }).collect());
    let told = asks
        .key_by(|ask, key| key.of(ask.user))
        .lookup(lookup, options)
        .named("told")
        .map(|(ask, answer), out| out.emit(of(ask, answer)))
        .collect();
    let engine = Engine::new().shards(shards).driver(Driver::Threads);
    runs::join(engine.start(job)?)?;
    Ok(told.take_rows().into_iter().map(|row| (row.user, row.what, row.answer)).collect())
}

fn pushed(output: &Path, gate: &Arc<Gate>, in_flight: u32) -> (Job, PushInput<Ask>) {
    let job = Job::new();
    let (asks, input) = job.push::<Ask>(1_000);
    asks.key_by(|ask, key| key.of(ask.user))
        .lookup(Gated(Arc::clone(gate)), LookupOptions::new().in_flight(in_flight))
        .named("told")
        .map(|(ask, answer), out| out.emit(of(ask, answer)))
        .to(FileSink::new(output, Csv::new().header_line(false)));
    (job, input)
}

fn push(input: &PushInput<Ask>, asks: std::ops::Range<u64>) {
    asks.for_each(|user| input.push(Ask { user, what: user }).expect("the job runs"));
}

fn read(running: &RunningJob, count: u64) {
    wait_until(running, "all was read", || running.snapshot().total.frames >= count);
}

#[test]
fn so_many_records_of_a_shard_wait_at_once_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Arc::new(Gate::default());
    let (job, input) = pushed(&folder.path().join("told"), &gate, 7);
    let running = Engine::new().shards(2).driver(Driver::Threads).start(job).unwrap();
    push(&input, 0..300);
    let is_full = || gate.waiting.load(Ordering::Relaxed) == 14;
    wait_until(&running, "both shards were full", is_full);
    gate.open();
    let report = running.stop().unwrap();
    assert_eq!(report.counts.records_out, 300);
    assert_eq!(gate.waiting_max.load(Ordering::Relaxed), 14);
}

#[test]
fn a_checkpoint_waits_for_no_answer_and_what_waits_is_asked_for_again_on_any_shards() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("told");
    let engine = |shards| {
        let checkpoints = Checkpoints::new(folder.path().join("state")).job("told");
        Engine::new().shards(shards).driver(Driver::Threads).checkpoints(checkpoints)
    };
    for (round, shards) in [(0, 2), (1, 3), (2, 1)] {
        let gate = Arc::new(Gate::default());
        let (job, input) = pushed(&output, &gate, 500);
        let running = engine(shards).start(job).unwrap();
        push(&input, round * 50..(round + 1) * 50);
        read(&running, 50);
        let entries = (round + 1) * 50;
        wait_until(&running, "all waited", || running.snapshot().total.state_entries == entries);
        running.suspend().unwrap();
        assert_eq!(fs::read_to_string(&output).unwrap(), "", "nobody was answered");
    }
    let gate = Arc::new(Gate::default());
    let (job, input) = pushed(&output, &gate, 4);
    let running = engine(2).start(job).unwrap();
    push(&input, 150..160);
    gate.open();
    running.stop().unwrap();
    let mut users: Vec<u64> = Vec::new();
    for line in fs::read_to_string(&output).unwrap().lines() {
        let told: Vec<u64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        assert_eq!(told[2], told[0] + 1_000);
        users.push(told[0]);
    }
    users.sort_unstable();
    assert_eq!(users, (0..160).collect::<Vec<_>>(), "each once");
    assert!(gate.waiting_max.load(Ordering::Relaxed) <= 8, "what was restored is bounded, too");
}

#[test]
fn calls_that_fail_or_are_silent_are_made_again_and_told_and_counted() {
    let meters = LookupMeters::new();
    let options = LookupOptions::new()
        .unordered()
        .timeout(Duration::from_millis(5))
        .retries(2, Duration::from_micros(100))
        .meters(&meters);
    let mut told = ask_all(2, Bad, options, [0, 1, 3, 4, 0].into_iter()).unwrap();
    told.sort_unstable();
    assert_eq!(told, [(0, 0, 103), (1, 1, 3), (2, 3, 1_003), (3, 4, 1_004), (4, 0, 103)]);
    let counts = LookupCounts {
        calls: 11,
        retries: 6,
        answered: 2,
        failed: 2,
        timed_out: 1,
        ..LookupCounts::default()
    };
    assert_eq!(meters.read(), counts);
}

#[test]
fn answers_that_are_kept_are_not_asked_for_again() {
    let meters = LookupMeters::new();
    let hour = Duration::from_secs(3_600);
    let options = LookupOptions::new().in_flight(1).cache(2, hour).meters(&meters);
    let told = ask_all(1, Bad, options, (0..90).map(|number| 10 + number / 30)).unwrap();
    assert!(
        told.iter().zip(0..).all(|(&told, user)| told == (user, 10 + user / 30, 1_010 + user / 30))
    );
    let counts = meters.read();
    assert_eq!((told.len(), counts.calls, counts.cached), (90, 3, 87));
}

/// Answers after a while, by the runtime's own timers.
struct Slow;

impl Lookup for Slow {
    type In = Ask;
    type Request = u64;
    type Answer = u64;
    type Error = ();

    fn request(&self, ask: AskView) -> u64 {
        ask.what
    }

    async fn call(&self, what: u64) -> Result<u64, ()> {
        tokio::time::sleep(Duration::from_micros(what % 7 * 300)).await;
        Ok(1_000 + what)
    }
}

#[test]
fn calls_may_use_the_runtime_and_leave_in_order_where_that_is_asked_for() {
    let told = ask_all(1, Slow, LookupOptions::new().ordered(), 0..500).unwrap();
    let expected: Vec<Told3> = (0..500).map(|number| (number, number, number + 1_000)).collect();
    assert_eq!(told, expected);
    let mut told = ask_all(3, Slow, LookupOptions::new().unordered(), 0..500).unwrap();
    told.sort_unstable();
    assert_eq!(told, expected);
}

#[test]
fn a_call_that_panics_ends_the_job_and_says_where() {
    let error = ask_all(2, Bad, LookupOptions::new(), [3, 2].into_iter()).unwrap_err();
    let JobError::Panicked { operator, message, .. } = error else { panic!("{error}") };
    assert_eq!((operator.as_str(), message.as_str()), ("told", "the store is on fire"));
}

#[test]
fn a_lookup_that_can_not_work_is_refused_at_the_start() {
    let none = Duration::ZERO;
    let refused = |options: LookupOptions| {
        ask_all(1, Bad, options, std::iter::empty()).unwrap_err().to_string()
    };
    for (options, part) in [
        (LookupOptions::new().in_flight(0), "in_flight(0)"),
        (LookupOptions::new().timeout(none), "timeout"),
        (LookupOptions::new().cache(0, Duration::MAX), "cache"),
    ] {
        let refused = refused(options);
        assert!(refused.contains("`told`") && refused.contains(part), "{refused}");
    }
}

#[test]
fn lookups_run_under_every_driver_with_a_key_and_without() {
    for run in 0..12 {
        let job = Job::new();
        let asks: Vec<Ask> = (0..400).map(|user| Ask { user, what: 3 + user % 5 }).collect();
        let asks = job.records(asks);
        let options = LookupOptions::new().in_flight(9).unordered();
        let told = asks
            .lookup(Bad, options.clone())
            .named("first")
            .map(|(ask, answer), out| out.emit(of(ask, answer)))
            .map(|told, out| out.emit(AskView { user: told.user, what: told.answer }))
            .key_by(|ask, key| key.of(ask.user))
            .lookup(Bad, options)
            .named("second")
            .map(|(ask, answer), out| out.emit(of(ask, answer)))
            .collect();
        let plan = job.plan().draw(PlanFormat::Text);
        assert!(plan.contains("first") && plan.contains("lookup"), "{plan}");
        runs::run(&runs::settings(run), job).unwrap();
        let mut rows: Vec<_> =
            told.take_rows().into_iter().map(|row| (row.user, row.answer)).collect();
        rows.sort_unstable();
        let expected: Vec<_> = (0..400).map(|user| (user, 2_003 + user % 5)).collect();
        assert_eq!(rows, expected, "run {run}");
    }
}

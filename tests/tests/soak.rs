//! A job under constant load whose state expires, for a while: memory, files and logs stay flat.
//!
//! Users come, are seen a few times, and never again; a process function forgets each by a timer.
//! Shops stay, and the events in their exact windows expire. A checkpoint every 50 ms goes to a real
//! disk. After a warm-up the second half of the run is held against the first.
//!
//! `PELTON_SOAK_S` says for how long (8 s; `.ci/run soak` has three minutes). A second, shorter run
//! forgets nobody and must be found out: else "flat" would be an empty word.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use pelton::chain::operators::{
    ExactSpec, Invertible, ListState, ProcessContext, ProcessFunction, States, ValueState,
};
use pelton::job::{Checkpoints, SourceOptions, Splits};
use pelton::record::EventTime;
use pelton::sink::callback;
use pelton::source::GeneratorSplit;
use pelton::{Driver, Engine, Job, RunningJob, Settings, Stream, TimeSpan, record};

const SECONDS_DEFAULT: u64 = 8;
/// Records a second: what a build without optimisation keeps up with on two shards.
const RATE: u64 = 20_000;
/// Users of one generation, of whom each makes a few visits.
const USERS: u64 = 2_000;
const VISITS_A_GENERATION: u64 = 10_000;
/// How long a user is remembered after the first visit: four generations are, at a time.
const REMEMBERED: TimeSpan = TimeSpan::seconds(2);
const SHOPS: u64 = 300;
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// A user in a shop.
#[record]
struct Visit {
    #[event_time]
    time: EventTime,
    user: u64,
    shop: u64,
    amount: i64,
}

/// What is left of a user.
#[record]
struct Gone {
    user: u64,
    visits: u64,
}

/// Visits in event time as fast as they come: `number` at `RATE` a second.
fn visit(number: u64) -> Visit {
    let chance = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    Visit {
        time: EventTime(i64::try_from(number * 1_000_000 / RATE).unwrap()),
        user: number / VISITS_A_GENERATION * USERS + chance % USERS,
        shop: chance % SHOPS,
        amount: 7,
    }
}

/// Remembers a user's visits, and forgets the user after a while, or never.
#[derive(Clone)]
struct Remember {
    forgets: bool,
}

const VISITS: ValueState<u64> = ValueState::new(0);
const AMOUNTS: ListState<i64> = ListState::new(1);

impl ProcessFunction for Remember {
    type Key = u64;
    type In = Visit;
    type Out = Gone;

    fn states(&self, states: &mut States) {
        states.value("visits", VISITS).list("amounts", AMOUNTS);
    }

    fn on_record(&mut self, context: &mut ProcessContext<'_, Gone>, _: u64, visit: VisitView) {
        let visits = context.get(VISITS).unwrap_or(0) + 1;
        context.set(VISITS, visits);
        context.append(AMOUNTS, visit.amount);
        if visits == 1 && self.forgets {
            context.set_timer(EventTime(visit.time.0 + REMEMBERED.0));
        }
    }

    fn on_timer(&mut self, context: &mut ProcessContext<'_, Gone>, user: u64, _: EventTime) {
        let visits = context.get(VISITS).unwrap_or(0);
        context.clear(VISITS);
        context.clear_list(AMOUNTS);
        context.emit(GoneView { user, visits });
    }
}

/// Sums what a window holds.
#[derive(Debug)]
struct Sales;

impl Invertible for Sales {
    type Item = i64;
    type State = (u64, i64);

    fn add((count, sum): &mut Self::State, amount: i64) {
        *count += 1;
        *sum += amount;
    }
    fn remove((count, sum): &mut Self::State, amount: i64) {
        *count -= 1;
        *sum -= amount;
    }
}

const SALES: ExactSpec<2> =
    ExactSpec { lengths: [TimeSpan::seconds(1), REMEMBERED], delay: TimeSpan::ZERO };

#[pelton::job]
fn users(visits: Stream<Visit>, forgets: bool) -> Stream<Gone> {
    visits.key_by(|v| v.user).process(Remember { forgets })
}

#[pelton::job]
fn shops(visits: Stream<Visit>) -> Stream<Gone> {
    visits
        .key_by(|v| v.shop)
        .exact_windows::<Sales, 2, _>(SALES, |v| (v.user, v.amount))
        .map(|(v, windows)| GoneView { user: v.shop, visits: windows[1].0 })
}

/// What is measured at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Resident memory that no file stands for.
    memory_bytes: u64,
    files: u64,
    /// What the files of the state directory take.
    disk_bytes: u64,
    log_bytes: u64,
    entries: u64,
}

fn sample(running: &RunningJob, state: &Path) -> Sample {
    let mut sample = Sample {
        memory_bytes: resident_bytes(),
        files: 0,
        disk_bytes: 0,
        log_bytes: 0,
        entries: 0,
    };
    for file in fs::read_dir(state).into_iter().flatten().flatten() {
        // It may be gone again.
        sample.files += 1;
        sample.disk_bytes += file.metadata().map_or(0, |metadata| metadata.len());
    }
    let total = running.snapshot().total;
    (sample.log_bytes, sample.entries) = (total.state_bytes, total.state_entries);
    sample
}

/// `RssAnon` of this process; 0 where the system doesn't tell.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// Runs the job for so long; samples every tenth of a second.
fn soak(seconds: u64, forgets: bool) -> Vec<Sample> {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let mut checkpoints = Checkpoints::new(&state).job("soak").every(Duration::from_millis(50));
    // Short segments, so that many are begun, compacted and removed.
    checkpoints.segment_bytes = 1 << 20;
    let settings = Settings {
        shard_count: 2,
        driver: Driver::Threads,
        #[expect(clippy::cast_precision_loss, reason = "a rate of records a second")]
        rate: Some(RATE as f64),
        checkpoints: Some(checkpoints),
        ..Settings::default()
    };
    let count = RATE * seconds;
    let made = GeneratorSplit::new("visits", move |number| (number < count).then(|| visit(number)));
    let job = Job::new();
    let visits =
        job.source(Splits::new(vec![made]), SourceOptions::new().lateness(TimeSpan::ZERO)).fork();
    users(visits.clone(), forgets).to(callback::<Gone, _>(|_, _| {}));
    shops(visits).to(callback::<Gone, _>(|_, _| {}));

    let running = Engine::with(settings).start(job).unwrap();
    let mut samples = Vec::new();
    while !running.wait(SAMPLE_EVERY) {
        samples.push(sample(&running, &state));
    }
    let report = running.join().unwrap();
    assert_eq!(report.counts.total.accepted, count);
    let made = report.checkpoints.unwrap().stats;
    assert_eq!(made.failed_count, 0, "{made:?}");
    // A twentieth of what a quiet machine makes: enough of them that what each leaves would be seen.
    assert!(made.count >= seconds, "{} checkpoints in {seconds} s", made.count);
    eprintln!("{seconds} s, {count} records, {} checkpoints, {} bytes", made.count, made.bytes);
    samples
}

/// A figure that must not grow: by a quarter at most, and so much that is noise.
struct Figure {
    name: &'static str,
    of: fn(&Sample) -> u64,
    noise: u64,
}

const FIGURES: [Figure; 5] = [
    Figure { name: "anonymous memory", of: |s| s.memory_bytes, noise: 8 << 20 },
    Figure { name: "files", of: |s| s.files, noise: 4 },
    Figure { name: "bytes on disk", of: |s| s.disk_bytes, noise: 4 << 20 },
    Figure { name: "log bytes", of: |s| s.log_bytes, noise: 1 << 20 },
    Figure { name: "entries", of: |s| s.entries, noise: 500 },
];

/// Prints each figure's highest value in both halves behind the warm-up, which is the first quarter;
/// answers which of them grew.
fn grown(samples: &[Sample]) -> Vec<&'static str> {
    let warm = &samples[samples.len() / 4..];
    let (first, second) = warm.split_at(warm.len() / 2);
    assert!(!first.is_empty() && !second.is_empty(), "the run is long enough to be sampled");
    let mut grown = Vec::new();
    for Figure { name, of, noise } in &FIGURES {
        let most = |half: &[Sample]| half.iter().map(of).max().unwrap_or(0);
        let (before, after) = (most(first), most(second));
        eprintln!("  {name:18} {before:12} then {after:12}");
        if after > before + before / 4 + noise {
            grown.push(*name);
        }
    }
    grown
}

#[test]
fn memory_files_and_logs_stay_flat_under_constant_load_with_expiry() {
    let seconds = std::env::var("PELTON_SOAK_S").ok().map(|text| text.parse().unwrap());
    let seconds = seconds.unwrap_or(SECONDS_DEFAULT);
    let samples = soak(seconds, true);
    assert_eq!(grown(&samples), Vec::<&str>::new(), "{:?}", samples.last());

    // The plant: nobody is forgotten.
    let grown = grown(&soak(SECONDS_DEFAULT / 2, false));
    assert!(grown.contains(&"entries"), "a job that keeps all must be seen to grow: {grown:?}");
}

//! Ways to run a job: each driver, shard counts, stalls; always with a bound on the time.

use std::sync::OnceLock;
use std::time::Duration;

use pelton::job::JobReport;
use pelton::{Driver, Engine, Job, JobError, RunningJob, Settings};

/// Longer than any test's job takes on a busy machine; a job that is not over by then hangs.
pub const HANG: Duration = Duration::from_secs(120);

/// The shard counts of the issue.
pub const SHARD_COUNTS: [u16; 4] = [1, 2, 3, 8];

/// A run with a seed: 1, 2, 3 or 8 shards, a driver that works here, stalls in four of five
/// runs, and rings of several lengths, so that they fill and wrap.
#[must_use]
pub fn settings(run: u64) -> Settings {
    let pick =
        |count: usize, every: u64| usize::try_from(run / every).map_or(0, |number| number % count);
    let drivers = [Driver::Threads, Driver::Simulator { seed: run }, Driver::Glommio];
    let driver = match drivers[pick(3, 1)] {
        Driver::Glommio if !glommio_works() => Driver::Simulator { seed: run + 1_000 },
        driver => driver,
    };
    Settings {
        shard_count: SHARD_COUNTS[pick(4, 1)],
        driver,
        ring_bytes: [256 << 10, 2_048, 16 << 10][pick(3, 4)],
        stall_seed: (!run.is_multiple_of(5)).then_some(run),
        ..Settings::default()
    }
}

/// Whether glommio works here; says so where it does not. (Containers often forbid io_uring.)
#[must_use]
pub fn glommio_works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        let run = Engine::new().shards(1).driver(Driver::Glommio).run(Job::new());
        if let Err(error) = &run {
            eprintln!("skipped: glommio's runs, {error}");
        }
        run.is_ok()
    })
}

/// Runs `job` to its end.
///
/// # Errors
/// What ended the job early.
///
/// # Panics
/// The job hangs.
pub fn run(settings: &Settings, job: Job) -> Result<JobReport, JobError> {
    join(Engine::with(settings.clone()).start(job)?)
}

/// Waits for the end of `running`, but not for ever.
///
/// # Errors
/// What ended the job early.
///
/// # Panics
/// The job hangs.
pub fn join(running: RunningJob) -> Result<JobReport, JobError> {
    assert!(running.wait(HANG), "the job hangs: {:?}", running.snapshot());
    running.join()
}

/// Lets other threads run until `done` answers true.
///
/// # Panics
/// `done` never does; `what` says what was waited for.
pub fn wait_until(running: &RunningJob, what: &str, mut done: impl FnMut() -> bool) {
    let give_up_ns = running.elapsed_ns().saturating_add(nanos(HANG));
    while !done() {
        assert!(!running.is_over() || done(), "the job ended before {what}");
        assert!(running.elapsed_ns() < give_up_ns, "never {what}: {:?}", running.snapshot());
        std::thread::yield_now();
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

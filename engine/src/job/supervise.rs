//! Runs a job again after a failure, from its last checkpoint.
//!
//! Takes what makes the job; hands on the report of the run that came to its end.
//!
//! A first start that is refused is an error at once: it would be refused again. After a failure a
//! start that fails, as it may for a disk that is busy or full, is one more failed attempt.
//!
//! Why the job is made anew and its stages are not reset: nothing of a failed run may reach the next
//! one but what a manifest names.

use std::time::Duration;

use super::Job;
use super::checkpoints::{Begin, Restart};
use super::engine::Engine;
use super::error::JobError;
use super::running::{JobReport, RunningJob};
use super::settings::Settings;

/// How long one look at a run lasts.
const WAIT: Duration = Duration::from_secs(3_600);

/// Somebody who looks after a job while it runs, and hears of its failures.
pub trait Supervisor {
    /// A run has started: watches it, and answers once it is over or sooner.
    fn watch(&mut self, _running: &RunningJob) {}
    /// A run has failed; another one begins after `delay`.
    fn failed(&mut self, _error: &JobError, _delay: Duration) {}
}

/// Nobody.
impl Supervisor for () {}

/// Runs what `make` makes until a run comes to its end, or the policy has had enough. Hands on what
/// `make` answered beside that run's job.
///
/// # Errors
/// What `make` answers, a refused start, and the last failure, by way of `refused`.
pub fn supervise<T, E>(
    mut settings: Settings,
    restart: Restart,
    supervisor: &mut impl Supervisor,
    mut make: impl FnMut() -> Result<(Job, T), E>,
    refused: impl Fn(JobError) -> E,
) -> Result<(JobReport, T), E> {
    let mut attempt = 0;
    loop {
        let (job, beside) = make()?;
        let (has_made, ended) = match Engine::with(settings.clone()).start(job) {
            Ok(running) => see_through(running, supervisor),
            Err(error) if attempt == 0 => return Err(refused(error)),
            Err(error) => (false, Err(error)),
        };
        let error = match ended {
            Ok(report) => return Ok((report, beside)),
            Err(error) => error,
        };
        attempt = if has_made && restart.forgives() { 1 } else { attempt + 1 };
        let Some(delay) = restart.delay(attempt) else {
            return Err(refused(error));
        };
        supervisor.failed(&error, delay);
        std::thread::park_timeout(delay);
        go_on(&mut settings);
    }
}

/// Waits for the end of a run; answers whether it has made a checkpoint, and what it came to.
fn see_through(
    running: RunningJob,
    supervisor: &mut impl Supervisor,
) -> (bool, Result<JobReport, JobError>) {
    supervisor.watch(&running);
    // Whoever did not watch it to its end waits for it here, to see what it has made.
    while !running.wait(WAIT) {}
    let has_made = running.checkpoints().is_some_and(|made| made.stats.count > 0);
    (has_made, running.join())
}

/// A run after a failure goes on, however the first one began.
fn go_on(settings: &mut Settings) {
    if let Some(checkpoints) = &mut settings.checkpoints {
        checkpoints.begin = Begin::Either;
        checkpoints.savepoint = None;
    }
}

impl Engine {
    /// Runs the job that `make` makes to its end. After a failure it is made and run again from its
    /// last checkpoint, as `restart` says.
    ///
    /// # Errors
    /// A start that is refused; the last failure, once the policy has had enough.
    pub fn supervise(
        &self,
        restart: Restart,
        mut make: impl FnMut() -> Job,
    ) -> Result<JobReport, JobError> {
        let make = || Ok::<_, JobError>((make(), ()));
        let settings = self.settings().clone();
        supervise(settings, restart, &mut (), make, |error| error).map(|(report, ())| report)
    }
}

//! A job that runs: its counters, its barriers, its end.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Sender, bounded};

use crate::chain::OutputMeters;
use crate::checkpoint::{CheckpointError, CheckpointStats, Request};
use crate::clock::Clock;
use crate::metric::{Hiccup, HiccupSummary, Latency, ShardCount, ShardCounters};
use crate::sink::OutputParticipant;

use super::driver::{Control, Shards};
use super::error::JobError;
use super::lookups::LookupThread;
use super::settings::Driver;

/// What earlier runs of the job have counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Base {
    pub(super) counts: ShardCount,
    pub(super) records_out: u64,
}

/// The program's way to the checkpoint thread.
pub(super) struct CheckpointHandle {
    pub(super) ask: Sender<Request>,
    pub(super) stats: Arc<Mutex<CheckpointStats>>,
    pub(super) recovery_ns: u64,
    /// The epoch that the job goes on from.
    pub(super) resumed: Option<u64>,
    /// What happened at the start that a person should know.
    pub(super) notes: Vec<String>,
}

/// Checkpoints of a run so far.
#[derive(Debug, Clone)]
pub struct CheckpointReport {
    /// What they have cost.
    pub stats: CheckpointStats,
    /// From the start until the shards could begin: what loading and rebuilding state took.
    pub recovery_ns: u64,
    /// The epoch that the run went on from; `None` for one that began anew.
    pub resumed: Option<u64>,
    /// What a person should know of the start: a fallback, a disk without io_uring.
    pub notes: Vec<String>,
}

/// The parts of a running job.
pub(super) struct RunningParts {
    pub(super) driver: Driver,
    pub(super) clock: Clock,
    pub(super) control: Arc<Control>,
    pub(super) shards: Shards,
    pub(super) counters: Vec<Arc<ShardCounters>>,
    pub(super) barrier: Arc<AtomicU64>,
    pub(super) outputs: Vec<Arc<OutputMeters>>,
    pub(super) participants: Vec<(String, Arc<dyn OutputParticipant>)>,
    pub(super) push_closers: Vec<Box<dyn Fn() + Send + Sync>>,
    pub(super) checkpoints: Option<CheckpointHandle>,
    pub(super) base: Base,
    pub(super) warnings: Vec<String>,
    /// Runs the calls of look-ups; ends with the job.
    #[expect(dead_code, reason = "held, and dropped with the job")]
    pub(super) lookup_thread: Option<LookupThread>,
}

/// A job that runs. Dropping it aborts the job.
pub struct RunningJob {
    parts: RunningParts,
    started_ns: u64,
}

impl std::fmt::Debug for RunningJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningJob").field("driver", &self.parts.driver).finish_non_exhaustive()
    }
}

/// What a running job has done so far.
#[derive(Debug, Clone)]
pub struct JobSnapshot {
    /// Each shard's counters.
    pub shards: Vec<ShardCount>,
    /// Their sum.
    pub total: ShardCount,
    /// Items that the sinks took.
    pub records_out: u64,
    /// Since the start, on the engine's clock.
    pub elapsed_ns: u64,
}

/// Latencies from the intended arrival.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    /// Until the sink had the record.
    pub handed: Latency,
    /// Until the record was written.
    pub visible: Latency,
}

/// What a job came to.
#[derive(Debug, Clone)]
pub struct JobReport {
    /// The last counters.
    pub counts: JobSnapshot,
    /// Which driver ran it.
    pub driver: &'static str,
    /// How many shards.
    pub shard_count: usize,
    /// Gaps in the shards' idle spinning, where they ever spun idle.
    pub hiccup: Option<HiccupSummary>,
    /// The latencies of all outputs; empty without a rate.
    pub latencies: Latencies,
    /// The gaps themselves, for plots.
    pub hiccup_gaps: Hiccup,
    /// The checkpoints, where the job made any.
    pub checkpoints: Option<CheckpointReport>,
}

impl RunningJob {
    pub(super) fn new(parts: RunningParts) -> Self {
        let started_ns = parts.clock.now_ns();
        Self { parts, started_ns }
    }

    /// What a person should know of the job's operators, such as state that has no bound.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.parts.warnings
    }

    /// Copies the counters.
    #[must_use]
    pub fn snapshot(&self) -> JobSnapshot {
        let shards: Vec<ShardCount> =
            self.parts.counters.iter().map(|counters| counters.read()).collect();
        let total = ShardCount::total(shards.iter().copied()).after(&self.parts.base.counts);
        let written = self.parts.outputs.iter().map(|output| output.records_out()).sum::<u64>();
        let records_out = self.parts.base.records_out + written;
        let elapsed_ns = self.elapsed_ns();
        JobSnapshot { shards, total, records_out, elapsed_ns }
    }

    /// The latencies so far, from the intended arrival: handed to the sinks, and visible to
    /// whoever reads the outputs. Empty without a rate.
    #[must_use]
    pub fn latencies(&self) -> Latencies {
        let mut latencies = Latencies::default();
        for output in &self.parts.outputs {
            output.latencies(&mut latencies.handed, &mut latencies.visible);
        }
        latencies
    }

    /// The driver that runs the job.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.parts.driver
    }

    /// Since the start, on the engine's clock.
    #[must_use]
    pub fn elapsed_ns(&self) -> u64 {
        self.parts.clock.now_ns().saturating_sub(self.started_ns)
    }

    /// Waits for the end of the job, but no longer than `timeout`; answers whether it is over.
    #[must_use]
    pub fn wait(&self, timeout: std::time::Duration) -> bool {
        let start_ns = self.parts.clock.now_ns();
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        loop {
            let waited_ns = self.parts.clock.now_ns().saturating_sub(start_ns);
            if self.is_over() || waited_ns >= timeout_ns {
                return self.is_over();
            }
            let left = std::time::Duration::from_nanos(timeout_ns - waited_ns);
            std::thread::park_timeout(left.min(std::time::Duration::from_millis(1)));
        }
    }

    /// Whether every shard has ended, and the last checkpoint is durable.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let Shards { threads, coordinator } = &self.parts.shards;
        threads.iter().all(std::thread::JoinHandle::is_finished)
            && coordinator.as_ref().is_none_or(std::thread::JoinHandle::is_finished)
    }

    /// The checkpoints so far, where the job makes any.
    #[must_use]
    pub fn checkpoints(&self) -> Option<CheckpointReport> {
        let handle = self.parts.checkpoints.as_ref()?;
        let stats = handle.stats.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let CheckpointHandle { recovery_ns, resumed, notes, .. } = handle;
        let (recovery_ns, resumed, notes) = (*recovery_ns, *resumed, notes.clone());
        Some(CheckpointReport { stats, recovery_ns, resumed, notes })
    }

    /// Makes a checkpoint now and waits until it is durable; answers its epoch.
    ///
    /// # Errors
    /// The job has no state directory, it is over, or the checkpoint failed.
    pub fn checkpoint(&self) -> Result<u64, CheckpointError> {
        self.ask(Request::Checkpoint)
    }

    /// Makes a checkpoint now, and a savepoint of it: a directory of its own, which no later
    /// checkpoint touches. Answers its epoch.
    ///
    /// # Errors
    /// As [`RunningJob::checkpoint`]; the directory is there and not empty, or can't be written.
    pub fn savepoint(&self, directory: impl Into<PathBuf>) -> Result<u64, CheckpointError> {
        let directory = directory.into();
        self.ask(move |reply| Request::Savepoint(directory, reply))
    }

    /// Makes a last checkpoint and ends the job without ending its input: windows stay open, and
    /// the job goes on from here when it is started again.
    ///
    /// # Errors
    /// As [`RunningJob::checkpoint`].
    pub fn suspend(self) -> Result<u64, CheckpointError> {
        let epoch = self.checkpoint()?;
        self.abort();
        let _ = self.join();
        Ok(epoch)
    }

    fn ask(
        &self,
        request: impl FnOnce(Sender<Result<u64, CheckpointError>>) -> Request,
    ) -> Result<u64, CheckpointError> {
        let handle = self.parts.checkpoints.as_ref().ok_or(CheckpointError::NoDirectory)?;
        let (reply, answer) = bounded(1);
        let asked = handle.ask.send(request(reply));
        asked.map_err(|_| CheckpointError::JobOver)?;
        answer.recv().unwrap_or(Err(CheckpointError::JobOver))
    }

    /// Sends a barrier through the job: every stage aligns on it, in order with the records.
    /// One is in flight at a time, since shards that saw different ones would wait for each other:
    /// while the last one has not passed every stage, none is sent. Answers the epoch in flight;
    /// it has passed once the snapshot's `total.epoch` is no lower.
    ///
    /// Where the job has a state directory its checkpoints send the barriers, and this sends none.
    pub fn barrier(&self) -> u64 {
        // Relaxed, both: the number alone is the message.
        let last = self.parts.barrier.load(Ordering::Relaxed);
        if self.parts.checkpoints.is_some() {
            return last;
        }
        let passed = self.parts.counters.iter().map(|shard| shard.read().epoch).min();
        if passed.is_some_and(|passed| passed < last) {
            return last;
        }
        let (barrier, next) = (&self.parts.barrier, last + 1);
        let sent = barrier.compare_exchange(last, next, Ordering::Relaxed, Ordering::Relaxed);
        self.parts.control.wake_all();
        // Where another thread was first, its barrier is the one in flight.
        sent.map_or_else(|first| first, |_| next)
    }

    /// Ends the pushed inputs, waits until all that was pushed has passed, and ends the job.
    ///
    /// # Errors
    /// What ended the job early.
    pub fn stop(self) -> Result<JobReport, JobError> {
        for close in &self.parts.push_closers {
            close();
        }
        self.parts.control.wake_all();
        self.join()
    }

    /// Ends the job at once; what is not written is dropped.
    pub fn abort(&self) {
        self.parts.control.abort();
    }

    /// Waits for the end of the input and of the job.
    ///
    /// # Errors
    /// What ended the job early: the first shard's failure, or an output that can't be finished.
    pub fn join(mut self) -> Result<JobReport, JobError> {
        let mut failure = None;
        let mut hiccup = Hiccup::new();
        for thread in std::mem::take(&mut self.parts.shards.threads) {
            let ended = thread.join().expect("a driver catches panics at the turn");
            hiccup.merge(&ended.hiccup);
            failure = worse(failure, ended.result.err());
        }
        if let Some(thread) = self.parts.shards.coordinator.take() {
            let ended = thread.join().expect("the checkpoint thread's panics are the engine's");
            failure = failure.or(ended.err().map(JobError::from));
        }
        if failure.is_none() && self.parts.control.is_aborted() {
            failure = Some(JobError::Aborted);
        }
        // After a failure nothing is waited for: a reader that is stuck would hide the error.
        for (_, output) in std::mem::take(&mut self.parts.participants) {
            if failure.is_none() {
                failure = output.finish().err().map(JobError::from);
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(JobReport {
                counts: self.snapshot(),
                latencies: self.latencies(),
                driver: self.parts.driver.name(),
                shard_count: self.parts.counters.len(),
                hiccup: hiccup.summary(),
                hiccup_gaps: hiccup,
                checkpoints: self.checkpoints(),
            }),
        }
    }
}

/// Of two failures the one that says more: that a neighbour's ring closed is only an echo.
fn worse(first: Option<JobError>, second: Option<JobError>) -> Option<JobError> {
    use crate::chain::TerminalError::RingClosed;
    use crate::shard::StageError::Terminal;
    match (first, second) {
        (Some(JobError::Stage { source: Terminal(RingClosed { .. }), .. }), Some(second)) => {
            Some(second)
        }
        (None, second) => second,
        (first, _) => first,
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        if !self.parts.shards.threads.is_empty() {
            self.abort();
        }
    }
}

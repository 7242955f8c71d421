//! A job that runs: its counters, its barriers, its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::chain::OutputMeters;
use crate::clock::Clock;
use crate::metric::{Hiccup, HiccupSummary, Latency, ShardCount, ShardCounters};
use crate::sink::SinkError;

use super::driver::{Control, Shards};
use super::error::JobError;
use super::settings::Driver;

type Finish = Box<dyn FnOnce() -> Result<(), SinkError>>;

/// The parts of a running job.
pub(super) struct RunningParts {
    pub(super) driver: Driver,
    pub(super) clock: Clock,
    pub(super) control: Arc<Control>,
    pub(super) shards: Shards,
    pub(super) counters: Vec<Arc<ShardCounters>>,
    pub(super) barrier: Arc<AtomicU64>,
    pub(super) outputs: Vec<Arc<OutputMeters>>,
    pub(super) finishers: Vec<Finish>,
    pub(super) push_closers: Vec<Box<dyn Fn() + Send + Sync>>,
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
}

impl RunningJob {
    pub(super) fn new(parts: RunningParts) -> Self {
        let started_ns = parts.clock.now_ns();
        Self { parts, started_ns }
    }

    /// Copies the counters.
    #[must_use]
    pub fn snapshot(&self) -> JobSnapshot {
        let shards: Vec<ShardCount> =
            self.parts.counters.iter().map(|counters| counters.read()).collect();
        let total = ShardCount::total(shards.iter().copied());
        let records_out = self.parts.outputs.iter().map(|output| output.records_out()).sum();
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

    /// Whether every shard has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.parts.shards.threads.iter().all(std::thread::JoinHandle::is_finished)
    }

    /// Sends a barrier through the job: every stage aligns on it, in order with the records.
    /// One is in flight at a time, since shards that saw different ones would wait for each other:
    /// while the last one has not passed every stage, none is sent. Answers the epoch in flight;
    /// it has passed once the snapshot's `total.epoch` is no lower.
    pub fn barrier(&self) -> u64 {
        // Relaxed, both: the number alone is the message.
        let last = self.parts.barrier.load(Ordering::Relaxed);
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
        if failure.is_none() && self.parts.control.is_aborted() {
            failure = Some(JobError::Aborted);
        }
        // After a failure nothing is waited for: a reader that is stuck would hide the error.
        for finish in std::mem::take(&mut self.parts.finishers) {
            if failure.is_none() {
                failure = finish().err().map(JobError::from);
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

//! What checkpoints have cost so far, for reports.

use crate::metric::Latency;

/// Figures of all epochs of one run.
#[derive(Debug, Clone, Default)]
pub struct CheckpointStats {
    /// How many epochs became durable.
    pub count: u64,
    /// How many were given up.
    pub failed_count: u64,
    /// The last epoch that is durable.
    pub epoch: u64,
    /// What was written for all of them, manifests included.
    pub bytes: u64,
    /// From the barrier's sending to the manifest's durability.
    pub duration_ns: Latency,
    /// The longest that a stage stood still to begin one.
    pub begin_ns_max: u64,
    /// What went wrong last without ending the job.
    pub last_problem: Option<String>,
}

impl CheckpointStats {
    pub(super) fn completed(
        &mut self,
        epoch: u64,
        bytes: u64,
        duration_ns: u64,
        begin_ns_max: u64,
    ) {
        self.count += 1;
        self.epoch = epoch;
        self.bytes += bytes;
        self.duration_ns.record(duration_ns);
        self.begin_ns_max = self.begin_ns_max.max(begin_ns_max);
    }

    pub(super) fn failed(&mut self, problem: String) {
        self.failed_count += 1;
        self.note(problem);
    }

    pub(super) fn note(&mut self, problem: String) {
        self.last_problem = Some(problem);
    }
}

//! What an output begins with, and what it promises.
//!
//! Takes what the job decided: clock, disk, and the epoch that it goes on from. Handed to every
//! output alike, so that a sink needs to know nothing of the job.

use std::sync::Arc;

use super::Epoch;
use crate::clock::Clock;
use crate::io::WriterMode;
use crate::io::disk::Disk;

/// What an output is begun with.
#[derive(Debug, Clone, Copy)]
pub struct SinkStart<'s> {
    /// The engine's clock.
    pub clock: &'s Clock,
    /// Where writing happens.
    pub mode: WriterMode,
    /// Where files are.
    pub disk: &'s Arc<dyn Disk>,
    /// Whether epochs will be committed: without, results are final at once.
    pub checkpointed: bool,
    /// The epoch that the job begins with: 0, or that of a checkpoint or a savepoint.
    pub epoch: Epoch,
    /// What `prepared` answered for that epoch; none where the output begins anew.
    pub resume: Option<&'s [u8]>,
    /// Whether the epoch is a savepoint's: the job that made it may go on with its own outputs, so an
    /// output at another place begins anew.
    pub from_savepoint: bool,
}

impl<'s> SinkStart<'s> {
    /// A start afresh, of a job without checkpoints.
    #[must_use]
    pub fn fresh(clock: &'s Clock, mode: WriterMode, disk: &'s Arc<dyn Disk>) -> Self {
        Self {
            clock,
            mode,
            disk,
            checkpointed: false,
            epoch: Epoch(0),
            resume: None,
            from_savepoint: false,
        }
    }
}

/// What a reader of an output may rely on when the job has gone on after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// Rows since the last commit may come a second time, with the same deterministic id: their
    /// header's position and ordinal.
    AtLeastOnce,
    /// Each row is there once.
    ExactlyOnce,
}

impl Guarantee {
    /// As people say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at least once",
            Self::ExactlyOnce => "exactly once",
        }
    }
}

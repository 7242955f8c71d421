//! Step 8, checkpoint: what one stage says at the barrier of an epoch, and what it is told later.
//!
//! Takes a frozen log or the positions of splits; hands them to the checkpoint thread through a
//! channel, and what has become durable back.
//!
//! Invariants
//! 1. A seat says one part for each epoch whose barrier it passes, in order, and one last part when
//!    it has ended, which counts for every later epoch.
//! 2. Sending never waits: the channel is unbounded, and holds a part for each stage and epoch in
//!    flight at most, of which there is one.

use crossbeam_channel::{Receiver, Sender};

use super::manifest::SplitManifest;
use crate::clock::Clock;
use crate::io::mapping::Region;
use crate::record::EventTime;
use crate::state::{DurableSegment, FrozenLog, Store};

/// Which epoch a part is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartEpoch {
    /// The epoch whose barrier was passed.
    At(u64),
    /// Every later one: the stage has ended.
    Last,
}

/// What one stage holds at a barrier.
#[derive(Debug)]
pub enum PartBody {
    /// A source stage: where its splits stand.
    Splits(Vec<SplitManifest>),
    /// A keyed stage: its log.
    Log(LogPart),
}

/// A keyed stage's part.
#[derive(Debug)]
pub struct LogPart {
    /// The frozen log.
    pub frozen: FrozenLog,
    /// The stage's watermark.
    pub watermark: EventTime,
    /// Rows that the stage's operator has dropped, in this run.
    pub dropped: u64,
    /// How long noting it took, which is all that the stage stood still for.
    pub begin_ns: u64,
}

/// A part on its way.
#[derive(Debug)]
pub struct Part {
    /// Whose.
    pub seat: usize,
    /// Of which epoch.
    pub epoch: PartEpoch,
    /// What.
    pub body: PartBody,
}

/// What a stage sends to the checkpoint thread.
#[derive(Debug)]
pub enum Report {
    /// Its part of an epoch.
    Part(Part),
    /// Memory that is not needed any more: giving it back takes long, so a shard doesn't.
    Garbage(Vec<Region>),
}

/// A stage's way to the checkpoint thread.
#[derive(Debug)]
pub struct Seat {
    number: usize,
    clock: Clock,
    reports: Sender<Report>,
    durable: Receiver<Vec<DurableSegment>>,
    last_sent: bool,
}

impl Seat {
    /// The seat of that number.
    #[must_use]
    pub fn new(
        number: usize,
        clock: Clock,
        reports: Sender<Report>,
        durable: Receiver<Vec<DurableSegment>>,
    ) -> Self {
        Self { number, clock, reports, durable, last_sent: false }
    }

    /// Says a part. The last one is said once.
    pub fn say(&mut self, epoch: PartEpoch, body: PartBody) {
        if self.last_sent {
            return;
        }
        self.last_sent = epoch == PartEpoch::Last;
        let part = Part { seat: self.number, epoch, body };
        // A checkpoint thread that is gone has ended the job, or the job has no more need of it.
        let _ = self.reports.send(Report::Part(part));
    }

    /// Whether the last part was said.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.last_sent
    }

    /// Freezes a log and says so.
    pub fn freeze(
        &mut self,
        epoch: PartEpoch,
        store: &mut Store,
        watermark: EventTime,
        dropped: u64,
    ) {
        if self.last_sent {
            return;
        }
        let begun_ns = self.clock.now_ns();
        let frozen = store.freeze();
        let begin_ns = self.clock.now_ns().saturating_sub(begun_ns);
        self.say(epoch, PartBody::Log(LogPart { frozen, watermark, dropped, begin_ns }));
    }

    /// Takes what has become durable since the last turn.
    #[inline]
    pub fn poll(&mut self, store: &mut Store) {
        while let Ok(durable) = self.durable.try_recv() {
            let garbage = store.note_durable(durable);
            if !garbage.is_empty() {
                let _ = self.reports.send(Report::Garbage(garbage));
            }
        }
    }
}

//! What was looked up ahead: the entries of the next few records' keys.
//!
//! Takes the mixed hashes of a batch; hands on, record by record, where the entry of each should be.
//!
//! Why it is kept, when touching was meant for the cache alone: the look-up ahead has found the
//! offset already, and one that is not kept is looked up twice, with the index's unpredictable
//! probes twice. A kept offset is a hint, so it is compared with the entry as any other.

use super::{LogOffset, TOUCHED_MAX};

/// The offsets of a batch of records, and which record has its turn.
#[derive(Debug)]
pub(super) struct Ahead {
    hashes: [u64; TOUCHED_MAX],
    offsets: [LogOffset; TOUCHED_MAX],
    turn: usize,
}

impl Ahead {
    pub(super) const fn new() -> Self {
        Self { hashes: [0; TOUCHED_MAX], offsets: [LogOffset::NONE; TOUCHED_MAX], turn: 0 }
    }

    /// Keeps what `find` knows of each hash, and forgets the batch before. Answers with the offsets.
    #[inline(always)]
    pub(super) fn keep(
        &mut self,
        hashes: impl Iterator<Item = u64>,
        find: impl Fn(u64) -> LogOffset,
    ) -> &[LogOffset] {
        self.offsets = [LogOffset::NONE; TOUCHED_MAX];
        self.turn = 0;
        let kept = self.hashes.iter_mut().zip(&mut self.offsets);
        let mut count = 0;
        for ((kept_hash, offset), hash) in kept.zip(hashes) {
            (*kept_hash, *offset) = (hash, find(hash));
            count += 1;
        }
        &self.offsets[..count]
    }

    /// It is the turn of the batch's record `index`.
    #[inline(always)]
    pub(super) fn turn_to(&mut self, index: usize) {
        self.turn = index;
    }

    /// Where the entry of `hash` should be, if it was looked up for the record that has its turn.
    #[inline(always)]
    pub(super) fn hint(&self, hash: u64) -> LogOffset {
        let turn = self.turn % TOUCHED_MAX;
        if self.hashes[turn] == hash { self.offsets[turn] } else { LogOffset::NONE }
    }
}

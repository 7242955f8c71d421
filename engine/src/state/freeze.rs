//! What a checkpoint takes from a log, and what it tells it afterwards.
//!
//! Takes the moment of a barrier; hands on [`FrozenLog`], handles to bytes that never change again.
//! Later takes which of them a disk has, and lets memory go that a file can stand in for.
//!
//! A freeze costs a few loads for each segment and none for an entry: nothing is copied, no page is
//! protected. The first change of a frozen entry pays, by a copy to the tail.

use std::fs::File;
use std::sync::Arc;

use super::Store;
use crate::io::mapping::{FrozenBytes, Mapped, Region};

/// All that a log holds at one moment.
#[derive(Debug, Clone)]
pub struct FrozenLog {
    /// The segments, the oldest first; their numbers have no gaps.
    pub segments: Vec<FrozenSegment>,
    /// How many entries live.
    pub entry_count: u64,
    /// The bytes of their rooms.
    pub live_bytes: u64,
}

/// The frozen prefix of a segment.
#[derive(Debug, Clone)]
pub struct FrozenSegment {
    /// The segment.
    pub number: u32,
    /// How much of it is frozen: a multiple of 4,096.
    pub frozen_bytes: u32,
    /// The bytes. `None` where the segment is sealed and was said to be durable to its end: there
    /// is nothing to flush.
    pub bytes: Option<FrozenBytes>,
}

/// What a disk has of a segment.
#[derive(Debug, Clone)]
pub struct DurableSegment {
    /// The segment.
    pub number: u32,
    /// How many bytes from its start are durable.
    pub bytes: u32,
    /// The file that has them from its start on, for mapping; nobody cuts it or writes to these
    /// bytes again.
    pub file: Option<Arc<File>>,
}

impl Store {
    /// Freezes all that is there. Takes well under 50 microseconds, however many entries there are.
    pub fn freeze(&mut self) -> FrozenLog {
        self.arena.freeze();
        let base = self.arena.base_number();
        let mut segments = Vec::with_capacity(self.arena.segment_count());
        for (number, index) in (base..).zip(0..self.arena.segment_count()) {
            let notes = &self.arena.notes[index];
            let (frozen_bytes, is_durable) = (notes.frozen_bytes, notes.is_durable());
            let region = self.arena.region_mut(index);
            let bytes = if is_durable { None } else { region.freeze(frozen_bytes as usize) };
            let number = u32::try_from(number).expect("a log has fewer than 2^32 segments");
            segments.push(FrozenSegment { number, frozen_bytes, bytes });
        }
        FrozenLog {
            segments,
            entry_count: self.index.entry_count(),
            live_bytes: self.arena.live_bytes(),
        }
    }

    /// Notes which prefixes are durable. While more memory is resident than the budget allows, the
    /// oldest sealed and durable segments are read from their files from now on. Hands on the
    /// memory that is needed no more, also that of compacted segments: dropping it takes a
    /// while, so another thread should.
    pub fn note_durable(&mut self, segments: Vec<DurableSegment>) -> Vec<Region> {
        let base = self.arena.base_number();
        for DurableSegment { number, bytes, file } in segments {
            let index = u64::from(number).checked_sub(base).map(super::as_index);
            // A segment that was compacted meanwhile is not missed.
            let Some(notes) = index.and_then(|index| self.arena.notes.get_mut(index)) else {
                continue;
            };
            notes.durable_bytes = notes.durable_bytes.max(bytes);
            if file.is_some() {
                notes.file = file;
            }
        }
        let mut retired = std::mem::take(&mut self.retired);
        if let Some(budget_bytes) = self.budget_bytes {
            self.spill(budget_bytes, &mut retired);
        }
        retired
    }

    fn spill(&mut self, budget_bytes: u64, retired: &mut Vec<Region>) {
        let mut resident_bytes = self.resident_bytes();
        for index in 0..self.arena.segment_count() {
            if resident_bytes <= budget_bytes {
                return;
            }
            let notes = &mut self.arena.notes[index];
            if !notes.is_durable() {
                continue;
            }
            let frozen_bytes = notes.frozen_bytes;
            // Its memory or its mapping: either way the file itself is needed no more. Where it
            // can't be mapped, the memory stays: more than the budget, and right.
            let Some(file) = notes.file.take() else {
                continue;
            };
            let region = self.arena.region_mut(index);
            if !region.is_anonymous() {
                continue;
            }
            if let Ok(mapped) = Mapped::of_file(&file, frozen_bytes as usize) {
                retired.push(std::mem::replace(region, mapped.into()));
                resident_bytes = resident_bytes.saturating_sub(u64::from(frozen_bytes));
            }
        }
    }

    /// How many segments are read from their files.
    #[must_use]
    pub fn mapped_segment_count(&self) -> usize {
        let all = 0..self.arena.segment_count();
        all.filter(|&index| !self.arena.region(index).is_anonymous()).count()
    }
}

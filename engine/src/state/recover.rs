//! From a log's frozen bytes back to a store.
//!
//! Takes segments as a checkpoint flushed them; hands on a store that holds what the log held at
//! that freeze, every entry at its old offset, or says which entry is damaged.
//!
//! ```text
//!   segment 7 (continues: 0)           segment 8 (continues: 1)
//!   | entry tomb entry PAD | entry entry |  | tomb entry PAD |
//!   |------ region a ------|-------- region b ---------------|
//! ```
//!
//! Invariants
//! 1. A *region* is what was written between two freezes: it ends with a pad, or with a segment
//!    whose successor does not continue it. Within one, rooms are used again, so offsets tell
//!    nothing about order; a key has at most one live entry in it.
//! 2. Entries count in the order of regions: a live one replaces one of an earlier region, a tomb
//!    removes one of an earlier region and leaves one of its own alone.
//! 3. All bytes are checked before any is believed: no length leads out of its room, no room out of
//!    its segment.
//!
//! Two walks: the first checks and counts, in the order of the bytes, so that the index is made
//! once at its full length; the second fills it, touching the slots of [`TOUCHED_MAX`] entries
//! together.

use super::arena::{Arena, FLUSH_BLOCK_BYTES};
use super::entry::{EXPIRES, Entry, HEADER_BYTES, LIVE, PAD, TOMB};
use super::index::Index;
use super::segment::{Notes, SEGMENT_HEADER_BYTES, read_header};
use super::store::TOUCHED_MAX;
use super::{LogOffset, StateError, Store, StoreSettings};
use crate::io::mapping::{Mapped, Region};

/// A segment as a checkpoint left it.
#[derive(Debug)]
pub struct RecoveredSegment {
    /// Its number.
    pub number: u32,
    /// Its bytes.
    pub memory: RecoveredMemory,
    /// How many of them count: what was frozen.
    pub bytes: u32,
}

/// Where a recovered segment's bytes are.
#[derive(Debug)]
pub enum RecoveredMemory {
    /// Read into memory.
    Region(Region),
    /// Left in their file.
    Mapped(Mapped),
}

/// A live entry or a tomb, on its way into the index.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    offset: LogOffset,
    hash: u64,
    /// Where its region starts.
    region_start: u64,
    is_tomb: bool,
}

impl Store {
    /// The store that was frozen into `segments`, which stand in the order of their numbers. They
    /// count as durable; new entries go to a new segment.
    ///
    /// # Errors
    /// Where bytes are not what a log holds; what then is in memory is dropped.
    pub fn recover(
        settings: &StoreSettings,
        segments: Vec<RecoveredSegment>,
    ) -> Result<Self, StateError> {
        let base_number = segments.first().map_or(0, |segment| segment.number);
        let mut checked = Vec::with_capacity(segments.len());
        let mut continues = Vec::with_capacity(segments.len());
        let mut live_count = 0;
        let mut expires = false;
        for (expected, segment) in (base_number..).zip(segments) {
            let number = segment.number;
            if number != expected {
                return Err(StateError::Order { expected, found: number });
            }
            let (region, bytes) = open(settings, segment)?;
            continues.push(read_header(region.bytes(), number)?);
            let found = check_segment(region.bytes(), number)?;
            live_count += found.live_count;
            expires |= found.expires;
            let notes = Notes {
                sealed_bytes: Some(bytes),
                frozen_bytes: bytes,
                durable_bytes: bytes,
                expires: found.expires,
                ..Notes::default()
            };
            checked.push((region, notes));
        }
        let arena = Arena::recovered(settings, u64::from(base_number), checked);
        let index = Index::with_capacity(live_count);
        let mut store = Self::of_parts(settings, index, arena);
        store.replay(&continues)?;
        if expires {
            store.maintenance.note_expiring();
        }
        Ok(store)
    }

    /// Fills the index, a batch at a time.
    fn replay(&mut self, continues: &[bool]) -> Result<(), StateError> {
        let mut batch = [Step::default(); TOUCHED_MAX];
        let mut region_start = 0;
        for (index, &continues) in continues.iter().enumerate() {
            let start = self.arena.base() + index as u64 * self.arena.segment_bytes();
            if !continues {
                region_start = start;
            }
            let mut next = LogOffset(start + SEGMENT_HEADER_BYTES as u64);
            loop {
                let count = self.gather(&mut batch, &mut next, &mut region_start);
                self.apply(&batch[..count])?;
                if count < TOUCHED_MAX {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Picks up to a batch of live entries and tombs from `next` to its segment's end.
    fn gather(
        &self,
        batch: &mut [Step; TOUCHED_MAX],
        next: &mut LogOffset,
        region_start: &mut u64,
    ) -> usize {
        let mut count = 0;
        for (offset, entry) in self.arena.rooms_from(*next) {
            let end = offset.0 + entry.room_bytes() as u64;
            *next = LogOffset(end);
            match entry.kind() {
                PAD => *region_start = end,
                kind @ (LIVE | TOMB) => {
                    let (hash, is_tomb) = (entry.index_hash(), kind == TOMB);
                    batch[count] = Step { offset, hash, region_start: *region_start, is_tomb };
                    count += 1;
                    if count == TOUCHED_MAX {
                        break;
                    }
                }
                _ => {}
            }
        }
        count
    }

    fn apply(&mut self, steps: &[Step]) -> Result<(), StateError> {
        let words = steps.iter().map(|step| self.index.home(step.hash));
        std::hint::black_box(words.fold(0, |sum, word| sum ^ word));
        for step in steps {
            let entry = self.arena.entry(step.offset);
            let room_bytes = entry.room_bytes();
            let known = self.find(&entry.entry_key());
            let is_earlier = known.is_some_and(|known| known.0 < step.region_start);
            let arena = &self.arena;
            let hash_of = |offset| arena.entry(offset).index_hash();
            match known {
                Some(known) if step.is_tomb => {
                    if is_earlier {
                        self.index.remove(step.hash, known, hash_of);
                        self.arena.mark_dead(known);
                    }
                }
                None if step.is_tomb => {}
                Some(_) if !is_earlier => return Err(self.broken(step.offset, TWICE)),
                Some(known) => {
                    self.index.repoint(step.hash, known, step.offset);
                    self.arena.mark_dead(known);
                    self.arena.count_live(room_bytes);
                }
                None => {
                    self.index.insert(step.hash, step.offset, hash_of);
                    self.arena.count_live(room_bytes);
                }
            }
        }
        Ok(())
    }

    fn broken(&self, offset: LogOffset, problem: &'static str) -> StateError {
        let segment_bytes = self.arena.segment_bytes();
        StateError::Entry {
            segment: u32::try_from(offset.0 / segment_bytes).unwrap_or(u32::MAX),
            place: super::as_index(offset.0 % segment_bytes),
            problem,
        }
    }
}

const TWICE: &str = "its key has another entry in the same region";

/// The segment's bytes, no more than count, and how many they are.
fn open(
    settings: &StoreSettings,
    RecoveredSegment { number, memory, bytes }: RecoveredSegment,
) -> Result<(Region, u32), StateError> {
    let refuse = |expected, found| Err(StateError::Length { segment: number, expected, found });
    let region = match memory {
        RecoveredMemory::Region(region) => region,
        RecoveredMemory::Mapped(mapped) => mapped.into(),
    };
    let wanted = bytes as usize;
    let block_bytes = super::as_index(FLUSH_BLOCK_BYTES);
    if wanted > settings.segment_bytes {
        return refuse(settings.segment_bytes, wanted);
    }
    if !wanted.is_multiple_of(block_bytes) || wanted == 0 {
        return refuse(wanted.next_multiple_of(block_bytes).max(block_bytes), wanted);
    }
    if region.len_bytes() < wanted {
        return refuse(wanted, region.len_bytes());
    }
    let mut region = region.limited(wanted);
    region.freeze(wanted);
    Ok((region, bytes))
}

/// What a first walk over a segment finds.
#[derive(Debug, Default)]
struct Found {
    live_count: u64,
    expires: bool,
}

/// Checks all rooms of a segment (invariant 3).
fn check_segment(bytes: &[u8], segment: u32) -> Result<Found, StateError> {
    let mut found = Found::default();
    let mut place = SEGMENT_HEADER_BYTES;
    loop {
        let rest = &bytes[place..];
        let refuse = |problem| Err(StateError::Entry { segment, place, problem });
        let Some(header) = rest.first_chunk::<HEADER_BYTES>() else {
            return if rest.iter().all(|&byte| byte == 0) {
                Ok(found)
            } else {
                refuse("no entry has room here")
            };
        };
        let entry = Entry(rest);
        let room_bytes = entry.room_bytes();
        if room_bytes == 0 {
            let is_end = *header == [0; HEADER_BYTES];
            return if is_end { Ok(found) } else { refuse("its room has no length") };
        }
        if room_bytes < HEADER_BYTES || !room_bytes.is_multiple_of(16) {
            return refuse("no room has its length");
        }
        if room_bytes > rest.len() {
            return refuse("its room reaches over the segment's end");
        }
        if let Some(problem) = entry.problem() {
            return refuse(problem);
        }
        if entry.is_live() {
            found.live_count += 1;
            found.expires |= entry.state() & EXPIRES != 0;
        }
        place += room_bytes;
    }
}

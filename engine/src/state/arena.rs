//! Where entries lie: segments of zeroed memory that never move.
//!
//! Invariants
//! 1. An offset is `segment number * SEGMENT_BYTES + place`, a multiple of 16, never 0.
//! 2. Rooms fill a segment from its start without gaps; after the last one the memory is zero. A
//!    room keeps its place and length for ever, so an old offset always names the start of a room.
//! 3. A dead room is in the free list of its class and in no other; rooms are not joined.
//!
//! Why classes and no joining: what a job keeps has few different lengths (counts, chunks, panes),
//! so a dead room nearly always fits the next one. The price: a job that changes for ever from
//! short entries to long ones keeps the short rooms.

use super::entry::{Entry, bury, next_free};
use super::memory::Memory;
use super::{LogOffset, as_index};

const SEGMENT_SHIFT: u32 = 26;
/// How many bytes one segment has; no entry is longer.
const SEGMENT_BYTES: u64 = 1 << SEGMENT_SHIFT;
/// The first room's place in every segment: it keeps offset 0 free.
const SEGMENT_START: u64 = 64;

/// Rooms up to this many bytes come in steps of 16, larger ones in eight steps a doubling.
const FINE_BYTES_MAX: usize = 1024;
const FINE_COUNT: usize = FINE_BYTES_MAX / 16;
const CLASS_COUNT: usize = FINE_COUNT + 8 * (SEGMENT_SHIFT as usize - 10);

/// All entries of a store.
#[derive(Debug)]
pub(super) struct Arena {
    segments: Vec<Memory>,
    tail: u64,
    free: [u64; CLASS_COUNT],
    live_bytes: u64,
}

/// A room for an entry that is about to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) offset: LogOffset,
    /// Whether its memory was never used, and so is zero.
    pub(super) fresh: bool,
    pub(super) room_bytes: usize,
}

impl Arena {
    pub(super) fn new() -> Self {
        Self { segments: Vec::new(), tail: 0, free: [0; CLASS_COUNT], live_bytes: 0 }
    }

    /// The bytes of all live rooms.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// The bytes from `offset` to its segment's end. Panics where there is no such segment.
    #[inline(always)]
    pub(super) fn entry(&self, offset: LogOffset) -> Entry<'_> {
        let (segment, place) = locate(offset);
        Entry(&self.segments[segment].bytes()[place..])
    }

    /// Like [`Arena::entry`], for writing.
    #[inline(always)]
    pub(super) fn entry_mut(&mut self, offset: LogOffset) -> &mut [u8] {
        let (segment, place) = locate(offset);
        &mut self.segments[segment].bytes_mut()[place..]
    }

    /// Whether `offset` could be an entry's, so that it may be looked at.
    #[inline(always)]
    pub(super) fn is_room(&self, offset: LogOffset) -> bool {
        offset != LogOffset::NONE && offset.0 < self.tail
    }

    /// Finds room for `wanted_bytes`.
    pub(super) fn take(&mut self, wanted_bytes: usize) -> Room {
        let (class, room_bytes) = class_of(wanted_bytes);
        self.live_bytes += room_bytes as u64;
        let head = self.free[class];
        if head != 0 {
            let offset = LogOffset(head);
            self.free[class] = next_free(self.entry(offset).0);
            return Room { offset, fresh: false, room_bytes };
        }
        Room { offset: self.append(room_bytes as u64), fresh: true, room_bytes }
    }

    /// Gives an entry's room back.
    pub(super) fn free(&mut self, offset: LogOffset) {
        let room_bytes = self.entry(offset).entry_bytes();
        let (class, _) = class_of(room_bytes);
        let next = self.free[class];
        bury(self.entry_mut(offset), next);
        self.free[class] = offset.0;
        self.live_bytes -= room_bytes as u64;
    }

    /// All live entries, in the order of their offsets.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LogOffset, Entry<'_>)> {
        (0_u64..)
            .zip(&self.segments)
            .flat_map(|(number, memory)| {
                let mut place = SEGMENT_START;
                std::iter::from_fn(move || {
                    let rest = memory.bytes().get(as_index(place)..)?;
                    let entry = Entry(rest);
                    let ended = rest.len() < super::entry::HEADER_BYTES || entry.entry_bytes() == 0;
                    let offset = LogOffset((number << SEGMENT_SHIFT) + place);
                    place += if ended { 0 } else { entry.entry_bytes() as u64 };
                    (!ended).then_some((offset, entry))
                })
            })
            .filter(|(_, entry)| entry.is_live())
    }

    fn append(&mut self, room_bytes: u64) -> LogOffset {
        assert!(
            room_bytes <= SEGMENT_BYTES - SEGMENT_START,
            "an entry of {room_bytes} bytes is longer than a segment"
        );
        let used = self.tail & (SEGMENT_BYTES - 1);
        if used == 0 || used + room_bytes > SEGMENT_BYTES {
            self.tail = ((self.segments.len() as u64) << SEGMENT_SHIFT) + SEGMENT_START;
            self.segments.push(Memory::zeroed(as_index(SEGMENT_BYTES)));
        }
        let offset = LogOffset(self.tail);
        self.tail += room_bytes;
        offset
    }
}

#[inline(always)]
fn locate(offset: LogOffset) -> (usize, usize) {
    (as_index(offset.0 >> SEGMENT_SHIFT), as_index(offset.0 & (SEGMENT_BYTES - 1)))
}

/// The class of rooms for so many bytes, and how many bytes such a room has.
fn class_of(wanted_bytes: usize) -> (usize, usize) {
    if wanted_bytes <= FINE_BYTES_MAX {
        let class = wanted_bytes.div_ceil(16).max(1);
        return (class - 1, class * 16);
    }
    let octave = (wanted_bytes - 1).ilog2() as usize;
    let step = 1 << (octave - 3);
    let steps = (wanted_bytes - (1 << octave)).div_ceil(step);
    let class = FINE_COUNT + (octave - 10) * 8 + steps - 1;
    (class, (1 << octave) + steps * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_of_the_class_of_its_own_length() {
        let mut last = (0, 0);
        for wanted in (1..5_000).chain([1 << 20, (1 << 26) - 64]) {
            let (class, room_bytes) = class_of(wanted);
            assert!(room_bytes >= wanted && room_bytes.is_multiple_of(16), "{wanted}");
            assert_eq!(class_of(room_bytes), (class, room_bytes), "{wanted}");
            assert!((class, room_bytes) >= last && class < CLASS_COUNT, "{wanted}");
            last = (class, room_bytes);
        }
    }

    #[test]
    fn entries_are_walked_over_segment_ends_and_dead_rooms() {
        let mut arena = Arena::new();
        let key = crate::state::EntryKey {
            operator: crate::state::OperatorId(1),
            hash: crate::record::KeyHash(1),
            key: &[],
            namespace: 0,
        };
        let value_bytes = 30 << 20;
        let room_bytes = super::super::entry::entry_bytes(0, value_bytes);
        let mut offsets = Vec::new();
        for index in 0..5 {
            let room = arena.take(room_bytes);
            let memory = &mut arena.entry_mut(room.offset)[..room.room_bytes];
            super::super::entry::write(memory, &key, value_bytes + index, room.fresh);
            offsets.push(room.offset);
        }
        let dead = offsets.remove(1);
        arena.free(dead);
        let walked: Vec<_> = arena.iter().map(|(offset, _)| offset).collect();
        assert_eq!(walked, offsets);
        assert_eq!(arena.take(room_bytes).offset, dead, "a dead room is used again");
    }
}

//! Where entries lie: segments that never move, the front ones frozen, the tail changed in place.
//!
//! Invariants
//! 1. An offset is `segment number * segment_bytes + place`, a multiple of 16, never 0. Numbers go on
//!    without gaps and are never used twice.
//! 2. Rooms fill a segment from its header on without gaps; after the last one the memory is zero. A
//!    room keeps its place and length for ever, so an old offset always names the start of a room,
//!    or lies before `base`.
//! 3. A dead room of the tail is in the free list of its class and in no other; rooms are not joined.
//! 4. Bytes before `frozen_to` never change. A frozen entry that is dead has its bit in its segment's
//!    notes; free lists only name rooms at or after `frozen_to`.
//!
//! Why classes and no joining: what a job keeps has few different lengths (counts, chunks, panes),
//! so a dead room nearly always fits the next one. The price: a job that changes for ever from
//! short entries to long ones keeps the short rooms, until a freeze and compaction.
//!
//! Why the dead bitmap is made at a segment's first death, and not when it is frozen: a freeze over
//! many new segments would pay for all of them at once.

use std::sync::Arc;

use super::entry::{self, Entry, HEADER_BYTES, bury, next_free};
use super::segment::{Notes, SEGMENT_HEADER_BYTES, write_header};
use super::settings::{SEGMENT_SHIFT_RANGE, SpareRegions, StoreSettings};
use super::{LogOffset, as_index};
use crate::io::mapping::Region;

/// What a freeze fills up to.
pub(super) const FLUSH_BLOCK_BYTES: u64 = 4096;

/// Rooms up to this many bytes come in steps of 16, larger ones in eight steps a doubling.
const FINE_BYTES_MAX: usize = 1024;
const FINE_COUNT: usize = FINE_BYTES_MAX / 16;
const CLASS_COUNT: usize = FINE_COUNT + 8 * (*SEGMENT_SHIFT_RANGE.end() as usize - 10);

/// All entries of a store.
#[derive(Debug)]
pub(super) struct Arena {
    /// Segment `base_number + index`, and beside it what is noted about it: apart, so that the
    /// regions, which every look-up reads, stay close together.
    regions: Vec<Region>,
    pub(super) notes: Vec<Notes>,
    base_number: u64,
    shift: u32,
    /// Where the next room goes, and where its segment ends.
    tail: u64,
    tail_end: u64,
    pub(super) frozen_to: u64,
    free: [u64; CLASS_COUNT],
    live_bytes: u64,
    /// What sealed segments have left unused.
    unused_bytes: u64,
    spare: Option<Arc<SpareRegions>>,
    scratch: Vec<u8>,
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
    pub(super) fn new(settings: &StoreSettings) -> Self {
        let segment_bytes = settings.segment_bytes;
        assert!(segment_bytes.is_power_of_two(), "segments have a power of two of bytes");
        let shift = segment_bytes.trailing_zeros();
        assert!(SEGMENT_SHIFT_RANGE.contains(&shift), "segments have 64 KiB to 64 MiB");
        Self {
            regions: Vec::new(),
            notes: Vec::new(),
            base_number: 0,
            shift,
            tail: 0,
            tail_end: 0,
            frozen_to: 0,
            free: [0; CLASS_COUNT],
            live_bytes: 0,
            unused_bytes: 0,
            spare: settings.spare.clone(),
            scratch: Vec::new(),
        }
    }

    /// An arena over whole segments from `base_number` on, all of it frozen; no entry counts as
    /// live yet.
    pub(super) fn recovered(
        settings: &StoreSettings,
        base_number: u64,
        segments: Vec<(Region, Notes)>,
    ) -> Self {
        let mut arena = Self::new(settings);
        arena.base_number = base_number;
        arena.tail = (base_number + segments.len() as u64) << arena.shift;
        (arena.tail_end, arena.frozen_to) = (arena.tail, arena.tail);
        (arena.regions, arena.notes) = segments.into_iter().unzip();
        arena.unused_bytes = arena.notes.iter().map(|notes| arena.unused_in(notes)).sum();
        arena
    }

    /// The bytes of all live rooms.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// The bytes from the oldest segment's start to the tail.
    pub(super) fn log_bytes(&self) -> u64 {
        self.tail - (self.base_number << self.shift)
    }

    /// The bytes of the log that were written to, dead ones too.
    pub(super) fn used_bytes(&self) -> u64 {
        self.log_bytes() - self.unused_bytes
    }

    /// What a sealed segment has left unused.
    fn unused_in(&self, notes: &Notes) -> u64 {
        notes.sealed_bytes.map_or(0, |sealed| self.segment_bytes() - u64::from(sealed))
    }

    /// The bytes of memory that it takes, beside files.
    pub(super) fn resident_bytes(&self) -> u64 {
        let all = self.regions.iter().zip(&self.notes);
        all.map(|(region, notes)| {
            let used = match notes.sealed_bytes {
                _ if !region.is_anonymous() => 0,
                Some(sealed) => u64::from(sealed),
                None => self.segment_bytes() - (self.tail_end - self.tail),
            };
            used + notes.bitmap_bytes()
        })
        .sum()
    }

    pub(super) fn segment_bytes(&self) -> u64 {
        1 << self.shift
    }

    pub(super) fn base_number(&self) -> u64 {
        self.base_number
    }

    /// Where the oldest segment starts.
    pub(super) fn base(&self) -> u64 {
        self.base_number << self.shift
    }

    pub(super) fn segment_count(&self) -> usize {
        self.regions.len()
    }

    #[inline(always)]
    fn locate(&self, offset: LogOffset) -> (usize, usize) {
        let segment = (offset.0 >> self.shift).wrapping_sub(self.base_number);
        (as_index(segment), as_index(offset.0 & ((1 << self.shift) - 1)))
    }

    /// The bytes from `offset` to its segment's end. Panics where there is no such segment.
    #[inline(always)]
    pub(super) fn entry(&self, offset: LogOffset) -> Entry<'_> {
        let (segment, place) = self.locate(offset);
        Entry(&self.regions[segment].bytes()[place..])
    }

    /// Like [`Arena::entry`], for writing; the entry is not frozen.
    #[inline(always)]
    pub(super) fn entry_mut(&mut self, offset: LogOffset) -> &mut [u8] {
        let (segment, place) = self.locate(offset);
        self.regions[segment].bytes_mut(place)
    }

    /// The bytes from an offset that may be stale to its segment's end, if they are of the tail.
    #[inline(always)]
    pub(super) fn tail_mut(&mut self, offset: LogOffset) -> Option<&mut [u8]> {
        if offset.0 < self.frozen_to.max(1) {
            return None;
        }
        let (segment, place) = self.locate(offset);
        Some(self.regions.get_mut(segment)?.bytes_mut(place))
    }

    /// What lies at an offset that may be stale: an entry that is gone, in a segment that is gone.
    #[inline(always)]
    pub(super) fn room_at(&self, offset: LogOffset) -> Option<Entry<'_>> {
        if offset.0 >= self.tail {
            return None;
        }
        let (segment, place) = self.locate(offset);
        let bytes = self.regions.get(segment)?.bytes().get(place..)?;
        (bytes.len() >= HEADER_BYTES).then_some(Entry(bytes))
    }

    #[inline(always)]
    pub(super) fn is_frozen(&self, offset: LogOffset) -> bool {
        offset.0 < self.frozen_to
    }

    /// Whether the entry at `offset`, which is there, was frozen and died since.
    #[inline(always)]
    pub(super) fn is_dead(&self, offset: LogOffset) -> bool {
        self.is_frozen(offset) && self.has_dead_bit(offset)
    }

    /// The word in which a frozen entry is marked dead, which its first change writes; for touching.
    #[inline(always)]
    pub(super) fn dead_word(&self, offset: LogOffset) -> u64 {
        if !self.is_frozen(offset) {
            return 0;
        }
        let (segment, place) = self.locate(offset);
        self.notes[segment].dead_word(place)
    }

    #[inline(never)]
    fn has_dead_bit(&self, offset: LogOffset) -> bool {
        let (segment, place) = self.locate(offset);
        self.notes[segment].is_dead(place)
    }

    /// Finds room for `wanted_bytes`.
    #[inline]
    pub(super) fn take(&mut self, wanted_bytes: usize) -> Room {
        let (class, room_bytes) = self.class_of(wanted_bytes);
        self.live_bytes += room_bytes as u64;
        let head = self.free[class];
        if head != 0 {
            let offset = LogOffset(head);
            self.free[class] = next_free(self.entry(offset).0);
            return Room { offset, fresh: false, room_bytes };
        }
        Room { offset: self.append(room_bytes as u64), fresh: true, room_bytes }
    }

    /// Gives the room of an entry of the tail back.
    pub(super) fn free(&mut self, offset: LogOffset) {
        let room_bytes = self.entry(offset).room_bytes();
        let (class, _) = self.class_of(room_bytes);
        let next = self.free[class];
        bury(self.entry_mut(offset), next);
        self.free[class] = offset.0;
        self.live_bytes -= room_bytes as u64;
    }

    /// Marks a frozen entry dead.
    pub(super) fn mark_dead(&mut self, offset: LogOffset) {
        debug_assert!(self.is_frozen(offset));
        let (segment, place) = self.locate(offset);
        self.live_bytes -= self.entry(offset).room_bytes() as u64;
        let segment_bytes = as_index(self.segment_bytes());
        self.notes[segment].mark_dead(place, segment_bytes);
    }

    /// Counts a recovered entry as live.
    pub(super) fn count_live(&mut self, room_bytes: usize) {
        self.live_bytes += room_bytes as u64;
    }

    /// Notes that an entry that expires was written at `offset`.
    pub(super) fn note_expires(&mut self, offset: LogOffset) {
        let (segment, _) = self.locate(offset);
        self.notes[segment].expires = true;
    }

    /// Copies a frozen entry to the tail and marks the old one dead.
    pub(super) fn copy_to_tail(&mut self, offset: LogOffset) -> LogOffset {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let entry = self.entry(offset);
        scratch.extend_from_slice(&entry.0[..entry.room_bytes()]);
        let expires = entry.state() & entry::EXPIRES != 0;
        let room = self.take(scratch.len());
        let to = &mut self.entry_mut(room.offset)[..room.room_bytes];
        entry::write_copy(to, &scratch, entry::HAS_ANCESTOR);
        self.mark_dead(offset);
        if expires {
            self.note_expires(room.offset);
        }
        self.scratch = scratch;
        room.offset
    }

    /// Deletes an entry of which frozen bytes know, leaving a tomb. Tombs don't count as live.
    pub(super) fn bury_deep(&mut self, offset: LogOffset) {
        let entry = self.entry(offset);
        let tomb_bytes = entry::entry_bytes(entry.key_bytes(), 0);
        let (_, tomb_room_bytes) = self.class_of(tomb_bytes);
        let room_bytes = entry.room_bytes();
        let is_frozen = self.is_frozen(offset);
        // A room that is a little too long is not worth a copy.
        if !is_frozen && room_bytes <= tomb_room_bytes + 32 {
            entry::entomb(self.entry_mut(offset));
            self.live_bytes -= room_bytes as u64;
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.extend_from_slice(&self.entry(offset).0[..tomb_bytes]);
        let room = self.take(tomb_bytes);
        let key = Entry(&scratch).entry_key();
        let to = &mut self.entry_mut(room.offset)[..room.room_bytes];
        entry::write(to, &key, 0, entry::TOMB, room.fresh);
        self.live_bytes -= room.room_bytes as u64;
        self.scratch = scratch;
        if is_frozen {
            self.mark_dead(offset);
        } else {
            self.free(offset);
        }
    }

    /// Ends the region: fills the tail up to a block, and freezes all that was written.
    pub(super) fn freeze(&mut self) {
        if self.tail == self.frozen_to {
            return;
        }
        self.pad();
        self.free = [0; CLASS_COUNT];
        let first = self.segment_index(self.frozen_to);
        let last = self.regions.len() - 1;
        for index in first..=last {
            let notes = &mut self.notes[index];
            let used = as_index(self.tail - ((self.base_number + index as u64) << self.shift));
            notes.frozen_bytes = match notes.sealed_bytes {
                Some(sealed) => sealed,
                None => u32::try_from(used).expect("a segment has at most 64 MiB"),
            };
            if self.tail == self.tail_end && index == last {
                notes.sealed_bytes = Some(notes.frozen_bytes);
            }
            self.regions[index].freeze(notes.frozen_bytes as usize);
        }
        self.frozen_to = self.tail;
    }

    /// The index of the segment that `offset` is in, or of the first one behind it.
    fn segment_index(&self, offset: u64) -> usize {
        as_index((offset >> self.shift).saturating_sub(self.base_number))
    }

    /// Writes the pad that ends a region. Where the segment has no room for one, the next one's
    /// header says that a region ended.
    fn pad(&mut self) {
        let mut padded = self.tail.next_multiple_of(FLUSH_BLOCK_BYTES);
        if padded - self.tail < HEADER_BYTES as u64 {
            padded += FLUSH_BLOCK_BYTES;
        }
        if padded > self.tail_end {
            self.tail = self.tail_end;
            return;
        }
        let pad_bytes = as_index(padded - self.tail);
        entry::write_pad(&mut self.entry_mut(LogOffset(self.tail))[..pad_bytes]);
        self.tail = padded;
    }

    /// A handle to the frozen bytes of a segment.
    pub(super) fn region_mut(&mut self, index: usize) -> &mut Region {
        &mut self.regions[index]
    }

    pub(super) fn region(&self, index: usize) -> &Region {
        &self.regions[index]
    }

    /// Drops the oldest segment, in which nothing lives.
    pub(super) fn drop_oldest(&mut self) -> Region {
        self.base_number += 1;
        let notes = self.notes.remove(0);
        self.unused_bytes -= self.unused_in(&notes);
        self.regions.remove(0)
    }

    /// Whether the oldest segment can be compacted: no more is written to it.
    pub(super) fn oldest_is_final(&self) -> bool {
        self.notes.first().is_some_and(Notes::is_final)
    }

    /// The first room at or after `position`, which is the start of a room or of a segment, or the
    /// end of the last room of one.
    pub(super) fn next_room(&self, position: u64) -> Option<LogOffset> {
        let mut position = position.max(self.base());
        while position < self.tail {
            let start = position >> self.shift << self.shift;
            position = position.max(start + SEGMENT_HEADER_BYTES as u64);
            let entry = self.room_at(LogOffset(position));
            if entry.is_some_and(|entry| entry.room_bytes() != 0) {
                return Some(LogOffset(position));
            }
            position = start + self.segment_bytes();
        }
        None
    }

    /// Whether a segment ever held an entry that expires, by an offset in it.
    pub(super) fn may_expire(&self, offset: u64) -> bool {
        self.notes.get(self.segment_index(offset)).is_some_and(|notes| notes.expires)
    }

    /// All live entries, in the order of their offsets.
    pub(super) fn iter(&self) -> impl Iterator<Item = (LogOffset, Entry<'_>)> {
        let starts = (self.base_number..).take(self.regions.len());
        starts
            .map(|number| (number << self.shift) + SEGMENT_HEADER_BYTES as u64)
            .flat_map(|start| self.rooms_from(LogOffset(start)))
            .filter(|&(offset, entry)| entry.is_live() && !self.is_dead(offset))
    }

    /// All rooms of a segment from `next` on, which is the start of one or the end of the last.
    /// What ends at the segment's very end has no segment after it: the walk is over there.
    pub(super) fn rooms_from(
        &self,
        next: LogOffset,
    ) -> impl Iterator<Item = (LogOffset, Entry<'_>)> {
        let (segment, mut place) = self.locate(next);
        // Between walks, `next` may have come to the start of the segment behind.
        let bytes = if place == 0 { &[] } else { self.regions[segment].bytes() };
        let start = next.0 - place as u64;
        std::iter::from_fn(move || {
            let entry = Entry(bytes.get(place..).filter(|rest| rest.len() >= HEADER_BYTES)?);
            let here = place;
            place += entry.room_bytes();
            (place != here).then_some((LogOffset(start + here as u64), entry))
        })
    }

    fn append(&mut self, room_bytes: u64) -> LogOffset {
        if self.tail + room_bytes > self.tail_end {
            self.start_segment();
        }
        let offset = LogOffset(self.tail);
        self.tail += room_bytes;
        offset
    }

    #[cold]
    fn start_segment(&mut self) {
        let number = self.base_number + self.regions.len() as u64;
        // Frozen to the very tail means that a region starts here.
        let continues = self.tail != self.frozen_to;
        let end = self.tail_end;
        if let Some(notes) = self.notes.last_mut().filter(|notes| notes.sealed_bytes.is_none()) {
            let used = (1 << self.shift) - (end - self.tail);
            let used = used.next_multiple_of(FLUSH_BLOCK_BYTES);
            notes.sealed_bytes = Some(u32::try_from(used).expect("a segment has at most 64 MiB"));
            self.unused_bytes += (1 << self.shift) - used;
        }
        let segment_bytes = as_index(self.segment_bytes());
        // A log's first segment is its own, and asks for none ahead.
        let spares = self.spare.as_ref().filter(|_| !self.regions.is_empty());
        let spare = spares.and_then(|spares| {
            let taken = spares.try_take();
            spares.want();
            taken.filter(|region| region.len_bytes() == segment_bytes)
        });
        let mut region = spare.unwrap_or_else(|| Region::zeroed(segment_bytes));
        let number_here = u32::try_from(number).expect("a log has fewer than 2^32 segments");
        write_header(region.bytes_mut(0), number_here, continues);
        self.regions.push(region);
        self.notes.push(Notes::default());
        let start = number << self.shift;
        (self.tail, self.tail_end) =
            (start + SEGMENT_HEADER_BYTES as u64, start + self.segment_bytes());
    }

    /// The class of rooms for so many bytes, and how many bytes such a room has here.
    #[inline(always)]
    fn class_of(&self, wanted_bytes: usize) -> (usize, usize) {
        let (class, room_bytes) = class_of(wanted_bytes);
        let room_bytes_max = (1_usize << self.shift) - SEGMENT_HEADER_BYTES;
        if room_bytes > room_bytes_max {
            assert!(
                wanted_bytes <= room_bytes_max,
                "an entry of {wanted_bytes} bytes is longer than a segment"
            );
            return (class, room_bytes_max);
        }
        (class, room_bytes)
    }
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
        let mut arena = Arena::new(&StoreSettings::default());
        let key = crate::state::EntryKey {
            operator: crate::state::OperatorId(1),
            hash: crate::record::KeyHash(1),
            key: &[],
            namespace: 0,
        };
        let value_bytes = 7 << 20;
        let room_bytes = super::super::entry::entry_bytes(0, value_bytes);
        let mut offsets = Vec::new();
        for index in 0..5 {
            let room = arena.take(room_bytes);
            let memory = &mut arena.entry_mut(room.offset)[..room.room_bytes];
            super::super::entry::write(
                memory,
                &key,
                value_bytes + index,
                super::super::entry::LIVE,
                room.fresh,
            );
            offsets.push(room.offset);
        }
        let dead = offsets.remove(1);
        arena.free(dead);
        let walked: Vec<_> = arena.iter().map(|(offset, _)| offset).collect();
        assert_eq!(walked, offsets);
        assert_eq!(arena.take(room_bytes).offset, dead, "a dead room is used again");
    }
}

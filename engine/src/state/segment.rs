//! What stands at a segment's start, and what the log notes about each segment.
//!
//! ```text
//! 0          8         12       16          17       64
//! | PELTSEG1 | version | number | continues | zeroes |
//! |    8     |    4    |   4    |     1     |   47   |
//! ```
//!
//! `continues` is 1 where the first entry belongs to the region that the segment before it ends in,
//! and 0 where a region starts with the segment.

use std::fs::File;
use std::sync::Arc;

use super::StateError;
use crate::record::Fixed;

/// How many bytes stand before a segment's first entry. They keep offset 0 free.
pub(super) const SEGMENT_HEADER_BYTES: usize = 64;

const MAGIC: [u8; 8] = *b"PELTSEG1";
const VERSION: u32 = 1;

/// Writes a header; `start` is zero.
pub(super) fn write_header(start: &mut [u8], number: u32, continues: bool) {
    start[..8].copy_from_slice(&MAGIC);
    VERSION.write(&mut start[8..]);
    number.write(&mut start[12..]);
    start[16] = u8::from(continues);
}

/// Checks a header; answers with `continues`.
pub(super) fn read_header(bytes: &[u8], number: u32) -> Result<bool, StateError> {
    let refuse = |found| Err(StateError::Header { segment: number, found });
    let Some(header) = bytes.first_chunk::<SEGMENT_HEADER_BYTES>() else {
        return refuse("fewer bytes than a header has");
    };
    if header[..8] != MAGIC {
        return refuse("no segment of a state log");
    }
    if u32::read(&header[8..]) != VERSION {
        return refuse("another version of the layout");
    }
    if u32::read(&header[12..]) != number {
        return refuse("the number of another segment");
    }
    if header[16] > 1 || header[17..] != [0; 47] {
        return refuse("bytes that no header has");
    }
    Ok(header[16] == 1)
}

/// What the log knows about a segment beside its bytes.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Up to where rooms may lie. Set when the segment is sealed.
    pub(super) sealed_bytes: Option<u32>,
    /// Up to where it is frozen.
    pub(super) frozen_bytes: u32,
    /// Up to where a disk has it.
    pub(super) durable_bytes: u32,
    /// Where on a disk, until it is mapped.
    pub(super) file: Option<Arc<File>>,
    /// Whether an entry that expires was ever written here.
    pub(super) expires: bool,
    /// One bit for each 16 bytes: a frozen entry that is dead starts there. Empty while none is.
    pub(super) dead: Vec<u64>,
}

impl Notes {
    /// Whether all of it is frozen, and no more will be written.
    pub(super) fn is_final(&self) -> bool {
        self.sealed_bytes.is_some_and(|sealed| self.frozen_bytes >= sealed)
    }

    /// Whether a disk has all of it.
    pub(super) fn is_durable(&self) -> bool {
        self.is_final() && self.durable_bytes >= self.frozen_bytes
    }

    #[inline(always)]
    pub(super) fn dead_word(&self, place: usize) -> u64 {
        self.dead.get(place / 1024).copied().unwrap_or(0)
    }

    #[inline(always)]
    pub(super) fn is_dead(&self, place: usize) -> bool {
        self.dead_word(place) >> (place / 16 % 64) & 1 == 1
    }

    /// Marks the frozen entry at `place` dead.
    pub(super) fn mark_dead(&mut self, place: usize, segment_bytes: usize) {
        debug_assert!(!self.is_dead(place), "an entry dies once");
        if self.dead.is_empty() {
            self.dead = vec![0; segment_bytes.div_ceil(1024)];
        }
        self.dead[place / 1024] |= 1 << (place / 16 % 64);
    }

    pub(super) fn bitmap_bytes(&self) -> u64 {
        8 * self.dead.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_matches_the_picture() {
        let mut header = [0; SEGMENT_HEADER_BYTES];
        write_header(&mut header, 0x0102, true);
        let mut by_hand = b"PELTSEG1\x01\0\0\0\x02\x01\0\0\x01".to_vec();
        by_hand.extend_from_slice(&[0; 47]);
        assert_eq!(header.as_slice(), by_hand);
        assert!(read_header(&header, 0x0102).unwrap());
        for at in 0..SEGMENT_HEADER_BYTES {
            let mut broken = header;
            broken[at] ^= 2;
            assert!(read_header(&broken, 0x0102).is_err(), "byte {at}");
        }
        assert!(read_header(&header[..63], 0x0102).is_err());
    }

    #[test]
    fn dead_entries_are_told_apart_by_sixteen_bytes() {
        let mut notes = Notes::default();
        for place in [64, 80, 1008, 1024, 65_520] {
            assert!(!notes.is_dead(place));
            notes.mark_dead(place, 1 << 16);
            assert!(notes.is_dead(place) && !notes.is_dead(place ^ 16 ^ 32), "{place}");
        }
    }
}

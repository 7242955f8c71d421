//! One entry's bytes.
//!
//! ```text
//! 0      8           16           20         24         26      28           32
//! | hash | namespace | value      | key      | operator | state | entry      | key  | value  |
//! |  8   |     8     | bytes 4    | bytes 4  |    2     |   2   | bytes 4    | to 8 | to 8.. |
//! ```
//!
//! The key stands before the value, padded with zeroes to a multiple of 8, so that looking an entry
//! up reads the header's cache line and little else, however long the value is. `entry bytes` is
//! the whole room that was allocated, so that entries can be walked in the order of their offsets.
//! A dead entry keeps its length, and its `hash` field links the list of free rooms of its class.

use super::{EntryKey, OperatorId};
use crate::record::{Fixed, KeyHash};

/// How many bytes stand before the key.
pub(super) const HEADER_BYTES: usize = 32;

const LIVE: u16 = 1;
const DEAD: u16 = 2;

/// How many bytes an entry takes.
pub(super) fn entry_bytes(key_bytes: usize, value_bytes: usize) -> usize {
    HEADER_BYTES + key_bytes.next_multiple_of(8) + value_bytes.next_multiple_of(8)
}

/// The bytes from an entry's start on; what follows the entry is never looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a>(pub(super) &'a [u8]);

impl<'a> Entry<'a> {
    #[inline(always)]
    fn header(self) -> &'a [u8; HEADER_BYTES] {
        self.0.first_chunk().expect("an entry is never shorter than its header")
    }

    #[inline(always)]
    pub(super) fn hash(self) -> KeyHash {
        KeyHash(u64::read(&self.header()[0..]))
    }

    #[inline(always)]
    pub(super) fn namespace(self) -> u64 {
        u64::read(&self.header()[8..])
    }

    #[inline(always)]
    pub(super) fn value_bytes(self) -> usize {
        u32::read(&self.header()[16..]) as usize
    }

    #[inline(always)]
    pub(super) fn key_bytes(self) -> usize {
        u32::read(&self.header()[20..]) as usize
    }

    #[inline(always)]
    pub(super) fn operator(self) -> OperatorId {
        OperatorId(u16::read(&self.header()[24..]))
    }

    #[inline(always)]
    pub(super) fn is_live(self) -> bool {
        u16::read(&self.header()[26..]) == LIVE
    }

    /// The whole room; 0 where no entry was ever written.
    #[inline(always)]
    pub(super) fn entry_bytes(self) -> usize {
        u32::read(&self.header()[28..]) as usize
    }

    #[inline(always)]
    pub(super) fn key(self) -> &'a [u8] {
        &self.0[HEADER_BYTES..HEADER_BYTES + self.key_bytes()]
    }

    #[inline(always)]
    pub(super) fn value(self) -> &'a [u8] {
        let at = HEADER_BYTES + self.key_bytes().next_multiple_of(8);
        &self.0[at..at + self.value_bytes()]
    }

    /// Reads a byte of both cache lines that a short entry may lie in.
    #[inline(always)]
    pub(super) fn ends(self) -> u8 {
        self.0[0] ^ self.0.get(HEADER_BYTES + 15).copied().unwrap_or(0)
    }

    /// The hash by which the index knows it.
    #[inline(always)]
    pub(super) fn index_hash(self) -> u64 {
        EntryKey::mixed(self.hash(), self.operator(), self.namespace())
    }

    /// Whether this is the live entry of `key`.
    #[inline(always)]
    pub(super) fn is_of(self, key: &EntryKey<'_>) -> bool {
        let header = self.header();
        let operator_state = u32::from(key.operator.0) | (u32::from(LIVE) << 16);
        u64::read(&header[0..]) == key.hash.0
            && u64::read(&header[8..]) == key.namespace
            && u32::read(&header[24..]) == operator_state
            && self.key_bytes() == key.key.len()
            && same_bytes(self.key(), key.key)
    }
}

/// Compares keys of one length; the lengths of numbers go without a call.
#[inline(always)]
fn same_bytes(left: &[u8], right: &[u8]) -> bool {
    match (left.as_array::<8>(), right.as_array::<8>()) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}

/// Writes a live entry of `key` into `room`, its value all zeroes.
#[inline(always)]
pub(super) fn write(room: &mut [u8], key: &EntryKey<'_>, value_bytes: usize, fresh: bool) {
    let key_end = HEADER_BYTES + key.key.len();
    let room_bytes = length(room.len());
    if !fresh {
        room[HEADER_BYTES..].fill(0);
    }
    let header: &mut [u8; HEADER_BYTES] =
        room.first_chunk_mut().expect("a room has space for the header it was made for");
    key.hash.0.write(&mut header[0..]);
    key.namespace.write(&mut header[8..]);
    length(value_bytes).write(&mut header[16..]);
    length(key.key.len()).write(&mut header[20..]);
    key.operator.0.write(&mut header[24..]);
    LIVE.write(&mut header[26..]);
    room_bytes.write(&mut header[28..]);
    room[HEADER_BYTES..key_end].copy_from_slice(key.key);
}

/// The bytes of a live entry's value.
#[inline(always)]
pub(super) fn value_mut(entry: &mut [u8]) -> &mut [u8] {
    let (at, value_bytes) = {
        let entry = Entry(entry);
        let at = HEADER_BYTES + entry.key_bytes().next_multiple_of(8);
        (at, entry.value_bytes())
    };
    &mut entry[at..at + value_bytes]
}

/// Marks an entry dead, and links it before `next_free`.
pub(super) fn bury(entry: &mut [u8], next_free: u64) {
    next_free.write(entry);
    DEAD.write(&mut entry[26..]);
}

/// What a dead entry is linked before.
pub(super) fn next_free(entry: &[u8]) -> u64 {
    u64::read(entry)
}

#[inline(always)]
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("an entry is shorter than a segment")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_matches_the_picture() {
        let key = EntryKey {
            operator: OperatorId(0x0201),
            hash: KeyHash(0x0807_0605_0403_0201),
            key: b"abc",
            namespace: 9,
        };
        let mut room = vec![0xee; entry_bytes(3, 12)];
        write(&mut room, &key, 12, false);
        value_mut(&mut room).copy_from_slice(&[7; 12]);
        let mut by_hand = vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 0, 0, 0, 0];
        by_hand.extend_from_slice(&[12, 0, 0, 0, 3, 0, 0, 0, 1, 2, 1, 0, 56, 0, 0, 0]);
        by_hand.extend_from_slice(b"abc\0\0\0\0\0");
        by_hand.extend_from_slice(&[7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0]);
        assert_eq!(room, by_hand);
        assert!(Entry(&room).is_of(&key));
        assert!(!Entry(&room).is_of(&EntryKey { key: b"abd", ..key }));
        bury(&mut room, 64);
        assert!(!Entry(&room).is_of(&key));
        assert_eq!(next_free(&room), 64);
    }
}

//! One entry's bytes.
//!
//! ```text
//! 0      8           16        20        23      24         26     28        32
//! | hash | namespace | value   | key     | state | operator | zero | room    | key  | value  |
//! |  8   |     8     | bytes 4 | bytes 3 |   1   |    2     |  2   | bytes 4 | to 8 | to 8.. |
//!
//! state:  | 0 | wall | event | ancestor | kind 4 bits |
//! ```
//!
//! The key stands before the value, padded with zeroes to a multiple of 8, so that looking an entry
//! up reads the header's cache line and little else, however long the value is. `room bytes` is
//! all that was allocated, so that entries can be walked in the order of their offsets.
//!
//! Kinds: a *live* entry; a *dead* room, whose `hash` links the free rooms of its class; a *tomb*,
//! which says that older entries of its key are void, and has no value; a *pad*, which ends a region
//! of the log and fills it up to a block. The flags `event` and `wall` say that the value's first 8
//! bytes are the time at which the entry expires; `ancestor`, that older, frozen bytes of the log may
//! hold an entry of this key, so that deleting this one must leave a tomb.

use super::{EntryKey, OperatorId};
use crate::record::{Fixed, KeyHash};

/// How many bytes stand before the key.
pub(super) const HEADER_BYTES: usize = 32;

/// Where the state byte stands.
const STATE_AT: usize = 23;

pub(super) const LIVE: u8 = 1;
pub(super) const DEAD: u8 = 2;
pub(super) const TOMB: u8 = 3;
pub(super) const PAD: u8 = 4;
const KINDS: u8 = 0x0f;
pub(super) const HAS_ANCESTOR: u8 = 0x10;
pub(super) const EXPIRES_EVENT: u8 = 0x20;
pub(super) const EXPIRES_WALL: u8 = 0x40;
const FLAGS: u8 = HAS_ANCESTOR | EXPIRES_EVENT | EXPIRES_WALL;
pub(super) const EXPIRES: u8 = EXPIRES_EVENT | EXPIRES_WALL;

/// Of the 8 bytes from the key's length on: all but the flags.
const IDENTITY_MASK: u64 = !((FLAGS as u64) << 24);
const KEY_BYTES_MAX: u32 = (1 << 24) - 1;

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
        (u32::read(&self.header()[20..]) & KEY_BYTES_MAX) as usize
    }

    #[inline(always)]
    pub(super) fn state(self) -> u8 {
        self.header()[STATE_AT]
    }

    #[inline(always)]
    pub(super) fn kind(self) -> u8 {
        self.state() & KINDS
    }

    #[inline(always)]
    pub(super) fn operator(self) -> OperatorId {
        OperatorId(u16::read(&self.header()[24..]))
    }

    #[inline(always)]
    pub(super) fn is_live(self) -> bool {
        self.kind() == LIVE
    }

    /// The time at which it expires, if its flags say that it does.
    pub(super) fn expires_at(self) -> Option<(u8, i64)> {
        let kind = self.state() & EXPIRES;
        (kind != 0).then(|| (kind, i64::read(self.value())))
    }

    /// The whole room; 0 where no entry was ever written.
    #[inline(always)]
    pub(super) fn room_bytes(self) -> usize {
        u32::read(&self.header()[28..]) as usize
    }

    pub(super) fn entry_key(self) -> EntryKey<'a> {
        EntryKey {
            operator: self.operator(),
            hash: self.hash(),
            key: self.key(),
            namespace: self.namespace(),
        }
    }

    /// What is wrong with bytes that were read from a disk, of a room that lies within them.
    pub(super) fn problem(self) -> Option<&'static str> {
        let (kind, flags) = (self.kind(), self.state() & !KINDS);
        let is_known = matches!(kind, LIVE | DEAD | TOMB | PAD) && flags & !FLAGS == 0;
        let needed = entry_bytes(self.key_bytes(), self.value_bytes());
        if !is_known || self.header()[26..28] != [0; 2] {
            Some("its state is unknown")
        } else if matches!(kind, LIVE | TOMB) && needed > self.room_bytes() {
            Some("key and value are longer than their room")
        } else if kind == TOMB && self.value_bytes() != 0 {
            Some("a deletion has a value")
        } else if kind == LIVE && flags & EXPIRES != 0 && self.value_bytes() < 8 {
            Some("it expires, and does not say when")
        } else {
            None
        }
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
        let identity =
            key.key.len() as u64 | u64::from(LIVE) << 24 | u64::from(key.operator.0) << 32;
        u64::read(&header[0..]) == key.hash.0
            && u64::read(&header[8..]) == key.namespace
            && u64::read(&header[20..]) & IDENTITY_MASK == identity
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

/// Writes an entry of `key` into `room`, its value all zeroes. `state` is its kind and flags.
#[inline(always)]
pub(super) fn write(
    room: &mut [u8],
    key: &EntryKey<'_>,
    value_bytes: usize,
    state: u8,
    fresh: bool,
) {
    let key_end = HEADER_BYTES + key.key.len();
    let room_bytes = length(room.len());
    let key_bytes = length(key.key.len());
    assert!(key_bytes <= KEY_BYTES_MAX, "a key is shorter than 16 MiB");
    if !fresh {
        room[HEADER_BYTES..].fill(0);
    }
    let header: &mut [u8; HEADER_BYTES] =
        room.first_chunk_mut().expect("a room has space for the header it was made for");
    key.hash.0.write(&mut header[0..]);
    key.namespace.write(&mut header[8..]);
    length(value_bytes).write(&mut header[16..]);
    (key_bytes | u32::from(state) << 24).write(&mut header[20..]);
    u32::from(key.operator.0).write(&mut header[24..]);
    room_bytes.write(&mut header[28..]);
    room[HEADER_BYTES..key_end].copy_from_slice(key.key);
}

/// Writes a pad over all of `room`, which is zero.
pub(super) fn write_pad(room: &mut [u8]) {
    room[STATE_AT] = PAD;
    length(room.len()).write(&mut room[28..]);
}

/// Makes `room` a copy of `entry`, a whole room too and no longer, with `flags` added.
pub(super) fn write_copy(room: &mut [u8], entry: &[u8], flags: u8) {
    let (copy, rest) = room.split_at_mut(entry.len());
    copy.copy_from_slice(entry);
    rest.fill(0);
    room[STATE_AT] |= flags;
    length(room.len()).write(&mut room[28..]);
}

/// Makes a live entry the tomb of its key, in its room.
pub(super) fn entomb(entry: &mut [u8]) {
    0_u32.write(&mut entry[16..]);
    entry[STATE_AT] = TOMB;
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

/// The value of the live entry of `key`, which is one `T`. Where it lies follows from the key.
#[inline(always)]
pub(super) fn field_mut<'a, T: Fixed>(entry: &'a mut [u8], key: &EntryKey<'_>) -> &'a mut [u8] {
    debug_assert_eq!(Entry(entry).value_bytes(), T::BYTES, "the value is one `T`");
    let at = HEADER_BYTES + key.key.len().next_multiple_of(8);
    &mut entry[at..at + T::BYTES]
}

/// Marks an entry dead, and links it before `next_free`.
pub(super) fn bury(entry: &mut [u8], next_free: u64) {
    next_free.write(entry);
    entry[STATE_AT] = DEAD;
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
        write(&mut room, &key, 12, LIVE | EXPIRES_WALL, false);
        value_mut(&mut room).copy_from_slice(&[7; 12]);
        let mut by_hand = vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 0, 0, 0, 0];
        by_hand.extend_from_slice(&[12, 0, 0, 0, 3, 0, 0, 0x41, 1, 2, 0, 0, 56, 0, 0, 0]);
        by_hand.extend_from_slice(b"abc\0\0\0\0\0");
        by_hand.extend_from_slice(&[7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0]);
        assert_eq!(room, by_hand);
        assert!(Entry(&room).is_of(&key));
        assert!(!Entry(&room).is_of(&EntryKey { key: b"abd", ..key }));
        assert_eq!(Entry(&room).problem(), None);
        assert_eq!(Entry(&room).expires_at(), Some((EXPIRES_WALL, 0x0707_0707_0707_0707)));
        let mut copy = vec![0xee; 64];
        write_copy(&mut copy, &room, HAS_ANCESTOR);
        assert!(Entry(&copy).is_of(&key), "flags don't matter");
        assert_eq!((copy[STATE_AT], copy[28], &copy[56..]), (0x51, 64, &[0; 8][..]));
        entomb(&mut copy);
        assert!(!Entry(&copy).is_of(&key) && Entry(&copy).problem().is_none());
        assert_eq!(
            (&copy[16..24], Entry(&copy).key()),
            (&[0, 0, 0, 0, 3, 0, 0, 3][..], &b"abc"[..])
        );
        bury(&mut room, 64);
        assert!(!Entry(&room).is_of(&key));
        assert_eq!(next_free(&room), 64);
    }
}

//! Frames: a fixed header and a record's rkyv bytes.
//!
//! Takes a view; hands on the same record as bytes that are read in place, on any core.
//!
//! Invariants
//! 1. A frame starts on an 8-byte boundary, its payload 48 bytes later, so also on one.
//! 2. The payload was written by [`Record::encode`] for the same record type; the archived root
//!    is its last `size_of::<Archived>()` bytes, and `payload_bytes` is its exact length.
//! 3. A frame takes [`frame_bytes`] of its payload: header and payload rounded up to 8.
//!
//! Byte layout of the header, little endian, widths in bytes:
//!
//! ```text
//! 0        4        8        16          24        32     36       40       48
//! | frame  |payload | key    | event     | seq-    |split | kind   |arrival | payload ...
//! | bytes 4|bytes 4 | hash 8 | time 8    | uence 8 |  4   | 1, 0 1,| ns 8   |
//! |        |        | (slot: |           |         |      | ordinal|        |
//! |        |        | top 12)|           |         |      | 2      |        |
//! ```
//!
//! Why the key's hash and not only its slot: the consuming shard probes its table with it, so a
//! key is hashed once on its whole way; the slot is its top 12 bits.

use rkyv::Portable;
use rkyv::ser::Serializer;
use rkyv::ser::writer::Buffer;

use super::{EventTime, Fixed, KeyHash, Record};

/// Every frame starts on a multiple of this many bytes.
pub const FRAME_ALIGN: usize = 8;
/// How many bytes stand before the payload.
pub const FRAME_HEADER_BYTES: usize = 48;

/// How many bytes a frame takes whose payload has `payload_bytes`.
#[inline(always)]
#[must_use]
pub const fn frame_bytes(payload_bytes: usize) -> usize {
    FRAME_HEADER_BYTES + payload_bytes.next_multiple_of(FRAME_ALIGN)
}

/// What a row does to the table that it is part of. A plain stream only inserts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum RowKind {
    /// A new row.
    #[default]
    Insert = 0,
    /// The row as it was before an update.
    UpdateBefore = 1,
    /// The row as it is after an update.
    UpdateAfter = 2,
    /// The row is gone.
    Delete = 3,
}

impl RowKind {
    fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Insert,
            1 => Self::UpdateBefore,
            2 => Self::UpdateAfter,
            3 => Self::Delete,
            _ => panic!("a frame's kind byte is {byte}: the frame was overwritten"),
        }
    }
}

/// Where a record entered the job; with the ordinal it is the record's deterministic id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct IngressPosition {
    /// The split that it was read from.
    pub split: u32,
    /// Its number within the split, from 0; rejected and late rows are counted too.
    pub sequence: u64,
}

/// What the engine knows of a record without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameHeader {
    /// Insert, update or delete.
    pub kind: RowKind,
    /// Numbers what one input record made of itself in one stage, from 0.
    pub ordinal: u16,
    /// The hash of the key by which the frame was routed; 0 before the first `key_by`.
    pub key_hash: KeyHash,
    /// When it happened.
    pub event_time: EventTime,
    /// Where it entered.
    pub position: IngressPosition,
    /// When it should have arrived, on the engine's clock, in nanoseconds.
    pub arrival_ns: u64,
}

impl FrameHeader {
    /// Writes the header of a frame whose payload has `payload_bytes` to the start of `frame`.
    #[inline(always)]
    pub fn write(&self, payload_bytes: usize, frame: &mut [u8]) {
        let header: &mut [u8; FRAME_HEADER_BYTES] = frame
            .first_chunk_mut()
            .expect("a claim has room for the header it was made for");
        bytes_as_u32(frame_bytes(payload_bytes)).write(&mut header[0..]);
        bytes_as_u32(payload_bytes).write(&mut header[4..]);
        self.key_hash.0.write(&mut header[8..]);
        self.event_time.write(&mut header[16..]);
        self.position.sequence.write(&mut header[24..]);
        self.position.split.write(&mut header[32..]);
        (self.kind as u8).write(&mut header[36..]);
        0_u8.write(&mut header[37..]);
        self.ordinal.write(&mut header[38..]);
        self.arrival_ns.write(&mut header[40..]);
    }

    /// Reads the header at the start of `frame`.
    #[inline(always)]
    #[must_use]
    pub fn read(frame: &[u8]) -> Self {
        let header: &[u8; FRAME_HEADER_BYTES] = frame
            .first_chunk()
            .expect("a frame is never shorter than its header");
        Self {
            key_hash: KeyHash(u64::read(&header[8..])),
            event_time: EventTime::read(&header[16..]),
            position: IngressPosition {
                sequence: u64::read(&header[24..]),
                split: u32::read(&header[32..]),
            },
            kind: RowKind::from_byte(header[36]),
            ordinal: u16::read(&header[38..]),
            arrival_ns: u64::read(&header[40..]),
        }
    }
}

#[inline(always)]
fn bytes_as_u32(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a frame is shorter than 4 GiB: limits::frame_bytes_max")
}

/// One frame, read in place.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a>(&'a [u8]);

impl<'a> Frame<'a> {
    /// The frame that `bytes` start with; they may go on behind it.
    #[inline(always)]
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        debug_assert!(
            bytes.as_ptr().addr().is_multiple_of(FRAME_ALIGN),
            "invariant 1"
        );
        Self(bytes)
    }

    /// The whole frame's length, a multiple of [`FRAME_ALIGN`].
    #[inline(always)]
    #[must_use]
    pub fn frame_bytes(self) -> usize {
        u32::read(self.0) as usize
    }

    /// The header.
    #[inline(always)]
    #[must_use]
    pub fn header(self) -> FrameHeader {
        FrameHeader::read(self.0)
    }

    /// The record's rkyv bytes.
    #[inline(always)]
    #[must_use]
    pub fn payload(self) -> &'a [u8] {
        let payload_bytes = u32::read(&self.0[4..]) as usize;
        &self.0[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + payload_bytes]
    }

    /// The whole frame, header and payload with its padding.
    #[inline(always)]
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        &self.0[..self.frame_bytes()]
    }

    /// The record as closures see it.
    #[inline(always)]
    #[must_use]
    pub fn view<R: Record>(self) -> R::View<'a> {
        view_payload::<R>(self.payload())
    }
}

/// Reads a payload that this process wrote for `R` (invariant 2).
#[inline(always)]
#[must_use]
pub(crate) fn view_payload<R: Record>(payload: &[u8]) -> R::View<'_> {
    const {
        assert!(
            align_of::<R::Archived>() <= FRAME_ALIGN,
            "records are aligned to 8 at most"
        )
    };
    let root = payload
        .len()
        .checked_sub(size_of::<R::Archived>())
        .expect("a payload ends with its archived root");
    debug_assert!(
        payload.as_ptr().addr().is_multiple_of(FRAME_ALIGN),
        "invariant 1"
    );
    // SAFETY: by invariant 2 these bytes were written by `R::encode` in this process, with the
    // root at the end; invariant 1 and the const assertion above align it.
    let archived = unsafe { access_root::<R::Archived>(payload, root) };
    R::view_archived(archived)
}

#[inline(always)]
unsafe fn access_root<A: Portable>(payload: &[u8], root: usize) -> &A {
    // SAFETY: the caller's promise is the same as this function's.
    unsafe { rkyv::api::access_pos_unchecked::<A>(payload, root) }
}

/// The buffer was too short for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadFull;

/// Writes one payload; what [`Record::encode`] serialises into. Never allocates.
pub type FrameWriter<'b> = Serializer<Buffer<'b>, (), ()>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_matches_the_picture() {
        let header = FrameHeader {
            kind: RowKind::Delete,
            ordinal: 0x0102,
            key_hash: KeyHash(0x0807_0605_0403_0201),
            event_time: EventTime(-2),
            position: IngressPosition {
                split: 9,
                sequence: 10,
            },
            arrival_ns: 11,
        };
        let mut bytes = [0; FRAME_HEADER_BYTES];
        header.write(5, &mut bytes);
        let mut by_hand = Vec::new();
        by_hand.extend_from_slice(&[56, 0, 0, 0, 5, 0, 0, 0]);
        by_hand.extend_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        by_hand.extend_from_slice(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        by_hand.extend_from_slice(&[10, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3, 0, 2, 1]);
        by_hand.extend_from_slice(&[11, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes.as_slice(), by_hand.as_slice());
        assert_eq!(FrameHeader::read(&bytes), header);
    }
}

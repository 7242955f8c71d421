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
//! 0         4        5          6      8          16           24         32       36          40           48
//! | frame   | kind 1 | payload  | zero | key hash | event time | sequence | split  | ordinal   | arrival    | payload ...
//! | bytes 4 |        | padding 1|   2  |    8     |     8      |    8     |   4    |    4      | ns 8       |
//! ```
//!
//! The key's slot is the top 12 bits of its hash. Kinds from [`MARKER_KIND_MIN`] up are markers:
//! a watermark (its time is the event time), a barrier (its epoch is the sequence), the end.
//!
//! Why the key's hash and not only its slot: the consuming shard probes its table with it, so a
//! key is hashed once on its whole way; the slot is its top 12 bits.

use rkyv::Portable;
use rkyv::api::high::HighValidator;
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Failure;
use rkyv::ser::writer::Buffer;
use rkyv::ser::{Positional, Serializer};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
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

/// Kinds of row end below this byte; kinds of marker start here.
pub const MARKER_KIND_MIN: u8 = 16;

/// What stands between frames in a ring and is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// No record at or before this time follows. `idle`: the sender has nothing to say about
    /// time until it sends another one.
    Watermark {
        /// The time.
        time: EventTime,
        /// Whether the sender counts for the minimum at all.
        idle: bool,
    },
    /// Everything before it belongs to this epoch.
    Barrier(u64),
    /// Nothing follows.
    End,
}

impl Marker {
    /// Writes the marker's frame: a header without payload.
    pub fn write(self, frame: &mut [u8]) {
        let mut header = FrameHeader::default();
        let kind = match self {
            Self::Watermark { time, idle } => {
                header.event_time = time;
                header.ordinal = u32::from(idle);
                MARKER_KIND_MIN
            }
            Self::Barrier(epoch) => {
                header.position.sequence = epoch;
                MARKER_KIND_MIN + 1
            }
            Self::End => MARKER_KIND_MIN + 2,
        };
        header.write(0, frame);
        frame[4] = kind;
    }
}

/// What the engine knows of a record without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameHeader {
    /// Insert, update or delete.
    pub kind: RowKind,
    /// Numbers what one input record made of itself in one stage, from 0.
    pub ordinal: u32,
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
    /// The ordinal of item `number` of all that a record becomes in one step. The first keeps the
    /// record's, so branches that make one of one meet again however many steps they have; the
    /// others are exact while only one stage multiplies, and spread by a hash where several do.
    #[inline(always)]
    #[must_use]
    pub fn ordinal_of(&self, number: u32) -> u32 {
        match number {
            0 => self.ordinal,
            _ => (self.ordinal.rotate_left(13) ^ number).wrapping_mul(0x9e37_79b1),
        }
    }

    /// What a key's timer or window at `time` makes came of no single record: its position is
    /// made of the key and the time, and is the same on every run.
    #[must_use]
    pub fn at_time(key_hash: KeyHash, time: EventTime) -> Self {
        let spread = time.0.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let sequence = key_hash.0 ^ spread ^ (spread >> 32);
        let position = IngressPosition { split: u32::MAX, sequence };
        Self { key_hash, event_time: time, position, ..Self::default() }
    }

    /// Writes the header of a frame whose payload has `payload_bytes` to the start of `frame`.
    #[inline(always)]
    pub fn write(&self, payload_bytes: usize, frame: &mut [u8]) {
        let header: &mut [u8; FRAME_HEADER_BYTES] =
            frame.first_chunk_mut().expect("a claim has room for the header it was made for");
        let frame_bytes = frame_bytes(payload_bytes);
        bytes_as_u32(frame_bytes).write(&mut header[0..]);
        header[4] = self.kind as u8;
        #[expect(clippy::cast_possible_truncation, reason = "the padding is below 8")]
        let padding_bytes = (frame_bytes - FRAME_HEADER_BYTES - payload_bytes) as u8;
        header[5] = padding_bytes;
        0_u16.write(&mut header[6..]);
        self.key_hash.0.write(&mut header[8..]);
        self.event_time.write(&mut header[16..]);
        self.position.sequence.write(&mut header[24..]);
        self.position.split.write(&mut header[32..]);
        self.ordinal.write(&mut header[36..]);
        self.arrival_ns.write(&mut header[40..]);
    }

    /// Reads the header at the start of `frame`.
    #[inline(always)]
    #[must_use]
    pub fn read(frame: &[u8]) -> Self {
        let header: &[u8; FRAME_HEADER_BYTES] =
            frame.first_chunk().expect("a frame is never shorter than its header");
        Self {
            key_hash: KeyHash(u64::read(&header[8..])),
            event_time: EventTime::read(&header[16..]),
            position: IngressPosition {
                sequence: u64::read(&header[24..]),
                split: u32::read(&header[32..]),
            },
            kind: RowKind::from_byte(header[4]),
            ordinal: u32::read(&header[36..]),
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
        debug_assert!(bytes.as_ptr().addr().is_multiple_of(FRAME_ALIGN), "invariant 1");
        Self(bytes)
    }

    /// The frame that `bytes` are, if they are exactly one of an `R`: for bytes that come from a
    /// disk, where nothing is known of them but their checksum.
    #[must_use]
    pub fn verified<R: Record>(bytes: &'a [u8]) -> Option<Self> {
        let payload = super::layout_fields::frame_payload(bytes).ok()?;
        let is_aligned = bytes.as_ptr().addr().is_multiple_of(FRAME_ALIGN);
        (is_aligned && R::is_valid_payload(payload)).then_some(Self(bytes))
    }

    /// The whole frame's length, a multiple of [`FRAME_ALIGN`].
    #[inline(always)]
    #[must_use]
    pub fn frame_bytes(self) -> usize {
        u32::read(self.0) as usize
    }

    /// The marker that this frame is, if it is one.
    #[inline(always)]
    #[must_use]
    pub fn marker(self) -> Option<Marker> {
        if self.0[4] < MARKER_KIND_MIN { None } else { Some(self.read_marker()) }
    }

    #[cold]
    fn read_marker(self) -> Marker {
        match self.0[4] - MARKER_KIND_MIN {
            0 => Marker::Watermark {
                time: EventTime::read(&self.0[16..]),
                idle: u32::read(&self.0[36..]) != 0,
            },
            1 => Marker::Barrier(u64::read(&self.0[24..])),
            2 => Marker::End,
            other => panic!("a frame's marker byte is {other}: the frame was overwritten"),
        }
    }

    /// The header.
    #[inline(always)]
    #[must_use]
    pub fn header(self) -> FrameHeader {
        FrameHeader::read(self.0)
    }

    /// Where the record entered.
    #[inline(always)]
    #[must_use]
    pub fn position(self) -> IngressPosition {
        IngressPosition { sequence: u64::read(&self.0[24..]), split: u32::read(&self.0[32..]) }
    }

    /// The hash by which the frame was routed.
    #[inline(always)]
    #[must_use]
    pub fn key_hash(self) -> KeyHash {
        KeyHash(u64::read(&self.0[8..]))
    }

    /// The record's rkyv bytes.
    #[inline(always)]
    #[must_use]
    pub fn payload(self) -> &'a [u8] {
        let payload_end = self.frame_bytes() - usize::from(self.0[5]);
        &self.0[FRAME_HEADER_BYTES..payload_end]
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
        // Where the length follows from the type it need not be read: 9 instructions less a record.
        let payload = if R::IS_FIXED {
            debug_assert_eq!(self.payload().len(), size_of::<R::Archived>(), "invariant 2");
            &self.0[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + size_of::<R::Archived>()]
        } else {
            self.payload()
        };
        view_payload::<R>(payload)
    }
}

/// Reads a payload that this process wrote for `R` (invariant 2).
#[inline(always)]
#[must_use]
pub(crate) fn view_payload<R: Record>(payload: &[u8]) -> R::View<'_> {
    const { assert!(align_of::<R::Archived>() <= FRAME_ALIGN, "records are aligned to 8 at most") };
    let root = payload
        .len()
        .checked_sub(size_of::<R::Archived>())
        .expect("a payload ends with its archived root");
    debug_assert!(payload.as_ptr().addr().is_multiple_of(FRAME_ALIGN), "invariant 1");
    // SAFETY: by invariant 2 these bytes were written by `R::encode` in this process, with the
    // root at the end; invariant 1 and the const assertion above align it.
    let archived = unsafe { access_root::<R::Archived>(payload, root) };
    R::view_archived(archived)
}

/// Whether `payload` ends with a whole archived `A`, all of which lies within it: what makes bytes
/// that come from a disk as good as those that this process wrote (invariant 2).
#[must_use]
pub fn is_valid_root<A>(payload: &[u8]) -> bool
where
    A: Portable + for<'a> CheckBytes<HighValidator<'a, Failure>>,
{
    let Some(root) = payload.len().checked_sub(size_of::<A>()) else {
        return false;
    };
    rkyv::api::high::access_pos::<A, Failure>(payload, root).is_ok()
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

/// Writes a whole frame to the start of `frame`, which has room for [`frame_bytes`] of
/// `payload_bytes_max`; answers how many bytes it took.
#[inline(always)]
pub fn write_frame<R: Record>(header: &FrameHeader, view: R::View<'_>, frame: &mut [u8]) -> usize {
    let mut writer = Serializer::new(Buffer::from(&mut frame[FRAME_HEADER_BYTES..]), (), ());
    let encoded = R::encode(view, &mut writer);
    assert!(encoded.is_ok(), "a record is never longer than its payload_bytes_max");
    let payload_bytes = writer.pos();
    header.write(payload_bytes, frame);
    frame_bytes(payload_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_matches_the_picture() {
        let header = FrameHeader {
            kind: RowKind::Delete,
            ordinal: 0x0403_0201,
            key_hash: KeyHash(0x0807_0605_0403_0201),
            event_time: EventTime(-2),
            position: IngressPosition { split: 9, sequence: 10 },
            arrival_ns: 11,
        };
        let mut bytes = [0; FRAME_HEADER_BYTES];
        header.write(5, &mut bytes);
        let mut by_hand = Vec::new();
        by_hand.extend_from_slice(&[56, 0, 0, 0, 3, 3, 0, 0]);
        by_hand.extend_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        by_hand.extend_from_slice(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        by_hand.extend_from_slice(&[10, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 2, 3, 4]);
        by_hand.extend_from_slice(&[11, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes.as_slice(), by_hand.as_slice());
        assert_eq!(FrameHeader::read(&bytes), header);
    }

    #[test]
    fn markers_read_back() {
        let mut bytes = rkyv::util::AlignedVec::<8>::new();
        bytes.resize(FRAME_HEADER_BYTES, 0);
        for marker in
            [Marker::Watermark { time: EventTime(-7), idle: true }, Marker::Barrier(3), Marker::End]
        {
            marker.write(&mut bytes);
            assert_eq!(Frame::new(&bytes).marker(), Some(marker));
        }
    }
}

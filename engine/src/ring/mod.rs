//! Step 4, ring: moves frames from one shard to one other, without locks or copies.
//!
//! Takes frames claimed by the producing shard; hands the same bytes to the consuming shard.
//!
//! Invariants
//! 1. Only the producer writes `tail` and the lap's padding, only the consumer writes `head`.
//! 2. `head <= tail <= head + capacity_bytes`; both only grow (64 bits of bytes never wrap), are
//!    multiples of 8, and are masked on use. Bit 0 says that their writer is gone.
//! 3. Bytes in `head..tail` belong to the consumer, all others to the producer.
//! 4. A frame never straddles the end of the ring: where it would, the rest of the lap is padding
//!    and the frame starts the next lap. The padding becomes visible only with that frame.
//! 5. What data may claim ends a marker reserve before the ring is full, so that one watermark, one
//!    barrier and one end can always be sent, wherever in the lap the producer stands.
//!
//! ```text
//!   one lap                 head            tail          reserve
//!    v                       v                v           v
//!   |#### ### ##### ## pad |.#### #### #### ##|...........|rrrr|   # consumer's  . producer's
//!                       ^ lap padding, kept beside `tail`, read once a lap
//! ```
//!
//! Why bytes and not slots: frames differ in length, and a slot of the largest would waste most
//! of the ring. Why the padding is a number beside `tail` and not a padding frame: a consumer that
//! had to look for a padding frame would walk each batch twice, once for the run and once for its
//! records; like this a run is two additions, and the number arrives in the cache line that the
//! consumer loads anyway. One number is enough: a producer can pad a lap only once its consumer
//! has left the lap before. A memory mapped twice in a row would need no padding at all, but whole
//! pages, and address space tricks where a `Box` does.
//!
//! The ring wakes nobody: whoever publishes also calls [`Waker::wake`](crate::shard::park::Waker),
//! once a batch.

#[expect(unsafe_code, reason = "hands out the consumer's part of the shared bytes")]
mod consumer;
#[cfg(all(test, loom))]
mod interleavings;
#[expect(unsafe_code, reason = "the shared bytes themselves, and their loom twin")]
pub(crate) mod primitive;
#[expect(unsafe_code, reason = "hands out the producer's part of the shared bytes")]
mod producer;

pub use consumer::Consumer;
pub use producer::Producer;

use crossbeam_utils::CachePadded;
use primitive::{Arc, AtomicUsize, Memory};

/// Frames and positions are multiples of this many bytes.
pub const RING_ALIGN: usize = 8;
/// How many markers the reserve has room for: a watermark, a barrier and an end.
pub const MARKERS_RESERVED: usize = 3;
/// Rings are not shorter than this: two cache lines, which the processor prefetches as a pair.
pub const CAPACITY_BYTES_MIN: usize = 128;

const _: () = assert!(usize::BITS == 64, "invariant 2: positions never wrap");

/// Set in a position whose writer is gone (invariant 2).
const CLOSED: usize = 1;
const _: () = assert!(CLOSED < RING_ALIGN);

/// How large a ring is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSettings {
    /// The ring's memory; rounded up to a power of two.
    pub capacity_bytes: usize,
    /// The longest marker; [`MARKERS_RESERVED`] of them always have room.
    pub marker_bytes: usize,
}

impl RingSettings {
    /// The smallest ring that takes `frame_count` frames of `frame_bytes` at once, wherever they
    /// start in a lap.
    #[must_use]
    pub const fn for_frames(frame_bytes: usize, frame_count: usize, marker_bytes: usize) -> Self {
        let frame_bytes = frame_bytes.next_multiple_of(RING_ALIGN);
        let padding_bytes = frame_bytes.saturating_sub(RING_ALIGN);
        Self {
            capacity_bytes: frame_bytes * frame_count + padding_bytes + reserve_bytes(marker_bytes),
            marker_bytes,
        }
    }

    /// The longest data frame that such a ring ever takes.
    #[must_use]
    pub const fn frame_bytes_max(self) -> usize {
        // Once drained, a ring holds a frame and the padding before it, which is shorter than the
        // frame by at least `RING_ALIGN`; the reserve stays free.
        let data_bytes = self.capacity().saturating_sub(reserve_bytes(self.marker_bytes));
        (data_bytes + RING_ALIGN) / 2 / RING_ALIGN * RING_ALIGN
    }

    const fn capacity(self) -> usize {
        let bytes = self.capacity_bytes.next_power_of_two();
        if bytes < CAPACITY_BYTES_MIN { CAPACITY_BYTES_MIN } else { bytes }
    }
}

/// What data leaves free: the markers, and the padding before one of them (invariant 5). There is
/// no second padding, as the three together are shorter than a lap.
const fn reserve_bytes(marker_bytes: usize) -> usize {
    let marker_bytes = marker_bytes.next_multiple_of(RING_ALIGN);
    marker_bytes * MARKERS_RESERVED + marker_bytes.saturating_sub(RING_ALIGN)
}

/// Why a claim could not be made. The caller suspends its stage; it never spins here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimRefused {
    /// The consumer is behind: `free_bytes` is what is left, the markers' reserve included. This
    /// is back-pressure.
    #[error("the ring is full: {wanted_bytes} bytes wanted, {free_bytes} free")]
    Full {
        /// What was asked for.
        wanted_bytes: usize,
        /// What is free.
        free_bytes: usize,
    },
    /// No state of this ring would ever take such a frame.
    #[error(
        "a frame of {wanted_bytes} bytes never fits this ring, which takes {bytes_max} at most"
    )]
    TooLarge {
        /// What was asked for.
        wanted_bytes: usize,
        /// The longest frame, or marker, that this ring takes.
        bytes_max: usize,
    },
    /// The consumer is gone; the job is ending.
    #[error("the consumer is gone")]
    Closed,
}

/// Makes a ring, its memory faulted in.
///
/// # Panics
/// Where the capacity leaves no room for a data frame beside the markers: a bug in the plan.
#[must_use]
pub fn ring(settings: RingSettings) -> (Producer, Consumer) {
    let capacity_bytes = settings.capacity();
    assert!(
        settings.frame_bytes_max() > 2 * RING_ALIGN,
        "{capacity_bytes} bytes hold no data beside markers of {}",
        settings.marker_bytes
    );
    let shared = Arc::new(Shared {
        written: CachePadded::new(Written {
            tail: AtomicUsize::new(0),
            lap_padding_bytes: AtomicUsize::new(0),
        }),
        head: CachePadded::new(AtomicUsize::new(0)),
        memory: Memory::new(capacity_bytes),
    });
    (Producer::new(Arc::clone(&shared), settings), Consumer::new(shared, capacity_bytes))
}

/// What both ends see.
struct Shared {
    written: CachePadded<Written>,
    /// Next to read; the consumer's.
    head: CachePadded<AtomicUsize>,
    memory: Memory,
}

/// The producer's words, on one cache line.
struct Written {
    /// Next to write.
    tail: AtomicUsize,
    /// How much of the lap before `tail`'s is padding.
    lap_padding_bytes: AtomicUsize,
}

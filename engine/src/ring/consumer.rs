//! Step 4, ring: the consuming end.
//!
//! Takes what the producer has published; hands it on as runs of whole frames, read in place.
//!
//! Invariants
//! 1. `released <= head <= run_end <= tail_cached <= tail`: given back, next to read, the end of
//!    the run, what was last seen of the producer.
//! 2. `head..run_end` holds whole frames, lies within one lap and holds no padding.
//!
//! Why a run and not a frame at a time: the frames' lengths are the reader's to walk, and one
//! bounds check, one look at `tail` and one release serve the whole batch.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;

use super::primitive::Arc;
use super::{CLOSED, RING_ALIGN, Shared};

/// The end that reads. It can be sent to another thread, but neither shared nor cloned:
///
/// ```compile_fail
/// fn shared<T: Sync>() {}
/// shared::<pelton::ring::Consumer>();
/// ```
/// ```compile_fail
/// fn cloned<T: Clone>() {}
/// cloned::<pelton::ring::Consumer>();
/// ```
///
/// On cache lines of its own: two ends that lie side by side would slow each other down.
#[repr(align(128))]
pub struct Consumer {
    shared: Arc<Shared>,
    /// Next to read.
    head: usize,
    /// Where the run ends that starts at `head`.
    run_end: usize,
    /// What was last seen of the producer.
    tail_cached: usize,
    /// What the producer may see of `head`.
    released: usize,
    capacity_bytes: usize,
    is_producer_gone: bool,
    _not_sync: PhantomData<Cell<()>>,
}

impl Consumer {
    pub(super) fn new(shared: Arc<Shared>, capacity_bytes: usize) -> Self {
        Self {
            shared,
            head: 0,
            run_end: 0,
            tail_cached: 0,
            released: 0,
            capacity_bytes,
            is_producer_gone: false,
            _not_sync: PhantomData,
        }
    }

    /// The frames that can be read now, in one piece; empty where there is nothing. There may be
    /// more behind them, at the start of the next lap or published meanwhile: ask again after the
    /// last is taken.
    #[inline(always)]
    #[must_use]
    pub fn readable(&mut self) -> &[u8] {
        if self.head == self.run_end {
            self.next_run();
        }
        // SAFETY: by invariants 1 and 2 the range is published, not yet released, and within one
        // lap; it stays so until `release`, which needs `&mut self`.
        unsafe { self.shared.memory.slice(self.offset(), self.run_end - self.head) }
    }

    /// Frames of `bytes` together have been taken.
    ///
    /// # Panics
    /// Where that is more than was readable, or not a multiple of 8.
    #[inline(always)]
    pub fn advance(&mut self, bytes: usize) {
        assert!(
            bytes <= self.run_end - self.head && bytes.is_multiple_of(RING_ALIGN),
            "only what is readable can be taken"
        );
        self.shared.memory.note_read(self.offset(), bytes);
        self.head += bytes;
    }

    /// Gives the bytes of the taken frames back to the producer; once a batch.
    #[inline(always)]
    pub fn release(&mut self) {
        if self.head == self.released {
            return;
        }
        self.released = self.head;
        // Release: pairs with the Acquire in `Producer::load_head`; this end's reads of the bytes,
        // and of the lap's padding, are over before the producer writes there again.
        self.shared.head.store(self.released, Ordering::Release);
    }

    /// Whether the producer is gone and nothing is left to read.
    #[must_use]
    pub fn is_closed(&mut self) -> bool {
        self.readable().is_empty() && self.is_producer_gone
    }

    #[inline(always)]
    fn offset(&self) -> usize {
        self.head & (self.capacity_bytes - 1)
    }

    /// Finds the run after one that is taken.
    #[inline]
    fn next_run(&mut self) {
        if self.head == self.tail_cached {
            self.load_tail();
        }
        let lap_end = (self.head | (self.capacity_bytes - 1)) + 1;
        if self.tail_cached <= lap_end {
            self.run_end = self.tail_cached;
        } else {
            self.run_over_lap_end(lap_end);
        }
    }

    /// The producer is in the next lap: up to the padding, or where that is reached, beyond it.
    #[cold]
    fn run_over_lap_end(&mut self, lap_end: usize) {
        // Relaxed: written before the `tail` that `load_tail` saw with Acquire, and not again
        // before this end has released a head in the next lap (see `Producer::enter_next_lap`).
        let padding_bytes = self.shared.written.lap_padding_bytes.load(Ordering::Relaxed);
        let padding_start = lap_end - padding_bytes;
        if self.head == padding_start {
            self.head = lap_end;
            self.run_end = self.tail_cached;
        } else {
            self.run_end = padding_start;
        }
    }

    #[inline(always)]
    fn load_tail(&mut self) {
        // Acquire: pairs with the Release in `Producer::publish`; all bytes before `tail`, and
        // the padding of the lap before it, are there to be read.
        let tail = self.shared.written.tail.load(Ordering::Acquire);
        self.tail_cached = tail & !CLOSED;
        self.is_producer_gone = tail & CLOSED != 0;
    }
}

impl Drop for Consumer {
    /// Closes the ring: the producer's claims are refused once it looks.
    fn drop(&mut self) {
        // Release: as in `release`.
        self.shared.head.store(self.released | CLOSED, Ordering::Release);
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer")
            .field("head", &self.head)
            .field("tail_cached", &self.tail_cached)
            .field("released", &self.released)
            .field("capacity_bytes", &self.capacity_bytes)
            .finish_non_exhaustive()
    }
}

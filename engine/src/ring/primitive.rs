//! Step 4, ring: what a ring and a parking place are made of, and the loom twin of each.
//!
//! Takes nothing; hands atomics, locks, parking and the shared bytes to the files beside it. This
//! is the only file that differs under `cfg(loom)`, so that the model runs the production code.
//!
//! Invariants
//! 1. Shared bytes are written only through a range that is the producer's, and read only through
//!    one that is the consumer's (invariant 3 of `ring`): the callers' promise.
//! 2. A range that is handed out lies within the capacity: claims and runs end within their lap.
//!
//! Why bytes have a shadow under loom: loom sees accesses, not slices. Each word of the memory has
//! a shadow cell that is touched when a slice is handed out, and again when its last use is over,
//! so a publish that is too early or a release that is too weak fails the model.

use std::cell::UnsafeCell;

use twin::Shadow;
pub(crate) use twin::{Arc, AtomicUsize, Mutex, Thread, current_thread, fence, park_thread};

/// One pair of cache lines: the processor prefetches them together.
#[repr(C, align(128))]
#[derive(Clone, Copy)]
struct LinePair([u8; LINE_PAIR_BYTES]);
const LINE_PAIR_BYTES: usize = 128;

/// Not zero: zeroed memory is mapped only when it is first touched, in the middle of a run; and a
/// length that is read by mistake should not look like an empty frame.
const UNWRITTEN: u8 = 0xff;

/// The bytes that both ends of a ring see.
pub(super) struct Memory {
    lines: Box<[UnsafeCell<LinePair>]>,
    capacity_bytes: usize,
    shadow: Shadow,
}

// SAFETY: by invariant 1 no byte is written by one end while the other end may touch it.
unsafe impl Sync for Memory {}

impl Memory {
    pub(super) fn new(capacity_bytes: usize) -> Self {
        let lines = (0..capacity_bytes.div_ceil(LINE_PAIR_BYTES))
            .map(|_| UnsafeCell::new(LinePair([UNWRITTEN; LINE_PAIR_BYTES])))
            .collect();
        Self { lines, capacity_bytes, shadow: Shadow::new(capacity_bytes) }
    }

    /// Bytes to read.
    ///
    /// # Safety
    /// The range is the consumer's, and stays so while the slice lives.
    #[inline(always)]
    pub(super) unsafe fn slice(&self, offset: usize, bytes: usize) -> &[u8] {
        self.shadow.read(offset, bytes);
        let start = self.start(offset, bytes);
        // SAFETY: in bounds by invariant 2; nobody writes there while the slice lives, by the
        // caller's promise.
        unsafe { std::slice::from_raw_parts(start, bytes) }
    }

    /// Bytes to write.
    ///
    /// # Safety
    /// The range is the producer's, and stays so while the slice lives; no other slice of it is.
    #[inline(always)]
    #[expect(clippy::mut_from_ref, reason = "that the range is exclusive is the caller's promise")]
    pub(super) unsafe fn slice_mut(&self, offset: usize, bytes: usize) -> &mut [u8] {
        self.shadow.written(offset, bytes);
        let start = self.start(offset, bytes);
        // SAFETY: in bounds by invariant 2; nobody else touches it while the slice lives, by the
        // caller's promise.
        unsafe { std::slice::from_raw_parts_mut(start, bytes) }
    }

    /// The last write to a range is over: the next word is its publication.
    #[inline(always)]
    pub(super) fn note_written(&self, offset: usize, bytes: usize) {
        self.shadow.written(offset, bytes);
    }

    /// The last read of a range is over: the next word is its release.
    #[inline(always)]
    pub(super) fn note_read(&self, offset: usize, bytes: usize) {
        self.shadow.read(offset, bytes);
    }

    #[inline(always)]
    fn start(&self, offset: usize, bytes: usize) -> *mut u8 {
        debug_assert!(offset + bytes <= self.capacity_bytes, "invariant 2");
        UnsafeCell::raw_get(self.lines.as_ptr()).cast::<u8>().wrapping_add(offset)
    }
}

#[cfg(not(loom))]
mod twin {
    pub(crate) use std::sync::atomic::{AtomicUsize, fence};
    pub(crate) use std::sync::{Arc, Mutex};
    pub(crate) use std::thread::{Thread, current as current_thread};
    use std::time::Duration;

    /// Sleeps until unparked, or for the time given; may wake early.
    pub(crate) fn park_thread(timeout: Option<Duration>) {
        match timeout {
            Some(timeout) => std::thread::park_timeout(timeout),
            None => std::thread::park(),
        }
    }

    /// Nothing, outside the model.
    pub(super) struct Shadow;

    impl Shadow {
        pub(super) fn new(_capacity_bytes: usize) -> Self {
            Self
        }
        #[inline(always)]
        pub(super) fn read(&self, _offset: usize, _bytes: usize) {}
        #[inline(always)]
        pub(super) fn written(&self, _offset: usize, _bytes: usize) {}
    }
}

#[cfg(loom)]
mod twin {
    use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicUsize, fence};
    pub(crate) use loom::sync::{Arc, Mutex};
    pub(crate) use loom::thread::{Thread, current as current_thread};
    use std::time::Duration;

    use crate::ring::RING_ALIGN;

    /// Sleeps until unparked: time does not pass in the model.
    pub(crate) fn park_thread(_timeout: Option<Duration>) {
        loom::thread::park();
    }

    /// One cell a word, so that loom sees which bytes are touched when.
    pub(super) struct Shadow(Box<[UnsafeCell<()>]>);

    impl Shadow {
        pub(super) fn new(capacity_bytes: usize) -> Self {
            Self((0..capacity_bytes / RING_ALIGN).map(|_| UnsafeCell::new(())).collect())
        }
        pub(super) fn read(&self, offset: usize, bytes: usize) {
            self.cells(offset, bytes).iter().for_each(|cell| cell.with(|_| ()));
        }
        pub(super) fn written(&self, offset: usize, bytes: usize) {
            self.cells(offset, bytes).iter().for_each(|cell| cell.with_mut(|_| ()));
        }
        fn cells(&self, offset: usize, bytes: usize) -> &[UnsafeCell<()>] {
            &self.0[offset / RING_ALIGN..(offset + bytes) / RING_ALIGN]
        }
    }
}

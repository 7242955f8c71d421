//! Step 4, ring: the producing end.
//!
//! Takes the bytes that its shard writes into a claim; hands them on by moving `tail`.
//!
//! Invariants
//! 1. `published <= committed <= tail <= lap_end`: visible, whole, and where the next claim
//!    starts. `committed` is `tail`, but for padding that no frame has followed yet.
//! 2. `claim_end <= lap_end`, and `claim_end` + the reserve <= `head_cached` + the capacity. So a
//!    data claim that ends before `claim_end` needs no other check.
//! 3. `head_cached <= head`: what looks full may be free, what looks free is free.
//!
//! Why `claim_end` is kept and not computed: a claim is then one comparison, and the head, the lap
//! and the reserve are looked at only when that fails, some times a lap. The fields that a frame
//! changes are as few as can be: stores wait in one queue with the frame's own for lines that come
//! from the other core. (Leaving out `published` moved batches of one from 0.95 to 0.99 of rtrb, on
//! a shared machine.) Fetching lines ahead was tried before that and did not help; it was not tried
//! again afterwards, nor with far cores.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;

use super::primitive::Arc;
use super::{CLOSED, ClaimRefused, RING_ALIGN, RingSettings, Shared, reserve_bytes};

/// The end that writes. It can be sent to another thread, but neither shared nor cloned:
///
/// ```compile_fail
/// fn shared<T: Sync>() {}
/// shared::<pelton::ring::Producer>();
/// ```
/// ```compile_fail
/// fn cloned<T: Clone>() {}
/// cloned::<pelton::ring::Producer>();
/// ```
///
/// On cache lines of its own: two ends that lie side by side would slow each other down.
#[repr(align(128))]
pub struct Producer {
    shared: Arc<Shared>,
    /// Where the next claim starts.
    tail: usize,
    /// Where data claims have to end (invariant 2).
    claim_end: usize,
    /// Where the last marker claim ended.
    marker_end: usize,
    /// What the consumer sees.
    published: usize,
    /// Where the last lap's frames ended and its padding began.
    padding_start: usize,
    /// What was last seen of the consumer.
    head_cached: usize,
    /// Where the lap ends that `tail` is in.
    lap_end: usize,
    capacity_bytes: usize,
    frame_bytes_max: usize,
    marker_bytes: usize,
    reserve_bytes: usize,
    _not_sync: PhantomData<Cell<()>>,
}

impl Producer {
    pub(super) fn new(shared: Arc<Shared>, settings: RingSettings) -> Self {
        let capacity_bytes = settings.capacity();
        let reserve_bytes = reserve_bytes(settings.marker_bytes);
        Self {
            shared,
            tail: 0,
            claim_end: capacity_bytes - reserve_bytes,
            marker_end: 0,
            published: 0,
            padding_start: 0,
            head_cached: 0,
            lap_end: capacity_bytes,
            capacity_bytes,
            frame_bytes_max: settings.frame_bytes_max(),
            marker_bytes: settings.marker_bytes.next_multiple_of(RING_ALIGN),
            reserve_bytes,
            _not_sync: PhantomData,
        }
    }

    /// Room for one data frame, 8-byte aligned, in one piece, holding whatever was there before.
    /// A claim that is not committed is forgotten by the next one.
    ///
    /// # Errors
    /// [`ClaimRefused::Full`] where the consumer is behind, [`ClaimRefused::TooLarge`] where the
    /// frame could never be sent, [`ClaimRefused::Closed`] where nobody would read it; that is
    /// noticed when the ring is full, at the latest.
    #[inline(always)]
    pub fn claim(&mut self, frame_bytes_max: usize) -> Result<&mut [u8], ClaimRefused> {
        if frame_bytes_max > self.frame_bytes_max {
            return Err(too_large(frame_bytes_max, self.frame_bytes_max));
        }
        let wanted_bytes = frame_bytes_max.next_multiple_of(RING_ALIGN);
        if self.tail + wanted_bytes > self.claim_end {
            self.make_room(wanted_bytes, self.reserve_bytes)?;
        }
        Ok(self.open_claim(wanted_bytes))
    }

    /// Room for as many data frames as fit in one piece, for one of `frame_bytes_max` at least. The
    /// frames are written one behind the other and committed together, by the sum of their lengths.
    ///
    /// # Errors
    /// As [`Producer::claim`].
    #[inline(always)]
    pub fn claim_run(&mut self, frame_bytes_max: usize) -> Result<&mut [u8], ClaimRefused> {
        if frame_bytes_max > self.frame_bytes_max {
            return Err(too_large(frame_bytes_max, self.frame_bytes_max));
        }
        let wanted_bytes = frame_bytes_max.next_multiple_of(RING_ALIGN);
        if self.tail + wanted_bytes > self.claim_end {
            self.make_room(wanted_bytes, self.reserve_bytes)?;
        }
        Ok(self.open_claim(self.claim_end - self.tail))
    }

    /// Room for one marker, which may use the reserve.
    ///
    /// # Errors
    /// As [`Producer::claim`]; [`ClaimRefused::Full`] only where the last three markers are still
    /// unread.
    pub fn claim_marker(&mut self, bytes: usize) -> Result<&mut [u8], ClaimRefused> {
        if bytes > self.marker_bytes {
            return Err(too_large(bytes, self.marker_bytes));
        }
        let wanted_bytes = bytes.next_multiple_of(RING_ALIGN);
        self.make_room(wanted_bytes, 0)?;
        self.marker_end = self.tail + wanted_bytes;
        Ok(self.open_claim(wanted_bytes))
    }

    /// The claimed frame is complete: its first 4 bytes are its length, which is `frame_bytes`, a
    /// multiple of 8; or the frames of a run are, and it is their sum. What the claim had beyond
    /// that is free again. Not visible yet.
    ///
    /// # Panics
    /// Where the frame is longer than its claim, or not a multiple of 8.
    #[inline(always)]
    pub fn commit(&mut self, frame_bytes: usize) {
        let end = self.tail.saturating_add(frame_bytes);
        assert!(frame_bytes.is_multiple_of(RING_ALIGN), "positions are multiples of 8");
        assert!(end <= self.claim_end || end <= self.marker_end, "a frame stays within its claim");
        debug_assert!(self.starts_with_lengths(frame_bytes), "a frame starts with its length");
        self.shared.memory.note_written(self.offset(), frame_bytes);
        self.tail = end;
    }

    /// Makes all committed frames visible, at once. Answers whether there were any: then the
    /// consumer's shard is to be woken.
    #[inline(always)]
    pub fn publish(&mut self) -> bool {
        let committed = self.committed();
        if committed == self.published {
            return false;
        }
        self.published = committed;
        // Release: pairs with the Acquire in `Consumer::load_tail`; the frames' bytes and the
        // lap's padding are written before the consumer sees that they are its own.
        self.shared.written.tail.store(self.published, Ordering::Release);
        true
    }

    /// How many bytes are free, the markers' reserve included.
    #[must_use]
    pub fn free_bytes(&mut self) -> usize {
        self.load_head();
        self.head_cached + self.capacity_bytes - self.tail
    }

    /// The longest data frame that this ring ever takes.
    #[must_use]
    pub fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }

    /// Whether the consumer is gone.
    #[must_use]
    pub fn is_closed(&mut self) -> bool {
        self.load_head()
    }

    #[inline(always)]
    fn open_claim(&mut self, wanted_bytes: usize) -> &mut [u8] {
        // SAFETY: by invariant 2 (`make_room` for markers) the range lies between `tail` and
        // `head` + the capacity and within one lap, so it is the producer's; `&mut self` means
        // that no other claim is open.
        unsafe { self.shared.memory.slice_mut(self.offset(), wanted_bytes) }
    }

    /// The end of the last whole frame: `tail`, but for a lap that has no frame yet.
    #[inline(always)]
    fn committed(&self) -> usize {
        let lap_start = self.lap_end - self.capacity_bytes;
        if self.tail == lap_start { self.padding_start } else { self.tail }
    }

    /// Where `tail` lies in the memory. Only asked while `tail < lap_end`.
    #[inline(always)]
    fn offset(&self) -> usize {
        self.tail & (self.capacity_bytes - 1)
    }

    /// Finds room for `wanted_bytes` that leaves `reserve_bytes` free, in this lap or the next.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, wanted_bytes: usize, reserve_bytes: usize) -> Result<(), ClaimRefused> {
        let fits_lap = self.tail + wanted_bytes <= self.lap_end;
        let start = if fits_lap { self.tail } else { self.lap_end };
        let needed_end = start + wanted_bytes + reserve_bytes;
        if needed_end > self.head_cached + self.capacity_bytes {
            if self.load_head() {
                return Err(ClaimRefused::Closed);
            }
            if needed_end > self.head_cached + self.capacity_bytes {
                let free_bytes = self.head_cached + self.capacity_bytes - self.tail;
                return Err(ClaimRefused::Full { wanted_bytes, free_bytes });
            }
        }
        if !fits_lap {
            self.enter_next_lap();
        }
        self.claim_end = self.data_end();
        Ok(())
    }

    /// Moves `tail` to the next lap. The consumer has left the lap before this one: its head is at
    /// least `lap_end` + a frame - the capacity, so it needs that lap's padding no more.
    fn enter_next_lap(&mut self) {
        let padding_bytes = self.lap_end - self.tail;
        // Relaxed: the consumer reads it only after it has seen a `tail` beyond the lap's end,
        // which `publish` stores later with Release; and it has released what it needed of the
        // last value, which `load_head` saw with Acquire.
        self.shared.written.lap_padding_bytes.store(padding_bytes, Ordering::Relaxed);
        self.padding_start = self.tail;
        self.tail = self.lap_end;
        self.lap_end += self.capacity_bytes;
    }

    fn data_end(&self) -> usize {
        self.lap_end.min(self.head_cached + self.capacity_bytes - self.reserve_bytes)
    }

    /// Looks at the consumer again; answers whether it is gone.
    fn load_head(&mut self) -> bool {
        // Acquire: pairs with the Release in `Consumer::release`; the consumer's reads are over
        // before these bytes are written again.
        let head = self.shared.head.load(Ordering::Acquire);
        self.head_cached = head & !CLOSED;
        head & CLOSED != 0
    }

    /// Whether the first `bytes` of the open claim are whole frames.
    fn starts_with_lengths(&mut self, bytes: usize) -> bool {
        // SAFETY: the open claim is the producer's, and its slice is gone: `&mut self`.
        let mut frames: &[u8] = unsafe { self.shared.memory.slice_mut(self.offset(), bytes) };
        while let Some(length) = frames.first_chunk() {
            let frame_bytes = u32::from_le_bytes(*length) as usize;
            if frame_bytes == 0 || frame_bytes > frames.len() {
                return false;
            }
            frames = &frames[frame_bytes..];
        }
        frames.is_empty()
    }
}

impl Drop for Producer {
    /// Closes the ring. What was not published never happened.
    fn drop(&mut self) {
        // Release: as in `publish`.
        self.shared.written.tail.store(self.published | CLOSED, Ordering::Release);
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer")
            .field("tail", &self.tail)
            .field("published", &self.published)
            .field("head_cached", &self.head_cached)
            .field("capacity_bytes", &self.capacity_bytes)
            .finish_non_exhaustive()
    }
}

#[cold]
fn too_large(wanted_bytes: usize, bytes_max: usize) -> ClaimRefused {
    ClaimRefused::TooLarge { wanted_bytes, bytes_max }
}

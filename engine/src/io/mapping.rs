//! Memory straight from the kernel: regions with one writer and a frozen prefix, and mapped files.
//!
//! Takes a length, or a file; hands on bytes. A [`Region`] is zeroed memory that one owner writes.
//! Once a prefix of it is frozen, [`FrozenBytes`] lets other threads read that prefix while the
//! owner goes on writing behind it.
//!
//! ```text
//!   |######## frozen: anyone reads, nobody writes ########|...... the owner's alone ......|
//!   0                                                  frozen                          bytes
//! ```
//!
//! Invariants
//! 1. `start..start + bytes` of a region lies in the mapping that its `owner` keeps, and a mapping
//!    neither moves nor goes before its last owner.
//! 2. `frozen <= bytes`, and `frozen` only grows, but where the region is its mapping's only owner
//!    ([`Region::recycled`]). No `&mut` ever covers a byte before it: a region's
//!    [`Region::bytes_mut`] asserts that.
//! 3. A byte at or after `frozen` is reached through the region alone, by Rust's rules for `&` and
//!    `&mut`: a [`FrozenBytes`] ends at or before it.
//! 4. A file that is mapped is written and cut by nobody while it is: segment files are named once,
//!    mapped only where they are durable to the mapped length, and removed, not cut.
//!
//! Why not a `&mut` over the whole region and copies for other threads: a checkpoint would copy
//! what it flushes, on the shard's time.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use memmap2::{Mmap, MmapMut, MmapOptions, MmapRaw};

#[cfg(target_os = "linux")]
const HUGE_PAGE_BYTES: usize = 2 << 20;
const PAGE_BYTES: usize = 4096;

/// Ends the shard, and the job with it, with what to do.
#[cold]
#[expect(clippy::panic, reason = "a shard without memory for its state can't go on")]
pub fn no_memory(bytes: usize, error: &io::Error) -> ! {
    panic!(
        "no memory for {bytes} more bytes of state: {error}; raise the limit of memory, or give the \
         state a budget above which it is read from its files (--memory)"
    );
}

/// Memory with one writer and a frozen prefix.
#[derive(Debug)]
pub struct Region {
    start: NonNull<u8>,
    bytes: usize,
    frozen: usize,
    owner: Owner,
}

#[derive(Debug)]
enum Owner {
    Anonymous(Arc<MmapRaw>),
    /// Frozen throughout. Held only so that the mapping stays.
    File(#[expect(dead_code, reason = "kept so that the mapping stays")] Mmap),
}

// SAFETY: the memory belongs to the mapping, not to a thread (invariant 1), and what is shared with
// other threads is never written (invariants 2 and 3).
unsafe impl Send for Region {}
// SAFETY: a `&Region` only reads, and writing takes `&mut` (invariant 3).
unsafe impl Sync for Region {}

impl Region {
    /// `bytes` of zeroes on a page boundary, which take up memory only once they are touched.
    ///
    /// Panics where the machine has no address space left.
    #[must_use]
    pub fn zeroed(bytes: usize) -> Self {
        let memory = MmapMut::map_anon(bytes).unwrap_or_else(|error| no_memory(bytes, &error));
        #[cfg(target_os = "linux")]
        if bytes >= HUGE_PAGE_BYTES {
            // A kernel without huge pages refuses; small pages are slower, and right.
            let _ = memory.advise(memmap2::Advice::HugePage);
        }
        let owner = Arc::new(MmapRaw::from(memory));
        let start = NonNull::new(owner.as_mut_ptr()).expect("a mapping is never at address 0");
        Self { start, bytes, frozen: 0, owner: Owner::Anonymous(owner) }
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.bytes
    }

    /// How many of them are frozen.
    #[must_use]
    pub fn frozen_bytes(&self) -> usize {
        self.frozen
    }

    /// Whether this is memory of the process, and not a file's.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        matches!(self.owner, Owner::Anonymous(_))
    }

    /// All bytes.
    #[inline(always)]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the bytes are there (invariant 1); `&self` keeps the writer away (invariant 3).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) }
    }

    /// The bytes from `from` on, which must not be frozen.
    #[inline(always)]
    pub fn bytes_mut(&mut self, from: usize) -> &mut [u8] {
        assert!(from >= self.frozen, "frozen bytes never change");
        assert!(from <= self.bytes, "a place is within its region");
        // SAFETY: `from` was just compared with the length (invariant 1).
        let start = unsafe { self.start.add(from) };
        // SAFETY: the bytes are there (invariant 1) and nobody else's (invariants 2 and 3).
        unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), self.bytes - from) }
    }

    /// Freezes the bytes before `to`; hands on a handle to them. `None` where they are a file's.
    pub fn freeze(&mut self, to: usize) -> Option<FrozenBytes> {
        assert!(to <= self.bytes, "what is frozen is there");
        self.frozen = self.frozen.max(to);
        match &self.owner {
            Owner::Anonymous(owner) => Some(FrozenBytes { owner: Arc::clone(owner), bytes: to }),
            Owner::File(_) => None,
        }
    }

    /// Forgets the bytes from `bytes` on.
    #[must_use]
    pub fn limited(mut self, bytes: usize) -> Self {
        self.bytes = self.bytes.min(bytes);
        assert!(self.frozen <= self.bytes || !self.is_anonymous(), "frozen bytes stay");
        self.frozen = self.frozen.min(self.bytes);
        self
    }

    /// The same memory as zeroes, nothing of it frozen. `None` where somebody still reads it, or it is
    /// a file's.
    #[must_use]
    pub fn recycled(mut self) -> Option<Self> {
        let Owner::Anonymous(owner) = &mut self.owner else {
            return None;
        };
        // Nobody else has a handle, and whoever had one is done: `get_mut` synchronises with its drop.
        Arc::get_mut(owner)?;
        self.frozen = 0;
        self.bytes_mut(0).fill(0);
        Some(self)
    }

    /// Touches every page, so that later writes meet no fault.
    pub fn touch_pages(&mut self) {
        let from = self.frozen;
        // Page by page, as each fault then holds the memory map's lock for itself alone.
        for byte in self.bytes_mut(from).iter_mut().step_by(PAGE_BYTES) {
            *byte = std::hint::black_box(*byte);
        }
    }
}

impl From<Mapped> for Region {
    fn from(mapped: Mapped) -> Self {
        let bytes = mapped.0.len();
        let start = mapped.0.as_ptr().cast_mut();
        let start = NonNull::new(start).expect("a mapping is never at address 0");
        Self { start, bytes, frozen: bytes, owner: Owner::File(mapped.0) }
    }
}

/// A frozen prefix of a region: read by any thread, kept alive by itself.
#[derive(Debug, Clone)]
pub struct FrozenBytes {
    owner: Arc<MmapRaw>,
    bytes: usize,
}

impl Deref for FrozenBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the bytes are there (invariant 1) and never change (invariants 2 and 3).
        unsafe { std::slice::from_raw_parts(self.owner.as_ptr(), self.bytes) }
    }
}

/// A file's bytes, read through the page cache.
#[derive(Debug)]
pub struct Mapped(Mmap);

impl Mapped {
    /// The first `bytes` of `file`, which nobody changes from now on (invariant 4).
    ///
    /// # Errors
    /// `UnexpectedEof` where the file is shorter; what the system says.
    pub fn of_file(file: &File, bytes: usize) -> io::Result<Self> {
        let file_bytes = file.metadata()?.len();
        if bytes == 0 || file_bytes < bytes as u64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // SAFETY: nobody changes the file (invariant 4), and it is as long as the mapping.
        let mapped = unsafe { MmapOptions::new().len(bytes).map(file) }?;
        Ok(Self(mapped))
    }
}

impl Deref for Mapped {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_prefix_is_read_by_another_thread_while_the_rest_is_written() {
        let mut region = Region::zeroed(1 << 16);
        region.bytes_mut(0)[..4096].fill(7);
        let frozen = region.freeze(4096).unwrap();
        let reader = std::thread::spawn(move || frozen.iter().map(|&b| u64::from(b)).sum::<u64>());
        region.bytes_mut(4096).fill(1);
        assert_eq!(reader.join().unwrap(), 7 * 4096);
        assert_eq!(region.bytes()[4096], 1);
        let writing = std::panic::AssertUnwindSafe(|| region.bytes_mut(4095)[0] = 0);
        assert!(std::panic::catch_unwind(writing).is_err(), "frozen bytes are not handed out");
    }

    #[test]
    fn frozen_bytes_outlive_their_region() {
        let mut region = Region::zeroed(4096);
        region.bytes_mut(0)[0] = 9;
        let frozen = region.freeze(1).unwrap();
        drop(region);
        assert_eq!(&*frozen, &[9]);
    }

    #[test]
    fn memory_is_used_again_once_nobody_reads_it() {
        let mut region = Region::zeroed(8192);
        region.bytes_mut(0).fill(3);
        let frozen = region.freeze(4096).unwrap();
        assert!(region.recycled().is_none(), "a reader is left");
        let mut region = Region::zeroed(8192);
        region.bytes_mut(0).fill(3);
        drop((region.freeze(4096), frozen));
        let mut region = region.recycled().unwrap();
        assert_eq!((region.frozen_bytes(), region.bytes()), (0, &[0; 8192][..]));
        region.bytes_mut(0)[0] = 1;
    }

    #[test]
    fn a_file_shorter_than_its_mapping_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        let mut region = Region::from(Mapped::of_file(&file, 4096).unwrap());
        assert_eq!((region.bytes().len(), region.is_anonymous()), (4096, false));
        assert!(region.freeze(4096).is_none() && region.bytes_mut(4096).is_empty());
        let refused = Mapped::of_file(&file, 4097).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::UnexpectedEof);
    }
}

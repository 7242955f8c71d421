//! Zeroed memory, straight from the kernel.
//!
//! Takes a length; hands on that many zero bytes on a page boundary, which take up physical memory
//! only once they are touched.
//!
//! Why not a `Vec`: a table of 128 MiB on 4-KiB pages misses the TLB at nearly every probe. Large
//! blocks ask for huge pages here, which a `Vec` can't. The log's own segments are `io::mapping`'s
//! regions, which other threads may read; the index is the shard's alone.

use memmap2::MmapMut;

use crate::io::mapping::no_memory;

const HUGE_PAGE_BYTES: usize = 2 << 20;

/// A block of zeroed memory.
#[derive(Debug)]
pub(super) struct Memory(MmapMut);

impl Memory {
    /// `bytes` of zeroes.
    pub(super) fn zeroed(bytes: usize) -> Self {
        let memory = MmapMut::map_anon(bytes).unwrap_or_else(|error| no_memory(bytes, &error));
        #[cfg(target_os = "linux")]
        if bytes >= HUGE_PAGE_BYTES {
            // A kernel without huge pages refuses; small pages are slower, and right.
            let _ = memory.advise(memmap2::Advice::HugePage);
        }
        Self(memory)
    }

    #[inline(always)]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    #[inline(always)]
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

//! A simulated file: what its readers see, and what a loss of power would leave.
//!
//! Takes writes; hands on bytes, and decides by chance what a crash keeps.
//!
//! Invariants
//! 1. `seen` and `durable` differ only in sectors of `unsynced`, in those that [`Inode::lose`] has
//!    forgotten, and in length.
//! 2. A sector of 512 bytes is written whole or not at all; nothing larger is.
//! 3. Bytes past the end of the file are zero, also within its last page.
//!
//! Why pages are shared: "what would a crash leave here" is asked after every operation, and a
//! copy of the disk must cost no copy of its bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::state::Random;

pub(super) const PAGE_BYTES: u64 = 4_096;
pub(super) const SECTOR_BYTES: u64 = 512;

type Page = [u8; 4_096];

/// Bytes by page; a page that is missing is zeroes.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages {
    pub(super) len_bytes: u64,
    pages: BTreeMap<u64, Arc<Page>>,
}

/// An index within a page.
fn within(offset: u64) -> usize {
    usize::try_from(offset % PAGE_BYTES).expect("less than a page")
}

/// The parts of `offset..offset + len` that lie in one page each: where, and which of the bytes.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = offset + from as u64;
        let to = len.min(from + (4_096 - within(at)));
        let part = from..to;
        from = to;
        (!part.is_empty()).then_some((at, part))
    })
}

impl Pages {
    pub(super) fn read(&self, offset: u64, bytes: &mut [u8]) {
        for (at, part) in parts(offset, bytes.len()) {
            let bytes = &mut bytes[part];
            match self.pages.get(&(at / PAGE_BYTES)) {
                Some(page) => bytes.copy_from_slice(&page[within(at)..][..bytes.len()]),
                None => bytes.fill(0),
            }
        }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (at, part) in parts(offset, bytes.len()) {
            let page = self.pages.entry(at / PAGE_BYTES).or_insert_with(|| Arc::new([0; 4_096]));
            Arc::make_mut(page)[within(at)..][..part.len()].copy_from_slice(&bytes[part]);
        }
        self.len_bytes = self.len_bytes.max(offset + bytes.len() as u64);
    }

    fn set_len(&mut self, bytes: u64) {
        if bytes < self.len_bytes {
            self.pages.split_off(&bytes.div_ceil(PAGE_BYTES));
            if let Some(page) = self.pages.get_mut(&(bytes / PAGE_BYTES)) {
                Arc::make_mut(page)[within(bytes)..].fill(0);
            }
        }
        self.len_bytes = bytes;
    }

    fn copy_sector(&mut self, from: &Self, sector: u64) {
        let mut bytes = [0; 512];
        from.read(sector * SECTOR_BYTES, &mut bytes);
        let len_bytes = self.len_bytes;
        self.write(sector * SECTOR_BYTES, &bytes);
        self.len_bytes = len_bytes;
    }

    pub(super) fn flip(&mut self, offset: u64, bit: u8) {
        let len_bytes = self.len_bytes;
        let mut byte = [0];
        self.read(offset, &mut byte);
        self.write(offset, &[byte[0] ^ (1 << (bit % 8))]);
        self.len_bytes = len_bytes;
    }

    /// The sectors of pages from `offset` on that may hold anything but zeroes.
    fn sectors_from(&self, offset: u64) -> impl Iterator<Item = u64> {
        let per_page = PAGE_BYTES / SECTOR_BYTES;
        let pages = self.pages.range(offset / PAGE_BYTES..);
        pages
            .flat_map(move |(page, _)| page * per_page..(page + 1) * per_page)
            .filter(move |sector| (sector + 1) * SECTOR_BYTES > offset)
    }
}

/// A file without its names.
#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) seen: Pages,
    durable: Pages,
    unsynced: BTreeSet<u64>,
    preallocated_pages: u64,
}

impl Inode {
    /// A file whose bytes have been on the disk for long.
    pub(super) fn settled(bytes: &[u8]) -> Self {
        let mut pages = Pages::default();
        pages.write(0, bytes);
        Self { durable: pages.clone(), seen: pages, ..Self::default() }
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        self.seen.write(offset, bytes);
        let end = (offset + bytes.len() as u64).div_ceil(SECTOR_BYTES);
        self.unsynced.extend(offset / SECTOR_BYTES..end);
    }

    pub(super) fn set_len(&mut self, bytes: u64) {
        if bytes < self.seen.len_bytes {
            self.unsynced.extend(self.seen.sectors_from(bytes));
            self.unsynced.extend(self.durable.sectors_from(bytes));
            self.preallocated_pages = self.preallocated_pages.min(bytes.div_ceil(PAGE_BYTES));
        }
        self.seen.set_len(bytes);
    }

    pub(super) fn preallocate(&mut self, bytes: u64) {
        self.set_len(bytes);
        self.preallocated_pages = bytes.div_ceil(PAGE_BYTES);
    }

    /// What it takes of the disk's capacity.
    pub(super) fn allocated_bytes(&self) -> u64 {
        let beyond = self.seen.pages.range(self.preallocated_pages..).count();
        (self.preallocated_pages + beyond as u64) * PAGE_BYTES
    }

    /// What writing these bytes would add to that.
    pub(super) fn needed_bytes(&self, offset: u64, len: usize) -> u64 {
        let pages = parts(offset, len).map(|(at, _)| at / PAGE_BYTES);
        let missing = pages
            .filter(|page| *page >= self.preallocated_pages && !self.seen.pages.contains_key(page));
        missing.count() as u64 * PAGE_BYTES
    }

    pub(super) fn sync(&mut self) {
        for sector in std::mem::take(&mut self.unsynced) {
            self.durable.copy_sector(&self.seen, sector);
        }
        self.durable.set_len(self.seen.len_bytes);
    }

    /// What a kernel does after a failed writeback: the pages count as clean, and are not written.
    pub(super) fn lose(&mut self) {
        self.unsynced.clear();
        self.durable.set_len(self.seen.len_bytes);
    }

    /// Loses power: each unsynced sector, and the length, survives or not.
    pub(super) fn crash(&mut self, random: &mut Random) {
        for sector in std::mem::take(&mut self.unsynced) {
            if random.coin() {
                self.durable.copy_sector(&self.seen, sector);
            }
        }
        let len_bytes = if random.coin() { self.seen.len_bytes } else { self.durable.len_bytes };
        self.durable.len_bytes = self.durable.len_bytes.max(self.seen.len_bytes);
        self.durable.set_len(len_bytes);
        self.preallocated_pages = self.preallocated_pages.min(len_bytes.div_ceil(PAGE_BYTES));
        self.seen = self.durable.clone();
    }

    /// Damages a stored bit, at once and for good.
    pub(super) fn corrupt(&mut self, offset: u64, bit: u8) {
        self.seen.flip(offset, bit);
        self.durable.flip(offset, bit);
    }

    /// Cuts the file, at once and for good.
    pub(super) fn cut(&mut self, bytes: u64) {
        self.set_len(bytes);
        self.sync();
    }
}

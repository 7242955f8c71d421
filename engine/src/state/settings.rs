//! What a log is set up with, what time it is for entries that expire, and spare regions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::entry::{EXPIRES_EVENT, EXPIRES_WALL};
use crate::io::mapping::Region;
use crate::record::EventTime;

/// The shortest and the longest segment.
pub(super) const SEGMENT_SHIFT_RANGE: std::ops::RangeInclusive<u32> = 16..=26;

/// How a [`super::Store`] keeps its log.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// How many bytes a segment has: a power of two from 64 KiB to 64 MiB. No entry is longer.
    pub segment_bytes: usize,
    /// Above how many resident bytes durable segments are read from their files.
    pub budget_bytes: Option<u64>,
    /// Where new segments come from, where it has some.
    pub spare: Option<Arc<SpareRegions>>,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { segment_bytes: 16 << 20, budget_bytes: None, spare: None }
    }
}

/// Which clock an entry expires by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryKind {
    /// The watermark.
    Event,
    /// The clock on the wall.
    Wall,
}

impl ExpiryKind {
    pub(super) fn flag(self) -> u8 {
        match self {
            Self::Event => EXPIRES_EVENT,
            Self::Wall => EXPIRES_WALL,
        }
    }

    pub(super) fn of_flags(flags: u8) -> Option<Self> {
        match (flags & EXPIRES_EVENT != 0, flags & EXPIRES_WALL != 0) {
            (true, _) => Some(Self::Event),
            (false, true) => Some(Self::Wall),
            (false, false) => None,
        }
    }
}

/// What both clocks say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiryClock {
    /// The watermark.
    pub event: EventTime,
    /// Microseconds since 1970.
    pub wall_micros: i64,
}

impl ExpiryClock {
    /// Whether an entry that expires `at` by `kind` is void now.
    #[inline]
    #[must_use]
    pub fn has_passed(&self, kind: ExpiryKind, at: i64) -> bool {
        at <= match kind {
            ExpiryKind::Event => self.event.0,
            ExpiryKind::Wall => self.wall_micros,
        }
    }
}

/// Regions whose pages are there already, so that a shard that starts a segment meets no fault.
/// Another thread refills them.
///
/// A log asks for one when it has outgrown its first segment, and from then on for one ahead: most
/// logs of a small job never do, and touching a segment for each of them would cost a job's start
/// more than it saves (100 MiB and 60 ms for the fraud job on two shards).
#[derive(Debug)]
pub struct SpareRegions {
    segment_bytes: usize,
    regions: Mutex<Vec<Region>>,
    wanted: AtomicUsize,
}

impl SpareRegions {
    /// None yet, of `segment_bytes` each.
    #[must_use]
    pub fn new(segment_bytes: usize) -> Self {
        Self { segment_bytes, regions: Mutex::new(Vec::new()), wanted: AtomicUsize::new(0) }
    }

    /// A region, if there is one at once. Either way one fewer is wanted.
    #[must_use]
    pub fn try_take(&self) -> Option<Region> {
        let fewer = |wanted: usize| wanted.checked_sub(1);
        // Relaxed, here and below: the number alone is the message. Nothing was wanted: nothing is.
        let _ = self.wanted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        self.regions.try_lock().ok()?.pop()
    }

    /// One more will be taken before long.
    pub fn want(&self) {
        self.wanted.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes what is wanted, `count_max` at most.
    pub fn refill(&self, count_max: usize) {
        while self.count() < self.wanted.load(Ordering::Relaxed).min(count_max) {
            // The pages are touched while nobody waits for the lock.
            let mut region = Region::zeroed(self.segment_bytes);
            region.touch_pages();
            self.regions.lock().unwrap_or_else(PoisonError::into_inner).push(region);
        }
    }

    /// Takes a region that a log has retired, and keeps it for the next one while there are fewer than
    /// `count_max`. That spares the kernel the unmapping and faulting in of as much, and the cores of
    /// the shards the interrupts that come with it.
    pub fn give_back(&self, region: Region, count_max: usize) {
        if region.len_bytes() == self.segment_bytes
            && self.count() < count_max
            && let Some(region) = region.recycled()
        {
            self.regions.lock().unwrap_or_else(PoisonError::into_inner).push(region);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

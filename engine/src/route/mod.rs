//! Step 3, route: which shard owns a key.
//!
//! Takes a frame's key hash; hands on the `ShardId` whose key range holds the key's slot.
//!
//! Invariants
//! 1. The ranges are contiguous intervals of slots, in shard order, and cover every slot once.
//! 2. The table never changes while a job runs; a rescale starts another job from state by slot.
//!
//! Why ranges of slots and not `hash % shards`: a rescale moves whole slots, and a shard's state
//! can be listed and handed over by them.

use crate::record::{KeyHash, SLOT_COUNT, Slot};

/// A shard's number, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// An interval of slots: `first..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRange {
    /// The first slot.
    pub first: u16,
    /// One past the last slot.
    pub end: u16,
}

impl KeyRange {
    /// All slots.
    pub const ALL: Self = Self { first: 0, end: SLOT_COUNT };
}

/// Who owns which slots.
#[derive(Debug, Clone)]
pub struct RangeTable {
    owners: Box<[u16]>,
    shard_count: u16,
}

impl RangeTable {
    /// Cuts the slots into `shard_count` ranges whose lengths differ by one at most.
    ///
    /// Panics unless `1 <= shard_count <= SLOT_COUNT`: settings are checked before.
    #[must_use]
    pub fn even(shard_count: u16) -> Self {
        assert!((1..=SLOT_COUNT).contains(&shard_count), "settings bound the shard count");
        let mut owners = vec![0; usize::from(SLOT_COUNT)].into_boxed_slice();
        for shard in 0..shard_count {
            let range = Self::range_of(shard, shard_count);
            owners[usize::from(range.first)..usize::from(range.end)].fill(shard);
        }
        Self { owners, shard_count }
    }

    fn range_of(shard: u16, shard_count: u16) -> KeyRange {
        let bound = |index: u16| {
            let slot = u32::from(SLOT_COUNT) * u32::from(index) / u32::from(shard_count);
            u16::try_from(slot).expect("a slot index is at most SLOT_COUNT")
        };
        KeyRange { first: bound(shard), end: bound(shard + 1) }
    }

    /// How many shards share the slots.
    #[must_use]
    pub fn shard_count(&self) -> u16 {
        self.shard_count
    }

    /// The slots of one shard.
    #[must_use]
    pub fn range(&self, shard: ShardId) -> KeyRange {
        Self::range_of(shard.0, self.shard_count)
    }

    /// The shard that owns a key. One load.
    #[inline(always)]
    #[must_use]
    pub fn owner(&self, hash: KeyHash) -> ShardId {
        let Slot(slot) = hash.slot();
        ShardId(self.owners[usize::from(slot)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_one_owner_for_every_shard_count() {
        for shard_count in [1, 2, 3, 7, 8, 1_000, SLOT_COUNT] {
            let table = RangeTable::even(shard_count);
            let mut next = 0;
            for shard in 0..shard_count {
                let range = table.range(ShardId(shard));
                assert_eq!(range.first, next);
                assert!(range.end > range.first);
                for slot in range.first..range.end {
                    let hash = KeyHash(u64::from(slot) << 52 | 0xf_ffff);
                    assert_eq!(table.owner(hash), ShardId(shard));
                }
                next = range.end;
            }
            assert_eq!(next, SLOT_COUNT);
        }
    }
}

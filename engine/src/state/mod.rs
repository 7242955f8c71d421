//! Step 7, state: entries of bytes by (operator, slot, key, namespace), in memory.
//!
//! Takes a state write; hands on a [`LogOffset`], at which the entry is read in place.
//!
//! Invariants
//! 1. An entry never moves while it lives: an offset that [`Store`] handed out stays good until the
//!    entry is deleted, is `put` with another length, or is passed to [`Store::writable`], whose
//!    answer replaces it.
//! 2. Nobody gets a `&mut` into an entry. Its fixed-layout fields change through [`Store::set`],
//!    anything else is a new [`Store::put`]; so entries may later lie in mapped, frozen memory.
//! 3. A value starts on an 8-byte boundary, so that a frame can be kept in one and read in place.
//! 4. Keys come hashed. The high 12 bits of the hash are the slot and stay out of the table, which
//!    looks at the low ones; no key is hashed twice on its whole way.
//! 5. Every entry of an operator can be listed in slot order, from any position on.
//!
//! ```text
//!   EntryKey --mix--> Index: |tag|offset| |tag|offset| ...      one probe, 8 bytes a slot
//!                                  |
//!                                  v
//!   Arena:  | segment 0: entry entry entry ... | segment 1: ...     entries found by offset
//! ```
//!
//! Why an index of offsets beside the entries, and not a table that holds them: entries of any
//! length, that never move, are what an append log can flush, freeze and drop behind a manifest.
//! The price is a second cache miss a record; `benches/src/state.rs` says what it costs against a
//! table that keeps nothing.

mod arena;
mod cursor;
mod entry;
mod index;
mod memory;
mod store;

pub use cursor::{SlotCursor, SlotPosition};
pub use store::{Store, TOUCHED_MAX};

use crate::record::{Fixed, KeyHash, Slot};

/// The stable number of an operator of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperatorId(pub u16);

/// Where an entry lies. `LogOffset::NONE` is no entry's offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct LogOffset(pub u64);

impl LogOffset {
    /// The offset of no entry: an empty hint.
    pub const NONE: Self = Self(0);
}

impl Fixed for LogOffset {
    const BYTES: usize = 8;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        Self(u64::read(bytes))
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        self.0.write(bytes);
    }
}

/// What an entry is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryKey<'a> {
    /// Whose entry it is.
    pub operator: OperatorId,
    /// The stable hash of `key`, as it came with the frame.
    pub hash: KeyHash,
    /// The key's canonical bytes.
    pub key: &'a [u8],
    /// Tells the entries of one key apart: a pane, a chunk, a timer; 0 where there is one.
    pub namespace: u64,
}

impl EntryKey<'_> {
    /// The slot, which decides the shard.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.hash.slot()
    }

    /// The hash that the index uses: the key's, with operator and namespace mixed in. The low bits
    /// of the namespace's product are as good as its own low bits, which are poor where it is a
    /// time in whole minutes; so its high bits are folded in.
    #[inline(always)]
    fn mixed(hash: KeyHash, operator: OperatorId, namespace: u64) -> u64 {
        let spread =
            (namespace ^ (u64::from(operator.0) << 48)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash.0 ^ spread ^ (spread >> 32)
    }

    #[inline(always)]
    fn index_hash(&self) -> u64 {
        Self::mixed(self.hash, self.operator, self.namespace)
    }
}

/// An offset or a count as an index into memory.
#[inline(always)]
fn as_index(value: u64) -> usize {
    usize::try_from(value).expect("Pelton runs on 64-bit machines")
}

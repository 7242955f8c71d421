//! Step 7, state: entries of bytes by (operator, slot, key, namespace), in a log with an index.
//!
//! Takes a state write; hands on a [`LogOffset`], at which the entry is read in place. One store for
//! each shard and keyed stage; one owner, no locks.
//!
//! Invariants
//! 1. An entry moves only by three calls: a `put` of another length, [`Store::writable`], whose
//!    answer replaces the offset that it was given, and [`Store::maintain`], across which nobody
//!    may hold an offset. A stale offset is a *hint*: it may be asked about at any time, also when
//!    its segment is gone, and is never believed unchecked.
//! 2. Nobody gets a `&mut` into an entry. Its fixed-layout fields change through [`Store::set`],
//!    anything else is a new [`Store::put`].
//! 3. A value starts on an 8-byte boundary, so that a frame can be kept in one and read in place.
//! 4. Keys come hashed. The high 12 bits of the hash are the slot and stay out of the table, which
//!    looks at the low ones; no key is hashed twice on its whole way.
//! 5. Every entry of an operator can be listed in slot order, from any position on.
//! 6. What [`Store::freeze`] froze never changes in memory again: a changed entry is copied to the
//!    tail, a deleted one leaves a tomb there. So other threads may read it while the shard works.
//! 7. What a freeze gave, read back by [`Store::recover`], is the store as it was at that moment,
//!    with every entry at its offset. `recover.rs` says by which rule.
//!
//! ```text
//!   EntryKey --mix--> Index: |tag|offset| |tag|offset| ...      one probe, 8 bytes a slot
//!                                  |
//!                                  v
//!   Log:  | segment 4: a file's | segment 5: frozen | segment 6: frozen PAD| mutable ->   |
//!         ^ base                                                 frozen_to ^         tail ^
//! ```
//!
//! Why an index of offsets beside the entries, and not a table that holds them: entries of any
//! length, in the order of their writing, are what a log can flush, freeze and drop behind a
//! manifest. The price is a second cache miss a record; `benches/src/state.rs` says what it costs
//! against a table that keeps nothing.
//!
//! Why the tail changes in place and its rooms are used again: between two checkpoints a busy key
//! changes many times, and only its last state is worth flushing. A store that is never frozen is
//! all tail, and pays one comparison for it.
//!
//! Why the order within a region needs no sequence numbers: at a freeze a key has at most one live
//! entry among what was written since the last one, so "live wins over tomb" decides, whatever
//! rooms they got. Refused: a number in each entry, 8 bytes and a store a change.
//!
//! Why deaths of frozen entries are bits beside the segments and not bytes in them: they would be
//! writes to frozen bytes. A recovery finds them anew.
//!
//! Why private memory that a checkpoint copies out of, and not a shared mapping of the segment
//! file: the kernel write-protects dirty file pages while it writes them back, and the shard is
//! expected to wait in the fault; that is to be measured, and is no figure yet. Only sealed segments that a disk has are mapped, and only above the memory
//! budget.

mod ahead;
mod arena;
mod cursor;
mod entry;
mod freeze;
mod index;
mod maintain;
mod memory;
mod recover;
mod segment;
mod settings;
mod store;

pub use cursor::{SlotCursor, SlotPosition};
pub use freeze::{DurableSegment, FrozenLog, FrozenSegment};
pub use recover::{RecoveredMemory, RecoveredSegment};
pub use settings::{ExpiryClock, ExpiryKind, SpareRegions, StoreSettings};
pub use store::{Store, TOUCHED_MAX};

use crate::record::{Fixed, KeyHash, Layout, Slot};

/// A log's bytes are not what a log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A segment's header is another's.
    #[error("segment {segment} of the state log starts with {found}, where its header is expected")]
    Header {
        /// The segment.
        segment: u32,
        /// What is there.
        found: &'static str,
    },
    /// Segments don't follow each other.
    #[error("segment {found} of the state log stands where segment {expected} is expected")]
    Order {
        /// The number that comes next.
        expected: u32,
        /// The number that came.
        found: u32,
    },
    /// A segment's bytes are not as many as were promised, or not whole blocks.
    #[error("segment {segment} of the state log has {found} bytes where {expected} are expected")]
    Length {
        /// The segment.
        segment: u32,
        /// How many there should be; at most, or a multiple of the flush block.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// An entry is damaged.
    #[error(
        "the entry at byte {place} of segment {segment} of the state log is damaged: {problem}"
    )]
    Entry {
        /// The segment.
        segment: u32,
        /// Where in it.
        place: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// A record that waits as state is none of its type.
    #[error("the entry at {offset} of operator {operator} is no whole frame of a `{record}`")]
    Record {
        /// Whose entry it is.
        operator: u16,
        /// Where it lies.
        offset: u64,
        /// The record's name.
        record: &'static str,
    },
}

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
    fn layout() -> Layout {
        Layout::Hint
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

//! Step 8, checkpoint: from a barrier to a durable manifest, and back.
//!
//! Takes what every stage, source and sink says at the barrier of an epoch (a part each); hands
//! on a [`Manifest`] that is durable, and on a restart all that the newest whole one names.
//!
//! ```text
//!   shard: barrier n --freeze--> Part --channel--> coordinator: flush logs, wait for outputs,
//!                                                               manifest: write, sync, rename,
//!   shard: what is durable, files to map <--channel--           sync of the directory; commit
//! ```
//!
//! Invariants
//! 1. A checkpoint begins by noting offsets: no stage stops for it, and nothing that is frozen ever
//!    changes in memory.
//! 2. A manifest names only files that exist, are long enough, and were synced before it.
//! 3. One epoch is in flight. An ended stage's last part counts for every later epoch.
//! 4. Outputs commit after their manifest is durable, never before; commits are repeated on recovery.
//! 5. A file is removed only when no manifest that is kept names it, and no file name is used twice.
//! 6. Nothing read from a disk is trusted before its checksum was compared.
//!
//! Why a thread of its own beside the shards and not a task of theirs: flushing copies and waits;
//! a shard must do neither.

mod manifest;

pub use manifest::{
    CHECKSUM_BLOCK_BYTES, FORMAT_VERSION, LogManifest, Manifest, OperatorManifest, SegmentManifest,
    SinkManifest, SplitManifest, StateManifest,
};

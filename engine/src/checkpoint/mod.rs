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

mod coordinator;
mod directory;
mod first;
mod log_files;
mod manifest;
mod part;
mod protocol;
mod stats;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::sink::SinkError;

pub use coordinator::{
    Coordinator, CoordinatorParts, CoordinatorSettings, CoordinatorTurn, Observer, Output, Phase,
    Request, SeatKind,
};
pub use directory::{
    Damage, DirectoryError, Found, ListedManifest, OpenMode, StateDirectory, checksums,
    extend_checksums, segment_file_name,
};
pub use first::flush_first;
pub use log_files::LogFiles;
pub use manifest::{
    CHECKSUM_BLOCK_BYTES, FORMAT_VERSION, LogManifest, Manifest, ManifestError, OperatorManifest,
    SegmentManifest, SinkManifest, SplitManifest, StateManifest, decode, encode,
};
pub use part::{LogPart, Part, PartBody, PartEpoch, Report, Seat};
pub use stats::CheckpointStats;

/// Why an epoch, or the job with it, came to nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CheckpointError {
    /// The state directory.
    #[error(transparent)]
    Directory(#[from] Arc<DirectoryError>),
    /// Bytes of a log could not be made durable.
    #[error(
        "the state of epoch {epoch} can't be written to {}: {source}; {}, then resume the job",
        directory.display(), directory::advice(source)
    )]
    Flush {
        /// The epoch.
        epoch: u64,
        /// The state directory.
        directory: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// An output could not prepare or commit.
    #[error(transparent)]
    Output(#[from] Arc<SinkError>),
    /// Some stage did not come to the barrier.
    #[error("epoch {epoch} took too long; still at work: {silent}; raise the checkpoint timeout")]
    TimedOut {
        /// The epoch.
        epoch: u64,
        /// Who had not said its part.
        silent: String,
    },
    /// Epoch after epoch failed.
    #[error("{failures} checkpoints in a row have failed; the last one: {last}")]
    TooMany {
        /// How many.
        failures: u32,
        /// Why the last one did.
        last: Box<CheckpointError>,
    },
    /// An output's code panicked while an epoch was made durable.
    #[error("an output panicked while a checkpoint was made: {message}")]
    Panicked {
        /// What the panic said.
        message: String,
    },
    /// The job has no state directory.
    #[error("the job has no state directory, so it makes no checkpoints; give it one")]
    NoDirectory,
    /// The job has ended.
    #[error("the job is over, so there is no checkpoint to wait for")]
    JobOver,
}

impl CheckpointError {
    /// Whether the epoch may be durable all the same.
    fn is_undecided(&self) -> bool {
        matches!(self, Self::Directory(error) if error.is_undecided())
    }
}

impl From<DirectoryError> for CheckpointError {
    fn from(error: DirectoryError) -> Self {
        Self::Directory(Arc::new(error))
    }
}

impl From<SinkError> for CheckpointError {
    fn from(error: SinkError) -> Self {
        Self::Output(Arc::new(error))
    }
}

//! What stops a command on a state directory: one line that names the thing and says what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::checkpoint::DirectoryError;
use crate::command::CommandError;
use crate::state::StateError;

/// Why a command on a state directory could not do what it was asked for; exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum StateCommandError {
    /// The directory, or a file of it.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A log whose checksums are right and whose entries are not.
    #[error("the log of {stage} on shard {shard}: {source}; the engine that wrote it had a bug")]
    Log {
        /// The stage.
        stage: String,
        /// The shard.
        shard: u16,
        /// What is wrong.
        source: StateError,
    },
    /// No job has begun in it.
    #[error("there is no checkpoint in {} yet; run a job with --state first", directory.display())]
    Empty {
        /// The directory.
        directory: PathBuf,
    },
    /// An operator that the job has not.
    #[error("there is no operator `{operator}` in {}; it has {known}", directory.display())]
    NoOperator {
        /// The directory.
        directory: PathBuf,
        /// What was asked for.
        operator: String,
        /// Those that there are.
        known: String,
    },
    /// A key that no operator can have.
    #[error("`{key}` is no key of these operators; their keys are {layouts}")]
    NoKey {
        /// What was asked for.
        key: String,
        /// What keys look like.
        layouts: String,
    },
    /// `state verify` found what it was looking for.
    #[error(
        "{broken} of {total} checkpoints in {} are broken; {}", directory.display(),
        if broken < total {
            "a job goes on from the newest whole one"
        } else {
            "begin with a savepoint, or anew with --fresh"
        }
    )]
    Broken {
        /// The directory.
        directory: PathBuf,
        /// How many are.
        broken: usize,
        /// Of so many.
        total: usize,
    },
    /// The program has no writer for Parquet.
    #[error("this program was built without Parquet; export with --format csv")]
    NoParquet,
    /// An output.
    #[error(transparent)]
    Output(#[from] CommandError),
}

impl StateCommandError {
    /// Whether the reader of standard output has gone, as `head` does. Nothing is wrong then.
    #[must_use]
    pub fn is_reader_gone(&self) -> bool {
        matches!(self, Self::Output(error) if error.is_reader_gone())
    }

    /// What writing to `path` answered.
    pub(super) fn write(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Output(CommandError::write(path, source))
    }
}

//! Step 8, checkpoint: what is wrong with a state directory, in one line each.

use std::io;
use std::path::{Path, PathBuf};

use crate::checkpoint::manifest::ManifestError;

/// Why a state directory can't be used, or a file of it.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// There is nothing to go on from.
    #[error("there is no state in {}; {advice}", directory.display())]
    Absent {
        /// The directory.
        directory: PathBuf,
        /// What to do.
        advice: &'static str,
    },
    /// It holds something that does not belong there.
    #[error("{} holds `{file}`, and {expected} was expected; {advice}", directory.display())]
    NotEmpty {
        /// The directory.
        directory: PathBuf,
        /// The first name that does not belong there.
        file: String,
        /// What may be there.
        expected: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A new directory was asked for, and this one has state.
    #[error(
        "{} holds the state of a job up to epoch {epoch}; go on from it with --resume, or remove \
         the directory", directory.display()
    )]
    Occupied {
        /// The directory.
        directory: PathBuf,
        /// Its newest epoch.
        epoch: u64,
    },
    /// Another process has it.
    #[error(
        "the state directory {} is in use by process {process}; stop that one, or name another \
         directory", directory.display()
    )]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The process's number, as far as it is known.
        process: String,
    },
    /// A file is not what it was when it was written.
    #[error("{}: {damage}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// There were checkpoints once, and none of them can be used.
    #[error(
        "no checkpoint in {} is whole: {reasons}; begin with a savepoint, or anew with --fresh",
        directory.display()
    )]
    NoneWhole {
        /// The directory.
        directory: PathBuf,
        /// Each file and what is wrong with it.
        reasons: String,
    },
    /// A name was changed, and nobody knows whether that is durable. The job must end: what it
    /// goes on from is decided by what is there the next time.
    #[error(
        "it is not known whether {} is durable: {source}; check the disk, then resume the job",
        path.display()
    )]
    Undecided {
        /// The manifest, or the directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused something. Nothing is known to be broken.
    #[error("can't {doing} {}: {source}; {}", path.display(), advice(source))]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DirectoryError {
    /// Whether bytes on the disk are broken, so that an older checkpoint is the answer; a disk that
    /// merely refused may give the bytes the next time.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::Broken { .. })
    }

    /// Whether the epoch that was to be published may be there after a restart all the same, so
    /// that nothing of it may be taken back.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        matches!(self, Self::Undecided { .. })
    }

    /// Whether a file that was there a moment ago is missing: a job beside us may have removed it.
    #[must_use]
    pub fn is_vanished(&self) -> bool {
        match self {
            Self::Broken { damage, .. } => matches!(damage, Damage::Missing),
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    pub(super) fn io<'a>(
        doing: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}

/// What to do about what the system said.
pub(in crate::checkpoint) fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "let this user read and write it, or name another directory"
        }
        io::ErrorKind::ReadOnlyFilesystem => "name a directory that can be written",
        io::ErrorKind::NotADirectory => "name a directory",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space",
        io::ErrorKind::NotFound => "something has removed it; try again",
        _ => "check the disk",
    }
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Bytes of a manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A manifest under another epoch's name.
    #[error("it says that it is epoch {found}, and its name says {expected}")]
    Epoch {
        /// What it says.
        found: u64,
        /// What its name says.
        expected: u64,
    },
    /// A file that a manifest names is not there.
    #[error("it is missing")]
    Missing,
    /// A file is shorter than its manifest says.
    #[error("it is {found} bytes long, and its manifest names {expected}")]
    Short {
        /// How long it is.
        found: u64,
        /// How many bytes belong to the epoch.
        expected: u64,
    },
    /// A block of a segment.
    #[error("block {block} has the checksum {found:016x}, and its manifest says {expected:016x}")]
    Checksum {
        /// Which block, from 0.
        block: usize,
        /// Of the bytes that are there.
        found: u64,
        /// Of those that were written.
        expected: u64,
    },
}

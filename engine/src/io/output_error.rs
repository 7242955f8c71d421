//! What can go wrong with an output, said in one line: what, where, and what to do.
//!
//! Takes an [`io::Error`]; hands on an [`OutputError`] that every port of the file can be given,
//! which is why it is `Clone` and keeps the system's error as kind and text.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An output that could not be created, written or flushed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// Before the job starts: the file can't be made.
    #[error("can't create output {}: {problem}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: Problem,
    },
    /// A write was refused; the file is latched.
    #[error("can't write output {}: {problem}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: Problem,
    },
    /// The flush at the end was refused; what the file holds is unknown.
    #[error("can't flush output {}: {problem}", path.display())]
    Flush {
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: Problem,
    },
    /// What stands there is not what the checkpoint's state goes on from; nothing was changed.
    #[error("can't go on with output {}: {problem}", path.display())]
    Resume {
        /// The file or the directory.
        path: PathBuf,
        /// What was found, and what to do.
        problem: Problem,
    },
    /// An earlier write failed, so nothing more is taken.
    #[error("output {} takes no more since an earlier write failed: {problem}", path.display())]
    PreviousIo {
        /// The file.
        path: PathBuf,
        /// What the system said then.
        problem: Problem,
    },
}

impl OutputError {
    /// The same failure, as every call after the first sees it.
    #[must_use]
    pub fn as_previous(&self) -> Self {
        let (Self::Create { path, problem }
        | Self::Write { path, problem }
        | Self::Flush { path, problem }
        | Self::Resume { path, problem }
        | Self::PreviousIo { path, problem }) = self;
        Self::PreviousIo { path: path.clone(), problem: problem.clone() }
    }
}

/// What the system said of a file, with what a person can do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The system's kind of error.
    pub kind: io::ErrorKind,
    text: String,
}

impl Problem {
    /// Why `path` could not be created.
    #[must_use]
    pub fn of_create(path: &Path, error: &io::Error) -> Self {
        let text = match error.kind() {
            io::ErrorKind::NotFound => {
                format!("there is no directory {}; create it first", parent_of(path).display())
            }
            io::ErrorKind::NotADirectory => {
                format!("{} is not a directory; name a file in one", parent_of(path).display())
            }
            io::ErrorKind::IsADirectory => "it is a directory; name a file in it".to_owned(),
            _ => return Self::of_write(error),
        };
        Self { kind: error.kind(), text }
    }

    /// Why bytes were refused.
    pub(super) fn of_write(error: &io::Error) -> Self {
        let text = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                format!("{error}; name a place that you may write to")
            }
            io::ErrorKind::StorageFull => {
                "the disk is full; free some space, or name another place".to_owned()
            }
            io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                format!("{error}; free some space, or name another place")
            }
            io::ErrorKind::BrokenPipe => {
                "its reader is gone; keep it reading until the job ends".to_owned()
            }
            _ => format!("{error}; check the device, or name another place"),
        };
        Self { kind: error.kind(), text }
    }

    /// Why an output can't go on from a checkpoint.
    #[must_use]
    pub fn of_resume(kind: io::ErrorKind, found: &str) -> Self {
        let text =
            format!("{found}; put back what the checkpoint was made with, or start the job afresh");
        Self { kind, text }
    }

    /// Why a directory can't take a new job's parts.
    #[must_use]
    pub fn of_parts_there(name: &str) -> Self {
        let text = format!("it already holds {name}; empty it, or name another directory");
        Self { kind: io::ErrorKind::AlreadyExists, text }
    }

    /// Why a job from a savepoint can't begin a file anew that is there already.
    #[must_use]
    pub fn of_rows_there(found_bytes: u64) -> Self {
        let text = format!(
            "it already holds {found_bytes} bytes, and the savepoint knows this output by another \
             path; name that one, remove the file, or name a new one"
        );
        Self { kind: io::ErrorKind::AlreadyExists, text }
    }

    /// Why a call was refused.
    #[must_use]
    pub fn of_system(error: &io::Error) -> Self {
        Self::of_write(error)
    }

    /// The writer has ended before the port did.
    pub(super) fn writer_ended() -> Self {
        Self {
            kind: io::ErrorKind::BrokenPipe,
            text: "its writer has ended; start the job again".to_owned(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

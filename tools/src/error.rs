//! What stops the program: one line that names the thing and says what to do.

use std::io;
use std::path::Path;

use crate::fraud::rules::RulesError;

/// A runtime error of the program: `error: ...` on standard error, exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// An output can't be created.
    #[error("can't create {file}: {source}; {advice}")]
    Create {
        /// The path.
        file: String,
        /// What the system said.
        source: io::Error,
        /// What to do.
        advice: String,
    },
    /// An output can't be written to its end.
    #[error("can't write {file}: {source}; {advice}")]
    Write {
        /// The path.
        file: String,
        /// What the system said.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// Two outputs are one file.
    #[error("{first} and {second} are both {file}; give each a path of its own")]
    SamePath {
        /// The path.
        file: String,
        /// The option that named it first.
        first: String,
        /// The other one.
        second: String,
    },
    /// An output is an input too.
    #[error("{option} {file} is also an input, which it would overwrite; choose another path")]
    OutputIsInput {
        /// The path.
        file: String,
        /// The option that names it.
        option: String,
    },
    /// The rules file is not right.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The job could not start or ended early; the text says where and why.
    #[error(transparent)]
    Job(#[from] pelton::JobError),
    /// Whoever read standard output has gone, as `head` does. Nothing is wrong.
    #[error("the reader of the output has gone")]
    ReaderGone,
}

impl ProgramError {
    /// `path` can't be created.
    #[must_use]
    pub fn create(path: &Path, source: io::Error) -> Self {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let advice = match (source.kind(), folder) {
            (io::ErrorKind::NotFound, Some(folder)) => {
                format!("make the folder first: mkdir -p {}", folder.display())
            }
            (io::ErrorKind::IsADirectory, _) => "name a file in it".to_owned(),
            (io::ErrorKind::PermissionDenied, _) => "choose a place where you may write".to_owned(),
            _ => "choose another path".to_owned(),
        };
        Self::Create { file: path.display().to_string(), source, advice }
    }

    /// `path` was created but can't be written.
    #[must_use]
    pub fn write(path: &Path, source: io::Error) -> Self {
        let advice = match source.kind() {
            io::ErrorKind::BrokenPipe => return Self::ReaderGone,
            io::ErrorKind::StorageFull => {
                "the file is incomplete: free some space or choose another path"
            }
            _ => "the file is incomplete: check the device",
        };
        Self::Write { file: path.display().to_string(), source, advice }
    }
}

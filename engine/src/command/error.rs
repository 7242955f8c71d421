//! What stops a program: one line that names the thing and says what to do.

use std::io;
use std::path::Path;

use crate::chain::TerminalError;
use crate::io::OutputError;
use crate::job::JobError;
use crate::shard::StageError;
use crate::sink::SinkError;

/// A runtime error of a program: `error: ...` on standard error, exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
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
    /// A compressed output, which sinks don't write yet.
    #[error("can't write {file}: results are not compressed yet; leave {extension} off the name")]
    Compressed {
        /// The path.
        file: String,
        /// `.gz` or `.zst`.
        extension: &'static str,
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
    /// `--lateness` where nothing has a time.
    #[error("{record} has no #[event_time] field, so nothing is late; leave out --lateness")]
    NoEventTime {
        /// The record.
        record: &'static str,
    },
    /// The job could not start or ended early; the text says where and why.
    #[error(transparent)]
    Job(#[from] JobError),
    /// Whoever read standard output has gone, as `head` does. Nothing is wrong.
    #[error("the reader of the output has gone")]
    ReaderGone,
}

impl CommandError {
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

    /// Whether the job only ended because the reader of standard output had seen enough.
    #[must_use]
    pub fn is_reader_gone(&self) -> bool {
        let sink = match self {
            Self::ReaderGone => return true,
            Self::Job(JobError::Sink(sink)) => sink,
            Self::Job(JobError::Stage {
                source: StageError::Terminal(TerminalError::Sink(sink)),
                ..
            }) => sink,
            _ => return false,
        };
        match sink {
            SinkError::Output(
                OutputError::Write { path, problem }
                | OutputError::Flush { path, problem }
                | OutputError::PreviousIo { path, problem },
            ) => path == Path::new("-") && problem.kind == io::ErrorKind::BrokenPipe,
            _ => false,
        }
    }
}

//! Step 1, source: where records come from.
//!
//! Takes the inputs that a job names; hands on [`Split`]s, each an ordered run of records, which
//! the shards read in their turns. A file's split holds its decoder (step 2) and hands out views
//! of the bytes where they lie: nothing is copied between the block that was read and the view
//! that a closure sees.
//!
//! Invariants
//! 1. A split answers at once: reading and decompression are done by a helper thread, and what
//!    is not there yet is [`Next::Pending`], after which the split wakes its shard.
//! 2. A split hands out its rows in order, each exactly once, as [`Next::Record`] or
//!    [`Next::Rejected`]; together they number the positions of the split, from 0.
//! 3. `Ended` and `Failed` are final: a split says them again each time it is asked.
//! 4. Between two calls of `next` a split can say where it stands ([`Split::position`]), and a split
//!    of the same input goes on from there with the same rows ([`Split::seek`]).
//!
//! Why a split decodes: a row can only be rejected, counted and numbered where it is found, and a
//! view borrows the block it was found in. Handing on rows of bytes instead would need a second
//! pass, or a second buffer.

mod expand;
mod file;
mod file_position;
mod generator;
mod memory;
mod position;
mod push;
mod rows;

use std::io;
use std::sync::Arc;

use crate::decode::HeaderError;
pub use crate::decode::RejectReason;
use crate::io::{ReadError, plain};
use crate::record::{Item, Record};

pub use expand::{SplitPath, expand};
pub use file::{FileSettings, FileSplit, Format};
pub use file_position::byte_offset;
pub use generator::GeneratorSplit;
pub use memory::{ScriptedSplit, VecSplit};
pub use push::{PushError, PushInput, PushSplit, push_source};
pub use rows::{ROW_BYTES_MAX, ROW_KEPT_BYTES_MAX};

/// An ordered run of records that is read by one shard.
pub trait Split<R: Record>: Send {
    /// The next record, or why there is none.
    fn next(&mut self) -> Next<'_, R>;

    /// Whether it ends by itself. A bounded split is never idle.
    fn bounded(&self) -> bool;

    /// What positions, rejects and reports call it: the same in each run. Splits of a source that
    /// share a name are told apart by their order.
    fn name(&self) -> &str;

    /// Writes where the split stands, after the rows that it has handed out so far: its own bytes,
    /// versioned, for `seek` of a split of the same name in a later run.
    fn position(&self, out: &mut Vec<u8>);

    /// Goes on from a position of an earlier run, at row `sequence`. Called at most once, before
    /// the first `next`; after an error the split is not read.
    ///
    /// # Errors
    /// The input can't be read from there: it is shorter than the position, or standard input; or
    /// the position is no position of such a split.
    fn seek(&mut self, position: &[u8], sequence: u64) -> Result<(), SourceError>;
}

/// What a split answers.
pub enum Next<'s, R: Record> {
    /// A record.
    Record(R::View<'s>),
    /// A row that is no record.
    Rejected(Reject<'s>),
    /// Nothing is at hand; the split will wake its shard.
    Pending,
    /// There is no more, for good.
    Ended,
    /// It can't be read on.
    Failed(SourceError),
}

/// A rejected row, as it goes to the dead-letter output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject<'s> {
    /// The file, or the split's name.
    pub name: &'s str,
    /// The line in which the row starts, from 1; a header is line 1. 0 where it is not known.
    pub line: u64,
    /// What is wrong with it.
    pub reason: RejectReason,
    /// The row without its line ending, up to [`ROW_KEPT_BYTES_MAX`].
    pub bytes: &'s [u8],
}

/// The item type of rejected rows, for sinks that take them.
#[derive(Debug)]
pub struct Rejected;

impl Item for Rejected {
    type View<'a> = Reject<'a>;
}

/// A rejected row that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReject {
    name: String,
    line: u64,
    reason: RejectReason,
    bytes: Vec<u8>,
}

impl Reject<'_> {
    /// The same with bytes of its own.
    #[must_use]
    pub fn to_kept(&self) -> KeptReject {
        KeptReject {
            name: self.name.to_owned(),
            line: self.line,
            reason: self.reason,
            bytes: self.bytes.to_vec(),
        }
    }
}

impl KeptReject {
    /// As sinks see it.
    #[must_use]
    pub fn view(&self) -> Reject<'_> {
        Reject { name: &self.name, line: self.line, reason: self.reason, bytes: &self.bytes }
    }
}

/// An input can't be opened or read: which one, what is wrong with it, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// The file can't be opened or read, or its compression is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A directory can't be listed.
    #[error("cannot list directory \"{path}\": {}; check the path and its permissions", plain(.cause))]
    ReadDirectory {
        /// The directory.
        path: String,
        /// What the operating system says.
        cause: Arc<io::Error>,
    },
    /// A directory has no files.
    #[error("directory \"{path}\" holds no files (hidden ones do not count); check the path")]
    EmptyDirectory {
        /// The directory.
        path: String,
    },
    /// No file matches.
    #[error("no file matches \"{pattern}\"; check the pattern, and quote it for the shell")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
    /// The pattern makes no sense.
    #[error("\"{pattern}\" is not a pattern: {cause}; `*` and `?` are known")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        cause: Arc<glob::PatternError>,
    },
    /// More splits than one source reads at once.
    #[error(
        "the input has {found} files; at most {expected_max} are read at once: join some of them"
    )]
    TooManySplits {
        /// How many there are.
        found: usize,
        /// How many may be.
        expected_max: usize,
    },
    /// A file's columns do not fit the record.
    #[error("input \"{file}\", line {line}: {cause}")]
    InvalidHeader {
        /// The file.
        file: String,
        /// The line of the header.
        line: u64,
        /// What is wrong with it.
        cause: HeaderError,
    },
    /// A split can't go on from where an earlier run stood.
    #[error("cannot resume input \"{name}\": {cause}")]
    Seek {
        /// The split.
        name: String,
        /// What is in the way.
        cause: SeekError,
    },
}

/// Why a split can't go on from a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeekError {
    /// The bytes are no position.
    #[error(
        "its position of {found_bytes} bytes in the checkpoint is damaged; use an older checkpoint"
    )]
    Damaged {
        /// How long the position is.
        found_bytes: usize,
    },
    /// Another version of the engine wrote it.
    #[error(
        "its position has format {found} where {expected} is known; \
         use the version of pelton that wrote the checkpoint"
    )]
    OtherVersion {
        /// The format that is known.
        expected: u8,
        /// The format of the position.
        found: u8,
    },
    /// The position is one of another kind of split, or was read with other settings.
    #[error(
        "the checkpoint knows it as an input of another kind or format, or with the header set \
         otherwise; resume with the inputs and settings of the earlier run, or start fresh"
    )]
    OtherKind,
    /// It has fewer records than an earlier run has taken.
    #[error(
        "it ends after {found} records, and the checkpoint covers {expected_min}; \
         resume with the whole input, or start fresh"
    )]
    FewerRecords {
        /// How many the checkpoint covers.
        expected_min: u64,
        /// How many there are.
        found: u64,
    },
}

impl SeekError {
    /// The same with the name of the split.
    fn of(self, name: &str) -> SourceError {
        SourceError::Seek { name: name.to_owned(), cause: self }
    }
}

//! Reading and writing files and pipes; knows nothing of records, shards or epochs.
//!
//! Takes a path; hands on blocks of bytes, decompressed. What blocks (a disk, a pipe, a
//! decompressor) does so on a helper thread, so that a shard's turn never waits for it.
//!
//! Invariants
//! 1. A reader owns a fixed number of blocks, which go round: memory per open file is bounded, and
//!    a reader that is ahead of its shard waits.
//! 2. Whether bytes are compressed is decided by what they are; a name that promises compression
//!    which the bytes don't hold is an error, never a guess.
//! 3. A failure is latched: a failed reader fails again each time it is asked.

mod compression;
pub mod disk;
mod latch;
#[expect(unsafe_code, reason = "memory maps: regions with a frozen prefix, and files")]
pub mod mapping;
mod output;
mod output_error;
mod parts;
mod port;
mod reader;
mod writer;

use std::io;
use std::sync::Arc;

pub use compression::Compression;
pub(crate) use output_error::parent_of;
pub use output_error::{OutputError, Problem};
pub use parts::{PartName, PartNames};
pub use port::{WriteBuffer, WriterPort};
pub use reader::{
    BLOCK_BYTES, BLOCK_COUNT, Block, BlockPoll, BlockReader, Encoding, ReadSeek, ReaderMode, Wake,
};
pub use writer::{
    Durable, FileWriter, PORT_BUFFERS_MAX, WRITE_BUFFER_BYTES, WRITER_PORTS_MAX, WriterMode,
    WriterStart,
};

/// Whether an output at `path` is a pipe, a device or standard output: what is written there is
/// gone at once.
#[must_use]
pub fn is_stream(path: &std::path::Path) -> bool {
    output::is_stream(path)
}

/// A file could not be read: which one, where in it, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// It can't be opened.
    #[error("cannot open input \"{name}\": {}; check the path and its permissions", plain(.cause))]
    Open {
        /// The path as it was given.
        name: String,
        /// What the operating system says.
        cause: Arc<io::Error>,
    },
    /// It is a directory, a socket or such.
    #[error("input \"{name}\" is a directory where a file is expected; name a file in it")]
    NotAFile {
        /// The path as it was given.
        name: String,
    },
    /// The operating system failed to read on.
    #[error("cannot read input \"{name}\" at byte {offset}: {}; check the disk", plain(.cause))]
    Read {
        /// The path as it was given.
        name: String,
        /// How far reading came, in bytes of the file as it lies there.
        offset: u64,
        /// What the operating system says.
        cause: Arc<io::Error>,
    },
    /// The compressed data is cut short or damaged.
    #[error(
        "input \"{name}\" is not whole {compression} data near byte {offset}: {}; \
         fetch or compress the file again",
        plain(.cause)
    )]
    Corrupt {
        /// The path as it was given.
        name: String,
        /// How it is compressed.
        compression: Compression,
        /// How far reading came, in compressed bytes.
        offset: u64,
        /// What the decompressor says.
        cause: Arc<io::Error>,
    },
    /// It ends before the place where reading goes on.
    #[error(
        "input \"{name}\" ends at byte {found_bytes}, and reading goes on at byte \
         {expected_bytes_min}; restore the whole file, or start fresh"
    )]
    TooShort {
        /// The path as it was given.
        name: String,
        /// Where reading goes on, in bytes as they are once decompressed.
        expected_bytes_min: u64,
        /// How many there are.
        found_bytes: u64,
    },
    /// It can only be read once, from its start.
    #[error(
        "cannot go on in the middle of input \"{name}\": standard input and pipes are read only \
         once; read from a file, or start fresh"
    )]
    NotReplayable {
        /// The path as it was given.
        name: String,
    },
}

/// An operating system's error as a person reads it, without `(os error 2)`.
#[must_use]
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((before, _)) => before.to_owned(),
        None => text,
    }
}

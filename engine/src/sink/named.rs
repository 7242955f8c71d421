//! An output as a command line names it: a file, or, behind a slash, a directory.
//!
//! Takes a path; hands on the sink that it stands for. Both write the same lines through the same
//! shard's end, so there is no dynamic call.

use std::path::PathBuf;

use super::{
    DirectorySink, Epoch, FileShard, FileSink, Guarantee, RowFormat, SinkError, SinkFactory,
    SinkSeat, SinkStart,
};
use crate::record::Item;

/// A file, or a directory with a file for each epoch.
#[derive(Debug)]
pub enum NamedSink<F> {
    /// One file; standard output for `-`.
    File(FileSink<F>),
    /// A directory.
    Directory(DirectorySink<F>),
}

impl<F> NamedSink<F> {
    /// What `path` names: a directory where it ends in a slash, and its files then end in
    /// `extension`; else a file.
    pub fn new(path: impl Into<PathBuf>, format: F, extension: &str) -> Self {
        let path = path.into();
        match path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            true => Self::Directory(DirectorySink::new(path, format).extension(extension)),
            false => Self::File(FileSink::new(path, format)),
        }
    }
}

impl<I: Item, F: RowFormat<I>> SinkFactory<I> for NamedSink<F> {
    type Sink = FileShard<I, F>;

    fn check(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        match self {
            Self::File(file) => SinkFactory::<I>::check(file, start),
            Self::Directory(directory) => SinkFactory::<I>::check(directory, start),
        }
    }

    fn begin(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        match self {
            Self::File(file) => SinkFactory::<I>::begin(file, start),
            Self::Directory(directory) => SinkFactory::<I>::begin(directory, start),
        }
    }

    fn open(&self, seat: SinkSeat) -> FileShard<I, F> {
        match self {
            Self::File(file) => file.open(seat),
            Self::Directory(directory) => directory.open(seat),
        }
    }

    fn prepared(&self, epoch: Epoch) -> Result<Option<Vec<u8>>, SinkError> {
        match self {
            Self::File(file) => SinkFactory::<I>::prepared(file, epoch),
            Self::Directory(directory) => SinkFactory::<I>::prepared(directory, epoch),
        }
    }

    fn commit(&self, epoch: Epoch) -> Result<(), SinkError> {
        match self {
            Self::File(file) => SinkFactory::<I>::commit(file, epoch),
            Self::Directory(directory) => SinkFactory::<I>::commit(directory, epoch),
        }
    }

    fn abort(&self, epoch: Epoch) {
        match self {
            Self::File(file) => SinkFactory::<I>::abort(file, epoch),
            Self::Directory(directory) => SinkFactory::<I>::abort(directory, epoch),
        }
    }

    fn finish(&self) -> Result<u64, SinkError> {
        match self {
            Self::File(file) => SinkFactory::<I>::finish(file),
            Self::Directory(directory) => SinkFactory::<I>::finish(directory),
        }
    }

    fn guarantee(&self) -> Guarantee {
        match self {
            Self::File(file) => SinkFactory::<I>::guarantee(file),
            Self::Directory(directory) => SinkFactory::<I>::guarantee(directory),
        }
    }
}

//! A file, or standard output, in any line format.
//!
//! Takes items from every shard; hands on one file in which no two lines mix. Lines of one shard
//! keep their order; those of different shards stand in no order.
//!
//! The file is created afresh when the job begins, with the default permissions. With checkpoints,
//! a job that is resumed cuts it to the length that it had at the resumed epoch and appends, so it
//! holds each row once; readers may see rows of later epochs that a crash takes back. A pipe or
//! standard output can't be cut: rows since the last epoch come again.

use std::io::ErrorKind;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::position::{self, Kind};
use super::{
    Csv, Epoch, Guarantee, Json, Lines, Meter, RowFormat, Sink, SinkError, SinkFactory, SinkSeat,
    SinkStart,
};
use crate::chain::Flow;
use crate::io::{FileWriter, OutputError, Problem, WriterStart, is_stream, parent_of};
use crate::record::{FrameHeader, Item};

/// An output file in format `F`.
#[derive(Debug)]
pub struct FileSink<F> {
    path: PathBuf,
    format: F,
    writer: Mutex<Option<FileWriter>>,
}

/// One shard's end of a [`FileSink`].
#[derive(Debug)]
pub struct FileShard<I, F> {
    pub(super) items: PhantomData<fn(I)>,
    pub(super) format: F,
    pub(super) lines: Lines,
    pub(super) meter: Meter,
}

impl<F> FileSink<F> {
    /// Lines in `format` to `path`; `-` is standard output.
    pub fn new(path: impl Into<PathBuf>, format: F) -> Self {
        Self { path: path.into(), format, writer: Mutex::new(None) }
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, Option<FileWriter>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kind(&self) -> Kind {
        if is_stream(&self.path) { Kind::Stream } else { Kind::File }
    }

    /// The file's length at the epoch to go on from, where the file is long enough.
    fn resumed(&self, start: &SinkStart<'_>) -> Result<Option<u64>, SinkError> {
        let Some(durable) = position::resumed(start, self.kind(), &self.path)? else {
            return Ok(None);
        };
        let length_bytes = durable.length_bytes;
        if self.kind() == Kind::File {
            let file = start.disk.open(&self.path, false);
            match file.and_then(|file| file.len_bytes()) {
                Ok(found) if found >= length_bytes => {}
                Ok(found) => {
                    let found = format!("it holds {found} bytes of at least {length_bytes}");
                    return Err(self.refused(ErrorKind::UnexpectedEof, &found));
                }
                Err(error) => {
                    let found = format!("it can't be opened ({error})");
                    return Err(self.refused(error.kind(), &found));
                }
            }
        }
        Ok(Some(length_bytes))
    }

    /// Whether the file may be made: there is a directory for it, and nothing that a job from a
    /// savepoint would lose. What it holds may be the savepoint's own rows, by another name.
    fn check_new(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        let path = || self.path.clone();
        // One that may be written to and not listed is fine: whether it may be is seen at the start.
        if let Err(error) = start.disk.list(parent_of(&self.path))
            && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        {
            let problem = Problem::of_create(&self.path, &error);
            return Err(OutputError::Create { path: path(), problem }.into());
        }
        let file = start.disk.open(&self.path, false);
        match file.and_then(|file| file.len_bytes()) {
            Ok(found) if found > 0 && start.from_savepoint && start.resume.is_some() => {
                let problem = Problem::of_rows_there(found);
                Err(OutputError::Resume { path: path(), problem }.into())
            }
            _ => Ok(()),
        }
    }

    fn refused(&self, kind: ErrorKind, found: &str) -> SinkError {
        let problem = Problem::of_resume(kind, found);
        OutputError::Resume { path: self.path.clone(), problem }.into()
    }
}

impl FileSink<Csv> {
    /// CSV; see [`Csv`].
    pub fn csv(path: impl Into<PathBuf>) -> Self {
        Self::new(path, Csv::new())
    }
}

impl FileSink<Json> {
    /// Newline-delimited JSON; see [`Json`].
    pub fn json(path: impl Into<PathBuf>) -> Self {
        Self::new(path, Json::new())
    }
}

impl<I: Item, F: RowFormat<I>> SinkFactory<I> for FileSink<F> {
    type Sink = FileShard<I, F>;

    fn check(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        if self.resumed(start)?.is_some() || self.kind() != Kind::File {
            return Ok(());
        }
        self.check_new(start)
    }

    fn begin(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        let header = self.format.header().map(|line| line + "\n").unwrap_or_default();
        let start = WriterStart {
            clock: start.clock,
            mode: start.mode,
            disk: start.disk,
            preamble: header.as_bytes(),
            marked: start.checkpointed,
            mark: start.epoch.0,
            resumed_bytes: self.resumed(start)?,
        };
        *self.writer() = Some(FileWriter::file(&self.path, &start)?);
        Ok(())
    }

    fn open(&self, seat: SinkSeat) -> FileShard<I, F> {
        let port = self
            .writer()
            .as_mut()
            .expect("a job begins its sinks before it opens them")
            .port(seat.wake);
        FileShard {
            items: PhantomData,
            format: self.format.clone(),
            lines: Lines::new(port),
            meter: seat.meter,
        }
    }

    fn prepared(&self, epoch: Epoch) -> Result<Option<Vec<u8>>, SinkError> {
        let mut writer = self.writer();
        let writer = writer.as_mut().expect("a job begins its sinks before it prepares them");
        Ok(writer.durable(epoch.0)?.map(|at| position::encode(self.kind(), &self.path, &at)))
    }

    fn finish(&self) -> Result<u64, SinkError> {
        let writer = self.writer().take();
        Ok(writer.map_or(Ok(0), FileWriter::finish)?)
    }

    fn guarantee(&self) -> Guarantee {
        match self.kind() {
            Kind::File => Guarantee::ExactlyOnce,
            Kind::Stream | Kind::Directory => Guarantee::AtLeastOnce,
        }
    }
}

impl<I: Item, F: RowFormat<I>> Sink<I> for FileShard<I, F> {
    #[inline]
    fn write(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow {
        let Some(buffer) = self.lines.room() else {
            return Flow::Blocked;
        };
        self.format.write(header, view, &mut buffer.bytes);
        buffer.bytes.push(b'\n');
        if header.arrival_ns != 0 {
            buffer.arrivals_ns.push(header.arrival_ns);
        }
        self.meter.handed(header.arrival_ns);
        Flow::Ready
    }

    fn flush(&mut self, busy: bool) {
        if !busy {
            self.lines.flush();
        }
        self.meter.offer();
    }

    fn poll(&mut self) -> Result<bool, SinkError> {
        self.lines.poll(&mut self.meter)
    }

    fn prepare(&mut self, epoch: Epoch) {
        self.lines.pass(epoch.0);
    }

    fn end(&mut self) -> Result<bool, SinkError> {
        self.lines.end(&mut self.meter)
    }
}

//! A file, or standard output, in any line format.
//!
//! Takes items from every shard; hands on one file in which no two lines mix. Lines of one shard
//! keep their order; those of different shards stand in no order.
//!
//! The file is created afresh when the job begins, with the default permissions.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::{Csv, Json, Lines, Meter, RowFormat, Sink, SinkError, SinkFactory, SinkSeat};
use crate::chain::Flow;
use crate::clock::Clock;
use crate::io::{FileWriter, WriterMode};
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
    items: PhantomData<fn(I)>,
    format: F,
    lines: Lines,
    meter: Meter,
}

impl<F> FileSink<F> {
    /// Lines in `format` to `path`; `-` is standard output.
    pub fn new(path: impl Into<PathBuf>, format: F) -> Self {
        Self { path: path.into(), format, writer: Mutex::new(None) }
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, Option<FileWriter>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn begin(&self, clock: &Clock, mode: WriterMode) -> Result<(), SinkError> {
        let header = self.format.header().map(|line| line + "\n");
        let preamble = header.as_deref().unwrap_or_default().as_bytes();
        let writer = FileWriter::create(&self.path, mode, clock, preamble)?;
        *self.writer() = Some(writer);
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

    fn finish(&self) -> Result<u64, SinkError> {
        let writer = self.writer().take();
        Ok(writer.map_or(Ok(0), FileWriter::finish)?)
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

    fn end(&mut self) -> Result<bool, SinkError> {
        self.lines.end(&mut self.meter)
    }
}

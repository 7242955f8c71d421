//! A directory of files, one for each epoch: readers see whole epochs or nothing of them.
//!
//! Takes items from every shard; hands on `part-<epoch>.<extension>` at each commit, where the
//! number is that of the first epoch it holds (an epoch that was given up is in the same commit as
//! the next). Epochs without items make no file. Without checkpoints there is one file, at the end.
//!
//! Invariants
//! 1. What is not committed has a name that starts with a dot.
//! 2. `begin` makes the directory hold the epochs up to the resumed one and nothing of a later
//!    one, whatever a crash left behind: it ends what that epoch's commit began, and removes later
//!    parts, visible ones too. Those are there where the newest manifest turned out to be broken.
//! 3. A new job takes a directory without visible parts only: to remove them is for a person.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::position::{self, Kind};
use super::{
    Csv, Epoch, FileShard, Guarantee, Json, Lines, RowFormat, SinkError, SinkFactory, SinkSeat,
    SinkStart,
};
use crate::io::{Durable, FileWriter, OutputError, PartName, PartNames, Problem, WriterStart};
use crate::record::Item;

/// An output directory in format `F`.
pub struct DirectorySink<F> {
    names: PartNames,
    format: F,
    writer: Mutex<Option<FileWriter>>,
}

impl<F> fmt::Debug for DirectorySink<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectorySink").field("names", &self.names).finish_non_exhaustive()
    }
}

impl<F> DirectorySink<F> {
    /// Lines in `format`, in files of `directory` that end in `.part`; see
    /// [`DirectorySink::extension`].
    pub fn new(directory: impl Into<PathBuf>, format: F) -> Self {
        let names = PartNames { directory: directory.into(), extension: "part".to_owned() };
        Self { names, format, writer: Mutex::new(None) }
    }

    /// What the files' names end in, without the dot.
    #[must_use]
    pub fn extension(mut self, extension: &str) -> Self {
        extension.clone_into(&mut self.names.extension);
        self
    }

    fn writer(&self) -> MutexGuard<'_, Option<FileWriter>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parts that are there; none where there is no directory.
    fn found(&self, start: &SinkStart<'_>) -> Result<Vec<PartName>, SinkError> {
        match self.names.list(start.disk.as_ref()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.failed(&error)),
            Ok(found) => Ok(found),
        }
    }

    fn failed(&self, error: &io::Error) -> SinkError {
        let path = self.names.directory.clone();
        OutputError::Create { path, problem: Problem::of_system(error) }.into()
    }

    fn refused(&self, problem: Problem) -> SinkError {
        OutputError::Resume { path: self.names.directory.clone(), problem }.into()
    }

    /// What it goes on from, checked against what is there.
    fn resumed(&self, start: &SinkStart<'_>) -> Result<Option<Durable>, SinkError> {
        let found = self.found(start)?;
        let resumed = position::resumed(start, Kind::Directory, &self.names.directory)?;
        let Some(durable) = &resumed else {
            let visible = |part: &PartName| matches!(part, PartName::Visible(_));
            return match found.into_iter().find(visible) {
                Some(PartName::Visible(number)) => {
                    let path = self.names.visible(number);
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    Err(self.refused(Problem::of_parts_there(&name)))
                }
                _ => Ok(None),
            };
        };
        for &(number, length_bytes) in &durable.parts {
            let path = if found.contains(&PartName::Visible(number)) {
                self.names.visible(number)
            } else {
                self.names.pending(number)
            };
            let len_bytes = start.disk.open(&path, false).and_then(|file| file.len_bytes());
            if len_bytes.as_ref().ok() != Some(&length_bytes) {
                let found = format!("{} is missing or of another length", path.display());
                return Err(self.refused(Problem::of_resume(io::ErrorKind::NotFound, &found)));
            }
        }
        Ok(resumed)
    }

    /// Invariant 2.
    fn take_back(&self, start: &SinkStart<'_>, resumed: Option<&Durable>) -> io::Result<()> {
        let (disk, last) = (start.disk.as_ref(), start.epoch.0);
        disk.create_directory(&self.names.directory)?;
        let parts = resumed.map_or(&[][..], |durable| &durable.parts);
        let is_listed = |number: u64| parts.iter().any(|(listed, _)| *listed == number);
        for part in self.names.list(disk)? {
            match part {
                PartName::Pending(number) if is_listed(number) => {
                    self.names.reveal(disk, number)?
                }
                PartName::Pending(number) => disk.remove(&self.names.pending(number))?,
                PartName::Visible(number) if number > last => {
                    disk.remove(&self.names.visible(number))?;
                }
                PartName::Visible(_) => {}
            }
        }
        disk.sync_directory(&self.names.directory)
    }
}

impl DirectorySink<Csv> {
    /// CSV, with the header line in each file; see [`Csv`].
    pub fn csv(directory: impl Into<PathBuf>) -> Self {
        Self::new(directory, Csv::new()).extension("csv")
    }
}

impl DirectorySink<Json> {
    /// Newline-delimited JSON; see [`Json`].
    pub fn json(directory: impl Into<PathBuf>) -> Self {
        Self::new(directory, Json::new()).extension("ndjson")
    }
}

impl<I: Item, F: RowFormat<I>> SinkFactory<I> for DirectorySink<F> {
    type Sink = FileShard<I, F>;

    fn check(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        self.resumed(start).map(|_| ())
    }

    fn begin(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        let resumed = self.resumed(start)?;
        let taken_back = self.take_back(start, resumed.as_ref());
        taken_back.map_err(|error| self.failed(&error))?;
        let header = self.format.header().map(|line| line + "\n").unwrap_or_default();
        let start = WriterStart {
            clock: start.clock,
            mode: start.mode,
            disk: start.disk,
            preamble: header.as_bytes(),
            marked: start.checkpointed,
            mark: start.epoch.0,
            resumed_bytes: resumed.map(|durable| durable.length_bytes),
        };
        *self.writer() = Some(FileWriter::parts(self.names.clone(), &start)?);
        Ok(())
    }

    fn open(&self, seat: SinkSeat) -> FileShard<I, F> {
        let mut writer = self.writer();
        let port = writer.as_mut().expect("a job begins its sinks before it opens them");
        FileShard {
            items: PhantomData,
            format: self.format.clone(),
            lines: Lines::new(port.port(seat.wake)),
            meter: seat.meter,
        }
    }

    fn prepared(&self, epoch: Epoch) -> Result<Option<Vec<u8>>, SinkError> {
        let mut writer = self.writer();
        let writer = writer.as_mut().expect("a job begins its sinks before it prepares them");
        let durable = writer.durable(epoch.0)?;
        Ok(durable.map(|at| position::encode(Kind::Directory, &self.names.directory, &at)))
    }

    fn commit(&self, epoch: Epoch) -> Result<(), SinkError> {
        Ok(self.writer().as_mut().map_or(Ok(()), |writer| writer.reveal(epoch.0))?)
    }

    fn finish(&self) -> Result<u64, SinkError> {
        let writer = self.writer().take();
        Ok(writer.map_or(Ok(0), FileWriter::finish)?)
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }
}

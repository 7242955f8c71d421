//! One writer for each output: shards hand it whole buffers and never wait for the disk.
//!
//! Takes buffers of whole lines from the ports of several shards, and the marks that each port
//! passes; hands on the bytes in the file, and gives each buffer back to its port with the time at
//! which the write was complete.
//!
//! Invariants
//! 1. A buffer holds whole lines and is written in one piece, so lines of several shards never
//!    run into each other. Buffers of one port are written in the order of their submission.
//! 2. A port owns at most [`PORT_BUFFERS_MAX`] buffers, so no `send` back to it ever waits; the
//!    orders have no bound of their own, as a mark must be sent where no buffer is left.
//! 3. The first failure is latched: nothing is written after it, and every call but the first one
//!    that reports it gets [`OutputError::PreviousIo`]. Recovery is a restart, never a retry.
//! 4. A file is synced by [`FileWriter::durable`], on its caller's thread, and once more by
//!    [`FileWriter::finish`]; never by the writer's thread while shards wait for it.
//!
//! Why a thread and not io_uring from the shard: this works on pipes, terminals and where
//! io_uring is forbidden, and formatting, not writing, is what costs. The price is one futex wake
//! a buffer when the thread is parked.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::disk::{Disk, SharedFile};
use super::latch::{Latch, lock};
use super::output::{Marks, Output, Request, Target, is_stream};
use super::output_error::{OutputError, Problem};
use super::parts::{PartNames, Parts};
use super::port::WriterPort;
use super::reader::Wake;
use crate::clock::Clock;

/// How many bytes a buffer holds before it is handed over.
pub const WRITE_BUFFER_BYTES: usize = 256 * 1024;
/// How many buffers a port owns: one being filled, one being written, one waiting.
pub const PORT_BUFFERS_MAX: usize = 3;
/// How many ports a writer has at most.
pub const WRITER_PORTS_MAX: usize = 1_024;

/// Where writing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterMode {
    /// On a thread of its own: production.
    Thread,
    /// Within `submit`: the simulator, which is one thread.
    Inline,
}

/// What a writer starts from.
#[derive(Debug, Clone, Copy)]
pub struct WriterStart<'w> {
    /// Tells when writes were complete.
    pub clock: &'w Clock,
    /// Where writing happens.
    pub mode: WriterMode,
    /// Where files are; pipes and standard output are the machine's.
    pub disk: &'w Arc<dyn Disk>,
    /// What stands before all lines.
    pub preamble: &'w [u8],
    /// Whether ports pass marks. Without, marks are dropped where they come.
    pub marked: bool,
    /// The mark that the output begins with: all that its ports pass is later.
    pub mark: u64,
    /// How long the output was at `mark`, to go on from there; none: made afresh.
    pub resumed_bytes: Option<u64>,
}

/// What is durable up to a mark.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Durable {
    /// How long the output is.
    pub length_bytes: u64,
    /// The parts that are not yet final, by number and length.
    pub parts: Vec<(u64, u64)>,
}

/// The writer of one output file, of a directory of parts, or of standard output.
#[derive(Debug)]
pub struct FileWriter {
    link: Link,
    latch: Arc<Latch>,
    marks: Arc<Mutex<Marks>>,
    place: Place,
    disk: Arc<dyn Disk>,
    thread: Option<JoinHandle<u64>>,
    port_count: usize,
    is_marked: bool,
}

/// What is made durable.
#[derive(Debug)]
enum Place {
    /// The file, its directory, and whether its name there is durable.
    File(SharedFile, PathBuf, bool),
    /// Nothing can be.
    Stream,
    Parts(PartNames),
}

/// How a port reaches its file.
#[derive(Debug, Clone)]
pub(super) enum Link {
    Thread(Sender<Order>),
    Inline(Arc<Mutex<Output>>),
}

#[derive(Debug)]
pub(super) enum Order {
    /// One more port.
    Open,
    Take(usize, Request),
    Finish,
}

impl FileWriter {
    /// A file, a pipe, a device, or standard output (`-`): made afresh with the preamble, or cut to
    /// the length that it goes on from.
    ///
    /// # Errors
    /// [`OutputError::Create`] where the path is a directory, lies in none, or is forbidden;
    /// [`OutputError::Write`] where the preamble is refused.
    pub fn file(path: &Path, start: &WriterStart<'_>) -> Result<Self, OutputError> {
        let created = |error: &io::Error| OutputError::Create {
            path: path.to_owned(),
            problem: Problem::of_create(path, error),
        };
        let (target, place) = if is_stream(path) {
            (open_stream(path).map_err(|error| created(&error))?, Place::Stream)
        } else {
            let file = match start.resumed_bytes {
                None => create_file(start.disk.as_ref(), path, start.mode),
                Some(length_bytes) => start
                    .disk
                    .open(path, true)
                    .and_then(|file| file.set_len(length_bytes).map(|()| file)),
            }
            .map_err(|error| created(&error))?;
            let directory = super::parent_of(path).to_owned();
            (Target::File(Arc::clone(&file)), Place::File(file, directory, false))
        };
        Self::start(path, target, place, start)
    }

    /// A directory of parts; the preamble stands at the start of each.
    ///
    /// # Errors
    /// [`OutputError::Create`] where the writer can't start.
    pub fn parts(names: PartNames, start: &WriterStart<'_>) -> Result<Self, OutputError> {
        let next = start.mark + 1;
        let parts = Parts::new(names.clone(), start.disk, start.mode, start.preamble, next);
        let path = names.directory.clone();
        let start = WriterStart { preamble: b"", ..*start };
        Self::start(&path, Target::Parts(parts), Place::Parts(names), &start)
    }

    fn start(
        path: &Path,
        target: Target,
        place: Place,
        start: &WriterStart<'_>,
    ) -> Result<Self, OutputError> {
        let latch = Arc::new(Latch::new(path));
        let is_threaded = start.mode == WriterMode::Thread;
        let from = (start.mark, start.resumed_bytes.unwrap_or(0));
        let mut output = Output::new(target, from, start.clock.clone(), is_threaded);
        output.start(if start.resumed_bytes.is_none() { start.preamble } else { b"" }, &latch);
        latch.check()?;
        let marks = output.marks();
        let (link, thread) = match start.mode {
            WriterMode::Inline => (Link::Inline(Arc::new(Mutex::new(output))), None),
            WriterMode::Thread => {
                let (sender, orders) = unbounded();
                let latch = Arc::clone(&latch);
                let thread = std::thread::Builder::new()
                    .name("pelton-writer".to_owned())
                    .spawn(move || run(output, &orders, &latch))
                    .map_err(|error| OutputError::Create {
                        path: path.to_owned(),
                        problem: Problem::of_write(&error),
                    })?;
                (Link::Thread(sender), Some(thread))
            }
        };
        Ok(Self {
            link,
            latch,
            marks,
            place,
            disk: Arc::clone(start.disk),
            thread,
            port_count: 0,
            is_marked: start.marked,
        })
    }

    /// A port for one shard; `wake` is called from the writer's thread after each buffer. All
    /// ports are made before the first mark is passed.
    pub fn port(&mut self, wake: Wake) -> WriterPort {
        assert!(self.port_count < WRITER_PORTS_MAX, "a job has fewer shards");
        match &self.link {
            // A closed channel means that the thread has panicked; `finish` will say so.
            Link::Thread(orders) => drop(orders.send(Order::Open)),
            Link::Inline(output) => lock(output).add_line(),
        }
        self.port_count += 1;
        let (number, link) = (self.port_count - 1, self.link.clone());
        WriterPort::new(number, link, Arc::clone(&self.latch), self.is_marked, wake)
    }

    /// What the output holds up to `mark`, synced; `None` while a port has not passed it. Waits for
    /// the device, on the caller's thread.
    ///
    /// # Errors
    /// The first failure, or [`OutputError::PreviousIo`].
    pub fn durable(&mut self, mark: u64) -> Result<Option<Durable>, OutputError> {
        self.latch.check()?;
        let (length_bytes, parts) = {
            let mut marks = lock(&self.marks);
            let Some(length_bytes) = marks.length_at(mark) else { return Ok(None) };
            let parts = marks.closed.iter().filter(|part| part.number <= mark);
            (length_bytes, parts.cloned().collect::<Vec<_>>())
        };
        let synced = match &mut self.place {
            Place::Stream => Ok(()),
            Place::File(file, directory, is_named) => {
                let synced = file.sync_data();
                if synced.is_ok() && !*is_named {
                    *is_named = true;
                    self.disk.sync_directory(directory)
                } else {
                    synced
                }
            }
            Place::Parts(names) => parts
                .iter()
                .try_for_each(|part| part.file.sync_data())
                .and_then(|()| self.disk.sync_directory(&names.directory)),
        };
        self.flushed(synced)?;
        let parts = parts.iter().map(|part| (part.number, part.length_bytes)).collect();
        Ok(Some(Durable { length_bytes, parts }))
    }

    /// Makes the parts up to `mark` final; nothing to do for a file. Fine to repeat.
    ///
    /// # Errors
    /// As [`FileWriter::durable`].
    pub fn reveal(&mut self, mark: u64) -> Result<(), OutputError> {
        let Place::Parts(names) = &self.place else { return Ok(()) };
        let mut marks = lock(&self.marks);
        let (done, rest): (Vec<_>, Vec<_>) =
            marks.closed.drain(..).partition(|part| part.number <= mark);
        marks.closed = rest;
        drop(marks);
        if done.is_empty() {
            return Ok(());
        }
        let revealed = done
            .iter()
            .try_for_each(|part| names.reveal(self.disk.as_ref(), part.number))
            .and_then(|()| self.disk.sync_directory(&names.directory));
        self.flushed(revealed)
    }

    fn flushed(&self, answer: io::Result<()>) -> Result<(), OutputError> {
        if let Err(error) = answer {
            let problem = Problem::of_write(&error);
            self.latch.fail(|path| OutputError::Flush { path, problem });
        }
        self.latch.check()
    }

    /// Waits for all that was submitted, flushes a file to the device, and returns how many bytes
    /// it holds. Parts of an output without marks are made final.
    ///
    /// # Errors
    /// The first failure, or [`OutputError::PreviousIo`] if a port has reported it already.
    pub fn finish(mut self) -> Result<u64, OutputError> {
        self.send_finish();
        let written_bytes = match (&self.link, self.thread.take()) {
            (_, Some(thread)) => match thread.join() {
                Ok(written_bytes) => written_bytes,
                // A wake that panics is a bug of its shard: it goes on as what it is.
                Err(panic) => std::panic::resume_unwind(panic),
            },
            (Link::Inline(output), None) => lock(output).finish(&self.latch),
            (Link::Thread(_), None) => unreachable!("a thread is joined once: `finish` takes self"),
        };
        self.latch.check()?;
        if !self.is_marked {
            let closed = lock(&self.marks).closed.clone();
            self.flushed(closed.iter().try_for_each(|part| part.file.sync_data()))?;
            self.reveal(u64::MAX)?;
        }
        Ok(written_bytes)
    }

    fn send_finish(&self) {
        if let Link::Thread(orders) = &self.link {
            // A closed channel means that the thread has panicked; `join` will say so.
            let _ = orders.send(Order::Finish);
        }
    }
}

impl Drop for FileWriter {
    /// Without `finish` the job has failed. What is queued for a file is dropped and its thread is
    /// waited for, so that a job which goes on in this process has the file for itself. A thread
    /// that may hang in a pipe which nobody reads is told to end, and not waited for.
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let is_stream = matches!(self.place, Place::Stream);
        if !is_stream {
            let problem = Problem::writer_ended();
            self.latch.fail(|path| OutputError::Write { path, problem });
        }
        self.send_finish();
        if !is_stream {
            // A panic there was that of a wake; the job has failed already.
            let _ = thread.join();
        }
    }
}

fn run(mut output: Output, orders: &Receiver<Order>, latch: &Latch) -> u64 {
    while let Ok(order) = orders.recv() {
        match order {
            Order::Open => output.add_line(),
            Order::Take(port, request) => output.take(port, request, latch),
            Order::Finish => break,
        }
    }
    output.finish(latch)
}

fn open_stream(path: &Path) -> io::Result<Target> {
    if path == Path::new("-") {
        return Ok(Target::Standard(io::stdout()));
    }
    Ok(Target::Stream(File::create(path)?))
}

/// Makes a file afresh. On the machine it gets the default permissions: an output is there for
/// others to read, unlike all else that the disk holds.
pub(super) fn create_file(
    disk: &dyn Disk,
    path: &Path,
    mode: WriterMode,
) -> io::Result<SharedFile> {
    if mode == WriterMode::Thread {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    }
    disk.create(path, 0)
}

//! One writer for each output file: shards hand it whole buffers and never wait for the disk.
//!
//! Takes buffers of whole lines from the ports of several shards; hands on the bytes in the file,
//! and gives each buffer back to its port with the time at which the write was complete.
//!
//! Invariants
//! 1. A buffer holds whole lines and is written in one piece, so lines of several shards never
//!    run into each other. Buffers of one port are written in the order of their submission.
//! 2. A port owns at most [`PORT_BUFFERS_MAX`] buffers and a writer has at most
//!    [`WRITER_PORTS_MAX`] ports, so the channels below never fill and no `send` ever waits.
//! 3. The first failure is latched: nothing is written after it, and every call but the first one
//!    that reports it gets [`OutputError::PreviousIo`]. Recovery is a restart, never a retry.
//! 4. A regular file is flushed to the device once, by [`FileWriter::finish`].
//!
//! Why a thread and not io_uring from the shard: this works on pipes, terminals and where
//! io_uring is forbidden, and formatting, not writing, is what costs. The price is one futex wake
//! a buffer when the thread is parked.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::output_error::{OutputError, Problem};
use super::port::{PortReturn, WriteBuffer, WriterPort, Written};
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

/// The writer of one output file, or of standard output.
#[derive(Debug)]
pub struct FileWriter {
    link: Link,
    latch: Arc<Latch>,
    clock: Clock,
    thread: Option<JoinHandle<u64>>,
    port_count: usize,
}

/// How a port reaches its file.
#[derive(Debug, Clone)]
pub(super) enum Link {
    Thread(Sender<Order>),
    Inline(Arc<Mutex<Output>>),
}

#[derive(Debug)]
pub(super) enum Order {
    Write(WriteBuffer, Arc<PortReturn>),
    Finish,
}

impl FileWriter {
    /// Creates the file afresh (`-` is standard output), writes `preamble` to it, and starts the
    /// writer.
    ///
    /// # Errors
    /// [`OutputError::Create`] where the path is a directory, lies in none, or is forbidden;
    /// [`OutputError::Write`] where the preamble is refused.
    pub fn create(
        path: &Path,
        mode: WriterMode,
        clock: &Clock,
        preamble: &[u8],
    ) -> Result<Self, OutputError> {
        let latch = Arc::new(Latch::new(path));
        let mut output = Output::create(path).map_err(|error| OutputError::Create {
            path: path.to_owned(),
            problem: Problem::of_create(path, &error),
        })?;
        output.write(preamble, &latch);
        latch.check()?;
        let (link, thread) = match mode {
            WriterMode::Inline => (Link::Inline(Arc::new(Mutex::new(output))), None),
            WriterMode::Thread => {
                // One more than the buffers of all ports: room for `Finish`.
                let (sender, orders) = bounded(PORT_BUFFERS_MAX * WRITER_PORTS_MAX + 1);
                let (latch, clock) = (Arc::clone(&latch), clock.clone());
                let thread = std::thread::Builder::new()
                    .name("pelton-writer".to_owned())
                    .spawn(move || run(output, &orders, &latch, &clock))
                    .map_err(|error| OutputError::Create {
                        path: path.to_owned(),
                        problem: Problem::of_write(&error),
                    })?;
                (Link::Thread(sender), Some(thread))
            }
        };
        Ok(Self { link, latch, clock: clock.clone(), thread, port_count: 0 })
    }

    /// A port for one shard; `wake` is called from the writer's thread after each buffer.
    pub fn port(&mut self, wake: Wake) -> WriterPort {
        assert!(self.port_count < WRITER_PORTS_MAX, "invariant 2");
        self.port_count += 1;
        WriterPort::new(self.link.clone(), Arc::clone(&self.latch), self.clock.clone(), wake)
    }

    /// Waits for all that was submitted, flushes a regular file to the device, and returns how
    /// many bytes it holds.
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
    /// Without `finish` the job has failed: the thread is told to end, and not waited for, since
    /// it may hang in a pipe that nobody reads.
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.send_finish();
        }
    }
}

fn run(mut output: Output, orders: &Receiver<Order>, latch: &Latch, clock: &Clock) -> u64 {
    while let Ok(Order::Write(buffer, port)) = orders.recv() {
        output.write(&buffer.bytes, latch);
        port.give_back(Written { buffer, written_ns: clock.now_ns() });
    }
    output.finish(latch)
}

/// The open file, and how much it has taken.
#[derive(Debug)]
pub(super) struct Output {
    target: Target,
    written_bytes: u64,
}

#[derive(Debug)]
enum Target {
    File(File),
    Standard(io::Stdout),
}

impl Output {
    fn create(path: &Path) -> io::Result<Self> {
        let target = if path == Path::new("-") {
            Target::Standard(io::stdout())
        } else {
            Target::File(File::create(path)?)
        };
        Ok(Self { target, written_bytes: 0 })
    }

    /// Writes all of `bytes`, unless something failed before; a failure is latched.
    pub(super) fn write(&mut self, bytes: &[u8], latch: &Latch) {
        if latch.has_failed() || bytes.is_empty() {
            return;
        }
        let result = match &mut self.target {
            Target::File(file) => file.write_all(bytes),
            Target::Standard(stdout) => stdout.write_all(bytes).and_then(|()| stdout.flush()),
        };
        match result {
            Ok(()) => self.written_bytes += bytes.len() as u64,
            Err(error) => {
                latch.fail(|path| OutputError::Write { path, problem: Problem::of_write(&error) })
            }
        }
    }

    fn finish(&mut self, latch: &Latch) -> u64 {
        if let Target::File(file) = &self.target
            && !latch.has_failed()
            && let Err(error) = flush_to_device(file)
        {
            latch.fail(|path| OutputError::Flush { path, problem: Problem::of_write(&error) });
        }
        self.written_bytes
    }
}

/// Pipes and devices have nothing to flush.
fn flush_to_device(file: &File) -> io::Result<()> {
    if file.metadata()?.is_file() { file.sync_all() } else { Ok(()) }
}

/// The first failure of a file (invariant 3).
#[derive(Debug)]
pub(super) struct Latch {
    path: PathBuf,
    has_failed: AtomicBool,
    failure: Mutex<Failure>,
}

#[derive(Debug, Default)]
struct Failure {
    error: Option<OutputError>,
    reported: bool,
}

impl Latch {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            has_failed: AtomicBool::new(false),
            failure: Mutex::default(),
        }
    }

    /// Cheap: one load.
    pub(super) fn has_failed(&self) -> bool {
        // Relaxed: what failed is read under the lock.
        self.has_failed.load(Ordering::Relaxed)
    }

    pub(super) fn fail(&self, error: impl FnOnce(PathBuf) -> OutputError) {
        let mut failure = lock(&self.failure);
        if failure.error.is_none() {
            failure.error = Some(error(self.path.clone()));
        }
        self.has_failed.store(true, Ordering::Relaxed);
    }

    /// The failure itself to the first who asks, `PreviousIo` to all others.
    pub(super) fn check(&self) -> Result<(), OutputError> {
        if !self.has_failed() {
            return Ok(());
        }
        let mut failure = lock(&self.failure);
        match failure.error.clone() {
            None => Ok(()),
            Some(error) if failure.reported => Err(error.as_previous()),
            Some(error) => {
                failure.reported = true;
                Err(error)
            }
        }
    }
}

/// What the locks of this file guard is whole at every step, so a panic elsewhere spoils nothing.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A shard's end of a [`FileWriter`](super::FileWriter): buffers out, the same buffers back.
//!
//! Takes filled buffers; hands back empty ones, and says when what they held was written.
//!
//! Invariants
//! 1. Buffers being filled, in flight and spare are [`PORT_BUFFERS_MAX`] at most. They are made
//!    when they are first needed and live as long as the port: no allocation in a steady state.
//! 2. `take` answers `None` only while at least one buffer is in flight, so a wake is on its way.

use std::fmt;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::latch::{Latch, lock};
use super::output::Request;
use super::output_error::{OutputError, Problem};
use super::reader::Wake;
use super::writer::{Link, Order, PORT_BUFFERS_MAX, WRITE_BUFFER_BYTES};

/// Room past the mark at which a buffer is handed over, so that the last line rarely grows it.
const LINE_ROOM_BYTES: usize = 8 * 1024;
/// A buffer that a huge line has grown past this is not kept.
const KEPT_BYTES_MAX: usize = 4 * WRITE_BUFFER_BYTES;

/// Whole lines, and the intended arrival times of the records that they were made from.
#[derive(Debug, Default)]
pub struct WriteBuffer {
    /// The lines.
    pub bytes: Vec<u8>,
    /// One time for each record that has one; empty without a schedule of arrivals.
    pub arrivals_ns: Vec<u64>,
}

/// A shard's way to a file. `Send`, not `Clone`.
#[derive(Debug)]
pub struct WriterPort {
    number: usize,
    link: Link,
    latch: Arc<Latch>,
    is_marked: bool,
    has_ended: bool,
    to_me: Arc<PortReturn>,
    returns: Receiver<Written>,
    spare: Vec<WriteBuffer>,
    made_count: usize,
    in_flight_count: usize,
}

/// A buffer whose lines are written (or dropped, after a failure).
#[derive(Debug)]
pub(super) struct Written {
    pub(super) buffer: WriteBuffer,
    pub(super) written_ns: u64,
}

/// The writer's end of a port.
pub(super) struct PortReturn {
    done: Sender<Written>,
    wake: Wake,
}

impl PortReturn {
    pub(super) fn give_back(&self, written: Written, wakes: bool) {
        // A port that is gone has no use for its buffer.
        let _ = self.done.send(written);
        if wakes {
            (self.wake)();
        }
    }
}

impl fmt::Debug for PortReturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortReturn").finish_non_exhaustive()
    }
}

impl WriterPort {
    pub(super) fn new(
        number: usize,
        link: Link,
        latch: Arc<Latch>,
        is_marked: bool,
        wake: Wake,
    ) -> Self {
        let (done, returns) = bounded(PORT_BUFFERS_MAX);
        Self {
            number,
            link,
            latch,
            is_marked,
            has_ended: false,
            to_me: Arc::new(PortReturn { done, wake }),
            returns,
            spare: Vec::with_capacity(PORT_BUFFERS_MAX),
            made_count: 0,
            in_flight_count: 0,
        }
    }

    /// An empty buffer, or `None` while all are in flight: this is back-pressure, and the stage
    /// waits for the wake.
    pub fn take(&mut self) -> Option<WriteBuffer> {
        if let Some(buffer) = self.spare.pop() {
            return Some(buffer);
        }
        if self.made_count == PORT_BUFFERS_MAX {
            debug_assert!(self.in_flight_count > 0, "invariant 2");
            return None;
        }
        self.made_count += 1;
        Some(WriteBuffer {
            bytes: Vec::with_capacity(WRITE_BUFFER_BYTES + LINE_ROOM_BYTES),
            arrivals_ns: Vec::new(),
        })
    }

    /// Hands `buffer` over. Never waits and never fails; a failure shows in the next `poll`.
    pub fn submit(&mut self, buffer: WriteBuffer) {
        self.in_flight_count += 1;
        if !self.request(Request::Write(buffer, Arc::clone(&self.to_me))) {
            self.lose_buffer();
        }
    }

    /// All that was submitted belongs to `mark` or before. What is submitted next is written once
    /// every port has passed it: until then the buffers run out, and `take` answers `None`.
    pub fn pass(&mut self, mark: u64) {
        if self.is_marked && !self.has_ended {
            self.request(Request::Pass(mark));
        }
    }

    /// Nothing more is submitted. Fine to repeat.
    pub fn end(&mut self) {
        if !self.has_ended {
            self.has_ended = true;
            self.request(Request::End);
        }
    }

    /// Answers false where the writer has ended.
    fn request(&self, request: Request) -> bool {
        match &self.link {
            Link::Thread(orders) => orders.send(Order::Take(self.number, request)).is_ok(),
            Link::Inline(output) => {
                lock(output).take(self.number, request, &self.latch);
                true
            }
        }
    }

    /// Takes back what was written. `visible` gets the arrival times of one buffer's records and
    /// the time at which its write was complete. Answers whether any buffer came back.
    ///
    /// # Errors
    /// The file's first failure, or [`OutputError::PreviousIo`].
    pub fn poll(&mut self, mut visible: impl FnMut(&[u64], u64)) -> Result<bool, OutputError> {
        let mut any = false;
        while let Ok(written) = self.returns.try_recv() {
            any = true;
            self.in_flight_count -= 1;
            if !self.latch.has_failed() {
                visible(&written.buffer.arrivals_ns, written.written_ns);
            }
            self.keep(written.buffer);
        }
        self.latch.check()?;
        Ok(any)
    }

    /// Whether nothing of this port waits to be written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.in_flight_count == 0
    }

    fn keep(&mut self, mut buffer: WriteBuffer) {
        if buffer.bytes.capacity() > KEPT_BYTES_MAX {
            self.made_count -= 1;
            return;
        }
        buffer.bytes.clear();
        buffer.arrivals_ns.clear();
        self.spare.push(buffer);
    }

    /// The writer has ended (the job was given up while this shard still ran).
    #[cold]
    fn lose_buffer(&mut self) {
        self.in_flight_count -= 1;
        self.made_count -= 1;
        self.latch.fail(|path| OutputError::Write { path, problem: Problem::writer_ended() });
    }
}

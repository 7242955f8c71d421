//! Whole lines on their way to a file: a port and the buffer that is being filled.
//!
//! Takes lines one at a time; hands on full buffers, and at the end of a turn what there is, if
//! the writer has nothing else of this port to do.
//!
//! Invariants
//! 1. `full_bytes` is 0 exactly while there is no buffer, so that the common case (there is one,
//!    with room) is one comparison.
//! 2. While a partial buffer is held back after a `flush`, one of this port is being written; its
//!    completion wakes the shard, whose `poll` flushes again. So no line waits for ever.

use std::mem;

use super::{Meter, SinkError};
use crate::io::{WRITE_BUFFER_BYTES, WriteBuffer, WriterPort};

/// One shard's lines to one file.
#[derive(Debug)]
pub struct Lines {
    port: WriterPort,
    buffer: WriteBuffer,
    full_bytes: usize,
}

impl Lines {
    /// Lines through `port`.
    #[must_use]
    pub fn new(port: WriterPort) -> Self {
        Self { port, buffer: WriteBuffer::default(), full_bytes: 0 }
    }

    /// The buffer to write one more line to, or `None` while all are in flight.
    #[inline]
    pub fn room(&mut self) -> Option<&mut WriteBuffer> {
        if self.buffer.bytes.len() >= self.full_bytes && !self.next_buffer() {
            return None;
        }
        Some(&mut self.buffer)
    }

    /// Hands over what there is, if the writer is idle or the buffer is over half full.
    pub fn flush(&mut self) {
        let filled_bytes = self.buffer.bytes.len();
        if filled_bytes > WRITE_BUFFER_BYTES / 2 || (filled_bytes > 0 && self.port.is_idle()) {
            self.hand_over();
        }
    }

    /// Takes back what was written; answers whether anything was.
    ///
    /// # Errors
    /// The file's failure.
    pub fn poll(&mut self, meter: &mut Meter) -> Result<bool, SinkError> {
        let any =
            self.port.poll(|arrivals_ns, written_ns| meter.visible(arrivals_ns, written_ns))?;
        if any {
            self.flush();
        }
        Ok(any)
    }

    /// All lines so far belong to `mark` or before.
    pub fn pass(&mut self, mark: u64) {
        if !self.buffer.bytes.is_empty() {
            self.hand_over();
        }
        self.port.pass(mark);
    }

    /// Hands over the rest; answers whether all is written.
    ///
    /// # Errors
    /// The file's failure.
    pub fn end(&mut self, meter: &mut Meter) -> Result<bool, SinkError> {
        if !self.buffer.bytes.is_empty() {
            self.hand_over();
        }
        self.port.end();
        self.poll(meter)?;
        Ok(self.port.is_idle())
    }

    #[cold]
    fn next_buffer(&mut self) -> bool {
        if !self.buffer.bytes.is_empty() {
            self.hand_over();
        }
        if self.full_bytes == 0
            && let Some(buffer) = self.port.take()
        {
            self.buffer = buffer;
            self.full_bytes = WRITE_BUFFER_BYTES;
        }
        self.full_bytes != 0
    }

    fn hand_over(&mut self) {
        self.port.submit(mem::take(&mut self.buffer));
        self.full_bytes = 0;
    }
}

//! The dead-letter output: what could not be read, with its place, the reason and the bytes.
//!
//! Takes rejected rows; hands on one JSON object a line:
//!
//! ```text
//! {"file":"in.csv","line":7,"reason":"field `amount` is not a number","bytes":"1,2,x"}
//! {"file":"in.csv","line":8,"reason":"field `user` is not UTF-8","bytes_hex":"ff2c31"}
//! ```
//!
//! The bytes are kept whole: as text where they are UTF-8, as hexadecimal digits where not.

use std::fmt::{self, Write};
use std::path::Path;

use super::{Lines, Meter, SinkError, write_json_text, write_u64};
use crate::chain::Flow;
use crate::clock::Clock;
use crate::io::{FileWriter, Wake, WriterMode};

/// The file of rejects, shared by all shards.
#[derive(Debug)]
pub struct RejectOutput(FileWriter);

/// One shard's end of a [`RejectOutput`].
#[derive(Debug)]
pub struct RejectWriter {
    lines: Lines,
    reason: String,
}

impl RejectOutput {
    /// Creates the file (`-` is standard output).
    ///
    /// # Errors
    /// It can't be created.
    pub fn create(path: &Path, clock: &Clock, mode: WriterMode) -> Result<Self, SinkError> {
        Ok(Self(FileWriter::create(path, mode, clock, b"")?))
    }

    /// The writer of one shard.
    pub fn open(&mut self, wake: Wake) -> RejectWriter {
        RejectWriter {
            lines: Lines::new(self.0.port(wake)),
            reason: String::new(),
        }
    }

    /// After every shard's `end` has answered true: waits, and returns the bytes written.
    ///
    /// # Errors
    /// What went wrong and was not yet told.
    pub fn finish(self) -> Result<u64, SinkError> {
        Ok(self.0.finish()?)
    }
}

impl RejectWriter {
    /// Writes one reject; `Blocked` means that it was not taken.
    pub fn write(
        &mut self,
        file: &str,
        line: u64,
        reason: &dyn fmt::Display,
        bytes: &[u8],
    ) -> Flow {
        let Some(buffer) = self.lines.room() else {
            return Flow::Blocked;
        };
        self.reason.clear();
        write!(self.reason, "{reason}").expect("a string takes all text");
        let out = &mut buffer.bytes;
        out.extend_from_slice(b"{\"file\":");
        write_json_text(out, file);
        out.extend_from_slice(b",\"line\":");
        write_u64(out, line);
        out.extend_from_slice(b",\"reason\":");
        write_json_text(out, &self.reason);
        write_bytes(out, bytes);
        out.extend_from_slice(b"}\n");
        Flow::Ready
    }

    /// The turn ends: hands over what there is.
    pub fn flush(&mut self) {
        self.lines.flush();
    }

    /// Takes completions; answers whether there were any.
    ///
    /// # Errors
    /// The file's failure.
    pub fn poll(&mut self) -> Result<bool, SinkError> {
        self.lines.poll(&mut Meter::silent())
    }

    /// Hands over the rest; answers whether all is written.
    ///
    /// # Errors
    /// The file's failure.
    pub fn end(&mut self) -> Result<bool, SinkError> {
        self.lines.end(&mut Meter::silent())
    }
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        out.extend_from_slice(b",\"bytes\":");
        write_json_text(out, text);
        return;
    }
    out.extend_from_slice(b",\"bytes_hex\":\"");
    out.reserve(bytes.len() * 2);
    let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
    out.extend(
        bytes
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]),
    );
    out.push(b'"');
}

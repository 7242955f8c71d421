//! Step 2, decode: finds rows in bytes and reads them into views.
//!
//! Takes a window of bytes that starts with a row; hands on the row's view, or the reason why it
//! is rejected. Where bytes come from and what becomes of a row is not known here: no I/O, no
//! clock, no allocation per row (scratch grows to the longest row that needed it and stays).
//!
//! Invariants
//! 1. Every row that is not empty is exactly one view or exactly one rejection; nothing that a
//!    file may hold makes a decoder panic.
//! 2. What a row is does not depend on how the bytes were cut into windows.
//! 3. A row ends at a newline. In CSV a newline between quotes does not end it.
//!
//! Why `find` and `decode` are apart: a row's bytes must be known before its view is made, as a
//! rejected row is handed on with its bytes, and a row that spans two blocks has to be put
//! together first. CSV's `find` notes where the fields start as it goes, so nothing is read twice.

mod csv;
mod header;
mod json;
mod quoting;
mod scan;

use crate::record::{FieldError, Record};

pub use csv::{CsvDecoder, CsvSettings, ExtraColumns};
pub use header::HeaderError;
pub use json::JsonDecoder;

/// Why a row was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RejectReason {
    /// A field is missing or does not parse.
    #[error("{0}")]
    Field(#[from] FieldError),
    /// More or fewer fields than columns.
    #[error("row has {found} fields where {expected} are expected")]
    FieldCount {
        /// How many columns there are.
        expected: usize,
        /// How many fields the row has.
        found: usize,
    },
    /// Longer than the limit.
    #[error("row is longer than {bytes_max} bytes")]
    RowTooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// A quote opens in this line and does not close within the limit.
    #[error("a quote opens and does not close")]
    UnclosedQuote,
    /// Text behind a closing quote.
    #[error("a closing quote is followed by more text")]
    TextBehindQuote,
    /// Not UTF-8, where the format asks for it.
    #[error("row is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// Where in the row, from 0.
        offset: usize,
    },
    /// Not JSON.
    #[error("row is not JSON at column {column}")]
    InvalidJson {
        /// Where in the row, from 1.
        column: usize,
    },
    /// JSON, but a number, a text or an array.
    #[error("row is JSON but not an object")]
    NotAnObject,
    /// Well-formed, but longer than the job's rings take.
    #[error("record takes more than the {bytes_max} bytes that a ring holds at once")]
    RecordTooLarge {
        /// What a ring takes.
        bytes_max: usize,
    },
    /// An object or an array where the record has a field.
    #[error("field `{field}` is an object or an array, not a value")]
    Nested {
        /// The field.
        field: &'static str,
    },
}

/// Finds and reads the rows of one format.
pub trait RowDecoder<R: Record>: Send {
    /// Whether the first row that is not empty names the columns.
    fn wants_header(&self) -> bool {
        false
    }

    /// Takes that row.
    ///
    /// # Errors
    /// The columns don't fit the record.
    fn header(&mut self, _row: &[u8]) -> Result<(), HeaderError> {
        Ok(())
    }

    /// The offset of the newline that ends the row at the start of `window`, if it is in there.
    fn find(&mut self, window: &[u8]) -> Option<usize>;

    /// Goes on where `find`, or the last `find_more`, came to the end of its window.
    fn find_more(&mut self, window: &[u8]) -> Option<usize>;

    /// Whether the end of the windows so far lies between quotes.
    fn is_quoted(&self) -> bool {
        false
    }

    /// Whether the row that `find` has just found may have newlines in it.
    fn may_span_lines(&self) -> bool {
        false
    }

    /// Whether a row holds nothing, and is skipped.
    fn is_empty(&self, row: &[u8]) -> bool {
        row.is_empty()
    }

    /// Reads the row that `find` has just found, without its line ending.
    ///
    /// # Errors
    /// Why it is rejected.
    fn decode<'a>(&'a mut self, row: &'a [u8]) -> Result<R::View<'a>, RejectReason>;
}

/// A row without its newline, and without the carriage return before it.
#[inline(always)]
pub(crate) fn trim_line(row: &[u8]) -> &[u8] {
    match row {
        [row @ .., b'\r'] => row,
        row => row,
    }
}

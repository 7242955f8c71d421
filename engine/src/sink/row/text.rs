//! One row as CSV (RFC 4180) or as one line of JSON: what `Record::write_row` writes to.
//!
//! Takes a row's fields in order; hands on bytes without the newline. Text that needs neither
//! quotes nor escapes, which is nearly all, is scanned once and copied.
//!
//! Names of fields are Rust identifiers, so they need no escapes.

use std::io::Write;

use super::number::{write_decimal, write_i64, write_u64};
use crate::record::{Decimal, EventTime, RowWriter};

/// Writes one CSV row.
#[derive(Debug)]
pub struct CsvRow<'b> {
    out: &'b mut Vec<u8>,
    row_start: usize,
    field_count: usize,
}

/// Writes one JSON object.
#[derive(Debug)]
pub struct JsonRow<'b> {
    out: &'b mut Vec<u8>,
    is_first: bool,
}

impl<'b> CsvRow<'b> {
    /// A row at the end of `out`.
    #[inline]
    pub fn new(out: &'b mut Vec<u8>) -> Self {
        let row_start = out.len();
        Self { out, row_start, field_count: 0 }
    }

    /// Ends the row. A lone empty field is quoted, or else readers would skip the empty line.
    #[inline]
    pub fn end(self) {
        if self.field_count == 1 && self.out.len() == self.row_start {
            self.out.extend_from_slice(b"\"\"");
        }
    }

    #[inline]
    fn next(&mut self) -> &mut Vec<u8> {
        if self.field_count != 0 {
            self.out.push(b',');
        }
        self.field_count += 1;
        self.out
    }
}

impl<'b> JsonRow<'b> {
    /// An object at the end of `out`.
    #[inline]
    pub fn new(out: &'b mut Vec<u8>) -> Self {
        Self { out, is_first: true }
    }

    /// Ends the object.
    #[inline]
    pub fn end(self) {
        self.out.extend_from_slice(if self.is_first { b"{}" } else { b"}" });
    }

    #[inline]
    fn next(&mut self, name: &'static str) -> &mut Vec<u8> {
        debug_assert!(!name.bytes().any(needs_escape));
        self.out.extend_from_slice(if self.is_first { b"{\"" } else { b",\"" });
        self.is_first = false;
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }
}

impl RowWriter for CsvRow<'_> {
    #[inline]
    fn text(&mut self, _: &'static str, value: &str) {
        write_csv_text(self.next(), value);
    }
    #[inline]
    fn int(&mut self, _: &'static str, value: i64) {
        write_i64(self.next(), value);
    }
    #[inline]
    fn uint(&mut self, _: &'static str, value: u64) {
        write_u64(self.next(), value);
    }
    #[inline]
    fn float(&mut self, _: &'static str, value: f64) {
        let out = self.next();
        out.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
    }
    #[inline]
    fn bool(&mut self, _: &'static str, value: bool) {
        self.next().extend_from_slice(bool_text(value));
    }
    #[inline]
    fn time(&mut self, _: &'static str, value: EventTime) {
        write_time(self.next(), value);
    }
    #[inline]
    fn decimal(&mut self, _: &'static str, value: Decimal) {
        write_decimal(self.next(), value);
    }
    #[inline]
    fn null(&mut self, _: &'static str) {
        self.next();
    }
}

impl RowWriter for JsonRow<'_> {
    #[inline]
    fn text(&mut self, name: &'static str, value: &str) {
        write_json_text(self.next(name), value);
    }
    #[inline]
    fn int(&mut self, name: &'static str, value: i64) {
        write_i64(self.next(name), value);
    }
    #[inline]
    fn uint(&mut self, name: &'static str, value: u64) {
        write_u64(self.next(name), value);
    }
    /// JSON knows no NaN and no infinity: they become `null`.
    #[inline]
    fn float(&mut self, name: &'static str, value: f64) {
        if !value.is_finite() {
            return self.null(name);
        }
        let out = self.next(name);
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    }
    #[inline]
    fn bool(&mut self, name: &'static str, value: bool) {
        self.next(name).extend_from_slice(bool_text(value));
    }
    #[inline]
    fn time(&mut self, name: &'static str, value: EventTime) {
        let out = self.next(name);
        out.push(b'"');
        write_time(out, value);
        out.push(b'"');
    }
    #[inline]
    fn decimal(&mut self, name: &'static str, value: Decimal) {
        write_decimal(self.next(name), value);
    }
    #[inline]
    fn null(&mut self, name: &'static str) {
        self.next(name).extend_from_slice(b"null");
    }
}

fn bool_text(value: bool) -> &'static [u8] {
    if value { b"true" } else { b"false" }
}

fn write_time(out: &mut Vec<u8>, time: EventTime) {
    write!(out, "{time}").expect("a vector takes all bytes");
}

/// Appends `value` as a CSV field, in quotes only where it holds a comma, a quote or a line end.
#[inline]
pub fn write_csv_text(out: &mut Vec<u8>, value: &str) {
    if value.bytes().any(|byte| CSV_QUOTED[usize::from(byte)]) {
        write_csv_quoted(out, value);
    } else {
        out.extend_from_slice(value.as_bytes());
    }
}

#[cold]
fn write_csv_quoted(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    for (index, part) in value.split('"').enumerate() {
        if index != 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

/// Appends `value` as a JSON string, with its quotes.
#[inline]
pub fn write_json_text(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    let mut rest = value.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| needs_escape(byte)) {
        out.extend_from_slice(&rest[..at]);
        write_escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    JSON_ESCAPED[usize::from(byte)]
}

#[cold]
fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        control => {
            let hex = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[hex(control >> 4), hex(control & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}

const CSV_QUOTED: [bool; 256] = {
    let mut table = [false; 256];
    table[b',' as usize] = true;
    table[b'"' as usize] = true;
    table[b'\n' as usize] = true;
    table[b'\r' as usize] = true;
    table
};

const JSON_ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = true;
        control += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

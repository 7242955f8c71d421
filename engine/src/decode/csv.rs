//! Comma-separated values after RFC 4180, with the liberties that files take.
//!
//! A row without quotes, which is nearly every row, is split in one pass and its fields are read
//! where they lie. A row with a quote goes through csv-core, which unescapes it into scratch.
//!
//! Liberties: CRLF and LF; a missing last newline; empty lines are skipped; a quote inside an
//! unquoted field is a plain byte. Refused: text behind a closing quote; a quote that does not
//! close within the row limit, for which its line is rejected and reading goes on with the next
//! line (see `source::rows`).
//!
//! An empty field is an empty text where the field is a text, else it is absent.

use std::marker::PhantomData;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

use super::header::{HeaderError, NO_COLUMN, match_columns};
use super::quoting::Quoting;
use super::scan::{Needles, Scan};
use super::{RejectReason, RowDecoder};
use crate::record::{FieldSource, FieldText, FieldType, Record};

/// What a file holds that a record does not ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExtraColumns {
    /// An error that names the column: it is likely a field that was misspelt.
    #[default]
    Refuse,
    /// Skipped.
    Ignore,
}

/// How a CSV file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvSettings {
    /// Whether the first row names the columns, which may then stand in any order, and those of
    /// optional fields may be absent. Without it fields are read by position, and optional ones
    /// may be left out at the end of a row.
    pub header: bool,
    /// What stands between fields: any ASCII byte but a quote or a line ending.
    pub delimiter: u8,
    /// What becomes of columns that are no field.
    pub extra_columns: ExtraColumns,
}

impl Default for CsvSettings {
    fn default() -> Self {
        Self { header: true, delimiter: b',', extra_columns: ExtraColumns::Refuse }
    }
}

/// Reads CSV rows into the views of `R`.
pub struct CsvDecoder<R> {
    settings: CsvSettings,
    needles: Needles,
    quoting: Quoting,
    /// The column of each field.
    columns: Vec<u32>,
    /// How many fields a row has, at least and at most.
    field_count_min: usize,
    field_count_max: usize,
    /// Where the fields of the row that was found start; one more than there are columns.
    starts: Vec<u32>,
    found: Found,
    unescaper: Box<Unescaper>,
    record: PhantomData<fn() -> R>,
}

/// How the row looks that was found last.
#[derive(Debug, Clone, Copy)]
enum Found {
    /// No quotes; `starts` holds its fields.
    Plain {
        fields: usize,
    },
    Quoted,
}

impl<R: Record> CsvDecoder<R> {
    /// A decoder at the start of a file.
    ///
    /// # Panics
    /// The delimiter is a quote, a line ending or no ASCII byte.
    #[must_use]
    pub fn new(settings: CsvSettings) -> Self {
        let delimiter = settings.delimiter;
        assert!(
            delimiter.is_ascii() && !b"\"\r\n".contains(&delimiter),
            "a CSV delimiter is an ASCII byte, not a quote or a line ending"
        );
        let fields = R::SCHEMA.fields;
        let optional_tail = fields.iter().rev().take_while(|field| field.optional);
        let mut decoder = Self {
            settings,
            needles: Needles::new(delimiter),
            quoting: Quoting::new(delimiter),
            columns: (0..).take(fields.len()).collect(),
            field_count_min: fields.len() - optional_tail.count(),
            field_count_max: fields.len(),
            starts: vec![0; fields.len() + 1],
            found: Found::Quoted,
            unescaper: Box::new(Unescaper::new(delimiter)),
            record: PhantomData,
        };
        if settings.extra_columns == ExtraColumns::Ignore {
            decoder.field_count_max = usize::MAX;
        }
        decoder
    }

    fn check_field_count(&self, found: usize) -> Result<(), RejectReason> {
        if found >= self.field_count_min && found <= self.field_count_max {
            return Ok(());
        }
        let expected = match found < self.field_count_min {
            true => self.field_count_min,
            false => self.field_count_max,
        };
        Err(RejectReason::FieldCount { expected, found })
    }

    fn decode_quoted<'a>(&'a mut self, row: &[u8]) -> Result<R::View<'a>, RejectReason> {
        if self.quoting.has_text_behind_quote() {
            return Err(RejectReason::TextBehindQuote);
        }
        let fields = self.unescaper.split(row);
        self.check_field_count(fields)?;
        Ok(R::decode(&CsvRow::<R> {
            bytes: &self.unescaper.text,
            starts: &self.unescaper.starts[..=fields],
            gap: 0,
            columns: &self.columns,
            record: PhantomData,
        })?)
    }
}

impl<R: Record> RowDecoder<R> for CsvDecoder<R> {
    fn wants_header(&self) -> bool {
        self.settings.header
    }

    fn header(&mut self, row: &[u8]) -> Result<(), HeaderError> {
        if self.quoting.has_text_behind_quote() {
            return Err(HeaderError::Unreadable(RejectReason::TextBehindQuote));
        }
        let count = self.unescaper.split(row);
        let found: Vec<String> = (0..count)
            .map(|index| String::from_utf8_lossy(self.unescaper.field(index)).into_owned())
            .collect();
        self.columns = match_columns(&R::SCHEMA, &found, self.settings.extra_columns)?;
        (self.field_count_min, self.field_count_max) = (count, count);
        self.starts = vec![0; count + 1];
        Ok(())
    }

    #[inline]
    fn find(&mut self, window: &[u8]) -> Option<usize> {
        match self.needles.scan(window, &mut self.starts) {
            Scan::Row { newline, fields } => {
                self.found = Found::Plain { fields };
                Some(newline)
            }
            Scan::Quote | Scan::Open => {
                self.found = Found::Quoted;
                self.quoting = Quoting::new(self.settings.delimiter);
                self.quoting.advance(window)
            }
        }
    }

    fn find_more(&mut self, window: &[u8]) -> Option<usize> {
        self.quoting.advance(window)
    }

    fn is_quoted(&self) -> bool {
        self.quoting.is_quoted()
    }

    #[inline(always)]
    fn may_span_lines(&self) -> bool {
        matches!(self.found, Found::Quoted)
    }

    #[inline]
    fn decode<'a>(&'a mut self, row: &'a [u8]) -> Result<R::View<'a>, RejectReason> {
        let Found::Plain { fields } = self.found else {
            return self.decode_quoted(row);
        };
        self.check_field_count(fields)?;
        let noted = fields.min(self.starts.len() - 1);
        Ok(R::decode(&CsvRow::<R> {
            bytes: row,
            starts: &self.starts[..=noted],
            gap: 1,
            columns: &self.columns,
            record: PhantomData,
        })?)
    }
}

/// The fields of one row.
struct CsvRow<'a, R> {
    bytes: &'a [u8],
    /// Field `i` is `starts[i] .. starts[i + 1] - gap`.
    starts: &'a [u32],
    /// How many bytes stand between fields: a delimiter, or nothing once they are unescaped.
    gap: usize,
    columns: &'a [u32],
    record: PhantomData<fn() -> R>,
}

impl<'a, R: Record> FieldSource<'a> for CsvRow<'a, R> {
    #[inline(always)]
    fn text(&self, index: usize) -> FieldText<'a> {
        let column = self.columns[index] as usize;
        if column + 1 >= self.starts.len() {
            debug_assert!(R::SCHEMA.fields[index].optional || column < NO_COLUMN as usize);
            return FieldText::Missing;
        }
        let (start, end) = (self.starts[column], self.starts[column + 1]);
        let bytes = &self.bytes[start as usize..end as usize - self.gap];
        let field = &R::SCHEMA.fields[index];
        let may_be_empty = matches!(field.field_type, FieldType::Text) && !field.optional;
        if bytes.is_empty() && !may_be_empty {
            return FieldText::Null;
        }
        FieldText::Text(bytes)
    }
}

/// Splits rows with quotes, and unescapes their fields.
struct Unescaper {
    reader: Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    starts: Vec<u32>,
}

impl Unescaper {
    fn new(delimiter: u8) -> Self {
        let reader =
            ReaderBuilder::new().delimiter(delimiter).terminator(Terminator::Any(b'\n')).build();
        Self { reader, text: Vec::new(), ends: vec![0; 64], starts: Vec::new() }
    }

    /// How many fields `row` has; `starts` then says where in `text` they are.
    fn split(&mut self, row: &[u8]) -> usize {
        self.reader.reset();
        self.text.clear();
        self.text.resize(row.len() + 1, 0);
        let (mut read, mut written, mut fields) = (0, 0, 0);
        loop {
            let (result, input_bytes, output_bytes, end_count) = self.reader.read_record(
                &row[read..],
                &mut self.text[written..],
                &mut self.ends[fields..],
            );
            read += input_bytes;
            written += output_bytes;
            fields += end_count;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record | ReadRecordResult::End => break,
            }
        }
        self.starts.clear();
        self.starts.push(0);
        let ends = self.ends[..fields].iter();
        self.starts.extend(ends.map(|&end| u32::try_from(end).unwrap_or(u32::MAX)));
        fields
    }

    fn field(&self, index: usize) -> &[u8] {
        &self.text[self.starts[index] as usize..self.starts[index + 1] as usize]
    }
}

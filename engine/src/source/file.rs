//! A file as a split: its reader, and the decoder of its format.

use super::position::{KIND_CSV, KIND_JSON};
use super::rows::{ROW_BYTES_MAX, Rows};
use super::{Next, SourceError, Split, SplitPath};
use crate::decode::{CsvDecoder, CsvSettings, JsonDecoder};
use crate::io::{BlockReader, ReaderMode};
use crate::record::Record;

/// How the rows of a file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values.
    Csv,
    /// One JSON object a line.
    Json,
}

impl Format {
    /// What a file's name says, before `.gz` or `.zst`: JSON for `.ndjson`, `.jsonl` and `.json`,
    /// else CSV.
    #[must_use]
    pub fn of_name(name: &str) -> Self {
        let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
        match name.rsplit_once('.') {
            Some((_, "ndjson" | "jsonl" | "json")) => Self::Json,
            _ => Self::Csv,
        }
    }
}

/// How files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSettings {
    /// The format; `None` goes by the file's name ([`Format::of_name`]).
    pub format: Option<Format>,
    /// For CSV files.
    pub csv: CsvSettings,
    /// A longer row is rejected.
    pub row_bytes_max: usize,
}

impl Default for FileSettings {
    fn default() -> Self {
        Self { format: None, csv: CsvSettings::default(), row_bytes_max: ROW_BYTES_MAX }
    }
}

/// The rows of one file. The format is matched once a record; nothing is called dynamically.
pub struct FileSplit<R: Record>(Inner<R>);

enum Inner<R: Record> {
    Csv(Rows<R, CsvDecoder<R>>),
    Json(Rows<R, JsonDecoder<R>>),
}

impl<R: Record> FileSplit<R> {
    /// Opens `path`. A header that does not fit comes out of the first `next`.
    ///
    /// # Errors
    /// The file can't be opened.
    pub fn open(
        path: &SplitPath,
        settings: FileSettings,
        mode: ReaderMode,
    ) -> Result<Self, SourceError> {
        Ok(Self::new(BlockReader::open(path.path(), mode)?, settings))
    }

    /// Reads from `reader`.
    #[must_use]
    pub fn new(reader: BlockReader, settings: FileSettings) -> Self {
        let bytes_max = settings.row_bytes_max;
        let format = settings.format;
        Self(match format.unwrap_or_else(|| Format::of_name(reader.name())) {
            Format::Csv => Inner::Csv(Rows::new(reader, CsvDecoder::new(settings.csv), bytes_max)),
            Format::Json => Inner::Json(Rows::new(reader, JsonDecoder::new(), bytes_max)),
        })
    }
}

impl<R: Record> Split<R> for FileSplit<R> {
    #[inline]
    fn next(&mut self) -> Next<'_, R> {
        match &mut self.0 {
            Inner::Csv(rows) => rows.next(),
            Inner::Json(rows) => rows.next(),
        }
    }

    fn bounded(&self) -> bool {
        true
    }

    fn name(&self) -> &str {
        match &self.0 {
            Inner::Csv(rows) => rows.name(),
            Inner::Json(rows) => rows.name(),
        }
    }

    fn position(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Inner::Csv(rows) => rows.position().write(KIND_CSV, out),
            Inner::Json(rows) => rows.position().write(KIND_JSON, out),
        }
    }

    /// Of a plain file nothing before the position is read. A compressed one is decompressed from
    /// its start and dropped up to the position, by its reader thread; that it is too short then
    /// comes out of the first `next`.
    fn seek(&mut self, position: &[u8], _: u64) -> Result<(), SourceError> {
        match &mut self.0 {
            Inner::Csv(rows) => rows.seek(position, KIND_CSV),
            Inner::Json(rows) => rows.seek(position, KIND_JSON),
        }
    }
}

//! How an item becomes a line: CSV, newline-delimited JSON, or what a closure writes.
//!
//! Takes an item's header and view; hands on the bytes of one line, without its newline, which the
//! sink adds. A format is a plain value that is cloned for each shard.

use super::change::{ChangeColumns, RowKey, RowValue};
use super::text::{CsvRow, JsonRow};
use crate::record::{Change, ChangeView, FrameHeader, Item, Record};

/// Writes items as lines.
pub trait RowFormat<I: Item>: Clone + Send + Sync + 'static {
    /// The first line of the output, where it has one.
    fn header(&self) -> Option<String> {
        None
    }

    /// Appends one line without its newline.
    fn write(&self, header: &FrameHeader, view: I::View<'_>, out: &mut Vec<u8>);
}

/// Comma-separated values after RFC 4180, quoted only where needed; lines end in `\n` alone.
///
/// Records have a header line; changes have none unless asked for, so that the final rows of a
/// `Changelog<String, u64>` are plain `user,count` lines.
#[derive(Debug, Clone, Default)]
pub struct Csv {
    has_header: Option<bool>,
    columns: ChangeColumns,
}

/// One JSON object a line.
#[derive(Debug, Clone, Default)]
pub struct Json {
    columns: ChangeColumns,
}

/// Lines written by a closure; see [`format_fn`].
#[derive(Debug, Clone)]
pub struct FormatFn<F> {
    header: Option<String>,
    write: F,
}

impl Csv {
    /// With the header line that the item's type has by default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With or without a header line.
    #[must_use]
    pub fn header_line(mut self, has_header: bool) -> Self {
        self.has_header = Some(has_header);
        self
    }

    /// For changes: a first column `kind` that holds `+I`, `-U`, `+U` or `-D`. Without it, each
    /// change is written as if it were a final row.
    #[must_use]
    pub fn with_kinds(mut self) -> Self {
        self.columns.has_kind = true;
        self
    }

    /// For changes: the names of the key's and the value's columns.
    #[must_use]
    pub fn named(mut self, key: &'static [&'static str], value: &'static [&'static str]) -> Self {
        self.columns.name(key, value);
        self
    }
}

impl Json {
    /// A record's fields by their names; a change as `{"key":..,"value":..}`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// For changes: a first field `kind`, as [`Csv::with_kinds`] has.
    #[must_use]
    pub fn with_kinds(mut self) -> Self {
        self.columns.has_kind = true;
        self
    }

    /// For changes: the names of the key's and the value's fields.
    #[must_use]
    pub fn named(mut self, key: &'static [&'static str], value: &'static [&'static str]) -> Self {
        self.columns.name(key, value);
        self
    }
}

impl<R: Record> RowFormat<R> for Csv {
    fn header(&self) -> Option<String> {
        let names = R::SCHEMA.fields.iter().map(|field| field.name);
        self.has_header.unwrap_or(true).then(|| names.collect::<Vec<_>>().join(","))
    }

    #[inline]
    fn write(&self, _: &FrameHeader, view: R::View<'_>, out: &mut Vec<u8>) {
        let mut row = CsvRow::new(out);
        R::write_row(view, &mut row);
        row.end();
    }
}

impl<K: RowKey, V: RowValue> RowFormat<Change<K, V>> for Csv {
    fn header(&self) -> Option<String> {
        self.has_header.unwrap_or(false).then(|| self.columns.names::<K, V>().join(","))
    }

    #[inline]
    fn write(&self, _: &FrameHeader, view: ChangeView<K::View<'_>, V>, out: &mut Vec<u8>) {
        let mut row = CsvRow::new(out);
        self.columns.write::<K, V, _>(view, &mut row);
        row.end();
    }
}

impl<R: Record> RowFormat<R> for Json {
    #[inline]
    fn write(&self, _: &FrameHeader, view: R::View<'_>, out: &mut Vec<u8>) {
        let mut row = JsonRow::new(out);
        R::write_row(view, &mut row);
        row.end();
    }
}

impl<K: RowKey, V: RowValue> RowFormat<Change<K, V>> for Json {
    #[inline]
    fn write(&self, _: &FrameHeader, view: ChangeView<K::View<'_>, V>, out: &mut Vec<u8>) {
        let mut row = JsonRow::new(out);
        self.columns.write::<K, V, _>(view, &mut row);
        row.end();
    }
}

/// A format from a closure that appends one line, without its newline, to the buffer.
pub fn format_fn<I, F>(write: F) -> FormatFn<F>
where
    I: Item,
    F: Fn(&FrameHeader, I::View<'_>, &mut Vec<u8>) + Clone + Send + Sync + 'static,
{
    FormatFn { header: None, write }
}

impl<F> FormatFn<F> {
    /// Starts the output with this line.
    #[must_use]
    pub fn with_header(mut self, line: impl Into<String>) -> Self {
        self.header = Some(line.into());
        self
    }
}

impl<I, F> RowFormat<I> for FormatFn<F>
where
    I: Item,
    F: Fn(&FrameHeader, I::View<'_>, &mut Vec<u8>) + Clone + Send + Sync + 'static,
{
    fn header(&self) -> Option<String> {
        self.header.clone()
    }

    #[inline]
    fn write(&self, header: &FrameHeader, view: I::View<'_>, out: &mut Vec<u8>) {
        (self.write)(header, view, out);
    }
}

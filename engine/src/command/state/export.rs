//! `state export`: entries as rows of a file.
//!
//! One row an entry: `operator,state,slot,key,place,value`; keys as people type them, values as
//! JSON. Why not a column for each field: operators differ in what they keep, and what reads the
//! file can take JSON apart.

use std::io::Write;
use std::path::Path;

use super::entries::{ShownEntry, operators, walk};
use super::error::StateCommandError;
use super::open::newest_state;
use super::{ExportArgs, ExportFormat};
use crate::command::{CommandError, output};

/// A file that takes entries.
pub trait EntryWriter {
    /// Takes one more.
    ///
    /// # Errors
    /// The file can't be written.
    fn write(&mut self, entry: &ShownEntry<'_>) -> Result<(), CommandError>;
    /// Writes the file's end.
    ///
    /// # Errors
    /// The file can't be written.
    fn finish(self: Box<Self>) -> Result<(), CommandError>;
}

/// Creates a file that takes entries.
pub type OpenWriter = fn(&Path) -> Result<Box<dyn EntryWriter>, CommandError>;

pub(super) fn run(args: &ExportArgs, parquet: Option<OpenWriter>) -> Result<(), StateCommandError> {
    let open: OpenWriter = match (args.format, parquet) {
        (ExportFormat::Csv, _) => CsvEntries::open,
        (ExportFormat::Parquet, Some(open)) => open,
        (ExportFormat::Parquet, None) => return Err(StateCommandError::NoParquet),
    };
    // The state first: a file is not cut for a directory that can't be read.
    let state = newest_state(&args.directory)?;
    let operators = operators(&state.manifest, args.operator.as_deref(), &args.directory)?;
    let mut writer = open(&args.output)?;
    for operator in &operators {
        walk(&state, operator, |store, offset| {
            writer.write(&operator.shown(store, offset))?;
            Ok(true)
        })?;
    }
    Ok(writer.finish()?)
}

/// Entries as CSV.
struct CsvEntries {
    out: output::Output,
    path: std::path::PathBuf,
}

impl CsvEntries {
    fn open(path: &Path) -> Result<Box<dyn EntryWriter>, CommandError> {
        let mut entries = Self { out: output::create(path)?, path: path.to_owned() };
        let written = writeln!(entries.out, "operator,state,slot,key,place,value");
        written.map_err(|source| CommandError::write(path, source))?;
        Ok(Box::new(entries))
    }
}

impl EntryWriter for CsvEntries {
    fn write(&mut self, entry: &ShownEntry<'_>) -> Result<(), CommandError> {
        let place = entry.place.map_or_else(String::new, |place| place.to_string());
        let (operator, state) = (quoted(entry.operator), quoted(entry.state));
        let (key, value) = (quoted(&entry.key_text), quoted(&entry.value.to_string()));
        let slot = entry.slot;
        let written = writeln!(self.out, "{operator},{state},{slot},{key},{place},{value}");
        written.map_err(|source| CommandError::write(&self.path, source))
    }

    fn finish(self: Box<Self>) -> Result<(), CommandError> {
        self.out.finish().map_err(|source| CommandError::write(&self.path, source))
    }
}

/// A CSV field, in quotes where it needs them.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

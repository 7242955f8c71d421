//! Entries of a state directory as a Parquet file.
//!
//! Takes entries; hands on a file with their columns: those of the CSV file, with numbers as numbers.
//!
//! Why the low-level writer and not arrow's: six flat columns need none of arrow, which takes
//! several times as long to build. Why not compressed: the parquet crate wants another zstd than the
//! engine's, and names repeat in dictionaries anyway.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use pelton::command::CommandError;
use pelton::command::state::{EntryWriter, ShownEntry};

/// Entries that are held before they are written.
const ROW_GROUP_ENTRIES: usize = 1 << 16;

const SCHEMA: &str = "message entries {
    required binary operator (utf8);
    required binary state (utf8);
    required int32 slot (integer(16,false));
    required binary key (utf8);
    optional int64 place (integer(64,false));
    required binary value (json);
}";

/// A Parquet file that takes entries.
pub(crate) struct ParquetEntries {
    path: PathBuf,
    writer: SerializedFileWriter<File>,
    rows: Rows,
}

/// The columns of the next row group.
#[derive(Default)]
struct Rows {
    operators: Vec<ByteArray>,
    states: Vec<ByteArray>,
    slots: Vec<i32>,
    keys: Vec<ByteArray>,
    /// For each row whether it has a place, and the places that there are.
    has_place: Vec<i16>,
    places: Vec<i64>,
    values: Vec<ByteArray>,
}

impl ParquetEntries {
    /// Creates the file.
    ///
    /// # Errors
    /// It can't be created or written.
    pub(crate) fn open(path: &Path) -> Result<Box<dyn EntryWriter>, CommandError> {
        let file = File::create(path).map_err(|source| CommandError::create(path, source))?;
        let schema = parse_message_type(SCHEMA).expect("the schema above is one");
        let properties = Arc::new(WriterProperties::default());
        let writer = SerializedFileWriter::new(file, Arc::new(schema), properties);
        let writer = writer.map_err(|error| failed(path, error))?;
        Ok(Box::new(Self { path: path.to_owned(), writer, rows: Rows::default() }))
    }

    fn write_rows(&mut self) -> Result<(), CommandError> {
        let rows = std::mem::take(&mut self.rows);
        if rows.slots.is_empty() {
            return Ok(());
        }
        let mut write = || {
            let mut group = self.writer.next_row_group()?;
            rows.write(&mut group)?;
            group.close().map(|_| ())
        };
        write().map_err(|error| failed(&self.path, error))
    }
}

impl Rows {
    fn write(&self, group: &mut SerializedRowGroupWriter<'_, File>) -> Result<(), ParquetError> {
        texts(group, &self.operators)?;
        texts(group, &self.states)?;
        let mut slots = next(group)?;
        slots.typed::<Int32Type>().write_batch(&self.slots, None, None)?;
        slots.close()?;
        texts(group, &self.keys)?;
        let mut places = next(group)?;
        places.typed::<Int64Type>().write_batch(&self.places, Some(&self.has_place), None)?;
        places.close()?;
        texts(group, &self.values)
    }
}

type Column<'g> = parquet::file::writer::SerializedColumnWriter<'g>;

fn next<'g>(group: &'g mut SerializedRowGroupWriter<'_, File>) -> Result<Column<'g>, ParquetError> {
    Ok(group.next_column()?.expect("the schema has as many columns as are written"))
}

fn texts(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[ByteArray],
) -> Result<(), ParquetError> {
    let mut column = next(group)?;
    column.typed::<ByteArrayType>().write_batch(values, None, None)?;
    column.close()
}

fn failed(path: &Path, error: ParquetError) -> CommandError {
    let source = match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(source) => *source,
            Err(other) => io::Error::other(other),
        },
        error => io::Error::other(error),
    };
    CommandError::write(path, source)
}

impl EntryWriter for ParquetEntries {
    fn write(&mut self, entry: &ShownEntry<'_>) -> Result<(), CommandError> {
        let rows = &mut self.rows;
        rows.operators.push(entry.operator.into());
        rows.states.push(entry.state.into());
        rows.slots.push(entry.slot.into());
        rows.keys.push(entry.key_text.as_str().into());
        rows.has_place.push(entry.place.is_some().into());
        // The column is of numbers without a sign, which Parquet keeps in their bits.
        rows.places.extend(entry.place.map(u64::cast_signed));
        rows.values.push(entry.value.to_string().as_str().into());
        if self.rows.slots.len() < ROW_GROUP_ENTRIES { Ok(()) } else { self.write_rows() }
    }

    fn finish(mut self: Box<Self>) -> Result<(), CommandError> {
        self.write_rows()?;
        let Self { path, writer, .. } = *self;
        writer.close().map_err(|error| failed(&path, error))?;
        Ok(())
    }
}

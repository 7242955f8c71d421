//! Rows of files that are given as text.

use std::io::Cursor;

use pelton::io::{BlockReader, ReaderMode};
use pelton::record::Decimal;
use pelton::source::{FileSettings, FileSplit};

use super::source_common::{Payment, Row, drain};

pub(crate) fn payment(id: u64, who: &str, amount: i64, fraud: Option<u8>) -> Row {
    Row::Record(Payment { id, who: who.to_owned(), amount: Decimal(amount * Decimal::ONE), fraud })
}

/// A file of `bytes` called `name`, read in blocks of `block_bytes`.
pub(crate) fn file(
    name: &str,
    bytes: &[u8],
    block_bytes: usize,
    settings: FileSettings,
) -> FileSplit<Payment> {
    let raw = Box::new(Cursor::new(bytes.to_vec()));
    let reader = BlockReader::from_read(name.to_owned(), raw, ReaderMode::Inline, block_bytes);
    FileSplit::new(reader, settings)
}

/// The rows of a file of `text`.
pub(crate) fn rows(name: &str, text: &str, settings: FileSettings) -> Vec<Row> {
    drain(&mut file(name, text.as_bytes(), 1 << 16, settings))
}

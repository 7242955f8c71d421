//! Where the rows of a file stand: all that is needed to read on without what lies before.
//!
//! ```text
//!   | version 1 | kind | encoding | mark | header | offset | line   | lines  | length | header row |
//!   | u8        | u8   | u8       | u8   | u8     | u64 LE | u64 LE | u64 LE | u32 LE | bytes      |
//! ```
//!
//! Invariants
//! 1. `offset` is the first byte of the first row that was not handed out, in bytes as they are
//!    once decompressed: bytes that were read ahead, or that a row is put together from, do not
//!    count. What lies before it is never needed: the header row is in the position.
//! 2. `lines` is how many bytes from `offset` on are read line by line, because of a quote that
//!    does not close (invariant 3 of `rows`).
//! 3. A position that was read is one that could have been written.

use super::SeekError;
use super::position::{Fields, KIND_CSV, KIND_JSON, put_start};
use super::rows::{BYTE_ORDER_MARK, ROW_KEPT_BYTES_MAX};
use crate::io::{Compression, Encoding};

/// How many bytes of a file lie before a split's position: they are never read again. `None` where
/// the position is of something else, or the file is compressed.
#[must_use]
pub fn byte_offset(position: &[u8]) -> Option<u64> {
    let mut kinds = [KIND_CSV, KIND_JSON].into_iter();
    let read = kinds.find_map(|kind| FilePosition::read(position, kind).ok())?;
    (!matches!(read.encoding, Encoding::Compressed(_))).then_some(read.offset)
}

/// What is known of the row that names the columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HeaderState {
    /// The format has none.
    None,
    /// It is still to come.
    Expected,
    /// These bytes, without the line ending.
    Known(Vec<u8>),
}

/// A position in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FilePosition {
    pub(super) encoding: Encoding,
    /// How much of a byte order mark was met; all of it, once the first other byte was.
    pub(super) mark_bytes: usize,
    pub(super) header: HeaderState,
    pub(super) offset: u64,
    pub(super) line: u64,
    pub(super) lines_bytes: usize,
}

impl FilePosition {
    pub(super) fn write(&self, kind: u8, out: &mut Vec<u8>) {
        put_start(kind, out);
        let encoding = match self.encoding {
            Encoding::Unknown => 0,
            Encoding::Plain => 1,
            Encoding::Compressed(Compression::Gzip) => 2,
            Encoding::Compressed(Compression::Zstd) => 3,
        };
        let (header, row): (_, &[u8]) = match &self.header {
            HeaderState::None => (0, &[]),
            HeaderState::Expected => (1, &[]),
            HeaderState::Known(row) => (2, row),
        };
        let mark = u8::try_from(self.mark_bytes).expect("a mark has three bytes");
        let length = u32::try_from(row.len()).expect("a row is shorter than ROW_KEPT_BYTES_MAX");
        out.extend_from_slice(&[encoding, mark, header]);
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.line.to_le_bytes());
        out.extend_from_slice(&(self.lines_bytes as u64).to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(row);
    }

    pub(super) fn read(position: &[u8], kind: u8) -> Result<Self, SeekError> {
        let mut fields = Fields::start(position, kind)?;
        let [encoding, mark, header] = fields.bytes()?;
        let (offset, line, lines) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let length = u32::from_le_bytes(fields.bytes()?);
        let row = fields.run(length)?;
        let encoding = match encoding {
            0 => Encoding::Unknown,
            1 => Encoding::Plain,
            2 => Encoding::Compressed(Compression::Gzip),
            3 => Encoding::Compressed(Compression::Zstd),
            _ => return Err(fields.damaged()),
        };
        let header = match (header, row) {
            (0, []) => HeaderState::None,
            (1, []) => HeaderState::Expected,
            (2, [_, ..]) => HeaderState::Known(row.to_vec()),
            _ => return Err(fields.damaged()),
        };
        let lines_bytes = usize::try_from(lines).map_err(|_| fields.damaged())?;
        let read =
            Self { encoding, mark_bytes: usize::from(mark), header, offset, line, lines_bytes };
        if !read.is_possible() {
            return Err(fields.damaged());
        }
        fields.end()?;
        Ok(read)
    }

    /// Invariant 3, as far as one value limits another.
    fn is_possible(&self) -> bool {
        let mark_is_whole = self.mark_bytes == BYTE_ORDER_MARK.len();
        let is_in_mark = self.mark_bytes < BYTE_ORDER_MARK.len()
            && self.offset == self.mark_bytes as u64
            && self.line == 1
            && self.lines_bytes == 0
            && !matches!(self.header, HeaderState::Known(_));
        // Every line before takes at least one byte.
        (is_in_mark || mark_is_whole)
            && self.line >= 1
            && self.line - 1 <= self.offset
            && self.lines_bytes <= ROW_KEPT_BYTES_MAX + 1
            && (self.encoding != Encoding::Unknown || self.offset == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::position::put_count;
    use super::*;

    #[test]
    fn the_offset_can_be_read_of_a_plain_files_position_and_of_no_other() {
        let position = |encoding| {
            let header = HeaderState::Known(b"user,page".to_vec());
            let at = FilePosition {
                encoding,
                mark_bytes: BYTE_ORDER_MARK.len(),
                header,
                offset: 90,
                line: 4,
                lines_bytes: 0,
            };
            let mut bytes = Vec::new();
            at.write(KIND_CSV, &mut bytes);
            bytes
        };
        let plain = position(Encoding::Plain);
        assert_eq!(byte_offset(&plain), Some(90));
        assert_eq!(byte_offset(&plain[..plain.len() - 1]), None, "it is damaged");
        assert_eq!(byte_offset(&position(Encoding::Compressed(Compression::Zstd))), None);
        let mut count = Vec::new();
        put_count(90, &mut count);
        assert_eq!(byte_offset(&count), None, "it counts records");
    }
}

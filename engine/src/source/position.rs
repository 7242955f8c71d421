//! The bytes of positions: what they have in common, and reading them without trust.
//!
//! ```text
//!   every position                  one that only counts
//!   +---------+----------+          +---------+--------------+
//!   | version | kind     | ...      | 1       | 1 | count    |
//!   | u8      | u8       |          | u8      | u8| u64 LE   |
//!   +---------+----------+          +---------+--------------+
//! ```
//!
//! Invariants
//! 1. Nothing in a position is believed before it was looked at: whatever the bytes are, reading
//!    them answers a value or a [`SeekError`].
//! 2. A position is read to its last byte: what is left over is damage.

use super::SeekError;

/// The layout that this program writes.
const VERSION: u8 = 1;

/// A split that counts its records, and needs no more.
const KIND_COUNT: u8 = 1;
/// A file of CSV rows.
pub(super) const KIND_CSV: u8 = 2;
/// A file of JSON rows.
pub(super) const KIND_JSON: u8 = 3;

/// Starts a position.
pub(super) fn put_start(kind: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&[VERSION, kind]);
}

/// The position of a split that counts.
pub(super) fn put_count(count: u64, out: &mut Vec<u8>) {
    put_start(KIND_COUNT, out);
    out.extend_from_slice(&count.to_le_bytes());
}

/// Reads the position of a split that counts, and holds it against the row's `sequence`.
pub(super) fn read_count(position: &[u8], sequence: u64) -> Result<u64, SeekError> {
    let mut fields = Fields::start(position, KIND_COUNT)?;
    let count = fields.u64()?;
    fields.end()?;
    match count == sequence {
        true => Ok(count),
        false => Err(SeekError::Damaged { found_bytes: position.len() }),
    }
}

/// Takes a position apart.
pub(super) struct Fields<'p> {
    position: &'p [u8],
    rest: &'p [u8],
}

impl<'p> Fields<'p> {
    /// Behind the version and the kind, which must be `kind`.
    pub(super) fn start(position: &'p [u8], kind: u8) -> Result<Self, SeekError> {
        let mut fields = Self { position, rest: position };
        let [version, found] = fields.bytes()?;
        if version != VERSION {
            return Err(SeekError::OtherVersion { expected: VERSION, found: version });
        }
        if found != kind {
            return Err(SeekError::OtherKind);
        }
        Ok(fields)
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], SeekError> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, SeekError> {
        self.bytes().map(u64::from_le_bytes)
    }

    /// So many bytes.
    pub(super) fn run(&mut self, length: u32) -> Result<&'p [u8], SeekError> {
        let length = usize::try_from(length).map_err(|_| self.damaged())?;
        let (run, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(run)
    }

    /// Nothing is left.
    pub(super) fn end(self) -> Result<(), SeekError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged()) }
    }

    pub(super) fn damaged(&self) -> SeekError {
        SeekError::Damaged { found_bytes: self.position.len() }
    }
}

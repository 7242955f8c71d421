//! The stores, as the measurement sees them.

mod fjall;
mod hashbrown;
mod pelton;
mod rocksdb;

use std::path::Path;

use ::pelton::record::KeyHash;
use pelton_benches::log::VALUE_BYTES;

pub(crate) use self::fjall::Fjall;
pub(crate) use self::hashbrown::Hashbrown;
pub(crate) use self::pelton::{Pelton, PeltonInMemory};
pub(crate) use self::rocksdb::RocksDb;

/// A store of 64-byte values.
pub(crate) trait Peer {
    /// As the table has it.
    const NAME: &'static str;

    /// A store of zeroes for every key below `key_count`, settled: nothing of the fill is left to do.
    fn filled(key_count: u64, directory: &Path) -> Self;

    /// Reads each record's value, adds one to its first field and writes it back; answers with the
    /// sum of all fields.
    fn change_all(&mut self, records: &[(KeyHash, u64)]) -> u64;

    /// Makes what was written durable, as far as the store does that.
    fn checkpoint(&mut self);
}

/// The key in bytes that sort as its number does: the fill then writes files that do not overlap,
/// which favours stores that sort.
#[expect(clippy::big_endian_bytes, reason = "these bytes sort as the number does")]
fn sorted_key(key: u64) -> [u8; 8] {
    key.to_be_bytes()
}

/// The value with one added to its first field, and the sum of all fields.
fn changed(value: &[u8]) -> ([u8; VALUE_BYTES], u64) {
    let mut value: [u8; VALUE_BYTES] = value.try_into().expect("every value has this length");
    let fields = value.as_chunks_mut().0;
    fields[0] = (u64::from_le_bytes(fields[0]) + 1).to_le_bytes();
    let sum = fields.iter().map(|field| u64::from_le_bytes(*field)).sum();
    (value, sum)
}

//! hashbrown's table with the values in it. Nothing is ever durable: the yardstick of memory.

use std::path::Path;

use hashbrown::HashTable;
use pelton::record::KeyHash;
use pelton_benches::log::{Row, change_in_table, table_of};

use super::Peer;

pub(crate) struct Hashbrown(HashTable<Row>);

impl Peer for Hashbrown {
    const NAME: &'static str = "hashbrown";

    fn filled(key_count: u64, _: &Path) -> Self {
        Self(table_of(key_count))
    }

    fn change_all(&mut self, records: &[(KeyHash, u64)]) -> u64 {
        change_in_table(&mut self.0, records)
    }

    fn checkpoint(&mut self) {}
}

//! fjall, the log-structured store in Rust that is kept best, set for this work.
//!
//! - It has no way to go without its journal. Writes stay in the journal's buffer (8 KiB) and are
//!   handed to the kernel when that is full, none is synced; a checkpoint syncs the journal. So what
//!   lies between checkpoints is lost in a crash, as in the others. Memtables are flushed when they are
//!   full, not at checkpoints, which favours it.
//! - A cache that holds all values, 2 GiB; a hash index in each block; its own bloom filters, none in
//!   the last level, as every read hits. No compression.
//! - Memtables of 64 MiB, 2 worker threads: both are what it comes with here.
//! - Filled in order and compacted before the clock starts.

use std::path::Path;

use fjall::config::HashRatioPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use pelton::record::KeyHash;
use pelton_benches::log::VALUE_BYTES;

use super::{Peer, changed, sorted_key};

const CACHE_BYTES: u64 = 2 << 30;

pub(crate) struct Fjall {
    database: Database,
    values: Keyspace,
}

impl Peer for Fjall {
    const NAME: &'static str = "fjall";

    fn filled(key_count: u64, directory: &Path) -> Self {
        let database = Database::builder(directory)
            .cache_size(CACHE_BYTES)
            .worker_threads(2)
            .open()
            .expect("a directory that is empty");
        let options = || {
            KeyspaceCreateOptions::default()
                .manual_journal_persist(true)
                .max_memtable_size(64 << 20)
                .expect_point_read_hits(true)
                .data_block_hash_ratio_policy(HashRatioPolicy::all(1.33))
        };
        let values = database.keyspace("values", options).expect("a new keyspace");
        for key in 0..key_count {
            values.insert(sorted_key(key), [0; VALUE_BYTES]).expect("a disk that takes writes");
        }
        values.rotate_memtable_and_wait().expect("a disk that takes writes");
        values.major_compact().expect("a disk that takes writes");
        Self { database, values }
    }

    fn change_all(&mut self, records: &[(KeyHash, u64)]) -> u64 {
        let mut total = 0;
        for &(_, key) in records {
            let read = self.values.get(sorted_key(key)).expect("a disk that reads");
            let (value, sum) = changed(&read.expect("it was filled"));
            self.values.insert(sorted_key(key), value).expect("a disk that takes writes");
            total += sum;
        }
        total
    }

    fn checkpoint(&mut self) {
        self.database.persist(PersistMode::SyncData).expect("a disk that takes writes");
    }
}

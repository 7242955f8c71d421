//! RocksDB, set as well as we know how for this work, and as Flink runs it where that matters.
//!
//! - No write-ahead log; a checkpoint flushes the memtable to a table file and waits until it is
//!   synced. So what lies between checkpoints is lost in a crash, as in Flink and in Pelton.
//! - Its own `optimize_for_point_lookup`: a hash index in each block, a bloom filter of 10 bits a key,
//!   one in the memtable, and a block cache that holds all values, 2 GiB. No filter in the last level,
//!   as every read hits. No compression. Indexes and filters stay in memory.
//! - Memtables of 64 MiB, four at most, so that a flush does not hold up writes; 2 background jobs.
//!   One thread writes, so the memtable is not locked for several.
//! - Filled in order and compacted before the clock starts. Reads and writes go one by one, pinned and
//!   not copied, as in Flink: no multi-get, no batches.

use std::path::Path;

use pelton::record::KeyHash;
use pelton_benches::log::VALUE_BYTES;
use rocksdb::{DB, Options, WriteOptions};

use super::{Peer, changed, sorted_key};

const BLOCK_CACHE_MIB: u64 = 2 << 10;

pub(crate) struct RocksDb {
    db: DB,
    unlogged: WriteOptions,
}

impl Peer for RocksDb {
    const NAME: &'static str = "RocksDB";

    fn filled(key_count: u64, directory: &Path) -> Self {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.optimize_for_point_lookup(BLOCK_CACHE_MIB);
        options.set_optimize_filters_for_hits(true);
        options.set_write_buffer_size(64 << 20);
        options.set_max_write_buffer_number(4);
        options.set_max_background_jobs(2);
        options.set_allow_concurrent_memtable_write(false);
        let db = DB::open(&options, directory).expect("a directory that is empty");
        let mut unlogged = WriteOptions::default();
        unlogged.disable_wal(true);
        let rocks = Self { db, unlogged };
        for key in 0..key_count {
            rocks.put(key, &[0; VALUE_BYTES]);
        }
        rocks.db.flush().expect("a disk that takes writes");
        rocks.db.compact_range(None::<&[u8]>, None::<&[u8]>);
        rocks
    }

    fn change_all(&mut self, records: &[(KeyHash, u64)]) -> u64 {
        let mut total = 0;
        for &(_, key) in records {
            let read = self.db.get_pinned(sorted_key(key)).expect("a disk that reads");
            let (value, sum) = changed(&read.expect("it was filled"));
            self.put(key, &value);
            total += sum;
        }
        total
    }

    fn checkpoint(&mut self) {
        self.db.flush().expect("a disk that takes writes");
    }
}

impl RocksDb {
    fn put(&self, key: u64, value: &[u8; VALUE_BYTES]) {
        self.db.put_opt(sorted_key(key), value, &self.unlogged).expect("a disk that takes writes");
    }
}

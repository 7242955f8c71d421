//! Step 7, state: the log beside stores that others keep well.
//!
//! Takes the records of `pelton_benches::state`, the same for all: each brings an 8-byte key, whose
//! 64-byte value is read whole, its first field changed, and written back. The key's hash comes with
//! it, as from a ring; of the stores from elsewhere only hashbrown has use for it. All stores hold all
//! keys before the clock starts. After every million writes comes a checkpoint, for which the caller
//! waits; what that makes durable differs, and each store's file says how it is set:
//!
//! | store | a write | a checkpoint |
//! |---|---|---|
//! | pelton | to memory | changed bytes in files, synced |
//! | pelton, in memory | to memory | frozen, to no disk |
//! | hashbrown | to memory | nothing: the yardstick |
//! | RocksDB | to memory, no write-ahead log | memtable in a table file, synced |
//! | fjall | to memory and to its journal's buffer | the journal synced |
//!
//! Hands on a table: nanoseconds a record on the wall, which is what the calling thread waits, and of
//! the processor, which background threads count into; how often that is ours, the first row's. The
//! better of two runs on the wall counts, as the machine is shared: the second starts where the first
//! has ended, whatever compaction it has left to do. All must have read the same, or it panics.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod mapping;
mod measure;
mod peer;

use measure::{HEAD, Measured, Row, Run};
use peer::{Fjall, Hashbrown, Pelton, PeltonInMemory, RocksDb};
use pelton_benches::state::Draw;

fn main() {
    let asked = |name: &str| std::env::args().any(|argument| argument == name);
    let small = asked("--small");
    if asked("--mappings") {
        let (seconds, rounds) = if small { (1, 1) } else { (10, 5) };
        println!("a write's latency in microseconds, at a million a second");
        println!("{}", mapping::HEAD);
        return mapping::measure_in_turns(1_000_000, seconds, rounds, |row| println!("{row}"));
    }
    let (key_counts, record_count, checkpoint_records): (&[u64], usize, usize) = match small {
        true => (&[10_000], 200_000, 50_000),
        false => (&[1_000_000, 10_000_000], 5_000_000, 1_000_000),
    };
    println!("read, add one, write 64 bytes; {record_count} records, ns a record");
    println!("{HEAD}");
    for &key_count in key_counts {
        for draw in [Draw::Uniform, Draw::Zipf] {
            compare(&Run::new(key_count, draw, record_count, checkpoint_records));
        }
    }
}

fn compare(run: &Run) {
    let ours = run.measure::<Pelton>();
    let print = |measured: Measured| {
        assert_eq!(measured.sum, ours.sum, "{} has read something else", measured.name);
        println!("{}", Row { run, measured, ours });
    };
    print(ours);
    print(run.measure::<PeltonInMemory>());
    print(run.measure::<Hashbrown>());
    print(run.measure::<RocksDb>());
    print(run.measure::<Fjall>());
}

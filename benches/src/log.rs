//! Step 7, state: read, add one, write 64 bytes, in a log that is frozen as checkpoints freeze it.
//!
//! Each record's value is read whole, its first field changed, and written back. The log is frozen
//! after every million writes, as a checkpoint a second would at that rate, and told at once that
//! all is durable; it maintains itself every 1,024 records, as a stage does each turn. A thread beside
//! makes segments ready and takes old ones back, as the checkpoint thread does. Yardstick:
//! hashbrown's table with the values in it, which keeps nothing.
//!
//! Also: how long a freeze takes, and how long a frozen log takes to be indexed again. `peers/` has
//! the same log and table beside other stores; what it shares is public here.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use hashbrown::HashTable;
use pelton::clock::Clock;
use pelton::io::mapping::Region;
use pelton::record::{EventTime, Key, KeyHash};
use pelton::state::{
    DurableSegment, EntryKey, ExpiryClock, FrozenLog, FrozenSegment, OperatorId, RecoveredMemory,
    RecoveredSegment, SpareRegions, Store, StoreSettings, TOUCHED_MAX,
};

use crate::state::{Draw, cpu_ns, draw_keys};

const OPERATOR: OperatorId = OperatorId(1);
/// What a value takes: a whole number of `u64`.
pub const VALUE_BYTES: usize = 64;
/// What one call of `maintain` may look at: what a stage allows a turn.
const MAINTAINED_BYTES_MAX: u64 = 64 << 10;
const TURN_RECORDS: usize = 1_024;

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct ReadModifyWrite {
    /// How many keys there are.
    pub key_count: u64,
    /// How they are drawn.
    pub draw: Draw,
    /// A record, in a log that was never frozen.
    pub unfrozen_ns: f64,
    /// A record, in one that is frozen again and again.
    pub frozen_ns: f64,
    /// A record, in hashbrown.
    pub hashbrown_ns: f64,
    /// The longest freeze.
    pub freeze_ns_max: u64,
    /// Indexing the frozen log again, its bytes being in memory.
    pub recover_ms: f64,
    /// How long the log was then.
    pub log_mib: u64,
}

impl fmt::Display for ReadModifyWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |ns: f64| 100.0 * self.hashbrown_ns / ns;
        write!(
            f,
            "| {:>9} | {:<7} | {:6.1} ({:3.0} %) | {:6.1} ({:3.0} %) | {:6.1} | {:8.1} | {:8.0} | {:7} |",
            self.key_count,
            format!("{:?}", self.draw),
            self.unfrozen_ns,
            of(self.unfrozen_ns),
            self.frozen_ns,
            of(self.frozen_ns),
            self.hashbrown_ns,
            self.freeze_ns_max as f64 / 1e3,
            self.recover_ms,
            self.log_mib,
        )
    }
}

/// The head of the table whose rows are [`ReadModifyWrite`]s.
pub const HEAD: &str = "\
| keys      | drawn   | never frozen    | frozen          | hashbrown | freeze us max | recover ms | log MiB |
|-----------|---------|-----------------|-----------------|-----------|---------------|------------|---------|";

/// Measures `record_count` records over `key_count` keys, frozen every `freeze_every` of them.
#[must_use]
pub fn read_modify_write(
    key_count: u64,
    record_count: usize,
    draw: Draw,
    freeze_every: usize,
) -> ReadModifyWrite {
    let clock = Clock::machine();
    let records = draw_keys(key_count, record_count, draw);
    let beside = Beside::start();
    let mut store = filled(key_count, &beside);
    let unfrozen_ns = best(&clock, &records, |records| change_all(&mut store, records));
    let (recover_ms, log_mib) = recover(&clock, &store.freeze());
    let mut log = Checkpointed::new(store, beside, clock.clone());
    log.checkpoint();
    let frozen_ns = best(&clock, &records, |records| log.change_all(records, freeze_every));
    let freeze_ns_max = log.freeze_ns_max;
    drop(log);
    let mut table = table_of(key_count);
    let hashbrown_ns = best(&clock, &records, |records| change_in_table(&mut table, records));
    ReadModifyWrite {
        key_count,
        draw,
        unfrozen_ns,
        frozen_ns,
        hashbrown_ns,
        freeze_ns_max,
        recover_ms,
        log_mib,
    }
}

/// The best of two runs, in nanoseconds of this thread a record: the machine is shared.
fn best(
    clock: &Clock,
    records: &[(KeyHash, u64)],
    mut run: impl FnMut(&[(KeyHash, u64)]) -> u64,
) -> f64 {
    let ns = (0..2).map(|_| {
        let start = cpu_ns(clock);
        std::hint::black_box(run(records));
        cpu_ns(clock) - start
    });
    ns.min().unwrap_or(0) as f64 / records.len() as f64
}

fn entry_key(hash: KeyHash, key: &[u8]) -> EntryKey<'_> {
    EntryKey { operator: OPERATOR, hash, key, namespace: 0 }
}

/// A log of zeroes for every key below `key_count`.
#[must_use]
pub fn filled(key_count: u64, beside: &Beside) -> Store {
    let spare = Some(Arc::clone(&beside.spares));
    let mut store = Store::with_settings(&StoreSettings { spare, ..StoreSettings::default() });
    for key in 0..key_count {
        store.insert(&entry_key(u64::hash(key), &key.to_le_bytes()), VALUE_BYTES);
    }
    store
}

/// Changes the values of records, whose keys are touched together; answers with a sum of what was
/// read.
fn change_all(store: &mut Store, records: &[(KeyHash, u64)]) -> u64 {
    let mut sum = 0;
    for records in records.chunks(TOUCHED_MAX) {
        let mut hashes = [KeyHash::default(); TOUCHED_MAX];
        for (hash, record) in hashes.iter_mut().zip(records) {
            *hash = record.0;
        }
        store.touch(OPERATOR, &hashes[..records.len()]);
        for &(hash, key) in records {
            let offset = store.find(&entry_key(hash, &key.to_le_bytes())).expect("it was filled");
            let offset = store.writable(offset);
            let mut value: [u64; VALUE_BYTES / 8] = store.field(offset, 0);
            value[0] += 1;
            sum += value.iter().sum::<u64>();
            store.set(offset, 0, value);
        }
    }
    sum
}

/// What the checkpoint thread does for a log beside flushing it.
#[derive(Debug)]
pub struct Beside {
    spares: Arc<SpareRegions>,
    retired: Sender<Vec<Region>>,
}

/// How many segments are kept ready.
const SPARE_COUNT: usize = 2;

impl Beside {
    /// The thread ends when this is dropped.
    #[must_use]
    pub fn start() -> Self {
        let spares = Arc::new(SpareRegions::new(StoreSettings::default().segment_bytes));
        let (retired, taken) = channel::<Vec<Region>>();
        let own = Arc::clone(&spares);
        std::thread::spawn(move || {
            loop {
                match taken.recv_timeout(Duration::from_millis(2)) {
                    Ok(regions) => {
                        regions.into_iter().for_each(|it| own.give_back(it, SPARE_COUNT))
                    }
                    Err(RecvTimeoutError::Timeout) => own.refill(SPARE_COUNT),
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        Self { spares, retired }
    }

    /// Takes what a log has retired.
    ///
    /// # Panics
    /// The thread has panicked.
    pub fn take(&self, retired: Vec<Region>) {
        self.retired.send(retired).expect("the thread ends last");
    }
}

/// Changes the values of records in turns, after each of which the log maintains itself; answers with
/// a sum of what was read.
pub fn change_in_turns(store: &mut Store, records: &[(KeyHash, u64)]) -> u64 {
    let now = ExpiryClock { event: EventTime::MIN, wall_micros: 0 };
    let mut sum = 0;
    for records in records.chunks(TURN_RECORDS) {
        sum += change_all(store, records);
        store.maintain(now, MAINTAINED_BYTES_MAX);
    }
    sum
}

/// A log and the checkpoints that are made of it, which reach no disk.
#[derive(Debug)]
pub struct Checkpointed {
    store: Store,
    beside: Beside,
    clock: Clock,
    freeze_ns_max: u64,
}

impl Checkpointed {
    /// A log of which there is no checkpoint yet.
    #[must_use]
    pub fn new(store: Store, beside: Beside, clock: Clock) -> Self {
        Self { store, beside, clock, freeze_ns_max: 0 }
    }

    fn change_all(&mut self, records: &[(KeyHash, u64)], freeze_every: usize) -> u64 {
        let mut sum = 0;
        for records in records.chunks(freeze_every) {
            sum += self.change_in_turns(records);
            self.checkpoint();
        }
        sum
    }

    /// As [`change_in_turns`].
    pub fn change_in_turns(&mut self, records: &[(KeyHash, u64)]) -> u64 {
        change_in_turns(&mut self.store, records)
    }

    /// Freezes the log and tells it that all is durable.
    pub fn checkpoint(&mut self) {
        // On the wall, as the thread's processor time moves in steps of milliseconds. So a machine that
        // holds the thread up in the middle shows.
        let start = self.clock.now_ns();
        let frozen = self.store.freeze();
        self.freeze_ns_max = self.freeze_ns_max.max(self.clock.now_ns() - start);
        let durable = |segment: &FrozenSegment| DurableSegment {
            number: segment.number,
            bytes: segment.frozen_bytes,
            file: None,
        };
        let known = frozen.segments.iter().filter(|segment| segment.bytes.is_some());
        let durable: Vec<DurableSegment> = known.map(durable).collect();
        let retired = self.store.note_durable(durable);
        self.beside.take(retired);
    }
}

/// Copies what is frozen, as a reader of files would, and indexes it.
fn recover(clock: &Clock, frozen: &FrozenLog) -> (f64, u64) {
    let copy = |segment: &FrozenSegment| {
        let from = segment.bytes.as_deref().expect("nothing was said to be durable");
        let mut region = Region::zeroed(from.len());
        region.bytes_mut(0).copy_from_slice(from);
        let memory = RecoveredMemory::Region(region);
        RecoveredSegment { number: segment.number, memory, bytes: segment.frozen_bytes }
    };
    let segments: Vec<RecoveredSegment> = frozen.segments.iter().map(copy).collect();
    let bytes: u64 = frozen.segments.iter().map(|segment| u64::from(segment.frozen_bytes)).sum();
    let start = clock.now_ns();
    let store = Store::recover(&StoreSettings::default(), segments).expect("a log that was frozen");
    let ms = (clock.now_ns() - start) as f64 / 1e6;
    assert_eq!(store.entry_count(), frozen.entry_count);
    (ms, bytes >> 20)
}

/// A key and its value, in hashbrown.
pub type Row = (u64, [u64; VALUE_BYTES / 8]);

/// A table of zeroes for every key below `key_count`.
#[must_use]
pub fn table_of(key_count: u64) -> HashTable<Row> {
    let mut table = HashTable::new();
    for key in 0..key_count {
        table.insert_unique(u64::hash(key).0, (key, [0; 8]), |&(key, _): &Row| u64::hash(key).0);
    }
    table
}

/// Changes the values of records; answers with a sum of what was read.
pub fn change_in_table(table: &mut HashTable<Row>, records: &[(KeyHash, u64)]) -> u64 {
    let mut sum = 0;
    for &(hash, key) in records {
        let row = table.find_mut(hash.0, |&(other, _)| other == key).expect("it was filled");
        row.1[0] += 1;
        sum += row.1.iter().sum::<u64>();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_run_measures_everything() {
        let measured = read_modify_write(10_000, 1_000_000, Draw::Uniform, 100_000);
        assert!(measured.unfrozen_ns > 0.0 && measured.frozen_ns > 0.0);
        assert!(measured.hashbrown_ns > 0.0 && measured.recover_ms > 0.0);
        assert!(measured.log_mib >= 1 && measured.freeze_ns_max > 0);
        assert_eq!(measured.to_string().matches('|').count(), HEAD.matches('|').count() / 2);
    }
}

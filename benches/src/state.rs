//! Step 7, state: a keyed count in the store, beside tables that keep nothing else.
//!
//! Each record brings its key and the key's hash, as it does from a ring; the count of the key is
//! read, one is added, and it is written back. All tables hold all keys before the clock starts,
//! so that look-ups are measured and not growth; `growth_ns_max` is measured on its own.
//!
//! The yardsticks: (a) open addressing over `[key, count]`, written by hand, on huge pages like the
//! store; (a small) the same on 4-KiB pages, as a plain `Vec` has them; (b) hashbrown.

use std::fmt;

use hashbrown::HashTable;
use memmap2::{Advice, MmapMut};
use pelton::clock::Clock;
use pelton::record::{Key, KeyHash};
use pelton::state::{EntryKey, OperatorId, Store, TOUCHED_MAX};

/// How keys are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// Each as often as any other.
    Uniform,
    /// The key of rank r about 1/r as often as the first.
    Zipf,
}

/// Nanoseconds a record.
#[derive(Debug, Clone, Copy)]
pub struct KeyedCount {
    /// How many keys there are.
    pub key_count: u64,
    /// How they are drawn.
    pub draw: Draw,
    /// In the store, touched in batches.
    pub store_ns: f64,
    /// In the store, each record by itself.
    pub untouched_ns: f64,
    /// By hand, on huge pages.
    pub by_hand_ns: f64,
    /// By hand, on small pages.
    pub by_hand_small_pages_ns: f64,
    /// In hashbrown's table.
    pub hashbrown_ns: f64,
    /// The store's bytes for each key.
    pub store_bytes_per_key: f64,
    /// The longest insertion while the store was filled.
    pub insert_ns_max: u64,
    /// The mean insertion.
    pub insert_ns: f64,
}

impl fmt::Display for KeyedCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |yardstick_ns: f64| 100.0 * yardstick_ns / self.store_ns;
        write!(
            f,
            "| {:>9} | {:<7} | {:6.1} | {:6.1} | {:6.1} ({:3.0} %) | {:6.1} ({:3.0} %) | {:6.1} ({:3.0} %) | {:5.1} | {:6.1} | {:8} |",
            self.key_count,
            format!("{:?}", self.draw),
            self.store_ns,
            self.untouched_ns,
            self.by_hand_ns,
            of(self.by_hand_ns),
            self.by_hand_small_pages_ns,
            of(self.by_hand_small_pages_ns),
            self.hashbrown_ns,
            of(self.hashbrown_ns),
            self.store_bytes_per_key,
            self.insert_ns,
            self.insert_ns_max,
        )
    }
}

/// The head of the table whose rows are [`KeyedCount`]s.
pub const HEAD: &str = "\
| keys      | drawn   | store  | single | by hand, huge   | by hand, 4 KiB  | hashbrown       | B/key | insert | max ns   |
|-----------|---------|--------|--------|-----------------|-----------------|-----------------|-------|--------|----------|";

/// Measures the keyed count of `record_count` records over `key_count` keys.
#[must_use]
pub fn keyed_count(key_count: u64, record_count: usize, draw: Draw) -> KeyedCount {
    let clock = Clock::machine();
    let records = draw_keys(key_count, record_count, draw);
    let (mut store, insert_ns, insert_ns_max) = fill_store(key_count, &clock);
    let store_bytes = store.bytes();
    let store_ns = best(&clock, record_count, || count_in_store(&mut store, &records, TOUCHED_MAX));
    let untouched_ns = best(&clock, record_count, || count_in_store(&mut store, &records, 1));
    drop(store);
    let mut by_hand = ByHand::new(MmapTable::new(key_count), key_count);
    let by_hand_ns = best(&clock, record_count, || by_hand.count(&records));
    drop(by_hand);
    let mut by_hand = ByHand::new(vec![[0; 16]; table_slots(key_count)], key_count);
    let by_hand_small_pages_ns = best(&clock, record_count, || by_hand.count(&records));
    drop(by_hand);
    let mut table = HashTable::new();
    for key in 0..key_count {
        table.insert_unique(u64::hash(key).0, (key, 1_u64), |&(key, _)| u64::hash(key).0);
    }
    let hashbrown_ns = best(&clock, record_count, || count_in_hashbrown(&mut table, &records));
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    KeyedCount {
        key_count,
        draw,
        store_ns,
        untouched_ns,
        by_hand_ns,
        by_hand_small_pages_ns,
        hashbrown_ns,
        store_bytes_per_key: store_bytes as f64 / key_count as f64,
        insert_ns_max,
        insert_ns,
    }
}

const OPERATOR: OperatorId = OperatorId(1);

fn fill_store(key_count: u64, clock: &Clock) -> (Store, f64, u64) {
    let mut store = Store::new();
    let (start, mut before, mut ns_max) = (clock.now_ns(), clock.now_ns(), 0);
    for key in 0..key_count {
        let bytes = key.to_le_bytes();
        let (offset, _) = store.find_or_insert(&entry_key(u64::hash(key), &bytes), 8);
        store.set(offset, 0, 1_u64);
        let now = clock.now_ns();
        ns_max = ns_max.max(now - before);
        before = now;
    }
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    let mean = (before - start) as f64 / key_count as f64;
    (store, mean, ns_max)
}

fn entry_key(hash: KeyHash, key: &[u8]) -> EntryKey<'_> {
    EntryKey { operator: OPERATOR, hash, key, namespace: 0 }
}

fn count_in_store(store: &mut Store, records: &[(KeyHash, u64)], batch: usize) -> u64 {
    let mut sum = 0;
    for records in records.chunks(batch) {
        if batch > 1 {
            let mut hashes = [KeyHash::default(); TOUCHED_MAX];
            for (hash, record) in hashes.iter_mut().zip(records) {
                *hash = record.0;
            }
            store.touch(OPERATOR, &hashes[..records.len()]);
        }
        for (index, &(hash, key)) in records.iter().enumerate() {
            let bytes = key.to_le_bytes();
            store.turn_to(index);
            let add = |count: Option<u64>| count.unwrap_or(0) + 1;
            sum += store.upsert(&entry_key(hash, &bytes), add).1 - 1;
        }
    }
    sum
}

fn count_in_hashbrown(table: &mut HashTable<(u64, u64)>, records: &[(KeyHash, u64)]) -> u64 {
    let mut sum = 0;
    for &(hash, key) in records {
        let mut entry = table
            .entry(hash.0, |&(other, _)| other == key, |&(key, _)| u64::hash(key).0)
            .or_insert((key, 0));
        sum += entry.get().1;
        entry.get_mut().1 += 1;
    }
    sum
}

/// The processor time that this thread has used, in nanoseconds: other programs on a shared machine
/// don't count. Falls back to the clock on the wall where the kernel does not say.
pub(crate) fn cpu_ns(clock: &Clock) -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = schedstat.split(' ').next().and_then(|text| text.parse().ok());
    first.unwrap_or_else(|| clock.now_ns())
}

/// The best of three runs, in nanoseconds a record: the machine is shared.
fn best(clock: &Clock, record_count: usize, mut run: impl FnMut() -> u64) -> f64 {
    let ns = (0..3).map(|_| {
        let start = cpu_ns(clock);
        std::hint::black_box(run());
        cpu_ns(clock) - start
    });
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    let mean = ns.min().unwrap_or(0) as f64 / record_count as f64;
    mean
}

trait Slots {
    fn slots(&mut self) -> &mut [[u8; 16]];
}

impl Slots for Vec<[u8; 16]> {
    fn slots(&mut self) -> &mut [[u8; 16]] {
        self
    }
}

struct MmapTable(MmapMut);

impl MmapTable {
    fn new(key_count: u64) -> Self {
        let memory = MmapMut::map_anon(table_slots(key_count) * 16).expect("memory for the table");
        // Refused where the kernel has no huge pages; then the store has none either.
        let _ = memory.advise(Advice::HugePage);
        Self(memory)
    }
}

impl Slots for MmapTable {
    fn slots(&mut self) -> &mut [[u8; 16]] {
        self.0.as_chunks_mut().0
    }
}

fn table_slots(key_count: u64) -> usize {
    usize::try_from(key_count * 3 / 2).expect("64 bits").next_power_of_two()
}

/// Open addressing over `[key, count]`; a count of 0 is an empty slot.
struct ByHand<S>(S);

impl<S: Slots> ByHand<S> {
    fn new(slots: S, key_count: u64) -> Self {
        let mut table = Self(slots);
        for key in 0..key_count {
            table.count(&[(u64::hash(key), key)]);
        }
        table
    }

    fn count(&mut self, records: &[(KeyHash, u64)]) -> u64 {
        let slots = self.0.slots();
        let mask = slots.len() - 1;
        let mut sum = 0;
        for &(hash, key) in records {
            let mut at = usize::try_from(hash.0).expect("64 bits") & mask;
            loop {
                let (slot_key, slot_count) = slots[at].split_at_mut(8);
                let slot_key: &mut [u8; 8] = slot_key.try_into().expect("8 bytes");
                let slot_count: &mut [u8; 8] = slot_count.try_into().expect("8 bytes");
                let count = u64::from_le_bytes(*slot_count);
                if count == 0 || u64::from_le_bytes(*slot_key) == key {
                    *slot_key = key.to_le_bytes();
                    *slot_count = (count + 1).to_le_bytes();
                    sum += count;
                    break;
                }
                at = (at + 1) & mask;
            }
        }
        sum
    }
}

/// The same `record_count` keys below `key_count`, whoever asks, with their hashes.
#[must_use]
pub fn draw_keys(key_count: u64, record_count: usize, draw: Draw) -> Vec<(KeyHash, u64)> {
    let mut seed = 0x1234_5678_9abc_def1_u64;
    (0..record_count)
        .map(|_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let key = match draw {
                Draw::Uniform => seed % key_count,
                Draw::Zipf => zipf_rank(seed, key_count).wrapping_mul(7_919) % key_count,
            };
            (u64::hash(key), key)
        })
        .collect()
}

/// A rank that falls off as 1/r: `n^u` for a uniform `u`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a random draw"
)]
fn zipf_rank(random: u64, key_count: u64) -> u64 {
    let uniform = (random >> 11) as f64 / (1_u64 << 53) as f64;
    ((key_count as f64).powf(uniform) as u64 - 1).min(key_count - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tables_count_the_same() {
        for draw in [Draw::Uniform, Draw::Zipf] {
            let records = draw_keys(1_000, 5_000, draw);
            let (mut store, ..) = fill_store(1_000, &Clock::machine());
            let mut by_hand = ByHand::new(MmapTable::new(1_000), 1_000);
            let sums = [count_in_store(&mut store, &records, TOUCHED_MAX), by_hand.count(&records)];
            assert_eq!(sums[0], sums[1]);
            assert!(keyed_count(1_000, 5_000, draw).store_ns >= 0.0);
        }
    }
}

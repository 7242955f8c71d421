//! The log under the store: freezes, recovery, compaction, expiry and spilling, on random work
//! against a map, with the stalest of hints.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use pelton::io::mapping::{Mapped, Region};
use pelton::record::{EventTime, KeyHash};
use pelton::state::{
    DurableSegment, EntryKey, ExpiryClock, ExpiryKind, FrozenLog, LogOffset, OperatorId,
    RecoveredMemory, RecoveredSegment, SlotCursor, SpareRegions, StateError, Store, StoreSettings,
};
use proptest::prelude::*;

const SEGMENT_BYTES: usize = 64 << 10;
const ID: OperatorId = OperatorId(1);

/// What an entry is known by: hash, namespace, key.
type Name = (u64, u64, u8);
/// Its value, and when it expires.
type Kept = (Vec<u8>, Option<(ExpiryKind, i64)>);
type Map = BTreeMap<Name, Kept>;

#[derive(Debug, Clone)]
enum Work {
    Put(Name, usize, u8),
    Set(Name, u8),
    Delete(Name),
    Expiring(Name, ExpiryKind, i64),
    Churn(u64, usize),
    Freeze,
    Maintain(u64),
    Durable,
    Recover,
}

fn name() -> impl Strategy<Value = Name> {
    // Few names, and keys that share a hash.
    (0..20_u64, 0..2_u64, 0..2_u8)
        .prop_map(|(hash, namespace, key)| (hash << 52 | hash, namespace, key))
}

fn work() -> impl Strategy<Value = Work> {
    let value_bytes = prop_oneof![4 => 0..60_usize, 1 => 0..9_000_usize];
    let kind = prop_oneof![Just(ExpiryKind::Event), Just(ExpiryKind::Wall)];
    prop_oneof![
        6 => (name(), value_bytes, any::<u8>()).prop_map(|(name, n, byte)| Work::Put(name, n, byte)),
        4 => (name(), any::<u8>()).prop_map(|(name, byte)| Work::Set(name, byte)),
        4 => name().prop_map(Work::Delete),
        2 => (name(), kind, 0..40_i64).prop_map(|(name, kind, at)| Work::Expiring(name, kind, at * 1_000_000)),
        1 => (0..4_u64, 1_000..12_000_usize).prop_map(|(which, n)| Work::Churn(which, n)),
        3 => Just(Work::Freeze),
        3 => (16..200_000_u64).prop_map(Work::Maintain),
        1 => Just(Work::Durable),
        1 => Just(Work::Recover),
    ]
}

fn key((hash, namespace, key): &Name) -> EntryKey<'_> {
    EntryKey {
        operator: ID,
        hash: KeyHash(*hash),
        key: std::slice::from_ref(key),
        namespace: *namespace,
    }
}

fn tiny(budget_bytes: Option<u64>) -> StoreSettings {
    StoreSettings { segment_bytes: SEGMENT_BYTES, budget_bytes, spare: None }
}

/// What a checkpoint would have on a disk.
#[derive(Default)]
struct Disk {
    files: BTreeMap<u32, Vec<u8>>,
}

impl Disk {
    /// Flushes what is new, and checks that what was flushed before is what is frozen now.
    fn flush(&mut self, log: &FrozenLog) {
        let numbers: Vec<u32> = log.segments.iter().map(|segment| segment.number).collect();
        self.files.retain(|number, _| numbers.contains(number));
        for segment in &log.segments {
            let file = self.files.entry(segment.number).or_default();
            assert_eq!(segment.frozen_bytes % 4096, 0);
            match &segment.bytes {
                None => assert_eq!(file.len(), segment.frozen_bytes as usize),
                Some(bytes) => {
                    assert_eq!(bytes.len(), segment.frozen_bytes as usize);
                    assert!(bytes.starts_with(file), "frozen bytes never change");
                    file.extend_from_slice(&bytes[file.len()..]);
                }
            }
        }
    }

    fn durable(&self) -> Vec<DurableSegment> {
        let of = |(&number, bytes): (&u32, &Vec<u8>)| DurableSegment {
            number,
            bytes: length(bytes),
            file: Some(Arc::new(file_of(bytes))),
        };
        self.files.iter().map(of).collect()
    }

    /// Half of the segments in memory, half left in files.
    fn recovered(&self) -> Vec<RecoveredSegment> {
        let of = |(&number, bytes): (&u32, &Vec<u8>)| RecoveredSegment {
            number,
            memory: if number % 2 == 0 {
                RecoveredMemory::Region(region_of(bytes))
            } else {
                RecoveredMemory::Mapped(
                    Mapped::of_file(&file_of(bytes), bytes.len()).expect("a whole file"),
                )
            },
            bytes: length(bytes),
        };
        self.files.iter().map(of).collect()
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a segment is short")
}

fn file_of(bytes: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("room on the disk");
    file
}

fn region_of(bytes: &[u8]) -> Region {
    let mut region = Region::zeroed(SEGMENT_BYTES);
    region.bytes_mut(0)[..bytes.len()].copy_from_slice(bytes);
    region
}

/// A store, the map that says what is in it, and the same of the last freeze.
struct Model {
    store: Store,
    map: Map,
    frozen: Map,
    disk: Disk,
    hints: Vec<LogOffset>,
    now: ExpiryClock,
    settings: StoreSettings,
}

impl Model {
    fn new(settings: StoreSettings) -> Self {
        Self {
            store: Store::with_settings(&settings),
            map: Map::new(),
            frozen: Map::new(),
            disk: Disk::default(),
            hints: vec![LogOffset::NONE, LogOffset(64), LogOffset(1 << 40)],
            now: ExpiryClock { event: EventTime(0), wall_micros: 0 },
            settings,
        }
    }

    fn run(&mut self, work: Work) {
        match work {
            Work::Put(name, value_bytes, byte) => self.put(name, value_bytes, byte),
            Work::Set(name, byte) => self.set(&name, byte),
            Work::Delete(name) => {
                let was = self.map.remove(&name).is_some();
                assert_eq!(self.store.delete(&key(&name)), was);
            }
            Work::Expiring(name, kind, at) => {
                if !self.map.contains_key(&name) {
                    let offset = self.store.insert_expiring(&key(&name), 11, kind);
                    self.store.set(offset, 0, at);
                    let mut value = at.to_le_bytes().to_vec();
                    value.resize(11, 0);
                    self.map.insert(name, (value, Some((kind, at))));
                }
            }
            Work::Churn(which, value_bytes) => {
                for number in 0..20 {
                    self.put((which << 60 | 7, number, 0), value_bytes, 1);
                }
            }
            Work::Freeze => self.freeze(),
            Work::Maintain(budget_bytes) => self.maintain(budget_bytes),
            Work::Durable => {
                self.store.note_durable(self.disk.durable());
            }
            Work::Recover => {
                self.store = Store::recover(&self.settings, self.disk.recovered())
                    .expect("a log that was frozen");
                self.map = self.frozen.clone();
                self.check();
            }
        }
    }

    fn put(&mut self, name: Name, value_bytes: usize, byte: u8) {
        // An entry that expires stays one: its value starts with the time.
        let expiry = self.map.get(&name).and_then(|kept| kept.1);
        let mut value = vec![byte; value_bytes.max(if expiry.is_some() { 8 } else { 0 })];
        if let Some((_, at)) = expiry {
            value[..8].copy_from_slice(&at.to_le_bytes());
        }
        self.hints.push(self.store.put(&key(&name), &value));
        self.map.insert(name, (value, expiry));
    }

    fn set(&mut self, name: &Name, byte: u8) {
        let Some((value, expiry)) = self.map.get_mut(name) else {
            return;
        };
        let found = self.store.find(&key(name)).expect("the map has it");
        let offset = self.store.writable(found);
        self.hints.extend([found, offset]);
        if value.len() > if expiry.is_some() { 8 } else { 0 } {
            let last = value.len() - 1;
            self.store.set(offset, last, byte);
            value[last] = byte;
        }
    }

    fn freeze(&mut self) {
        let log = self.store.freeze();
        assert_eq!(log.entry_count, self.map.len() as u64);
        self.disk.flush(&log);
        self.frozen = self.map.clone();
    }

    fn maintain(&mut self, budget_bytes: u64) {
        self.now.event.0 += 1_500_000;
        self.now.wall_micros += 500_000;
        self.store.maintain(self.now, budget_bytes);
        let (store, now) = (&self.store, self.now);
        self.map.retain(|name, (_, expiry)| {
            let is_there = store.find(&key(name)).is_some();
            let may_go = expiry.is_some_and(|(kind, at)| now.has_passed(kind, at));
            assert!(is_there || may_go, "only what has expired goes");
            is_there
        });
    }

    fn check(&self) {
        let store = &self.store;
        assert_eq!(store.entry_count(), self.map.len() as u64);
        assert_eq!(store.iter_operator(ID).count(), self.map.len());
        for (index, (name, (value, expiry))) in self.map.iter().enumerate() {
            let hint = self.hints[index * 31 % self.hints.len()];
            store.touch_at(hint, 0);
            let (offset, found) = store.read_hinted(&key(name), hint).expect("the map has it");
            assert_eq!((found, store.expiry(offset)), (value.as_slice(), *expiry));
            assert_eq!(store.entry_key(offset), key(name));
            let candidates: Vec<_> = store.candidates(ID, KeyHash(name.0), name.1).collect();
            let twin = (name.0, name.1, 1 - name.2.min(1));
            assert_eq!(candidates.len(), 1 + usize::from(self.map.contains_key(&twin)));
            assert!(candidates.contains(&offset));
        }
        for &hint in &self.hints {
            for hash in [0, 7 << 52 | 7] {
                let name = (hash, 1, 1);
                let found = store.find_hinted(&key(&name), hint);
                assert_eq!(found.is_some(), self.map.contains_key(&name));
            }
        }
        let mut cursor = SlotCursor::new(ID, None).with_stretch(5);
        let names = std::iter::from_fn(|| cursor.next(store))
            .map(|at| (store.hash(at).0, store.namespace(at), store.key(at)[0]));
        assert!(names.eq(self.map.keys().copied()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_log_holds_what_a_map_holds_and_recovers_every_freeze(
        work in proptest::collection::vec(work(), 0..150),
        budget_bytes in proptest::option::of(0..400_000_u64),
    ) {
        let mut model = Model::new(tiny(budget_bytes));
        for (number, work) in work.into_iter().enumerate() {
            model.run(work);
            if number % 8 == 0 {
                model.check();
            }
        }
        model.check();
        model.run(Work::Recover);
    }

    #[test]
    fn damaged_bytes_are_an_error_or_another_state_and_never_a_panic(
        work in proptest::collection::vec(work(), 0..60),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        near in any::<bool>(),
    ) {
        let mut model = Model::new(tiny(None));
        for work in work {
            model.run(work);
        }
        model.freeze();
        let mut segments = model.disk.recovered();
        for (at, byte) in damage {
            let Some(segment) = segments.iter_mut().next() else {
                break;
            };
            // Lengths and states stand in the first headers as in all others.
            let span = if near { 512 } else { segment.bytes as usize };
            let at = at.index(span);
            let mut bytes = match &segment.memory {
                RecoveredMemory::Region(region) => region.bytes()[..segment.bytes as usize].to_vec(),
                RecoveredMemory::Mapped(mapped) => mapped.to_vec(),
            };
            bytes[at] = byte;
            segment.memory = RecoveredMemory::Region(region_of(&bytes));
        }
        if let Ok(store) = Store::recover(&tiny(None), segments) {
            let all = store.iter_operator(ID);
            let sum: usize = all.map(|at| store.key(at).len() + store.value(at).len()).sum();
            prop_assert!(store.entry_count() < 1_000 && sum < 100 << 20);
        }
    }
}

fn name_of(number: u64) -> Name {
    (KeyHash::of(&number.to_le_bytes()).0, number, 0)
}

#[test]
fn a_log_under_constant_change_stays_short() {
    let mut store = Store::with_settings(&tiny(None));
    let now = ExpiryClock { event: EventTime::MIN, wall_micros: 0 };
    let (mut longest, mut dropped) = (0, 0);
    for round in 0..400_u64 {
        // A tenth of the keys changes each round, one is replaced; the others never change.
        for number in (0..200).chain(2_000 + round..2_001 + round) {
            store.put(&key(&name_of(number)), &[7; 200]);
        }
        store.delete(&key(&name_of(1_999 + round)));
        if round == 0 {
            (200..1_000).for_each(|number| {
                store.put(&key(&name_of(number)), &[9; 200]);
            });
        }
        store.freeze();
        dropped += store.note_durable(Vec::new()).len();
        while store.maintain(now, 10_000) {}
        longest = longest.max(store.log_bytes());
    }
    let live_bytes = 1_001 * 256;
    assert!(longest < 2 * live_bytes + 6 * SEGMENT_BYTES as u64, "{longest}");
    assert!(dropped > 10, "compacted segments are handed on");
    assert_eq!(store.entry_count(), 1_001);
    assert!((0..1_000).all(|number| store.find(&key(&name_of(number))).is_some()));
}

#[test]
fn a_store_that_was_never_frozen_is_not_compacted() {
    let mut store = Store::with_settings(&tiny(None));
    for number in 0..5_000 {
        store.put(&key(&name_of(number)), &[7; 100]);
        store.delete(&key(&name_of(number / 2)));
    }
    let log_bytes = store.log_bytes();
    let now = ExpiryClock { event: EventTime::MAX, wall_micros: i64::MAX };
    assert!(!store.maintain(now, u64::MAX));
    assert_eq!(store.log_bytes(), log_bytes);
}

#[test]
fn entries_expire_by_their_own_clock() {
    let mut store = Store::with_settings(&tiny(None));
    let second = 1_000_000;
    for number in 0..100 {
        let kind = if number % 2 == 0 { ExpiryKind::Event } else { ExpiryKind::Wall };
        let offset = store.insert_expiring(&key(&name_of(number)), 8, kind);
        store.set(offset, 0, second * i64::try_from(number).unwrap());
    }
    store.freeze();
    let at =
        |event, wall| ExpiryClock { event: EventTime(event * second), wall_micros: wall * second };
    let mut left_after = |now| {
        while store.maintain(now, 500) {}
        (0..100).filter(|&number| store.find(&key(&name_of(number))).is_some()).count()
    };
    assert_eq!(left_after(at(-1, -1)), 100);
    assert_eq!(left_after(at(50, -1)), 100 - 26);
    assert_eq!(left_after(at(50, 50)), 100 - 26 - 25);
    assert_eq!(left_after(at(1_000, 1_000)), 0);
    let log = store.freeze();
    assert_eq!(log.entry_count, 0);
    let mut disk = Disk::default();
    disk.flush(&log);
    let recovered = Store::recover(&tiny(None), disk.recovered()).unwrap();
    assert_eq!(recovered.entry_count(), 0, "what expired stays away");
}

#[test]
fn a_budget_leaves_sealed_segments_to_their_files() {
    let mut store = Store::with_settings(&tiny(Some(200_000)));
    for number in 0..5_000 {
        store.put(&key(&name_of(number)), &number.to_le_bytes().repeat(12));
    }
    let mut disk = Disk::default();
    disk.flush(&store.freeze());
    let before = store.resident_bytes();
    let retired = store.note_durable(disk.durable());
    assert!(retired.len() > 5 && store.mapped_segment_count() == retired.len());
    assert!(store.resident_bytes() < before && store.resident_bytes() <= 200_000);
    drop(retired);
    for number in 0..5_000_u64 {
        let name = name_of(number);
        let offset = store.find(&key(&name)).unwrap();
        let offset = store.writable(offset);
        store.set(offset, 8, number + 1);
        assert_eq!(store.field::<u64>(offset, 0), number);
    }
    let log = store.freeze();
    assert!(log.segments.iter().take(5).all(|segment| segment.bytes.is_none()));
    disk.flush(&log);
}

#[test]
fn segments_that_don_t_belong_are_refused_by_name() {
    let mut store = Store::with_settings(&tiny(None));
    for number in 0..3_000 {
        store.put(&key(&name_of(number)), &[7; 100]);
    }
    let mut disk = Disk::default();
    disk.flush(&store.freeze());
    let settings = tiny(None);
    let mut gap = disk.recovered();
    gap.remove(1);
    let refused = Store::recover(&settings, gap).unwrap_err();
    assert_eq!(refused, StateError::Order { expected: 1, found: 2 });
    let mut torn = disk.recovered();
    torn[1].bytes += 4096;
    let refused = Store::recover(&settings, torn).unwrap_err();
    assert!(matches!(refused, StateError::Length { segment: 1, .. }), "{refused}");
    let mut swapped = disk.recovered();
    swapped[1].number = 0;
    swapped.remove(0);
    let refused = Store::recover(&settings, swapped).unwrap_err();
    assert!(refused.to_string().contains("segment 0"), "{refused}");
    assert!(matches!(refused, StateError::Header { .. }));
}

#[test]
fn spare_regions_become_segments() {
    let spare = Arc::new(SpareRegions::new(SEGMENT_BYTES));
    let mut store =
        Store::with_settings(&StoreSettings { spare: Some(Arc::clone(&spare)), ..tiny(None) });
    store.put(&key(&name_of(1)), &[1; 40_000]);
    spare.refill(2);
    assert_eq!(spare.count(), 0, "a log of one segment asks for none ahead");
    store.put(&key(&name_of(2)), &[1; 40_000]);
    spare.refill(2);
    assert_eq!(spare.count(), 1, "one that has outgrown it does");
    store.put(&key(&name_of(3)), &[1; 40_000]);
    assert_eq!(spare.count(), 0, "and takes it");
    assert_eq!(store.entry_count(), 3);
    let used = || {
        let mut region = Region::zeroed(SEGMENT_BYTES);
        region.bytes_mut(0).fill(1);
        region
    };
    spare.give_back(used(), 1);
    spare.give_back(used(), 1);
    assert_eq!(spare.count(), 1, "no more are kept than may be ready");
    store.put(&key(&name_of(4)), &[1; 40_000]);
    assert_eq!((spare.count(), store.entry_count()), (0, 4));
    let live: Vec<u8> =
        (1..=4).map(|n| store.value(store.find(&key(&name_of(n))).unwrap())[0]).collect();
    assert_eq!(live, [1; 4]);
    spare.give_back(Region::zeroed(SEGMENT_BYTES / 2), 1);
    assert_eq!(spare.count(), 0, "one of another length is no segment");
}

/// Freezes, recovers, and says which of the names are there.
fn recovered(store: &mut Store, names: &[Name]) -> Vec<bool> {
    let mut disk = Disk::default();
    disk.flush(&store.freeze());
    let store = Store::recover(&tiny(None), disk.recovered()).expect("a log that was frozen");
    names.iter().map(|name| store.find(&key(name)).is_some()).collect()
}

#[test]
fn a_tomb_spares_a_later_entry_in_an_earlier_room_of_its_region() {
    for filler_bytes in [0, 60_000] {
        let mut store = Store::with_settings(&tiny(None));
        let names = [name_of(0), name_of(1)];
        store.put(&key(&names[0]), &[1; 100]);
        store.freeze();
        let room = store.put(&key(&names[1]), &[1; 100]);
        // With the long one the tomb lies in the segment behind, which continues the region.
        store.put(&key(&name_of(2)), &vec![1; filler_bytes]);
        store.put(&key(&name_of(3)), &vec![1; filler_bytes / 2]);
        store.delete(&key(&names[0]));
        store.delete(&key(&names[1]));
        assert_eq!(store.put(&key(&names[0]), &[2; 100]), room, "a room is used again");
        assert_eq!(recovered(&mut store, &names), [true, false], "{filler_bytes}");
    }
}

#[test]
fn a_region_may_end_with_its_segment_and_no_pad() {
    for filler_bytes in [65_472 - 32 - 8, 65_472 - 32 - 8 - 16] {
        let mut store = Store::with_settings(&tiny(None));
        let names = [name_of(0)];
        store.put(&key(&names[0]), &vec![1; filler_bytes]);
        let log = store.freeze();
        assert_eq!((log.segments.len(), log.segments[0].frozen_bytes), (1, 65_536));
        assert_eq!(recovered(&mut store, &names), [true]);
        store.delete(&key(&names[0]));
        assert_eq!(recovered(&mut store, &names), [false], "{filler_bytes}");
    }
}

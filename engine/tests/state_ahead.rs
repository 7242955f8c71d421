//! What is looked up ahead is a hint: whatever happens to the entries between, answers are a map's.

use std::collections::BTreeMap;

use pelton::record::{EventTime, KeyHash};
use pelton::state::{EntryKey, ExpiryClock, OperatorId, Store, StoreSettings, TOUCHED_MAX};
use proptest::prelude::*;

const ID: OperatorId = OperatorId(1);

#[derive(Debug, Clone)]
enum Between {
    Nothing,
    /// Deletes a key, whose room the next insertion may take.
    Delete(u8),
    /// Writes to another key than the one that has its turn.
    Upsert(u8),
    Freeze,
    Maintain,
}

fn between() -> impl Strategy<Value = Between> {
    prop_oneof![
        4 => Just(Between::Nothing),
        3 => (0..24_u8).prop_map(Between::Delete),
        3 => (0..24_u8).prop_map(Between::Upsert),
        1 => Just(Between::Freeze),
        1 => Just(Between::Maintain),
    ]
}

/// Two keys share each hash.
fn hash_of(key: u8) -> KeyHash {
    KeyHash(u64::from(key / 2) << 52 | u64::from(key / 2))
}

fn entry_key(key: &u8) -> EntryKey<'_> {
    EntryKey { operator: ID, hash: hash_of(*key), key: std::slice::from_ref(key), namespace: 0 }
}

fn count(store: &mut Store, counts: &mut BTreeMap<u8, u64>, key: u8) {
    let expected = counts.entry(key).or_default();
    *expected += 1;
    let add = |count: Option<u64>| count.unwrap_or(0) + 1;
    let (offset, found) = store.upsert(&entry_key(&key), add);
    assert_eq!(found, *expected, "key {key}");
    assert_eq!(store.field::<u64>(offset, 0), *expected, "key {key}, in place");
}

proptest! {
    #[test]
    fn answers_are_the_same_whatever_happens_after_the_look_ahead(
        batches in prop::collection::vec(
            prop::collection::vec((0..24_u8, between()), 1..TOUCHED_MAX), 1..30),
    ) {
        let settings = StoreSettings { segment_bytes: 64 << 10, budget_bytes: None, spare: None };
        let mut store = Store::with_settings(&settings);
        let mut counts = BTreeMap::new();
        for batch in batches {
            let hashes: Vec<_> = batch.iter().map(|(key, _)| hash_of(*key)).collect();
            store.touch(ID, &hashes);
            for (index, (key, between)) in batch.iter().enumerate() {
                store.turn_to(index);
                match between {
                    Between::Nothing => {}
                    Between::Delete(other) => {
                        let was_there = counts.remove(other).is_some();
                        prop_assert_eq!(store.delete(&entry_key(other)), was_there);
                    }
                    Between::Upsert(other) => count(&mut store, &mut counts, *other),
                    Between::Freeze => drop(store.freeze()),
                    Between::Maintain => {
                        store.maintain(ExpiryClock { event: EventTime(0), wall_micros: 0 }, 1 << 20);
                    }
                }
                let found = store.find(&entry_key(key));
                let found = found.map(|offset| store.field::<u64>(offset, 0));
                prop_assert_eq!(found, counts.get(key).copied());
                count(&mut store, &mut counts, *key);
            }
        }
        prop_assert_eq!(store.entry_count(), counts.len() as u64);
    }
}

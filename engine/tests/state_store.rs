//! The store against a map that is obviously right, on random work.

use std::collections::BTreeMap;

use pelton::record::KeyHash;
use pelton::state::{EntryKey, LogOffset, OperatorId, SlotCursor, Store};
use proptest::prelude::*;

/// What the oracle knows an entry by; the hash comes first, as cursors order by it.
type Name = (u16, u64, u64, Vec<u8>);

#[derive(Debug, Clone)]
enum Work {
    Put(Name, Vec<u8>),
    Set(Name, u8),
    Delete(Name),
}

fn name() -> impl Strategy<Value = Name> {
    // Few names, so that they meet again; few hashes, so that entries collide.
    let hash = prop_oneof![
        (0..6_u64).prop_map(|high| high << 52 | 1),
        any::<u8>().prop_map(|low| KeyHash::of(&[low]).0),
    ];
    (0..2_u16, hash, 0..3_u64, proptest::collection::vec(0..2_u8, 0..10))
}

fn work() -> impl Strategy<Value = Work> {
    let value = proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        4 => (name(), value).prop_map(|(name, value)| Work::Put(name, value)),
        2 => (name(), any::<u8>()).prop_map(|(name, byte)| Work::Set(name, byte)),
        2 => name().prop_map(Work::Delete),
    ]
}

fn key((operator, hash, namespace, key): &Name) -> EntryKey<'_> {
    EntryKey { operator: OperatorId(*operator), hash: KeyHash(*hash), key, namespace: *namespace }
}

fn name_at(store: &Store, offset: LogOffset) -> Name {
    let key = store.entry_key(offset);
    (key.operator.0, key.hash.0, key.namespace, key.key.to_vec())
}

proptest! {
    #[test]
    fn a_store_holds_what_a_map_holds(work in proptest::collection::vec(work(), 0..300)) {
        let mut store = Store::new();
        let mut map = BTreeMap::<Name, Vec<u8>>::new();
        for work in work {
            match work {
                Work::Put(name, value) => {
                    let offset = store.put(&key(&name), &value);
                    prop_assert_eq!(store.find_hinted(&key(&name), offset), Some(offset));
                    map.insert(name, value);
                }
                Work::Set(name, byte) => {
                    let (offset, added) = store.find_or_insert(&key(&name), 9);
                    prop_assert_eq!(added, !map.contains_key(&name));
                    let offset = store.writable(offset);
                    let value = map.entry(name).or_insert(vec![0; 9]);
                    prop_assert_eq!(store.value(offset), value.as_slice());
                    if let Some(last) = value.len().checked_sub(1) {
                        store.set(offset, last, byte);
                        value[last] = byte;
                    }
                }
                Work::Delete(name) => {
                    prop_assert_eq!(store.delete(&key(&name)), map.remove(&name).is_some());
                }
            }
        }
        prop_assert_eq!(store.entry_count(), map.len() as u64);
        for (name, value) in &map {
            for hint in [0, 64, 1 << 40].map(LogOffset) {
                let offset = store.find_hinted(&key(name), hint).unwrap();
                prop_assert_eq!(store.value(offset), value.as_slice());
            }
        }
        let in_order = |operator: u16| map.keys().filter(move |name| name.0 == operator);
        for operator in [0, 1] {
            let mut cursor = SlotCursor::new(OperatorId(operator), None).with_stretch(7);
            for name in in_order(operator) {
                let offset = cursor.next(&store).unwrap();
                prop_assert_eq!(&name_at(&store, offset), name);
            }
            prop_assert_eq!(cursor.next(&store), None);
            prop_assert_eq!(store.iter_operator(OperatorId(operator)).count(), in_order(operator).count());
        }
    }
}

#[test]
fn a_store_keeps_every_key_while_it_grows_and_shrinks() {
    const KEYS: u64 = 100_000;
    let mut store = Store::new();
    let of = |number: u64| {
        (1_u16, KeyHash::of(&number.to_le_bytes()).0, 0_u64, number.to_le_bytes().to_vec())
    };
    for number in 0..KEYS {
        let (offset, added) = store.find_or_insert(&key(&of(number)), 8);
        assert!(added);
        store.set(offset, 0, number);
        // One earlier key is looked up, and one in three deleted, wherever the growth stands.
        let earlier = number / 4;
        let found = store.find(&key(&of(earlier)));
        let deleted = earlier % 3 == 0 && earlier * 3 < number;
        assert_eq!(found.is_some(), !deleted, "{number}");
        if number % 9 == 0 {
            assert!(store.delete(&key(&of(number / 3))));
        }
    }
    for number in 0..KEYS {
        let deleted = number % 3 == 0 && number * 3 < KEYS;
        let value = store.find(&key(&of(number))).map(|offset| store.field::<u64>(offset, 0));
        assert_eq!(value, (!deleted).then_some(number), "{number}");
    }
}

#[test]
fn rooms_of_deleted_entries_are_used_again() {
    let mut store = Store::new();
    let name = |number: u64| (1, KeyHash::of(&number.to_le_bytes()).0, 0, vec![]);
    for number in 0..1_000 {
        store.put(&key(&name(number)), &[1; 100]);
    }
    let full_bytes = store.bytes();
    for round in 1..50 {
        for number in 0..1_000 {
            assert!(store.delete(&key(&name(number + (round - 1) * 1_000))));
            let offset = store.insert(&key(&name(number + round * 1_000)), 99);
            assert!(store.value(offset).iter().all(|&byte| byte == 0), "a used room is cleared");
        }
    }
    assert_eq!(store.bytes(), full_bytes);
}

#[test]
fn a_cursor_goes_on_from_its_position() {
    let mut store = Store::new();
    for number in 0..100_u64 {
        store.put(&key(&(3, KeyHash::of(&number.to_le_bytes()).0, 0, vec![])), &[]);
    }
    let mut first = SlotCursor::new(OperatorId(3), None);
    let mut walked: Vec<_> = (0..40).map_while(|_| first.next(&store)).collect();
    let mut second = SlotCursor::new(OperatorId(3), first.position());
    walked.extend(std::iter::from_fn(|| second.next(&store)));
    let hashes: Vec<_> = walked.iter().map(|&offset| store.hash(offset)).collect();
    assert!(hashes.is_sorted() && hashes.len() == 100);
    let slot = hashes[50].slot();
    let in_slot = hashes.iter().filter(|hash| hash.slot() == slot).count();
    assert_eq!(store.iter_slot(OperatorId(3), slot).count(), in_slot);
}

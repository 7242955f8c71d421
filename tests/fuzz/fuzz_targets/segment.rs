//! A log of one segment: refused, or a store whose every entry can be found, changed and deleted. The
//! segment's head is made right, so that what lies behind it is reached.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use pelton::io::mapping::Region;
use pelton::state::{
    EntryKey, OperatorId, RecoveredMemory, RecoveredSegment, Store, StoreSettings,
};

const SEGMENT_BYTES: usize = 64 << 10;
const BLOCK_BYTES: usize = 4096;
const HEAD_BYTES: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let length = bytes.len().next_multiple_of(BLOCK_BYTES).clamp(BLOCK_BYTES, SEGMENT_BYTES);
    let used = bytes.len().min(length);
    let mut region = Region::zeroed(length);
    region.bytes_mut(0)[..used].copy_from_slice(&bytes[..used]);
    let head = &mut region.bytes_mut(0)[..HEAD_BYTES];
    head.fill(0);
    head[..8].copy_from_slice(b"PELTSEG1");
    head[8] = 1;
    // An entry starts at a multiple of 16, and names its operator 24 bytes on.
    let operators: BTreeSet<u16> = region.bytes()[HEAD_BYTES..]
        .chunks_exact(16)
        .map(|chunk| u16::from_le_bytes([chunk[8], chunk[9]]))
        .collect();
    let settings = StoreSettings { segment_bytes: SEGMENT_BYTES, ..StoreSettings::default() };
    let bytes = u32::try_from(length).unwrap_or(0);
    let segment = RecoveredSegment { number: 0, memory: RecoveredMemory::Region(region), bytes };
    let Ok(mut store) = Store::recover(&settings, vec![segment]) else { return };
    for operator in operators.into_iter().map(OperatorId) {
        let offsets: Vec<_> = store.iter_operator(operator).collect();
        for offset in offsets {
            let known = store.entry_key(offset);
            let (hash, namespace, key) = (known.hash, known.namespace, known.key.to_vec());
            let value = store.value(offset).to_vec();
            let key = EntryKey { operator, hash, key: &key, namespace };
            assert!(store.find(&key).is_some());
            store.put(&key, &value);
            assert!(store.delete(&key));
        }
    }
    assert_eq!(store.entry_count(), 0);
});

//! A manifest's payload: refused, or a manifest that is the same once it was written again. The header
//! and its checksums are made right here, so that what they guard is reached.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pelton::checkpoint::{FORMAT_VERSION, decode, encode};
use pelton::record::KeyHash;

const HEADER_BYTES: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    // Seeds are whole files.
    let payload = match bytes.starts_with(b"PELTMAN1") {
        true => bytes.get(HEADER_BYTES..).unwrap_or_default(),
        false => bytes,
    };
    let mut file = vec![0; HEADER_BYTES];
    file[..8].copy_from_slice(b"PELTMAN1");
    file[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    file[16..24].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    // A key's hash is XXH3-64, as the checksums are.
    file[24..32].copy_from_slice(&KeyHash::of(payload).0.to_le_bytes());
    let header = KeyHash::of(&file[..56]).0;
    file[56..].copy_from_slice(&header.to_le_bytes());
    file.extend_from_slice(payload);
    if let Ok(manifest) = decode(&file) {
        assert_eq!(decode(&encode(&manifest)).as_ref(), Ok(&manifest));
    }
    let _ = decode(bytes);
});

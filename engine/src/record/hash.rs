//! The stable hash of a key, and the slot that it falls into.
//!
//! `KeyHash` is XXH3-64 (seed 0) of the key's bytes, as published by the xxHash project; the
//! golden values in the tests pin it, since hashes stand in manifests. The high 12 bits are the
//! slot, which decides the shard; tables use the low bits, so both stay well spread.

use xxhash_rust::xxh3::xxh3_64;

/// How many slots the key space is cut into. Written in every manifest; never changes under one.
pub const SLOT_COUNT: u16 = 4_096;

const SLOT_SHIFT: u32 = 64 - SLOT_COUNT.trailing_zeros();
const _: () = assert!(SLOT_COUNT.is_power_of_two());

/// The stable 64-bit hash of a key's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct KeyHash(pub u64);

/// The unit of state that moves between shards and processes: `0..SLOT_COUNT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u16);

impl KeyHash {
    /// Hashes the key's canonical bytes (see [`super::Key`]).
    #[inline]
    #[must_use]
    pub fn of(key_bytes: &[u8]) -> Self {
        Self(xxh3_64(key_bytes))
    }

    /// The slot: the high 12 bits.
    #[inline]
    #[must_use]
    pub fn slot(self) -> Slot {
        Slot((self.0 >> SLOT_SHIFT) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_has_its_published_values() {
        // From xxhsum -H3 of the same bytes; a change here breaks every state directory.
        assert_eq!(KeyHash::of(b""), KeyHash(0x2d06_8005_38d3_94c2));
        assert_eq!(KeyHash::of(b"a"), KeyHash(0xe6c6_32b6_1e96_4e1f));
        assert_eq!(KeyHash::of(b"abc"), KeyHash(0x78af_5f94_892f_3950));
    }

    #[test]
    fn the_slot_is_the_high_twelve_bits() {
        assert_eq!(KeyHash(0xfff0_0000_0000_0000).slot(), Slot(4_095));
        assert_eq!(KeyHash(0x000f_ffff_ffff_ffff).slot(), Slot(0));
    }
}

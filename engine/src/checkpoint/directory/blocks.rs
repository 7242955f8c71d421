//! Step 8, checkpoint: checksums of a segment's bytes, block by block.
//!
//! Takes bytes; hands on a checksum for each [`CHECKSUM_BLOCK_BYTES`] of them, the last of what is
//! left. Knows nothing of files.
//!
//! Why not one checksum for a segment: a log grows at its end, and only the block that grew is
//! hashed again; and a report of what is broken says where.

use xxhash_rust::xxh3::xxh3_64;

use super::error::Damage;
use crate::checkpoint::manifest::CHECKSUM_BLOCK_BYTES;

/// The checksums of all of `bytes`.
#[must_use]
pub fn checksums(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks(CHECKSUM_BLOCK_BYTES).map(xxh3_64).collect()
}

/// Makes `old`, the checksums of the first `from` bytes, those of all `bytes`. Hashes from the
/// block on that `from` lies in.
///
/// # Panics
/// `old` are not of so many bytes, or `from` is behind their end.
pub fn extend_checksums(old: &mut Vec<u64>, bytes: &[u8], from: usize) {
    assert!(from <= bytes.len(), "checksums of {from} bytes grow to those of {}", bytes.len());
    assert_eq!(old.len(), from.div_ceil(CHECKSUM_BLOCK_BYTES), "checksums of {from} bytes");
    let whole_blocks = from / CHECKSUM_BLOCK_BYTES;
    old.truncate(whole_blocks);
    old.extend(checksums(&bytes[whole_blocks * CHECKSUM_BLOCK_BYTES..]));
}

/// Compares the blocks of `bytes`, the first of which is `block_first`, to what they were.
pub(super) fn verify(bytes: &[u8], expected: &[u64], block_first: usize) -> Result<(), Damage> {
    let blocks = bytes.chunks(CHECKSUM_BLOCK_BYTES).zip(&expected[block_first..]);
    for ((block_bytes, &expected), block) in blocks.zip(block_first..) {
        let found = xxh3_64(block_bytes);
        if found != expected {
            return Err(Damage::Checksum { block, found, expected });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn checksums_that_grew_are_those_of_the_whole(
            steps in prop::collection::vec(0_usize..100_000, 1..6),
            seed in any::<u64>(),
        ) {
            let len: usize = steps.iter().sum();
            let words = (0..len as u64).map(|at| at.wrapping_mul(seed | 1).to_le_bytes()[2]);
            let bytes: Vec<u8> = words.collect();
            let (mut grown, mut at) = (Vec::new(), 0);
            for step in steps {
                extend_checksums(&mut grown, &bytes[..at + step], at);
                at += step;
                prop_assert_eq!(&grown, &checksums(&bytes[..at]));
            }
        }
    }

    #[test]
    fn a_block_that_changed_is_named() {
        let mut bytes = vec![7; CHECKSUM_BLOCK_BYTES * 2 + 1];
        let expected = checksums(&bytes);
        assert_eq!(expected.len(), 3);
        assert_eq!(verify(&bytes, &expected, 0), Ok(()));
        bytes[CHECKSUM_BLOCK_BYTES * 2] = 8;
        let found = xxh3_64(&[8]);
        let damage = Damage::Checksum { block: 2, found, expected: expected[2] };
        assert_eq!(verify(&bytes[CHECKSUM_BLOCK_BYTES..], &expected, 1), Err(damage));
    }
}

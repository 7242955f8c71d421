//! Random stalls: turns and stages that are skipped by a seed.
//!
//! Tests run jobs under them to reach interleavings that a quiet machine never shows: full rings,
//! half-read batches, watermarks that overtake other shards' records.

/// A seeded generator (splitmix64; Steele, Lea and Flood 2014) that says when to stall.
#[derive(Debug, Clone)]
pub(crate) struct Stall {
    state: u64,
}

impl Stall {
    /// Stalls that repeat for the same `seed` and shard.
    pub(crate) fn new(seed: u64, shard: u16) -> Self {
        Self { state: seed ^ (u64::from(shard) << 48) }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether to leave out the next thing: one time in four.
    pub(crate) fn skips(&mut self) -> bool {
        self.next().is_multiple_of(4)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("a small number");
        usize::try_from(self.next() % end).expect("below a usize")
    }
}

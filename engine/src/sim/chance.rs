//! Chance from a seed, for inputs and for what goes wrong.

/// A seeded generator (splitmix64; Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The same seed gives the same numbers.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end.max(1)
    }

    /// Whether something happens that happens once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A number below `end`, small ones far more often: what keys look like.
    pub fn skewed(&mut self, end: u64) -> u64 {
        let below = self.below(end) + 1;
        self.below(below)
    }

    /// One of `items`, which are some.
    pub fn pick<'i, T>(&mut self, items: &'i [T]) -> &'i T {
        let count = u64::try_from(items.len()).expect("a slice fits into memory");
        &items[usize::try_from(self.below(count)).expect("below a length")]
    }

    /// Puts `items` in another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for count in (2..=items.len()).rev() {
            let below = u64::try_from(count).expect("a slice fits into memory");
            let pick = usize::try_from(self.below(below)).expect("below a length");
            items.swap(count - 1, pick);
        }
    }

    /// Another generator, whose numbers have nothing to do with this one's.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.number())
    }
}

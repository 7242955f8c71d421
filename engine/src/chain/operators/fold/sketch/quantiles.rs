//! Medians and other quantiles, each within a stated share of the exact answer.
//!
//! Source: C. Masson, J. E. Rim and H. K. Lee, "DDSketch: a fast and fully-mergeable quantile sketch
//! with relative-error guarantees" (VLDB 2019). Magnitudes are counted in bins whose bounds grow by
//! `gamma = (1 + e) / (1 - e)`; the middle of a bin is within a share e of all that it holds. Where the
//! magnitudes seen need more bins than there are, the lowest are counted together (the paper's
//! collapsing store), so the answers that suffer are those nearest to zero.
//!
//! Byte layout: `| zeroes 8 | positive: base 4, counts 4 * N | negative: base 4, counts 4 * N |`; bin i
//! of `counts` is bin `base + i` of all.
//!
//! Invariant: a magnitude in bin `b` is counted in bin `max(b, top - N + 1)`, where `top` is the highest
//! bin used. So what is counted does not depend on the order of adding and merging.
//!
//! Why an array and not the crate `sketches-ddsketch`: its bins are vectors, which a state of fixed
//! bytes can't hold.

use crate::chain::operators::{Fold, Merge};
use crate::record::{Fixed, Layout};

/// Counts of magnitudes of one sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bins<const N: usize> {
    base: i32,
    counts: [u32; N],
}

/// What a [`Quantiles`] has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantileSketch<const ERROR_PERMILLE: u32, const N: usize> {
    zeroes: u64,
    positive: Bins<N>,
    negative: Bins<N>,
}

impl<const N: usize> Fixed for Bins<N> {
    const BYTES: usize = 4 + 4 * N;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        let (base, counts) = Fixed::read(bytes);
        Self { base, counts }
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        (self.base, self.counts).write(bytes);
    }
    fn layout() -> Layout {
        Layout::fields([("base", i32::layout()), ("counts", <[u32; N]>::layout())])
    }
}

impl<const E: u32, const N: usize> Fixed for QuantileSketch<E, N> {
    const BYTES: usize = 8 + 2 * Bins::<N>::BYTES;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        let (zeroes, positive, negative) = Fixed::read(bytes);
        Self { zeroes, positive, negative }
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        (self.zeroes, self.positive, self.negative).write(bytes);
    }
    fn layout() -> Layout {
        let bins = Bins::<N>::layout();
        Layout::fields([("zeroes", u64::layout()), ("positive", bins.clone()), ("negative", bins)])
    }
}

impl<const N: usize> Bins<N> {
    const EMPTY: Self = Self { base: 0, counts: [0; N] };
    /// `N` as a distance of bins.
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "asserted")]
    const LEN: i32 = {
        assert!(N > 0 && N <= 1 << 20, "1 to a million bins");
        N as i32
    };

    fn count(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// The used bins, each with its number.
    fn used(&self) -> impl DoubleEndedIterator<Item = (i32, u32)> + '_ {
        let numbered = self.counts.iter().enumerate();
        numbered.filter(|(_, count)| **count > 0).map(|(index, count)| {
            let index = i32::try_from(index).expect("there are few bins");
            (self.base + index, *count)
        })
    }

    #[inline(always)]
    fn place(&self, bin: i32) -> usize {
        usize::try_from(bin - self.base).unwrap_or(0).min(N - 1)
    }

    #[inline(always)]
    fn add(&mut self, bin: i32, count: u32) {
        // Where the highest place is used, what lies below the lowest belongs there.
        let fits_below = bin >= self.base || self.counts[N - 1] > 0;
        if !fits_below || bin >= self.base + Self::LEN {
            self.move_to(bin);
        }
        let place = self.place(bin);
        self.counts[place] = self.counts[place].saturating_add(count);
    }

    /// Moves the bins so that `bin` is among them, or, where it lies too low, the lowest stands in.
    #[cold]
    fn move_to(&mut self, bin: i32) {
        let top = self.used().next_back().map_or(bin, |(top, _)| top.max(bin));
        let was = *self;
        let least = top - Self::LEN + 1;
        let base = if bin > was.base { least } else { bin.max(least) };
        *self = Self { base, ..Self::EMPTY };
        for (number, count) in was.used() {
            let place = self.place(number);
            self.counts[place] = self.counts[place].saturating_add(count);
        }
    }

    fn merge(mut self, other: Self) -> Self {
        other.used().for_each(|(bin, count)| self.add(bin, count));
        self
    }
}

impl<const E: u32, const N: usize> QuantileSketch<E, N> {
    const SHARE: f64 = {
        assert!(E > 0 && E < 1_000, "an error is between 1 and 999 thousandths");
        E as f64 / 1_000.0
    };
    const GAMMA: f64 = (1.0 + Self::SHARE) / (1.0 - Self::SHARE);

    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.zeroes + self.positive.count() + self.negative.count()
    }

    /// The value below which about a share `quantile` (0 to 1) of all lie: that of rank
    /// `quantile * (count - 1)`, rounded down. `None` where there is none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rank is rounded")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let last = self.count().checked_sub(1)?;
        let rank = ((quantile.clamp(0.0, 1.0) * last as f64).floor() as u64).min(last);
        let middle = |bin: i32| 2.0 * Self::GAMMA.powi(bin) / (Self::GAMMA + 1.0);
        let negative = self.negative.used().rev();
        let negative = negative.map(|(bin, count)| (-middle(bin), u64::from(count)));
        let positive = self.positive.used();
        let positive = positive.map(|(bin, count)| (middle(bin), u64::from(count)));
        let mut seen = 0;
        negative.chain([(0.0, self.zeroes)]).chain(positive).find_map(|(value, count)| {
            seen += count;
            (seen > rank).then_some(value)
        })
    }

    /// The bin of a magnitude: the least b with `gamma^b` no less than it.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "below 2^21 for an error of a thousandth")]
    fn bin(magnitude: f64) -> i32 {
        (magnitude.ln() / Self::GAMMA.ln()).ceil() as i32
    }
}

/// Quantiles of floats of either sign, each within `ERROR_PERMILLE` thousandths of its exact answer
/// while the magnitudes of a sign span less than `gamma^N`: 20 and 256 are 2 %, a span of 28,000 times,
/// and 2 KiB; 50 and 128 are 5 %, 360,000 times, and 1 KiB. Beyond that the least magnitudes are counted
/// together. Infinite values and NaN are left out. A bin counts up to 2^32 - 1.
///
/// ```
/// use pelton::chain::operators::{Fold, Quantiles};
///
/// type Latency = Quantiles<20, 256>;
/// let state = (1..=1_000).map(f64::from).fold(Latency::start(), Latency::add);
/// let median = Latency::output(state).quantile(0.5).unwrap();
/// assert!((median - 500.0).abs() <= 10.0);
/// ```
#[derive(Debug)]
pub struct Quantiles<const ERROR_PERMILLE: u32, const N: usize>;

impl<const E: u32, const N: usize> Fold for Quantiles<E, N> {
    type Input = f64;
    type State = QuantileSketch<E, N>;
    type Output = QuantileSketch<E, N>;
    fn start() -> Self::State {
        QuantileSketch { zeroes: 0, positive: Bins::EMPTY, negative: Bins::EMPTY }
    }
    #[inline(always)]
    fn add(mut state: Self::State, input: f64) -> Self::State {
        let bin = |magnitude| QuantileSketch::<E, N>::bin(magnitude);
        if input == 0.0 {
            state.zeroes += 1;
        } else if input > 0.0 && input.is_finite() {
            state.positive.add(bin(input), 1);
        } else if input < 0.0 && input.is_finite() {
            state.negative.add(bin(-input), 1);
        }
        state
    }
    fn output(state: Self::State) -> Self::Output {
        state
    }
    fn identity() -> String {
        format!("quantiles, error {E}, {N} bins")
    }
}

impl<const E: u32, const N: usize> Merge for Quantiles<E, N> {
    fn merge(earlier: Self::State, later: Self::State) -> Self::State {
        QuantileSketch {
            zeroes: earlier.zeroes + later.zeroes,
            positive: earlier.positive.merge(later.positive),
            negative: earlier.negative.merge(later.negative),
        }
    }
}

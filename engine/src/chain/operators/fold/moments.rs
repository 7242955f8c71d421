//! Mean, variance and deviation in one pass, and how unusual the newest value is.
//!
//! Source: B. P. Welford, "Note on a method for calculating corrected sums of squares and products"
//! (Technometrics 1962), for one value; T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae
//! and a pairwise algorithm for computing sample variances" (1979), for two halves. Neither subtracts
//! large sums of squares, so a small spread far from zero keeps its digits.
//!
//! Taking a value back (Welford's step undone) was refused: it cancels, and errors stay for ever. A
//! sliding spread is `CountSumSquares` over whole numbers, which is exact, or `over_range`, which never
//! takes back.

use super::{Fold, Merge};
use crate::record::{Fixed, Layout};

/// How many values, their mean, and their spread about it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spread {
    /// How many values.
    pub count: u64,
    /// Their mean; 0 where there are none.
    pub mean: f64,
    /// The sum of the squares of their distances to the mean.
    pub squares: f64,
}

fixed_struct!(Spread { count: u64, mean: f64, squares: f64 });

impl Spread {
    /// The variance of these values as the whole population; `None` where there are none.
    #[must_use]
    pub fn variance_population(&self) -> Option<f64> {
        (self.count > 0).then(|| self.squares / as_float(self.count))
    }

    /// The variance of the population that they are a sample of; `None` below two values.
    #[must_use]
    pub fn variance_sample(&self) -> Option<f64> {
        (self.count > 1).then(|| self.squares / as_float(self.count - 1))
    }

    /// The standard deviation of these values as the whole population.
    #[must_use]
    pub fn deviation_population(&self) -> Option<f64> {
        self.variance_population().map(f64::sqrt)
    }

    /// The standard deviation of the population that they are a sample of.
    #[must_use]
    pub fn deviation_sample(&self) -> Option<f64> {
        self.variance_sample().map(f64::sqrt)
    }

    /// How many sample deviations `value` lies above the mean. `None` below two values, and where
    /// they are all the same.
    #[must_use]
    pub fn z_score(&self, value: f64) -> Option<f64> {
        let deviation = self.deviation_sample().filter(|deviation| *deviation > 0.0)?;
        Some((value - self.mean) / deviation)
    }

    #[inline(always)]
    fn with(self, value: f64) -> Self {
        let count = self.count + 1;
        let distance = value - self.mean;
        let mean = self.mean + distance / as_float(count);
        Self { count, mean, squares: self.squares + distance * (value - mean) }
    }

    #[inline(always)]
    fn and(self, later: Self) -> Self {
        if self.count == 0 || later.count == 0 {
            return if self.count == 0 { later } else { self };
        }
        let count = self.count + later.count;
        let distance = later.mean - self.mean;
        let share = as_float(later.count) / as_float(count);
        Self {
            count,
            mean: self.mean + distance * share,
            squares: self.squares
                + later.squares
                + distance * distance * as_float(self.count) * share,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count below 2^53 is exact, others are rounded")]
#[inline(always)]
fn as_float(count: u64) -> f64 {
    count as f64
}

/// Count, mean, variance and standard deviation of floats. 24 bytes.
#[derive(Debug)]
pub struct Moments;

impl Fold for Moments {
    type Input = f64;
    type State = Spread;
    type Output = Spread;
    fn start() -> Spread {
        Spread::default()
    }
    #[inline(always)]
    fn add(state: Spread, input: f64) -> Spread {
        state.with(input)
    }
    fn output(state: Spread) -> Spread {
        state
    }
}

impl Merge for Moments {
    #[inline(always)]
    fn merge(earlier: Spread, later: Spread) -> Spread {
        earlier.and(later)
    }
}

/// How many sample deviations the newest value lies above the mean of those before it, itself not
/// among them. `None` until two came before it, and where those are all the same. 33 bytes.
#[derive(Debug)]
pub struct ZScore;

impl Fold for ZScore {
    type Input = f64;
    type State = (Spread, Option<f64>);
    type Output = Option<f64>;
    fn start() -> Self::State {
        (Spread::default(), None)
    }
    #[inline(always)]
    fn add((before, newest): Self::State, input: f64) -> Self::State {
        (newest.map_or(before, |newest| before.with(newest)), Some(input))
    }
    fn output((before, newest): Self::State) -> Option<f64> {
        before.z_score(newest?)
    }
}

impl Merge for ZScore {
    fn merge(earlier: Self::State, later: Self::State) -> Self::State {
        match (earlier, later) {
            (earlier, (_, None)) => earlier,
            ((_, None), later) => later,
            ((before, Some(newest)), (after, last)) => (before.with(newest).and(after), last),
        }
    }
}

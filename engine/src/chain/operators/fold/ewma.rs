//! Means in which the newest values weigh most.
//!
//! Each value's weight halves with every so many later values, or with every so much time. Both keep
//! the weighted sum and the sum of the weights, so the first values weigh no more than they should:
//! what pandas calls `ewm(halflife = .., adjust = True)`. By time this is G. Cormode, V. Shkapenyuk, D.
//! Srivastava and B. Xu, "Forward decay" (ICDE 2009): a value that comes late gets the weight that its
//! time asks for, so the mean does not depend on the order of arrival but for rounding.
//!
//! Why not the recursion `mean += alpha * (value - mean)`: its halves cannot be merged, and the first
//! value weighs as all before it.

use super::{Fold, Merge};
use crate::record::{EventTime, Fixed, Layout};

/// Weighted values.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Decayed {
    /// As of when: how many values there were, or the newest one's time.
    pub at: i64,
    /// The sum of values times weights.
    pub sum: f64,
    /// The sum of the weights; 0 where there is no value.
    pub weight: f64,
}

fixed_struct!(Decayed { at: i64, sum: f64, weight: f64 });

impl Decayed {
    fn mean(self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }

    /// The same with every weight times `factor`, and those of `other` times its own.
    #[inline(always)]
    fn joined(self, factor: f64, other: Self, other_factor: f64, at: i64) -> Self {
        Self {
            at,
            sum: self.sum * factor + other.sum * other_factor,
            weight: self.weight * factor + other.weight * other_factor,
        }
    }
}

#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "an age is rounded, the weight is as good")]
fn halved(age: u64, half_life: u64) -> f64 {
    (-(age as f64) / half_life as f64).exp2()
}

/// The mean of floats whose weight halves with every `HALF_LIFE` later ones. 24 bytes.
#[derive(Debug)]
pub struct Ewma<const HALF_LIFE: u64>;

impl<const HALF_LIFE: u64> Fold for Ewma<HALF_LIFE> {
    type Input = f64;
    type State = Decayed;
    type Output = Option<f64>;
    fn start() -> Decayed {
        const { assert!(HALF_LIFE > 0, "a weight halves after some values") };
        Decayed::default()
    }
    #[inline(always)]
    fn add(state: Decayed, input: f64) -> Decayed {
        Self::merge(state, Decayed { at: 1, sum: input, weight: 1.0 })
    }
    fn output(state: Decayed) -> Option<f64> {
        state.mean()
    }
    fn identity() -> String {
        format!("ewma, half-life {HALF_LIFE}")
    }
}

impl<const HALF_LIFE: u64> Merge for Ewma<HALF_LIFE> {
    #[inline(always)]
    fn merge(earlier: Decayed, later: Decayed) -> Decayed {
        let factor = halved(later.at.unsigned_abs(), HALF_LIFE);
        earlier.joined(factor, later, 1.0, earlier.at + later.at)
    }
}

/// The mean of floats, each with its time before it, whose weight halves with every
/// `HALF_LIFE_MICROS` that later ones are later. 24 bytes.
#[derive(Debug)]
pub struct EwmaByTime<const HALF_LIFE_MICROS: u64>;

impl<const HALF_LIFE_MICROS: u64> Fold for EwmaByTime<HALF_LIFE_MICROS> {
    type Input = (EventTime, f64);
    type State = Decayed;
    type Output = Option<f64>;
    fn start() -> Decayed {
        const { assert!(HALF_LIFE_MICROS > 0, "a weight halves after some time") };
        Decayed { at: i64::MIN, ..Decayed::default() }
    }
    #[inline(always)]
    fn add(state: Decayed, (time, value): (EventTime, f64)) -> Decayed {
        Self::merge(state, Decayed { at: time.0, sum: value, weight: 1.0 })
    }
    fn output(state: Decayed) -> Option<f64> {
        state.mean()
    }
    fn identity() -> String {
        format!("ewma, half-life {HALF_LIFE_MICROS} us")
    }
}

impl<const HALF_LIFE_MICROS: u64> Merge for EwmaByTime<HALF_LIFE_MICROS> {
    #[inline(always)]
    fn merge(earlier: Decayed, later: Decayed) -> Decayed {
        let at = earlier.at.max(later.at);
        let factor = |of: Decayed| halved(at.abs_diff(of.at), HALF_LIFE_MICROS);
        earlier.joined(factor(earlier), later, factor(later), at)
    }
}

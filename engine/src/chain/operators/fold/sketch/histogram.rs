//! Counts of values between fixed bounds.

use std::marker::PhantomData;

use crate::chain::operators::{Fold, Merge};

/// The upper bounds of a [`Histogram`]'s buckets, in rising order, each within its bucket.
pub trait Bounds<const N: usize>: Send + 'static {
    /// The bounds.
    const UPPER: [f64; N];
}

/// How many floats lie in each of `N` buckets, `(bound before, bound]`, and how many above the last
/// bound, which is where NaN is counted too. A record costs a search in the bounds.
///
/// ```
/// use pelton::chain::operators::{Bounds, Fold, Histogram};
///
/// struct Prices;
/// impl Bounds<3> for Prices {
///     const UPPER: [f64; 3] = [1.0, 10.0, 100.0];
/// }
/// type Spread = Histogram<Prices, 3>;
/// let state = [0.5, 1.0, 99.0, 5e6].into_iter().fold(Spread::start(), Spread::add);
/// assert_eq!(Spread::output(state), ([2, 0, 1], 1));
/// ```
#[derive(Debug)]
pub struct Histogram<B, const N: usize>(PhantomData<fn() -> B>);

impl<B: Bounds<N>, const N: usize> Histogram<B, N> {
    const IS_RISING: bool = {
        let mut index = 1;
        while index < N {
            assert!(B::UPPER[index - 1] < B::UPPER[index], "the bounds of a histogram rise");
            index += 1;
        }
        true
    };
}

impl<B: Bounds<N>, const N: usize> Fold for Histogram<B, N> {
    type Input = f64;
    type State = ([u64; N], u64);
    type Output = ([u64; N], u64);
    fn start() -> Self::State {
        const { assert!(Self::IS_RISING) };
        ([0; N], 0)
    }
    #[inline(always)]
    fn add(mut state: Self::State, input: f64) -> Self::State {
        let bucket = B::UPPER.partition_point(|bound| input > *bound || input.is_nan());
        match state.0.get_mut(bucket) {
            Some(count) => *count += 1,
            None => state.1 += 1,
        }
        state
    }
    fn output(state: Self::State) -> Self::Output {
        state
    }
    fn identity() -> String {
        format!("histogram, bounds {:?}", B::UPPER)
    }
}

impl<B: Bounds<N>, const N: usize> Merge for Histogram<B, N> {
    fn merge(earlier: Self::State, later: Self::State) -> Self::State {
        let counts = std::array::from_fn(|index| earlier.0[index] + later.0[index]);
        (counts, earlier.1 + later.1)
    }
}

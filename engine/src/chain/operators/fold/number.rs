//! Counts, sums and averages.

use std::marker::PhantomData;

use super::{Fold, Invertible, Merge};
use crate::record::{Decimal, Fixed, Layout};

/// Counts records.
#[derive(Debug)]
pub struct Count;

impl Fold for Count {
    type Input = ();
    type State = u64;
    type Output = u64;
    fn start() -> u64 {
        0
    }
    #[inline(always)]
    fn add(state: u64, (): ()) -> u64 {
        state + 1
    }
    fn output(state: u64) -> u64 {
        state
    }
}

impl Merge for Count {
    fn merge(earlier: u64, later: u64) -> u64 {
        earlier + later
    }
}

/// Sums numbers of type `T`; integers wrap past their ends as the type's own `wrapping_add` does.
#[derive(Debug)]
pub struct Sum<T>(PhantomData<fn() -> T>);

macro_rules! sums {
    ($($number:ty: $zero:literal, $add:expr;)*) => {$(
        impl Fold for Sum<$number> {
            type Input = $number;
            type State = $number;
            type Output = $number;
            fn start() -> $number {
                $zero
            }
            #[inline(always)]
            fn add(state: $number, input: $number) -> $number {
                $add(state, input)
            }
            fn output(state: $number) -> $number {
                state
            }
        }

        impl Merge for Sum<$number> {
            fn merge(earlier: $number, later: $number) -> $number {
                $add(earlier, later)
            }
        }
    )*};
}

sums! {
    u64: 0, u64::wrapping_add;
    i64: 0, i64::wrapping_add;
    i128: 0, i128::wrapping_add;
    f64: 0.0, std::ops::Add::add;
}

impl Fold for Sum<Decimal> {
    type Input = Decimal;
    type State = i128;
    /// `None` where the sum is larger than a decimal.
    type Output = Option<Decimal>;
    fn start() -> i128 {
        0
    }
    #[inline(always)]
    fn add(state: i128, input: Decimal) -> i128 {
        state + i128::from(input.0)
    }
    fn output(state: i128) -> Option<Decimal> {
        i64::try_from(state).ok().map(Decimal)
    }
}

impl Merge for Sum<Decimal> {
    fn merge(earlier: i128, later: i128) -> i128 {
        earlier + later
    }
}

/// The mean of numbers of type `T`; `None` before the first. Of whole numbers and decimals (in its
/// units of a millionth) the sum is exact, and one division rounds; of floats it is a running mean
/// (Welford 1962), which neither overflows nor cancels.
#[derive(Debug)]
pub struct Average<T>(PhantomData<fn() -> T>);

macro_rules! exact_averages {
    ($($number:ty: $units:expr, $unit:literal;)*) => {$(
        impl Fold for Average<$number> {
            type Input = $number;
            type State = CountSum;
            type Output = Option<f64>;
            fn start() -> CountSum {
                CountSum::default()
            }
            #[inline(always)]
            fn add(state: CountSum, input: $number) -> CountSum {
                CountSum { count: state.count + 1, sum: state.sum + $units(input) }
            }
            #[expect(clippy::cast_precision_loss, reason = "a mean is rounded")]
            fn output(state: CountSum) -> Option<f64> {
                (state.count > 0).then(|| state.sum as f64 / (state.count as f64 * $unit))
            }
        }

        impl Merge for Average<$number> {
            fn merge(earlier: CountSum, later: CountSum) -> CountSum {
                CountSum { count: earlier.count + later.count, sum: earlier.sum + later.sum }
            }
        }
    )*};
}

exact_averages! {
    i64: i128::from, 1.0;
    u64: i128::from, 1.0;
    i32: i128::from, 1.0;
    u32: i128::from, 1.0;
    Decimal: |decimal: Decimal| i128::from(decimal.0), 1e6;
}

/// How many floats, and their mean.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MeanState {
    /// How many.
    pub count: u64,
    /// Their mean; 0 where there are none.
    pub mean: f64,
}

fixed_struct!(MeanState { count: u64, mean: f64 });

impl Fold for Average<f64> {
    type Input = f64;
    type State = MeanState;
    type Output = Option<f64>;
    fn start() -> MeanState {
        MeanState::default()
    }
    #[inline(always)]
    fn add(state: MeanState, input: f64) -> MeanState {
        Self::merge(state, MeanState { count: 1, mean: input })
    }
    fn output(state: MeanState) -> Option<f64> {
        (state.count > 0).then_some(state.mean)
    }
}

impl Merge for Average<f64> {
    #[inline(always)]
    #[expect(clippy::cast_precision_loss, reason = "a share is rounded")]
    fn merge(earlier: MeanState, later: MeanState) -> MeanState {
        let count = earlier.count + later.count;
        if later.count == 0 {
            return earlier;
        }
        let share = later.count as f64 / count as f64;
        MeanState { count, mean: earlier.mean * (1.0 - share) + later.mean * share }
    }
}

/// How many, and their sum. As an [`Invertible`], items are whole numbers, such as the units of a
/// `Decimal`; the sum is exact whatever the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CountSum {
    /// How many items.
    pub count: u64,
    /// Their sum.
    pub sum: i128,
}

fixed_struct!(CountSum { count: u64, sum: i128 });

impl Invertible for CountSum {
    type Item = i64;
    type State = Self;
    #[inline(always)]
    fn add(state: &mut Self, item: i64) {
        state.count += 1;
        state.sum += i128::from(item);
    }
    #[inline(always)]
    fn remove(state: &mut Self, item: i64) {
        state.count -= 1;
        state.sum -= i128::from(item);
    }
}

/// How many, their sum, and the sum of their squares, for a spread. Squares wrap past 128 bits:
/// after 170 items as large as the largest `Decimal` (1e18 units), or two of the largest integer. Taking
/// back wraps alike, so the state is right again once they have left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CountSumSquares {
    /// How many items.
    pub count: u64,
    /// Their sum.
    pub sum: i128,
    /// The sum of their squares.
    pub squares: i128,
}

fixed_struct!(CountSumSquares { count: u64, sum: i128, squares: i128 });

impl Invertible for CountSumSquares {
    type Item = i64;
    type State = Self;
    #[inline(always)]
    fn add(state: &mut Self, item: i64) {
        let item = i128::from(item);
        state.count += 1;
        state.sum += item;
        state.squares = state.squares.wrapping_add(item * item);
    }
    #[inline(always)]
    fn remove(state: &mut Self, item: i64) {
        let item = i128::from(item);
        state.count -= 1;
        state.sum -= item;
        state.squares = state.squares.wrapping_sub(item * item);
    }
}

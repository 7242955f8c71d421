//! How values become one value: folds, folds whose halves meet, and folds that can be undone.
//!
//! Takes what one record adds; hands on what all of them say. A [`Fold`] is a type without a value:
//! its parameters are constants, its state is a [`Fixed`] value in an entry, so any operator can keep
//! one for a key, a window or a slice, and change it in place.
//!
//! | folds | file | state, bytes |
//! |---|---|---|
//! | [`Count`], [`Sum`], [`Average`] | `number.rs` | 8 to 24 |
//! | [`Min`], [`Max`], [`First`], [`Last`], [`FirstByTime`], [`LastByTime`] | `pick.rs` | a value and 1, or 9 |
//! | [`Moments`] (variance, deviation), [`ZScore`] | `moments.rs` | 24, 33 |
//! | [`Ewma`], [`EwmaByTime`] | `ewma.rs` | 24 |
//! | [`Largest`], [`Collect`] | `several.rs` | N values |
//! | [`HyperLogLog`], [`Quantiles`], [`Histogram`] | `sketch/` | see there |
//! | `(A, B, ..)`, [`Shared`] | `compose.rs` | those of the parts |
//!
//! Invariants
//! 1. `start` says what no input says: merging it with a state from either side changes nothing.
//! 2. Where a fold merges, `merge(a, b)` says what folding `a`'s inputs and then `b`'s says: the
//!    same for whole numbers, picks and sketches, as near as floats round for the others. So slices
//!    of windows may be merged in any grouping.
//!
//! Why parameters are constants and no fields: a fold is named where a state is declared, as in
//! `ReducingState<Sum<u64>>`, and the state of other parameters has another type.
//!
//! Why no sketch crates: `hyperloglogplus`, `sketches-ddsketch`, `tdigest` and `datasketches` keep
//! vectors that grow, so each record would decode and encode its key's sketch. These here are arrays of
//! a length known to the compiler, about a hundred lines each, and held to their error bounds by
//! `engine/tests/folds.rs`.
//!
//! A fold of one's own:
//!
//! ```
//! use pelton::chain::operators::{Fold, Merge};
//!
//! /// How far apart the least and the greatest amount lie.
//! struct Range;
//!
//! impl Fold for Range {
//!     type Input = i64;
//!     type State = (i64, i64);
//!     type Output = Option<i64>;
//!     fn start() -> (i64, i64) {
//!         (i64::MAX, i64::MIN)
//!     }
//!     fn add((least, greatest): (i64, i64), input: i64) -> (i64, i64) {
//!         (least.min(input), greatest.max(input))
//!     }
//!     fn output((least, greatest): (i64, i64)) -> Option<i64> {
//!         greatest.checked_sub(least).filter(|range| *range >= 0)
//!     }
//! }
//!
//! /// Whoever merges can be used in windows as well.
//! impl Merge for Range {
//!     fn merge(earlier: (i64, i64), later: (i64, i64)) -> (i64, i64) {
//!         (earlier.0.min(later.0), earlier.1.max(later.1))
//!     }
//! }
//!
//! let state = [3, 9, 5].into_iter().fold(Range::start(), Range::add);
//! assert_eq!(Range::output(state), Some(6));
//! ```

use std::marker::PhantomData;

use crate::record::Fixed;

/// A struct of named fixed fields, one after the other.
macro_rules! fixed_struct {
    ($name:ident { $($field:ident: $kind:ty),* }) => {
        impl Fixed for $name {
            const BYTES: usize = 0 $(+ <$kind as Fixed>::BYTES)*;
            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                let ($($field,)*) = Fixed::read(bytes);
                Self { $($field),* }
            }
            #[inline(always)]
            fn write(self, bytes: &mut [u8]) {
                ($(self.$field,)*).write(bytes);
            }
            fn layout() -> Layout {
                Layout::fields([$((stringify!($field), <$kind as Fixed>::layout())),*])
            }
        }
    };
}

mod compose;
mod ewma;
mod moments;
mod number;
mod pick;
mod several;
mod sketch;

pub use compose::Shared;
pub use ewma::{Decayed, Ewma, EwmaByTime};
pub use moments::{Moments, Spread, ZScore};
pub use number::{Average, Count, CountSum, CountSumSquares, MeanState, Sum};
pub use pick::{First, FirstByTime, Last, LastByTime, Max, Min, Ranked};
pub use several::{Collect, Collected, KeepFirst, KeepLast, Largest, WhenFull};
pub use sketch::{Bins, Bounds, Histogram, HyperLogLog, QuantileSketch, Quantiles, Registers};

/// The identities of parts, of which some have none.
fn identity_of_parts(parts: &[String]) -> String {
    if parts.iter().all(String::is_empty) {
        String::new()
    } else {
        format!("({})", parts.join(", "))
    }
}

/// The types that an operator is of, and holds none of.
pub(in crate::chain::operators) type Kinds<K, I, V> = PhantomData<fn() -> (K, I, V)>;

/// A running aggregate.
pub trait Fold: Send + 'static {
    /// What one record adds.
    type Input: Copy;
    /// What is kept for a key.
    type State: Fixed;
    /// What is emitted.
    type Output: Copy + Send + 'static;
    /// The state before the first record.
    fn start() -> Self::State;
    /// The state with one more input.
    fn add(state: Self::State, input: Self::Input) -> Self::State;
    /// What the state says.
    fn output(state: Self::State) -> Self::Output;
    /// What a kept state depends on beside its layout: folds of one layout that must not go on from
    /// each other's states name themselves, and their parameters. Empty where the layout says it all.
    #[must_use]
    fn identity() -> String {
        String::new()
    }
}

/// A fold whose halves can be folded apart and put together, as slices of windows are.
pub trait Merge: Fold {
    /// The state of the inputs of both; `earlier`'s came first.
    fn merge(earlier: Self::State, later: Self::State) -> Self::State;
}

/// An aggregate that can also take an item back, as sliding windows do.
pub trait Invertible: Send + 'static {
    /// What one record adds.
    type Item: Fixed;
    /// What is kept; its default holds nothing.
    type State: Fixed + Default;
    /// Adds an item.
    fn add(state: &mut Self::State, item: Self::Item);
    /// Takes an item back that was added. Where order matters to the fold, items leave in the order
    /// in which they stand in the log.
    fn remove(state: &mut Self::State, item: Self::Item);
}

//! Folds that keep one of their inputs: the least, the greatest, the first, the last.
//!
//! State: `| 1 where there is one | the value |`, before the value its time where time decides.

use std::cmp::{Ordering, Reverse};
use std::marker::PhantomData;

use super::{Fold, Merge, identity_of_parts};
use crate::record::{Decimal, EventTime, Fixed};

/// A fixed value with a total order. Floats are ordered by `total_cmp`, so NaN is the greatest.
pub trait Ranked: Fixed {
    /// Which of both comes first.
    fn rank(&self, other: &Self) -> Ordering;
    /// What the order depends on beside the layout, as `reverse`; empty for that of the values.
    #[must_use]
    fn identity() -> String {
        String::new()
    }
}

macro_rules! ranked {
    ($($kind:ty: $compare:expr;)*) => {$(
        impl Ranked for $kind {
            #[inline(always)]
            fn rank(&self, other: &Self) -> Ordering {
                $compare(self, other)
            }
        }
    )*};
}

ranked! {
    (): Ord::cmp;
    bool: Ord::cmp;
    u8: Ord::cmp;
    u16: Ord::cmp;
    u32: Ord::cmp;
    u64: Ord::cmp;
    u128: Ord::cmp;
    i8: Ord::cmp;
    i16: Ord::cmp;
    i32: Ord::cmp;
    i64: Ord::cmp;
    i128: Ord::cmp;
    EventTime: Ord::cmp;
    Decimal: Ord::cmp;
    f32: f32::total_cmp;
    f64: f64::total_cmp;
}

/// The other way round: `Reverse(price)` ranks the highest price first.
impl<T: Ranked> Ranked for Reverse<T> {
    #[inline(always)]
    fn rank(&self, other: &Self) -> Ordering {
        other.0.rank(&self.0)
    }
    fn identity() -> String {
        named("reverse", &T::identity())
    }
}

macro_rules! ranked_tuple {
    ($($part:ident: $at:tt),+) => {
        impl<$($part: Ranked),+> Ranked for ($($part,)+) {
            #[inline(always)]
            fn rank(&self, other: &Self) -> Ordering {
                Ordering::Equal$(.then_with(|| self.$at.rank(&other.$at)))+
            }
            fn identity() -> String {
                identity_of_parts(&[$($part::identity()),+])
            }
        }
    };
}

ranked_tuple!(A: 0, B: 1);
ranked_tuple!(A: 0, B: 1, C: 2);
ranked_tuple!(A: 0, B: 1, C: 2, D: 3);

/// The identity of what picks by an order of that identity.
pub(super) fn named(name: &str, order: &str) -> String {
    if order.is_empty() { name.to_owned() } else { format!("{name} of {order}") }
}

/// Keeps the earlier of both unless `later` is asked for.
#[inline(always)]
fn pick<T>(earlier: Option<T>, later: Option<T>, is_later: impl Fn(&T, &T) -> bool) -> Option<T> {
    match (earlier, later) {
        (Some(earlier), Some(later)) => {
            Some(if is_later(&earlier, &later) { later } else { earlier })
        }
        (earlier, later) => earlier.or(later),
    }
}

macro_rules! picks {
    ($($(#[$documentation:meta])* $name:ident<$bound:ident>, $identity:expr, $kept:ty, $out:expr, $is_later:expr;)*) => {$(
        $(#[$documentation])*
        #[derive(Debug)]
        pub struct $name<T>(PhantomData<fn() -> T>);

        impl<T: $bound> Fold for $name<T> {
            type Input = $kept;
            type State = Option<$kept>;
            type Output = Option<T>;
            fn start() -> Self::State {
                None
            }
            #[inline(always)]
            fn add(state: Self::State, input: $kept) -> Self::State {
                pick(state, Some(input), $is_later)
            }
            fn output(state: Self::State) -> Option<T> {
                state.map($out)
            }
            fn identity() -> String {
                $identity
            }
        }

        impl<T: $bound> Merge for $name<T> {
            #[inline(always)]
            fn merge(earlier: Self::State, later: Self::State) -> Self::State {
                pick(earlier, later, $is_later)
            }
        }
    )*};
}

picks! {
    /// The least input; of equals the first.
    Min<Ranked>, named("min", &T::identity()), T, |kept| kept, |earlier, later| later.rank(earlier).is_lt();
    /// The greatest input; of equals the first.
    Max<Ranked>, named("max", &T::identity()), T, |kept| kept, |earlier, later| later.rank(earlier).is_gt();
    /// The input that arrived first.
    First<Fixed>, "first".to_owned(), T, |kept| kept, |_, _| false;
    /// The input that arrived last.
    Last<Fixed>, "last".to_owned(), T, |kept| kept, |_, _| true;
    /// The input of the least time, which stands before it; of one time, the first to arrive.
    FirstByTime<Fixed>, "first by time".to_owned(), (EventTime, T), |kept: (EventTime, T)| kept.1,
        |earlier, later| later.0 < earlier.0;
    /// The input of the greatest time, which stands before it; of one time, the last to arrive.
    LastByTime<Fixed>, "last by time".to_owned(), (EventTime, T), |kept: (EventTime, T)| kept.1,
        |earlier, later| later.0 >= earlier.0;
}

//! Several folds in one pass.
//!
//! A tuple of folds is a fold: its input is a tuple of theirs, which one closure reads from a record,
//! so each part has a projection of its own; its output is the tuple of what they say. [`Shared`] gives
//! all parts the same input.
//!
//! ```
//! use pelton::chain::operators::{Average, Count, Fold, Max, Shared};
//!
//! type Own = (Count, Max<i64>, Average<f64>);
//! let state = [(1, 0.5), (7, 1.5)]
//!     .into_iter()
//!     .fold(Own::start(), |state, (amount, ratio)| Own::add(state, ((), amount, ratio)));
//! assert_eq!(Own::output(state), (2, Some(7), Some(1.0)));
//!
//! type Same = Shared<(Max<i64>, Average<i64>)>;
//! let state = [4, 8].into_iter().fold(Same::start(), Same::add);
//! assert_eq!(Same::output(state), (Some(8), Some(6.0)));
//! ```

use std::marker::PhantomData;

use super::{Fold, Invertible, Merge, identity_of_parts};
use crate::record::Fixed;

/// A tuple of folds that all take the same input.
#[derive(Debug)]
pub struct Shared<Folds>(PhantomData<fn() -> Folds>);

macro_rules! tuples {
    ($($fold:ident: $at:tt),+) => {
        impl<$($fold: Fold),+> Fold for ($($fold,)+) {
            type Input = ($($fold::Input,)+);
            type State = ($($fold::State,)+);
            type Output = ($($fold::Output,)+);
            fn start() -> Self::State {
                ($($fold::start(),)+)
            }
            #[inline(always)]
            fn add(state: Self::State, input: Self::Input) -> Self::State {
                ($($fold::add(state.$at, input.$at),)+)
            }
            fn output(state: Self::State) -> Self::Output {
                ($($fold::output(state.$at),)+)
            }
            fn identity() -> String {
                identity_of_parts(&[$($fold::identity()),+])
            }
        }

        impl<$($fold: Merge),+> Merge for ($($fold,)+) {
            fn merge(earlier: Self::State, later: Self::State) -> Self::State {
                ($($fold::merge(earlier.$at, later.$at),)+)
            }
        }

        impl<Input: Copy, $($fold: Fold<Input = Input>),+> Fold for Shared<($($fold,)+)>
        where
            Self: Send,
        {
            type Input = Input;
            type State = ($($fold::State,)+);
            type Output = ($($fold::Output,)+);
            fn start() -> Self::State {
                ($($fold::start(),)+)
            }
            #[inline(always)]
            fn add(state: Self::State, input: Input) -> Self::State {
                ($($fold::add(state.$at, input),)+)
            }
            fn output(state: Self::State) -> Self::Output {
                ($($fold::output(state.$at),)+)
            }
            fn identity() -> String {
                identity_of_parts(&[$($fold::identity()),+])
            }
        }

        impl<Input: Copy, $($fold: Merge<Input = Input>),+> Merge for Shared<($($fold,)+)> {
            fn merge(earlier: Self::State, later: Self::State) -> Self::State {
                ($($fold::merge(earlier.$at, later.$at),)+)
            }
        }
    };
}

tuples!(A: 0, B: 1);
tuples!(A: 0, B: 1, C: 2);
tuples!(A: 0, B: 1, C: 2, D: 3);
tuples!(A: 0, B: 1, C: 2, D: 3, E: 4);
tuples!(A: 0, B: 1, C: 2, D: 3, E: 4, G: 5);

macro_rules! invertible_tuples {
    ($($fold:ident: $at:tt),+) => {
        impl<$($fold: Invertible),+> Invertible for ($($fold,)+)
        where
            ($($fold::State,)+): Default + Fixed,
        {
            type Item = ($($fold::Item,)+);
            type State = ($($fold::State,)+);
            #[inline(always)]
            fn add(state: &mut Self::State, item: Self::Item) {
                $($fold::add(&mut state.$at, item.$at);)+
            }
            #[inline(always)]
            fn remove(state: &mut Self::State, item: Self::Item) {
                $($fold::remove(&mut state.$at, item.$at);)+
            }
        }
    };
}

invertible_tuples!(A: 0, B: 1);
invertible_tuples!(A: 0, B: 1, C: 2);
invertible_tuples!(A: 0, B: 1, C: 2, D: 3);
invertible_tuples!(A: 0, B: 1, C: 2, D: 3, E: 4);
invertible_tuples!(A: 0, B: 1, C: 2, D: 3, E: 4, G: 5);

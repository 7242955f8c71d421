//! Folds that keep several of their inputs, `N` at most.
//!
//! State: `N` places, each `| 1 where there is one | the value |`. A record costs O(N).

use std::marker::PhantomData;

use super::pick::named;
use super::{Fold, Merge, Ranked};
use crate::record::Fixed;

/// The `N` greatest inputs, the greatest first; of equals the first. For the least, fold
/// `Reverse(value)`. Values that should bring something with them are tuples: `(price, id)`.
#[derive(Debug)]
pub struct Largest<T, const N: usize>(PhantomData<fn() -> T>);

impl<T: Ranked, const N: usize> Fold for Largest<T, N> {
    type Input = T;
    type State = [Option<T>; N];
    type Output = [Option<T>; N];
    fn start() -> Self::State {
        [None; N]
    }
    #[inline(always)]
    fn add(mut state: Self::State, input: T) -> Self::State {
        let is_beaten = |kept: &Option<T>| kept.is_none_or(|kept| input.rank(&kept).is_gt());
        if let Some(place) = state.iter().position(is_beaten) {
            state.copy_within(place..N - 1, place + 1);
            state[place] = Some(input);
        }
        state
    }
    fn output(state: Self::State) -> Self::Output {
        state
    }
    fn identity() -> String {
        named("largest", &T::identity())
    }
}

impl<T: Ranked, const N: usize> Merge for Largest<T, N> {
    fn merge(earlier: Self::State, later: Self::State) -> Self::State {
        later.into_iter().flatten().fold(earlier, Self::add)
    }
}

/// What a full [`Collect`] does with one more input.
pub trait WhenFull: Send + 'static {
    /// Whether the oldest goes for it; else it is only counted.
    const DROPS_OLDEST: bool;
}

/// The first inputs stay.
#[derive(Debug)]
pub struct KeepFirst;

impl WhenFull for KeepFirst {
    const DROPS_OLDEST: bool = false;
}

/// The last inputs stay.
#[derive(Debug)]
pub struct KeepLast;

impl WhenFull for KeepLast {
    const DROPS_OLDEST: bool = true;
}

/// Inputs in the order of their arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collected<T, const N: usize> {
    /// How many there were.
    pub seen_count: u64,
    /// Those that were kept: the first places are taken, in order of arrival.
    pub items: [Option<T>; N],
}

impl<T: Copy, const N: usize> Collected<T, N> {
    /// Those that were kept.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.items.iter().flatten().copied()
    }

    /// How many were not kept.
    #[must_use]
    pub fn dropped_count(&self) -> u64 {
        self.seen_count.saturating_sub(N as u64)
    }
}

/// `N` inputs at most, in the order of their arrival; `P` says which, [`KeepFirst`] or [`KeepLast`].
/// The others are counted.
#[derive(Debug)]
pub struct Collect<T, P, const N: usize>(PhantomData<fn() -> (T, P)>);

impl<T: Fixed, P: WhenFull, const N: usize> Collect<T, P, N> {
    /// Where input `number` stands while it is kept: the places are a ring.
    #[inline(always)]
    fn place(number: u64) -> usize {
        usize::try_from(number % N as u64).expect("a place is below N")
    }

    #[inline(always)]
    fn push(mut items: [Option<T>; N], number: u64, item: T) -> [Option<T>; N] {
        if P::DROPS_OLDEST || number < N as u64 {
            items[Self::place(number)] = Some(item);
        }
        items
    }

    /// The kept items, the oldest first.
    fn in_order((seen_count, items): (u64, [Option<T>; N])) -> [Option<T>; N] {
        let is_turned = P::DROPS_OLDEST && seen_count > N as u64;
        let first = if is_turned { Self::place(seen_count) } else { 0 };
        std::array::from_fn(|index| items[(first + index) % N])
    }
}

impl<T: Fixed, P: WhenFull, const N: usize> Fold for Collect<T, P, N> {
    type Input = T;
    type State = (u64, [Option<T>; N]);
    type Output = Collected<T, N>;
    fn start() -> Self::State {
        const { assert!(N > 0, "a collection has room for an item") };
        (0, [None; N])
    }
    #[inline(always)]
    fn add((seen_count, items): Self::State, input: T) -> Self::State {
        (seen_count + 1, Self::push(items, seen_count, input))
    }
    fn output(state: Self::State) -> Collected<T, N> {
        Collected { seen_count: state.0, items: Self::in_order(state) }
    }
    fn identity() -> String {
        if P::DROPS_OLDEST { "collect the last" } else { "collect the first" }.to_owned()
    }
}

impl<T: Fixed, P: WhenFull, const N: usize> Merge for Collect<T, P, N> {
    fn merge(earlier: Self::State, later: Self::State) -> Self::State {
        let seen_count = earlier.0 + later.0;
        // What the later half has dropped itself: its oldest, or its newest.
        let dropped = if P::DROPS_OLDEST { later.0.saturating_sub(N as u64) } else { 0 };
        let numbered = (earlier.0 + dropped..).zip(Self::in_order(later).into_iter().flatten());
        let items =
            numbered.fold(earlier.1, |items, (number, item)| Self::push(items, number, item));
        (seen_count, items)
    }
}

//! How values become one value: folds, and folds that can be undone.

use std::marker::PhantomData;

use crate::record::{Fixed, Layout};

/// The types that an operator is of, and holds none of.
pub(super) type Kinds<K, I, V> = PhantomData<fn() -> (K, I, V)>;

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

impl<A: Invertible, B: Invertible> Invertible for (A, B)
where
    (A::State, B::State): Default,
{
    type Item = (A::Item, B::Item);
    type State = (A::State, B::State);
    #[inline(always)]
    fn add(state: &mut Self::State, item: Self::Item) {
        A::add(&mut state.0, item.0);
        B::add(&mut state.1, item.1);
    }
    #[inline(always)]
    fn remove(state: &mut Self::State, item: Self::Item) {
        A::remove(&mut state.0, item.0);
        B::remove(&mut state.1, item.1);
    }
}

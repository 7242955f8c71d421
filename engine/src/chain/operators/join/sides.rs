//! What the joins that keep rows have in common: both sides' buckets, and the way to a row's key.

use std::marker::PhantomData;

use super::super::pair::Side;
use super::buckets::Buckets;
use crate::chain::{KeyFn, OperatorState};
use crate::record::{Frame, Key, Record};
use crate::state::OperatorId;

/// The types that both sides are of, and hold none of.
type Rows<K, L, R> = PhantomData<fn() -> (K, L, R)>;

/// Both sides of a join of rows `L` and `R` by a key `K`.
#[derive(Debug)]
pub(super) struct Sides<K, L, R, FL, FR> {
    left: Buckets,
    right: Buckets,
    keys: (FL, FR),
    kinds: Rows<K, L, R>,
}

impl<K, L, R, FL, FR> Sides<K, L, R, FL, FR>
where
    K: Key,
    L: Record,
    R: Record,
    FL: KeyFn<L, K>,
    FR: KeyFn<R, K>,
{
    /// Sides under the ids behind `operator`, in buckets of `width` microseconds.
    pub(super) fn new(operator: OperatorId, width: i64, keys: (FL, FR)) -> Self {
        Self {
            left: Buckets::of_side(operator, Side::Left, width),
            right: Buckets::of_side(operator, Side::Right, width),
            keys,
            kinds: PhantomData,
        }
    }

    #[inline(always)]
    pub(super) fn of(&self, side: Side) -> &Buckets {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    /// The operator's own state, and what both sides keep.
    pub(super) fn states(&self, own: OperatorState) -> Vec<OperatorState> {
        let left = self.left.states::<L>("join_left", &own.key);
        let right = self.right.states::<R>("join_right", &own.key);
        [own].into_iter().chain(left).chain(right).collect()
    }

    /// Calls `then` with the key's bytes of a side's row.
    #[inline(always)]
    pub(super) fn with_key<T>(
        &self,
        side: Side,
        frame: Frame<'_>,
        then: impl FnOnce(&[u8]) -> T,
    ) -> T {
        match side {
            Side::Left => K::with_bytes(self.keys.0.key(frame.view::<L>()), then),
            Side::Right => K::with_bytes(self.keys.1.key(frame.view::<R>()), then),
        }
    }
}

//! What the k-th row before each one was: SQL's `LAG(value, k, default)`.
//!
//! Takes records; hands on each with a value of its key's k-th row before it, or the default where
//! there are fewer.
//!
//! Byte layout of an entry: `| rows seen 8 | k values |`, the value of row `number` at `number % k`.

use std::marker::PhantomData;

use crate::chain::operators::fold::Kinds;
use crate::chain::{KeyedOperator, OperatorState, StateLayout};
use crate::record::{Fixed, FrameHeader, Key, KeyHash, Layout, Paired, Record};
use crate::state::{EntryKey, OperatorId, Store};

const VALUES_AT: usize = <u64 as Fixed>::BYTES;

/// Each record with a value of an earlier one. `F` reads the value.
#[derive(Debug)]
pub struct Lag<K, I, T, F> {
    operator: OperatorId,
    distance: u32,
    default: T,
    read: F,
    kinds: Kinds<K, I, ()>,
}

impl<K, I, T, F> Lag<K, I, T, F>
where
    I: Record,
    T: Fixed,
    F: for<'a> Fn(I::View<'a>) -> T,
{
    /// What `read` makes of the row `distance` rows before.
    ///
    /// Panics where the distance is 0: a bug in the job.
    pub fn new(operator: OperatorId, distance: u32, default: T, read: F) -> Self {
        assert!(distance > 0, "a row lies before another");
        Self { operator, distance, default, read, kinds: PhantomData }
    }

    fn value_bytes(&self) -> usize {
        VALUES_AT + self.distance as usize * T::BYTES
    }
}

impl<K, I, T, F> KeyedOperator for Lag<K, I, T, F>
where
    K: Key,
    I: Record,
    T: Fixed,
    F: for<'a> Fn(I::View<'a>) -> T + Send + 'static,
{
    type Key = K;
    type In = I;
    type Out = Paired<I, T>;
    type Emission = T;

    fn touch(&self, state: &mut Store, hashes: &[KeyHash]) {
        state.touch(self.operator, hashes);
    }

    fn states(&self) -> Vec<OperatorState> {
        let values = Layout::Array(Box::new(T::layout()), self.distance);
        let layout = Layout::fields([("seen", <u64 as Fixed>::layout()), ("values", values)]);
        vec![OperatorState {
            id: self.operator,
            kind: "lag",
            identity: format!("{} rows", self.distance),
            key: K::layout(),
            values: vec![StateLayout::new("values", 0..=0, layout)],
        }]
    }

    #[inline(always)]
    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        view: I::View<'_>,
    ) -> Option<T> {
        let (offset, _) = K::with_bytes(key, |bytes| {
            let (operator, hash) = (self.operator, header.key_hash);
            let key = EntryKey { operator, hash, key: bytes, namespace: 0 };
            state.find_or_insert(&key, self.value_bytes())
        });
        let offset = state.writable(offset);
        let number: u64 = state.field(offset, 0);
        let distance = u64::from(self.distance);
        let place = usize::try_from(number % distance).expect("a place is below the distance");
        let at = VALUES_AT + place * T::BYTES;
        let lagging = if number < distance { self.default } else { state.field(offset, at) };
        state.set(offset, at, (self.read)(view));
        state.set(offset, 0, number + 1);
        Some(lagging)
    }

    #[inline(always)]
    fn output<'a>(&self, lagging: T, _: K::View<'a>, view: I::View<'a>) -> (I::View<'a>, T) {
        (view, lagging)
    }
}

//! What all rows of a key up to each one say: SQL's `OVER (ROWS UNBOUNDED PRECEDING)`.
//!
//! Takes records; hands on each with the fold of its key's rows up to it, itself included. The state
//! is the fold's, one entry a key.
//!
//! Why beside `Aggregate`: that one hands on a table's row, this one the record.

use std::marker::PhantomData;

use crate::chain::operators::fold::{Fold, Kinds};
use crate::chain::{KeyedOperator, OperatorState, StateLayout};
use crate::record::{Fixed, FrameHeader, Key, KeyHash, Paired, Record};
use crate::state::{EntryKey, OperatorId, Store};

/// Each record with the fold of its key's rows up to it. `F` reads the fold's input.
#[derive(Debug)]
pub struct RunningOver<K, I, V, F> {
    operator: OperatorId,
    read: F,
    kinds: Kinds<K, I, V>,
}

impl<K, I, V, F> RunningOver<K, I, V, F>
where
    I: Record,
    V: Fold,
    F: for<'a> Fn(I::View<'a>) -> V::Input,
{
    /// A fold of what `read` makes of each record.
    pub fn new(operator: OperatorId, read: F) -> Self {
        Self { operator, read, kinds: PhantomData }
    }
}

impl<K, I, V, F> KeyedOperator for RunningOver<K, I, V, F>
where
    K: Key,
    I: Record,
    V: Fold,
    F: for<'a> Fn(I::View<'a>) -> V::Input + Send + 'static,
{
    type Key = K;
    type In = I;
    type Out = Paired<I, V::Output>;
    type Emission = V::Output;

    fn touch(&self, state: &mut Store, hashes: &[KeyHash]) {
        state.touch(self.operator, hashes);
    }

    fn states(&self) -> Vec<OperatorState> {
        vec![OperatorState {
            id: self.operator,
            kind: "over",
            identity: V::identity(),
            key: K::layout(),
            values: vec![StateLayout::new("value", 0..=0, V::State::layout())],
        }]
    }

    #[inline(always)]
    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        view: I::View<'_>,
    ) -> Option<V::Output> {
        let (_, after) = K::with_bytes(key, |bytes| {
            let (operator, hash) = (self.operator, header.key_hash);
            let key = EntryKey { operator, hash, key: bytes, namespace: 0 };
            state.upsert(&key, |before| V::add(before.unwrap_or_else(V::start), (self.read)(view)))
        });
        Some(V::output(after))
    }

    #[inline(always)]
    fn output<'a>(
        &self,
        value: V::Output,
        _: K::View<'a>,
        view: I::View<'a>,
    ) -> (I::View<'a>, V::Output) {
        (view, value)
    }
}

//! Running aggregates: one value a key.
//!
//! Takes records; hands on the changes of a table that has one row for each key. The state is one
//! entry a key, which holds the fold's state.
//!
//! Why `UpdateBefore` comes as the emission and `UpdateAfter` as what is due right after it: an
//! input has one emission, and the row as it was must leave first. Asked for without it, an input
//! costs nothing for it.

use std::marker::PhantomData;

use super::fold::{Fold, Kinds};
use crate::chain::{Due, KeyedOperator, OperatorState, StateLayout};
use crate::record::{
    Change, ChangeView, EventTime, Fixed, FrameHeader, Item, Key, KeyHash, Record, RowKind,
};
use crate::state::{EntryKey, LogOffset, OperatorId, SlotCursor, Store};

/// When an [`Aggregate`] says what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emit {
    /// With every record: an insert first, then updates.
    EveryChange {
        /// Whether the row as it was goes before each update.
        update_before: bool,
    },
    /// The final values, once the input has ended, in slot order.
    AtEnd,
}

/// What a record did to its key's row.
#[derive(Debug, Clone, Copy)]
pub struct AggregateEmission<V> {
    kind: RowKind,
    value: V,
}

/// A running aggregate of a key's records. `F` reads the fold's input from a record.
#[derive(Debug)]
pub struct Aggregate<K, I, V: Fold, F> {
    operator: OperatorId,
    emit: Emit,
    read: F,
    after: Option<(FrameHeader, LogOffset)>,
    finals: SlotCursor,
    /// Whether an earlier run has emitted the final values.
    finals_done: bool,
    kinds: Kinds<K, I, V>,
}

impl<K, I, V, F> Aggregate<K, I, V, F>
where
    I: Record,
    V: Fold,
    F: for<'a> Fn(I::View<'a>) -> V::Input,
{
    /// An aggregate of what `read` makes of each record.
    pub fn new(operator: OperatorId, emit: Emit, read: F) -> Self {
        let finals = SlotCursor::new(operator, None);
        Self { operator, emit, read, after: None, finals, finals_done: false, kinds: PhantomData }
    }
}

impl<K, I, V, F> KeyedOperator for Aggregate<K, I, V, F>
where
    K: Key,
    I: Record,
    V: Fold,
    F: for<'a> Fn(I::View<'a>) -> V::Input + Send + 'static,
{
    type Key = K;
    type In = I;
    type Out = Change<K, V::Output>;
    type Emission = AggregateEmission<V::Output>;

    const HAS_DUE: bool = true;

    fn touch(&self, state: &mut Store, hashes: &[KeyHash]) {
        state.touch(self.operator, hashes);
    }

    fn states(&self) -> Vec<OperatorState> {
        vec![OperatorState {
            id: self.operator,
            kind: "aggregate",
            identity: V::identity(),
            key: K::layout(),
            values: vec![StateLayout::new("value", 0..=0, V::State::layout())],
        }]
    }

    fn rebuild(&mut self, _: &Store, watermark: EventTime) {
        // A stage says plus infinity once it has ended.
        self.finals_done = watermark == EventTime::MAX;
    }

    #[inline(always)]
    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        view: I::View<'_>,
    ) -> Option<Self::Emission> {
        let mut kept = None;
        let (offset, after) = K::with_bytes(key, |bytes| {
            let (operator, hash) = (self.operator, header.key_hash);
            let key = EntryKey { operator, hash, key: bytes, namespace: 0 };
            state.upsert(&key, |before| {
                kept = before;
                V::add(before.unwrap_or_else(V::start), (self.read)(view))
            })
        });
        let (kind, value) = match self.emit {
            Emit::AtEnd => return None,
            Emit::EveryChange { .. } if kept.is_none() => (RowKind::Insert, after),
            Emit::EveryChange { update_before: false } => (RowKind::UpdateAfter, after),
            Emit::EveryChange { update_before: true } => {
                self.after = Some((*header, offset));
                (RowKind::UpdateBefore, kept.unwrap_or_else(V::start))
            }
        };
        Some(AggregateEmission { kind, value: V::output(value) })
    }

    #[inline(always)]
    fn output<'a>(
        &self,
        AggregateEmission { kind, value }: Self::Emission,
        key: K::View<'a>,
        _: I::View<'a>,
    ) -> <Self::Out as Item>::View<'a> {
        ChangeView { kind, key, value }
    }

    #[inline(always)]
    fn kind(&self, emission: &Self::Emission) -> Option<RowKind> {
        Some(emission.kind)
    }

    #[inline(always)]
    fn advance(&mut self, state: &mut Store, due: Due) -> bool {
        let finals = due.ended && self.emit == Emit::AtEnd && !self.finals_done;
        if self.after.is_none() && finals {
            self.after = self
                .finals
                .next(state)
                .map(|offset| (FrameHeader::at_time(state.hash(offset), EventTime::MAX), offset));
        }
        self.after.is_some()
    }

    fn due<'s>(&'s self, state: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
        let (header, offset) = self.after.expect("asked only after `advance` answered `true`");
        let kind = match self.emit {
            Emit::AtEnd => RowKind::Insert,
            Emit::EveryChange { .. } => RowKind::UpdateAfter,
        };
        let key = K::from_bytes(state.key(offset));
        let value = V::output(state.field(offset, 0));
        (FrameHeader { kind, ..header }, ChangeView { kind, key, value })
    }

    fn done(&mut self, _: &mut Store) {
        self.after = None;
    }
}

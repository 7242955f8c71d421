//! How many different values each key has seen, exactly.
//!
//! Takes records; hands on the changes of a table that has one row for each key, its count. A record
//! whose value was there before changes nothing. The state is a count a key, and an entry without a
//! value for each different value: its key is (key, value), its namespace the value's hash, so that
//! the values of one key are spread over the index. Bytes are compared, so hashes may collide.
//!
//! Why entries and not a set in one: a set grows, and would be written anew with each value. For counts
//! that may be a few per cent off, `HyperLogLog` takes a fixed room.

use std::marker::PhantomData;

use crate::chain::operators::Emit;
use crate::chain::operators::fold::Kinds;
use crate::chain::{Due, KeyFn, KeyedOperator, OperatorState, StateLayout};
use crate::record::{
    Change, ChangeView, EventTime, Fixed, FrameHeader, Item, Key, KeyBytes, KeyHash, Layout,
    Record, RowKind,
};
use crate::state::{EntryKey, LogOffset, OperatorId, SlotCursor, Store};

/// How many different values of `T` each key has. `F` reads the value.
#[derive(Debug)]
pub struct DistinctCount<K, I, T, F> {
    operator: OperatorId,
    values: OperatorId,
    emit: Emit,
    read: F,
    after: Option<(FrameHeader, LogOffset)>,
    finals: SlotCursor,
    /// Whether an earlier run has emitted the final counts.
    finals_done: bool,
    kinds: Kinds<K, I, T>,
}

impl<K, I, T, F> DistinctCount<K, I, T, F> {
    /// Counts what `read` makes of each record; `values` is the id for the values' entries.
    pub fn new(operator: OperatorId, values: OperatorId, emit: Emit, read: F) -> Self {
        let finals = SlotCursor::new(operator, None);
        let (after, finals_done, kinds) = (None, false, PhantomData);
        Self { operator, values, emit, read, after, finals, finals_done, kinds }
    }
}

impl<K, I, T, F> KeyedOperator for DistinctCount<K, I, T, F>
where
    K: Key,
    I: Record,
    T: Key,
    F: KeyFn<I, T>,
{
    type Key = K;
    type In = I;
    type Out = Change<K, u64>;
    type Emission = (RowKind, u64);

    const HAS_DUE: bool = true;

    fn touch(&self, state: &mut Store, hashes: &[KeyHash]) {
        state.touch(self.operator, hashes);
    }

    fn states(&self) -> Vec<OperatorState> {
        let state = |id, kind, key, value| OperatorState {
            id,
            kind,
            identity: String::new(),
            key,
            values: vec![value],
        };
        let count = StateLayout::new("count", 0..=0, <u64 as Fixed>::layout());
        let seen = StateLayout::new("seen", 0..=u64::MAX, Layout::Unit);
        vec![
            state(self.operator, "distinct_count", K::layout(), count),
            state(self.values, "distinct_values", <(K, T) as Key>::layout(), seen),
        ]
    }

    fn rebuild(&mut self, _: &Store, watermark: EventTime) {
        // A stage says plus infinity once it has ended.
        self.finals_done = watermark == EventTime::MAX;
    }

    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        view: I::View<'_>,
    ) -> Option<(RowKind, u64)> {
        let hash = header.key_hash;
        let value = self.read.key(view);
        let KeyHash(namespace) = T::hash(value);
        // The canonical bytes of a pair; its parts are borrowed from two places.
        let mut pair = KeyBytes::new();
        K::write_part(key, &mut pair);
        T::write_part(value, &mut pair);
        let pair = EntryKey { operator: self.values, hash, key: pair.as_slice(), namespace };
        let (_, is_new) = state.find_or_insert(&pair, 0);
        if !is_new {
            return None;
        }
        let (offset, count) = K::with_bytes(key, |bytes| {
            let key = EntryKey { operator: self.operator, hash, key: bytes, namespace: 0 };
            state.upsert(&key, |count: Option<u64>| count.unwrap_or(0) + 1)
        });
        let kind = match self.emit {
            Emit::AtEnd => return None,
            Emit::EveryChange { .. } if count == 1 => RowKind::Insert,
            Emit::EveryChange { update_before: false } => RowKind::UpdateAfter,
            Emit::EveryChange { update_before: true } => {
                self.after = Some((*header, offset));
                RowKind::UpdateBefore
            }
        };
        Some((kind, if kind == RowKind::UpdateBefore { count - 1 } else { count }))
    }

    #[inline(always)]
    fn output<'a>(
        &self,
        (kind, value): (RowKind, u64),
        key: K::View<'a>,
        _: I::View<'a>,
    ) -> <Self::Out as Item>::View<'a> {
        ChangeView { kind, key, value }
    }

    #[inline(always)]
    fn kind(&self, (kind, _): &(RowKind, u64)) -> Option<RowKind> {
        Some(*kind)
    }

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
        let value = state.field(offset, 0);
        (FrameHeader { kind, ..header }, ChangeView { kind, key, value })
    }

    fn done(&mut self, _: &mut Store) {
        self.after = None;
    }
}

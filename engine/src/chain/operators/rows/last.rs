//! Keeps the newest row of each key, as a changelog.
//!
//! Takes records; hands on the changes of a table that has one row for each key, that of the greatest
//! event time; of one time, the one that arrived last. The state is that row's frame. A record that is
//! older than its key's row changes nothing.
//!
//! Why both halves of an update are due items where the row as it was is asked for: it must leave
//! first, and it lies in the state, out of which an emission can't borrow. It is copied before the new
//! row takes its place.

use std::marker::PhantomData;

use super::{RankedRow, RankedRowView};
use crate::chain::operators::fold::Kinds;
use crate::chain::operators::sorted::FrameBuffer;
use crate::chain::{Due, KeyedOperator, OperatorState, StateLayout};
use crate::record::{Frame, FrameHeader, Item, Key, KeyHash, Record, RowKind};
use crate::state::{EntryKey, LogOffset, OperatorId, Store};

/// The newest row of each key.
#[derive(Debug)]
pub struct LastRows<K, I> {
    operator: OperatorId,
    update_before: bool,
    update: Option<Update>,
    /// A row on its way into the state.
    frame: FrameBuffer,
    /// The row as it was.
    before: FrameBuffer,
    kinds: Kinds<K, I, ()>,
}

/// An update of which not all has left.
#[derive(Debug, Clone, Copy)]
struct Update {
    header: FrameHeader,
    row: LogOffset,
    before_left: bool,
}

impl<K: Key, I: Record> LastRows<K, I> {
    /// `update_before`: whether the row as it was goes before each update.
    #[must_use]
    pub fn new(operator: OperatorId, update_before: bool) -> Self {
        let (frame, before) = Default::default();
        Self { operator, update_before, update: None, frame, before, kinds: PhantomData }
    }
}

impl<K: Key, I: Record> KeyedOperator for LastRows<K, I> {
    type Key = K;
    type In = I;
    type Out = RankedRow<I>;
    type Emission = RowKind;

    const HAS_DUE: bool = true;

    fn touch(&self, state: &mut Store, hashes: &[KeyHash]) {
        state.touch(self.operator, hashes);
    }

    fn states(&self) -> Vec<OperatorState> {
        vec![OperatorState {
            id: self.operator,
            kind: "keep_last",
            identity: String::new(),
            key: K::layout(),
            values: vec![StateLayout::frames::<I>("row", 0..=0)],
        }]
    }

    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        view: I::View<'_>,
    ) -> Option<RowKind> {
        K::with_bytes(key, |bytes| {
            let (operator, hash) = (self.operator, header.key_hash);
            let key = EntryKey { operator, hash, key: bytes, namespace: 0 };
            let mut kind = RowKind::Insert;
            if let Some(offset) = state.find(&key) {
                let kept = Frame::new(state.value(offset));
                if kept.header().event_time > header.event_time {
                    return None;
                }
                kind = RowKind::UpdateAfter;
                if self.update_before {
                    self.before.copy(kept.bytes());
                }
            }
            self.frame.encode::<I>(header, view);
            let row = state.put(&key, self.frame.bytes());
            if kind == RowKind::Insert || !self.update_before {
                return Some(kind);
            }
            self.update = Some(Update { header: *header, row, before_left: false });
            None
        })
    }

    #[inline(always)]
    fn output<'a>(
        &self,
        kind: RowKind,
        _: K::View<'a>,
        row: I::View<'a>,
    ) -> <Self::Out as Item>::View<'a> {
        RankedRowView { kind, rank: 1, row }
    }

    #[inline(always)]
    fn kind(&self, kind: &RowKind) -> Option<RowKind> {
        Some(*kind)
    }

    fn advance(&mut self, _: &mut Store, _: Due) -> bool {
        self.update.is_some()
    }

    fn due<'s>(&'s self, state: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
        let Update { header, row, before_left } =
            self.update.expect("asked only after `advance` answered `true`");
        let (kind, frame) = match before_left {
            false => (RowKind::UpdateBefore, self.before.frame()),
            true => (RowKind::UpdateAfter, Frame::new(state.value(row))),
        };
        let ordinal = header.ordinal_of(u32::from(before_left));
        let row = frame.view::<I>();
        (FrameHeader { kind, ordinal, ..header }, RankedRowView { kind, rank: 1, row })
    }

    fn done(&mut self, _: &mut Store) {
        let next = |update: Update| Update { before_left: true, ..update };
        self.update = self.update.filter(|update| !update.before_left).map(next);
    }
}

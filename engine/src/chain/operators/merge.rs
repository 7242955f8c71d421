//! The two halves of a record that branched meet again, by ingress position.
//!
//! Takes frames of two inputs; hands on pairs of their views. The half that comes first is kept
//! whole, as an entry keyed by position and ordinal (namespace: its side); the one that comes second
//! pairs with it in place, and then the entry goes.
//!
//! Invariants
//! 1. Both halves of a record are routed by the same hash, so they meet on one shard: the exchange in
//!    front routes by `merge_key_hash`.
//! 2. As with `KeyedOperator`: `apply` runs once an input; `output` is pure and may run several
//!    times; `done` runs once for each emission, after its output was taken.
//! 3. What waits here is what one branch is ahead of the other, which the rings bound.

use std::marker::PhantomData;

use super::pair::{PairOperator, Side};
use crate::chain::{Due, OperatorState, StateLayout};
use crate::record::{Fixed, Frame, FrameHeader, IngressPosition, Item, KeyHash, Layout, Record};
use crate::state::{EntryKey, LogOffset, OperatorId, Store};

/// A record of each input.
#[derive(Debug)]
pub struct Joined<L, R>(PhantomData<fn() -> (L, R)>);

impl<L: Item, R: Item> Item for Joined<L, R> {
    type View<'a> = (L::View<'a>, R::View<'a>);
}

/// The half that waited, and the side of the one that came.
#[derive(Debug, Clone, Copy)]
pub struct MergeEmission {
    stored: LogOffset,
    came: Side,
}

/// Pairs the two halves of each record.
#[derive(Debug)]
pub struct MergeByPosition<L, R> {
    operator: OperatorId,
    kinds: PhantomData<fn() -> (L, R)>,
}

/// Split, sequence and ordinal: what both halves have in common.
const POSITION_BYTES: usize = 16;

impl<L: Record, R: Record> MergeByPosition<L, R> {
    /// A merge that keeps halves under `operator`.
    #[must_use]
    pub fn new(operator: OperatorId) -> Self {
        Self { operator, kinds: PhantomData }
    }
}

/// What the exchanges in front of a merge route by (invariant 1).
#[inline]
pub(crate) fn merge_key_hash(position: IngressPosition, ordinal: u32) -> KeyHash {
    KeyHash::of(&position_bytes(position, ordinal))
}

/// The canonical bytes of what a record without a key is known by.
pub(crate) fn position_bytes(position: IngressPosition, ordinal: u32) -> [u8; POSITION_BYTES] {
    let mut bytes = [0; POSITION_BYTES];
    (position.split, position.sequence, ordinal).write(&mut bytes);
    bytes
}

/// What those bytes are.
pub(crate) fn position_layout() -> Layout {
    Layout::fields([
        ("split", u32::layout()),
        ("sequence", u64::layout()),
        ("ordinal", u32::layout()),
    ])
}

fn entry_key<'k>(
    operator: OperatorId,
    header: &FrameHeader,
    key: &'k [u8; POSITION_BYTES],
    side: Side,
) -> EntryKey<'k> {
    let namespace = match side {
        Side::Left => 0,
        Side::Right => 1,
    };
    EntryKey { operator, hash: header.key_hash, key, namespace }
}

impl<L: Record, R: Record> PairOperator for MergeByPosition<L, R> {
    type Left = L;
    type Right = R;
    type Out = Joined<L, R>;
    type Emission = MergeEmission;

    fn states(&self) -> Vec<OperatorState> {
        vec![OperatorState {
            id: self.operator,
            kind: "join_by_position",
            identity: String::new(),
            key: position_layout(),
            values: vec![
                StateLayout::frames::<L>("left", 0..=0),
                StateLayout::frames::<R>("right", 1..=1),
            ],
        }]
    }

    fn apply(
        &mut self,
        state: &mut Store,
        side: Side,
        frame: Frame<'_>,
        _: Due,
    ) -> Option<MergeEmission> {
        let header = frame.header();
        let key = position_bytes(header.position, header.ordinal);
        debug_assert_eq!(header.key_hash, KeyHash::of(&key), "invariant 1");
        let other = match side {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        };
        if let Some(stored) = state.find(&entry_key(self.operator, &header, &key, other)) {
            return Some(MergeEmission { stored, came: side });
        }
        let own = entry_key(self.operator, &header, &key, side);
        debug_assert!(state.find(&own).is_none(), "a half comes once");
        state.put(&own, frame.bytes());
        None
    }

    #[inline(always)]
    fn output<'a>(
        &'a self,
        state: &'a Store,
        emission: MergeEmission,
        frame: Frame<'a>,
    ) -> (FrameHeader, (L::View<'a>, R::View<'a>)) {
        let stored = Frame::new(state.value(emission.stored));
        let views = match emission.came {
            Side::Left => (frame.view::<L>(), stored.view::<R>()),
            Side::Right => (stored.view::<L>(), frame.view::<R>()),
        };
        (frame.header(), views)
    }

    fn done(
        &mut self,
        state: &mut Store,
        emission: MergeEmission,
        _: Frame<'_>,
    ) -> Option<MergeEmission> {
        state.delete_at(emission.stored);
        None
    }
}

//! As-of join: a row of the left stream with the version of the right one that held at its time.
//!
//! Takes frames of two keyed streams, the right one a versioned table: a row is its key's version
//! from its own time on, until the next one (or until a row of kind `Delete`). Hands on each left
//! row once, with the version that holds.
//!
//! In time order (`SortedPair` around it) the version is the one of the row's event time, whatever
//! the order of arrival; as they arrive, it is the newest version that has come.
//!
//! Cost: one look-up a row. State: one row a key, for ever: a table has no bound but its keys.
//!
//! Source of the semantics: Flink's event-time temporal join (docs, "Joins": a version is valid from
//! its time, included).

use std::marker::PhantomData;

use super::super::pair::{PairOperator, Side};
use super::kind::{JoinKind, Kinds, Pairs};
use crate::chain::{Due, KeyFn, OperatorState, StateLayout};
use crate::record::{Frame, FrameHeader, Item, Key, Record, RowKind};
use crate::state::{EntryKey, LogOffset, OperatorId, Store};

/// An as-of join of kind `J`; kinds that keep right rows make no sense here, and keep none.
#[derive(Debug)]
pub struct AsOfJoin<K, L, R, FL, FR, J> {
    operator: OperatorId,
    keys: (FL, FR),
    kinds: Kinds<K, L, R, J>,
}

impl<K, L, R, FL, FR, J> AsOfJoin<K, L, R, FL, FR, J>
where
    K: Key,
    L: Record,
    R: Record,
    FL: KeyFn<L, K>,
    FR: KeyFn<R, K>,
    J: JoinKind,
{
    /// A join that keeps versions under `operator`.
    pub fn new(operator: OperatorId, keys: (FL, FR)) -> Self {
        Self { operator, keys, kinds: PhantomData }
    }

    /// Makes a right row its key's version, if it is not older than the one that is there.
    fn set_version(&self, state: &mut Store, frame: Frame<'_>) {
        let header = frame.header();
        K::with_bytes(self.keys.1.key(frame.view::<R>()), |key| {
            let (operator, hash) = (self.operator, header.key_hash);
            let key = EntryKey { operator, hash, key, namespace: 0 };
            let kept = state.find(&key);
            let is_older = kept.is_some_and(|kept| {
                Frame::new(state.value(kept)).header().event_time > header.event_time
            });
            match header.kind {
                _ if is_older => {}
                RowKind::Insert | RowKind::UpdateAfter => {
                    state.put(&key, frame.bytes());
                }
                RowKind::UpdateBefore => {}
                RowKind::Delete => {
                    state.delete(&key);
                }
            }
        });
    }

    fn version(&self, state: &Store, frame: Frame<'_>) -> Option<LogOffset> {
        let hash = frame.header().key_hash;
        K::with_bytes(self.keys.0.key(frame.view::<L>()), |key| {
            state.find(&EntryKey { operator: self.operator, hash, key, namespace: 0 })
        })
    }
}

impl<K, L, R, FL, FR, J> PairOperator for AsOfJoin<K, L, R, FL, FR, J>
where
    K: Key,
    L: Record,
    R: Record,
    FL: KeyFn<L, K>,
    FR: KeyFn<R, K>,
    J: JoinKind,
{
    type Left = L;
    type Right = R;
    type Out = J::Out<L, R>;
    /// The version, which no barrier passes and so nothing moves.
    type Emission = Option<LogOffset>;

    fn states(&self) -> Vec<OperatorState> {
        vec![OperatorState {
            id: self.operator,
            kind: "as_of_join",
            identity: String::new(),
            key: K::layout(),
            values: vec![StateLayout::frames::<R>("version", 0..=0)],
        }]
    }

    fn apply(
        &mut self,
        state: &mut Store,
        side: Side,
        frame: Frame<'_>,
        _: Due,
    ) -> Option<Self::Emission> {
        if side == Side::Right {
            self.set_version(state, frame);
            return None;
        }
        let version = self.version(state, frame);
        let leaves = match (version, J::PAIRS) {
            (None, _) => J::KEEPS_LEFT,
            (Some(_), pairs) => pairs != Pairs::Never,
        };
        leaves.then_some(version)
    }

    #[inline(always)]
    fn output<'a>(
        &'a self,
        state: &'a Store,
        version: Self::Emission,
        frame: Frame<'a>,
    ) -> (FrameHeader, <Self::Out as Item>::View<'a>) {
        let right = version.map(|offset| Frame::new(state.value(offset)).view::<R>());
        (frame.header(), J::view::<L, R>(Some(frame.view::<L>()), right))
    }

    fn done(&mut self, _: &mut Store, _: Self::Emission, _: Frame<'_>) -> Option<Self::Emission> {
        None
    }
}

//! The seam of stateful operators: what stands first in a keyed stage.

use super::OperatorState;
use crate::record::{EventTime, FrameHeader, Item, Key, KeyHash, Record, RowKind};
use crate::state::Store;

/// Up to where an operator may emit what waits for time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Everything at or before this watermark is due.
    pub watermark: EventTime,
    /// The input has ended: what waits for the end is due too.
    pub ended: bool,
}

/// An operator with keyed state. One instance a shard; it owns no state that can't be rebuilt
/// from the store.
///
/// For each input the body calls `apply`, pushes `output` of the emission (again, while it is
/// refused), and then drains what is due: `while advance { push(due); done }`.
pub trait KeyedOperator: Send + 'static {
    /// The key.
    type Key: Key;
    /// The record that arrives.
    type In: Record;
    /// The item that leaves.
    type Out: Item;
    /// What `apply` hands to `output`: a value of its own, so that it survives a refusal.
    type Emission: Copy + Send;

    /// Whether [`KeyedOperator::advance`] may ever answer `true`.
    const HAS_DUE: bool = false;

    /// Brings the state of the next few records' keys into the cache, before they are applied. A
    /// hint: it may do nothing, and the body may leave it out.
    fn touch(&self, _state: &mut Store, _hashes: &[KeyHash]) {}

    /// How many records came after all that they belong to had closed, and were dropped. Only what
    /// comes back from idleness can be so late: the rest is sorted out at the source.
    fn dropped_count(&self) -> u64 {
        0
    }

    /// The states that it keeps, one description an operator id.
    fn states(&self) -> Vec<OperatorState>;

    /// Makes anew what can be made from the store, after a restart. Frames in it were verified when
    /// it was loaded. `watermark`: the stage's at the checkpoint.
    fn rebuild(&mut self, _state: &Store, _watermark: EventTime) {}

    /// Tells the wall clock's time, in microseconds since 1970; once a turn.
    fn tick(&mut self, _wall_micros: i64) {}

    /// When something is due by the wall clock, in microseconds since 1970: `advance` is asked then,
    /// though nothing has come.
    fn next_wall_micros(&self) -> Option<i64> {
        None
    }

    /// Changes the key's state for one record; runs exactly once a record.
    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: <Self::Key as Key>::View<'_>,
        view: <Self::In as Item>::View<'_>,
    ) -> Option<Self::Emission>;

    /// The item for an emission; pure, may run several times.
    fn output<'a>(
        &self,
        emission: Self::Emission,
        key: <Self::Key as Key>::View<'a>,
        view: <Self::In as Item>::View<'a>,
    ) -> <Self::Out as Item>::View<'a>;

    /// What an emission's item is in a changelog; without an answer, what the record was.
    #[inline(always)]
    fn kind(&self, _emission: &Self::Emission) -> Option<RowKind> {
        None
    }

    /// Makes the next due item ready, where there is one. Asked again before `done`, it answers
    /// the same and changes nothing.
    fn advance(&mut self, _state: &mut Store, _due: Due) -> bool {
        false
    }

    /// The item that `advance` made ready; pure. Called only after `advance` answered `true`.
    fn due<'s>(&'s self, _state: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
        unreachable!("an operator without due items is never asked for one")
    }

    /// The item that was ready has been taken; its timer or pane may go.
    fn done(&mut self, _state: &mut Store) {}
}

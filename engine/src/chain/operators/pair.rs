//! The seam of operators with two inputs: the sibling of `KeyedOperator`.

use crate::chain::{Due, OperatorState};
use crate::record::{EventTime, Frame, FrameHeader, Item, Record};
use crate::state::Store;

/// Which input of two a frame came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The first input.
    Left,
    /// The second input.
    Right,
}

impl Side {
    /// The other one.
    #[inline(always)]
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// An operator with two inputs.
///
/// For each frame the body calls `apply`. Where that answers an emission, it pushes `output` (again,
/// while it is refused) and calls `done`, which answers the frame's next emission, and so on: a frame
/// may have any number of them, and nothing is buffered. Then what is due is drained, as with a
/// `KeyedOperator`.
pub trait PairOperator: Send + 'static {
    /// The record of the first input.
    type Left: Record;
    /// The record of the second input.
    type Right: Record;
    /// The item that leaves.
    type Out: Item;
    /// What `apply` hands to `output` and `done`: a value of its own, so that it survives a refusal.
    type Emission: Copy + Send;

    /// Whether [`PairOperator::advance`] may ever answer `true`.
    const HAS_DUE: bool = false;

    /// How many records came too late for anything, and were dropped.
    fn dropped_count(&self) -> u64 {
        0
    }

    /// The states that it keeps, one description an operator id.
    fn states(&self) -> Vec<OperatorState>;

    /// Makes anew what can be made from the store, after a restart.
    fn rebuild(&mut self, _state: &Store, _watermark: EventTime) {}

    /// Tells the wall clock's time, in microseconds since 1970; once a turn.
    fn tick(&mut self, _wall_micros: i64) {}

    /// When something is due by the wall clock, in microseconds since 1970.
    fn next_wall_micros(&self) -> Option<i64> {
        None
    }

    /// Changes state for one frame of one side; runs exactly once a frame. `due`: how far time has
    /// come.
    fn apply(
        &mut self,
        state: &mut Store,
        side: Side,
        frame: Frame<'_>,
        due: Due,
    ) -> Option<Self::Emission>;

    /// The item for an emission, from the frame that made it and from state; pure.
    fn output<'a>(
        &'a self,
        state: &'a Store,
        emission: Self::Emission,
        frame: Frame<'a>,
    ) -> (FrameHeader, <Self::Out as Item>::View<'a>);

    /// The emission's item has been taken; answers the next one of the same frame.
    fn done(
        &mut self,
        state: &mut Store,
        emission: Self::Emission,
        frame: Frame<'_>,
    ) -> Option<Self::Emission>;

    /// Makes the next due item ready, where there is one. Asked again before `due_done`, it answers
    /// the same and changes nothing.
    fn advance(&mut self, _state: &mut Store, _due: Due) -> bool {
        false
    }

    /// The item that `advance` made ready; pure.
    fn due<'s>(&'s self, _state: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
        unreachable!("an operator without due items is never asked for one")
    }

    /// The item that was ready has been taken.
    fn due_done(&mut self, _state: &mut Store) {}
}

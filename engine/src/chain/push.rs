//! The seam between fused operators: each pushes items into the next.

use crate::record::{FrameHeader, Item};

/// Whether an item was taken.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Taken (or dropped on purpose, as a filter does).
    Ready,
    /// Refused for want of room: stop, and run the same input again later.
    Blocked,
}

impl Flow {
    /// Whether the item was refused.
    #[inline(always)]
    #[must_use]
    pub fn is_blocked(self) -> bool {
        self == Self::Blocked
    }
}

/// Takes items: the next operator of a chain, or the terminal of a stage.
pub trait Push<I: Item> {
    /// Takes one item, or refuses it (invariant 1 of this folder).
    fn push(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow;
}

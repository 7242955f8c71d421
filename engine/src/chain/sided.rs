//! Side outputs: the terminal that parts two kinds of items.
//!
//! Takes [`Sided`] items; hands those that go on to the rest of the chain, and those of the side to
//! the branches of a stream of their own.
//!
//! Invariant: each of the two counts what it has accepted of an input for itself, so a repeated
//! input reaches neither twice.
//!
//! Why the side is a batch that branches read, and the rest is not: side outputs are for the
//! exception, and are often used by several or by nobody; what goes on stays fused.

use crate::record::{FrameHeader, Item, Marker, Record, Sided, SidedView};

use super::blueprint::{Blueprint, Wiring};
use super::fanout::{Fork, ForkBlueprint};
use super::plan::Link;
use super::push::{Flow, Push, Terminal, TerminalError};

/// The rest of the chain, and the batch of the side output.
pub(crate) struct PartSides<P, S: Record> {
    main: P,
    side: Fork<S>,
}

impl<P: Terminal, S: Record> Terminal for PartSides<P, S> {
    #[inline(always)]
    fn begin(&mut self, repeated: bool) {
        self.main.begin(repeated);
        self.side.begin(repeated);
    }

    fn marker(&mut self, marker: Marker) {
        self.main.marker(marker);
        self.side.marker(marker);
    }

    fn end_turn(&mut self) -> Result<bool, TerminalError> {
        let moved = self.main.end_turn()?;
        Ok(self.side.end_turn()? | moved)
    }

    fn is_drained(&self) -> bool {
        self.main.is_drained() && self.side.is_drained()
    }

    fn next_ns(&self) -> Option<u64> {
        self.main.next_ns().into_iter().chain(self.side.next_ns()).min()
    }
}

impl<M: Item, S: Record, P: Push<M>> Push<Sided<M, S>> for PartSides<P, S> {
    #[inline(always)]
    fn push(&mut self, header: &FrameHeader, view: SidedView<M::View<'_>, S::View<'_>>) -> Flow {
        match view {
            SidedView::Main(view) => self.main.push(header, view),
            SidedView::Side(view) => self.side.push(header, view),
        }
    }
}

/// The terminal before a shard has its own.
pub(crate) struct PartSidesBlueprint<B, S: Record> {
    pub(crate) main: B,
    pub(crate) side: ForkBlueprint<S>,
}

impl<M: Item, S: Record, B: Blueprint<M>> Blueprint<Sided<M, S>> for PartSidesBlueprint<B, S> {
    type Push = PartSides<B::Push, S>;
    fn build(&self, wiring: &mut Wiring<'_>) -> Self::Push {
        PartSides { main: self.main.build(wiring), side: self.side.build(wiring) }
    }

    fn describe(&self, links: &mut Vec<Link>) {
        let (mut main, mut side) = (Vec::new(), Vec::new());
        self.main.describe(&mut main);
        self.side.describe(&mut side);
        links.push(Link::Sides { main, side });
    }
}

//! Side outputs by tag: what a process function emits becomes several streams.

use std::fmt;
use std::marker::PhantomData;

use crate::chain::{Blueprint, PartTagsBlueprint, SideList, SideTag, Tagged};
use crate::record::{Item, Record};

use super::chain::{Chain, Root};
use super::graph::{Graph, Level};
use super::stream::Stream;

/// A chain of the items without a tag.
pub struct Untagged<C, M> {
    chain: C,
    sides: SideList,
    item: PhantomData<fn() -> M>,
}

impl<C: fmt::Debug, M> fmt::Debug for Untagged<C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Untagged").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl<M: Item, C: Chain<Out = Tagged<M>>> Chain for Untagged<C, M> {
    type Out = M;

    fn attach<B: Blueprint<M>>(self, terminal: B) {
        self.chain.attach(PartTagsBlueprint { main: terminal, sides: self.sides });
    }

    fn graph(&self) -> &Graph {
        self.chain.graph()
    }

    fn level(&self) -> Level {
        self.chain.level()
    }

    fn name_operator(&mut self, name: &str) {
        self.chain.name_operator(name);
    }

    fn emit_at_end(&mut self) {
        self.chain.emit_at_end();
    }

    fn emit_retractions(&mut self) {
        self.chain.emit_retractions();
    }
}

/// The side outputs of a process function.
pub struct Sides {
    graph: Graph,
    level: Level,
    sides: SideList,
}

impl fmt::Debug for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sides").field("level", &self.level).finish_non_exhaustive()
    }
}

impl Sides {
    /// What the function emits to `tag`. Each call is a branch of its own.
    ///
    /// # Panics
    /// A tag of the same number and of another record was asked for before: a bug in the job.
    pub fn tagged<S: Record>(&self, tag: SideTag<S>) -> Stream<S, Root<S>> {
        let branches = self.sides.branches(tag);
        let (graph, level) = (self.graph.clone(), self.level);
        Stream::new(Root { graph, branches, level, source: None })
    }
}

impl<M: Item, C: Chain<Out = Tagged<M>>> Stream<Tagged<M>, C> {
    /// The stream of what goes on, and the side outputs by their tags. The stream must end in an output,
    /// as it carries the operator. What is emitted to a tag that nobody asks for is dropped.
    pub fn with_sides(self) -> (Stream<M, Untagged<C, M>>, Sides) {
        let chain = self.into_chain();
        let (graph, level) = (chain.graph().clone(), chain.level());
        let sides = Sides { graph, level, sides: SideList::default() };
        let main = Untagged { chain, sides: sides.sides.clone(), item: PhantomData };
        (Stream::new(main), sides)
    }
}

//! Side outputs: a stream of items of two kinds becomes two streams.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::chain::{Blueprint, ForkBlueprint, PartSidesBlueprint, Partition};
use crate::record::{Item, Record, Sided};
use crate::sink::SinkFactory;

use super::chain::{Chain, Root, Then};
use super::graph::{Branches, Graph, Level, branches};
use super::stream::Stream;

/// A chain of the items that go on; those of the side go to the branches of another stream.
pub struct Main<C, M, S: Record> {
    chain: C,
    side: Branches<S>,
    item: PhantomData<fn() -> M>,
}

impl<C: std::fmt::Debug, M, S: Record> std::fmt::Debug for Main<C, M, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Main").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl<M: Item, S: Record, C: Chain<Out = Sided<M, S>>> Chain for Main<C, M, S> {
    type Out = M;

    fn attach<B: Blueprint<M>>(self, terminal: B) {
        let side = ForkBlueprint { branches: self.side };
        self.chain.attach(PartSidesBlueprint { main: terminal, side });
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

/// The stream of what goes on, and that of the side output.
type Parted<C, M, S> = (Stream<M, Main<C, M, S>>, Stream<S, Root<S>>);

impl<M: Item, S: Record, C: Chain<Out = Sided<M, S>>> Stream<Sided<M, S>, C> {
    /// The stream of what goes on, and the stream of the side output. The first one must end in an
    /// output: it carries the operator. The second may be dropped, and its items with it.
    pub fn with_side(self) -> Parted<C, M, S> {
        let chain = self.into_chain();
        let side = branches();
        let root = Root {
            graph: chain.graph().clone(),
            branches: Arc::clone(&side),
            level: chain.level(),
            source: None,
        };
        (Stream::new(Main { chain, side, item: PhantomData }), Stream::new(root))
    }

    /// Ends the side output in `sink`; the answer is the stream of what goes on.
    pub fn side_to<K: SinkFactory<S>>(self, sink: K) -> Stream<M, Main<C, M, S>> {
        let (main, side) = self.with_side();
        side.to(sink);
        main
    }

    /// The stream of what goes on alone; the items of the side output are dropped.
    pub fn without_side(self) -> Stream<M, Main<C, M, S>> {
        self.with_side().0
    }
}

impl<R: Record, C: Chain<Out = R>> Stream<R, C> {
    /// Parts the stream: the records for which `is_first` answers true, and the others. It is asked
    /// once a record. The first stream must end in an output, as it carries the chain.
    #[track_caller]
    pub fn split<F>(self, is_first: F) -> Parted<Then<C, Partition, F>, R, R>
    where
        F: for<'a> Fn(R::View<'a>) -> bool + Clone + Send + Sync + 'static,
    {
        Stream::new(Then::<C, Partition, F>::new(self.into_chain(), is_first)).with_side()
    }
}

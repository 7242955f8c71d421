//! Streams and changelogs: what a job is written in.
//!
//! A [`Stream`] is a sequence of records that only grows; a [`Changelog`] is a table, given as the
//! changes of its rows. They are different types so that what needs a whole table can't be handed
//! half of one.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::chain::operators::{Joined, MergeByPosition};
use crate::chain::{
    ByPosition, ExchangeBlueprint, Filter, FlatMap, ForkBlueprint, KeyOut, Map, Out, OutEach,
    OutputBlueprint, OutputMeters,
};
use crate::record::{Change, Item, Key, Record};
use crate::sink::{CollectSink, SinkFactory};

use super::chain::{Chain, PairOperated, Root, Then};
use super::graph::{Level, branches};
use super::keyed::Keyed;
use super::listing::{Building, Listing};

/// A stream of items of type `I`, at the end of the chain `C`.
///
/// In the signature of a job one writes `Stream<Click>`; the chain's type is filled in.
#[derive(Debug)]
#[must_use = "a stream does nothing until it ends in an output"]
pub struct Stream<I, C = Root<I>> {
    chain: C,
    item: PhantomData<fn() -> I>,
}

/// A keyed table as its changes, at the end of the chain `C`.
#[derive(Debug)]
#[must_use = "a changelog does nothing until it ends in an output"]
pub struct Changelog<K, V, C> {
    chain: C,
    row: PhantomData<fn() -> (K, V)>,
}

/// A source's stream can be used several times: each use is a branch that starts at the source.
impl<R: Record> Clone for Stream<R, Root<R>> {
    fn clone(&self) -> Self {
        Self::new(self.chain.clone())
    }
}

impl<I: Item, C: Chain<Out = I>> Stream<I, C> {
    pub(super) fn new(chain: C) -> Self {
        Self { chain, item: PhantomData }
    }

    /// The stream at the end of a chain: for chains whose root is not a job's source, as benches
    /// have them that measure what is fused and nothing else.
    pub fn of_chain(chain: C) -> Self {
        Self::new(chain)
    }

    pub(super) fn into_chain(self) -> C {
        self.chain
    }

    /// Keeps the items for which `keep` answers true.
    #[track_caller]
    pub fn filter<F>(self, keep: F) -> Stream<I, Then<C, Filter, F>>
    where
        F: for<'a> Fn(I::View<'a>) -> bool + Clone + Send + Sync + 'static,
    {
        Stream::new(Then::new(self.chain, keep))
    }

    /// Makes one record of each item. `make` must be pure: it may run again for the same item.
    #[track_caller]
    pub fn map<R, F>(self, make: F) -> Stream<R, Then<C, Map<R>, F>>
    where
        R: Record,
        F: for<'o, 'a> Fn(I::View<'a>, Out<'o, 'a, R>) + Clone + Send + Sync + 'static,
    {
        Stream::new(Then::new(self.chain, make))
    }

    /// Makes one record of each item, or none.
    #[track_caller]
    pub fn filter_map<R, F>(self, make: F) -> Stream<R, Then<C, Map<R>, F>>
    where
        R: Record,
        F: for<'o, 'a> Fn(I::View<'a>, Out<'o, 'a, R>) + Clone + Send + Sync + 'static,
    {
        self.map(make)
    }

    /// Makes any number of records of each item. The iterator stops where the next stage is full
    /// and is made again when there is room, so it must give the same records each time.
    #[track_caller]
    pub fn flat_map<R, F>(self, make: F) -> Stream<R, Then<C, FlatMap<R>, F>>
    where
        R: Record,
        F: for<'o, 'a> Fn(I::View<'a>, OutEach<'o, 'a, R>) + Clone + Send + Sync + 'static,
    {
        Stream::new(Then::new(self.chain, make))
    }

    /// Names the stateful operator that the stream comes from. Names tie state to operators
    /// across versions of a job.
    pub fn named(mut self, name: &str) -> Self {
        self.chain.name_operator(name);
        self
    }

    /// Enters a function on streams, which calls its parameter `name`: what `#[pelton::job]` and
    /// `#[pelton::part]` write at its head. See [`Listing`].
    pub fn begins(&self, listing: &'static Listing, name: &str) -> Building {
        self.chain.name_source(name);
        Building::enter(self.chain.graph(), listing)
    }

    /// Ends the stream in `sink`.
    pub fn to<S: SinkFactory<I>>(self, sink: S) {
        output(self.chain, sink);
    }
}

impl<R: Record, C: Chain<Out = R>> Stream<R, C> {
    /// Groups the stream by a key; the records with one key meet on one shard, in order.
    #[track_caller]
    pub fn key_by<K, F>(self, key: F) -> Keyed<R, K, C, F>
    where
        K: Key,
        // A bound that says `Fn` itself: inference reads closures' signatures off nothing else.
        F: for<'o, 'a> Fn(R::View<'a>, KeyOut<'o, 'a, K>) + Clone + Send + Sync + 'static,
    {
        Keyed::new(self.chain, key)
    }

    /// Pairs the records of two branches of one stream: those that came of the same input record
    /// meet again, by its ingress position. Each branch must make exactly one record of each.
    #[track_caller]
    pub fn join_by_position<R2, C2>(
        self,
        other: Stream<R2, C2>,
    ) -> Stream<Joined<R, R2>, impl Chain<Out = Joined<R, R2>>>
    where
        R2: Record,
        C2: Chain<Out = R2>,
    {
        let graph = self.chain.graph().clone();
        let exchanges = [graph.add_exchange(), graph.add_exchange()];
        let level = next_level(self.chain.level().max(other.chain.level()));
        let (id, name) = graph.add_operator("merge", std::iter::empty());
        self.chain.attach(ExchangeBlueprint { id: exchanges[0], route: ByPosition });
        other.chain.attach(ExchangeBlueprint { id: exchanges[1], route: ByPosition });
        let make = MergeByPosition::<R, R2>::new;
        Stream::new(PairOperated { graph, exchanges, level, id, name, make })
    }

    /// A stream that can be used several times: its records are kept in a batch that every
    /// branch reads. (A source's stream needs no fork: its clones are branches already.)
    pub fn fork(self) -> Stream<R, Root<R>> {
        let branches = branches();
        let graph = self.chain.graph().clone();
        let level = self.chain.level();
        self.chain.attach(ForkBlueprint { branches: Arc::clone(&branches) });
        Stream::new(Root { graph, branches, level, source: None })
    }

    /// Collects the records in memory; the answer is a handle to them.
    pub fn collect(self) -> CollectSink<R> {
        let rows = CollectSink::new();
        self.to(rows.clone());
        rows
    }
}

impl<K: Key, V: Copy + Send + 'static, C: Chain<Out = Change<K, V>>> Changelog<K, V, C> {
    pub(super) fn new(chain: C) -> Self {
        Self { chain, row: PhantomData }
    }

    /// Names the operator that keeps the table.
    pub fn named(mut self, name: &str) -> Self {
        self.chain.name_operator(name);
        self
    }

    /// As [`Stream::begins`].
    pub fn begins(&self, listing: &'static Listing, _name: &str) -> Building {
        Building::enter(self.chain.graph(), listing)
    }

    /// Only the rows as they are at the end of the input, each once, instead of every change.
    pub fn at_end(mut self) -> Self {
        self.chain.emit_at_end();
        self
    }

    /// Says each row as it was (`UpdateBefore`) before it says what became of it, as operators need
    /// that take rows back, such as regular joins.
    pub fn retracting(mut self) -> Self {
        self.chain.emit_retractions();
        self
    }

    /// Collects the changes in memory; the answer is a handle to them.
    pub fn collect(self) -> CollectSink<Change<K, V>> {
        let rows = CollectSink::new();
        self.to(rows.clone());
        rows
    }

    /// The changes as a stream of their own. What is made of a change is of its kind: a record that
    /// `map` makes of a row that goes takes back the one that it made of the row when it came.
    pub fn changes(self) -> Stream<Change<K, V>, C> {
        Stream::new(self.chain)
    }

    /// Ends the changelog in `sink`.
    pub fn to<S: SinkFactory<Change<K, V>>>(self, sink: S) {
        output(self.chain, sink);
    }
}

fn output<I: Item, C: Chain<Out = I>, S: SinkFactory<I>>(chain: C, sink: S) {
    let graph = chain.graph().clone();
    let factory = Arc::new(sink);
    let meters = Arc::new(OutputMeters::default());
    let number = graph.add_output(Arc::clone(&meters));
    graph.add_sink::<I, S>(&factory);
    chain.attach(OutputBlueprint { factory, meters, number });
}

/// One level further from the sources.
pub(super) fn next_level(level: Level) -> Level {
    Level(level.0 + 1)
}

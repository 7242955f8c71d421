//! Where streams meet and spread without a key: `union`, `rebalance`, `broadcast`.
//!
//! Each is an exchange, and a stage behind it that has no operator and keeps nothing.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::chain::{
    Blueprint, BroadcastBlueprint, ByPosition, ExchangeBlueprint, ExchangeId, Local,
};
use crate::record::Record;
use crate::route::ShardId;
use crate::shard::{Inputs, PassBody, RingStage};

use super::chain::Chain;
use super::graph::{Graph, Level};
use super::stream::{Stream, next_level};

/// The root of a chain where streams have met or spread.
#[derive(Debug)]
pub struct Met<R> {
    graph: Graph,
    exchanges: Vec<ExchangeId>,
    level: Level,
    name: &'static str,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> Met<R> {
    fn new(graph: Graph, exchanges: Vec<ExchangeId>, level: Level, name: &'static str) -> Self {
        Self { graph, exchanges, level, name, record: PhantomData }
    }
}

impl<R: Record> Chain for Met<R> {
    type Out = R;

    fn attach<B: Blueprint<R>>(self, terminal: B) {
        let Self { graph, exchanges, level, name, .. } = self;
        let terminal = Arc::new(terminal);
        let (built, read) = (Arc::clone(&terminal), exchanges.clone());
        graph.add_passing_stage(level, name, &read, &terminal, move |stage| {
            let consumers: Vec<_> =
                exchanges.iter().map(|&exchange| stage.take_consumers(exchange)).collect();
            let inputs = Inputs::new(consumers, stage.wiring.wakers);
            let push = built.build(&mut stage.wiring);
            let body = PassBody::<R, _>::new(name, push);
            Box::new(RingStage::new(inputs, body, stage.take_start()))
        });
    }

    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn level(&self) -> Level {
        self.level
    }

    fn name_operator(&mut self, _: &str) {}

    fn emit_at_end(&mut self) {}
}

/// A route that each shard sets to itself when it is built.
const TO_ITSELF: Local = Local(ShardId(0));

impl<R: Record, C: Chain<Out = R>> Stream<R, C> {
    /// All records of two streams.
    ///
    /// ```
    /// use pelton::{Engine, Job, Stream};
    ///
    /// #[pelton::record]
    /// struct Reading {
    ///     sensor: u64,
    /// }
    ///
    /// #[pelton::job]
    /// fn readings(old: Stream<Reading>, new: Stream<Reading>) -> pelton::Changelog<u64, u64> {
    ///     let (kept, _broken) = old.split(|reading| reading.sensor != 13);
    ///     kept.union(new).key_by(|reading| reading.sensor).count()
    /// }
    ///
    /// let job = Job::new();
    /// let records = |sensors: &[u64]| sensors.iter().map(|&sensor| Reading { sensor }).collect();
    /// let (old, new) = (job.records(records(&[1, 13, 2])), job.records(records(&[1])));
    /// let counts = readings(old, new).at_end().collect();
    /// Engine::new().shards(1).run(job)?;
    /// let mut rows: Vec<_> =
    ///     counts.take_rows().into_iter().map(|row| (row.key, row.value)).collect();
    /// rows.sort();
    /// assert_eq!(rows, [(1, 2), (2, 1)]);
    /// # Ok::<(), pelton::JobError>(())
    /// ```
    ///
    /// Those of each keep their order; how the two interleave is not
    /// said. Event time goes on with the slower of the two. No record changes its shard.
    pub fn union<C2: Chain<Out = R>>(self, other: Stream<R, C2>) -> Stream<R, Met<R>> {
        let (first, second) = (self.into_chain(), other.into_chain());
        let graph = first.graph().clone();
        let exchanges = vec![graph.add_exchange(), graph.add_exchange()];
        let level = next_level(first.level().max(second.level()));
        first.attach(ExchangeBlueprint { id: exchanges[0], route: TO_ITSELF });
        second.attach(ExchangeBlueprint { id: exchanges[1], route: TO_ITSELF });
        Stream::new(Met::new(graph, exchanges, level, "union"))
    }

    /// Spreads the records over all shards, evenly and by their ingress positions: for work that is
    /// heavy where its input is on few shards. Order is kept between two shards only.
    pub fn rebalance(self) -> Stream<R, Met<R>> {
        let chain = self.into_chain();
        let graph = chain.graph().clone();
        let exchange = graph.add_exchange();
        let level = next_level(chain.level());
        chain.attach(ExchangeBlueprint { id: exchange, route: ByPosition });
        Stream::new(Met::new(graph, vec![exchange], level, "rebalance"))
    }

    /// A copy of every record on every shard. What an output behind it takes is as many copies as
    /// there are shards.
    pub fn broadcast(self) -> Stream<R, Met<R>> {
        let chain = self.into_chain();
        let graph = chain.graph().clone();
        let exchange = graph.add_exchange();
        let level = next_level(chain.level());
        chain.attach(BroadcastBlueprint { id: exchange });
        Stream::new(Met::new(graph, vec![exchange], level, "broadcast"))
    }
}

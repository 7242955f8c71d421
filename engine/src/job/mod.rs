//! Jobs: what the user writes, the plan that it becomes, and the engine that runs it.
//!
//! Takes a function over streams; hands on shards to a driver. This is the only place that knows
//! the plan; the shards are handed their stages.
//!
//! A job is built by calling it: sources make streams, operators extend them, outputs end them and
//! register what was built. Nothing runs before [`Engine::start`].

mod chain;
mod checkpoints;
mod driver;
mod durability;
mod engine;
mod error;
mod graph;
mod import;
mod input;
mod join;
mod keyed;
pub mod limits;
mod listing;
mod lookups;
mod meeting;
mod operators;
mod patterns;
mod places;
pub mod plan;
mod rate;
mod reference;
mod restore;
mod rows;
mod running;
mod settings;
mod sides;
mod stream;
mod supervise;
mod tagged;
mod windowed;

pub use chain::{Chain, Operated, OperatorBlueprint, PairOperated, Root, Then};
pub use checkpoints::{Begin, Checkpoints, Restart};
pub use engine::{Engine, OpenContext};
pub use error::{JobError, Misfit, RestoreError};
pub use graph::{Graph, Level};
pub use input::{Files, Source, SourceOptions, Splits};
pub use join::KeyedPair;
pub use keyed::Keyed;
pub use listing::{Building, Listed, Listing, Note, Offer};
pub use meeting::Met;
pub use plan::Plan;
pub use rate::Limited;
pub use reference::ThenWith;
pub use running::{CheckpointReport, JobReport, JobSnapshot, Latencies, RunningJob};
pub use settings::{Driver, Settings, core_count};
pub use sides::Main;
pub use stream::{Changelog, Stream};
pub use supervise::{Supervisor, supervise};
pub use tagged::{Sides, Untagged};
pub use windowed::{OrLate, WindowedStream};

use crate::record::Record;
use crate::source::{PushInput, VecSplit, push_source};

/// A job that is being built.
#[derive(Debug, Default)]
pub struct Job {
    graph: Graph,
}

impl Job {
    /// An empty job.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads records from `source`.
    pub fn source<R, S>(&self, source: S, options: SourceOptions<R>) -> Stream<R>
    where
        R: Record,
        S: Source<R>,
    {
        input::register(&self.graph, source, options)
    }

    /// Takes records that the embedding program pushes. Up to `capacity` of them wait for the
    /// job; then a push waits.
    pub fn push<R: Record>(&self, capacity: usize) -> (Stream<R>, PushInput<R>) {
        self.push_with(capacity, SourceOptions::default())
    }

    /// The same with options, such as the lateness that windows need.
    pub fn push_with<R: Record>(
        &self,
        capacity: usize,
        options: SourceOptions<R>,
    ) -> (Stream<R>, PushInput<R>) {
        let (input, split) = push_source("push", capacity);
        self.graph.add_push_closer(input.closer());
        (self.source(input::Pushed::new(split), options), input)
    }

    /// Reads records from memory.
    pub fn records<R: Record>(&self, records: Vec<R>) -> Stream<R> {
        let splits = Splits::new(vec![VecSplit::new("records", records)]);
        self.source(splits, SourceOptions::default())
    }

    /// What the job is made of, as data: sources, stages, exchanges and outputs. Nothing is opened,
    /// and the job can be started afterwards.
    #[must_use]
    pub fn plan(&self) -> Plan {
        plan::of(&self.graph)
    }

    pub(crate) fn into_plan(self) -> graph::Plan {
        // Streams that were never ended hold the graph too; what they began is not in the plan.
        std::mem::take(&mut self.graph.0.borrow_mut())
    }
}

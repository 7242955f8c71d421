//! The plan of a job while it is being built: sources, stages, exchanges, operators and outputs.
//!
//! Takes what streams register when they end; hands on, for each shard, the stages in the order
//! in which they are served.
//!
//! Invariant: an exchange leads from a stage to one of a higher level, so the graph has no loop
//! and serving by falling level serves last stages first.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use crate::chain::{BranchBlueprint, ExchangeId, OutputMeters, Wiring};
use crate::clock::Clock;
use crate::io::WriterMode;
use crate::record::{Item, Record};
use crate::ring::Consumer;
use crate::shard::Stage;
use crate::sink::{SinkError, SinkFactory};
use crate::source::SourceError;
use crate::state::OperatorId;

use super::engine::OpenContext;

/// Where a stage stands between the sources (0) and the last sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(pub u16);

/// What one shard's stages are built from.
pub(crate) struct StageWiring<'w> {
    pub(crate) wiring: Wiring<'w>,
    /// By exchange: this shard's consumers, one for each producing shard.
    pub(crate) consumers: &'w mut [Vec<Consumer>],
    /// The operators' names, by id.
    pub(crate) names: &'w [String],
    pub(crate) payload_bytes_max: usize,
    pub(crate) rate_a_split: Option<f64>,
}

impl StageWiring<'_> {
    pub(crate) fn take_consumers(&mut self, exchange: ExchangeId) -> Vec<Consumer> {
        std::mem::take(&mut self.consumers[exchange.0])
    }

    pub(crate) fn name(&self, operator: OperatorId) -> &str {
        &self.names[usize::from(operator.0)]
    }
}

type BuildStage = Box<dyn FnMut(&mut StageWiring<'_>) -> Box<dyn Stage>>;
type OpenSource = Box<dyn FnMut(&OpenContext) -> Result<usize, SourceError>>;
type Begin = Box<dyn Fn(&Clock, WriterMode) -> Result<(), SinkError>>;
type Finish = Box<dyn FnOnce() -> Result<(), SinkError>>;

/// The branches of a stream, shared between the plan and the streams that are still being built.
pub(crate) type Branches<R> = Arc<Mutex<Vec<Box<dyn BranchBlueprint<R>>>>>;

pub(crate) fn branches<R: Record>() -> Branches<R> {
    Arc::new(Mutex::new(Vec::new()))
}

/// Which names belong to one operator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OperatorNames {
    first: usize,
    end: usize,
}

/// The plan itself.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) stages: Vec<(Level, BuildStage)>,
    pub(crate) sources: Vec<OpenSource>,
    /// A stable name for each stateful operator, by id.
    pub(crate) operator_names: Vec<String>,
    pub(crate) exchange_count: usize,
    /// Create the outputs, before anything starts.
    pub(crate) beginners: Vec<Begin>,
    pub(crate) outputs: Vec<Arc<OutputMeters>>,
    pub(crate) finishers: Vec<Finish>,
    pub(crate) push_closers: Vec<Box<dyn Fn() + Send + Sync>>,
}

/// A handle to the plan; every stream of a job holds one.
#[derive(Clone, Default)]
pub struct Graph(pub(super) Rc<RefCell<Plan>>);

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plan = self.0.borrow();
        f.debug_struct("Graph").field("operators", &plan.operator_names).finish_non_exhaustive()
    }
}

impl Graph {
    pub(crate) fn add_exchange(&self) -> ExchangeId {
        let mut plan = self.0.borrow_mut();
        plan.exchange_count += 1;
        ExchangeId(plan.exchange_count - 1)
    }

    /// Adds a stateful operator: one id for its main state and one for each suffix. It has a
    /// name of its own until it is given a stable one.
    pub(crate) fn add_operator<'s>(
        &self,
        kind: &str,
        suffixes: impl Iterator<Item = &'s str>,
    ) -> (OperatorId, OperatorNames) {
        let mut plan = self.0.borrow_mut();
        let first = plan.operator_names.len();
        let id = u16::try_from(first).expect("a job has few operators");
        let name = format!("{kind}_{id}");
        plan.operator_names.push(name.clone());
        for suffix in suffixes {
            plan.operator_names.push(format!("{name}.{suffix}"));
        }
        let names = OperatorNames { first, end: plan.operator_names.len() };
        (OperatorId(id), names)
    }

    /// Gives an operator, and all states that it keeps, another name.
    pub(crate) fn name_operator(&self, names: OperatorNames, name: &str) {
        let mut plan = self.0.borrow_mut();
        for index in names.first..names.end {
            let suffix = plan.operator_names[index].split_once('.').map(|(_, suffix)| suffix);
            let full = suffix.map_or_else(|| name.to_owned(), |suffix| format!("{name}.{suffix}"));
            plan.operator_names[index] = full;
        }
    }

    pub(crate) fn add_stage(
        &self,
        level: Level,
        build: impl FnMut(&mut StageWiring<'_>) -> Box<dyn Stage> + 'static,
    ) {
        self.0.borrow_mut().stages.push((level, Box::new(build)));
    }

    pub(crate) fn add_source(
        &self,
        open: impl FnMut(&OpenContext) -> Result<usize, SourceError> + 'static,
    ) {
        self.0.borrow_mut().sources.push(Box::new(open));
    }

    /// Adds a sink's factory: it is begun before the job starts and finished after its end.
    pub(crate) fn add_sink<I: Item, S: SinkFactory<I>>(&self, sink: &Arc<S>) {
        let (begun, finished) = (Arc::clone(sink), Arc::clone(sink));
        self.add_beginner(move |clock, mode| begun.begin(clock, mode));
        self.add_finisher(move || finished.finish().map(|_| ()));
    }

    pub(crate) fn add_output(&self, meters: Arc<OutputMeters>) {
        self.0.borrow_mut().outputs.push(meters);
    }

    pub(crate) fn add_beginner(
        &self,
        begin: impl Fn(&Clock, WriterMode) -> Result<(), SinkError> + 'static,
    ) {
        self.0.borrow_mut().beginners.push(Box::new(begin));
    }

    pub(crate) fn add_finisher(&self, finish: impl FnOnce() -> Result<(), SinkError> + 'static) {
        self.0.borrow_mut().finishers.push(Box::new(finish));
    }

    pub(crate) fn add_push_closer(&self, close: impl Fn() + Send + Sync + 'static) {
        self.0.borrow_mut().push_closers.push(Box::new(close));
    }
}

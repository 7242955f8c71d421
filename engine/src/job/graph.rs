//! The plan of a job while it is being built: sources, stages, exchanges, operators and outputs.
//!
//! Takes what streams register when they end; hands on, for each shard, the stages in the order
//! in which they are served.
//!
//! Invariant: an exchange leads from a stage to one of a higher level, so the graph has no loop
//! and serving by falling level serves last stages first.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use crate::chain::{BranchBlueprint, ExchangeId, OperatorState, OutputMeters, Wiring};
use crate::record::{Item, Record};
use crate::ring::Consumer;
use crate::shard::{SourceStart, Stage, StageStart};
use crate::sink::{OutputParticipant, SinkFactory, participant};
use crate::source::SourceError;
use crate::state::OperatorId;

use super::engine::OpenContext;
use super::error::JobError;

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
    /// What the stage that is built next begins with.
    pub(crate) start: StageStart,
}

impl StageWiring<'_> {
    pub(crate) fn take_consumers(&mut self, exchange: ExchangeId) -> Vec<Consumer> {
        std::mem::take(&mut self.consumers[exchange.0])
    }

    pub(crate) fn name(&self, operator: OperatorId) -> &str {
        &self.names[usize::from(operator.0)]
    }

    /// What a keyed stage begins with; handed out once.
    pub(crate) fn take_start(&mut self) -> StageStart {
        std::mem::take(&mut self.start)
    }

    /// What a source stage begins with.
    pub(crate) fn take_source_start(&mut self) -> SourceStart {
        let StageStart { seat, epoch, .. } = self.take_start();
        SourceStart { seat, epoch }
    }
}

type BuildStage = Box<dyn FnMut(&mut StageWiring<'_>) -> Box<dyn Stage>>;
type OpenSource = Box<dyn FnMut(&mut OpenContext) -> Result<(), SourceError>>;
type Describe = Box<dyn Fn() -> Vec<OperatorState>>;

/// A stage before any shard has its own.
pub(crate) struct PlannedStage {
    /// Where it stands.
    pub(crate) level: Level,
    /// For a keyed stage: the operator at its head, and what states it keeps.
    pub(crate) operator: Option<(OperatorId, Describe)>,
    /// Builds it for one shard.
    pub(crate) build: BuildStage,
}

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
    pub(crate) stages: Vec<PlannedStage>,
    pub(crate) sources: Vec<OpenSource>,
    /// A stable name for each stateful operator, by id.
    pub(crate) operator_names: Vec<String>,
    pub(crate) exchange_count: usize,
    /// The outputs by name, in the job's order: begun before anything starts, finished after its
    /// end.
    pub(crate) participants: Vec<(String, Arc<dyn OutputParticipant>)>,
    pub(crate) outputs: Vec<Arc<OutputMeters>>,
    pub(crate) push_closers: Vec<Box<dyn Fn() + Send + Sync>>,
    pub(crate) checks: Vec<OperatorCheck>,
    /// What a person should know of an operator that can work.
    warnings: Vec<(OperatorNames, String)>,
}

impl Plan {
    /// The warnings, under the operators' own names.
    pub(super) fn warnings(&self) -> Vec<String> {
        let named = |(names, warning): &(OperatorNames, String)| {
            format!("operator `{}`: {warning}", self.operator_names[names.first])
        };
        self.warnings.iter().map(named).collect()
    }

    /// Asks every operator whether it can work. Once before anything is built, and again when the
    /// sources were opened: then they know more.
    pub(super) fn check(&self) -> Result<(), JobError> {
        for OperatorCheck { names, time, check } in &self.checks {
            if let Some(problem) = check(time) {
                let operator = self.operator_names[names.first].clone();
                return Err(JobError::Operator { operator, problem });
            }
        }
        Ok(())
    }
}

/// What a stream's source knows of event time.
#[derive(Debug, Default)]
pub(crate) struct SourceTime {
    /// Its records have an `#[event_time]` field.
    pub(crate) has_field: bool,
    /// Its watermark moves before the end of the input.
    pub(crate) has_lateness: bool,
    /// It may never end; known once it was opened.
    pub(crate) is_unbounded: Cell<bool>,
}

impl SourceTime {
    /// What an operator that needs event time misses.
    pub(super) fn missing(&self) -> Option<&'static str> {
        if !self.has_field {
            Some("its source's records have no time")
        } else if !self.has_lateness && self.is_unbounded.get() {
            Some("the watermark of its endless source never moves")
        } else {
            None
        }
    }
}

/// Why an operator can't work, if it can't.
pub(crate) type Problem = Box<dyn std::error::Error + Send + Sync>;
type Check = Box<dyn Fn(&SourceTime) -> Option<Problem>>;

/// A check of an operator, with what it needs to be told.
pub(crate) struct OperatorCheck {
    names: OperatorNames,
    time: Rc<SourceTime>,
    check: Check,
}

/// A handle to the plan, and to the source of the stream that holds it; every stream of a job holds
/// one.
#[derive(Clone, Default)]
pub struct Graph(pub(super) Rc<RefCell<Plan>>, Rc<SourceTime>);

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

    /// The same plan, in the hands of a stream of another source.
    pub(super) fn with_time(&self, time: Rc<SourceTime>) -> Self {
        Self(Rc::clone(&self.0), time)
    }

    /// Says something of an operator when the job starts.
    pub(super) fn warn(&self, names: OperatorNames, warning: String) {
        self.0.borrow_mut().warnings.push((names, warning));
    }

    /// Lets the operator be asked, when the job starts, whether it can work.
    pub(super) fn add_check(
        &self,
        names: OperatorNames,
        check: impl Fn(&SourceTime) -> Option<Problem> + 'static,
    ) {
        let check = OperatorCheck { names, time: Rc::clone(&self.1), check: Box::new(check) };
        self.0.borrow_mut().checks.push(check);
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
        let stage = PlannedStage { level, operator: None, build: Box::new(build) };
        self.0.borrow_mut().stages.push(stage);
    }

    /// Adds a stage with keyed state, which `describe` tells of.
    pub(crate) fn add_keyed_stage(
        &self,
        level: Level,
        operator: OperatorId,
        describe: impl Fn() -> Vec<OperatorState> + 'static,
        build: impl FnMut(&mut StageWiring<'_>) -> Box<dyn Stage> + 'static,
    ) {
        let operator = Some((operator, Box::new(describe) as Describe));
        let stage = PlannedStage { level, operator, build: Box::new(build) };
        self.0.borrow_mut().stages.push(stage);
    }

    pub(crate) fn add_source(
        &self,
        open: impl FnMut(&mut OpenContext) -> Result<(), SourceError> + 'static,
    ) {
        self.0.borrow_mut().sources.push(Box::new(open));
    }

    /// Adds a sink's factory as the next output.
    pub(crate) fn add_sink<I: Item, S: SinkFactory<I>>(&self, sink: &Arc<S>) {
        let number = self.0.borrow().outputs.len();
        self.add_participant(format!("output {number}"), participant::<I, S>(sink));
    }

    /// Adds the factory of a side output, of the next source: `rejects` or `late`.
    pub(crate) fn add_side<I: Item, S: SinkFactory<I>>(&self, kind: &str, sink: &Arc<S>) {
        let source = self.0.borrow().sources.len();
        self.add_participant(format!("{kind} {source}"), participant::<I, S>(sink));
    }

    fn add_participant(&self, name: String, participant: Arc<dyn OutputParticipant>) {
        self.0.borrow_mut().participants.push((name, participant));
    }

    pub(crate) fn add_output(&self, meters: Arc<OutputMeters>) {
        self.0.borrow_mut().outputs.push(meters);
    }

    pub(crate) fn add_push_closer(&self, close: impl Fn() + Send + Sync + 'static) {
        self.0.borrow_mut().push_closers.push(Box::new(close));
    }
}

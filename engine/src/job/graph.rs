//! The plan of a job while it is being built: sources, stages, exchanges, operators and outputs.
//!
//! Takes what streams register when they end; hands on, for each shard, the stages in the order
//! in which they are served.
//!
//! Invariant: an exchange leads from a stage to one of a higher level, so the graph has no loop
//! and serving by falling level serves last stages first.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use crate::chain::operators::CallRunner;
use crate::chain::{
    Blueprint, BranchBlueprint, ExchangeId, Link, OperatorState, OutputMeters, Wiring,
    describe_branches, type_name,
};
use crate::record::{Item, Record};
use crate::ring::Consumer;
use crate::shard::{SourceStart, Stage, StageStart};
use crate::sink::{OutputParticipant, SinkFactory, participant};
use crate::source::SourceError;
use crate::state::OperatorId;

use super::engine::OpenContext;
use super::error::JobError;
use super::listing::{Listing, Scopes};
use super::operators::{OperatorNames, Operators};
use super::plan::SourcePlan;

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
    /// Where calls of look-ups run, where the job has any.
    pub(crate) calls: Option<&'w CallRunner>,
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
type DescribeChain = Box<dyn Fn(&mut Vec<Link>)>;

/// A stage before any shard has its own.
pub(crate) struct PlannedStage {
    /// Where it stands.
    pub(crate) level: Level,
    /// For a keyed stage: the operator at its head, and what states it keeps.
    pub(crate) operator: Option<(OperatorId, Describe)>,
    /// What it reads.
    pub(crate) input: StageInput,
    /// The type of what leaves its head.
    pub(crate) out: String,
    /// Says what stands behind its head.
    pub(crate) chain: DescribeChain,
    /// Builds it for one shard.
    pub(crate) build: BuildStage,
}

/// What a stage reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StageInput {
    /// The source of that number.
    Source(usize),
    /// These exchanges.
    Exchanges(Vec<ExchangeId>),
    /// These exchanges, whose records go on as they are.
    Passing(&'static str, Vec<ExchangeId>),
}

impl StageInput {
    /// The exchanges that it reads.
    pub(crate) fn exchanges(&self) -> &[ExchangeId] {
        match self {
            Self::Source(_) => &[],
            Self::Exchanges(exchanges) | Self::Passing(_, exchanges) => exchanges,
        }
    }
}

/// The branches of a stream, shared between the plan and the streams that are still being built.
pub(crate) type Branches<R> = Arc<Mutex<Vec<Box<dyn BranchBlueprint<R>>>>>;

pub(crate) fn branches<R: Record>() -> Branches<R> {
    Arc::new(Mutex::new(Vec::new()))
}

/// The plan itself.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) stages: Vec<PlannedStage>,
    pub(crate) sources: Vec<OpenSource>,
    /// What plans say of each source.
    pub(crate) source_plans: Vec<SourcePlan>,
    /// The stateful operators and their names.
    pub(crate) operators: Operators,
    /// What the macro saw of the functions that built this.
    pub(crate) listings: Vec<&'static Listing>,
    /// In which uses of parts the job stands that is being built.
    pub(crate) scopes: Scopes,
    pub(crate) exchange_count: usize,
    /// The outputs by name, in the job's order: begun before anything starts, finished after its
    /// end.
    pub(crate) participants: Vec<(String, Arc<dyn OutputParticipant>)>,
    pub(crate) outputs: Vec<Arc<OutputMeters>>,
    pub(crate) push_closers: Vec<Box<dyn Fn() + Send + Sync>>,
    pub(crate) checks: Vec<OperatorCheck>,
    /// Whether an operator makes calls.
    pub(crate) has_lookups: bool,
    /// What a person should know of an operator that can work.
    warnings: Vec<(OperatorNames, String)>,
}

impl Plan {
    /// The warnings, under the operators' own names.
    pub(super) fn warnings(&self) -> Vec<String> {
        let named = |(names, warning): &(OperatorNames, String)| {
            format!("operator `{}`: {warning}", self.operators.name_of(*names))
        };
        self.warnings.iter().map(named).collect()
    }

    /// Asks every operator whether it can work. Once before anything is built, and again when the
    /// sources were opened: then they know more.
    pub(super) fn check(&self) -> Result<(), JobError> {
        for OperatorCheck { of, time, check } in &self.checks {
            if let Some(problem) = check(time) {
                let operator = match of {
                    Checked::Named(names) => self.operators.name_of(*names),
                    Checked::At(place) => place.clone(),
                };
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
/// What a check is of.
enum Checked {
    /// A stateful operator.
    Named(OperatorNames),
    /// One without a name: what it is, and where.
    At(String),
}

pub(crate) struct OperatorCheck {
    of: Checked,
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
        f.debug_struct("Graph").field("operators", &plan.operators).finish_non_exhaustive()
    }
}

impl Graph {
    pub(crate) fn add_exchange(&self) -> ExchangeId {
        let mut plan = self.0.borrow_mut();
        plan.exchange_count += 1;
        ExchangeId(plan.exchange_count - 1)
    }

    /// Adds a stateful operator: one id for its main state and one for each suffix. It has no name
    /// until it is given one.
    #[track_caller]
    pub(crate) fn add_operator<'s>(
        &self,
        kind: &str,
        suffixes: impl Iterator<Item = &'s str>,
    ) -> (OperatorId, OperatorNames) {
        self.0.borrow_mut().operators.add(kind, suffixes, Location::caller())
    }

    /// The same plan, in the hands of a stream of another source.
    pub(super) fn with_time(&self, time: Rc<SourceTime>) -> Self {
        Self(Rc::clone(&self.0), time)
    }

    /// Says something of an operator when the job starts.
    pub(super) fn warn(&self, names: OperatorNames, warning: String) {
        self.0.borrow_mut().warnings.push((names, warning));
    }

    /// The job is started with what runs the calls of look-ups.
    pub(super) fn needs_lookups(&self) {
        self.0.borrow_mut().has_lookups = true;
    }

    /// Lets the operator be asked, when the job starts, whether it can work.
    pub(super) fn add_check(
        &self,
        names: OperatorNames,
        check: impl Fn(&SourceTime) -> Option<Problem> + 'static,
    ) {
        self.check(Checked::Named(names), Box::new(check));
    }

    /// Lets the job be refused for an operator without a name.
    pub(super) fn refuse<E>(&self, place: String, problem: impl Fn() -> E + 'static)
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        self.check(Checked::At(place), Box::new(move |_| Some(problem().into())));
    }

    fn check(&self, of: Checked, check: Check) {
        let check = OperatorCheck { of, time: Rc::clone(&self.1), check };
        self.0.borrow_mut().checks.push(check);
    }

    /// Gives an operator, and all states that it keeps, its name, within the parts that are being
    /// built.
    pub(crate) fn name_operator(&self, operator: OperatorNames, name: &str) {
        let mut plan = self.0.borrow_mut();
        let name = plan.scopes.full_name(name);
        plan.operators.name(operator, name);
    }

    /// Adds the stage of the source that is added next.
    pub(crate) fn add_source_stage<R: Record>(
        &self,
        branches: &Branches<R>,
        build: impl FnMut(&mut StageWiring<'_>) -> Box<dyn Stage> + 'static,
    ) {
        let described = Arc::clone(branches);
        let chain = move |links: &mut Vec<Link>| {
            let branches = described.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            describe_branches(&branches, links);
        };
        let mut plan = self.0.borrow_mut();
        let input = StageInput::Source(plan.sources.len() - 1);
        let (level, out) = (Level(0), type_name::<R>());
        let (chain, build) = (Box::new(chain), Box::new(build));
        plan.stages.push(PlannedStage { level, operator: None, input, out, chain, build });
    }

    /// Adds a stage without an operator at its head, where streams meet or spread.
    pub(crate) fn add_passing_stage<R: Record>(
        &self,
        level: Level,
        kind: &'static str,
        exchanges: &[ExchangeId],
        terminal: &Arc<impl Blueprint<R>>,
        build: impl FnMut(&mut StageWiring<'_>) -> Box<dyn Stage> + 'static,
    ) {
        let input = StageInput::Passing(kind, exchanges.to_vec());
        let described = Arc::clone(terminal);
        let chain = Box::new(move |links: &mut Vec<Link>| described.describe(links));
        let (out, build) = (type_name::<R>(), Box::new(build));
        let stage = PlannedStage { level, operator: None, input, out, chain, build };
        self.0.borrow_mut().stages.push(stage);
    }

    /// Adds a stage with keyed state, which `describe` tells of; it reads `exchanges` and ends in
    /// `terminal`.
    pub(crate) fn add_keyed_stage<I: Item>(
        &self,
        level: Level,
        operator: OperatorId,
        exchanges: &[ExchangeId],
        terminal: &Arc<impl Blueprint<I>>,
        describe: impl Fn() -> Vec<OperatorState> + 'static,
        build: impl FnMut(&mut StageWiring<'_>) -> Box<dyn Stage> + 'static,
    ) {
        let operator = Some((operator, Box::new(describe) as Describe));
        let input = StageInput::Exchanges(exchanges.to_vec());
        let described = Arc::clone(terminal);
        let chain = Box::new(move |links: &mut Vec<Link>| described.describe(links));
        let (out, build) = (type_name::<I>(), Box::new(build));
        let stage = PlannedStage { level, operator, input, out, chain, build };
        self.0.borrow_mut().stages.push(stage);
    }

    /// Adds a source; answers its number.
    pub(crate) fn add_source(
        &self,
        about: SourcePlan,
        open: impl FnMut(&mut OpenContext) -> Result<(), SourceError> + 'static,
    ) -> usize {
        let mut plan = self.0.borrow_mut();
        plan.source_plans.push(about);
        plan.sources.push(Box::new(open));
        plan.sources.len() - 1
    }

    /// What the job calls a source.
    pub(crate) fn name_source(&self, source: usize, name: &str) {
        let about = &mut self.0.borrow_mut().source_plans[source];
        about.name.get_or_insert_with(|| name.to_owned());
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

    /// Adds the meters of an output; answers its number.
    pub(crate) fn add_output(&self, meters: Arc<OutputMeters>) -> usize {
        let mut plan = self.0.borrow_mut();
        plan.outputs.push(meters);
        plan.outputs.len() - 1
    }

    pub(crate) fn add_push_closer(&self, close: impl Fn() + Send + Sync + 'static) {
        self.0.borrow_mut().push_closers.push(Box::new(close));
    }
}

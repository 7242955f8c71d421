//! Sources of a job: what they open, and how time and bad input are treated.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::chain::{Fanout, type_name};
use crate::io::ReaderMode;
use crate::record::{Record, TimeSpan};
use crate::shard::{
    Keep, SideOutput, SideOutputs, SideSink, SourceSettings, SourceStage, SplitInput,
};
use crate::sink::{SinkFactory, SinkSeat};
use crate::source::{FileSettings, FileSplit, PushSplit, Rejected, SourceError, Split, expand};

use super::chain::Root;
use super::engine::OpenContext;
use super::graph::{Graph, Level, SourceTime, branches};
use super::limits;
use super::plan::SourcePlan;
use super::stream::Stream;

/// Opens the splits that the shards read.
pub trait Source<R: Record>: 'static {
    /// One split.
    type Split: Split<R> + 'static;

    /// Opens them all; runs once, before the first shard starts.
    ///
    /// # Errors
    /// An input that can't be opened.
    fn open(&mut self, context: &OpenContext) -> Result<Vec<Self::Split>, SourceError>;
}

/// Files, directories, globs, and `-` for standard input; each file is a split.
#[derive(Debug, Clone)]
pub struct Files {
    inputs: Vec<String>,
    settings: FileSettings,
}

impl Files {
    /// The files that `inputs` name.
    pub fn new(inputs: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let inputs = inputs.into_iter().map(Into::into).collect();
        Self { inputs, settings: FileSettings::default() }
    }

    /// Reads them with these settings.
    #[must_use]
    pub fn with(mut self, settings: FileSettings) -> Self {
        self.settings = settings;
        self
    }
}

impl<R: Record> Source<R> for Files {
    type Split = FileSplit<R>;

    fn open(&mut self, context: &OpenContext) -> Result<Vec<FileSplit<R>>, SourceError> {
        let paths = expand(&self.inputs)?;
        if paths.len() > limits::SPLITS_OPEN_MAX {
            return Err(SourceError::TooManySplits {
                found: paths.len(),
                expected_max: limits::SPLITS_OPEN_MAX,
            });
        }
        let open = |(index, path)| {
            let mode = if context.inline() {
                ReaderMode::Inline
            } else {
                ReaderMode::Thread { wake: context.wake(index) }
            };
            FileSplit::open(path, self.settings, mode)
        };
        paths.iter().enumerate().map(open).collect()
    }
}

/// Splits that are open already: generators, records in memory.
#[derive(Debug)]
pub struct Splits<S>(Vec<S>);

impl<S> Splits<S> {
    /// These splits, in this order.
    #[must_use]
    pub fn new(splits: Vec<S>) -> Self {
        Self(splits)
    }
}

impl<R: Record, S: Split<R> + 'static> Source<R> for Splits<S> {
    type Split = S;

    fn open(&mut self, _: &OpenContext) -> Result<Vec<S>, SourceError> {
        Ok(std::mem::take(&mut self.0))
    }
}

/// The one split that the embedding program pushes to.
pub(super) struct Pushed<R>(Option<PushSplit<R>>);

impl<R> Pushed<R> {
    pub(super) fn new(split: PushSplit<R>) -> Self {
        Self(Some(split))
    }
}

impl<R: Record> Source<R> for Pushed<R> {
    type Split = PushSplit<R>;

    fn open(&mut self, context: &OpenContext) -> Result<Vec<PushSplit<R>>, SourceError> {
        let mut split = self.0.take();
        if let Some(split) = &mut split {
            split.set_wake(context.wake(0));
        }
        Ok(split.into_iter().collect())
    }
}

/// Opens a side output of one shard.
type OpenSide<I> = Box<dyn Fn(SinkSeat) -> Box<dyn SideOutput<I>>>;

fn open_side<I: Keep, S: SinkFactory<I>>(sink: &Arc<S>) -> OpenSide<I> {
    let sink = Arc::clone(sink);
    Box::new(move |seat| Box::new(SideSink::new(sink.open(seat))))
}

/// Adds a side output to the plan.
type Register = Box<dyn Fn(&Graph)>;

/// How a source treats time and bad input.
pub struct SourceOptions<R: Record> {
    lateness: Option<TimeSpan>,
    kept_lateness: TimeSpan,
    idle_after_ns: u64,
    rejects: Option<OpenSide<Rejected>>,
    late: Option<OpenSide<R>>,
    registered: Vec<Register>,
}

impl<R: Record> Default for SourceOptions<R> {
    fn default() -> Self {
        Self {
            lateness: None,
            kept_lateness: TimeSpan::ZERO,
            idle_after_ns: limits::IDLE_AFTER_NS_DEFAULT,
            rejects: None,
            late: None,
            registered: Vec::new(),
        }
    }
}

impl<R: Record> std::fmt::Debug for SourceOptions<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceOptions").field("lateness", &self.lateness).finish_non_exhaustive()
    }
}

impl<R: Record> SourceOptions<R> {
    /// Arrival order: nothing is late, and the watermark moves only at the end of the input.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Event-time order: records may come out of order by up to `lateness`; what comes later
    /// goes to the late output, and is counted.
    #[must_use]
    pub fn lateness(mut self, lateness: TimeSpan) -> Self {
        self.lateness = Some(lateness);
        self
    }

    /// Lets late records into the job, up to so much past the watermark: for windows that have an
    /// allowed lateness, which should be no less. What is later still goes to the late output. As
    /// this is decided by the record's own split, it does not depend on how the job ran, and
    /// neither does what such windows hold in the end.
    #[must_use]
    pub fn keep_late(mut self, lateness: TimeSpan) -> Self {
        self.kept_lateness = lateness;
        self
    }

    /// After how long a silence an unbounded split stops holding the watermark.
    #[must_use]
    pub fn idle_after(mut self, idle_after: std::time::Duration) -> Self {
        self.idle_after_ns = u64::try_from(idle_after.as_nanos()).unwrap_or(u64::MAX);
        self
    }

    /// Where rows go that are no records. Without it they are only counted.
    #[must_use]
    pub fn rejects<S: SinkFactory<Rejected>>(mut self, sink: S) -> Self {
        let sink = Arc::new(sink);
        self.rejects = Some(open_side(&sink));
        self.registered
            .push(Box::new(move |graph| graph.add_side::<Rejected, S>("rejects", &sink)));
        self
    }

    /// Where late records go. Without it they are only counted.
    #[must_use]
    pub fn late<S: SinkFactory<R>>(mut self, sink: S) -> Self {
        let sink = Arc::new(sink);
        self.late = Some(open_side(&sink));
        self.registered.push(Box::new(move |graph| graph.add_side::<R, S>("late", &sink)));
        self
    }
}

/// The opened splits of each shard.
type SplitsByShard<S> = Vec<Vec<SplitInput<S>>>;

/// Adds a source to the plan and answers its stream.
pub(super) fn register<R, S>(graph: &Graph, mut source: S, options: SourceOptions<R>) -> Stream<R>
where
    R: Record,
    S: Source<R>,
{
    let branches = branches::<R>();
    for register in &options.registered {
        register(graph);
    }
    // Filled when the source is opened, taken by each shard as it is built.
    let opened: Rc<RefCell<SplitsByShard<S::Split>>> = Rc::default();
    let filled = Rc::clone(&opened);
    let time = Rc::new(SourceTime {
        has_field: R::SCHEMA.event_time_index.is_some(),
        has_lateness: options.lateness.is_some(),
        is_unbounded: Cell::default(),
    });
    let opened_time = Rc::clone(&time);
    let about = SourcePlan {
        name: None,
        record: type_name::<R>(),
        splits: type_name::<S>(),
        event_time: R::SCHEMA.event_time_index.map(|at| R::SCHEMA.fields[at].name.to_owned()),
        lateness_micros: options.lateness.map(|lateness| lateness.0),
    };
    let number = graph.add_source(about, move |context| {
        let splits = source.open(context)?;
        opened_time.is_unbounded.set(splits.iter().any(|split| !split.bounded()));
        let mut by_shard: Vec<_> = (0..context.shard_count()).map(|_| Vec::new()).collect();
        context.begin_source(splits.len());
        for (index, mut split) in splits.into_iter().enumerate() {
            let place = context.place(split.name());
            // One that was at its end is not read again; it may be gone.
            if !place.position.is_empty() && !place.ended {
                split.seek(&place.position, place.sequence)?;
            }
            by_shard[context.shard(index)].push(SplitInput::new(split, place));
        }
        context.end_source();
        *filled.borrow_mut() = by_shard;
        Ok(())
    });
    let stage_branches = Arc::clone(&branches);
    graph.add_source_stage(&branches, move |stage| {
        let shard = usize::from(stage.wiring.shard.0);
        let splits = std::mem::take(&mut opened.borrow_mut()[shard]);
        let settings = SourceSettings {
            lateness: options.lateness,
            kept_lateness: options.kept_lateness,
            idle_after_ns: options.idle_after_ns,
            rate: stage.rate_a_split.map(|rate| rate * count_of(&splits)),
            payload_bytes_max: stage.payload_bytes_max,
        };
        let start = stage.take_source_start();
        let branches = stage_branches.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let fanout = Fanout::build(&branches, &mut stage.wiring);
        let outputs = SideOutputs {
            rejects: options.rejects.as_ref().map(|open| open(stage.wiring.silent_seat())),
            late: options.late.as_ref().map(|open| open(stage.wiring.silent_seat())),
        };
        Box::new(SourceStage::new("source", splits, settings, fanout, outputs, start))
    });
    let (level, source) = (Level(0), Some(number));
    Stream::new(Root { graph: graph.with_time(time), branches, level, source })
}

#[expect(clippy::cast_precision_loss, reason = "a few splits")]
fn count_of<T>(splits: &[T]) -> f64 {
    splits.len() as f64
}

//! The engine: from a job and settings to running shards.
//!
//! Takes a plan; hands on shards to a driver, and a handle to whoever started them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::chain::Wiring;
use crate::chain::operators::CallRunner;
use crate::checkpoint::SplitManifest;
use crate::clock::Clock;
use crate::io::WriterMode;
use crate::io::disk::{Disk, FlushEngine, RealDisk};
use crate::metric::ShardCounters;
use crate::record::{FRAME_HEADER_BYTES, SLOT_COUNT};
use crate::ring::{Consumer, Producer, RingSettings, ring};
use crate::route::{RangeTable, ShardId};
use crate::shard::park::{Parker, WaitStrategy, Waker, parking};
use crate::shard::{Shard, ShardParts, StageStart, Stall};
use crate::sink::{Epoch, OutputParticipant, SinkError, SinkStart};

use super::Job;
use super::checkpoints::Checkpoints;
use super::driver::{self, Control, Crew};
use super::durability::{Durability, Starts};
use super::error::JobError;
use super::graph::{Plan, StageWiring};
use super::limits;
use super::lookups::LookupThread;
use super::places::Places;
use super::running::{RunningJob, RunningParts};
use super::settings::{Driver, Settings, core_count};

/// What a source needs to open its splits.
pub struct OpenContext {
    wakers: Vec<Waker>,
    inline: bool,
    /// How many splits the sources before this one have: shards are dealt over all of them.
    split_base: usize,
    split_count: usize,
    /// Which source is being opened, from 0.
    source: u32,
    places: Places,
}

impl std::fmt::Debug for OpenContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenContext").field("inline", &self.inline).finish_non_exhaustive()
    }
}

impl OpenContext {
    fn new(wakers: Vec<Waker>, inline: bool, places: Places) -> Self {
        Self { wakers, inline, split_base: 0, split_count: 0, source: 0, places }
    }

    /// Wakes the shard that reads split `index`.
    #[must_use]
    pub fn wake(&self, index: usize) -> Arc<dyn Fn() + Send + Sync> {
        let waker = self.wakers[self.shard(index)].clone();
        Arc::new(move || waker.wake())
    }

    /// Whether input is read within the turn, as the simulator does, and not by a helper thread.
    #[must_use]
    pub fn inline(&self) -> bool {
        self.inline
    }

    /// The shard that reads split `index`.
    pub(crate) fn shard(&self, index: usize) -> usize {
        (self.split_base + index) % self.wakers.len()
    }

    pub(crate) fn shard_count(&self) -> usize {
        self.wakers.len()
    }

    /// A source has opened so many splits, whose places are asked for next.
    pub(crate) fn begin_source(&mut self, split_count: usize) {
        self.split_count = split_count;
    }

    /// Where the split of that name begins, or goes on.
    pub(crate) fn place(&mut self, name: &str) -> SplitManifest {
        self.places.place(self.source, name)
    }

    pub(crate) fn end_source(&mut self) {
        self.split_base += self.split_count;
        self.source += 1;
    }
}

/// Starts jobs.
#[derive(Debug, Clone, Default)]
pub struct Engine {
    settings: Settings,
}

impl Engine {
    /// An engine with the default settings: a shard for each core.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An engine with these settings.
    #[must_use]
    pub fn with(settings: Settings) -> Self {
        Self { settings }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sets the number of shards.
    #[must_use]
    pub fn shards(mut self, shard_count: u16) -> Self {
        self.settings.shard_count = shard_count;
        self
    }

    /// Sets the driver.
    #[must_use]
    pub fn driver(mut self, driver: Driver) -> Self {
        self.settings.driver = driver;
        self
    }

    /// Makes state durable: see [`Checkpoints`].
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.settings.checkpoints = Some(checkpoints);
        self
    }

    /// Starts `job` and returns at once.
    ///
    /// # Errors
    /// A setting out of bounds, two operators of one name or one without, an operator that can't
    /// work as it was asked for, a source that can't be opened, a driver that can't start.
    pub fn start(&self, job: Job) -> Result<RunningJob, JobError> {
        let settings = self.checked_settings()?;
        let mut plan = job.into_plan();
        plan.operators.check()?;
        plan.check()?;
        // Last stages first; the sort is stable, so a plan is served in one order always.
        plan.stages.sort_by_key(|stage| std::cmp::Reverse(stage.level));
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let driver = driver::pick(settings.driver, settings.shard_count, cores.len());
        let simulated = matches!(driver, Driver::Simulator { .. });
        let clock = if simulated { Clock::simulated() } else { Clock::machine() };
        let (parkers, wakers): (Vec<Parker>, Vec<Waker>) =
            (0..settings.shard_count).map(|_| parking()).unzip();

        let clock_start_ns = clock.now_ns();
        let mut durability = Durability::open(&settings, &plan, &clock)?;
        let places = durability.as_ref().map_or_else(Places::default, Durability::places);
        let mut context = OpenContext::new(wakers.clone(), simulated, places);
        for source in &mut plan.sources {
            source(&mut context)?;
        }
        plan.check()?;
        let splits = context.places.finish()?;
        let mode = if simulated { WriterMode::Inline } else { WriterMode::Thread };
        for_each_output(&plan, durability.as_ref(), &clock, mode, |output, start| {
            output.check(start)
        })?;
        // From here on the directory and the outputs change.
        let starts = match &mut durability {
            Some(durability) => durability.begin(splits)?,
            None => Starts::default(),
        };
        for_each_output(&plan, durability.as_ref(), &clock, mode, |output, start| {
            output.begin(start)
        })?;
        if let Some(durability) = &mut durability {
            durability.outputs_begun(&plan)?;
        }
        let is_over = durability.as_ref().is_some_and(Durability::is_over);
        let counters: Vec<Arc<ShardCounters>> =
            (0..settings.shard_count).map(|_| Arc::new(ShardCounters::new())).collect();
        let barrier = Arc::new(AtomicU64::new(starts.epoch));
        let lookup_thread = match plan.has_lookups && !simulated {
            true => Some(LookupThread::start()?),
            false => None,
        };
        let calls = call_runner(&plan, driver, lookup_thread.as_ref());
        let mut build = ShardBuild {
            settings: &settings,
            wakers: &wakers,
            clock: &clock,
            counters: &counters,
            barrier: &barrier,
            split_count: context.split_base,
            calls,
            starts,
        };
        let shards = build.shards(&mut plan);
        let wait = settings.wait.unwrap_or_else(|| {
            WaitStrategy::default_for(usize::from(settings.shard_count), cores.len())
        });
        let control = Arc::new(Control::new(wakers, wait));
        let recovery_ns = clock.now_ns().saturating_sub(clock_start_ns);
        let base = durability.as_ref().map(Durability::base).unwrap_or_default();
        let (coordinator, checkpoints) = durability
            .map(|durability| durability.coordinator(&plan, &barrier, &control, recovery_ns))
            .unzip();
        // A job that had come to its end has nothing left to run.
        let shards = if is_over { Vec::new() } else { shards };
        let coordinator = coordinator.filter(|_| !is_over);
        let crew = Crew { shards, parkers, coordinator };
        let shards = driver::start(driver, crew, &control, &clock, &settings, cores)?;
        Ok(RunningJob::new(RunningParts {
            driver,
            clock,
            control,
            shards,
            counters,
            barrier,
            warnings: plan.warnings(),
            outputs: plan.outputs,
            participants: plan.participants,
            push_closers: plan.push_closers,
            checkpoints,
            base,
            lookup_thread,
        }))
    }

    /// Runs `job` to its end.
    ///
    /// # Errors
    /// As [`Engine::start`], and whatever ends the job early.
    pub fn run(&self, job: Job) -> Result<super::JobReport, JobError> {
        self.start(job)?.join()
    }

    fn checked_settings(&self) -> Result<Settings, JobError> {
        let settings = self.settings.clone();
        let shard_count_max = limits::SHARD_COUNT_MAX.min(SLOT_COUNT);
        if !(1..=shard_count_max).contains(&settings.shard_count) {
            return Err(JobError::Setting {
                setting: "the number of shards",
                found: settings.shard_count.to_string(),
                expected: format!(
                    "1 to {shard_count_max} (this machine has {} cores)",
                    core_count()
                ),
            });
        }
        if settings.ring_bytes < limits::RING_BYTES_MIN {
            return Err(JobError::Setting {
                setting: "ring_bytes",
                found: settings.ring_bytes.to_string(),
                expected: format!("at least {}", limits::RING_BYTES_MIN),
            });
        }
        if let Some(rate) = settings.rate
            && !(rate.is_finite() && rate > 0.0)
        {
            return Err(JobError::Setting {
                setting: "the rate",
                found: rate.to_string(),
                expected: "a positive number of records per second".to_owned(),
            });
        }
        if let Some(checkpoints) = &settings.checkpoints {
            check_checkpoints(checkpoints)?;
        }
        Ok(settings)
    }
}

fn check_checkpoints(checkpoints: &Checkpoints) -> Result<(), JobError> {
    let refused = |setting, found: String, expected: &str| {
        Err(JobError::Setting { setting, found, expected: expected.to_owned() })
    };
    let segment_bytes = checkpoints.segment_bytes;
    let segments = limits::SEGMENT_BYTES_MIN..=limits::SEGMENT_BYTES_MAX;
    if !segments.contains(&segment_bytes) || !segment_bytes.is_power_of_two() {
        let expected = "a power of two from 65536 to 67108864";
        return refused("segment_bytes", segment_bytes.to_string(), expected);
    }
    if checkpoints.retained == 0 {
        return refused("the number of checkpoints that are kept", "0".to_owned(), "at least 1");
    }
    if checkpoints.interval.is_zero() || checkpoints.timeout.is_zero() {
        let expected = "longer than nothing";
        return refused("the checkpoint interval or timeout", "0 s".to_owned(), expected);
    }
    Ok(())
}

/// Does something with every output and what it is begun with, and stops at the first refusal.
fn for_each_output(
    plan: &Plan,
    durability: Option<&Durability>,
    clock: &Clock,
    mode: WriterMode,
    act: impl Fn(&dyn OutputParticipant, &SinkStart<'_>) -> Result<(), SinkError>,
) -> Result<(), SinkError> {
    let disk = durability.map_or_else(plain_disk, |durability| Arc::clone(durability.disk()));
    for (name, output) in &plan.participants {
        let kept = durability.and_then(|durability| durability.sink(name));
        let start = SinkStart {
            clock,
            mode,
            disk: &disk,
            checkpointed: durability.is_some(),
            epoch: Epoch(durability.map_or(0, Durability::epoch)),
            resume: kept.map(|sink| sink.state.as_slice()),
            from_savepoint: durability.is_some_and(Durability::is_from_savepoint),
        };
        act(output.as_ref(), &start)?;
    }
    Ok(())
}

/// The machine's disk for outputs, which flush nothing by runs: so no io_uring.
fn plain_disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk::new(FlushEngine::Plain).expect("nothing is asked of the kernel"))
}

/// Where the calls of the job's look-ups run, where it has any.
fn call_runner(plan: &Plan, driver: Driver, thread: Option<&LookupThread>) -> Option<CallRunner> {
    match driver {
        Driver::Simulator { seed } if plan.has_lookups => Some(CallRunner::Simulated { seed }),
        _ => thread.map(|thread| CallRunner::Thread(thread.handle.clone())),
    }
}

/// What every shard of a job shares while it is built.
struct ShardBuild<'b> {
    settings: &'b Settings,
    wakers: &'b [Waker],
    clock: &'b Clock,
    counters: &'b [Arc<ShardCounters>],
    barrier: &'b Arc<AtomicU64>,
    split_count: usize,
    calls: Option<CallRunner>,
    starts: Starts,
}

/// By shard, by exchange, by the other shard.
type Ends<T> = Vec<Vec<Vec<T>>>;

impl ShardBuild<'_> {
    fn shards(&mut self, plan: &mut Plan) -> Vec<Shard> {
        let ranges = Arc::new(RangeTable::even(self.settings.shard_count));
        let (mut producers, mut consumers) = self.rings(plan.exchange_count);
        let names = plan.operators.state_names();
        let mut shards = Vec::with_capacity(self.wakers.len());
        for shard in 0..self.settings.shard_count {
            let index = usize::from(shard);
            let mut wiring = StageWiring {
                wiring: Wiring {
                    shard: ShardId(shard),
                    ranges: &ranges,
                    wakers: self.wakers,
                    clock: self.clock,
                    producers: &mut producers[index],
                    timed: self.settings.rate.is_some(),
                },
                consumers: &mut consumers[index],
                names: &names,
                payload_bytes_max: self.payload_bytes_max(),
                rate_a_split: self.rate_a_split(),
                calls: self.calls.as_ref(),
                start: StageStart::default(),
            };
            let mut stages = Vec::with_capacity(plan.stages.len());
            for (number, stage) in plan.stages.iter_mut().enumerate() {
                wiring.start = self.starts.take(index, number);
                stages.push((stage.build)(&mut wiring));
            }
            shards.push(Shard::new(ShardParts {
                stages,
                clock: self.clock.clone(),
                counters: Arc::clone(&self.counters[index]),
                barrier: Arc::clone(self.barrier),
                stall: self.settings.stall_seed.map(|seed| Stall::new(seed, shard)),
            }));
        }
        shards
    }

    /// The largest record: what an empty ring surely takes.
    fn payload_bytes_max(&self) -> usize {
        self.ring_settings().frame_bytes_max() - FRAME_HEADER_BYTES
    }

    fn ring_settings(&self) -> RingSettings {
        RingSettings { capacity_bytes: self.settings.ring_bytes, marker_bytes: FRAME_HEADER_BYTES }
    }

    /// Each split's share of the rate.
    fn rate_a_split(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a few splits")]
        let split_count = self.split_count.max(1) as f64;
        self.settings.rate.map(|rate| rate / split_count)
    }

    fn rings(&self, exchange_count: usize) -> (Ends<Producer>, Ends<Consumer>) {
        let shard_count = usize::from(self.settings.shard_count);
        let ends = |_| (0..exchange_count).map(|_| Vec::new()).collect();
        let mut producers: Ends<Producer> = (0..shard_count).map(ends).collect();
        let ends = |_| (0..exchange_count).map(|_| Vec::new()).collect();
        let mut consumers: Ends<Consumer> = (0..shard_count).map(ends).collect();
        for exchange in 0..exchange_count {
            for from in &mut producers {
                for to in &mut consumers {
                    let (producer, consumer) = ring(self.ring_settings());
                    from[exchange].push(producer);
                    to[exchange].push(consumer);
                }
            }
        }
        (producers, consumers)
    }
}

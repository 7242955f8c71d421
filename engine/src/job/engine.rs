//! The engine: from a job and settings to running shards.
//!
//! Takes a plan; hands on shards to a driver, and a handle to whoever started them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::chain::Wiring;
use crate::clock::Clock;
use crate::io::WriterMode;
use crate::metric::ShardCounters;
use crate::record::{FRAME_HEADER_BYTES, SLOT_COUNT};
use crate::ring::{Consumer, Producer, RingSettings, ring};
use crate::route::{RangeTable, ShardId};
use crate::shard::park::{Parker, WaitStrategy, Waker, parking};
use crate::shard::{Shard, ShardParts, Stall};
use crate::state::Store;

use super::Job;
use super::driver::{self, Control};
use super::error::JobError;
use super::graph::{Plan, StageWiring};
use super::limits;
use super::running::{RunningJob, RunningParts};
use super::settings::{Driver, Settings, core_count};

/// What a source needs to open its splits.
pub struct OpenContext {
    wakers: Vec<Waker>,
    inline: bool,
    /// How many splits the sources before this one have: split numbers are the job's, not the
    /// source's, so that a position is one record.
    split_base: usize,
}

impl std::fmt::Debug for OpenContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenContext").field("inline", &self.inline).finish_non_exhaustive()
    }
}

impl OpenContext {
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

    /// The number of split `index` in the whole job.
    pub(crate) fn number(&self, index: usize) -> u32 {
        u32::try_from(self.split_base + index).expect("a job has few splits")
    }

    pub(crate) fn shard_count(&self) -> usize {
        self.wakers.len()
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

    /// Starts `job` and returns at once.
    ///
    /// # Errors
    /// A setting out of bounds, two operators of one name, a source that can't be opened, a
    /// driver that can't start.
    pub fn start(&self, job: Job) -> Result<RunningJob, JobError> {
        let settings = self.checked_settings()?;
        let mut plan = job.into_plan();
        check_names(&plan.operator_names)?;
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let driver = driver::pick(settings.driver, settings.shard_count, cores.len());
        let simulated = matches!(driver, Driver::Simulator { .. });
        let clock = if simulated { Clock::simulated() } else { Clock::machine() };
        let (parkers, wakers): (Vec<Parker>, Vec<Waker>) =
            (0..settings.shard_count).map(|_| parking()).unzip();

        let mut context = OpenContext { wakers: wakers.clone(), inline: simulated, split_base: 0 };
        for source in &mut plan.sources {
            context.split_base += source(&context)?;
        }
        let split_count = context.split_base;
        let mode = if simulated { WriterMode::Inline } else { WriterMode::Thread };
        for begin in &plan.beginners {
            begin(&clock, mode)?;
        }
        let counters: Vec<Arc<ShardCounters>> =
            (0..settings.shard_count).map(|_| Arc::new(ShardCounters::new())).collect();
        let barrier = Arc::new(AtomicU64::new(0));
        let build = ShardBuild {
            settings: &settings,
            wakers: &wakers,
            clock: &clock,
            counters: &counters,
            barrier: &barrier,
            split_count,
        };
        let shards = build.shards(&mut plan);
        let wait = settings.wait.unwrap_or_else(|| {
            WaitStrategy::default_for(usize::from(settings.shard_count), cores.len())
        });
        let control = Arc::new(Control::new(wakers, wait));
        let shards = driver::start(driver, shards, parkers, &control, &clock, &settings, cores)?;
        Ok(RunningJob::new(RunningParts {
            driver,
            clock,
            control,
            shards,
            counters,
            barrier,
            outputs: plan.outputs,
            finishers: plan.finishers,
            push_closers: plan.push_closers,
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
        Ok(settings)
    }
}

fn check_names(names: &[String]) -> Result<(), JobError> {
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(JobError::DuplicateName { name: pair[0].clone() }),
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
}

/// By shard, by exchange, by the other shard.
type Ends<T> = Vec<Vec<Vec<T>>>;

impl ShardBuild<'_> {
    fn shards(&self, plan: &mut Plan) -> Vec<Shard> {
        let ranges = Arc::new(RangeTable::even(self.settings.shard_count));
        let (mut producers, mut consumers) = self.rings(plan.exchange_count);
        // Last stages first; the sort is stable, so a plan is served in one order always.
        plan.stages.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
        let names = plan.operator_names.clone();
        (0..self.settings.shard_count)
            .map(|shard| {
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
                };
                let stages = plan.stages.iter_mut().map(|(_, build)| build(&mut wiring)).collect();
                Shard::new(ShardParts {
                    stages,
                    store: Store::new(),
                    clock: self.clock.clone(),
                    counters: Arc::clone(&self.counters[index]),
                    barrier: Arc::clone(self.barrier),
                    stall: self.settings.stall_seed.map(|seed| Stall::new(seed, shard)),
                })
            })
            .collect()
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

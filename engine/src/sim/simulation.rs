//! Runs of one job, over and over, until it has come to its end.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::chance::Chance;
use super::outcome::Outcome;
use super::world::{OUTPUTS, STATE, World};
use crate::checkpoint::{CheckpointError, Observer, Phase};
use crate::io::disk::{Disk, Fault, FaultKind, SimDisk};
use crate::job::{Checkpoints, Driver, Engine, Job, JobError, RunningJob, Settings};

/// What may go wrong by chance: all that a disk may do without breaking its word. What it may not
/// (a lost sync, a flipped bit) has to be asked for with [`Simulation::fault`].
const KINDS: [FaultKind; 7] = [
    FaultKind::Eio,
    FaultKind::Enospc,
    FaultKind::Erofs,
    FaultKind::ShortWrite,
    FaultKind::TornWrite,
    FaultKind::Canceled,
    FaultKind::FailedSync,
];
/// Before which operation what goes wrong by chance does, unless told otherwise.
const WITHIN_DEFAULT: u64 = 400;
/// How long a run may take on the simulated clock.
const RUN_MAX: Duration = Duration::from_secs(300);
/// How long a checkpoint may take on it.
const CHECKPOINT_MAX: Duration = Duration::from_secs(30);
/// How often a job is started beyond once for each thing that goes wrong.
const RUNS_SPARE: u32 = 8;

/// Puts another disk between the job and the simulated one.
type Through = Arc<dyn Fn(SimDisk) -> Arc<dyn Disk>>;

/// A simulation, and what is to go wrong in it.
#[derive(Clone)]
pub struct Simulation {
    seed: u64,
    shards: RangeInclusive<u16>,
    faults: Vec<Fault>,
    faults_by_chance: u32,
    crashes_by_chance: u32,
    within: u64,
    settings: Checkpoints,
    ring_bytes: usize,
    stalls_in_256: u8,
    disk: Option<SimDisk>,
    through: Option<Through>,
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulation").field("seed", &self.seed).finish_non_exhaustive()
    }
}

impl Simulation {
    /// One to four shards, a checkpoint every simulated millisecond, and nothing that goes wrong.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut settings = Checkpoints::new(STATE).job("simulated");
        settings.interval = Duration::from_millis(1);
        settings.timeout = CHECKPOINT_MAX;
        settings.segment_bytes = 64 << 10;
        Self {
            seed,
            shards: 1..=4,
            faults: Vec::new(),
            faults_by_chance: 0,
            crashes_by_chance: 0,
            within: WITHIN_DEFAULT,
            settings,
            ring_bytes: 16 << 10,
            stalls_in_256: 24,
            disk: None,
            through: None,
        }
    }

    /// Between which bounds the number of shards is; drawn anew for each run.
    #[must_use]
    pub fn shards(mut self, shards: RangeInclusive<u16>) -> Self {
        self.shards = shards;
        self
    }

    /// Adds `count` faults by chance.
    #[must_use]
    pub fn faults(mut self, count: u32) -> Self {
        self.faults_by_chance = count;
        self
    }

    /// Adds a fault.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Adds `count` losses of power by chance.
    #[must_use]
    pub fn crashes(mut self, count: u32) -> Self {
        self.crashes_by_chance = count;
        self
    }

    /// Loses power before this operation of the disk.
    #[must_use]
    pub fn crash_at(self, at_operation: u64) -> Self {
        self.fault(Fault { at_operation, kind: FaultKind::CrashHere })
    }

    /// What goes wrong by chance does so before this operation.
    #[must_use]
    pub fn within(mut self, operations: u64) -> Self {
        self.within = operations;
        self
    }

    /// From the beginning of one checkpoint to that of the next, on the simulated clock.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.settings.interval = interval;
        self
    }

    /// How long segments of state are.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u32) -> Self {
        self.settings.segment_bytes = bytes;
        self
    }

    /// How many checkpoints are kept.
    #[must_use]
    pub fn retained(mut self, checkpoints: usize) -> Self {
        self.settings.retained = checkpoints;
        self
    }

    /// Bounds the memory of state; what is more is read from the disk.
    #[must_use]
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.settings.memory_bytes = Some(bytes);
        self
    }

    /// The room of one ring.
    #[must_use]
    pub fn ring_bytes(mut self, bytes: usize) -> Self {
        self.ring_bytes = bytes;
        self
    }

    /// How often of 256 times stalled sources and outputs stall.
    #[must_use]
    pub fn stalls(mut self, in_256: u8) -> Self {
        self.stalls_in_256 = in_256;
        self
    }

    /// Goes on with what a disk holds, such as a [`SimDisk::durable_image`].
    #[must_use]
    pub fn disk(mut self, disk: SimDisk) -> Self {
        self.disk = Some(disk);
        self
    }

    /// Puts another disk between the job and the simulated one: to plant a bug.
    #[must_use]
    pub fn through(mut self, through: impl Fn(SimDisk) -> Arc<dyn Disk> + 'static) -> Self {
        self.through = Some(Arc::new(through));
        self
    }

    /// Runs the job that `build` builds until it has come to its end, or will not.
    pub fn run(&self, build: impl Fn(&World) -> Job) -> Outcome {
        let _told = Told(self.seed);
        let mut chance = Chance::new(self.seed ^ 0x5111_0000_0000_0000);
        let disk = self.prepared_disk(&mut chance);
        let epochs = Arc::new(AtomicU64::new(0));
        let mut outcome = Outcome {
            seed: self.seed,
            ended: false,
            runs: 0,
            crashes: 0,
            faults_hit: 0,
            epochs: 0,
            operations: 0,
            trace: 0,
            errors: Vec::new(),
            bugs: Vec::new(),
            disk,
        };
        while !outcome.ended && outcome.runs < self.runs_max() {
            self.attempt(&build, &mut chance, &epochs, &mut outcome);
        }
        // What is read afterwards is what a loss of power leaves.
        outcome.disk.crash();
        outcome.epochs = epochs.load(Ordering::Relaxed);
        outcome.operations = outcome.disk.operations();
        outcome.trace = outcome.disk.trace_hash();
        outcome.faults_hit = faults_hit(&outcome.disk);
        outcome
    }

    fn runs_max(&self) -> u32 {
        let asked = u32::try_from(self.faults.len()).unwrap_or(u32::MAX);
        RUNS_SPARE + asked.saturating_add(self.faults_by_chance + self.crashes_by_chance)
    }

    fn prepared_disk(&self, chance: &mut Chance) -> SimDisk {
        let disk = self.disk.clone().unwrap_or_else(|| SimDisk::new(self.seed));
        disk.create_directory(Path::new(OUTPUTS)).expect("a disk without faults so far");
        self.faults.iter().for_each(|fault| disk.add_fault(*fault));
        for _ in 0..self.crashes_by_chance {
            let at_operation = self.moment(chance);
            disk.add_fault(Fault { at_operation, kind: FaultKind::CrashHere });
        }
        for _ in 0..self.faults_by_chance {
            let (at_operation, kind) = (self.moment(chance), *chance.pick(&KINDS));
            disk.add_fault(Fault { at_operation, kind });
        }
        disk
    }

    /// Early operations more often: short jobs have no others.
    fn moment(&self, chance: &mut Chance) -> u64 {
        if chance.one_in(2) { chance.below(self.within) } else { chance.skewed(self.within) }
    }

    /// One run, and what comes of it.
    fn attempt(
        &self,
        build: &impl Fn(&World) -> Job,
        chance: &mut Chance,
        epochs: &Arc<AtomicU64>,
        outcome: &mut Outcome,
    ) {
        let (low, high) = (*self.shards.start(), *self.shards.end());
        let more = chance.below(u64::from(high.saturating_sub(low)) + 1);
        let shard_count = low + u16::try_from(more).expect("below a number of shards");
        let world = World {
            seed: self.seed,
            run: outcome.runs,
            shard_count,
            stalls_in_256: self.stalls_in_256,
        };
        let engine = Engine::with(self.settings(&world, chance, epochs, &outcome.disk));
        let result = engine.start(build(&world)).map_err(Failure::Job).and_then(finish);
        outcome.runs += 1;
        let was_off = outcome.disk.is_off();
        if let Err(failure) = &result {
            outcome.errors.push(failure.to_string());
            if failure.is_bug() {
                outcome.bugs.push(failure.to_string());
            }
        }
        // A job that ends in the dark is started once more: its end has to be durable.
        outcome.ended = result.is_ok() && !was_off;
        // What ends a process need not end the machine.
        if was_off || (result.is_err() && chance.one_in(2)) {
            outcome.crashes += 1;
            outcome.disk.crash();
        }
    }

    fn settings(
        &self,
        world: &World,
        chance: &mut Chance,
        epochs: &Arc<AtomicU64>,
        disk: &SimDisk,
    ) -> Settings {
        let epochs = Arc::clone(epochs);
        let observer: Observer = Arc::new(move |phase, _| {
            if phase == Phase::Committed {
                // Relaxed: read when the job's thread has been joined.
                epochs.fetch_add(1, Ordering::Relaxed);
            }
        });
        let disk: Arc<dyn Disk> = match &self.through {
            Some(through) => through(disk.clone()),
            None => Arc::new(disk.clone()),
        };
        let checkpoints =
            Checkpoints { disk: Some(disk), observer: Some(observer), ..self.settings.clone() };
        Settings {
            shard_count: world.shard_count,
            driver: Driver::Simulator { seed: chance.number() },
            ring_bytes: self.ring_bytes,
            checkpoints: Some(checkpoints),
            stall_seed: (self.stalls_in_256 > 0).then(|| chance.number()),
            ..Settings::default()
        }
    }
}

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Job(JobError),
    #[error("the run took more than {} simulated seconds", RUN_MAX.as_secs())]
    Hung,
}

impl Failure {
    fn is_bug(&self) -> bool {
        use JobError::{Checkpoint, Panicked, Standstill};
        match self {
            Self::Hung | Self::Job(Panicked { .. } | Standstill { .. }) => true,
            // Nothing is slow on the simulated clock: a stage did not come to its barrier.
            Self::Job(Checkpoint(CheckpointError::TooMany { last, .. })) => {
                matches!(**last, CheckpointError::TimedOut { .. })
            }
            Self::Job(_) => false,
        }
    }
}

/// Waits for the end, bounded on the simulated clock.
fn finish(running: RunningJob) -> Result<(), Failure> {
    let run_max_ns = u64::try_from(RUN_MAX.as_nanos()).unwrap_or(u64::MAX);
    while !running.is_over() {
        if running.elapsed_ns() > run_max_ns {
            running.abort();
            let _ = running.join();
            return Err(Failure::Hung);
        }
        std::thread::park_timeout(Duration::from_micros(50));
    }
    running.join().map(|_| ()).map_err(Failure::Job)
}

fn faults_hit(disk: &SimDisk) -> u32 {
    let crash = [FaultKind::CrashHere, FaultKind::LostSync, FaultKind::BitFlip];
    let kinds: Vec<String> = KINDS.iter().chain(&crash).map(|kind| format!(": {kind:?}")).collect();
    let trace = disk.trace();
    let hit = trace.iter().filter(|line| kinds.iter().any(|kind| line.ends_with(kind.as_str())));
    u32::try_from(hit.count()).unwrap_or(u32::MAX)
}

/// Says the seed where the test that holds it panics.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the simulation with seed {} was running", self.0);
        }
    }
}

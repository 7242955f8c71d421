//! A job's state directory, from its opening to the checkpoint thread.
//!
//! Takes the settings and the plan; hands on what each stage begins with, and a coordinator.
//!
//! Invariants
//! 1. `open` only reads, and refuses all that can be refused; `begin` is the first to change the
//!    directory, once sources and outputs were checked too.
//! 2. Logs are loaded and verified before the manifest that names them is trusted: where one is
//!    broken, the manifest before it is taken, and that is said.
//! 3. What was fallen back from is removed, durably, before an output is cut to the older epoch.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::checkpoint::{
    CheckpointStats, Coordinator, CoordinatorParts, CoordinatorSettings, DirectoryError, LogFiles,
    Manifest, OpenMode, Output, Report, Seat, SeatKind, SinkManifest, SplitManifest,
    StateDirectory, flush_first,
};
use crate::clock::Clock;
use crate::io::disk::{Disk, RealDisk};
use crate::metric::ShardCount;
use crate::record::{EventTime, SLOT_COUNT};
use crate::shard::StageStart;
use crate::sink::{Epoch, OutputParticipant};
use crate::state::{SpareRegions, Store, StoreSettings};

use super::checkpoints::{Begin, Checkpoints};
use super::driver::Control;
use super::error::{JobError, RestoreError};
use super::graph::Plan;
use super::places::Places;
use super::restore::{Restored, StagePlan, restore, stages_of};
use super::running::{Base, CheckpointHandle};
use super::settings::Settings;

/// How many segments are kept ready, faulted in, for each log.
const SPARES_A_LOG: usize = 1;

/// What the stages of all shards begin with.
#[derive(Debug, Default)]
pub(super) struct Starts {
    /// The epoch that the job goes on from.
    pub(super) epoch: u64,
    /// By shard, by stage in the order of the plan.
    stages: Vec<Vec<StageStart>>,
}

impl Starts {
    /// What one stage begins with; handed out once.
    pub(super) fn take(&mut self, shard: usize, stage: usize) -> StageStart {
        let start = self.stages.get_mut(shard).and_then(|stages| stages.get_mut(stage));
        start.map(std::mem::take).unwrap_or_default()
    }
}

/// The state directory of a job that is being started.
pub(super) struct Durability {
    settings: Checkpoints,
    shard_count: u16,
    directory: StateDirectory,
    stages: Vec<StagePlan>,
    /// What the job goes on from.
    manifest: Option<Manifest>,
    restored: Restored,
    template: Manifest,
    /// The manifest of the epoch that the job begins with, until its outputs have begun.
    first: Option<Manifest>,
    notes: Vec<String>,
    reports: (Sender<Report>, Receiver<Report>),
    seats: Vec<SeatKind>,
    spares: Arc<SpareRegions>,
    clock: Clock,
}

impl Durability {
    /// Opens the directory and loads what it holds, where the settings ask for checkpoints.
    pub(super) fn open(
        settings: &Settings,
        plan: &Plan,
        clock: &Clock,
    ) -> Result<Option<Self>, JobError> {
        let Some(checkpoints) = settings.checkpoints.clone() else {
            return Ok(None);
        };
        let mut notes = Vec::new();
        let disk = disk_of(&checkpoints, &mut notes)?;
        let mode = match checkpoints.begin {
            // An earlier start with the savepoint may have left segments without a manifest.
            _ if checkpoints.savepoint.is_some() => OpenMode::Fresh,
            Begin::Either => OpenMode::Either,
            Begin::Resume => OpenMode::Resume,
            Begin::Fresh => OpenMode::Fresh,
        };
        let mut directory = StateDirectory::open(Arc::clone(&disk), &checkpoints.directory, mode)?;
        let stages = stages_of(plan);
        let segment_bytes = usize::try_from(checkpoints.segment_bytes).unwrap_or(usize::MAX);
        let spares = Arc::new(SpareRegions::new(segment_bytes));
        let store_settings = store_settings(&checkpoints, &stages, settings.shard_count, &spares);
        let mut savepoint = None;
        if let Some(path) = &checkpoints.savepoint {
            savepoint = Some(open_savepoint(&disk, path, &directory)?);
        }
        let from = savepoint.as_mut().unwrap_or(&mut directory);
        let loaded = restore(
            from,
            &checkpoints,
            &stages,
            settings.shard_count,
            &store_settings,
            &mut notes,
        )?;
        let (manifest, restored) = loaded;
        if let (None, Some(path)) = (&manifest, &checkpoints.savepoint) {
            let directory = path.display().to_string();
            return Err(RestoreError::NoSavepoint { directory }.into());
        }
        if let Some(ended) = manifest.as_ref().filter(|manifest| manifest.ended) {
            notes.push(format!(
                "the job had come to its end with epoch {}, so nothing is left to do; begin anew \
                 for more (--fresh)",
                ended.epoch
            ));
        }
        let template = template(&checkpoints, settings.shard_count, &stages, manifest.as_ref());
        Ok(Some(Self {
            shard_count: settings.shard_count,
            settings: checkpoints,
            directory,
            stages,
            manifest,
            restored,
            template,
            first: None,
            notes,
            reports: unbounded(),
            seats: Vec::new(),
            spares,
            clock: clock.clone(),
        }))
    }

    /// Where the splits begin or go on.
    pub(super) fn places(&self) -> Places {
        self.manifest.as_ref().map_or_else(Places::default, |found| Places::of(&found.splits))
    }

    /// What an output had prepared for the epoch that the job goes on from.
    pub(super) fn sink(&self, name: &str) -> Option<&SinkManifest> {
        self.manifest.as_ref()?.sinks.iter().find(|sink| sink.name == name)
    }

    /// The epoch that the job begins with.
    pub(super) fn epoch(&self) -> u64 {
        self.template.epoch
    }

    /// Where files of the outputs go.
    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        self.directory.disk()
    }

    /// Whether the job had come to its end.
    pub(super) fn is_over(&self) -> bool {
        self.manifest.as_ref().is_some_and(|manifest| manifest.ended)
    }

    /// Whether the job begins with a savepoint.
    pub(super) fn is_from_savepoint(&self) -> bool {
        self.settings.savepoint.is_some()
    }

    /// What earlier runs have counted.
    pub(super) fn base(&self) -> Base {
        let Some(manifest) = &self.manifest else {
            return Base::default();
        };
        let mut counts = ShardCount::default();
        for split in &manifest.splits {
            counts.accepted += split.accepted;
            counts.rejected += split.rejected;
            counts.late += split.late;
        }
        counts.records_in = counts.accepted + counts.rejected + counts.late;
        counts.dropped = manifest.dropped;
        let records_out = manifest.sinks.iter().map(|sink| sink.records_out).sum();
        Base { counts, records_out }
    }

    /// Begins: the directory is the job's from here on. Answers what the stages begin with.
    pub(super) fn begin(&mut self, splits: Vec<SplitManifest>) -> Result<Starts, JobError> {
        self.template.splits = splits;
        let from_savepoint = self.is_from_savepoint();
        self.directory.claim()?;
        if self.settings.begin == Begin::Fresh || from_savepoint {
            self.directory.clear()?;
        }
        self.directory.settle()?;
        let epoch = self.template.epoch;
        let mut starts = Starts { epoch, stages: Vec::new() };
        for shard in 0..self.shard_count {
            let stages = (0..self.stages.len()).map(|stage| self.start(shard, stage)).collect();
            starts.stages.push(stages);
        }
        let written_micros = self.clock.wall_micros();
        let first = Manifest { written_micros, ..self.template.clone() };
        if from_savepoint {
            let stages = starts.stages.iter_mut().flatten();
            let stores = stages.map(|start| (&mut start.store, start.restored));
            self.first = Some(flush_first(&mut self.directory, first, &mut self.seats, stores)?);
            self.template.run += 1;
        } else if self.manifest.is_none() {
            self.first = Some(first);
        }
        Ok(starts)
    }

    /// The outputs have begun: a job that does not resume publishes the epoch that it begins with,
    /// from which it goes on where it fails before its first one. It holds what the outputs say of
    /// themselves now, so that they know then what is theirs.
    pub(super) fn outputs_begun(&mut self, plan: &Plan) -> Result<(), JobError> {
        let Some(mut first) = self.first.take() else {
            return Ok(());
        };
        for (name, output) in &plan.participants {
            // One that has nothing to say of an epoch without items begins anew whenever it begins.
            if let Some(state) = output.prepared(Epoch(first.epoch))? {
                let records_out = self.sink(name).map_or(0, |sink| sink.records_out);
                first.sinks.push(SinkManifest { name: name.clone(), state, records_out });
            }
        }
        self.directory.publish(&first)?;
        Ok(())
    }

    /// What one stage begins with; gives it a seat.
    fn start(&mut self, shard: u16, stage: usize) -> StageStart {
        let number = self.seats.len();
        let (tell, durable) = unbounded();
        let seat = Seat::new(number, self.clock.clone(), self.reports.0.clone(), durable);
        let epoch = self.template.epoch;
        let Some(operator) = self.stages[stage].operator_name() else {
            self.seats.push(SeatKind::Source);
            return StageStart { store: Store::default(), seat: Some(seat), epoch, restored: None };
        };
        let stage_name = operator.to_owned();
        let log = self.restored.take(&stage_name, shard);
        let maps = self.settings.memory_bytes.is_some();
        // An adopted log goes on with segments of the length that it has.
        let adopted = log.files.first().map(|(segment, _)| segment.segment_bytes);
        let segment_bytes = adopted.unwrap_or(self.settings.segment_bytes);
        let mut files = LogFiles::new(number, segment_bytes, maps);
        for (segment, file) in log.files {
            files.adopt(&segment, file);
        }
        self.seats.push(SeatKind::Log { stage: stage_name, shard, durable: tell, files });
        StageStart { store: log.store, seat: Some(seat), epoch, restored: log.watermark }
    }

    /// The coordinator, and the program's handle to it.
    pub(super) fn coordinator(
        self,
        plan: &Plan,
        barrier: &Arc<AtomicU64>,
        control: &Arc<Control>,
        recovery_ns: u64,
    ) -> (Coordinator, CheckpointHandle) {
        let stats = Arc::new(Mutex::new(CheckpointStats::default()));
        let (ask, requests) = unbounded();
        let (barrier, control) = (Arc::clone(barrier), Arc::clone(control));
        let log_count =
            self.seats.iter().filter(|seat| matches!(seat, SeatKind::Log { .. })).count();
        let outputs = self.outputs(plan);
        let resumed = self.manifest.as_ref().map(|manifest| manifest.epoch);
        let coordinator = Coordinator::new(CoordinatorParts {
            clock: self.clock,
            directory: self.directory,
            template: self.template,
            settings: CoordinatorSettings {
                interval_ns: nanoseconds(self.settings.interval),
                timeout_ns: nanoseconds(self.settings.timeout),
                failures_max: self.settings.failures_max,
                retained: self.settings.retained,
            },
            seats: self.seats,
            outputs,
            reports: self.reports.1,
            requests,
            // Relaxed: the number alone is the message.
            begin: Box::new(move |epoch| {
                barrier.store(epoch, Ordering::Relaxed);
                control.wake_all();
            }),
            stats: Arc::clone(&stats),
            spares: self.spares,
            spare_count: log_count * SPARES_A_LOG,
            observer: self.settings.observer,
        });
        let handle = CheckpointHandle { ask, stats, recovery_ns, resumed, notes: self.notes };
        (coordinator, handle)
    }

    /// The plan's outputs; side outputs count no items.
    fn outputs(&self, plan: &Plan) -> Vec<Output> {
        let mut meters = plan.outputs.iter();
        let output = |(name, participant): &(String, Arc<dyn OutputParticipant>)| {
            let meters = if name.starts_with("output ") { meters.next().cloned() } else { None };
            let before = self.sink(name).map_or(0, |sink| sink.records_out);
            let taken =
                move |epoch| meters.as_ref().map_or(Some(0), |meters| meters.records_at(epoch));
            Output {
                name: name.clone(),
                participant: Arc::clone(participant),
                records_out: Box::new(move |epoch| Some(before + taken(epoch)?)),
            }
        };
        plan.participants.iter().map(output).collect()
    }
}

fn nanoseconds(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

fn disk_of(checkpoints: &Checkpoints, notes: &mut Vec<String>) -> Result<Arc<dyn Disk>, JobError> {
    if let Some(disk) = &checkpoints.disk {
        return Ok(Arc::clone(disk));
    }
    let disk = RealDisk::new(checkpoints.flush)
        .map_err(|source| JobError::Flush { source: Arc::new(source) })?;
    notes.extend(disk.note());
    Ok(Arc::new(disk))
}

/// The savepoint to begin with, for which the job's own directory must be empty.
fn open_savepoint(
    disk: &Arc<dyn Disk>,
    path: &Path,
    own: &StateDirectory,
) -> Result<StateDirectory, JobError> {
    if !own.manifests()?.is_empty() {
        let directory = own.path().display().to_string();
        return Err(RestoreError::SavepointOverState { directory }.into());
    }
    Ok(StateDirectory::open_read_only(Arc::clone(disk), path)?)
}

fn store_settings(
    checkpoints: &Checkpoints,
    stages: &[StagePlan],
    shard_count: u16,
    spares: &Arc<SpareRegions>,
) -> StoreSettings {
    let logs = stages.iter().filter(|stage| stage.operator_name().is_some()).count();
    let logs = u64::try_from(logs).unwrap_or(1).max(1) * u64::from(shard_count);
    StoreSettings {
        segment_bytes: usize::try_from(checkpoints.segment_bytes).unwrap_or(usize::MAX),
        budget_bytes: checkpoints.memory_bytes.map(|bytes| bytes / logs),
        spare: Some(Arc::clone(spares)),
    }
}

/// What is the same in every manifest of this run.
fn template(
    checkpoints: &Checkpoints,
    shard_count: u16,
    stages: &[StagePlan],
    manifest: Option<&Manifest>,
) -> Manifest {
    Manifest {
        epoch: manifest.map_or(0, |found| found.epoch),
        run: manifest.map_or(0, |found| found.run) + 1,
        job: checkpoints.job.clone(),
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        slot_count: SLOT_COUNT,
        shard_count,
        operators: stages.iter().flat_map(|stage| stage.operators.clone()).collect(),
        dropped: manifest.map_or(0, |found| found.dropped),
        ..Manifest::default()
    }
}

/// A directory's refusal as the job's.
impl From<DirectoryError> for JobError {
    fn from(error: DirectoryError) -> Self {
        Self::Directory(error)
    }
}

/// The lowest watermark of several logs: what a stage that goes on with all of them may assume.
pub(super) fn lowest(watermarks: impl Iterator<Item = i64>) -> Option<EventTime> {
    watermarks.min().map(EventTime)
}

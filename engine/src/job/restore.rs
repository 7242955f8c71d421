//! What a job goes on from: the newest whole manifest, its logs, and how they fit the plan.
//!
//! Takes a state directory and the plan's operators; hands on a log for each shard and keyed stage.
//!
//! A log is *adopted*, files and offsets as they are, where neither the shards nor any operator's
//! layout have changed; else every entry is *imported* into new logs, which own other slots or keep
//! other fields.
//!
//! Why not always import: it copies all state, and the first checkpoint would write all of it again.

use std::collections::BTreeMap;

use crate::chain::OperatorState;
use crate::checkpoint::{
    DirectoryError, Found, LogManifest, Manifest, OperatorManifest, SegmentManifest,
    StateDirectory, StateManifest,
};
use crate::io::disk::SharedFile;
use crate::io::mapping::{Mapped, Region};
use crate::record::{EventTime, SLOT_COUNT};
use crate::state::{RecoveredMemory, RecoveredSegment, StateError, Store, StoreSettings};

use super::checkpoints::{Begin, Checkpoints};
use super::error::{JobError, RestoreError};
use super::graph::Plan;
use super::import::{Rules, import};

/// The operators of one stage, as a manifest and as the code describe them.
#[derive(Debug)]
pub(super) struct StagePlan {
    pub(super) operators: Vec<OperatorManifest>,
    pub(super) states: Vec<OperatorState>,
}

impl StagePlan {
    /// The operator at the stage's head; a source stage has none.
    pub(super) fn operator_name(&self) -> Option<&str> {
        self.operators.first().map(|operator| operator.name.as_str())
    }
}

/// The plan's stages in their order, described.
pub(super) fn stages_of(plan: &Plan) -> Vec<StagePlan> {
    let names = plan.operators.state_names();
    let describe = |stage: &super::graph::PlannedStage| {
        let states = stage.operator.as_ref().map(|(_, describe)| describe()).unwrap_or_default();
        let operators = states.iter().map(|state| {
            let name = names[usize::from(state.id.0)].clone();
            described(name, state)
        });
        StagePlan { operators: operators.collect(), states }
    };
    plan.stages.iter().map(describe).collect()
}

fn described(name: String, state: &OperatorState) -> OperatorManifest {
    let values = state.values.iter().map(|value| StateManifest {
        name: value.name.clone(),
        namespace_first: *value.namespaces.start(),
        namespace_last: *value.namespaces.end(),
        layout: value.layout.to_string(),
    });
    OperatorManifest {
        name,
        id: state.id.0,
        kind: state.kind.to_owned(),
        identity: state.identity.clone(),
        key: state.key.to_string(),
        states: values.collect(),
    }
}

/// One log that is gone on with.
#[derive(Debug, Default)]
pub(super) struct RestoredLog {
    pub(super) store: Store,
    pub(super) watermark: Option<EventTime>,
    /// The files that it is in; none where it was imported.
    pub(super) files: Vec<(SegmentManifest, SharedFile)>,
}

/// All logs that are gone on with.
#[derive(Debug)]
pub(super) struct Restored {
    settings: StoreSettings,
    logs: Logs,
}

impl Restored {
    fn nothing(settings: &StoreSettings) -> Self {
        Self { settings: settings.clone(), logs: BTreeMap::new() }
    }

    /// The log of one stage and shard; an empty one where there was none.
    pub(super) fn take(&mut self, stage: &str, shard: u16) -> RestoredLog {
        self.logs.remove(&(stage.to_owned(), shard)).unwrap_or_else(|| RestoredLog {
            store: Store::with_settings(&self.settings),
            ..RestoredLog::default()
        })
    }
}

/// Loads what the job goes on from; nothing where it begins anew.
///
/// # Errors
/// State of another job, or that does not fit this one; no manifest that is whole.
pub(super) fn restore(
    from: &mut StateDirectory,
    checkpoints: &Checkpoints,
    stages: &[StagePlan],
    shard_count: u16,
    settings: &StoreSettings,
    notes: &mut Vec<String>,
) -> Result<(Option<Manifest>, Restored), JobError> {
    if checkpoints.begin == Begin::Fresh && checkpoints.savepoint.is_none() {
        // State that is broken may be discarded, and that of another job may not.
        if let Ok(Some(found)) = from.newest() {
            check_identity(&found.manifest, from, checkpoints)?;
        }
        return Ok((None, Restored::nothing(settings)));
    }
    loop {
        let Some(Found { manifest, fell_back }) = from.newest()? else {
            return Ok((None, Restored::nothing(settings)));
        };
        check_identity(&manifest, from, checkpoints)?;
        if manifest.ended && checkpoints.savepoint.is_none() {
            // Nothing will run on it.
            return Ok((Some(manifest), Restored::nothing(settings)));
        }
        let rules = Rules::between(&manifest, stages, checkpoints.drop_state)?;
        // On a disk that is simulated the order of its operations is the seed's.
        let is_simulated = checkpoints.disk.is_some();
        let adopts = checkpoints.savepoint.is_none()
            && manifest.shard_count == shard_count
            && is_same(&manifest.operators, stages);
        let logs = load(from, &manifest, settings, is_simulated).and_then(|logs| match adopts {
            true => Ok(logs.into_iter().map(|log| (log.name(), log.restored())).collect()),
            false => Ok(import(&logs, &rules, stages, shard_count, settings)?),
        });
        match logs.and_then(|logs| verified(logs, stages)) {
            Ok(logs) => {
                notes.extend(fell_back.into_iter().map(|(file, reason)| {
                    format!("{file} is broken ({reason}); going on from epoch {}", manifest.epoch)
                }));
                return Ok((Some(manifest), Restored { settings: settings.clone(), logs }));
            }
            // A disk that refuses may answer the next time: only what is broken is passed over.
            Err(LoadError::Directory(error)) if !error.is_broken() => return Err(error.into()),
            Err(LoadError::Import(error)) if !error.is_broken() => return Err(error.into()),
            Err(error) => from.mark_broken(manifest.epoch, error.to_string())?,
        }
    }
}

/// By stage and shard.
type Logs = BTreeMap<(String, u16), RestoredLog>;

/// Logs whose frames, if they hold any, may be trusted.
fn verified(logs: Logs, stages: &[StagePlan]) -> Result<Logs, LoadError> {
    for ((name, _), log) in &logs {
        let stage = stages.iter().filter(|stage| stage.operator_name() == Some(name));
        stage.flat_map(|stage| &stage.states).try_for_each(|state| state.verify(&log.store))?;
    }
    Ok(logs)
}

fn is_same(operators: &[OperatorManifest], stages: &[StagePlan]) -> bool {
    operators.iter().eq(stages.iter().flat_map(|stage| &stage.operators))
}

fn check_identity(
    manifest: &Manifest,
    from: &StateDirectory,
    checkpoints: &Checkpoints,
) -> Result<(), JobError> {
    let directory = from.path().display().to_string();
    if manifest.job != checkpoints.job {
        let (found, expected) = (manifest.job.clone(), checkpoints.job.clone());
        return Err(RestoreError::OtherJob { directory, found, expected }.into());
    }
    if manifest.slot_count != SLOT_COUNT {
        let (found, expected) = (manifest.slot_count, SLOT_COUNT);
        return Err(RestoreError::OtherSlots { directory, found, expected }.into());
    }
    Ok(())
}

/// A log in memory, as it was written.
#[derive(Debug)]
pub(super) struct LoadedLog {
    pub(super) manifest: LogManifest,
    pub(super) store: Store,
    files: Vec<(SegmentManifest, SharedFile)>,
}

impl LoadedLog {
    fn name(&self) -> (String, u16) {
        (self.manifest.stage.clone(), self.manifest.shard)
    }

    fn restored(self) -> RestoredLog {
        let watermark = Some(EventTime(self.manifest.watermark_micros));
        RestoredLog { store: self.store, watermark, files: self.files }
    }
}

/// Why a log can't be loaded: the manifest that names it is broken.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Import(#[from] RestoreError),
}

/// Reads, verifies and indexes all logs, each on a thread of its own unless `in_order`.
fn load(
    from: &StateDirectory,
    manifest: &Manifest,
    settings: &StoreSettings,
    in_order: bool,
) -> Result<Vec<LoadedLog>, LoadError> {
    if in_order {
        return manifest.logs.iter().map(|log| load_log(from, log, settings)).collect();
    }
    std::thread::scope(|scope| {
        let load = |log| scope.spawn(move || load_log(from, log, settings));
        let threads: Vec<_> = manifest.logs.iter().map(load).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.collect()
    })
}

fn load_log(
    from: &StateDirectory,
    log: &LogManifest,
    settings: &StoreSettings,
) -> Result<LoadedLog, LoadError> {
    let mut segments = Vec::with_capacity(log.segments.len());
    let mut files = Vec::with_capacity(log.segments.len());
    let mut settings = settings.clone();
    let mut left_to_map = bytes_to_map(log, &settings);
    for segment in &log.segments {
        let segment_bytes = usize::try_from(segment.segment_bytes).unwrap_or(usize::MAX);
        if segment_bytes != settings.segment_bytes {
            // Spare regions are of the settings' length.
            (settings.segment_bytes, settings.spare) = (segment_bytes, None);
        }
        let bytes = usize::try_from(segment.bytes).unwrap_or(usize::MAX);
        let mut region = Region::zeroed(bytes);
        let file = from.load_segment(segment, region.bytes_mut(0))?;
        let mut memory = RecoveredMemory::Region(region);
        if left_to_map > 0
            && let Some(real) = file.std_file()
            && let Ok(mapped) = Mapped::of_file(real, bytes)
        {
            // Verified just now; its memory is given back before the next one is read.
            memory = RecoveredMemory::Mapped(mapped);
            left_to_map = left_to_map.saturating_sub(segment.bytes.into());
        }
        files.push((segment.clone(), file));
        segments.push(RecoveredSegment { number: segment.number, memory, bytes: segment.bytes });
    }
    if segments.is_empty() {
        let store = Store::with_settings(&settings);
        return Ok(LoadedLog { manifest: log.clone(), store, files });
    }
    Ok(LoadedLog { manifest: log.clone(), store: Store::recover(&settings, segments)?, files })
}

/// How much of a log is read from its files, oldest segments first: what is more than half of its
/// memory budget, so that the log has room to go on in.
fn bytes_to_map(log: &LogManifest, settings: &StoreSettings) -> u64 {
    let all: u64 = log.segments.iter().map(|segment| u64::from(segment.bytes)).sum();
    settings.budget_bytes.map_or(0, |budget| all.saturating_sub(budget / 2))
}

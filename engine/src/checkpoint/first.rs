//! Step 8, checkpoint: the first manifest of a job that begins with a savepoint.
//!
//! Takes the logs that were made of the savepoint; hands on a manifest of the job's own, to be
//! published before the first record is read. Without it a job that failed before its first epoch
//! would find an empty directory, and begin anew without its state. A start that fails before the
//! manifest is published is repeated with the savepoint: all that was done is done again.

use super::coordinator::SeatKind;
use super::log_files::{FileNames, LogFiles, flush_logs};
use super::manifest::{LogManifest, Manifest};
use super::{CheckpointError, StateDirectory};
use crate::record::EventTime;
use crate::state::{FrozenLog, Store};

/// Makes the logs of `stages`, which stand in the order of `seats`, durable, and answers `manifest` with
/// them. Its run is spent: what follows takes the next one, as no file name is used twice.
///
/// # Errors
/// The disk refuses.
pub fn flush_first<'s>(
    directory: &mut StateDirectory,
    mut manifest: Manifest,
    seats: &mut [SeatKind],
    stages: impl Iterator<Item = (&'s mut Store, Option<EventTime>)>,
) -> Result<Manifest, CheckpointError> {
    let mut logs: Vec<(&str, u16, &mut LogFiles, FrozenLog, EventTime)> = Vec::new();
    let mut stores = Vec::new();
    for (seat, (store, watermark)) in seats.iter_mut().zip(stages) {
        if let SeatKind::Log { stage, shard, files, .. } = seat {
            logs.push((stage, *shard, files, store.freeze(), watermark.unwrap_or(EventTime::MIN)));
            stores.push(store);
        }
    }
    let mut names = FileNames::new(manifest.run);
    let mut frozen: Vec<_> =
        logs.iter_mut().map(|(.., files, frozen, _)| (&mut **files, &*frozen)).collect();
    flush_logs(&mut frozen, directory, &mut names, manifest.epoch)?;
    for ((stage, shard, files, frozen, watermark), store) in logs.iter_mut().zip(stores) {
        // What is given back is dropped here: no shard runs yet.
        drop(store.note_durable(files.flushed(frozen)));
        manifest.logs.push(LogManifest {
            stage: (*stage).to_owned(),
            shard: *shard,
            watermark_micros: watermark.0,
            entry_count: frozen.entry_count,
            live_bytes: frozen.live_bytes,
            segments: files.manifest(frozen),
        });
    }
    Ok(manifest)
}

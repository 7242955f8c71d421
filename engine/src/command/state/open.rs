//! From a path to the newest checkpoint that is whole.
//!
//! Takes a path; hands on a manifest and its logs, verified to the last block.

use std::path::Path;
use std::sync::Arc;

use super::error::StateCommandError;
use crate::checkpoint::{DirectoryError, Found, LogManifest, Manifest, StateDirectory};
use crate::io::disk::{FlushEngine, RealDisk};
use crate::io::mapping::{Mapped, Region};
use crate::state::{RecoveredMemory, RecoveredSegment, Store, StoreSettings};

/// How often a checkpoint that a job removed meanwhile is looked for anew.
const RETRIES_MAX: u32 = 1;

/// A checkpoint and what is in it.
#[derive(Debug)]
pub(super) struct State {
    pub(super) manifest: Manifest,
    /// One for each log of the manifest, in its order.
    pub(super) logs: Vec<Store>,
}

/// Opens a directory for reading.
pub(super) fn open(path: &Path) -> Result<StateDirectory, DirectoryError> {
    let disk = RealDisk::new(FlushEngine::Plain).map_err(|source| DirectoryError::Io {
        doing: "open",
        path: path.to_owned(),
        source,
    })?;
    StateDirectory::open_read_only(Arc::new(disk), path)
}

/// The newest checkpoint whose logs load; what was passed over is said on standard error.
pub(super) fn newest_state(path: &Path) -> Result<State, StateCommandError> {
    with_newest(path, |directory, manifest| {
        let load = |log| load_log(directory, log);
        let logs = manifest.logs.iter().map(load).collect::<Result<_, _>>()?;
        Ok(State { manifest: manifest.clone(), logs })
    })
}

/// Does `act` with the newest checkpoint; with the one before where its files turn out to be
/// broken, and once more where a job has removed them meanwhile.
pub(super) fn with_newest<T>(
    path: &Path,
    act: impl Fn(&StateDirectory, &Manifest) -> Result<T, StateCommandError>,
) -> Result<T, StateCommandError> {
    let mut directory = open(path)?;
    let mut retries = 0;
    loop {
        let found = match directory.newest() {
            // A manifest that went between its listing and its reading.
            Err(error) if error.is_vanished() && retries < RETRIES_MAX => {
                retries += 1;
                continue;
            }
            found => found?,
        };
        let Some(Found { manifest, fell_back }) = found else {
            return Err(StateCommandError::Empty { directory: path.to_owned() });
        };
        match act(&directory, &manifest) {
            Err(StateCommandError::Directory(error))
                if error.is_vanished() && retries < RETRIES_MAX =>
            {
                retries += 1;
            }
            Err(StateCommandError::Directory(error))
                if error.is_broken() && !error.is_vanished() =>
            {
                directory.mark_broken(manifest.epoch, error.to_string())?;
            }
            answer => {
                for (file, reason) in fell_back {
                    let epoch = manifest.epoch;
                    eprintln!("note: {file} is broken ({reason}); this is epoch {epoch}");
                }
                return answer;
            }
        }
    }
}

/// Verifies a log's segments and finds its entries.
pub(super) fn load_log(
    directory: &StateDirectory,
    log: &LogManifest,
) -> Result<Store, StateCommandError> {
    let mut settings = StoreSettings::default();
    let mut segments = Vec::with_capacity(log.segments.len());
    for segment in &log.segments {
        settings.segment_bytes = index(segment.segment_bytes);
        let mut region = Region::zeroed(index(segment.bytes));
        let file = directory.load_segment(segment, region.bytes_mut(0))?;
        // What was just verified is in the page cache; the copy need not stay.
        let mapped = file.std_file().map(|file| Mapped::of_file(file, index(segment.bytes)));
        let memory = match mapped {
            Some(Ok(mapped)) => RecoveredMemory::Mapped(mapped),
            _ => RecoveredMemory::Region(region),
        };
        segments.push(RecoveredSegment { number: segment.number, memory, bytes: segment.bytes });
    }
    if segments.is_empty() {
        return Ok(Store::with_settings(&settings));
    }
    Store::recover(&settings, segments).map_err(|source| {
        let (stage, shard) = (log.stage.clone(), log.shard);
        StateCommandError::Log { stage, shard, source }
    })
}

fn index(bytes: u32) -> usize {
    usize::try_from(bytes).expect("a segment fits into memory")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::checkpoint::{OpenMode, SegmentManifest, checksums, segment_file_name};

    /// An epoch with one segment of one byte.
    fn publish(job: &mut StateDirectory, epoch: u64) {
        let file = segment_file_name(1, 0, epoch);
        std::fs::write(job.path_of(&file), b"x").unwrap();
        let segment = SegmentManifest {
            file,
            segment_bytes: 1 << 16,
            bytes: 1,
            checksums: checksums(b"x"),
            ..SegmentManifest::default()
        };
        let log = LogManifest { segments: vec![segment], ..LogManifest::default() };
        job.publish(&Manifest { epoch, logs: vec![log], ..Manifest::default() }).unwrap();
    }

    #[test]
    fn what_a_job_removes_meanwhile_is_looked_for_in_its_newest_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(RealDisk::new(FlushEngine::Plain).unwrap());
        let mut job = StateDirectory::open(disk, folder.path(), OpenMode::New).unwrap();
        job.claim().unwrap();
        publish(&mut job, 1);
        let job = std::cell::RefCell::new(job);
        let calls = Cell::new(0);
        let load = |directory: &StateDirectory, manifest: &Manifest, always: bool| {
            calls.set(calls.get() + 1);
            if always || calls.get() == 1 {
                publish(&mut job.borrow_mut(), manifest.epoch + 1);
                job.borrow_mut().retain(1).unwrap();
            }
            directory.load_segment(&manifest.logs[0].segments[0], &mut [0])?;
            Ok(manifest.epoch)
        };
        let epoch =
            with_newest(folder.path(), |directory, manifest| load(directory, manifest, false));
        assert_eq!((epoch.unwrap(), calls.get()), (2, 2));
        // A job that is always faster ends it with a word, not never.
        let never =
            with_newest(folder.path(), |directory, manifest| load(directory, manifest, true));
        assert!(never.is_err());
        assert!(calls.get() < 10, "{} calls", calls.get());
    }
}

//! Step 8, checkpoint: the files of one log.
//!
//! Takes a frozen log; hands on the runs of bytes that no file has yet, and, once they are written,
//! what a manifest says of the files.
//!
//! Invariants
//! 1. A file holds a prefix of its segment: what is frozen never changes, so a run starts where the
//!    last one ended, on a multiple of the flush block.
//! 2. A file whose write or sync failed is never used again: its segment is still in memory, and
//!    goes to a file of another name as a whole.
//! 3. Files of segments that the log has let go are forgotten here, and removed by the directory
//!    when no manifest that is kept names them.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::CheckpointError;
use super::directory::{StateDirectory, extend_checksums};
use super::manifest::SegmentManifest;
use crate::io::disk::{FlushWrite, SharedFile};
use crate::state::{DurableSegment, FrozenLog, FrozenSegment};

/// Makes file names that were never used before in this directory.
#[derive(Debug)]
pub(super) struct FileNames {
    run: u64,
    next: u64,
}

impl FileNames {
    /// Names of one run of the job.
    pub(super) fn new(run: u64) -> Self {
        Self { run, next: 0 }
    }

    fn of(&mut self, log: usize) -> String {
        self.next += 1;
        super::directory::segment_file_name(self.run, log, self.next)
    }
}

#[derive(Debug)]
struct SegmentFile {
    name: String,
    file: SharedFile,
    /// For mapping, where the disk is a real one.
    mappable: Option<Arc<std::fs::File>>,
    flushed_bytes: u32,
    checksums: Vec<u64>,
}

/// The files of one log.
#[derive(Debug)]
pub struct LogFiles {
    number: usize,
    segment_bytes: u32,
    files: BTreeMap<u32, SegmentFile>,
    /// Whether files are kept open for mapping.
    maps: bool,
}

/// A run of bytes that is to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'l> {
    file: &'l SharedFile,
    segment: &'l FrozenSegment,
    from: u32,
}

impl<'l> Run<'l> {
    /// As the disk takes it.
    pub(super) fn write(self) -> FlushWrite<'l> {
        let bytes = self.segment.bytes.as_deref().expect("what is not durable yet is in memory");
        let (from, to) = (index(self.from), index(self.segment.frozen_bytes));
        FlushWrite { file: self.file, offset: self.from.into(), bytes: &bytes[from..to] }
    }
}

fn index(bytes: u32) -> usize {
    usize::try_from(bytes).expect("a segment fits into memory")
}

impl LogFiles {
    /// The files of log `number`, of which there are none yet.
    pub fn new(number: usize, segment_bytes: u32, maps: bool) -> Self {
        Self { number, segment_bytes, files: BTreeMap::new(), maps }
    }

    /// Goes on with a segment's file of an earlier run, which is never written again.
    pub fn adopt(&mut self, segment: &SegmentManifest, file: SharedFile) {
        let file = SegmentFile {
            name: segment.file.clone(),
            mappable: None,
            file,
            flushed_bytes: segment.bytes,
            checksums: segment.checksums.clone(),
        };
        self.files.insert(segment.number, file);
    }

    /// Makes files for segments that have none; answers whether it made any.
    pub(super) fn make_files(
        &mut self,
        frozen: &FrozenLog,
        directory: &StateDirectory,
        names: &mut FileNames,
    ) -> io::Result<bool> {
        let mut made = false;
        self.files.retain(|number, _| frozen.segments.iter().any(|kept| kept.number == *number));
        for segment in &frozen.segments {
            if segment.frozen_bytes == 0 || self.files.contains_key(&segment.number) {
                continue;
            }
            let name = names.of(self.number);
            let file =
                directory.disk().create(&directory.path_of(&name), self.segment_bytes.into())?;
            let mappable = file.std_file().filter(|_| self.maps).map(std::fs::File::try_clone);
            let mappable = mappable.transpose()?.map(Arc::new);
            let checksums = Vec::new();
            let new = SegmentFile { name, file, mappable, flushed_bytes: 0, checksums };
            self.files.insert(segment.number, new);
            made = true;
        }
        Ok(made)
    }

    /// The runs that no file has yet.
    pub(super) fn runs<'l>(&'l self, frozen: &'l FrozenLog) -> impl Iterator<Item = Run<'l>> {
        frozen.segments.iter().filter_map(|segment| {
            let known = self.files.get(&segment.number)?;
            let from = known.flushed_bytes;
            (from < segment.frozen_bytes).then_some(Run { file: &known.file, segment, from })
        })
    }

    /// The runs are durable: their checksums, and what the log may be told.
    pub(super) fn flushed(&mut self, frozen: &FrozenLog) -> Vec<DurableSegment> {
        let mut durable = Vec::new();
        for segment in &frozen.segments {
            let Some(known) = self.files.get_mut(&segment.number) else {
                continue;
            };
            if known.flushed_bytes < segment.frozen_bytes {
                let bytes = segment.bytes.as_deref().expect("it was written from memory just now");
                let bytes = &bytes[..index(segment.frozen_bytes)];
                extend_checksums(&mut known.checksums, bytes, index(known.flushed_bytes));
                known.flushed_bytes = segment.frozen_bytes;
            }
            if segment.bytes.is_some() {
                durable.push(DurableSegment {
                    number: segment.number,
                    bytes: segment.frozen_bytes,
                    file: known.mappable.clone(),
                });
            }
        }
        durable
    }

    /// A flush failed: none of its files is used again (invariant 2).
    pub(super) fn failed(&mut self, frozen: &FrozenLog) {
        for segment in &frozen.segments {
            let behind = |file: &SegmentFile| file.flushed_bytes < segment.frozen_bytes;
            if self.files.get(&segment.number).is_some_and(behind) {
                self.files.remove(&segment.number);
            }
        }
    }

    /// What a manifest says of the files.
    pub(super) fn manifest(&self, frozen: &FrozenLog) -> Vec<SegmentManifest> {
        let segments = frozen.segments.iter().filter(|segment| segment.frozen_bytes > 0);
        let described = segments.map(|segment| {
            let known = &self.files[&segment.number];
            debug_assert_eq!(known.flushed_bytes, segment.frozen_bytes, "it was flushed");
            SegmentManifest {
                file: known.name.clone(),
                number: segment.number,
                segment_bytes: self.segment_bytes,
                bytes: segment.frozen_bytes,
                checksums: known.checksums.clone(),
            }
        });
        described.collect()
    }
}

/// Makes what logs have frozen durable, in files that are made for it; answers how many bytes were
/// written.
///
/// # Errors
/// Nothing of it may be named by a manifest; the next flush writes it again, to other files.
/// [`DirectoryError::Undecided`](super::DirectoryError::Undecided) is final.
pub(super) fn flush_logs(
    logs: &mut [(&mut LogFiles, &FrozenLog)],
    directory: &mut StateDirectory,
    names: &mut FileNames,
    epoch: u64,
) -> Result<u64, CheckpointError> {
    let flushed = try_flush(logs, directory, names, epoch);
    if flushed.is_err() {
        for (files, frozen) in logs {
            files.failed(frozen);
        }
    }
    flushed
}

fn try_flush(
    logs: &mut [(&mut LogFiles, &FrozenLog)],
    directory: &mut StateDirectory,
    names: &mut FileNames,
    epoch: u64,
) -> Result<u64, CheckpointError> {
    let path = directory.path().to_owned();
    let failed = |source| CheckpointError::Flush {
        epoch,
        directory: path.clone(),
        source: Arc::new(source),
    };
    let mut made = false;
    for (files, frozen) in &mut *logs {
        made |= files.make_files(frozen, directory, names).map_err(failed)?;
    }
    if made {
        directory.sync_new_names()?;
    }
    let runs = logs.iter().flat_map(|(files, frozen)| files.runs(frozen));
    let writes: Vec<_> = runs.map(Run::write).collect();
    let bytes = writes.iter().map(|write| write.bytes.len() as u64).sum();
    directory.disk().flush(&writes).map_err(failed)?;
    Ok(bytes)
}

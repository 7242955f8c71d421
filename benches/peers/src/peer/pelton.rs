//! Pelton's log, with its settings as they come: touched 32 keys at a time and maintained every 1,024
//! records, as a stage does.
//!
//! A checkpoint freezes the log. In [`Pelton`] it then writes what no file has yet, a file for each
//! segment, and waits until the disk has it: what `checkpoint/` does, but for checksums and the
//! manifest, and but for its thread, which would do this beside the stage. So this is the slower way.
//! In [`PeltonInMemory`] the log is told at once that all is durable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pelton::clock::Clock;
use pelton::io::disk::{Disk, FlushEngine, FlushWrite, RealDisk, SharedFile};
use pelton::record::KeyHash;
use pelton::state::{DurableSegment, FrozenLog, Store, StoreSettings};
use pelton_benches::log::{Beside, Checkpointed, change_in_turns, filled};

use super::Peer;

pub(crate) struct Pelton {
    store: Store,
    beside: Beside,
    disk: RealDisk,
    directory: PathBuf,
    files: BTreeMap<u32, SegmentFile>,
}

struct SegmentFile {
    file: SharedFile,
    flushed_bytes: u32,
}

impl Peer for Pelton {
    const NAME: &'static str = "pelton";

    fn filled(key_count: u64, directory: &Path) -> Self {
        let beside = Beside::start();
        let mut pelton = Self {
            store: filled(key_count, &beside),
            beside,
            disk: RealDisk::new(FlushEngine::Auto).expect("a way to flush"),
            directory: directory.to_owned(),
            files: BTreeMap::new(),
        };
        pelton.checkpoint();
        pelton
    }

    fn change_all(&mut self, records: &[(KeyHash, u64)]) -> u64 {
        change_in_turns(&mut self.store, records)
    }

    fn checkpoint(&mut self) {
        let frozen = self.store.freeze();
        self.make_files(&frozen);
        self.flush(&frozen);
        self.remove_files(&frozen);
        let mut durable = Vec::new();
        for segment in &frozen.segments {
            if let Some(known) = self.files.get_mut(&segment.number) {
                known.flushed_bytes = segment.frozen_bytes;
                let (number, bytes) = (segment.number, segment.frozen_bytes);
                durable.push(DurableSegment { number, bytes, file: None });
            }
        }
        self.beside.take(self.store.note_durable(durable));
    }
}

impl Pelton {
    fn path_of(&self, number: u32) -> PathBuf {
        self.directory.join(format!("segment-{number}"))
    }

    fn make_files(&mut self, frozen: &FrozenLog) {
        let segment_bytes = StoreSettings::default().segment_bytes as u64;
        let file_count = self.files.len();
        for segment in &frozen.segments {
            if segment.frozen_bytes > 0 && !self.files.contains_key(&segment.number) {
                let path = self.path_of(segment.number);
                let file = self.disk.create(&path, segment_bytes).expect("room on the disk");
                self.files.insert(segment.number, SegmentFile { file, flushed_bytes: 0 });
            }
        }
        if self.files.len() > file_count {
            self.disk.sync_directory(&self.directory).expect("a directory that syncs");
        }
    }

    fn flush(&self, frozen: &FrozenLog) {
        let writes: Vec<FlushWrite<'_>> = frozen
            .segments
            .iter()
            .filter_map(|segment| {
                let SegmentFile { file, flushed_bytes } = self.files.get(&segment.number)?;
                let (from, to) = (*flushed_bytes as usize, segment.frozen_bytes as usize);
                let bytes = segment.bytes.as_deref().filter(|_| from < to)?;
                Some(FlushWrite { file, offset: from as u64, bytes: &bytes[from..to] })
            })
            .collect();
        self.disk.flush(&writes).expect("a disk that takes writes");
    }

    /// What compaction has let go.
    fn remove_files(&mut self, frozen: &FrozenLog) {
        let Some(first) = frozen.segments.first() else {
            return;
        };
        let kept = self.files.split_off(&first.number);
        for (number, _) in std::mem::replace(&mut self.files, kept) {
            self.disk.remove(&self.path_of(number)).expect("a file that is there");
        }
    }
}

pub(crate) struct PeltonInMemory(Checkpointed);

impl Peer for PeltonInMemory {
    const NAME: &'static str = "pelton, in memory";

    fn filled(key_count: u64, _: &Path) -> Self {
        let beside = Beside::start();
        let store = filled(key_count, &beside);
        let mut log = Checkpointed::new(store, beside, Clock::machine());
        log.checkpoint();
        Self(log)
    }

    fn change_all(&mut self, records: &[(KeyHash, u64)]) -> u64 {
        self.0.change_in_turns(records)
    }

    fn checkpoint(&mut self) {
        self.0.checkpoint();
    }
}

//! Step 8, checkpoint: copies of an epoch that a person owns.
//!
//! Takes a manifest of this directory; hands on another directory that holds all that it names, and
//! nothing more.
//!
//! Invariants
//! 1. Bytes are compared to their checksums on the way: what is broken is not copied.
//! 2. The manifest comes last, so a copy without one is half of a copy.
//!
//! Why copies and not links: a segment's file grows behind the bytes that the manifest names, and a
//! savepoint may go to another file system.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{DirectoryError, Manifest, SegmentManifest, StateDirectory};

impl StateDirectory {
    /// Copies an epoch to a new or empty directory, durably.
    ///
    /// # Errors
    /// There is something in `target`; what is to be copied is broken; the disk refuses. What was
    /// copied so far is removed, as far as that is possible.
    pub fn copy_savepoint(&self, manifest: &Manifest, target: &Path) -> Result<(), DirectoryError> {
        let mut copy = Self::unlocked(Arc::clone(&self.disk), target);
        match self.disk.list(target) {
            Ok(names) => {
                if let Some(file) = names.first() {
                    let advice = "name a new or an empty directory";
                    return Err(copy.not_empty(file, "nothing", advice));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let make = self.disk.create_directory(target);
                make.map_err(DirectoryError::io("make the directory", target))?;
            }
            Err(error) => return Err(DirectoryError::io("list", target)(error)),
        }
        let segments: Vec<&SegmentManifest> =
            manifest.logs.iter().flat_map(|log| &log.segments).collect();
        let copied = self.copy_segments(&segments, &mut copy).and_then(|()| {
            let manifest = Manifest { savepoint: true, ..manifest.clone() };
            copy.write_manifest(&manifest).map(|_| ())
        });
        if copied.is_err() {
            for segment in segments {
                // Without its manifest it is no savepoint, whether it goes or not.
                let _ = self.disk.remove(&copy.path_of(&segment.file));
            }
        }
        copied
    }

    fn copy_segments(
        &self,
        segments: &[&SegmentManifest],
        copy: &mut Self,
    ) -> Result<(), DirectoryError> {
        let mut bytes = Vec::new();
        for segment in segments {
            bytes.resize(usize::try_from(segment.bytes).expect("a segment fits into memory"), 0);
            self.load_segment(segment, &mut bytes)?;
            let path = copy.path_of(&segment.file);
            let write = || {
                let file = self.disk.create(&path, bytes.len() as u64)?;
                file.write_at(0, &bytes)?;
                file.sync_data()
            };
            write().map_err(DirectoryError::io("write", &path))?;
        }
        copy.sync_names(&copy.path.clone())
    }
}

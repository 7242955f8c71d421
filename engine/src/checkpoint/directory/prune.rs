//! Step 8, checkpoint: removing what no manifest needs.
//!
//! Takes how many manifests are kept; hands on a directory without the others and their segments.
//!
//! Why the directory is listed each time, and not a list of what may go kept in memory: whatever a
//! crash or a failed flush left behind goes too, and it is a few hundred names a checkpoint.

use std::collections::BTreeSet;
use std::io;

use super::{Damage, DirectoryError, Listing, ManifestError, StateDirectory};

impl StateDirectory {
    /// Keeps the newest `count` manifests and the segments that they name, and removes the others.
    ///
    /// To be called after a publish, when the newest manifest names every segment in use.
    ///
    /// # Errors
    /// The disk refuses. What stayed behind goes the next time.
    ///
    /// # Panics
    /// `count` is 0.
    pub fn retain(&mut self, count: usize) -> Result<(), DirectoryError> {
        assert!(count > 0, "a directory keeps its newest manifest");
        let mut listing = self.list()?;
        let older = listing.manifests.len().saturating_sub(count);
        let older: Vec<String> = listing.manifests.drain(..older).map(|(_, file)| file).collect();
        self.remove_durably(&older)?;
        self.remove_unnamed(&listing)
    }

    /// Removes what an earlier run has left: newer manifests that are broken, unfinished ones, and
    /// segments that no manifest names. The job goes on from the [`StateDirectory::newest`].
    ///
    /// # Errors
    /// The disk refuses.
    pub fn settle(&mut self) -> Result<(), DirectoryError> {
        let listing = self.list()?;
        let newest = self.newest()?;
        let fell_back = newest.iter().flat_map(|found| &found.fell_back);
        let broken: Vec<String> = fell_back.map(|(file, _)| file.clone()).collect();
        self.remove_durably(&broken)?;
        self.remove_all(&listing.unfinished)?;
        self.remove_leftovers()?;
        // The manifest that is gone on from may have got its name just before a crash: outputs commit
        // by it next, so the name must be durable.
        self.sync_new_names()
    }

    /// Removes segments that no manifest names.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn remove_leftovers(&mut self) -> Result<(), DirectoryError> {
        let listing = self.list()?;
        self.remove_unnamed(&listing)
    }

    /// Removes all state, the newest manifest last: half of it is never taken for the whole.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn clear(&mut self) -> Result<(), DirectoryError> {
        let mut listing = self.list()?;
        let newest: Vec<String> =
            listing.manifests.pop().map(|(_, file)| file).into_iter().collect();
        let older: Vec<String> = listing.manifests.drain(..).map(|(_, file)| file).collect();
        self.remove_durably(&older)?;
        self.remove_durably(&newest)?;
        self.remove_all(&listing.unfinished)?;
        self.remove_durably(&listing.segments)?;
        self.broken.clear();
        Ok(())
    }

    /// Removes the segments that no manifest of the listing names.
    fn remove_unnamed(&mut self, listing: &Listing) -> Result<(), DirectoryError> {
        let mut named = BTreeSet::new();
        for (epoch, file) in &listing.manifests {
            match self.read(*epoch, file) {
                Ok(manifest) => {
                    let segments = manifest.logs.into_iter().flat_map(|log| log.segments);
                    named.extend(segments.map(|segment| segment.file));
                }
                // What a newer engine's manifest names is not known: nothing can be removed.
                Err(DirectoryError::Broken {
                    damage: Damage::Manifest(ManifestError::Version { .. }),
                    ..
                }) => return Ok(()),
                // It can't be gone on from, so it needs nothing.
                Err(DirectoryError::Broken { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let unnamed = listing.segments.iter().filter(|file| !named.contains(*file)).cloned();
        let unnamed: Vec<String> = unnamed.collect();
        self.remove_all(&unnamed)
    }

    /// Removes files, and makes that durable.
    fn remove_durably(&mut self, files: &[String]) -> Result<(), DirectoryError> {
        if files.is_empty() {
            return Ok(());
        }
        self.remove_all(files)?;
        self.sync_names(&self.path.clone())
    }

    fn remove_all(&mut self, files: &[String]) -> Result<(), DirectoryError> {
        assert!(self.is_claimed || files.is_empty(), "whoever removes has claimed it");
        self.check_decided()?;
        for file in files {
            let path = self.path_of(file);
            match self.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(DirectoryError::io("remove", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

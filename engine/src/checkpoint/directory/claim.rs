//! Step 8, checkpoint: whose a state directory is.
//!
//! Takes a directory that was opened; hands on one that nobody else writes to.
//!
//! Why not claimed at once by opening it: a start can be refused for long after, by what the
//! manifests say, by an input or an output, and then nothing may have changed. The lock alone is
//! taken early where its file is there, so that a second process is told before it reads all state.

use std::io;

use super::names::{LOCK, Listing, PROBE};
use super::{DirectoryError, StateDirectory};
use crate::io::disk::DiskLock;

/// The number of a process that has the lock and has not said its number.
const UNKNOWN: &str = "(unknown)";

impl StateDirectory {
    /// Makes the directory the job's: from here on it may be changed.
    ///
    /// # Errors
    /// Another process has it, or had it since it was opened; it can't be written.
    ///
    /// # Panics
    /// The directory was opened for reading only.
    pub fn claim(&mut self) -> Result<(), DirectoryError> {
        if let Some(seen) = &self.seen {
            let make = self.disk.create_directory(&self.path);
            make.map_err(DirectoryError::io("make the directory", &self.path))?;
            let lock = self.take_lock()?;
            if (Listing { has_lock: false, ..self.list()? }) != *seen {
                let (directory, process) = (self.path.clone(), UNKNOWN.to_owned());
                return Err(DirectoryError::InUse { directory, process });
            }
            self.lock = Some(lock);
            self.seen = None;
        }
        self.probe()?;
        let lock = self.lock.as_mut().expect("a directory to read from is not claimed");
        lock.keep();
        self.is_claimed = true;
        Ok(())
    }

    pub(super) fn take_lock(&self) -> Result<Box<dyn DiskLock>, DirectoryError> {
        let path = self.path_of(LOCK);
        self.disk.lock(&path).map_err(|source| {
            if source.kind() == io::ErrorKind::WouldBlock {
                let directory = self.path.clone();
                return DirectoryError::InUse { directory, process: self.lock_holder() };
            }
            DirectoryError::Io { doing: "lock", path, source }
        })
    }

    /// Who has the lock, as far as its file says.
    fn lock_holder(&self) -> String {
        let read = || {
            let file = self.disk.open(&self.path_of(LOCK), false)?;
            let mut bytes = vec![0; usize::try_from(file.len_bytes()?.min(20)).unwrap_or(0)];
            file.read_at(0, &mut bytes)?;
            Ok::<_, io::Error>(bytes)
        };
        let digits = read().unwrap_or_default();
        let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        let digits = String::from_utf8(digits).ok().filter(|_| is_number);
        digits.unwrap_or_else(|| UNKNOWN.to_owned())
    }

    /// Whether names can be made here: else the first checkpoint would say so, after the job's first
    /// second of work.
    fn probe(&self) -> Result<(), DirectoryError> {
        let path = self.path_of(PROBE);
        let made = self.disk.create(&path, 0).and_then(|_| self.disk.remove(&path));
        made.map_err(DirectoryError::io("write to", &self.path))
    }
}

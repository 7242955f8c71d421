//! What a failed sync leaves behind: a file that nobody writes to or syncs again.
//!
//! Takes the first failure; hands on [`Latched`] for every later call.
//!
//! Invariants
//! 1. A latch that is set stays set. There is no way to clear one but to open the file again, and
//!    that is a restart: its reader verifies what it finds.
//! 2. The first failure is what the system said; only the later ones are [`Latched`].
//!
//! Why not to try again: after a failed fsync a kernel may mark the lost pages clean, so the next
//! fsync answers well and the data is gone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The payload of the error that a latched file answers with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a sync or flush of \"{}\" failed before, so its data may be lost; \
     restart from the last manifest",
    path.display()
)]
pub struct Latched {
    /// The file, as it was opened.
    pub path: PathBuf,
}

/// Whether an error says that its file is latched, by an earlier failure.
#[must_use]
pub fn is_latched(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|payload| payload.is::<Latched>())
}

/// The mark on an open file.
#[derive(Debug)]
pub(super) struct Latch {
    path: PathBuf,
    // Relaxed: the mark guards no other memory, and whoever hands the file to another thread after
    // a failure orders the two by doing so.
    is_set: AtomicBool,
}

impl Latch {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), is_set: AtomicBool::new(false) }
    }

    pub(super) fn set(&self) {
        self.is_set.store(true, Ordering::Relaxed);
    }

    pub(super) fn check(&self) -> io::Result<()> {
        if self.is_set.load(Ordering::Relaxed) {
            return Err(io::Error::other(Latched { path: self.path.clone() }));
        }
        Ok(())
    }

    /// Passes an answer on, and sets the mark where it is a failure.
    pub(super) fn guard<T>(&self, answer: io::Result<T>) -> io::Result<T> {
        if answer.is_err() {
            self.set();
        }
        answer
    }
}

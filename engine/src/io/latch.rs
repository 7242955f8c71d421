//! The first failure of an output: nothing is written after it, and it is told in full once.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::output_error::OutputError;

/// The first failure of a file.
#[derive(Debug)]
pub(super) struct Latch {
    path: PathBuf,
    has_failed: AtomicBool,
    failure: Mutex<Failure>,
}

#[derive(Debug, Default)]
struct Failure {
    error: Option<OutputError>,
    reported: bool,
}

impl Latch {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            has_failed: AtomicBool::new(false),
            failure: Mutex::default(),
        }
    }

    /// Cheap: one load.
    pub(super) fn has_failed(&self) -> bool {
        // Relaxed: what failed is read under the lock.
        self.has_failed.load(Ordering::Relaxed)
    }

    pub(super) fn fail(&self, error: impl FnOnce(PathBuf) -> OutputError) {
        let mut failure = lock(&self.failure);
        if failure.error.is_none() {
            failure.error = Some(error(self.path.clone()));
        }
        self.has_failed.store(true, Ordering::Relaxed);
    }

    /// The failure itself to the first who asks, `PreviousIo` to all others.
    pub(super) fn check(&self) -> Result<(), OutputError> {
        if !self.has_failed() {
            return Ok(());
        }
        let mut failure = lock(&self.failure);
        match failure.error.clone() {
            None => Ok(()),
            Some(error) if failure.reported => Err(error.as_previous()),
            Some(error) => {
                failure.reported = true;
                Err(error)
            }
        }
    }
}

/// What the locks of this file guard is whole at every step, so a panic elsewhere spoils nothing.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

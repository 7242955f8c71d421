//! Records that a closure makes up.

use super::{Next, Split};
use crate::record::Record;

/// A split whose records come from a closure. Seed the closure, and the same records come again.
pub struct GeneratorSplit<R, F> {
    name: String,
    make: F,
    sequence: u64,
    held: Option<R>,
    ended: bool,
}

impl<R: Record, F: FnMut(u64) -> Option<R> + Send> GeneratorSplit<R, F> {
    /// `make` is asked for record 0, 1, 2 and so on, until it answers `None`.
    #[must_use]
    pub fn new(name: impl Into<String>, make: F) -> Self {
        Self { name: name.into(), make, sequence: 0, held: None, ended: false }
    }
}

impl<R: Record, F: FnMut(u64) -> Option<R> + Send> Split<R> for GeneratorSplit<R, F> {
    #[inline]
    fn next(&mut self) -> Next<'_, R> {
        if !self.ended {
            self.held = (self.make)(self.sequence);
            self.sequence += 1;
        }
        match &self.held {
            Some(record) => Next::Record(record.view()),
            None => {
                self.ended = true;
                Next::Ended
            }
        }
    }

    fn bounded(&self) -> bool {
        true
    }

    fn name(&self) -> &str {
        &self.name
    }
}

//! Records that a closure makes up.

use super::position::{put_count, read_count};
use super::{Next, SeekError, SourceError, Split};
use crate::record::Record;

/// A split whose records come from a closure. Seed the closure, and the same records come again.
///
/// A run that resumes asks the closure for every record before the position too, in their order,
/// and drops them: a closure that carries state (a seeded generator of chances) is then where it
/// was. So resuming costs the making of all records before it, and the closure must answer the
/// same in each run.
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
        }
        match &self.held {
            Some(record) => {
                self.sequence += 1;
                Next::Record(record.view())
            }
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

    fn position(&self, out: &mut Vec<u8>) {
        put_count(self.sequence, out);
    }

    fn seek(&mut self, position: &[u8], sequence: u64) -> Result<(), SourceError> {
        let expected = read_count(position, sequence).map_err(|error| error.of(&self.name))?;
        for found in 0..expected {
            if (self.make)(found).is_none() {
                let error = SeekError::FewerRecords { expected_min: expected, found };
                return Err(error.of(&self.name));
            }
        }
        self.sequence = expected;
        Ok(())
    }
}

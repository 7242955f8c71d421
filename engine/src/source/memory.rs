//! Splits for tests and small jobs: records from a vector, and splits that stall by a seed.

use super::position::{put_count, read_count};
use super::{Next, SeekError, SourceError, Split};
use crate::io::Wake;
use crate::record::Record;

/// The records of a vector, in order.
pub struct VecSplit<R> {
    name: String,
    records: Vec<R>,
    next_index: usize,
}

impl<R: Record> VecSplit<R> {
    /// A split that hands out `records`.
    #[must_use]
    pub fn new(name: impl Into<String>, records: Vec<R>) -> Self {
        Self { name: name.into(), records, next_index: 0 }
    }
}

impl<R: Record> Split<R> for VecSplit<R> {
    #[inline]
    fn next(&mut self) -> Next<'_, R> {
        match self.records.get(self.next_index) {
            Some(record) => {
                self.next_index += 1;
                Next::Record(record.view())
            }
            None => Next::Ended,
        }
    }

    fn bounded(&self) -> bool {
        true
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn position(&self, out: &mut Vec<u8>) {
        put_count(self.next_index as u64, out);
    }

    fn seek(&mut self, position: &[u8], sequence: u64) -> Result<(), SourceError> {
        let expected = read_count(position, sequence).map_err(|error| error.of(&self.name))?;
        let found = self.records.len();
        self.next_index = usize::try_from(expected).unwrap_or(usize::MAX);
        if self.next_index > found {
            let error = SeekError::FewerRecords { expected_min: expected, found: found as u64 };
            return Err(error.of(&self.name));
        }
        Ok(())
    }
}

/// Another split that has nothing at hand now and then. The stalls follow from the seed alone.
pub struct ScriptedSplit<S> {
    inner: S,
    chance: u64,
    stalls_in_256: u8,
    wake: Option<Wake>,
}

impl<S> ScriptedSplit<S> {
    /// Stalls before about `stalls_in_256` of 256 answers.
    #[must_use]
    pub fn new(inner: S, seed: u64, stalls_in_256: u8) -> Self {
        Self { inner, chance: seed, stalls_in_256, wake: None }
    }

    /// Calls `wake` at each stall, as a reader thread would when bytes arrive.
    #[must_use]
    pub fn with_wake(mut self, wake: Wake) -> Self {
        self.wake = Some(wake);
        self
    }

    /// splitmix64.
    fn chance_byte(&mut self) -> u8 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()[0]
    }
}

impl<R: Record, S: Split<R>> Split<R> for ScriptedSplit<S> {
    fn next(&mut self) -> Next<'_, R> {
        if self.chance_byte() < self.stalls_in_256 {
            if let Some(wake) = &self.wake {
                wake();
            }
            return Next::Pending;
        }
        self.inner.next()
    }

    fn bounded(&self) -> bool {
        self.inner.bounded()
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    /// The other split's: where it stalls from here on is not part of it.
    fn position(&self, out: &mut Vec<u8>) {
        self.inner.position(out);
    }

    fn seek(&mut self, position: &[u8], sequence: u64) -> Result<(), SourceError> {
        self.inner.seek(position, sequence)
    }
}

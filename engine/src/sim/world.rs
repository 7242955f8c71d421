//! What a job that is simulated is built in: its paths, its chances and what stalls.

use std::path::{Path, PathBuf};

use super::chance::Chance;
use super::stalling::StallingSink;
use crate::source::ScriptedSplit;

/// Where output files are.
pub(super) const OUTPUTS: &str = "/out";
/// Where the job's state is.
pub(super) const STATE: &str = "/state";

/// One run, as the function sees it that builds the job.
#[derive(Debug, Clone)]
pub struct World {
    pub(super) seed: u64,
    pub(super) run: u32,
    pub(super) shard_count: u16,
    pub(super) stalls_in_256: u8,
}

impl World {
    /// The path of an output file or directory on the simulated disk.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        Path::new(OUTPUTS).join(name)
    }

    /// Chance that is the same in every run: for the input.
    #[must_use]
    pub fn chance(&self) -> Chance {
        Chance::new(self.seed)
    }

    /// Chance that is another in every run: for what results may not depend on.
    #[must_use]
    pub fn run_chance(&self) -> Chance {
        Chance::new(self.seed ^ ((u64::from(self.run) + 1) << 40))
    }

    /// Which run this is, from 0.
    #[must_use]
    pub fn run(&self) -> u32 {
        self.run
    }

    /// How many shards it has.
    #[must_use]
    pub fn shard_count(&self) -> u16 {
        self.shard_count
    }

    /// A split that has nothing at hand now and then; `number` tells splits apart.
    #[must_use]
    pub fn stalled<S>(&self, split: S, number: u64) -> ScriptedSplit<S> {
        let mut chance = self.run_chance();
        let seed = chance.number() ^ number;
        ScriptedSplit::new(split, seed, self.stalls_in_256)
    }

    /// An output that refuses items now and then, and is not prepared when it is asked first.
    #[must_use]
    pub fn stalling<S>(&self, sink: S) -> StallingSink<S> {
        StallingSink::new(sink, self.run_chance().fork(), self.stalls_in_256)
    }
}

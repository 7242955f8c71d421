//! How a job is run: shards, driver, waiting, rings, rate.

use crate::shard::park::WaitStrategy;

use super::checkpoints::Checkpoints;
use super::limits;

/// What turns the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Driver {
    /// glommio where io_uring is allowed and every shard has a core, plain threads elsewhere.
    #[default]
    Auto,
    /// One glommio executor a shard.
    Glommio,
    /// One plain thread a shard.
    Threads,
    /// One thread for all shards, in an order decided by the seed, on a simulated clock.
    Simulator {
        /// The seed: the same seed gives the same run.
        seed: u64,
    },
}

impl Driver {
    /// As reports name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Glommio => "glommio",
            Self::Threads => "threads",
            Self::Simulator { .. } => "simulator",
        }
    }
}

/// The settings of one run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many shards; by default one for each core.
    pub shard_count: u16,
    /// What turns them.
    pub driver: Driver,
    /// How a shard waits for work; by default by the number of cores.
    pub wait: Option<WaitStrategy>,
    /// Whether shards are pinned to cores, where there are enough of them.
    pub pinned: bool,
    /// The room of one ring.
    pub ring_bytes: usize,
    /// Records per second over all shards, on a fixed schedule; as fast as they come without.
    pub rate: Option<f64>,
    /// Where and how often state is made durable; never without.
    pub checkpoints: Option<Checkpoints>,
    /// Skips turns and stages at random, by this seed: for tests.
    pub stall_seed: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            shard_count: core_count(),
            driver: Driver::Auto,
            wait: None,
            pinned: true,
            ring_bytes: limits::RING_BYTES_DEFAULT,
            rate: None,
            checkpoints: None,
            stall_seed: None,
        }
    }
}

/// How many cores this thread may use. Asked before anything is pinned.
#[must_use]
pub fn core_count() -> u16 {
    let cores = core_affinity::get_core_ids().map_or(1, |cores| cores.len());
    u16::try_from(cores).unwrap_or(limits::SHARD_COUNT_MAX).clamp(1, limits::SHARD_COUNT_MAX)
}

//! One run of one store: how long the records take, checkpoints included.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::fmt;

use pelton::clock::Clock;
use pelton::record::KeyHash;
use pelton_benches::state::{Draw, draw_keys};
use rustix::time::{ClockId, clock_gettime};

use crate::peer::Peer;

const ROUNDS: usize = 2;

/// What every store is asked to do.
pub(crate) struct Run {
    key_count: u64,
    draw: Draw,
    records: Vec<(KeyHash, u64)>,
    checkpoint_records: usize,
}

/// What it came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    /// Of all that was read, in both rounds: the same for every store.
    pub(crate) sum: u64,
    /// A record, as the calling thread waits for it.
    wall_ns: f64,
    /// A record, on all threads.
    cpu_ns: f64,
    /// The longest that a checkpoint held up the calling thread.
    checkpoint_ms_max: f64,
}

impl Run {
    pub(crate) fn new(
        key_count: u64,
        draw: Draw,
        record_count: usize,
        checkpoint_records: usize,
    ) -> Self {
        let records = draw_keys(key_count, record_count, draw);
        Self { key_count, draw, records, checkpoint_records }
    }

    pub(crate) fn measure<P: Peer>(&self) -> Measured {
        let directory = tempfile::tempdir().expect("a directory for data");
        let mut peer = P::filled(self.key_count, directory.path());
        let clock = Clock::machine();
        let mut best = self.round(&mut peer, &clock);
        for _ in 1..ROUNDS {
            let round = self.round(&mut peer, &clock);
            let sum = best.sum + round.sum;
            best = if round.wall_ns < best.wall_ns { round } else { best };
            best.sum = sum;
        }
        best
    }

    fn round<P: Peer>(&self, peer: &mut P, clock: &Clock) -> Measured {
        let (mut sum, mut checkpoint_ns_max) = (0, 0);
        let (start_ns, start_cpu_ns) = (clock.now_ns(), cpu_ns());
        for records in self.records.chunks(self.checkpoint_records) {
            sum += peer.change_all(records);
            let begun_ns = clock.now_ns();
            peer.checkpoint();
            checkpoint_ns_max = checkpoint_ns_max.max(clock.now_ns() - begun_ns);
        }
        let (wall_ns, cpu_ns) = (clock.now_ns() - start_ns, cpu_ns() - start_cpu_ns);
        Measured {
            name: P::NAME,
            sum,
            wall_ns: wall_ns as f64 / self.records.len() as f64,
            cpu_ns: cpu_ns as f64 / self.records.len() as f64,
            checkpoint_ms_max: checkpoint_ns_max as f64 / 1e6,
        }
    }
}

/// The processor time of all threads of this process.
fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).expect("it starts at nought")
}

/// The head of the table of [`Row`]s.
pub(crate) const HEAD: &str = "\
| keys     | drawn   | store             | wall ns           | cpu ns            | checkpoint ms max |
|----------|---------|-------------------|-------------------|-------------------|-------------------|";

/// A store, and how often its figures are ours.
pub(crate) struct Row<'r> {
    pub(crate) run: &'r Run,
    pub(crate) measured: Measured,
    pub(crate) ours: Measured,
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, measured, ours } = self;
        write!(
            f,
            "| {:>8} | {:<7} | {:<17} | {:7.1} ({:5.2} x) | {:7.1} ({:5.2} x) | {:17.1} |",
            run.key_count,
            format!("{:?}", run.draw),
            measured.name,
            measured.wall_ns,
            measured.wall_ns / ours.wall_ns,
            measured.cpu_ns,
            measured.cpu_ns / ours.cpu_ns,
            measured.checkpoint_ms_max,
        )
    }
}

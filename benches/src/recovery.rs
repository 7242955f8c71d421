//! Steps 7 and 8: from the start of a job that has state to its first output, and what a checkpoint
//! writes for what was changed.
//!
//! A job keeps 64 bytes for each key. It is filled, a part of its keys is changed between two
//! checkpoints, and it is suspended. Then it is started again and again, is handed one record, and is
//! aborted once that record's row has come out. *Warm*: the files are in the page cache, as after a
//! crash of the process. *Cold*: the page cache was dropped, as after a crash of the machine. With as
//! many shards as before the files are adopted as they are; with another number every entry is
//! imported.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pelton::chain::operators::{ProcessContext, ProcessFunction, States, ValueState};
use pelton::clock::Clock;
use pelton::job::Checkpoints;
use pelton::sink::callback;
use pelton::source::PushInput;
use pelton::{Driver, Engine, Job, RunningJob};

/// Of a key's state: what was changed with it counts as so many bytes.
const VALUE_BYTES: u64 = 64;

/// A change of one key.
#[pelton::record]
struct Change {
    key: u64,
}

/// A key's state.
#[pelton::state]
struct Kept {
    fields: [u64; 8],
}

const KEPT: ValueState<Kept> = ValueState::new(0);

#[derive(Clone)]
struct Keep;

impl ProcessFunction for Keep {
    type Key = u64;
    type In = Change;
    type Out = Change;

    fn states(&self, states: &mut States) {
        states.value("kept", KEPT);
    }

    fn on_record(&mut self, context: &mut ProcessContext<'_, Change>, _: u64, change: ChangeView) {
        let mut kept = context.get(KEPT).unwrap_or_default();
        kept.fields = kept.fields.map(|field| field + 1);
        context.set(KEPT, kept);
        context.emit(change);
    }
}

/// One start.
#[derive(Debug, Clone, Copy)]
pub struct Recovery {
    /// On how many shards; the job was suspended on [`Recoveries::shards`].
    pub shards: u16,
    /// Whether the page cache was dropped before.
    pub cold: bool,
    /// From before the start to the first row.
    pub first_row_ms: f64,
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct Recoveries {
    /// How many keys there are.
    pub key_count: u64,
    /// How long the log was.
    pub log_mib: u64,
    /// On how many shards the job was filled.
    pub shards: u16,
    /// How many keys were changed between two checkpoints.
    pub changed_count: u64,
    /// What the second of them wrote, for each byte of values that was changed.
    pub bytes_a_changed_byte: f64,
    /// The starts.
    pub starts: Vec<Recovery>,
}

impl fmt::Display for Recoveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} keys, {} MiB of log on {} shards; {} keys changed: {:.2} bytes written a changed byte",
            self.key_count,
            self.log_mib,
            self.shards,
            self.changed_count,
            self.bytes_a_changed_byte
        )?;
        writeln!(f, "| shards | page cache | first row ms |")?;
        write!(f, "|--------|------------|--------------|")?;
        for Recovery { shards, cold, first_row_ms } in &self.starts {
            let cache = if *cold { "cold" } else { "warm" };
            write!(f, "\n| {shards:>6} | {cache:<10} | {first_row_ms:>12.0} |")?;
        }
        Ok(())
    }
}

/// A job that runs on a state directory.
struct Started {
    running: RunningJob,
    input: PushInput<Change>,
    /// How many rows have come out.
    rows: Arc<AtomicU64>,
}

fn start(directory: &Path, shards: u16) -> Started {
    let job = Job::new();
    let (changes, input) = job.push::<Change>(1 << 16);
    let rows = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&rows);
    changes.key_by(|change, key| key.of(change.key)).process(Keep).named("keep").to(callback::<
        Change,
        _,
    >(
        move |_, _| {
            told.fetch_add(1, Ordering::Release);
        },
    ));
    let checkpoints = Checkpoints::new(directory).every(Duration::from_secs(86_400));
    let engine = Engine::new().shards(shards).driver(Driver::Threads).checkpoints(checkpoints);
    Started { running: engine.start(job).expect("a job that starts"), input, rows }
}

impl Started {
    /// Pushes changes of `keys`, and waits until their rows are out.
    fn change(&self, keys: impl Iterator<Item = u64>) {
        let before = self.rows.load(Ordering::Acquire);
        let mut count = 0;
        for key in keys {
            self.input.push(Change { key }).expect("a job that runs");
            count += 1;
        }
        while self.rows.load(Ordering::Acquire) < before + count {
            std::thread::park_timeout(Duration::from_micros(20));
        }
    }

    /// Makes a checkpoint; answers how many bytes it wrote.
    fn checkpoint(&self) -> u64 {
        let bytes = || self.running.checkpoints().map_or(0, |made| made.stats.bytes);
        let before = bytes();
        self.running.checkpoint().expect("a checkpoint");
        bytes() - before
    }
}

/// Fills a job in `directory` with `key_count` keys on `shards`, and starts it on as many and on
/// `others`, warm and, where the machine lets its page cache be dropped, cold.
///
/// # Panics
/// The directory can't be written.
#[must_use]
pub fn recoveries(directory: &Path, key_count: u64, shards: u16, others: &[u16]) -> Recoveries {
    let clock = Clock::machine();
    let filled = start(directory, shards);
    filled.change(0..key_count);
    filled.checkpoint();
    let changed_count = key_count / 10;
    filled.change((0..changed_count).map(|number| number * 10));
    let written_bytes = filled.checkpoint();
    let log_mib = filled.running.snapshot().total.state_bytes >> 20;
    filled.running.suspend().expect("a last checkpoint");
    let mut starts = Vec::new();
    for &shards in [shards].iter().chain(others) {
        for cold in [false, true] {
            if cold && !drop_page_cache() {
                continue;
            }
            let start_ns = clock.now_ns();
            let started = start(directory, shards);
            started.change(std::iter::once(key_count / 2));
            let first_row_ms = (clock.now_ns() - start_ns) as f64 / 1e6;
            started.running.abort();
            // It ends with «aborted», as it was asked to.
            let _ = started.running.join();
            starts.push(Recovery { shards, cold, first_row_ms });
        }
    }
    let bytes_a_changed_byte = written_bytes as f64 / (changed_count * VALUE_BYTES) as f64;
    Recoveries { key_count, log_mib, shards, changed_count, bytes_a_changed_byte, starts }
}

/// Only root may; says whether it was done.
fn drop_page_cache() -> bool {
    std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_job_is_started_on_as_many_shards_and_on_others() {
        let directory = tempfile::tempdir().expect("a directory");
        let measured = recoveries(directory.path(), 2_000, 1, &[2]);
        assert!(measured.starts.len() >= 2 && measured.log_mib < 16);
        assert!(measured.starts.iter().all(|start| start.first_row_ms > 0.0));
        // An entry's head and key, and the block that a flush is rounded up to.
        assert!(measured.bytes_a_changed_byte > 1.0, "{measured}");
    }
}

//! Latencies on their way from a shard to the control thread, without making the shard wait.
//!
//! Takes one value at a time on the recording end; hands on whole histograms on the reading end.
//!
//! Invariants
//! 1. The recorder owns one histogram and the reader lends one empty one: they are swapped, never
//!    copied or locked, so asking for the figures costs the shard two pointers.
//! 2. Every value is read once: it is in the recorder's histogram or in a swapped one, and what is
//!    left is handed over when the recorder is dropped.
//!
//! Why not hdrhistogram's own `SyncHistogram`: its recorders allocate and block while they swap.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Latency;

/// The shard's end. `Send`, not `Clone`.
#[derive(Debug)]
pub struct LatencyRecorder {
    local: Box<Latency>,
    cell: Arc<Cell>,
}

/// The control thread's end.
#[derive(Debug)]
pub struct LatencyReader {
    total: Latency,
    cell: Arc<Cell>,
}

#[derive(Debug, Default)]
struct Cell {
    wanted: AtomicBool,
    desk: Mutex<Desk>,
}

#[derive(Debug, Default)]
struct Desk {
    empty: Option<Box<Latency>>,
    filled: Option<Box<Latency>>,
    last: Option<Box<Latency>>,
}

/// A recorder and its reader.
#[must_use]
pub fn latency_relay() -> (LatencyRecorder, LatencyReader) {
    let cell = Arc::new(Cell::default());
    let recorder = LatencyRecorder { local: Box::default(), cell: Arc::clone(&cell) };
    let mut reader = LatencyReader { total: Latency::new(), cell };
    reader.lend(Box::default());
    (recorder, reader)
}

impl LatencyRecorder {
    /// Records one value.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.local.record(ns);
    }

    /// Hands over what was recorded, if the reader asks; called once a turn.
    #[inline]
    pub fn offer(&mut self) {
        // Relaxed: a hint. The desk's lock orders what is behind it.
        if self.cell.wanted.load(Ordering::Relaxed) {
            self.swap();
        }
    }

    #[cold]
    fn swap(&mut self) {
        // The reader holds the lock for a moment only; if it is now, the next turn will do.
        let Ok(mut desk) = self.cell.desk.try_lock() else {
            return;
        };
        if let Some(empty) = desk.empty.take() {
            desk.filled = Some(mem::replace(&mut self.local, empty));
            self.cell.wanted.store(false, Ordering::Relaxed);
        }
    }
}

impl Drop for LatencyRecorder {
    fn drop(&mut self) {
        let mut desk = self.cell.desk();
        desk.last = Some(mem::take(&mut self.local));
    }
}

impl LatencyReader {
    /// All that has been handed over so far; asks for more, which is there some turns later.
    pub fn read(&mut self) -> &Latency {
        let (filled, last) = {
            let mut desk = self.cell.desk();
            (desk.filled.take(), desk.last.take())
        };
        if let Some(last) = last {
            self.total.merge(&last);
        }
        if let Some(mut filled) = filled {
            self.total.merge(&filled);
            filled.clear();
            self.lend(filled);
        }
        &self.total
    }

    fn lend(&mut self, empty: Box<Latency>) {
        self.cell.desk().empty = Some(empty);
        self.cell.wanted.store(true, Ordering::Relaxed);
    }
}

impl Cell {
    fn desk(&self) -> std::sync::MutexGuard<'_, Desk> {
        // The desk is whole at every step, so a panic of the other end spoils nothing.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_read_once() {
        let (mut recorder, mut reader) = latency_relay();
        let writer = std::thread::spawn(move || {
            for value in 1..=100_000 {
                recorder.record(value);
                recorder.offer();
            }
        });
        while !writer.is_finished() {
            reader.read();
            std::thread::yield_now();
        }
        writer.join().unwrap();
        assert_eq!(reader.read().count(), 100_000);
        assert_eq!(reader.read().count(), 100_000);
    }
}

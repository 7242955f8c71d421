//! Step 4, ring: 64-byte frames from core to core, beside rtrb, crossbeam's queue and the machine.
//!
//! Takes an effort; hands on a report. All lanes run in each round, one after the other and in
//! another order each time, and ratios are taken within a round: on a shared machine whose cores
//! are near or far for seconds at a time nothing else compares.

mod lanes;
mod report;

use std::hint::spin_loop;
use std::sync::Barrier;
use std::thread;

use core_affinity::CoreId;
use hdrhistogram::Histogram;
use pelton::clock::Clock;

use lanes::{Blocks, CrossbeamQueue, Lane, Pelton, PeltonFrames, Receive, Rtrb, RtrbChunks, Send};
pub use report::Report;

/// One line of the processor's cache: a frame's header and 16 bytes of payload.
const MESSAGE_BYTES: usize = 64;
/// How many messages each lane holds.
const MESSAGES_MAX: usize = 2048;
const BATCH: usize = 256;

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    rounds: usize,
    messages_single: u64,
    messages_batched: u64,
    round_trips: u64,
    copied_bytes: usize,
}

/// About half a minute on a quiet machine. The rounds are many and short, so that most of them pass
/// between two interruptions by whatever else runs.
pub const FULL: Effort = Effort {
    rounds: 301,
    messages_single: 1 << 16,
    messages_batched: 1 << 17,
    round_trips: 1_000,
    copied_bytes: 8 << 20,
};

/// Well under a second: what the tests run.
pub const SMALL: Effort = Effort {
    rounds: 3,
    messages_single: 1 << 13,
    messages_batched: 1 << 14,
    round_trips: 200,
    copied_bytes: 1 << 20,
};

/// Measures everything, interleaved.
#[must_use]
pub fn run(effort: Effort) -> Report {
    let clock = Clock::machine();
    // Asked once, before anything is pinned: afterwards it would answer with one core.
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let bench = Bench { clock, cores, effort };
    let mut report = Report::default();
    for round in 0..effort.rounds {
        // Each turn of the list starts elsewhere.
        for turn in 0..8 {
            match (round + turn) % 8 {
                0 => bench.lane::<Pelton>(&mut report),
                1 => bench.lane::<Rtrb>(&mut report),
                2 => bench.lane::<RtrbChunks>(&mut report),
                3 => bench.lane::<CrossbeamQueue>(&mut report),
                4 => bench.lane::<Blocks>(&mut report),
                5 => bench.lane::<PeltonFrames>(&mut report),
                6 => report.line_round_trip_ns.push(bench.line_round_trip_ns()),
                _ => report.copied_bytes_per_ns.push(bench.copied_bytes_per_ns()),
            }
        }
    }
    report
}

struct Bench {
    clock: Clock,
    cores: Vec<CoreId>,
    effort: Effort,
}

impl Bench {
    fn lane<L: Lane>(&self, report: &mut Report) {
        let row = report.row(L::NAME);
        if L::TAKES_SINGLES {
            row.single.push(self.messages_per_us::<L>(1, self.effort.messages_single));
            self.round_trips::<L>(&mut row.round_trip_ns);
        }
        if L::TAKES_BATCHES {
            row.batched.push(self.messages_per_us::<L>(BATCH, self.effort.messages_batched));
        }
    }

    fn pin(&self, index: usize) {
        if let Some(core) = self.cores.get(index % self.cores.len().max(1)) {
            core_affinity::set_for_current(*core);
        }
    }

    /// Sends from one core to another, and checks what arrives.
    fn messages_per_us<L: Lane>(&self, batch: usize, message_count: u64) -> f64 {
        let (mut sender, mut receiver) = L::pair();
        let start = &Barrier::new(2);
        let elapsed_ns = thread::scope(|scope| {
            // The ends move into their threads: side by side on this stack they would share lines.
            scope.spawn(move || {
                self.pin(1);
                start.wait();
                let mut number = 0;
                while number < message_count {
                    sender.send(number, batch);
                    number += batch as u64;
                }
                // Kept alive until all is read, so that no lane pays for its closing.
                start.wait();
            });
            let reader = scope.spawn(move || {
                self.pin(0);
                start.wait();
                let started_ns = self.clock.now_ns();
                let (mut read_count, mut sum, mut wait) = (0, 0_u64, Wait::default());
                while read_count < message_count {
                    let (count, numbers) = receiver.take();
                    if count == 0 {
                        wait.turn();
                    } else {
                        wait = Wait::default();
                    }
                    read_count += count;
                    sum = sum.wrapping_add(numbers);
                }
                let elapsed_ns = self.clock.now_ns() - started_ns;
                start.wait();
                assert_eq!(sum, message_count * (message_count - 1) / 2, "each once");
                elapsed_ns
            });
            reader.join().expect("the reader ends")
        });
        message_count as f64 * 1e3 / elapsed_ns as f64
    }

    /// One message there, one back; each alone.
    fn round_trips<L: Lane>(&self, histogram: &mut Histogram<u64>) {
        let (mut there, mut arrival) = L::pair();
        let (mut back, mut answer) = L::pair();
        let count = self.effort.round_trips;
        thread::scope(|scope| {
            scope.spawn(move || {
                self.pin(1);
                for number in 0..count {
                    until(|| arrival.take() == (1, number));
                    back.send(number, 1);
                }
            });
            scope.spawn(move || {
                self.pin(0);
                for number in 0..count {
                    let sent_ns = self.clock.now_ns();
                    there.send(number, 1);
                    until(|| answer.take() == (1, number));
                    histogram.saturating_record(self.clock.now_ns() - sent_ns);
                }
            });
        });
    }

    /// The least a round trip can cost: one line, one word, two cores.
    fn line_round_trip_ns(&self) -> f64 {
        let count = self.effort.round_trips;
        let line = lanes::Line::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                self.pin(1);
                (0..count).for_each(|turn| line.answer(2 * turn + 1));
            });
            let asker = scope.spawn(|| {
                self.pin(0);
                let started_ns = self.clock.now_ns();
                (0..count).for_each(|turn| line.ask(2 * turn + 1));
                self.clock.now_ns() - started_ns
            });
            asker.join().expect("the line comes back") as f64 / count as f64
        })
    }

    fn copied_bytes_per_ns(&self) -> f64 {
        let from = vec![1_u8; self.effort.copied_bytes];
        let mut to = vec![2_u8; self.effort.copied_bytes];
        let started_ns = self.clock.now_ns();
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&to);
        self.effort.copied_bytes as f64 / (self.clock.now_ns() - started_ns) as f64
    }
}

/// Spins, but gives the core away where the other end seems to have lost its own.
#[derive(Default)]
struct Wait(u32);

impl Wait {
    #[inline]
    fn turn(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(1 << 14) {
            thread::yield_now();
        } else {
            spin_loop();
        }
    }
}

fn until(mut is_done: impl FnMut() -> bool) {
    let mut wait = Wait::default();
    while !is_done() {
        wait.turn();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_small_mode_runs_and_reports_every_lane() {
        let report = super::run(super::SMALL).to_string();
        for lane in ["pelton", "rtrb", "rtrb, chunks", "crossbeam ArrayQueue", "blocks"] {
            assert!(report.contains(lane), "{report}");
        }
    }
}

//! The terminal that hands items to a sink.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_utils::CachePadded;

use crate::clock::Clock;
use crate::metric::{Latency, LatencyReader, latency_relay};
use crate::record::{FrameHeader, Item, Marker};
use crate::sink::{Epoch, Meter, Sink, SinkFactory, SinkSeat};

use super::blueprint::{Blueprint, Wiring};
use super::plan::{Link, OutputPlan, type_name};
use super::push::{Flow, Push, Terminal, TerminalError};

/// What one output's shards measure, for the control thread.
#[derive(Debug, Default)]
pub(crate) struct OutputMeters {
    shards: Mutex<Vec<ShardMeters>>,
}

#[derive(Debug)]
struct ShardMeters {
    written: Arc<CachePadded<AtomicU64>>,
    marked: Arc<Marked>,
    latency: Option<(LatencyReader, LatencyReader)>,
}

/// What had been written when a marker passed. Two counts: an output may end while the epoch of its
/// last barrier still waits for a disk, and what came after that barrier is not that epoch's.
#[derive(Debug)]
struct Marked {
    /// The epoch of the last barrier; set after `at_barrier`.
    epoch: AtomicU64,
    at_barrier: AtomicU64,
    /// `NOT_ENDED` before the end.
    at_end: AtomicU64,
}

const NOT_ENDED: u64 = u64::MAX;

impl Default for Marked {
    fn default() -> Self {
        let (epoch, at_barrier) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { epoch, at_barrier, at_end: AtomicU64::new(NOT_ENDED) }
    }
}

impl Marked {
    /// `None` while the barrier is still on its way to the output, behind a fork that waits.
    fn of(&self, epoch: u64) -> Option<u64> {
        // Acquire, both: they pair with the release in `marker`. The end first: where it is seen, so is
        // every barrier before it.
        let at_end = self.at_end.load(Ordering::Acquire);
        if self.epoch.load(Ordering::Acquire) == epoch {
            return Some(self.at_barrier.load(Ordering::Relaxed));
        }
        (at_end != NOT_ENDED).then_some(at_end)
    }
}

/// What one shard's output counts.
struct ShardCounts {
    written: Arc<CachePadded<AtomicU64>>,
    marked: Arc<Marked>,
}

impl OutputMeters {
    /// Makes one shard's meters; `timed` when arrivals follow a schedule.
    fn open(&self, clock: &Clock, timed: bool) -> (ShardCounts, Meter) {
        let written = Arc::new(CachePadded::new(AtomicU64::new(0)));
        let (meter, latency) = if timed {
            let (handed, handed_reader) = latency_relay();
            let (visible, visible_reader) = latency_relay();
            (Meter::new(clock.clone(), handed, visible), Some((handed_reader, visible_reader)))
        } else {
            (Meter::silent(), None)
        };
        let marked = Arc::new(Marked::default());
        let counts = ShardCounts { written: Arc::clone(&written), marked: Arc::clone(&marked) };
        let shard = ShardMeters { written, marked, latency };
        self.shards.lock().unwrap_or_else(PoisonError::into_inner).push(shard);
        (counts, meter)
    }

    /// How many items the shards' sinks have taken.
    pub(crate) fn records_out(&self) -> u64 {
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        // Relaxed: a statistic read by copy.
        shards.iter().map(|shard| shard.written.load(Ordering::Relaxed)).sum()
    }

    /// How many items the shards' sinks had taken at the barrier of `epoch`, those that had ended
    /// before it in all. `None` while some shard's has not come to that barrier.
    pub(crate) fn records_at(&self, epoch: u64) -> Option<u64> {
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.iter().map(|shard| shard.marked.of(epoch)).sum()
    }

    /// Adds the latencies so far to `handed` and `visible`.
    pub(crate) fn latencies(&self, handed: &mut Latency, visible: &mut Latency) {
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        for (to_handed, to_visible) in shards.iter_mut().filter_map(|shard| shard.latency.as_mut())
        {
            handed.merge(to_handed.read());
            visible.merge(to_visible.read());
        }
    }
}

/// The output before a shard has its own sink.
pub(crate) struct OutputBlueprint<S> {
    pub(crate) factory: Arc<S>,
    pub(crate) meters: Arc<OutputMeters>,
    /// Its number among the job's outputs.
    pub(crate) number: usize,
}

impl<I: Item, S: SinkFactory<I>> Blueprint<I> for OutputBlueprint<S> {
    type Push = Output<I, S::Sink>;

    fn build(&self, wiring: &mut Wiring<'_>) -> Self::Push {
        let (counts, meter) = self.meters.open(wiring.clock, wiring.timed);
        let seat = SinkSeat { shard: wiring.shard.0, wake: wiring.wake(), meter };
        Output {
            sink: self.factory.open(seat),
            counts,
            written_count: 0,
            flushed_count: 0,
            accepted: 0,
            seen: 0,
            ending: false,
            ended: false,
            item: PhantomData,
        }
    }

    fn describe(&self, links: &mut Vec<Link>) {
        links.push(Link::Output(OutputPlan {
            number: self.number,
            row: type_name::<I>(),
            sink: type_name::<S>(),
            guarantee: self.factory.guarantee().name().to_owned(),
        }));
    }
}

/// A sink at the end of a chain.
pub(crate) struct Output<I, S> {
    sink: S,
    counts: ShardCounts,
    written_count: u64,
    /// What `written_count` was when the last turn ended.
    flushed_count: u64,
    accepted: u32,
    seen: u32,
    ending: bool,
    ended: bool,
    item: PhantomData<fn() -> I>,
}

impl<I: Item, S: Sink<I>> Terminal for Output<I, S> {
    #[inline(always)]
    fn begin(&mut self, repeated: bool) {
        self.seen = 0;
        if !repeated {
            self.accepted = 0;
        }
    }

    fn marker(&mut self, marker: Marker) {
        // Release: see `Marked::of`.
        match marker {
            Marker::Barrier(epoch) => {
                // Before the sink prepares: once it has, the checkpoint thread may ask.
                self.counts.marked.at_barrier.store(self.written_count, Ordering::Relaxed);
                self.counts.marked.epoch.store(epoch, Ordering::Release);
                self.sink.prepare(Epoch(epoch));
            }
            Marker::End => {
                self.ending = true;
                self.counts.marked.at_end.store(self.written_count, Ordering::Release);
            }
            Marker::Watermark { .. } => {}
        }
    }

    fn end_turn(&mut self) -> Result<bool, TerminalError> {
        // A turn that wrote is likely followed by another: buffers then fill up, and a file gets few
        // large writes. The first turn without an item hands over what is left.
        self.sink.flush(self.written_count != self.flushed_count);
        self.flushed_count = self.written_count;
        let moved = self.sink.poll()?;
        if self.ending && !self.ended {
            self.ended = self.sink.end()?;
        }
        // Relaxed: a count that is read by copy.
        self.counts.written.store(self.written_count, Ordering::Relaxed);
        Ok(moved)
    }

    fn is_drained(&self) -> bool {
        self.ending == self.ended
    }
}

impl<I: Item, S: Sink<I>> Push<I> for Output<I, S> {
    #[inline(always)]
    fn push(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow {
        if self.seen < self.accepted {
            self.seen += 1;
            return Flow::Ready;
        }
        let flow = self.sink.write(header, view);
        if flow == Flow::Ready {
            self.seen += 1;
            self.accepted = self.seen;
            self.written_count += 1;
        }
        flow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_that_ends_while_its_last_epoch_waits_counts_no_later_item_to_it() {
        let meters = OutputMeters::default();
        let (counts, _) = meters.open(&Clock::simulated(), false);
        let mut output = Output {
            sink: Nowhere,
            counts,
            written_count: 5,
            flushed_count: 0,
            accepted: 0,
            seen: 0,
            ending: false,
            ended: false,
            item: PhantomData::<fn() -> Thing>,
        };
        assert_eq!(meters.records_at(7), None, "its barrier may still wait behind a fork");
        output.marker(Marker::Barrier(7));
        output.written_count = 9;
        assert_eq!((meters.records_at(7), meters.records_at(8)), (Some(5), None));
        output.marker(Marker::End);
        assert_eq!(meters.records_at(7), Some(5));
        assert_eq!(meters.records_at(8), Some(9), "the final epoch has no barrier");
    }

    struct Thing;

    impl Item for Thing {
        type View<'a> = u64;
    }

    struct Nowhere;

    impl Sink<Thing> for Nowhere {
        fn write(&mut self, _: &FrameHeader, _: u64) -> Flow {
            Flow::Ready
        }
    }
}

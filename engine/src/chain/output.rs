//! The terminal that hands items to a sink.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_utils::CachePadded;

use crate::clock::Clock;
use crate::metric::{Latency, LatencyReader, latency_relay};
use crate::record::{FrameHeader, Item, Marker};
use crate::sink::{Meter, Sink, SinkFactory, SinkSeat};

use super::blueprint::{Blueprint, Wiring};
use super::push::{Flow, Push, Terminal, TerminalError};

/// What one output's shards measure, for the control thread.
#[derive(Debug, Default)]
pub(crate) struct OutputMeters {
    shards: Mutex<Vec<ShardMeters>>,
}

#[derive(Debug)]
struct ShardMeters {
    written: Arc<CachePadded<AtomicU64>>,
    latency: Option<(LatencyReader, LatencyReader)>,
}

impl OutputMeters {
    /// Makes one shard's meters; `timed` when arrivals follow a schedule.
    fn open(&self, clock: &Clock, timed: bool) -> (Arc<CachePadded<AtomicU64>>, Meter) {
        let written = Arc::new(CachePadded::new(AtomicU64::new(0)));
        let (meter, latency) = if timed {
            let (handed, handed_reader) = latency_relay();
            let (visible, visible_reader) = latency_relay();
            (Meter::new(clock.clone(), handed, visible), Some((handed_reader, visible_reader)))
        } else {
            (Meter::silent(), None)
        };
        let shard = ShardMeters { written: Arc::clone(&written), latency };
        self.shards.lock().unwrap_or_else(PoisonError::into_inner).push(shard);
        (written, meter)
    }

    /// How many items the shards' sinks have taken.
    pub(crate) fn records_out(&self) -> u64 {
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        // Relaxed: a statistic read by copy.
        shards.iter().map(|shard| shard.written.load(Ordering::Relaxed)).sum()
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
}

impl<I: Item, S: SinkFactory<I>> Blueprint<I> for OutputBlueprint<S> {
    type Push = Output<I, S::Sink>;

    fn build(&self, wiring: &mut Wiring<'_>) -> Self::Push {
        let (written, meter) = self.meters.open(wiring.clock, wiring.timed);
        let seat = SinkSeat { shard: wiring.shard.0, wake: wiring.wake(), meter };
        Output {
            sink: self.factory.open(seat),
            written,
            written_count: 0,
            flushed_count: 0,
            accepted: 0,
            seen: 0,
            ending: false,
            ended: false,
            item: PhantomData,
        }
    }
}

/// A sink at the end of a chain.
pub(crate) struct Output<I, S> {
    sink: S,
    written: Arc<CachePadded<AtomicU64>>,
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
        self.ending |= marker == Marker::End;
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
        self.written.store(self.written_count, Ordering::Relaxed);
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

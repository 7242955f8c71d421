//! Two outputs of the same items.
//!
//! Takes an item; hands it to both sinks, once each. Three outputs are a `Both` in a `Both`.
//!
//! Invariant: *once each*. If the first sink took an item that the second refused, the item is
//! refused, and when it comes again the first is passed over. So what follows a refusal must be
//! the same item, which is what `chain`'s first invariant says.

use super::{Epoch, Meter, Sink, SinkError, SinkFactory, SinkSeat};
use crate::chain::Flow;
use crate::clock::Clock;
use crate::io::WriterMode;
use crate::record::{FrameHeader, Item};

/// Writes each item to two sinks. Latencies are those of the first.
#[derive(Debug, Clone)]
pub struct Both<A, B>(pub A, pub B);

/// One shard's end of a [`Both`].
#[derive(Debug)]
pub struct BothShard<A, B> {
    first: A,
    second: B,
    first_took: bool,
}

impl<I: Item, A: SinkFactory<I>, B: SinkFactory<I>> SinkFactory<I> for Both<A, B> {
    type Sink = BothShard<A::Sink, B::Sink>;

    fn begin(&self, clock: &Clock, mode: WriterMode) -> Result<(), SinkError> {
        self.0.begin(clock, mode)?;
        self.1.begin(clock, mode)
    }

    fn open(&self, seat: SinkSeat) -> Self::Sink {
        let second =
            SinkSeat { shard: seat.shard, wake: seat.wake.clone(), meter: Meter::silent() };
        BothShard { first: self.0.open(seat), second: self.1.open(second), first_took: false }
    }

    /// Finishes both, also where the first fails.
    fn finish(&self) -> Result<u64, SinkError> {
        let (first, second) = (self.0.finish(), self.1.finish());
        Ok(first? + second?)
    }
}

impl<I: Item, A: Sink<I>, B: Sink<I>> Sink<I> for BothShard<A, B> {
    #[inline]
    fn write(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow {
        if !self.first_took && self.first.write(header, view).is_blocked() {
            return Flow::Blocked;
        }
        let flow = self.second.write(header, view);
        self.first_took = flow.is_blocked();
        flow
    }

    fn flush(&mut self, busy: bool) {
        self.first.flush(busy);
        self.second.flush(busy);
    }

    fn poll(&mut self) -> Result<bool, SinkError> {
        let first = self.first.poll()?;
        Ok(self.second.poll()? || first)
    }

    fn prepare(&mut self, epoch: Epoch) {
        self.first.prepare(epoch);
        self.second.prepare(epoch);
    }

    fn commit(&mut self, epoch: Epoch) {
        self.first.commit(epoch);
        self.second.commit(epoch);
    }

    fn abort(&mut self, epoch: Epoch) {
        self.first.abort(epoch);
        self.second.abort(epoch);
    }

    fn end(&mut self) -> Result<bool, SinkError> {
        let first = self.first.end()?;
        Ok(self.second.end()? && first)
    }
}

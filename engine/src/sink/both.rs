//! Two outputs of the same items.
//!
//! Takes an item; hands it to both sinks, once each. Three outputs are a `Both` in a `Both`.
//!
//! Invariant: *once each*. If the first sink took an item that the second refused, the item is
//! refused, and when it comes again the first is passed over. So what follows a refusal must be
//! the same item, which is what `chain`'s first invariant says.

use super::{Epoch, Guarantee, Meter, Sink, SinkError, SinkFactory, SinkSeat, SinkStart};
use crate::chain::Flow;
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

/// The state of both: the first one's length, as four bytes, the first, the second.
fn join(first: &[u8], second: &[u8]) -> Vec<u8> {
    let first_bytes = u32::try_from(first.len()).expect("a sink's state is small");
    [&first_bytes.to_le_bytes()[..], first, second].concat()
}

fn split(state: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first_bytes, rest) = state.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*first_bytes)).ok()?)
}

/// What each of the two begins with.
fn starts<'s>(start: &SinkStart<'s>) -> Result<(SinkStart<'s>, SinkStart<'s>), SinkError> {
    let Some(state) = start.resume else {
        return Ok((*start, *start));
    };
    let (first, second) = split(state).ok_or(SinkError::State { found: "another output's" })?;
    let of = |state| SinkStart { resume: Some(state), ..*start };
    Ok((of(first), of(second)))
}

impl<I: Item, A: SinkFactory<I>, B: SinkFactory<I>> SinkFactory<I> for Both<A, B> {
    type Sink = BothShard<A::Sink, B::Sink>;

    fn check(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        let (first, second) = starts(start)?;
        self.0.check(&first)?;
        self.1.check(&second)
    }

    fn begin(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        let (first, second) = starts(start)?;
        self.0.begin(&first)?;
        self.1.begin(&second)
    }

    fn open(&self, seat: SinkSeat) -> Self::Sink {
        let second =
            SinkSeat { shard: seat.shard, wake: seat.wake.clone(), meter: Meter::silent() };
        BothShard { first: self.0.open(seat), second: self.1.open(second), first_took: false }
    }

    fn prepared(&self, epoch: Epoch) -> Result<Option<Vec<u8>>, SinkError> {
        let (first, second) = (self.0.prepared(epoch)?, self.1.prepared(epoch)?);
        Ok(first.zip(second).map(|(first, second)| join(&first, &second)))
    }

    fn commit(&self, epoch: Epoch) -> Result<(), SinkError> {
        self.0.commit(epoch)?;
        self.1.commit(epoch)
    }

    fn abort(&self, epoch: Epoch) {
        self.0.abort(epoch);
        self.1.abort(epoch);
    }

    /// Finishes both, also where the first fails.
    fn finish(&self) -> Result<u64, SinkError> {
        let (first, second) = (self.0.finish(), self.1.finish());
        Ok(first? + second?)
    }

    /// The weaker of the two.
    fn guarantee(&self) -> Guarantee {
        self.0.guarantee().min(self.1.guarantee())
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

    fn end(&mut self) -> Result<bool, SinkError> {
        let first = self.first.end()?;
        Ok(self.second.end()? && first)
    }
}

//! An output that a setting may leave out: `Option<S>` takes what `S` takes, and `None` drops it.

use super::{Epoch, Guarantee, Sink, SinkError, SinkFactory, SinkSeat, SinkStart};
use crate::chain::Flow;
use crate::record::{FrameHeader, Item};

impl<I: Item, S: SinkFactory<I>> SinkFactory<I> for Option<S> {
    type Sink = Option<S::Sink>;

    fn check(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        self.as_ref().map_or(Ok(()), |sink| sink.check(start))
    }

    fn begin(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        self.as_ref().map_or(Ok(()), |sink| sink.begin(start))
    }

    fn open(&self, seat: SinkSeat) -> Option<S::Sink> {
        self.as_ref().map(|sink| sink.open(seat))
    }

    fn prepared(&self, epoch: Epoch) -> Result<Option<Vec<u8>>, SinkError> {
        self.as_ref().map_or(Ok(Some(Vec::new())), |sink| sink.prepared(epoch))
    }

    fn commit(&self, epoch: Epoch) -> Result<(), SinkError> {
        self.as_ref().map_or(Ok(()), |sink| sink.commit(epoch))
    }

    fn abort(&self, epoch: Epoch) {
        if let Some(sink) = self {
            sink.abort(epoch);
        }
    }

    fn finish(&self) -> Result<u64, SinkError> {
        self.as_ref().map_or(Ok(0), S::finish)
    }

    /// What is dropped is dropped once.
    fn guarantee(&self) -> Guarantee {
        self.as_ref().map_or(Guarantee::ExactlyOnce, S::guarantee)
    }
}

impl<I: Item, S: Sink<I>> Sink<I> for Option<S> {
    #[inline]
    fn write(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow {
        self.as_mut().map_or(Flow::Ready, |sink| sink.write(header, view))
    }

    fn flush(&mut self, busy: bool) {
        if let Some(sink) = self {
            sink.flush(busy);
        }
    }

    fn poll(&mut self) -> Result<bool, SinkError> {
        self.as_mut().map_or(Ok(false), S::poll)
    }

    fn prepare(&mut self, epoch: Epoch) {
        if let Some(sink) = self {
            sink.prepare(epoch);
        }
    }

    fn end(&mut self) -> Result<bool, SinkError> {
        self.as_mut().map_or(Ok(true), S::end)
    }
}

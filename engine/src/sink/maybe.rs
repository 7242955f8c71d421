//! An output that a setting may leave out: `Option<S>` takes what `S` takes, and `None` drops it.

use super::{Sink, SinkError, SinkFactory, SinkSeat};
use crate::chain::Flow;
use crate::clock::Clock;
use crate::io::WriterMode;
use crate::record::{FrameHeader, Item};

impl<I: Item, S: SinkFactory<I>> SinkFactory<I> for Option<S> {
    type Sink = Option<S::Sink>;

    fn begin(&self, clock: &Clock, mode: WriterMode) -> Result<(), SinkError> {
        self.as_ref().map_or(Ok(()), |sink| sink.begin(clock, mode))
    }

    fn open(&self, seat: SinkSeat) -> Option<S::Sink> {
        self.as_ref().map(|sink| sink.open(seat))
    }

    fn finish(&self) -> Result<u64, SinkError> {
        self.as_ref().map_or(Ok(0), S::finish)
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

    fn end(&mut self) -> Result<bool, SinkError> {
        self.as_mut().map_or(Ok(true), S::end)
    }
}

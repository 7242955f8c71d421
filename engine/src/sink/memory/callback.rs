//! A closure of the embedding program, called in the shard's turn.
//!
//! Takes items; hands them to the closure as views, so nothing is copied. Each shard has a clone
//! of the closure; it must return soon, as the shard does nothing else meanwhile.
//!
//! With checkpoints it is at least once: after a crash, items since the last epoch come again with
//! the same id, which is their header's position and ordinal.

use std::marker::PhantomData;

use crate::chain::Flow;
use crate::record::{FrameHeader, Item};
use crate::sink::{Meter, Sink, SinkFactory, SinkSeat};

/// Calls a closure for each item; see [`callback`].
#[derive(Debug, Clone)]
pub struct CallbackSink<F>(F);

/// One shard's end of a [`CallbackSink`].
#[derive(Debug)]
pub struct CallbackShard<I, F> {
    items: PhantomData<fn(I)>,
    call: F,
    meter: Meter,
}

/// A sink that calls `call` for each item.
pub fn callback<I, F>(call: F) -> CallbackSink<F>
where
    I: Item,
    F: FnMut(&FrameHeader, I::View<'_>) + Clone + Send + Sync + 'static,
{
    CallbackSink(call)
}

impl<I, F> SinkFactory<I> for CallbackSink<F>
where
    I: Item,
    F: FnMut(&FrameHeader, I::View<'_>) + Clone + Send + Sync + 'static,
{
    type Sink = CallbackShard<I, F>;

    fn open(&self, seat: SinkSeat) -> CallbackShard<I, F> {
        CallbackShard { items: PhantomData, call: self.0.clone(), meter: seat.meter }
    }
}

impl<I, F> Sink<I> for CallbackShard<I, F>
where
    I: Item,
    F: FnMut(&FrameHeader, I::View<'_>) + Send + 'static,
{
    #[inline]
    fn write(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow {
        (self.call)(header, view);
        self.meter.handed_and_visible(header.arrival_ns);
        Flow::Ready
    }

    fn flush(&mut self, _: bool) {
        self.meter.offer();
    }
}

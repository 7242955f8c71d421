//! A total over all items: each shard folds its own, and the totals are merged at the end.
//!
//! Takes items; hands on one accumulator, through a handle, after the job has ended. The merge
//! must not care for the order of the shards.
//!
//! With checkpoints it is at least once: a total counts from the epoch that the job went on from.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use crate::chain::Flow;
use crate::record::{FrameHeader, Item};
use crate::sink::{Meter, Sink, SinkError, SinkFactory, SinkSeat};

/// Folds items into a `T`; see [`tally`]. Clones are handles to the same total.
pub struct TallySink<T, F, M> {
    start: T,
    fold: F,
    merge: M,
    total: Arc<Mutex<Option<T>>>,
}

/// One shard's end of a [`TallySink`].
pub struct TallyShard<I, T, F, M> {
    items: PhantomData<fn(I)>,
    local: Option<T>,
    fold: F,
    merge: M,
    total: Arc<Mutex<Option<T>>>,
    meter: Meter,
}

/// A sink that starts at `start` on each shard, takes each item with `fold`, and adds the shards'
/// totals with `merge`.
pub fn tally<I, T, F, M>(start: T, fold: F, merge: M) -> TallySink<T, F, M>
where
    I: Item,
    T: Clone + Send + Sync + 'static,
    F: Fn(&mut T, &FrameHeader, I::View<'_>) + Clone + Send + Sync + 'static,
    M: Fn(&mut T, T) + Clone + Send + Sync + 'static,
{
    TallySink { start, fold, merge, total: Arc::default() }
}

impl<T: Clone, F, M> TallySink<T, F, M> {
    /// The total of the shards that have ended; `start` while there is none.
    #[must_use]
    pub fn total(&self) -> T {
        let total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        total.clone().unwrap_or_else(|| self.start.clone())
    }
}

impl<I, T, F, M> SinkFactory<I> for TallySink<T, F, M>
where
    I: Item,
    T: Clone + Send + Sync + 'static,
    F: Fn(&mut T, &FrameHeader, I::View<'_>) + Clone + Send + Sync + 'static,
    M: Fn(&mut T, T) + Clone + Send + Sync + 'static,
{
    type Sink = TallyShard<I, T, F, M>;

    fn open(&self, seat: SinkSeat) -> TallyShard<I, T, F, M> {
        TallyShard {
            items: PhantomData,
            local: Some(self.start.clone()),
            fold: self.fold.clone(),
            merge: self.merge.clone(),
            total: Arc::clone(&self.total),
            meter: seat.meter,
        }
    }
}

impl<I, T, F, M> Sink<I> for TallyShard<I, T, F, M>
where
    I: Item,
    T: Send + 'static,
    F: Fn(&mut T, &FrameHeader, I::View<'_>) + Send + 'static,
    M: Fn(&mut T, T) + Send + 'static,
{
    #[inline]
    fn write(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow {
        let local = self.local.as_mut().expect("nothing is written after `end`");
        (self.fold)(local, header, view);
        self.meter.handed_and_visible(header.arrival_ns);
        Flow::Ready
    }

    fn flush(&mut self, _: bool) {
        self.meter.offer();
    }

    fn end(&mut self) -> Result<bool, SinkError> {
        if let Some(local) = self.local.take() {
            let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *total {
                Some(total) => (self.merge)(total, local),
                None => *total = Some(local),
            }
        }
        Ok(true)
    }
}

impl<T: Clone, F: Clone, M: Clone> Clone for TallySink<T, F, M> {
    fn clone(&self) -> Self {
        Self {
            start: self.start.clone(),
            fold: self.fold.clone(),
            merge: self.merge.clone(),
            total: Arc::clone(&self.total),
        }
    }
}

impl<T: fmt::Debug, F, M> fmt::Debug for TallySink<T, F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TallySink").field("total", &self.total).finish_non_exhaustive()
    }
}

impl<I, T: fmt::Debug, F, M> fmt::Debug for TallyShard<I, T, F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TallyShard").field("local", &self.local).finish_non_exhaustive()
    }
}

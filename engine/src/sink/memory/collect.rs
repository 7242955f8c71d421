//! Results in memory, for tests and for the embedding program.
//!
//! Takes items from every shard; hands on owned rows with their headers, through a handle that
//! can be read while the job runs.
//!
//! Invariants
//! 1. A shard keeps the rows of one turn and hands them over when the turn ends, so the lock is
//!    taken once a turn.
//! 2. With a bound, at most `rows_max` rows wait to be taken; the shards' stages wait for the
//!    reader, and taking wakes them.

use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::chain::Flow;
use crate::io::Wake;
use crate::record::{Change, ChangeView, FrameHeader, Item, Key, KeyView, Record};
use crate::sink::{Meter, Sink, SinkError, SinkFactory, SinkSeat};

/// An item that can be kept in owned form.
pub trait Collect: Item {
    /// The owned form: the record, or a change with an owned key.
    type Owned: Send + 'static;
    /// Makes it; allocates for text.
    fn to_owned(view: Self::View<'_>) -> Self::Owned;
}

impl<R: Record> Collect for R {
    type Owned = R;
    fn to_owned(view: R::View<'_>) -> R {
        R::to_record(view)
    }
}

impl<K: Key, V: Copy + Send + 'static> Collect for Change<K, V> {
    type Owned = ChangeView<K, V>;
    fn to_owned(view: ChangeView<K::View<'_>, V>) -> ChangeView<K, V> {
        ChangeView { kind: view.kind, key: view.key.to_key(), value: view.value }
    }
}

/// A row with what the engine knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collected<T> {
    /// Its header.
    pub header: FrameHeader,
    /// The row.
    pub row: T,
}

/// Rows in memory. Clones are handles to the same rows.
pub struct CollectSink<I: Collect> {
    rows: Arc<Rows<I::Owned>>,
}

/// One shard's end of a [`CollectSink`].
pub struct CollectShard<I: Collect> {
    turn: Vec<Collected<I::Owned>>,
    rows: Arc<Rows<I::Owned>>,
    meter: Meter,
}

struct Rows<T> {
    rows_max: usize,
    /// Rows that were taken from the chain and not yet by the reader.
    waiting_count: AtomicUsize,
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    rows: Vec<Collected<T>>,
    wakes: Vec<Wake>,
}

impl<I: Collect> CollectSink<I> {
    /// Keeps all rows until they are taken, however many they are.
    #[must_use]
    pub fn new() -> Self {
        Self::bounded(usize::MAX)
    }

    /// Keeps `rows_max` rows, and makes the job wait for the reader.
    #[must_use]
    pub fn bounded(rows_max: usize) -> Self {
        assert!(rows_max > 0, "a job that may keep no row never ends");
        Self {
            rows: Arc::new(Rows {
                rows_max,
                waiting_count: AtomicUsize::new(0),
                inner: Mutex::new(Inner { rows: Vec::new(), wakes: Vec::new() }),
            }),
        }
    }

    /// Takes the rows that are there: of each shard those of its ended turns, in its order.
    #[must_use]
    pub fn take(&self) -> Vec<Collected<I::Owned>> {
        let mut inner = self.rows.inner();
        let taken = mem::take(&mut inner.rows);
        // AcqRel pairs with the reservation in `write`: room is seen after the rows are gone.
        self.rows.waiting_count.fetch_sub(taken.len(), Ordering::AcqRel);
        if self.rows.rows_max != usize::MAX {
            inner.wakes.iter().for_each(|wake| wake());
        }
        taken
    }

    /// Takes the rows that are there, without their headers.
    #[must_use]
    pub fn take_rows(&self) -> Vec<I::Owned> {
        self.take().into_iter().map(|item| item.row).collect()
    }
}

impl<T> Rows<T> {
    fn inner(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for one more row, if there is any.
    fn reserve(&self) -> bool {
        let reserve = |count: usize| (count < self.rows_max).then_some(count + 1);
        // AcqRel: see `take`.
        self.waiting_count.fetch_update(Ordering::AcqRel, Ordering::Acquire, reserve).is_ok()
    }
}

impl<I: Collect> SinkFactory<I> for CollectSink<I> {
    type Sink = CollectShard<I>;

    fn open(&self, seat: SinkSeat) -> CollectShard<I> {
        self.rows.inner().wakes.push(seat.wake);
        CollectShard { turn: Vec::new(), rows: Arc::clone(&self.rows), meter: seat.meter }
    }

    /// The shards are gone; the rows stay.
    fn finish(&self) -> Result<u64, SinkError> {
        self.rows.inner().wakes.clear();
        Ok(0)
    }
}

impl<I: Collect> Sink<I> for CollectShard<I> {
    fn write(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow {
        if !self.rows.reserve() {
            return Flow::Blocked;
        }
        self.turn.push(Collected { header: *header, row: I::to_owned(view) });
        self.meter.handed_and_visible(header.arrival_ns);
        Flow::Ready
    }

    fn flush(&mut self, _: bool) {
        if !self.turn.is_empty() {
            self.rows.inner().rows.append(&mut self.turn);
        }
        self.meter.offer();
    }

    fn end(&mut self) -> Result<bool, SinkError> {
        Sink::<I>::flush(self, false);
        Ok(true)
    }
}

impl<I: Collect> Clone for CollectSink<I> {
    fn clone(&self) -> Self {
        Self { rows: Arc::clone(&self.rows) }
    }
}

impl<I: Collect> Default for CollectSink<I> {
    fn default() -> Self {
        Self::new()
    }
}

impl<I: Collect> fmt::Debug for CollectSink<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectSink")
            .field("waiting_count", &self.rows.waiting_count)
            .finish_non_exhaustive()
    }
}

impl<I: Collect> fmt::Debug for CollectShard<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectShard").field("turn_rows", &self.turn.len()).finish_non_exhaustive()
    }
}

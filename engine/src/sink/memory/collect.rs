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
//! 3. With checkpoints and without a bound, rows are readable once their epoch is committed. With
//!    a bound they are readable at once, and come again after a crash: a reader that waits for a
//!    commit would make the job wait for itself.
//!
//! Rows live in the process: exactly once holds for restarts in it. At-least-once rows are told
//! apart by their header's position and ordinal.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::chain::Flow;
use crate::io::Wake;
use crate::record::{Change, ChangeView, FrameHeader, Item, Key, KeyView, Record};
use crate::sink::{Epoch, Guarantee, Meter, Sink, SinkError, SinkFactory, SinkSeat, SinkStart};

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
    index: usize,
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
    /// The epoch that the job began from.
    base: u64,
    /// Whether rows wait for their epoch's commit (invariant 3).
    is_held: bool,
    /// By shard, the last epoch that it has passed; the highest number once it has ended.
    passed: Vec<u64>,
    /// By the epoch that they belong to.
    sealed: BTreeMap<u64, Vec<Collected<T>>>,
}

impl<T> Inner<T> {
    fn new() -> Self {
        let (rows, wakes, passed) = (Vec::new(), Vec::new(), Vec::new());
        Self { rows, wakes, base: 0, is_held: false, passed, sealed: BTreeMap::new() }
    }

    /// Rows that a shard wrote after the last epoch that it passed.
    fn append(&mut self, shard: usize, rows: &mut Vec<Collected<T>>) {
        let to = if self.is_held {
            self.sealed.entry(self.passed[shard] + 1).or_default()
        } else {
            &mut self.rows
        };
        to.append(rows);
    }

    fn reveal(&mut self, epoch: Epoch) {
        let later = self.sealed.split_off(&(epoch.0 + 1));
        for (_, mut rows) in mem::replace(&mut self.sealed, later) {
            self.rows.append(&mut rows);
        }
    }
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
                inner: Mutex::new(Inner::new()),
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

    fn begin(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        let mut inner = self.rows.inner();
        if start.resume.is_some() {
            inner.reveal(start.epoch);
        }
        inner.sealed.clear();
        inner.passed.clear();
        inner.wakes.clear();
        inner.is_held = start.checkpointed && self.rows.rows_max == usize::MAX;
        // AcqRel: see `take`. What was never handed over, or is taken back, waits no more.
        self.rows.waiting_count.store(inner.rows.len(), Ordering::Release);
        inner.base = start.epoch.0;
        Ok(())
    }

    fn open(&self, seat: SinkSeat) -> CollectShard<I> {
        let mut inner = self.rows.inner();
        let (index, base) = (inner.passed.len(), inner.base);
        inner.passed.push(base);
        inner.wakes.push(seat.wake);
        drop(inner);
        CollectShard { index, turn: Vec::new(), rows: Arc::clone(&self.rows), meter: seat.meter }
    }

    fn prepared(&self, epoch: Epoch) -> Result<Option<Vec<u8>>, SinkError> {
        let inner = self.rows.inner();
        Ok(inner.passed.iter().all(|passed| *passed >= epoch.0).then(Vec::new))
    }

    fn commit(&self, epoch: Epoch) -> Result<(), SinkError> {
        self.rows.inner().reveal(epoch);
        Ok(())
    }

    /// The shards are gone; the rows stay.
    fn finish(&self) -> Result<u64, SinkError> {
        self.rows.inner().wakes.clear();
        Ok(0)
    }

    fn guarantee(&self) -> Guarantee {
        if self.rows.rows_max == usize::MAX {
            Guarantee::ExactlyOnce
        } else {
            Guarantee::AtLeastOnce
        }
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
            self.rows.inner().append(self.index, &mut self.turn);
        }
        self.meter.offer();
    }

    fn prepare(&mut self, epoch: Epoch) {
        let mut inner = self.rows.inner();
        inner.append(self.index, &mut self.turn);
        inner.passed[self.index] = epoch.0;
    }

    fn end(&mut self) -> Result<bool, SinkError> {
        Sink::<I>::flush(self, false);
        self.rows.inner().passed[self.index] = u64::MAX;
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

//! Reference tables: data of the program's own that a chain reads, swapped whole while a job runs.
//!
//! Takes a table from any thread; hands it on to every shard, which reads it without a lock until
//! the next one is there.
//!
//! Invariants
//! 1. One input sees one table: a shard looks for a new one when an input begins, and not when a
//!    refused one is repeated. So what a closure makes of an input is the same when it runs again.
//! 2. A shard never frees a table: who swaps keeps each until no shard has it, and frees it then.
//!
//! Why a number that shards compare, and not an epoch scheme or a lock: the number's line is written at
//! a swap only, so reading it costs a load that hits the cache; the lock is taken once a swap and
//! shard. (The brief has crossbeam's epochs here; they would cost a pin an input, and free on shards.)

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::record::{Emitted, FrameHeader, Item, Marker, Record};

use super::blueprint::{Blueprint, Wiring};
use super::out::Out;
use super::plan::{Link, OperatorPlan, type_name};
use super::push::{Flow, Push, Terminal, TerminalError};
use super::stateless::push_emitted;

/// A table that a job reads and the program swaps. Clones are handles to the same one.
///
/// What has been read of it is not state: after a restart a job goes on with the table that is there
/// then. Where a decision must be repeated to the letter, send the table as a stream and `broadcast` it.
pub struct Reference<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    /// Counts the swaps; written under the lock.
    version: AtomicU64,
    tables: Mutex<Tables<T>>,
}

struct Tables<T> {
    current: Arc<T>,
    /// Tables that a shard may still have (invariant 2).
    replaced: Vec<Arc<T>>,
}

impl<T> Clone for Reference<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for Reference<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reference").field("version", &self.version()).finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> Reference<T> {
    /// A table, of version 1.
    #[must_use]
    pub fn new(table: T) -> Self {
        let tables = Tables { current: Arc::new(table), replaced: Vec::new() };
        let shared = Shared { version: AtomicU64::new(1), tables: Mutex::new(tables) };
        Self { shared: Arc::new(shared) }
    }

    /// Puts another table in its place, whole; answers its version. Every shard has it from its next
    /// input on.
    pub fn swap(&self, table: T) -> u64 {
        let mut tables = self.shared.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = std::mem::replace(&mut tables.current, Arc::new(table));
        tables.replaced.push(replaced);
        // Alone with this handle: no shard has it, and none can get it again.
        let unused = |table: &mut Arc<T>| Arc::strong_count(table) == 1;
        let freed: Vec<_> = tables.replaced.extract_if(.., unused).collect();
        // Release: pairs with the load in `Reader::look`, though the lock orders the tables.
        let version = self.shared.version.fetch_add(1, Ordering::Release) + 1;
        drop(tables);
        // Large tables are freed while the lock is not held.
        drop(freed);
        version
    }

    fn reader(&self) -> Reader<T> {
        let (version, table) = self.current();
        Reader { shared: Arc::clone(&self.shared), version, table }
    }

    fn current(&self) -> (u64, Arc<T>) {
        let tables = self.shared.tables.lock().unwrap_or_else(PoisonError::into_inner);
        (self.shared.version.load(Ordering::Relaxed), Arc::clone(&tables.current))
    }
}

impl<T> Reference<T> {
    /// How many tables there have been.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.shared.version.load(Ordering::Relaxed)
    }
}

/// The table that an input sees.
#[derive(Debug)]
pub struct Current<'t, T> {
    table: &'t T,
    version: u64,
}

impl<T> Clone for Current<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Current<'_, T> {}

impl<T> Current<'_, T> {
    /// Which table it is, counted from 1.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }
}

impl<T> Deref for Current<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.table
    }
}

/// One shard's hold on a table.
struct Reader<T> {
    shared: Arc<Shared<T>>,
    version: u64,
    table: Arc<T>,
}

impl<T: Send + Sync + 'static> Reader<T> {
    /// Looks whether there is a new table.
    #[inline(always)]
    fn look(&mut self) {
        if self.shared.version.load(Ordering::Acquire) != self.version {
            self.take();
        }
    }

    #[cold]
    fn take(&mut self) {
        let reference = Reference { shared: Arc::clone(&self.shared) };
        (self.version, self.table) = reference.current();
    }
}

/// A map that reads a reference table, around the next operator.
pub struct MapWith<T, R, F, N> {
    reader: Reader<T>,
    function: F,
    next: N,
    record: std::marker::PhantomData<fn() -> R>,
}

impl<T: Send + Sync + 'static, R: 'static, F: Send, N: Terminal> Terminal for MapWith<T, R, F, N> {
    #[inline(always)]
    fn begin(&mut self, repeated: bool) {
        if !repeated {
            self.reader.look();
        }
        self.next.begin(repeated);
    }
    fn marker(&mut self, marker: Marker) {
        self.next.marker(marker);
    }
    fn end_turn(&mut self) -> Result<bool, TerminalError> {
        self.next.end_turn()
    }
    fn is_drained(&self) -> bool {
        self.next.is_drained()
    }

    fn next_ns(&self) -> Option<u64> {
        self.next.next_ns()
    }
}

impl<I, T, R, F, N> Push<I> for MapWith<T, R, F, N>
where
    I: Item,
    T: Send + Sync + 'static,
    R: Record,
    F: for<'o, 'a, 't> Fn(I::View<'a>, Current<'t, T>, Out<'o, 'a, R>) + Send,
    N: Push<R>,
{
    #[inline(always)]
    fn push(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow {
        let current = Current { table: &*self.reader.table, version: self.reader.version };
        let mut emitted = Emitted::Nothing;
        (self.function)(view, current, Out::new(&mut emitted));
        push_emitted(&mut self.next, header, &emitted)
    }
}

/// The map before a shard has its own.
pub(crate) struct MapWithBlueprint<T, R, F, B> {
    pub(crate) reference: Reference<T>,
    pub(crate) function: F,
    pub(crate) next: B,
    /// Where the job calls it; for plans.
    pub(crate) at: &'static std::panic::Location<'static>,
    pub(crate) record: std::marker::PhantomData<fn() -> R>,
}

impl<I, T, R, F, B> Blueprint<I> for MapWithBlueprint<T, R, F, B>
where
    I: Item,
    T: Send + Sync + 'static,
    R: Record,
    F: for<'o, 'a, 't> Fn(I::View<'a>, Current<'t, T>, Out<'o, 'a, R>)
        + Clone
        + Send
        + Sync
        + 'static,
    B: Blueprint<R>,
{
    type Push = MapWith<T, R, F, B::Push>;
    fn build(&self, wiring: &mut Wiring<'_>) -> Self::Push {
        MapWith {
            reader: self.reference.reader(),
            function: self.function.clone(),
            next: self.next.build(wiring),
            record: std::marker::PhantomData,
        }
    }

    fn describe(&self, links: &mut Vec<Link>) {
        links.push(Link::Operator(OperatorPlan {
            kind: "map_with".to_owned(),
            name: None,
            text: None,
            out: Some(type_name::<R>()),
            at: self.at.into(),
        }));
        self.next.describe(links);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swapped_table_is_freed_by_a_later_swap_and_never_by_a_reader() {
        let freed = Arc::new(AtomicU64::new(0));
        struct Table(u64, Arc<AtomicU64>);
        impl Drop for Table {
            fn drop(&mut self) {
                self.1.fetch_add(1, Ordering::Relaxed);
            }
        }
        let table = |number| Table(number, Arc::clone(&freed));
        let reference = Reference::new(table(1));
        let mut reader = reference.reader();
        assert_eq!(reference.swap(table(2)), 2);
        assert_eq!((reader.table.0, reader.version), (1, 1), "until it looks");
        reader.look();
        assert_eq!((reader.table.0, reader.version), (2, 2));
        assert_eq!(freed.load(Ordering::Relaxed), 0, "the reader's own drop frees nothing");
        assert_eq!(reference.swap(table(3)), 3);
        assert_eq!(freed.load(Ordering::Relaxed), 1, "what nobody has goes with the next swap");
    }
}

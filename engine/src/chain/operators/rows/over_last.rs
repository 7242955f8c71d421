//! What the last rows of a key up to each one say: SQL's `OVER (ROWS n PRECEDING)` and
//! `OVER (RANGE INTERVAL .. PRECEDING)`.
//!
//! Takes records; hands on each with the fold of its key's last rows, itself included: so many rows,
//! or those no more than a span of event time before it, the bound included, as in SQL. Any fold that
//! merges will do; nothing is taken back, so floats do not drift.
//!
//! ```text
//!  rows:   first ........ turned ........ next
//!  kept:   | a+b+c | b+c | c |  d  |  e  |       back = d+e, the answer is (a+b+c) + back
//! ```
//!
//! Invariants
//! 1. A row below `turned` holds the fold of the rows from it up to `turned`; any other its own.
//! 2. `back` is the fold of the rows from `turned` on.
//!
//! A row that leaves below `turned` costs nothing. When none is left there, all that are kept are
//! turned, from the newest to the oldest, and `back` starts anew: each row is turned once, so a record
//! costs O(1) merges amortised, and O(rows kept) at worst. Source: the queue of two stacks, as K.
//! Tangwongsan, M. Hirzel and S. Schneider call it ("Low-latency sliding-window aggregation in
//! worst-case constant time", DEBS 2017), whose worst case is O(1) too: it was refused for its three
//! pointers and twice the merges.
//!
//! Rows leave when a later one of their key comes, not when the watermark passes: a key that falls
//! silent keeps its last rows, those of one span, for ever. So do not use a range where keys come and
//! go without end, such as sessions; a window there lets go of its keys.
//!
//! Rows of one time are in the order in which they are applied, and the later ones are not in the range
//! of the earlier ones: SQL's peers would have to wait for the watermark to pass each time.

use std::marker::PhantomData;

use crate::chain::operators::exact_log::{Event, Log};
use crate::chain::operators::fold::{Kinds, Merge};
use crate::chain::operators::listed;
use crate::chain::{KeyedOperator, OperatorState, StateLayout};
use crate::record::{Fixed, FrameHeader, Key, KeyHash, Layout, Paired, Record, TimeSpan};
use crate::state::{EntryKey, LogOffset, OperatorId, Store};

/// Which rows are the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverBound {
    /// So many, the record among them.
    Rows(u64),
    /// Those no more than this before the record, by event time. A record that is older than its
    /// key's newest one counts as of that one's time: apply them in order of time.
    Range(TimeSpan),
}

/// What is kept for a key beside its rows.
#[derive(Debug, Clone, Copy)]
struct Head<S> {
    first: u64,
    turned: u64,
    next: u64,
    newest: i64,
    first_hint: LogOffset,
    next_hint: LogOffset,
    back: S,
}

impl<S: Fixed> Fixed for Head<S> {
    const BYTES: usize = 48 + S::BYTES;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        let bytes = &bytes[..Self::BYTES];
        let ((first, turned, next), newest, first_hint, next_hint, back) = Fixed::read(bytes);
        Self { first, turned, next, newest, first_hint, next_hint, back }
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        let Self { first, turned, next, newest, first_hint, next_hint, back } = self;
        let bytes = &mut bytes[..Self::BYTES];
        ((first, turned, next), newest, first_hint, next_hint, back).write(bytes);
    }
    fn layout() -> Layout {
        Layout::fields([
            ("first", <u64 as Fixed>::layout()),
            ("turned", <u64 as Fixed>::layout()),
            ("next", <u64 as Fixed>::layout()),
            ("newest_time", Layout::Time),
            ("first_hint", LogOffset::layout()),
            ("next_hint", LogOffset::layout()),
            ("back", S::layout()),
        ])
    }
}

/// Each record with the fold of its key's last rows. `F` reads the fold's input.
///
/// State: a fold's state and 16 bytes for each row that is kept, and a head a key. None of it expires:
/// a key that falls silent keeps its last rows, also those of an [`OverBound::Range`].
#[derive(Debug)]
pub struct BoundedOver<K, I, V, F> {
    operator: OperatorId,
    bound: OverBound,
    read: F,
    kinds: Kinds<K, I, V>,
}

impl<K, I, V, F> BoundedOver<K, I, V, F>
where
    I: Record,
    V: Merge,
    F: for<'a> Fn(I::View<'a>) -> V::Input,
{
    /// A fold of what `read` makes of each record.
    ///
    /// Panics where the bound lets no row in or is negative: a bug in the job.
    pub fn new(operator: OperatorId, bound: OverBound, read: F) -> Self {
        match bound {
            OverBound::Rows(count) => assert!(count > 0, "the record itself is a row"),
            OverBound::Range(span) => assert!(span >= TimeSpan::ZERO, "rows don't lie ahead"),
        }
        Self { operator, bound, read, kinds: PhantomData }
    }

    fn apply_row(
        &self,
        store: &mut Store,
        key: EntryKey<'_>,
        time: i64,
        input: V::Input,
    ) -> V::Output {
        let (at, added) = store.find_or_insert(&key, Head::<V::State>::BYTES);
        let mut head: Head<V::State> = store.field(at, 0);
        if added {
            (head.newest, head.back) = (time, V::start());
        }
        head.newest = head.newest.max(time);
        let mut log = Log::new(store, key);
        let item = V::add(V::start(), input);
        log.set(head.next, &mut head.next_hint, Event { time: head.newest, order: 0, item });
        head.next += 1;
        head.back = V::merge(head.back, item);
        let was_first = head.first;
        let mut first = log.get(head.first, &mut head.first_hint);
        while self.has_left(&head, first.time) {
            if head.first == head.turned {
                turn::<V>(&mut log, &mut head);
            }
            head.first += 1;
            first = log.get(head.first, &mut head.first_hint);
        }
        log.delete_before(was_first, head.first);
        let all =
            if head.first < head.turned { V::merge(first.item, head.back) } else { head.back };
        let at = store.writable(at);
        store.set(at, 0, head);
        V::output(all)
    }

    /// Whether the first row has left. The newest one never has.
    #[inline(always)]
    fn has_left(&self, head: &Head<V::State>, first_time: i64) -> bool {
        match self.bound {
            OverBound::Rows(count) => head.next - head.first > count,
            OverBound::Range(span) => head.newest.abs_diff(first_time) > span.0.unsigned_abs(),
        }
    }
}

/// Turns all rows that are kept (invariant 1); none of them is turned yet.
fn turn<V: Merge>(log: &mut Log<'_, V::State>, head: &mut Head<V::State>) {
    let mut later = V::start();
    let (mut from, mut to) = (LogOffset::NONE, LogOffset::NONE);
    for number in (head.first..head.next).rev() {
        let row = log.get(number, &mut from);
        later = V::merge(row.item, later);
        log.set(number, &mut to, Event { item: later, ..row });
    }
    (head.turned, head.back) = (head.next, V::start());
}

impl<K, I, V, F> KeyedOperator for BoundedOver<K, I, V, F>
where
    K: Key,
    I: Record,
    V: Merge,
    F: for<'a> Fn(I::View<'a>) -> V::Input + Send + 'static,
{
    type Key = K;
    type In = I;
    type Out = Paired<I, V::Output>;
    type Emission = V::Output;

    fn touch(&self, state: &mut Store, hashes: &[KeyHash]) {
        state.touch(self.operator, hashes);
    }

    fn states(&self) -> Vec<OperatorState> {
        let rows = Layout::Repeated(Box::new(Event::<V::State>::layout()));
        let bound = match self.bound {
            OverBound::Rows(count) => format!("{count} rows"),
            OverBound::Range(span) => format!("{} us", span.0),
        };
        let identity = listed(&[bound, V::identity()]);
        vec![OperatorState {
            id: self.operator,
            kind: "over_last",
            identity,
            key: K::layout(),
            values: vec![
                StateLayout::new("cursors", 0..=0, Head::<V::State>::layout()),
                StateLayout::new("rows", 1..=u64::MAX, rows),
            ],
        }]
    }

    #[inline(always)]
    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        view: I::View<'_>,
    ) -> Option<V::Output> {
        let input = (self.read)(view);
        K::with_bytes(key, |bytes| {
            let (operator, hash) = (self.operator, header.key_hash);
            let key = EntryKey { operator, hash, key: bytes, namespace: 0 };
            Some(self.apply_row(state, key, header.event_time.0, input))
        })
    }

    #[inline(always)]
    fn output<'a>(
        &self,
        value: V::Output,
        _: K::View<'a>,
        view: I::View<'a>,
    ) -> (I::View<'a>, V::Output) {
        (view, value)
    }
}

//! Exact sliding windows by count: what the last so many records of a key hold, for N counts over
//! one log.
//!
//! Takes records of a key; hands on each with the aggregates of N windows. Window i of a record holds
//! itself and the `count_i - 1` records of its key that came before it; fewer at first.
//!
//! ```text
//!   log:   | gone |######## longest window ########|
//!                  ^ oldest[1]          ^ oldest[0] ^ next
//! ```
//!
//! Byte layout of the head entry (namespace 0), little endian:
//!
//! ```text
//! | first event 8 | next event 8 | its chunk's hint 8 | N x | oldest 8 | chunk hint 8 | state ... | |
//! ```
//!
//! Invariants
//! 1. Window i's running state holds the events `oldest_i .. next`: at most `count_i`.
//! 2. The log keeps the events of the longest window. Chunks that hold none of them are deleted.
//!
//! A record costs O(1) a window: an event enters each once and leaves it once. State: the longest
//! count of events a key, for as long as the job has the key; nothing of it is ever void by time.
//!
//! Why beside `ExactWindows`: that one asks each event for its age, and keeps it no longer than its
//! windows are long; here a key that is silent for a year goes on where it was.

use std::marker::PhantomData;

use super::spec::WindowProblem;
use crate::chain::operators::exact::Windowed;
use crate::chain::operators::exact_log::{Event, Log, touch_event};
use crate::chain::operators::fold::{Invertible, Kinds};
use crate::chain::{KeyedOperator, OperatorState, StateLayout};
use crate::record::{Fixed, FrameHeader, Item, Key, KeyHash, Layout, Record};
use crate::state::{EntryKey, LogOffset, OperatorId, Store};

/// One window of a key.
#[derive(Debug, Clone, Copy)]
struct Last<S> {
    /// The number of the oldest event that it holds.
    oldest: u64,
    /// Where its chunk lies.
    hint: LogOffset,
    state: S,
}

impl<S: Fixed> Fixed for Last<S> {
    const BYTES: usize = 16 + S::BYTES;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        let (oldest, hint, state) = Fixed::read(&bytes[..Self::BYTES]);
        Self { oldest, hint, state }
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        (self.oldest, self.hint, self.state).write(&mut bytes[..Self::BYTES]);
    }
    fn layout() -> Layout {
        let (oldest, hint) = (<u64 as Fixed>::layout(), LogOffset::layout());
        Layout::fields([("oldest", oldest), ("hint", hint), ("state", S::layout())])
    }
}

/// A key's cursors and running states.
#[derive(Debug, Clone, Copy)]
struct Head<S, const N: usize> {
    first: u64,
    next: u64,
    next_hint: LogOffset,
    windows: [Last<S>; N],
}

impl<S: Fixed, const N: usize> Fixed for Head<S, N> {
    const BYTES: usize = 24 + Last::<S>::BYTES * N;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        let bytes = &bytes[..Self::BYTES];
        let (first, next, next_hint) = Fixed::read(bytes);
        Self { first, next, next_hint, windows: Fixed::read(&bytes[24..]) }
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        let bytes = &mut bytes[..Self::BYTES];
        (self.first, self.next, self.next_hint).write(bytes);
        self.windows.write(&mut bytes[24..]);
    }
    fn layout() -> Layout {
        Layout::fields([
            ("first", <u64 as Fixed>::layout()),
            ("next", <u64 as Fixed>::layout()),
            ("next_hint", LogOffset::layout()),
            ("windows", <[Last<S>; N]>::layout()),
        ])
    }
}

/// Exact sliding windows over N counts. `F` reads a record's item.
#[derive(Debug)]
pub struct LastRecords<K, I, V, F, const N: usize> {
    operator: OperatorId,
    counts: [u64; N],
    read: F,
    kinds: Kinds<K, I, V>,
}

impl<K, I, V, F, const N: usize> LastRecords<K, I, V, F, N>
where
    I: Record,
    V: Invertible,
    F: for<'a> Fn(I::View<'a>) -> V::Item,
{
    const HEAD_BYTES: usize = Head::<V::State, N>::BYTES;

    /// Windows of the last so many records, over what `read` makes of each.
    ///
    /// Panics where a count is 0: a bug in the job, which is refused before.
    pub fn new(operator: OperatorId, counts: [u64; N], read: F) -> Self {
        assert_eq!(counts_problem(&counts), None, "the job was validated");
        Self { operator, counts, read, kinds: PhantomData }
    }

    #[inline(always)]
    fn apply_event(
        &self,
        store: &mut Store,
        key: EntryKey<'_>,
        event: Event<V::Item>,
    ) -> [V::State; N] {
        let (at, added) = store.find_or_insert(&key, Self::HEAD_BYTES);
        let mut head: Head<V::State, N> = store.field(at, 0);
        if added {
            head.windows.iter_mut().for_each(|window| window.state = V::State::default());
        }
        let mut log = Log::new(store, key);
        log.set(head.next, &mut head.next_hint, event);
        head.next += 1;
        for (window, count) in head.windows.iter_mut().zip(self.counts) {
            V::add(&mut window.state, event.item);
            if head.next - window.oldest > count {
                V::remove(&mut window.state, log.get(window.oldest, &mut window.hint).item);
                window.oldest += 1;
            }
        }
        let first = head.windows.iter().map(|window| window.oldest).min();
        let first = first.expect("there is a window");
        log.delete_before(head.first, first);
        head.first = first;
        let at = store.writable(at);
        store.set(at, 0, head);
        head.windows.map(|window| window.state)
    }
}

/// Why windows of such counts can't work, if they can't.
pub(crate) fn counts_problem(counts: &[u64]) -> Option<WindowProblem> {
    if counts.is_empty() {
        return Some(WindowProblem::NoLength);
    }
    counts.contains(&0).then_some(WindowProblem::KeepsNothing)
}

impl<K, I, V, F, const N: usize> KeyedOperator for LastRecords<K, I, V, F, N>
where
    K: Key,
    I: Record,
    V: Invertible,
    F: for<'a> Fn(I::View<'a>) -> V::Item + Send + 'static,
{
    type Key = K;
    type In = I;
    type Out = Windowed<I, V, N>;
    type Emission = [V::State; N];

    fn states(&self) -> Vec<OperatorState> {
        let events = Layout::Repeated(Box::new(Event::<V::Item>::layout()));
        vec![OperatorState {
            id: self.operator,
            kind: "last_records",
            identity: format!("counts {:?}", self.counts),
            key: K::layout(),
            values: vec![
                StateLayout::new("windows", 0..=0, Head::<V::State, N>::layout()),
                StateLayout::new("events", 1..=u64::MAX, events),
            ],
        }]
    }

    fn touch(&self, state: &mut Store, hashes: &[KeyHash]) {
        state.touch(self.operator, hashes);
        for &hash in hashes {
            let bytes = state.guess(self.operator, hash);
            if let Some(bytes) = bytes.filter(|bytes| bytes.len() == Self::HEAD_BYTES) {
                let head = Head::<V::State, N>::read(bytes);
                touch_event::<V::Item>(state, head.next, head.next_hint);
                for window in head.windows {
                    touch_event::<V::Item>(state, window.oldest, window.hint);
                }
            }
        }
    }

    #[inline(always)]
    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        view: I::View<'_>,
    ) -> Option<Self::Emission> {
        let item = (self.read)(view);
        let event = Event { time: header.event_time.0, order: 0, item };
        K::with_bytes(key, |bytes| {
            let (operator, hash) = (self.operator, header.key_hash);
            let key = EntryKey { operator, hash, key: bytes, namespace: 0 };
            Some(self.apply_event(state, key, event))
        })
    }

    #[inline(always)]
    fn output<'a>(
        &self,
        emission: Self::Emission,
        _: K::View<'a>,
        view: I::View<'a>,
    ) -> <Self::Out as Item>::View<'a> {
        (view, emission)
    }
}

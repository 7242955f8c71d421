//! Exact sliding windows: what each record's own windows hold, for N lengths over one log.
//!
//! Takes records of a key; hands on each with the aggregates of N windows. Window i of a record at
//! time t covers the key's events with time in `(t - delay - length_i, t - delay]`. Without a delay
//! these are the events at or before this record in the order of (time, order), itself included;
//! with one, all events that have arrived with such a time, whatever their order.
//!
//! ```text
//!   log:   | expired |######### longest window ########|~~ not yet: the delay ~~|
//!                     ^ oldest[2]    ^ oldest[1]  ^ oldest[0]  ^ to_add       ^ next
//! ```
//!
//! Invariants, all about the time T of the newest record
//! 1. The log is sorted by (time, order); equals stand in the order of their arrival.
//! 2. Window i's running state holds the events `oldest_i .. to_add`: those with a time in
//!    `(T - delay - length_i, T - delay]`.
//! 3. The log keeps the events after `T - delay - longest`: all that a record at T or later can ask
//!    for. Chunks that hold none of them are deleted.
//!
//! A record that is not older than the newest costs O(1) amortised a window: each event enters a
//! window once and leaves it once. An older one is put in its place, which moves the later events,
//! and is answered by a walk over the log: exact for what has arrived and is kept, which by
//! invariant 3 may be less than it covers if it is older than T by more than nothing; O(kept).
//!
//! Why running states and not a tree of partial sums: with exact inverses (whole numbers) removal is
//! exact and costs one subtraction; folds without an inverse belong in `PaneWindows`.

use std::marker::PhantomData;

use super::exact_head::{Head, Window};
use super::exact_log::{Event, Log, touch_event};
use super::fold::{Invertible, Kinds};
use crate::chain::{KeyedOperator, OperatorState, StateLayout};
use crate::record::{Fixed, FrameHeader, Item, Key, KeyHash, Layout, Paired, Record, TimeSpan};
use crate::state::{EntryKey, LogOffset, OperatorId, Store};

/// The windows of an [`ExactWindows`].
#[derive(Debug, Clone, Copy)]
pub struct ExactSpec<const N: usize> {
    /// How long each window is; in any order.
    pub lengths: [TimeSpan; N],
    /// How far before the record all windows end.
    pub delay: TimeSpan,
}

/// A record and what each of its N windows holds.
pub type Windowed<I, V, const N: usize> = Paired<I, [<V as Invertible>::State; N]>;

/// Exact per-event sliding windows over N lengths. `F` reads a record's order and item.
#[derive(Debug)]
pub struct ExactWindows<K, I, V, F, const N: usize> {
    operator: OperatorId,
    /// How old an event is when it leaves each window, and when it enters them.
    reaches: [u64; N],
    delay: u64,
    longest: u64,
    read: F,
    kinds: Kinds<K, I, V>,
}

impl<K, I, V, F, const N: usize> ExactWindows<K, I, V, F, N>
where
    I: Record,
    V: Invertible,
    F: for<'a> Fn(I::View<'a>) -> (u64, V::Item),
{
    const HEAD_BYTES: usize = Head::<V::Item, V::State, N>::BYTES;

    /// Windows whose events are what `read` makes of a record: its order among the records of one
    /// time (such as a transaction's number), and the item.
    ///
    /// Panics where a length is not positive or the delay is negative: a bug in the job.
    pub fn new(operator: OperatorId, spec: ExactSpec<N>, read: F) -> Self {
        assert!(N > 0, "there is a window");
        assert!(spec.lengths.into_iter().min() > Some(TimeSpan::ZERO), "a window has a length");
        assert!(spec.delay >= TimeSpan::ZERO, "windows don't look ahead");
        let delay = spec.delay.0.unsigned_abs();
        let reaches = spec.lengths.map(|length| delay + length.0.unsigned_abs());
        let longest = reaches.into_iter().max().unwrap_or(0);
        Self { operator, reaches, delay, longest, read, kinds: PhantomData }
    }

    #[inline(always)]
    fn undelayed(&self) -> bool {
        self.delay == 0
    }

    fn apply_event(
        &self,
        store: &mut Store,
        key: EntryKey<'_>,
        event: Event<V::Item>,
    ) -> [V::State; N] {
        let (at, added) = store.find_or_insert(&key, Self::HEAD_BYTES);
        let mut head: Head<V::Item, V::State, N> = store.field(at, 0);
        if added {
            head.newest = (i64::MIN, 0);
        }
        let mut log = Log::new(store, key);
        // With a delay no window tells records of one time apart.
        let in_order = if self.undelayed() {
            event.rank() >= head.newest
        } else {
            event.time >= head.newest.0
        };
        let answer = if in_order {
            self.append(&mut log, &mut head, event);
            head.windows.map(|window| window.state)
        } else {
            self.insert(&mut log, &mut head, event);
            self.scan(&log, &head, event)
        };
        let at = store.writable(at);
        store.set(at, 0, head);
        answer
    }

    /// Adds the newest event, and brings the windows to its time.
    #[inline(always)]
    fn append(
        &self,
        log: &mut Log<'_, V::Item>,
        head: &mut Head<V::Item, V::State, N>,
        mut event: Event<V::Item>,
    ) {
        if !self.undelayed() && event.time == head.newest.0 {
            event.order = event.order.max(head.newest.1);
        }
        head.newest = event.rank();
        log.set(head.next, &mut head.next_hint, event);
        if head.to_add == head.next {
            head.to_add_time = event.time;
        }
        head.next += 1;
        self.add_due(log, head, event);
        for (window, reach) in head.windows.iter_mut().zip(self.reaches) {
            expire::<V>(log, window, head.to_add, event.time, reach);
        }
        let first = head.windows.iter().map(|window| window.oldest).min();
        let first = first.expect("there is a window");
        log.delete_before(head.first, first);
        head.first = first;
    }

    /// Takes into the windows what the delay has let through; without a delay, the event itself.
    #[inline(always)]
    fn add_due(
        &self,
        log: &Log<'_, V::Item>,
        head: &mut Head<V::Item, V::State, N>,
        newest: Event<V::Item>,
    ) {
        while head.to_add < head.next && age(newest.time, head.to_add_time) >= self.delay {
            let event = if head.to_add + 1 == head.next {
                newest
            } else {
                log.get(head.to_add, &mut head.to_add_hint)
            };
            for window in &mut head.windows {
                if window.oldest == head.to_add {
                    (window.oldest_time, window.oldest_item) = (event.time, event.item);
                }
                V::add(&mut window.state, event.item);
            }
            head.to_add += 1;
            if head.to_add < head.next {
                head.to_add_time = log.get(head.to_add, &mut head.to_add_hint).time;
            }
        }
    }

    /// Puts a late event in its place, and counts it in the windows of the newest record that
    /// cover it. An event that no later record can ask for is not kept.
    #[cold]
    fn insert(
        &self,
        log: &mut Log<'_, V::Item>,
        head: &mut Head<V::Item, V::State, N>,
        event: Event<V::Item>,
    ) {
        let event_age = age(head.newest.0, event.time);
        if event_age >= self.longest {
            return;
        }
        let mut hint = head.next_hint;
        let mut number = head.next;
        while number > head.first && log.get(number - 1, &mut hint).rank() > event.rank() {
            number -= 1;
        }
        log.insert(number, head.next, event);
        head.next += 1;
        let is_due = event_age >= self.delay;
        head.to_add += u64::from(is_due);
        for (window, reach) in head.windows.iter_mut().zip(self.reaches) {
            if event_age >= reach {
                window.oldest += 1;
            } else if is_due {
                V::add(&mut window.state, event.item);
            }
            if window.oldest < head.next {
                let oldest = log.get(window.oldest, &mut window.hint);
                (window.oldest_time, window.oldest_item) = (oldest.time, oldest.item);
            }
        }
        if head.to_add < head.next {
            head.to_add_time = log.get(head.to_add, &mut head.to_add_hint).time;
        }
    }

    /// Answers a late record from the log.
    #[cold]
    fn scan(
        &self,
        log: &Log<'_, V::Item>,
        head: &Head<V::Item, V::State, N>,
        event: Event<V::Item>,
    ) -> [V::State; N] {
        let mut states = [V::State::default(); N];
        let mut hint = LogOffset::NONE;
        let mut seen_itself = !self.undelayed();
        let mut count_in = |kept: Event<V::Item>| {
            for (state, reach) in states.iter_mut().zip(self.reaches) {
                if age(event.time, kept.time) < reach {
                    V::add(state, kept.item);
                }
            }
        };
        for number in head.first..head.next {
            let kept = log.get(number, &mut hint);
            let covered = kept.time <= event.time && age(event.time, kept.time) >= self.delay;
            if !covered || (self.undelayed() && kept.rank() > event.rank()) {
                break;
            }
            count_in(kept);
            seen_itself |= kept.rank() == event.rank();
        }
        if !seen_itself {
            count_in(event);
        }
        states
    }
}

/// How much before `time` an earlier time lies. Exact for all times: none is subtracted from.
#[inline(always)]
fn age(time: i64, earlier: i64) -> u64 {
    time.abs_diff(earlier)
}

/// Takes back what is `reach` old or older at `time`.
#[inline(always)]
fn expire<V: Invertible>(
    log: &Log<'_, V::Item>,
    window: &mut Window<V::Item, V::State>,
    to_add: u64,
    time: i64,
    reach: u64,
) {
    while window.oldest < to_add && age(time, window.oldest_time) >= reach {
        V::remove(&mut window.state, window.oldest_item);
        window.oldest += 1;
        if window.oldest < to_add {
            let oldest = log.get(window.oldest, &mut window.hint);
            (window.oldest_time, window.oldest_item) = (oldest.time, oldest.item);
        }
    }
}

impl<K, I, V, F, const N: usize> KeyedOperator for ExactWindows<K, I, V, F, N>
where
    K: Key,
    I: Record,
    V: Invertible,
    F: for<'a> Fn(I::View<'a>) -> (u64, V::Item) + Send + 'static,
{
    type Key = K;
    type In = I;
    type Out = Windowed<I, V, N>;
    type Emission = [V::State; N];

    fn states(&self) -> Vec<OperatorState> {
        let head = Head::<V::Item, V::State, N>::layout();
        let events = Layout::Repeated(Box::new(Event::<V::Item>::layout()));
        let lengths = self.reaches.map(|reach| reach - self.delay);
        vec![OperatorState {
            id: self.operator,
            kind: "exact_windows",
            identity: format!("lengths {lengths:?} us, delay {} us", self.delay),
            key: K::layout(),
            values: vec![
                StateLayout::new("windows", 0..=0, head),
                StateLayout::new("events", 1..=u64::MAX, events),
            ],
        }]
    }

    fn touch(&self, state: &mut Store, hashes: &[KeyHash]) {
        state.touch(self.operator, hashes);
        for &hash in hashes {
            let bytes = state.guess(self.operator, hash);
            let Some(bytes) = bytes.filter(|bytes| bytes.len() == Self::HEAD_BYTES) else {
                continue;
            };
            let head = Head::<V::Item, V::State, N>::read(bytes);
            touch_event::<V::Item>(state, head.next, head.next_hint);
            for window in head.windows {
                touch_event::<V::Item>(state, window.oldest + 1, window.hint);
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
        let (order, item) = (self.read)(view);
        let event = Event { time: header.event_time.0, order, item };
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

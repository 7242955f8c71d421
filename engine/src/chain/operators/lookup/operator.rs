//! A look-up on one shard: who waits, what was called, what leaves.
//!
//! The life of a record that waits, and what moves it on:
//!
//! ```text
//!              call begun             answer, or no retry left
//!   Uncalled ------------> Called ------------------------------> Done -> leaves
//!       ^                    | failure or time-out
//!       '----- Resting <-----'
//!         backoff over
//! ```
//!
//! Time is that of the turn: `tick` says it, and everything else goes by it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::cache::Cache;
use super::calls::{Calls, Ticket};
use super::flight::{Fence, Flight, SlotIndex};
use super::options::{LookupCounts, LookupOptions};
use super::{Answered, AnsweredView, Lookup, LookupFailure};
use crate::chain::operators::sorted::FrameBuffer;
use crate::chain::{OperatorState, StateLayout};
use crate::record::{EventTime, Frame, Layout, Record};
use crate::state::{EntryKey, OperatorId, Store};

/// The key under which a record waits in the log; its hash is the frame's.
pub(crate) trait WaitingKey: Clone + Send + Sync + 'static {
    /// Appends the key's canonical bytes.
    fn append(&self, frame: Frame<'_>, bytes: &mut Vec<u8>);
    /// What they are.
    fn layout(&self) -> Layout;
}

/// What a look-up keeps: the records that wait.
pub(crate) fn lookup_states<R: Record>(id: OperatorId, key: Layout) -> Vec<OperatorState> {
    vec![OperatorState {
        id,
        kind: "lookup",
        identity: String::new(),
        key,
        values: vec![StateLayout::frames::<R>("waiting", 0..=u64::MAX)],
    }]
}

/// What a look-up is made of on every shard.
pub(crate) struct LookupSettings<L> {
    pub(crate) id: OperatorId,
    pub(crate) lookup: Arc<L>,
    pub(crate) options: LookupOptions,
}

/// A record that waits.
struct Waiting<L: Lookup> {
    frame: FrameBuffer,
    key: Vec<u8>,
    /// Its entry's namespace: the how-manieth record it is.
    number: u64,
    attempts: u32,
    progress: Progress<L>,
}

enum Progress<L: Lookup> {
    Uncalled,
    Called { ticket: Ticket, until_ns: u64 },
    Resting,
    Done(Answered<L>),
}

/// A look-up on one shard.
pub(crate) struct LookupOperator<L: Lookup> {
    id: OperatorId,
    lookup: Arc<L>,
    options: LookupOptions,
    calls: Calls<L>,
    flight: Flight<Waiting<L>>,
    /// Those that are to be called, the next one first.
    uncalled: VecDeque<SlotIndex>,
    /// When calls have taken too long, and when rests are over; by time and ticket, as times are not
    /// unique.
    timers: BTreeMap<(u64, Ticket), SlotIndex>,
    cache: Option<Cache<L::Request, L::Answer>>,
    called_count: usize,
    next_number: u64,
    next_call: u64,
    now_ns: u64,
    /// Buffers of records that have left.
    spare: Vec<(FrameBuffer, Vec<u8>)>,
    counts: LookupCounts,
}

impl<L: Lookup> LookupOperator<L> {
    pub(crate) fn new(settings: LookupSettings<L>, calls: Calls<L>) -> Self {
        let LookupSettings { id, lookup, options } = settings;
        Self {
            id,
            lookup,
            calls,
            flight: Flight::new(options.is_ordered),
            uncalled: VecDeque::new(),
            timers: BTreeMap::new(),
            cache: options.cache.map(Cache::new),
            options,
            called_count: 0,
            next_number: 0,
            next_call: 0,
            now_ns: 0,
            spare: Vec::new(),
            counts: LookupCounts::default(),
        }
    }

    /// Finds the records that waited when the log was frozen, as their frames were verified when it was
    /// loaded. Those of one shard keep their order, and so do those of one key.
    pub(crate) fn rebuild(&mut self, state: &Store) {
        let mut found: Vec<_> = state.iter_operator(self.id).collect();
        found.sort_by(|&left, &right| {
            let of = |offset| (state.namespace(offset), state.hash(offset), state.key(offset));
            of(left).cmp(&of(right))
        });
        for offset in found {
            let number = state.namespace(offset);
            self.next_number = self.next_number.max(number.saturating_add(1));
            let (frame, key) = (state.value(offset), state.key(offset));
            let slot = self.wait(Frame::new(frame), number, |bytes| bytes.extend_from_slice(key));
            self.uncalled.push_back(slot);
        }
    }

    /// A turn begins: takes answers, minds the time, and makes the calls that there is room for.
    pub(crate) fn tick(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        while let Some((ticket, answer)) = self.calls.next(now_ns) {
            self.answered(ticket, answer);
        }
        while let Some(timer) = self.timers.first_entry()
            && timer.key().0 <= now_ns
        {
            let slot = timer.remove();
            self.time_is_up(slot);
        }
        self.call();
        self.count();
    }

    /// Adds what was counted to the meters: once a turn, and at the end.
    pub(crate) fn count(&mut self) {
        if self.counts != LookupCounts::default() {
            self.options.meters.add(std::mem::take(&mut self.counts));
        }
    }

    /// When to turn again though nothing came.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        let timer = self.timers.keys().next().map(|&(at_ns, _)| at_ns);
        timer.into_iter().chain(self.calls.next_ns()).min()
    }

    /// Whether one more record may wait.
    pub(crate) fn has_room(&self) -> bool {
        self.flight.len() < self.options.in_flight as usize
    }

    /// Whether neither a record nor a watermark waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.flight.is_empty()
    }

    /// A kept answer for a record that need not wait for others.
    pub(crate) fn pass(
        &mut self,
        view: <L::In as crate::record::Item>::View<'_>,
    ) -> Option<L::Answer> {
        if !self.flight.is_empty() {
            return None;
        }
        let cache = self.cache.as_mut()?;
        let answer = cache.get(&self.lookup.request(view), self.now_ns)?;
        self.counts.cached += 1;
        Some(answer)
    }

    /// Takes a record; there is room.
    pub(crate) fn accept(&mut self, state: &mut Store, frame: Frame<'_>, key: &impl WaitingKey) {
        let number = self.next_number;
        self.next_number += 1;
        let slot = self.wait(frame, number, |bytes| key.append(frame, bytes));
        let waiting = self.flight.get(slot).expect("it was added");
        let (hash, operator) = (frame.key_hash(), self.id);
        let entry = EntryKey { operator, hash, key: &waiting.key, namespace: number };
        state.put(&entry, frame.bytes());
        let request = self.lookup.request(frame.view::<L::In>());
        let kept = self.cache.as_mut().and_then(|cache| cache.get(&request, self.now_ns));
        match kept {
            Some(answer) => {
                self.counts.cached += 1;
                self.finish(slot, Ok(answer));
            }
            None => {
                self.uncalled.push_back(slot);
                self.call();
            }
        }
    }

    fn wait(&mut self, frame: Frame<'_>, number: u64, key: impl FnOnce(&mut Vec<u8>)) -> SlotIndex {
        let (mut buffer, mut bytes) = self.spare.pop().unwrap_or_default();
        buffer.copy(frame.bytes());
        bytes.clear();
        key(&mut bytes);
        let progress = Progress::Uncalled;
        self.flight.add(Waiting { frame: buffer, key: bytes, number, attempts: 0, progress })
    }

    /// Makes the calls that there is room for.
    fn call(&mut self) {
        while self.called_count < self.options.in_flight as usize
            && let Some(slot) = self.uncalled.pop_front()
        {
            let ticket = Ticket { call: self.next_call, slot };
            self.next_call += 1;
            let until_ns = self.now_ns.saturating_add(self.options.timeout_ns());
            let waiting = self.flight.get(slot).expect("what is to be called waits");
            self.counts.calls += 1;
            self.counts.retries += u64::from(waiting.attempts > 0);
            waiting.attempts += 1;
            waiting.progress = Progress::Called { ticket, until_ns };
            let request = self.lookup.request(waiting.frame.frame().view::<L::In>());
            self.timers.insert((until_ns, ticket), slot);
            self.called_count += 1;
            self.calls.start(ticket, request, self.now_ns);
        }
    }

    fn answered(&mut self, ticket: Ticket, answer: Result<L::Answer, L::Error>) {
        let slot = ticket.slot;
        let Some(waiting) = self.flight.get(slot) else { return };
        let Progress::Called { ticket: called, until_ns } = waiting.progress else { return };
        if called != ticket {
            // The answer to a call that had taken too long.
            return;
        }
        self.timers.remove(&(until_ns, ticket));
        self.called_count -= 1;
        match answer {
            Ok(answer) => {
                if let Some(cache) = &mut self.cache {
                    let request = self.lookup.request(waiting.frame.frame().view::<L::In>());
                    cache.put(request, answer.clone(), self.now_ns);
                }
                self.counts.answered += 1;
                self.finish(slot, Ok(answer));
            }
            Err(error) => {
                let attempts = waiting.attempts;
                if self.lookup.is_retryable(&error) && self.rests(slot) {
                    return;
                }
                self.counts.failed += 1;
                self.finish(slot, Err(LookupFailure::Failed { error, attempts }));
            }
        }
    }

    /// A call has taken too long, or a rest is over.
    fn time_is_up(&mut self, slot: SlotIndex) {
        let waiting = self.flight.get(slot).expect("a timer is of a record that waits");
        let Progress::Called { ticket, .. } = waiting.progress else {
            waiting.progress = Progress::Uncalled;
            self.uncalled.push_back(slot);
            return;
        };
        let attempts = waiting.attempts;
        self.calls.cancel(ticket);
        self.called_count -= 1;
        if !self.rests(slot) {
            self.counts.timed_out += 1;
            self.finish(slot, Err(LookupFailure::TimedOut { attempts }));
        }
    }

    /// Lets a record rest before its next call, if it may have one.
    fn rests(&mut self, slot: SlotIndex) -> bool {
        let waiting = self.flight.get(slot).expect("a record rests while it waits");
        if waiting.attempts > self.options.retries {
            return false;
        }
        let until_ns = self.now_ns.saturating_add(self.options.backoff_ns(waiting.attempts));
        waiting.progress = Progress::Resting;
        let ticket = Ticket { call: self.next_call, slot };
        self.next_call += 1;
        self.timers.insert((until_ns, ticket), slot);
        true
    }

    fn finish(&mut self, slot: SlotIndex, answer: Answered<L>) {
        let waiting = self.flight.get(slot).expect("a record is answered while it waits");
        waiting.progress = Progress::Done(answer);
        self.flight.done(slot);
    }

    /// Keeps a watermark behind the records before it; where there are none it may leave at once, and
    /// is not taken.
    pub(crate) fn hold(&mut self, time: EventTime, idle: bool) -> bool {
        self.flight.hold((time, idle))
    }

    /// Takes the watermark that may leave.
    pub(crate) fn take_fence(&mut self) -> Option<Fence> {
        self.flight.take_fence()
    }

    /// Whether anything may leave.
    pub(crate) fn has_next(&self) -> bool {
        self.flight.has_next()
    }

    /// The record that leaves next, and its answer.
    pub(crate) fn next(&self) -> Option<(Frame<'_>, AnsweredView<'_, L>)> {
        let waiting = self.flight.next()?;
        match &waiting.progress {
            Progress::Done(answer) => Some((waiting.frame.frame(), answer.as_ref())),
            _ => unreachable!("only what is done may leave"),
        }
    }

    /// It has left.
    pub(crate) fn done(&mut self, state: &mut Store) {
        let waiting = self.flight.take_next().expect("what has left was next");
        let Waiting { frame, key, number: namespace, .. } = waiting;
        let (operator, hash) = (self.id, frame.frame().key_hash());
        let was_there = state.delete(&EntryKey { operator, hash, key: &key, namespace });
        assert!(was_there, "a record waits as an entry until it leaves");
        self.spare.push((frame, key));
    }
}

//! What every operator with a user's function has: the outbox, the timers, and the way to a context.
//!
//! The invariants stand in `process.rs`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::process_context::{ProcessContext, Scope, SharedContext, time_of, timer_namespace};
use super::process_states::{Declared, States};
use super::sorted::FrameBuffer;
use crate::chain::tagged::TagId;
use crate::chain::{Due, OperatorState, StateLayout};
use crate::record::{EventTime, Frame, FrameHeader, Key, KeyHash, Layout, Record, TimeSpan};
use crate::state::{EntryKey, LogOffset, OperatorId, Store};

/// What a function has emitted and set, and what it may not keep itself.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// The next to leave first.
    pub(super) frames: VecDeque<EmittedFrame>,
    /// Whether somebody takes what is emitted to side outputs.
    pub(super) takes_sides: bool,
    /// Emptied buffers.
    pub(super) spare: Vec<FrameBuffer>,
    /// Timers by time and hash; see invariant 2.
    pub(super) timers: Timers,
    /// The same by the wall clock.
    pub(super) wall_timers: Timers,
}

/// An encoded frame: of the function's record, or, with a tag, of the tag's.
#[derive(Debug)]
pub(super) struct EmittedFrame {
    pub(super) tag: Option<TagId>,
    pub(super) frame: FrameBuffer,
}

/// Timers by time and hash, the next one first.
pub(super) type Timers = BinaryHeap<Reverse<(EventTime, KeyHash)>>;

/// All that runs a function but the function.
#[derive(Debug)]
pub(super) struct ProcessCore {
    state_id: OperatorId,
    timer_id: OperatorId,
    wall_id: OperatorId,
    /// State without a key, and what of it is declared.
    shared: Option<(OperatorId, Declared)>,
    declared: Declared,
    watermark: EventTime,
    outbox: Outbox,
    key: Vec<u8>,
    wall_micros: i64,
}

impl ProcessCore {
    pub(super) fn new(state_id: OperatorId, timer_id: OperatorId, states: &States) -> Self {
        Self {
            state_id,
            timer_id,
            wall_id: OperatorId(timer_id.0 + 1),
            shared: None,
            declared: states.declared,
            watermark: EventTime::MIN,
            outbox: Outbox::default(),
            key: Vec::new(),
            wall_micros: 0,
        }
    }

    /// The same, with state that every shard has a copy of.
    pub(super) fn shared(mut self, id: OperatorId, states: &States) -> Self {
        self.shared = Some((id, states.declared));
        self
    }

    /// Lets what is emitted to side outputs leave, too.
    pub(super) fn take_sides(&mut self) {
        self.outbox.takes_sides = true;
    }

    /// What is kept: the function's states, and its timers.
    pub(super) fn states<K: Key>(&self, kind: &'static str, states: States) -> Vec<OperatorState> {
        let described = |id, kind, values| OperatorState {
            id,
            kind,
            identity: String::new(),
            key: K::layout(),
            values,
        };
        let timers = || vec![StateLayout::new("timers", 0..=u64::MAX, Layout::Unit)];
        vec![
            described(self.state_id, kind, states.layouts),
            described(self.timer_id, "timers", timers()),
            described(self.wall_id, "wall_timers", timers()),
        ]
    }

    pub(super) fn rebuild(&mut self, state: &Store, watermark: EventTime) {
        self.watermark = watermark;
        let timers = |id| {
            let entries = state.iter_operator(id);
            let timer = |offset| (time_of(state.namespace(offset)), state.hash(offset));
            entries.map(|offset| Reverse(timer(offset))).collect()
        };
        self.outbox.timers = timers(self.timer_id);
        self.outbox.wall_timers = timers(self.wall_id);
    }

    pub(super) fn tick(&mut self, wall_micros: i64) {
        self.wall_micros = wall_micros;
    }

    /// The way to state without a key.
    pub(super) fn shared_context<'s>(&self, state: &'s mut Store) -> SharedContext<'s> {
        let shared = self.shared.expect("a function of a broadcast stream has shared state");
        SharedContext::new(state, shared, self.wall_micros)
    }

    /// When the next timer of the wall clock is due.
    pub(super) fn next_wall_micros(&self) -> Option<i64> {
        self.outbox.wall_timers.peek().map(|Reverse((time, _))| time.0)
    }

    /// Lets a function at a key's state.
    #[inline(always)]
    pub(super) fn with<Out: Record>(
        &mut self,
        state: &mut Store,
        header: FrameHeader,
        key: &[u8],
        then: impl FnOnce(&mut ProcessContext<'_, Out>),
    ) {
        let Self { state_id, timer_id, wall_id, shared, declared, wall_micros, .. } = *self;
        let scope =
            Scope { header, key, state_id, timer_id, wall_id, shared, declared, wall_micros };
        then(&mut ProcessContext::new(state, &mut self.outbox, scope, self.watermark));
    }

    /// Fires timers until there is something to emit; says whether there is. `fire` is handed the
    /// key's bytes and the timer.
    pub(super) fn advance<Out: Record>(
        &mut self,
        state: &mut Store,
        due: Due,
        mut fire: impl FnMut(&mut ProcessContext<'_, Out>, &[u8], Timer),
    ) -> bool {
        while self.outbox.frames.is_empty() {
            self.watermark = self.watermark.max(due.watermark);
            let until = if due.ended { EventTime::MAX } else { due.watermark };
            let wall = EventTime(self.wall_micros);
            let timers = &mut self.outbox.timers;
            let (timer, offset) =
                if let Some((time, offset)) = next_timer(state, self.timer_id, timers, until) {
                    (Timer::Event(time), offset)
                } else if let Some((time, offset)) =
                    next_timer(state, self.wall_id, &mut self.outbox.wall_timers, wall)
                {
                    (Timer::Wall(time.0), offset)
                } else {
                    return false;
                };
            self.fire(state, timer, offset, &mut fire);
        }
        true
    }

    fn fire<Out: Record>(
        &mut self,
        state: &mut Store,
        timer: Timer,
        offset: LogOffset,
        fire: &mut impl FnMut(&mut ProcessContext<'_, Out>, &[u8], Timer),
    ) {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.extend_from_slice(state.key(offset));
        let hash = state.hash(offset);
        state.delete_at(offset);
        let header = match timer {
            Timer::Event(time) => FrameHeader::at_time(hash, time),
            Timer::Wall(at_micros) => FrameHeader {
                // Not behind what the next stage has seen.
                event_time: self.watermark.saturating_add(TimeSpan::micros(1)),
                ..FrameHeader::at_time(hash, EventTime(at_micros))
            },
        };
        self.with(state, header, &key, |context| fire(context, &key, timer));
        self.key = key;
    }

    /// What leaves next.
    pub(super) fn front(&self) -> (Option<TagId>, Frame<'_>) {
        let front = self.outbox.frames.front();
        let front = front.expect("asked only after `advance` answered `true`");
        (front.tag, front.frame.frame())
    }

    /// It has left.
    pub(super) fn done(&mut self) {
        let left = self.outbox.frames.pop_front();
        self.outbox.spare.extend(left.map(|emitted| emitted.frame));
    }
}

/// What has fired.
#[derive(Debug, Clone, Copy)]
pub(super) enum Timer {
    /// At a moment of event time.
    Event(EventTime),
    /// At a moment of the wall clock, in microseconds since 1970.
    Wall(i64),
}

/// The next timer up to `until` that is still set: its time and its entry.
fn next_timer(
    state: &Store,
    id: OperatorId,
    timers: &mut Timers,
    until: EventTime,
) -> Option<(EventTime, LogOffset)> {
    loop {
        let &Reverse((time, hash)) = timers.peek()?;
        if time > until {
            return None;
        }
        if let Some(offset) = state.candidates(id, hash, timer_namespace(time)).next() {
            return Some((time, offset));
        }
        while timers.peek() == Some(&Reverse((time, hash))) {
            timers.pop();
        }
    }
}

/// The timer entry of a key at a time.
pub(super) fn timer_key<'k>(
    scope: &Scope<'k>,
    operator: OperatorId,
    time: EventTime,
) -> EntryKey<'k> {
    EntryKey {
        operator,
        hash: scope.header.key_hash,
        key: scope.key,
        namespace: timer_namespace(time),
    }
}

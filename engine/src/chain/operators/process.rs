//! The user's own function, with keyed state and timers of event time.
//!
//! Takes records; hands on whatever the function emits, which waits in an outbox of encoded frames
//! until it is taken. Timers fire in the order (time, key's hash) once the watermark reaches them.
//!
//! Invariants
//! 1. The function runs once a record and once a timer. What it emits is in the outbox before any of
//!    it leaves, and no input, watermark or barrier passes while the outbox holds something.
//! 2. A timer is an entry of the operator's second id, its namespace the time; the heap is an index
//!    of them, without offsets, as the log moves entries. It is a set: equal items count once, and two
//!    keys with one hash share theirs, which goes when no entry is left. A timer fires once for a key
//!    and time, however often it was set.
//! 3. A timer's entry goes before its function runs, so the function may set the same time again.
//!    One that always sets a time that has passed never ends, as any loop.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;

use super::process_context::{ProcessContext, Scope, time_of, timer_namespace};
use super::process_states::{Declared, States};
use super::sorted::FrameBuffer;
use crate::chain::{Due, KeyedOperator, OperatorState, StateLayout};
use crate::record::{EventTime, Frame, FrameHeader, Item, Key, KeyHash, Layout, Record};
use crate::state::{EntryKey, OperatorId, Store};

/// What a user writes.
pub trait ProcessFunction: Send + 'static {
    /// The key.
    type Key: Key;
    /// The record that arrives.
    type In: Record;
    /// The record that leaves.
    type Out: Record;

    /// Declares the function's states: each under a name that people see, and that ties it to what
    /// an earlier version of the job has kept. Using one that is not declared is a panic.
    fn states(&self, _states: &mut States) {}

    /// A record has come.
    fn on_record(
        &mut self,
        context: &mut ProcessContext<'_, Self::Out>,
        key: <Self::Key as Key>::View<'_>,
        view: <Self::In as Item>::View<'_>,
    );

    /// A timer of `key` has fired.
    fn on_timer(
        &mut self,
        _context: &mut ProcessContext<'_, Self::Out>,
        _key: <Self::Key as Key>::View<'_>,
        _time: EventTime,
    ) {
    }
}

/// What a function has emitted and set, and what it may not keep itself.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Encoded frames, the next to leave first.
    pub(super) frames: VecDeque<FrameBuffer>,
    /// Emptied buffers.
    pub(super) spare: Vec<FrameBuffer>,
    /// Timers by time and hash; see invariant 2.
    pub(super) timers: BinaryHeap<Reverse<(EventTime, KeyHash)>>,
}

/// Runs a [`ProcessFunction`].
pub struct Process<P> {
    state_id: OperatorId,
    timer_id: OperatorId,
    function: P,
    watermark: EventTime,
    outbox: Outbox,
    key: Vec<u8>,
    declared: Declared,
    wall_micros: i64,
}

impl<P> fmt::Debug for Process<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state_id, watermark, outbox, .. } = self;
        write!(f, "Process({state_id:?}, {watermark:?}, {outbox:?})")
    }
}

impl<P: ProcessFunction> Process<P> {
    /// Runs `function`, with its values and lists under `state_id` and its timers under `timer_id`.
    pub fn new(state_id: OperatorId, timer_id: OperatorId, function: P) -> Self {
        let mut states = States::default();
        function.states(&mut states);
        Self {
            state_id,
            timer_id,
            function,
            watermark: EventTime::MIN,
            outbox: Outbox::default(),
            key: Vec::new(),
            declared: states.declared,
            wall_micros: 0,
        }
    }

    /// Runs the next timer at or before the watermark; says whether there was an item for it.
    fn fire(&mut self, state: &mut Store, due: Due) -> bool {
        let Some(&Reverse((time, hash))) = self.outbox.timers.peek() else {
            return false;
        };
        if time > due.watermark && !due.ended {
            return false;
        }
        let timer = state.candidates(self.timer_id, hash, timer_namespace(time)).next();
        let Some(offset) = timer else {
            while self.outbox.timers.peek() == Some(&Reverse((time, hash))) {
                self.outbox.timers.pop();
            }
            return true;
        };
        self.key.clear();
        self.key.extend_from_slice(state.key(offset));
        state.delete_at(offset);
        let header = FrameHeader::at_time(hash, time);
        let scope = Scope {
            header,
            key: &self.key,
            state_id: self.state_id,
            timer_id: self.timer_id,
            declared: self.declared,
            wall_micros: self.wall_micros,
        };
        let mut context = ProcessContext::new(state, &mut self.outbox, scope, self.watermark);
        let key = P::Key::from_bytes(&self.key);
        self.function.on_timer(&mut context, key, time);
        true
    }
}

impl<P: ProcessFunction> KeyedOperator for Process<P> {
    type Key = P::Key;
    type In = P::In;
    type Out = P::Out;
    type Emission = ();

    const HAS_DUE: bool = true;

    fn states(&self) -> Vec<OperatorState> {
        let mut states = States::default();
        self.function.states(&mut states);
        let described = |id, kind, values| OperatorState {
            id,
            kind,
            identity: String::new(),
            key: P::Key::layout(),
            values,
        };
        let timers = vec![StateLayout::new("timers", 0..=u64::MAX, Layout::Unit)];
        vec![
            described(self.state_id, "process", states.layouts),
            described(self.timer_id, "timers", timers),
        ]
    }

    fn rebuild(&mut self, state: &Store, watermark: EventTime) {
        self.watermark = watermark;
        self.outbox.timers = state
            .iter_operator(self.timer_id)
            .map(|offset| Reverse((time_of(state.namespace(offset)), state.hash(offset))))
            .collect();
    }

    fn tick(&mut self, wall_micros: i64) {
        self.wall_micros = wall_micros;
    }

    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: <P::Key as Key>::View<'_>,
        view: <P::In as Item>::View<'_>,
    ) -> Option<()> {
        let Self { state_id, timer_id, declared, wall_micros, .. } = *self;
        P::Key::with_bytes(key, |bytes| {
            let scope =
                Scope { header: *header, key: bytes, state_id, timer_id, declared, wall_micros };
            let mut context = ProcessContext::new(state, &mut self.outbox, scope, self.watermark);
            self.function.on_record(&mut context, key, view);
        });
        None
    }

    fn output<'a>(
        &self,
        (): (),
        _: <P::Key as Key>::View<'a>,
        _: <P::In as Item>::View<'a>,
    ) -> <P::Out as Item>::View<'a> {
        unreachable!("what a function emits is due, not an emission")
    }

    fn advance(&mut self, state: &mut Store, due: Due) -> bool {
        while self.outbox.frames.is_empty() {
            self.watermark = self.watermark.max(due.watermark);
            if !self.fire(state, due) {
                return false;
            }
        }
        true
    }

    fn due<'s>(&'s self, _: &'s Store) -> (FrameHeader, <P::Out as Item>::View<'s>) {
        let frame: Frame<'s> =
            self.outbox.frames.front().expect("asked only after `advance` answered `true`").frame();
        (frame.header(), frame.view::<P::Out>())
    }

    fn done(&mut self, _: &mut Store) {
        self.outbox.spare.extend(self.outbox.frames.pop_front());
    }
}

/// The timer entry of a key at a time.
pub(super) fn timer_key<'k>(scope: &Scope<'k>, time: EventTime) -> EntryKey<'k> {
    EntryKey {
        operator: scope.timer_id,
        hash: scope.header.key_hash,
        key: scope.key,
        namespace: timer_namespace(time),
    }
}

//! What every operator with a user's function has: the outbox, the timers, and the way to a context.
//!
//! The invariants stand in `process.rs`.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::process_context::{ProcessContext, Scope, SharedContext, time_of, timer_namespace};
use super::process_states::{Declared, States};
use super::sorted::FrameBuffer;
use crate::chain::{Due, OperatorState, StateLayout};
use crate::record::{EventTime, Frame, FrameHeader, Key, KeyHash, Layout, Record};
use crate::state::{EntryKey, OperatorId, Store};

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

/// All that runs a function but the function.
#[derive(Debug)]
pub(super) struct ProcessCore {
    state_id: OperatorId,
    timer_id: OperatorId,
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

    /// What is kept: the function's states, and its timers.
    pub(super) fn states<K: Key>(&self, kind: &'static str, states: States) -> Vec<OperatorState> {
        let described = |id, kind, values| OperatorState {
            id,
            kind,
            identity: String::new(),
            key: K::layout(),
            values,
        };
        let timers = vec![StateLayout::new("timers", 0..=u64::MAX, Layout::Unit)];
        vec![
            described(self.state_id, kind, states.layouts),
            described(self.timer_id, "timers", timers),
        ]
    }

    pub(super) fn rebuild(&mut self, state: &Store, watermark: EventTime) {
        self.watermark = watermark;
        self.outbox.timers = state
            .iter_operator(self.timer_id)
            .map(|offset| Reverse((time_of(state.namespace(offset)), state.hash(offset))))
            .collect();
    }

    pub(super) fn tick(&mut self, wall_micros: i64) {
        self.wall_micros = wall_micros;
    }

    /// The way to state without a key.
    pub(super) fn shared_context<'s>(&self, state: &'s mut Store) -> SharedContext<'s> {
        let shared = self.shared.expect("a function of a broadcast stream has shared state");
        SharedContext::new(state, shared, self.wall_micros)
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
        let Self { state_id, timer_id, shared, declared, wall_micros, .. } = *self;
        let scope = Scope { header, key, state_id, timer_id, shared, declared, wall_micros };
        then(&mut ProcessContext::new(state, &mut self.outbox, scope, self.watermark));
    }

    /// Fires timers until there is something to emit; says whether there is. `fire` is handed the
    /// key's bytes and the time.
    pub(super) fn advance<Out: Record>(
        &mut self,
        state: &mut Store,
        due: Due,
        mut fire: impl FnMut(&mut ProcessContext<'_, Out>, &[u8], EventTime),
    ) -> bool {
        while self.outbox.frames.is_empty() {
            self.watermark = self.watermark.max(due.watermark);
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
                continue;
            };
            let mut key = std::mem::take(&mut self.key);
            key.clear();
            key.extend_from_slice(state.key(offset));
            state.delete_at(offset);
            let header = FrameHeader::at_time(hash, time);
            self.with(state, header, &key, |context| fire(context, &key, time));
            self.key = key;
        }
        true
    }

    /// What leaves next.
    pub(super) fn front(&self) -> Frame<'_> {
        let front = self.outbox.frames.front();
        front.expect("asked only after `advance` answered `true`").frame()
    }

    /// It has left.
    pub(super) fn done(&mut self) {
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

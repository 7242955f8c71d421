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

use std::fmt;
use std::marker::PhantomData;

use super::process_context::ProcessContext;
use super::process_core::{ProcessCore, Timer};
use super::process_out::{Leaving, WithSides, WithoutSides};
use super::process_states::States;
use crate::chain::{Due, KeyedOperator, OperatorState};
use crate::record::{EventTime, FrameHeader, Item, Key, Record};
use crate::state::{OperatorId, Store};

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

    /// A timer of `key` by the wall clock has fired. What depends on it is not the same when the job
    /// runs again.
    fn on_wall_timer(
        &mut self,
        _context: &mut ProcessContext<'_, Self::Out>,
        _key: <Self::Key as Key>::View<'_>,
        _at_micros: i64,
    ) {
    }
}

/// Runs a [`ProcessFunction`]. `L` says whether its side outputs leave, too.
pub struct Process<P, L = WithoutSides> {
    function: P,
    core: ProcessCore,
    leaving: PhantomData<fn() -> L>,
}

impl<P, L> fmt::Debug for Process<P, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process({:?})", self.core)
    }
}

impl<P: ProcessFunction> Process<P> {
    /// Runs `function`, with its values and lists under `state_id`, its timers under `timer_id`
    /// and those of the wall clock under the id behind that.
    pub fn new(state_id: OperatorId, timer_id: OperatorId, function: P) -> Self {
        let core = ProcessCore::new(state_id, timer_id, &declared(&function));
        Self { function, core, leaving: PhantomData }
    }

    /// The same, with what the function emits to side outputs.
    #[must_use]
    pub fn with_sides(self) -> Process<P, WithSides> {
        let Self { function, mut core, .. } = self;
        core.take_sides();
        Process { function, core, leaving: PhantomData }
    }
}

fn declared<P: ProcessFunction>(function: &P) -> States {
    let mut states = States::default();
    function.states(&mut states);
    states
}

impl<P: ProcessFunction, L: Leaving<P::Out>> KeyedOperator for Process<P, L> {
    type Key = P::Key;
    type In = P::In;
    type Out = L::Item;
    type Emission = ();

    const HAS_DUE: bool = true;

    fn states(&self) -> Vec<OperatorState> {
        self.core.states::<P::Key>("process", declared(&self.function))
    }

    fn rebuild(&mut self, state: &Store, watermark: EventTime) {
        self.core.rebuild(state, watermark);
    }

    fn tick(&mut self, wall_micros: i64) {
        self.core.tick(wall_micros);
    }

    fn next_wall_micros(&self) -> Option<i64> {
        self.core.next_wall_micros()
    }

    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: <P::Key as Key>::View<'_>,
        view: <P::In as Item>::View<'_>,
    ) -> Option<()> {
        let Self { function, core, .. } = self;
        P::Key::with_bytes(key, |bytes| {
            core.with(state, *header, bytes, |context| function.on_record(context, key, view));
        });
        None
    }

    fn output<'a>(
        &self,
        (): (),
        _: <P::Key as Key>::View<'a>,
        _: <P::In as Item>::View<'a>,
    ) -> <L::Item as Item>::View<'a> {
        unreachable!("what a function emits is due, not an emission")
    }

    fn advance(&mut self, state: &mut Store, due: Due) -> bool {
        let Self { function, core, .. } = self;
        core.advance(state, due, |context, key, timer| {
            let key = P::Key::from_bytes(key);
            match timer {
                Timer::Event(time) => function.on_timer(context, key, time),
                Timer::Wall(at_micros) => function.on_wall_timer(context, key, at_micros),
            }
        })
    }

    fn due<'s>(&'s self, _: &'s Store) -> (FrameHeader, <L::Item as Item>::View<'s>) {
        let (tag, frame) = self.core.front();
        (frame.header(), L::view(tag, frame))
    }

    fn done(&mut self, _: &mut Store) {
        self.core.done();
    }
}

//! Users' functions over two streams: of one key, or one that every shard has.
//!
//! As with `ProcessFunction`, a function runs once a record and once a timer, and what it emits waits
//! in an outbox; `process.rs` has the invariants.

use std::fmt;
use std::marker::PhantomData;

use super::pair::{PairOperator, Side};
use super::process_context::{ProcessContext, SharedContext};
use super::process_core::{ProcessCore, Timer};
use super::process_out::{Leaving, WithSides, WithoutSides};
use super::process_states::States;
use crate::chain::{Due, KeyFn, OperatorState, SHARED_KIND};
use crate::record::{EventTime, Frame, FrameHeader, Item, Key, Layout, Record};
use crate::state::{OperatorId, Store};

/// A function of two streams that are grouped by one key: they share its state and its timers.
pub trait PairFunction: Send + 'static {
    /// The key.
    type Key: Key;
    /// A record of the left stream.
    type Left: Record;
    /// A record of the right one.
    type Right: Record;
    /// The record that leaves.
    type Out: Record;

    /// Declares the function's states, as `ProcessFunction::states` does.
    fn states(&self, _states: &mut States) {}

    /// A record of the left stream has come.
    fn on_left(
        &mut self,
        context: &mut ProcessContext<'_, Self::Out>,
        key: <Self::Key as Key>::View<'_>,
        view: <Self::Left as Item>::View<'_>,
    );

    /// A record of the right stream has come.
    fn on_right(
        &mut self,
        context: &mut ProcessContext<'_, Self::Out>,
        key: <Self::Key as Key>::View<'_>,
        view: <Self::Right as Item>::View<'_>,
    );

    /// A timer of `key` has fired.
    fn on_timer(
        &mut self,
        _context: &mut ProcessContext<'_, Self::Out>,
        _key: <Self::Key as Key>::View<'_>,
        _time: EventTime,
    ) {
    }

    /// A timer of `key` by the wall clock has fired.
    fn on_wall_timer(
        &mut self,
        _context: &mut ProcessContext<'_, Self::Out>,
        _key: <Self::Key as Key>::View<'_>,
        _at_micros: i64,
    ) {
    }
}

/// A function of a keyed stream and one that every shard has a copy of, such as rules.
///
/// What `on_broadcast` keeps is the same on every shard, as long as it depends on the records alone;
/// records of several splits of the broadcast stream may reach shards in different orders. It is
/// checkpointed, and a rescale copies it.
pub trait BroadcastFunction: Send + 'static {
    /// The key.
    type Key: Key;
    /// A record of the keyed stream.
    type In: Record;
    /// A record of the broadcast one.
    type Broadcast: Record;
    /// The record that leaves.
    type Out: Record;

    /// Declares the states of a key, as `ProcessFunction::states` does.
    fn states(&self, _states: &mut States) {}

    /// Declares the state that every shard has a copy of: maps, without a time to live.
    fn shared_states(&self, states: &mut States);

    /// A record of the broadcast stream has come; on every shard.
    fn on_broadcast(
        &mut self,
        context: &mut SharedContext<'_>,
        view: <Self::Broadcast as Item>::View<'_>,
    );

    /// A record of the keyed stream has come. `context.shared_get` reads the shared maps.
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

    /// A timer of `key` by the wall clock has fired.
    fn on_wall_timer(
        &mut self,
        _context: &mut ProcessContext<'_, Self::Out>,
        _key: <Self::Key as Key>::View<'_>,
        _at_micros: i64,
    ) {
    }
}

/// Runs a [`PairFunction`].
pub struct ProcessPair<P, FL, FR, L = WithoutSides> {
    function: P,
    core: ProcessCore,
    keys: (FL, FR),
    leaving: PhantomData<fn() -> L>,
}

/// Runs a [`BroadcastFunction`].
pub struct ProcessBroadcast<P, F, L = WithoutSides> {
    function: P,
    core: ProcessCore,
    shared: OperatorId,
    key_fn: F,
    leaving: PhantomData<fn() -> L>,
}

impl<P, FL, FR, L> fmt::Debug for ProcessPair<P, FL, FR, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProcessPair({:?})", self.core)
    }
}

impl<P, F, L> fmt::Debug for ProcessBroadcast<P, F, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProcessBroadcast({:?})", self.core)
    }
}

fn collected(declare: impl FnOnce(&mut States)) -> States {
    let mut states = States::default();
    declare(&mut states);
    states
}

impl<P: PairFunction, FL, FR> ProcessPair<P, FL, FR> {
    /// Runs `function`, with its states under `state_id` and its timers under the next two ids.
    pub fn new(state_id: OperatorId, function: P, keys: (FL, FR)) -> Self {
        let states = collected(|states| function.states(states));
        let core = ProcessCore::new(state_id, OperatorId(state_id.0 + 1), &states);
        Self { function, core, keys, leaving: PhantomData }
    }

    /// The same, with what the function emits to side outputs.
    #[must_use]
    pub fn with_sides(self) -> ProcessPair<P, FL, FR, WithSides> {
        let Self { function, mut core, keys, .. } = self;
        core.take_sides();
        ProcessPair { function, core, keys, leaving: PhantomData }
    }
}

impl<P: BroadcastFunction, F> ProcessBroadcast<P, F> {
    /// Runs `function`, with a key's states under `state_id`, timers under the next two ids and
    /// shared state under the one behind them.
    pub fn new(state_id: OperatorId, function: P, key_fn: F) -> Self {
        let states = collected(|states| function.states(states));
        let shared_states = collected(|states| function.shared_states(states));
        let shared = OperatorId(state_id.0 + 3);
        let core = ProcessCore::new(state_id, OperatorId(state_id.0 + 1), &states);
        let core = core.shared(shared, &shared_states);
        Self { function, core, shared, key_fn, leaving: PhantomData }
    }

    /// The same, with what the function emits to side outputs.
    #[must_use]
    pub fn with_sides(self) -> ProcessBroadcast<P, F, WithSides> {
        let Self { function, mut core, shared, key_fn, .. } = self;
        core.take_sides();
        ProcessBroadcast { function, core, shared, key_fn, leaving: PhantomData }
    }
}

/// What both have in common: nothing is an emission, all is due.
macro_rules! emits_by_outbox {
    () => {
        const HAS_DUE: bool = true;

        fn rebuild(&mut self, state: &Store, watermark: EventTime) {
            self.core.rebuild(state, watermark);
        }

        fn tick(&mut self, wall_micros: i64) {
            self.core.tick(wall_micros);
        }

        fn next_wall_micros(&self) -> Option<i64> {
            self.core.next_wall_micros()
        }

        fn output<'a>(
            &'a self,
            _: &'a Store,
            (): (),
            _: Frame<'a>,
        ) -> (FrameHeader, <Self::Out as Item>::View<'a>) {
            unreachable!("what a function emits is due, not an emission")
        }

        fn done(&mut self, _: &mut Store, (): (), _: Frame<'_>) -> Option<()> {
            None
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

        fn due<'s>(&'s self, _: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
            let (tag, frame) = self.core.front();
            (frame.header(), L::view(tag, frame))
        }

        fn due_done(&mut self, _: &mut Store) {
            self.core.done();
        }
    };
}

impl<P, FL, FR, L> PairOperator for ProcessPair<P, FL, FR, L>
where
    P: PairFunction,
    L: Leaving<P::Out>,
    FL: KeyFn<P::Left, P::Key>,
    FR: KeyFn<P::Right, P::Key>,
{
    type Left = P::Left;
    type Right = P::Right;
    type Out = L::Item;
    type Emission = ();

    emits_by_outbox!();

    fn states(&self) -> Vec<OperatorState> {
        let states = collected(|states| self.function.states(states));
        self.core.states::<P::Key>("process_pair", states)
    }

    fn apply(&mut self, state: &mut Store, side: Side, frame: Frame<'_>, _: Due) -> Option<()> {
        let Self { function, core, keys, .. } = self;
        let header = frame.header();
        match side {
            Side::Left => {
                let view = frame.view::<P::Left>();
                let key = keys.0.key(view);
                P::Key::with_bytes(key, |bytes| {
                    core.with(state, header, bytes, |context| function.on_left(context, key, view));
                });
            }
            Side::Right => {
                let view = frame.view::<P::Right>();
                let key = keys.1.key(view);
                P::Key::with_bytes(key, |bytes| {
                    core.with(state, header, bytes, |context| {
                        function.on_right(context, key, view)
                    });
                });
            }
        }
        None
    }
}

impl<P, F, L> PairOperator for ProcessBroadcast<P, F, L>
where
    P: BroadcastFunction,
    L: Leaving<P::Out>,
    F: KeyFn<P::In, P::Key>,
{
    type Left = P::In;
    type Right = P::Broadcast;
    type Out = L::Item;
    type Emission = ();

    emits_by_outbox!();

    fn states(&self) -> Vec<OperatorState> {
        let states = collected(|states| self.function.states(states));
        let shared_states = collected(|states| self.function.shared_states(states));
        let mut states = self.core.states::<P::Key>("process_broadcast", states);
        states.push(OperatorState {
            id: self.shared,
            kind: SHARED_KIND,
            identity: String::new(),
            key: Layout::Unit,
            values: shared_states.layouts,
        });
        states
    }

    fn apply(&mut self, state: &mut Store, side: Side, frame: Frame<'_>, _: Due) -> Option<()> {
        let Self { function, core, key_fn, .. } = self;
        match side {
            Side::Left => {
                let view = frame.view::<P::In>();
                let key = key_fn.key(view);
                P::Key::with_bytes(key, |bytes| {
                    let header = frame.header();
                    core.with(state, header, bytes, |context| {
                        function.on_record(context, key, view)
                    });
                });
            }
            Side::Right => {
                let mut context = core.shared_context(state);
                function.on_broadcast(&mut context, frame.view::<P::Broadcast>());
            }
        }
        None
    }
}

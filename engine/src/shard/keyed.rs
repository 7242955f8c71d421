//! The body of a keyed stage: `operator -> chain -> terminal` over one input.

use std::marker::PhantomData;

use crate::chain::{Due, Flow, KeyFn, KeyedOperator, Push};
use crate::record::{EventTime, Frame, FrameHeader, KeyHash};
use crate::state::Store;

use super::stage::Body;

/// How far the present frame has come; all but `Fresh` survive a refusal.
enum Phase<E> {
    /// Not applied yet.
    Fresh,
    /// Applied; its emission was refused.
    Emitting(E),
    /// Emitted; what became due by it was refused.
    Draining,
}

/// One keyed operator and what follows it.
pub(crate) struct KeyedBody<Op: KeyedOperator, F, P> {
    name: Box<str>,
    operator: Op,
    key_fn: F,
    push: P,
    phase: Phase<Op::Emission>,
    due_repeated: bool,
    key: PhantomData<fn() -> Op::Key>,
}

impl<Op: KeyedOperator, F, P> KeyedBody<Op, F, P> {
    pub(crate) fn new(name: &str, operator: Op, key_fn: F, push: P) -> Self {
        Self {
            name: name.into(),
            operator,
            key_fn,
            push,
            phase: Phase::Fresh,
            due_repeated: false,
            key: PhantomData,
        }
    }
}

impl<Op, F, P> KeyedBody<Op, F, P>
where
    Op: KeyedOperator,
    F: KeyFn<Op::In, Op::Key>,
    P: Push<Op::Out>,
{
    #[inline(always)]
    fn emit(&mut self, frame: Frame<'_>, emission: Op::Emission, repeated: bool) -> Flow {
        let view = frame.view::<Op::In>();
        let mut header = frame.header();
        header.kind = self.operator.kind(&emission).unwrap_or(header.kind);
        let item = self.operator.output(emission, self.key_fn.key(view), view);
        self.push.begin(repeated);
        self.push.push(&header, item)
    }

    #[inline(always)]
    fn apply(&mut self, state: &mut Store, frame: Frame<'_>) -> Flow {
        let view = frame.view::<Op::In>();
        let header: FrameHeader = frame.header();
        match self.operator.apply(state, &header, self.key_fn.key(view), view) {
            None => Flow::Ready,
            Some(emission) => {
                let flow = self.emit(frame, emission, false);
                if flow.is_blocked() {
                    self.phase = Phase::Emitting(emission);
                }
                flow
            }
        }
    }
}

impl<Op, F, P> Body for KeyedBody<Op, F, P>
where
    Op: KeyedOperator,
    F: KeyFn<Op::In, Op::Key>,
    P: Push<Op::Out>,
{
    type Terminal = P;

    fn dropped_count(&self) -> u64 {
        self.operator.dropped_count()
    }

    #[inline(always)]
    fn touch(&self, state: &mut Store, hashes: &[KeyHash]) {
        self.operator.touch(state, hashes);
    }

    #[inline(always)]
    fn run(&mut self, state: &mut Store, _side: u8, frame: Frame<'_>, due: Due) -> Flow {
        let flow = match self.phase {
            Phase::Fresh => self.apply(state, frame),
            Phase::Emitting(emission) => self.emit(frame, emission, true),
            Phase::Draining => Flow::Ready,
        };
        if flow.is_blocked() {
            return Flow::Blocked;
        }
        if Op::HAS_DUE && self.drain(state, due).is_blocked() {
            self.phase = Phase::Draining;
            return Flow::Blocked;
        }
        self.phase = Phase::Fresh;
        Flow::Ready
    }

    fn drain(&mut self, state: &mut Store, due: Due) -> Flow {
        while Op::HAS_DUE && self.operator.advance(state, due) {
            let (header, item) = self.operator.due(state);
            self.push.begin(self.due_repeated);
            if self.push.push(&header, item).is_blocked() {
                self.due_repeated = true;
                return Flow::Blocked;
            }
            self.due_repeated = false;
            self.operator.done(state);
        }
        Flow::Ready
    }

    fn terminal(&mut self) -> &mut P {
        &mut self.push
    }

    fn is_drained(&self) -> bool {
        self.push.is_drained()
    }

    fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Fresh) && !self.due_repeated
    }

    fn tick(&mut self, _: u64, wall_micros: i64) {
        self.operator.tick(wall_micros);
    }

    fn next_wall_micros(&self) -> Option<i64> {
        self.operator.next_wall_micros()
    }

    fn owes_due(&self) -> bool {
        matches!(self.phase, Phase::Fresh) && self.due_repeated
    }

    fn rebuild(&mut self, state: &Store, watermark: EventTime) {
        self.operator.rebuild(state, watermark);
    }

    fn name(&self) -> &str {
        &self.name
    }
}

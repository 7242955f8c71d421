//! The body of a look-up's stage: `look-up -> chain -> terminal`.
//!
//! Why not a `KeyedOperator`: what waits here holds watermarks and not barriers, and bounds the input; no
//! other operator does any of that.

use crate::chain::operators::{AnsweredView, LookedUp, Lookup, LookupOperator, WaitingKey};
use crate::chain::{Due, Flow, Push};
use crate::record::{EventTime, Frame, Marker};
use crate::state::Store;

use super::stage::Body;

/// A look-up and what follows it.
pub(crate) struct LookupBody<L: Lookup, W, P> {
    name: Box<str>,
    operator: LookupOperator<L>,
    key: W,
    push: P,
    /// The record that leaves next was refused.
    repeated: bool,
    /// The present frame's kept answer, while its item is refused.
    passing: Option<L::Answer>,
}

impl<L: Lookup, W: WaitingKey, P: Push<LookedUp<L>>> LookupBody<L, W, P> {
    pub(crate) fn new(name: &str, operator: LookupOperator<L>, key: W, push: P) -> Self {
        Self { name: name.into(), operator, key, push, repeated: false, passing: None }
    }

    /// Pushes a record with a kept answer, from where it lies.
    fn pass(&mut self, frame: Frame<'_>, answer: L::Answer, repeated: bool) -> Flow {
        let flow = emit(&mut self.push, frame, Ok(&answer), repeated);
        self.passing = flow.is_blocked().then_some(answer);
        flow
    }
}

fn emit<L: Lookup>(
    push: &mut impl Push<LookedUp<L>>,
    frame: Frame<'_>,
    answer: AnsweredView<'_, L>,
    repeated: bool,
) -> Flow {
    push.begin(repeated);
    push.push(&frame.header(), (frame.view::<L::In>(), answer))
}

impl<L: Lookup, W: WaitingKey, P: Push<LookedUp<L>>> Body for LookupBody<L, W, P> {
    type Terminal = P;

    fn dropped_count(&self) -> u64 {
        0
    }

    fn run(&mut self, state: &mut Store, _: u8, frame: Frame<'_>, due: Due) -> Flow {
        if let Some(answer) = self.passing.take() {
            return self.pass(frame, answer, true);
        }
        if self.repeated && self.drain(state, due).is_blocked() {
            return Flow::Blocked;
        }
        if let Some(answer) = self.operator.pass(frame.view::<L::In>()) {
            return self.pass(frame, answer, false);
        }
        if !self.operator.has_room() {
            return Flow::Blocked;
        }
        self.operator.accept(state, frame, &self.key);
        // The frame is done with. What is refused here leaves before the next one is taken.
        let _ = self.drain(state, due);
        Flow::Ready
    }

    /// Emits what has its answer. At the end it waits for the rest.
    fn drain(&mut self, state: &mut Store, due: Due) -> Flow {
        loop {
            while let Some((time, idle)) = self.operator.take_fence() {
                self.push.marker(Marker::Watermark { time, idle });
            }
            let Some((frame, answer)) = self.operator.next() else { break };
            if emit(&mut self.push, frame, answer, self.repeated).is_blocked() {
                self.repeated = true;
                return Flow::Blocked;
            }
            self.repeated = false;
            self.operator.done(state);
        }
        if !due.ended {
            return Flow::Ready;
        }
        self.operator.count();
        if self.operator.is_empty() { Flow::Ready } else { Flow::Blocked }
    }

    fn terminal(&mut self) -> &mut P {
        &mut self.push
    }

    fn watermark(&mut self, time: EventTime, idle: bool) {
        if !self.operator.hold(time, idle) {
            self.push.marker(Marker::Watermark { time, idle });
        }
    }

    fn is_drained(&self) -> bool {
        self.push.is_drained()
    }

    fn is_at_rest(&self) -> bool {
        !self.repeated && self.passing.is_none()
    }

    fn tick(&mut self, now_ns: u64, _: i64) {
        self.operator.tick(now_ns);
    }

    fn next_ns(&self) -> Option<u64> {
        self.operator.next_ns()
    }

    fn owes_due(&self) -> bool {
        self.repeated || self.operator.has_next()
    }

    fn rebuild(&mut self, state: &Store, _: EventTime) {
        self.operator.rebuild(state);
    }

    fn name(&self) -> &str {
        &self.name
    }
}

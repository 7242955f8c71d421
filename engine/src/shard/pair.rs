//! The body of a stage with two inputs: `pair operator -> chain -> terminal`.

use crate::chain::operators::{PairOperator, Side};
use crate::chain::{Due, Flow, Push};
use crate::record::{EventTime, Frame, FrameHeader};
use crate::state::Store;

use super::stage::Body;

/// How far the present frame has come; all but `Fresh` survive a refusal.
enum Phase<E> {
    /// Not applied yet.
    Fresh,
    /// Applied; the emission of this number was refused.
    Emitting(E, u32),
    /// Emitted; what became due by it was refused.
    Draining,
}

/// A pair operator and what follows it.
pub(crate) struct PairBody<Op: PairOperator, P> {
    name: Box<str>,
    operator: Op,
    push: P,
    phase: Phase<Op::Emission>,
    due_repeated: bool,
}

impl<Op: PairOperator, P: Push<Op::Out>> PairBody<Op, P> {
    pub(crate) fn new(name: &str, operator: Op, push: P) -> Self {
        Self { name: name.into(), operator, push, phase: Phase::Fresh, due_repeated: false }
    }

    /// Pushes what the frame has emitted from this emission on.
    #[inline(always)]
    fn emit(&mut self, state: &mut Store, frame: Frame<'_>, first: (Op::Emission, u32)) -> Flow {
        let mut repeated = matches!(self.phase, Phase::Emitting(..));
        let mut next = Some(first);
        while let Some((emission, number)) = next {
            let (header, item) = self.operator.output(state, emission, frame);
            let header = FrameHeader { ordinal: header.ordinal_of(number), ..header };
            self.push.begin(repeated);
            if self.push.push(&header, item).is_blocked() {
                self.phase = Phase::Emitting(emission, number);
                return Flow::Blocked;
            }
            repeated = false;
            next = self.operator.done(state, emission, frame).map(|next| (next, number + 1));
        }
        Flow::Ready
    }
}

impl<Op: PairOperator, P: Push<Op::Out>> Body for PairBody<Op, P> {
    type Terminal = P;

    fn dropped_count(&self) -> u64 {
        self.operator.dropped_count()
    }

    #[inline(always)]
    fn run(&mut self, state: &mut Store, side: u8, frame: Frame<'_>, due: Due) -> Flow {
        let side = if side == 0 { Side::Left } else { Side::Right };
        let first = match self.phase {
            Phase::Fresh => self.operator.apply(state, side, frame, due).map(|first| (first, 0)),
            Phase::Emitting(emission, number) => Some((emission, number)),
            Phase::Draining => None,
        };
        if let Some(first) = first
            && self.emit(state, frame, first).is_blocked()
        {
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
            self.operator.due_done(state);
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

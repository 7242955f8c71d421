//! The body of a stage with two inputs: `pair operator -> chain -> terminal`.

use crate::chain::operators::{PairOperator, Side};
use crate::chain::{Due, Flow, Push};
use crate::record::Frame;
use crate::state::Store;

use super::stage::Body;

/// A pair operator and what follows it.
pub(crate) struct PairBody<Op: PairOperator, P> {
    name: Box<str>,
    operator: Op,
    push: P,
    /// The emission of the present frame, while it is refused.
    refused: Option<Op::Emission>,
}

impl<Op: PairOperator, P> PairBody<Op, P> {
    pub(crate) fn new(name: &str, operator: Op, push: P) -> Self {
        Self { name: name.into(), operator, push, refused: None }
    }
}

impl<Op: PairOperator, P: Push<Op::Out>> Body for PairBody<Op, P> {
    type Terminal = P;

    fn dropped_count(&self) -> u64 {
        0
    }

    #[inline(always)]
    fn run(&mut self, state: &mut Store, side: u8, frame: Frame<'_>, _: Due) -> Flow {
        let repeated = self.refused.is_some();
        let side = if side == 0 { Side::Left } else { Side::Right };
        let emission = match self.refused.take() {
            None => self.operator.apply(state, side, frame),
            refused => refused,
        };
        let Some(emission) = emission else {
            return Flow::Ready;
        };
        let item = self.operator.output(state, emission, frame);
        self.push.begin(repeated);
        if self.push.push(&frame.header(), item).is_blocked() {
            self.refused = Some(emission);
            return Flow::Blocked;
        }
        self.operator.done(state, emission);
        Flow::Ready
    }

    fn drain(&mut self, _: &mut Store, _: Due) -> Flow {
        Flow::Ready
    }

    fn terminal(&mut self) -> &mut P {
        &mut self.push
    }

    fn is_drained(&self) -> bool {
        self.push.is_drained()
    }

    fn is_at_rest(&self) -> bool {
        self.refused.is_none()
    }

    fn name(&self) -> &str {
        &self.name
    }
}

//! The body of a stage without an operator: what comes in goes through the chain.
//!
//! Such a stage begins where streams meet (`union`) or spread (`rebalance`, `broadcast`).

use std::marker::PhantomData;

use crate::chain::{Due, Flow, Push};
use crate::record::{Frame, Record};
use crate::state::Store;

use super::stage::Body;

/// A chain behind an exchange, and nothing before it.
pub(crate) struct PassBody<R, P> {
    name: &'static str,
    push: P,
    /// The present frame was refused.
    repeated: bool,
    record: PhantomData<fn() -> R>,
}

impl<R, P> PassBody<R, P> {
    pub(crate) fn new(name: &'static str, push: P) -> Self {
        Self { name, push, repeated: false, record: PhantomData }
    }
}

impl<R: Record, P: Push<R>> Body for PassBody<R, P> {
    type Terminal = P;

    const KEEPS_STATE: bool = false;

    fn dropped_count(&self) -> u64 {
        0
    }

    #[inline(always)]
    fn run(&mut self, _: &mut Store, _: u8, frame: Frame<'_>, _: Due) -> Flow {
        self.push.begin(self.repeated);
        let flow = self.push.push_frame(frame);
        self.repeated = flow.is_blocked();
        flow
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
        !self.repeated
    }

    fn name(&self) -> &str {
        self.name
    }
}

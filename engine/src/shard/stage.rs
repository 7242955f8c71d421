//! A stage behind an exchange: its rings, its operator, its chain and its terminal.
//!
//! Takes frames and markers from rings; hands on what its body emits, and markers in order.
//!
//! Why one stage type for one-input and two-input operators: rings, alignment, suspension and
//! markers are the same; only the [`Body`] differs.

use crate::chain::{Due, Flow, Terminal};
use crate::record::{EventTime, Frame, KeyHash, Marker};
use crate::state::Store;

use super::inputs::{Change, Inputs};
use super::{Stage, StageError, TurnContext};

/// The loop body of a stage.
pub(crate) trait Body: Send {
    /// The terminal at the end of the body.
    type Terminal: Terminal;
    /// Brings the state of the next few frames' keys nearer: a hint.
    fn touch(&self, _state: &Store, _hashes: &[KeyHash]) {}
    /// How many records the operator has dropped as too late for anything.
    fn dropped_count(&self) -> u64;
    /// Runs one frame. After `Blocked` the same frame is run again.
    fn run(&mut self, state: &mut Store, side: u8, frame: Frame<'_>, due: Due) -> Flow;
    /// Emits what is due. After `Blocked` it is called again before anything else.
    fn drain(&mut self, state: &mut Store, due: Due) -> Flow;
    /// The terminal.
    fn terminal(&mut self) -> &mut Self::Terminal;
    /// Whether the terminal's markers have left.
    fn is_drained(&self) -> bool;
    /// The operator's name, for messages.
    fn name(&self) -> &str;
}

/// A stage that reads rings.
pub(crate) struct RingStage<B> {
    inputs: Inputs,
    body: B,
    /// Changes that wait for what is due to be emitted; at most three.
    waiting: Vec<Change>,
    epoch: u64,
    done: bool,
    /// What the tally has of the body's count.
    dropped_count: u64,
}

impl<B: Body> RingStage<B> {
    pub(crate) fn new(inputs: Inputs, body: B) -> Self {
        Self { inputs, body, waiting: Vec::new(), epoch: 0, done: false, dropped_count: 0 }

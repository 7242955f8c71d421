//! Step 5, shard: one core's worker and all that it owns.
//!
//! Takes frames, barriers and watermarks from many rings; hands on one ordered turn of work.
//!
//! Invariants
//! 1. A turn does no I/O and never waits: it takes what is there, and returns.
//! 2. Stages are served last to first, sources last; a stage waits only for later stages, and the
//!    last one only for its sink, so waiting is acyclic.
//! 3. A shard owns its state by `&mut`; nothing of it is shared but rings, counters and wakers.
//!
//! Why a state machine and not async code: the same turn runs under glommio, under plain threads
//! and in the simulator, so what is tested is what runs; and the hot loop has no scheduler in it.

mod inputs;
mod keyed;
mod lookup;
mod pair;
pub mod park;
mod pass;
mod schedule;
mod side;
mod source;
mod stage;
mod stall;
mod timeline;
mod turn;

pub(crate) use inputs::Inputs;
pub(crate) use keyed::KeyedBody;
pub(crate) use lookup::LookupBody;
pub(crate) use pair::PairBody;
pub(crate) use pass::PassBody;
pub(crate) use side::{Keep, SideOutput, SideSink};
pub(crate) use source::{SideOutputs, SourceSettings, SourceStage, SourceStart, SplitInput};
pub(crate) use stage::{RingStage, StageStart};
pub(crate) use stall::Stall;
pub use timeline::{SplitStatus, Timeline};
pub(crate) use turn::{Shard, ShardParts, Turn};

use crate::chain::TerminalError;
use crate::metric::ShardCount;
use crate::record::IngressPosition;
use crate::source::SourceError;

/// How many frames a stage takes in one turn, so that every stage gets its share.
const STAGE_FRAMES_MAX: u32 = 1_024;

/// Why a stage can't go on; it ends the job.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A terminal failed.
    #[error(transparent)]
    Terminal(#[from] TerminalError),
    /// The dead-letter or late output failed.
    #[error(transparent)]
    Sink(#[from] crate::sink::SinkError),
}

/// What a stage is handed for one turn.
pub(crate) struct TurnContext<'t> {
    /// How many more frames the stage may take.
    pub(crate) budget: u32,
    /// Whether anything happened.
    pub(crate) moved: bool,
    /// The record that was taken last, for messages.
    pub(crate) position: &'t mut IngressPosition,
    /// The clock at the start of the turn.
    pub(crate) now_ns: u64,
    /// The wall clock at the start of the turn.
    pub(crate) wall_micros: i64,
    /// When the shard has to turn again although nothing wakes it.
    pub(crate) wake_at_ns: Option<u64>,
    /// The epoch whose barrier the sources are to send.
    pub(crate) barrier: u64,
    /// What the source stages counted.
    pub(crate) tally: &'t mut ShardCount,
}

impl TurnContext<'_> {
    pub(crate) fn wake_at(&mut self, at_ns: u64) {
        self.wake_at_ns = Some(self.wake_at_ns.map_or(at_ns, |other| other.min(at_ns)));
    }
}

/// The part of a job between two exchanges, on one shard.
pub(crate) trait Stage: Send {
    /// Does what can be done now.
    fn turn(&mut self, context: &mut TurnContext<'_>) -> Result<(), StageError>;
    /// Whether it has ended and all it made has left.
    fn is_done(&self) -> bool;
    /// The operator's name, for messages.
    fn name(&self) -> &str;
    /// The last epoch whose barrier it has passed on; the highest number once it has ended.
    fn epoch(&self) -> u64;
    /// The record that is being served, where that is not the last one that was taken.
    fn serving(&self) -> Option<IngressPosition> {
        None
    }
}

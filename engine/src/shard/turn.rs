//! The shard itself, and its turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Clock;
use crate::metric::{Hiccup, ShardCount, ShardCounters};
use crate::record::IngressPosition;

use super::{Stage, StageError, Stall, TurnContext};

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Something happened: turn again.
    Worked,
    /// Nothing to do until someone wakes the shard, or until this time on the engine's clock.
    Idle {
        /// When to turn again at the latest.
        until_ns: Option<u64>,
    },
    /// Every stage has ended and all output is written.
    Done,
}

/// What a shard is built from.
pub(crate) struct ShardParts {
    /// In the order in which they are served: last stage first.
    pub(crate) stages: Vec<Box<dyn Stage>>,
    pub(crate) clock: Clock,
    pub(crate) counters: Arc<ShardCounters>,
    /// The epoch whose barrier the sources are to send; set by the control thread.
    pub(crate) barrier: Arc<AtomicU64>,
    pub(crate) stall: Option<Stall>,
}

/// One core's worker.
pub(crate) struct Shard {
    stages: Vec<Box<dyn Stage>>,
    clock: Clock,
    counters: Arc<ShardCounters>,
    barrier: Arc<AtomicU64>,
    stall: Option<Stall>,
    tally: ShardCount,
    /// The stage and the record that were served last, for messages.
    serving: usize,
    position: IngressPosition,
    hiccup: Hiccup,
    /// Whether the last turn had nothing to do.
    idle: bool,
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("stage_count", &self.stages.len()).finish_non_exhaustive()
    }
}

impl Shard {
    pub(crate) fn new(parts: ShardParts) -> Self {
        Self {
            stages: parts.stages,
            clock: parts.clock,
            counters: parts.counters,
            barrier: parts.barrier,
            stall: parts.stall,
            tally: ShardCount { watermark_micros: i64::MIN, ..ShardCount::default() },
            serving: 0,
            position: IngressPosition::default(),
            hiccup: Hiccup::new(),
            idle: false,
        }
    }

    /// Serves every stage once, last to first.
    ///
    /// # Errors
    /// A source, a sink or a ring that can't go on; the job ends.
    pub(crate) fn turn(&mut self) -> Result<Turn, StageError> {
        let now_ns = self.clock.now_ns();
        if self.idle {
            // Whatever this turn finds to do: since the last one there was nothing, so the time
            // in between is the machine's.
            self.hiccup.idle_turn(now_ns);
        }
        (self.tally.state_entries, self.tally.state_bytes) = (0, 0);
        let mut context = TurnContext {
            budget: 0,
            moved: false,
            position: &mut self.position,
            now_ns,
            wall_micros: self.clock.wall_micros(),
            wake_at_ns: None,
            // Relaxed: the number alone is the message.
            barrier: self.barrier.load(Ordering::Relaxed),
            tally: &mut self.tally,
        };
        let mut stalled = false;
        let mut done = true;
        let mut outcome = Ok(());
        for (index, stage) in self.stages.iter_mut().enumerate() {
            if self.stall.as_mut().is_some_and(Stall::skips) {
                stalled = true;
                done &= stage.is_done();
                continue;
            }
            self.serving = index;
            outcome = stage.turn(&mut context);
            if outcome.is_err() {
                break;
            }
            done &= stage.is_done();
        }
        let (moved, wake_at_ns) = (context.moved, context.wake_at_ns);
        outcome?;
        let idle = !(done || moved || stalled);
        self.tally.epoch = self.stages.iter().map(|stage| stage.epoch()).min().unwrap_or(u64::MAX);
        self.tally.turns += 1;
        self.tally.idle_turns += u64::from(idle);
        self.counters.publish(&self.tally);
        if !idle {
            self.hiccup.interrupted();
        } else if !self.idle {
            self.hiccup.idle_turn(now_ns);
        }
        self.idle = idle;
        if done {
            return Ok(Turn::Done);
        }
        if !idle {
            return Ok(Turn::Worked);
        }
        Ok(Turn::Idle { until_ns: wake_at_ns })
    }

    /// The driver is about to let the core go: the gap until the next turn is no hiccup.
    pub(crate) fn parks(&mut self) {
        self.tally.parks += 1;
        self.hiccup.interrupted();
        self.idle = false;
    }

    /// The stage and the record that were served last, for the message of a failure.
    #[must_use]
    pub(crate) fn serving(&self) -> (&str, IngressPosition) {
        let stage = self.stages.get(self.serving);
        let name = stage.map_or("", |stage| stage.name());
        (name, stage.and_then(|stage| stage.serving()).unwrap_or(self.position))
    }

    /// The gaps in this shard's idle spinning: what the machine itself adds to a latency.
    #[must_use]
    pub(crate) fn hiccup(&self) -> &Hiccup {
        &self.hiccup
    }
}

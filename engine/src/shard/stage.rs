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
use crate::checkpoint::{PartBody, PartEpoch, Seat};
use crate::state::ExpiryClock;

/// The loop body of a stage.
pub(crate) trait Body: Send {
    /// The terminal at the end of the body.
    type Terminal: Terminal;
    /// Whether there is state to freeze at a barrier.
    const KEEPS_STATE: bool = true;
    /// Brings the state of the next few frames' keys nearer: a hint.
    fn touch(&self, _state: &mut Store, _hashes: &[KeyHash]) {}
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
    /// Whether no frame is half done and nothing due is half emitted, so that entries may move.
    fn is_at_rest(&self) -> bool;
    /// A turn begins at this time of the engine's clock, and of the wall clock.
    fn tick(&mut self, _now_ns: u64, _wall_micros: i64) {}
    /// When to turn again though nothing came, by the engine's clock.
    fn next_ns(&self) -> Option<u64> {
        None
    }
    /// Passes a watermark on, behind all that came before it.
    fn watermark(&mut self, time: EventTime, idle: bool) {
        self.terminal().marker(Marker::Watermark { time, idle });
    }
    /// When something is due by the wall clock.
    fn next_wall_micros(&self) -> Option<i64> {
        None
    }
    /// Whether an item that is due was refused, and no frame waits for it.
    fn owes_due(&self) -> bool {
        false
    }
    /// Makes what is kept beside the store anew, after a restart at `watermark`.
    fn rebuild(&mut self, _state: &Store, _watermark: EventTime) {}
    /// The operator's name, for messages.
    fn name(&self) -> &str;
}

/// What a keyed stage begins with.
#[derive(Debug, Default)]
pub(crate) struct StageStart {
    /// Its state.
    pub(crate) store: Store,
    /// Its way to the checkpoint thread, if there is one.
    pub(crate) seat: Option<Seat>,
    /// The epoch that the job goes on from.
    pub(crate) epoch: u64,
    /// The stage's watermark then, where the state is from an earlier run.
    pub(crate) restored: Option<EventTime>,
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
    store: Store,
    seat: Option<Seat>,
    restored: Option<EventTime>,
    /// How far the stage had come in an earlier run. Its inputs may be behind that for a while: a
    /// split that is silent holds them back.
    floor: EventTime,
    /// Whether the last turn could not maintain the store.
    owes_maintenance: bool,
}

impl<B: Body> RingStage<B> {
    pub(crate) fn new(inputs: Inputs, body: B, start: StageStart) -> Self {
        Self {
            inputs,
            body,
            waiting: Vec::new(),
            epoch: start.epoch,
            done: false,
            dropped_count: 0,
            store: start.store,
            seat: start.seat,
            restored: start.restored,
            floor: start.restored.unwrap_or(EventTime::MIN),
            owes_maintenance: false,
        }
    }

    /// Serves rings until they are empty, the budget is spent, or the terminal refuses.
    fn serve(&mut self, context: &mut TurnContext<'_>) -> Flow {
        if self.settle(context).is_blocked() || self.drain_wall(context).is_blocked() {
            return Flow::Blocked;
        }
        for _ in 0..self.inputs.rings.len() {
            if self.inputs.rings[self.inputs.current].is_open()
                && self.serve_ring(context).is_blocked()
            {
                return Flow::Blocked;
            }
            self.inputs.current = (self.inputs.current + 1) % self.inputs.rings.len();
            if context.budget == 0 {
                break;
            }
        }
        Flow::Ready
    }

    /// Emits what the wall clock has made due. A refused item of it leaves before any frame is run.
    fn drain_wall(&mut self, context: &mut TurnContext<'_>) -> Flow {
        // The end has been sent, and nothing leaves behind it.
        if self.inputs.ended() {
            return Flow::Ready;
        }
        let is_due = |at: i64| at <= context.wall_micros;
        let is_time = self.body.next_wall_micros().is_some_and(is_due) && self.body.is_at_rest();
        if is_time || self.body.owes_due() {
            let due = Due { watermark: self.inputs.watermark(), ended: false };
            if self.body.drain(&mut self.store, due).is_blocked() {
                return Flow::Blocked;
            }
            context.moved = true;
        }
        if let Some(at) = self.body.next_wall_micros() {
            let wait_micros = at.saturating_sub(context.wall_micros).max(0).unsigned_abs();
            context.wake_at(context.now_ns.saturating_add(wait_micros.saturating_mul(1_000)));
        }
        Flow::Ready
    }

    fn serve_ring(&mut self, context: &mut TurnContext<'_>) -> Flow {
        let index = self.inputs.current;
        loop {
            let (taken_bytes, stopped) = self.run_frames(context);
            if taken_bytes > 0 {
                context.moved = true;
            }
            self.inputs.rings[index].advance(taken_bytes);
            match stopped {
                Stopped::Empty => break,
                Stopped::Blocked => return Flow::Blocked,
                // The next turn begins with another ring, so that none waits for ever.
                Stopped::Budget => break,
                Stopped::Wrapped => {}
                Stopped::AtRest => {
                    self.owes_maintenance = false;
                    self.maintain(context);
                }
                Stopped::At(marker) => {
                    self.waiting.extend(self.inputs.take(index, marker).into_iter().flatten());
                    if self.settle(context).is_blocked() {
                        return Flow::Blocked;
                    }
                    if !self.inputs.rings[index].is_open() {
                        break;
                    }
                }
            }
        }
        Flow::Ready
    }

    /// Runs the frames that lie in one piece; answers how many bytes are done with, and why it
    /// stopped. A marker is counted as done with.
    fn run_frames(&mut self, context: &mut TurnContext<'_>) -> (usize, Stopped) {
        let due = Due { watermark: self.inputs.watermark(), ended: false };
        let input = &mut self.inputs.rings[self.inputs.current];
        let frames = input.consumer.readable();
        if frames.is_empty() {
            return (0, Stopped::Empty);
        }
        let mut at = 0;
        let (mut touched_to, mut turn) = (0, 0);
        while at < frames.len() {
            if at == touched_to {
                touched_to = touch(&self.body, &mut self.store, frames, at);
                turn = 0;
            }
            let frame = Frame::new(&frames[at..]);
            if let Some(marker) = frame.marker() {
                return (at + frame.frame_bytes(), Stopped::At(marker));
            }
            if context.budget == 0 {
                return (at, Stopped::Budget);
            }
            *context.position = frame.position();
            self.store.turn_to(turn);
            if self.body.run(&mut self.store, input.side, frame, due).is_blocked() {
                return (at, Stopped::Blocked);
            }
            context.budget -= 1;
            at += frame.frame_bytes();
            turn += 1;
            if self.owes_maintenance {
                return (at, Stopped::AtRest);
            }
        }
        (at, Stopped::Wrapped)
    }

    /// Emits what the waiting changes make due, and passes the changes on.
    fn settle(&mut self, context: &mut TurnContext<'_>) -> Flow {
        while let Some(&change) = self.waiting.first() {
            let due = Due {
                watermark: match change {
                    Change::Ended => EventTime::MAX,
                    Change::Watermark { .. } | Change::Aligned(_) => self.inputs.watermark(),
                },
                ended: change == Change::Ended,
            };
            if self.body.drain(&mut self.store, due).is_blocked() {
                return Flow::Blocked;
            }
            self.waiting.remove(0);
            context.moved = true;
            match change {
                Change::Watermark { time, idle } => self.body.watermark(time, idle),
                Change::Aligned(epoch) => {
                    self.epoch = epoch;
                    self.body.terminal().marker(Marker::Barrier(epoch));
                    self.freeze(PartEpoch::At(epoch));
                }
                Change::Ended => self.body.terminal().marker(Marker::End),
            }
        }
        Flow::Ready
    }

    /// How far the stage has come, over all runs.
    fn reached(&self) -> EventTime {
        self.inputs.watermark().max(self.floor)
    }

    /// Says what the stage holds at a barrier, or at its end. Plus infinity is said at the end
    /// alone: it tells the next run that all that was due has been emitted.
    fn freeze(&mut self, epoch: PartEpoch) {
        let watermark = match epoch {
            PartEpoch::At(_) => self.reached().min(EventTime(EventTime::MAX.0 - 1)),
            PartEpoch::Last => EventTime::MAX,
        };
        match &mut self.seat {
            Some(seat) if B::KEEPS_STATE => {
                seat.freeze(epoch, &mut self.store, watermark, self.body.dropped_count());
            }
            // A stage without state says that it has passed, as a source without splits does.
            Some(seat) => seat.say(epoch, PartBody::Splits(Vec::new())),
            None => {}
        }
    }

    /// Compaction and expiry, a little at a time, while nobody holds an offset. Where the turn has
    /// ended within a frame it is owed, and done between two frames of the next one: under lasting
    /// back-pressure every turn ends within a frame.
    fn maintain_at_rest(&mut self, context: &mut TurnContext<'_>) {
        let at_rest = self.waiting.is_empty() && self.body.is_at_rest();
        self.owes_maintenance = !at_rest;
        if at_rest && !self.inputs.ended() {
            self.maintain(context);
        }
    }

    fn maintain(&mut self, context: &mut TurnContext<'_>) {
        let now = ExpiryClock { event: self.reached(), wall_micros: context.wall_micros };
        context.moved |= self.store.maintain(now, MAINTAINED_BYTES_MAX);
    }
}

/// How many bytes of entries one turn may look at for compaction and expiry.
const MAINTAINED_BYTES_MAX: u64 = 64 << 10;

/// How many frames' state is brought nearer at once: their waits for memory overlap.
const TOUCHED_MAX: usize = 32;

/// Touches the state of the frames from `at` on; answers where it stopped.
#[inline(always)]
fn touch<B: Body>(body: &B, state: &mut Store, frames: &[u8], mut at: usize) -> usize {
    let mut hashes = [KeyHash(0); TOUCHED_MAX];
    let mut count = 0;
    while count < TOUCHED_MAX && at < frames.len() {
        let frame = Frame::new(&frames[at..]);
        hashes[count] = frame.key_hash();
        count += 1;
        at += frame.frame_bytes();
    }
    // One record alone would only be looked up twice.
    if count > 1 {
        body.touch(state, &hashes[..count]);
    }
    at
}

/// Why a run of frames stopped.
enum Stopped {
    Empty,
    Wrapped,
    /// Between two frames: the store is maintained.
    AtRest,
    Budget,
    Blocked,
    At(Marker),
}

impl<B: Body> Stage for RingStage<B> {
    fn turn(&mut self, context: &mut TurnContext<'_>) -> Result<(), StageError> {
        if let Some(watermark) = self.restored.take() {
            self.body.rebuild(&self.store, watermark);
        }
        context.budget = super::STAGE_FRAMES_MAX;
        self.body.tick(context.now_ns, context.wall_micros);
        let _ = self.serve(context);
        let dropped_count = self.body.dropped_count();
        context.tally.dropped += dropped_count - self.dropped_count;
        self.dropped_count = dropped_count;
        context.tally.frames += u64::from(super::STAGE_FRAMES_MAX - context.budget);
        for ring in &mut self.inputs.rings {
            ring.release();
        }
        context.moved |= self.body.terminal().end_turn()?;
        for at_ns in [self.body.next_ns(), self.body.terminal().next_ns()].into_iter().flatten() {
            context.wake_at(at_ns);
        }
        self.maintain_at_rest(context);
        context.tally.state_entries += self.store.entry_count();
        context.tally.state_bytes += self.store.log_bytes();
        self.done = self.inputs.ended() && self.waiting.is_empty() && self.body.is_drained();
        if let Some(seat) = &mut self.seat {
            seat.poll(&mut self.store);
        }
        if self.done {
            self.freeze(PartEpoch::Last);
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn name(&self) -> &str {
        self.body.name()
    }

    fn epoch(&self) -> u64 {
        if self.done { u64::MAX } else { self.epoch }
    }
}

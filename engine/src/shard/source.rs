//! The first stage: from splits to frames, in the shards that own the splits.
//!
//! Takes records, rejects and silence from splits; hands on frames to its branches, rejected input
//! to the dead-letter output, late records to the late output, and watermarks and barriers to all.
//!
//! Invariants
//! 1. Every input row gets the next sequence of its split, and is accepted, rejected or late:
//!    `records_in = accepted + rejected + late` at every moment.
//! 2. Nothing is read while the batch of frames is not empty: back-pressure stops at the input.
//! 3. With a schedule, record n of the shard is due at `start + n / rate` and carries that time,
//!    however late it is taken, so latency includes the wait (no coordinated omission).

use crate::chain::{Fanout, Flow};
use crate::record::{
    EventTime, FRAME_HEADER_BYTES, FrameHeader, IngressPosition, Marker, Record, TimeSpan,
};
use crate::sink::{Epoch, Json, RowFormat};
use crate::source::{Next, Reject, RejectReason, Rejected, Split};

use super::schedule::Schedule;
use super::side::SideOutput;
use super::timeline::{SplitStatus, Timeline};
use super::{Stage, StageError, TurnContext};
use crate::checkpoint::{PartBody, PartEpoch, Seat, SplitManifest};

/// How many rows a source takes in one turn.
const SOURCE_ROWS_MAX: u32 = 512;
/// How many rows it takes from one split before it looks which one is furthest behind.
const SPLIT_ROWS_MAX: u32 = 64;

/// How a source stage behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceSettings {
    /// How far out of order records may come; without it nothing is late.
    pub(crate) lateness: Option<TimeSpan>,
    /// How late a record may be and is let into the job.
    pub(crate) kept_lateness: TimeSpan,
    pub(crate) idle_after_ns: u64,
    /// Records per second for this shard, or as fast as they come.
    pub(crate) rate: Option<f64>,
    /// The longest record that the rings behind can take.
    pub(crate) payload_bytes_max: usize,
}

/// What a source stage begins with.
#[derive(Debug, Default)]
pub(crate) struct SourceStart {
    /// Its way to the checkpoint thread, if there is one.
    pub(crate) seat: Option<Seat>,
    /// The epoch that the job goes on from.
    pub(crate) epoch: u64,
}

/// Where a source puts what does not go on.
pub(crate) struct SideOutputs<R: Record> {
    pub(crate) rejects: Option<Box<dyn SideOutput<Rejected>>>,
    pub(crate) late: Option<Box<dyn SideOutput<R>>>,
}

/// One split and its place in the job.
pub(crate) struct SplitInput<S> {
    split: S,
    name: Box<str>,
    /// Whether it had nothing when it was last asked in this turn.
    pending: bool,
    /// Where it stands, in the form that a manifest keeps; position and times are filled in at a
    /// barrier.
    place: SplitManifest,
}

impl<S> SplitInput<S> {
    /// A split that goes on from `place`, to which it was sought.
    pub(crate) fn new<R: Record>(split: S, place: SplitManifest) -> Self
    where
        S: Split<R>,
    {
        Self { name: split.name().into(), split, pending: false, place }
    }

    /// Where it stands now.
    fn place<R: Record>(&self, times: (EventTime, EventTime), ended: bool) -> SplitManifest
    where
        S: Split<R>,
    {
        let mut place = self.place.clone();
        place.position.clear();
        self.split.position(&mut place.position);
        (place.watermark_micros, place.highest_micros) = (times.0.0, times.1.0);
        place.ended = ended;
        place
    }
}

/// The source stage of one shard.
pub(crate) struct SourceStage<R: Record, S> {
    name: Box<str>,
    splits: Vec<SplitInput<S>>,
    timeline: Timeline,
    settings: SourceSettings,
    schedule: Option<Schedule>,
    fanout: Fanout<R>,
    rejects: Option<Box<dyn SideOutput<Rejected>>>,
    late: Option<Box<dyn SideOutput<R>>>,
    seat: Option<Seat>,
    barrier_sent: u64,
    end_sent: bool,
    done: bool,
}

/// What one call to a split came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Took {
    Row,
    Pending,
    Ended,
}

impl<R: Record, S: Split<R>> SourceStage<R, S> {
    pub(crate) fn new(
        name: &str,
        splits: Vec<SplitInput<S>>,
        settings: SourceSettings,
        fanout: Fanout<R>,
        outputs: SideOutputs<R>,
        start: SourceStart,
    ) -> Self {
        let bounded: Vec<bool> = splits.iter().map(|input| input.split.bounded()).collect();
        let mut timeline = Timeline::new(&bounded, settings.lateness, settings.idle_after_ns)
            .keeping(settings.kept_lateness);
        for (index, SplitInput { place, .. }) in splits.iter().enumerate() {
            let (watermark, highest) = (place.watermark_micros, place.highest_micros);
            timeline.restore(index, EventTime(watermark), EventTime(highest), place.ended);
        }
        Self {
            name: name.into(),
            timeline,
            schedule: settings.rate.map(Schedule::new),
            splits,
            settings,
            fanout,
            rejects: outputs.rejects,
            late: outputs.late,
            seat: start.seat,
            barrier_sent: start.epoch,
            end_sent: false,
            done: false,
        }
    }

    /// Fills the batch from the splits, the one that is furthest behind first.
    fn fill(&mut self, context: &mut TurnContext<'_>) -> Result<(), StageError> {
        for input in &mut self.splits {
            input.pending = false;
        }
        let mut rows = 0;
        while rows < SOURCE_ROWS_MAX {
            let splits = &self.splits;
            let Some(index) = self.timeline.furthest_behind(|index| !splits[index].pending) else {
                break;
            };
            let (taken, stop) = self.fill_from(index, context)?;
            rows += taken;
            if stop {
                break;
            }
        }
        context.moved |= rows > 0;
        Ok(())
    }

    /// Takes a run of rows from one split; answers how many, and whether to stop for this turn.
    fn fill_from(
        &mut self,
        index: usize,
        context: &mut TurnContext<'_>,
    ) -> Result<(u32, bool), StageError> {
        for rows in 0..SPLIT_ROWS_MAX {
            // Room is made sure of before a row is taken: it can't be put back.
            if !self.fanout.has_room(FRAME_HEADER_BYTES + BATCH_RECORD_BYTES) {
                return Ok((rows, true));
            }
            if !self.outputs_have_room() {
                self.timeline.held_back();
                return Ok((rows, true));
            }
            let Some(arrival_ns) = self.next_arrival(context) else {
                return Ok((rows, true));
            };
            match self.take(index, arrival_ns, context)? {
                Took::Row => {}
                // Bounded splits are read lowest watermark first, and a block that is on its way
                // is worth waiting for: it keeps the splits together.
                Took::Pending => return Ok((rows, self.splits[index].split.bounded())),
                Took::Ended => return Ok((rows, false)),
            }
        }
        Ok((SPLIT_ROWS_MAX, false))
    }

    /// The intended arrival time of the next record, or `None` while it is not due.
    #[inline(always)]
    fn next_arrival(&mut self, context: &mut TurnContext<'_>) -> Option<u64> {
        let Some(schedule) = &mut self.schedule else {
            return Some(0);
        };
        let due_ns = schedule.next_due_ns(context.now_ns);
        if due_ns > context.now_ns {
            if !self.splits.is_empty() {
                context.wake_at(due_ns);
            }
            return None;
        }
        Some(due_ns)
    }

    fn outputs_have_room(&mut self) -> bool {
        self.rejects.as_mut().is_none_or(|rejects| rejects.has_room())
            && self.late.as_mut().is_none_or(|late| late.has_room())
    }

    /// Takes one row of split `index`.
    #[inline(always)]
    fn take(
        &mut self,
        index: usize,
        arrival_ns: u64,
        context: &mut TurnContext<'_>,
    ) -> Result<Took, StageError> {
        let input = &mut self.splits[index];
        let place = &mut input.place;
        let position = IngressPosition { split: place.number, sequence: place.sequence };
        *context.position = position;
        match input.split.next() {
            Next::Record(view) => {
                let time = R::event_time(view);
                let event_time = time.unwrap_or_default();
                let header =
                    FrameHeader { event_time, position, arrival_ns, ..FrameHeader::default() };
                let bytes_max = self.settings.payload_bytes_max;
                // A rejected record has no say in what is late, so its length is looked at first.
                if R::payload_bytes_max(view) > bytes_max {
                    if let Some(rejects) = &mut self.rejects {
                        let reason = RejectReason::RecordTooLarge { bytes_max };
                        let mut bytes = Vec::new();
                        RowFormat::<R>::write(&Json::new(), &header, view, &mut bytes);
                        let name = &input.name;
                        rejects.write(&header, Reject { name, line: 0, reason, bytes: &bytes });
                    }
                    place.rejected += 1;
                    context.tally.rejected += 1;
                } else if time.is_some_and(|time| self.timeline.record(index, time)) {
                    if let Some(output) = &mut self.late {
                        output.write(&header, view);
                    }
                    place.late += 1;
                    context.tally.late += 1;
                } else {
                    self.fanout.append_growing(&header, view);
                    place.accepted += 1;
                    context.tally.accepted += 1;
                }
            }
            Next::Rejected(reject) => {
                if let Some(rejects) = &mut self.rejects {
                    let header = FrameHeader { position, ..FrameHeader::default() };
                    rejects.write(&header, reject);
                }
                place.rejected += 1;
                context.tally.rejected += 1;
            }
            Next::Pending => {
                input.pending = true;
                self.timeline.quiet(index, context.now_ns);
                return Ok(Took::Pending);
            }
            Next::Ended => {
                self.timeline.ended(index);
                context.moved = true;
                return Ok(Took::Ended);
            }
            Next::Failed(error) => return Err(error.into()),
        }
        place.sequence += 1;
        context.tally.records_in += 1;
        if let Some(schedule) = &mut self.schedule {
            schedule.take();
        }
        Ok(Took::Row)
    }

    /// Sends what time, the coordinator and the end of the input ask for.
    fn send_markers(&mut self, context: &mut TurnContext<'_>) {
        if let Some((time, idle)) = self.timeline.advance() {
            self.fanout.marker(Marker::Watermark { time, idle });
        }
        // Every epoch in its order, and not only the last one asked for: shards look at different
        // times, and a stage that had epoch 1 from one and 2 from another would never align. One
        // at a time, so that the markers that wait for room stay few.
        let barrier_due = context.barrier > self.barrier_sent && !self.end_sent;
        if barrier_due && self.fanout.is_drained() && self.outputs_have_room() {
            self.barrier_sent += 1;
            context.moved = true;
            self.prepare(self.barrier_sent);
            self.fanout.marker(Marker::Barrier(self.barrier_sent));
        }
        if self.timeline.all_ended() && !self.end_sent {
            self.end_sent = true;
            context.moved = true;
            self.fanout.marker(Marker::End);
        }
    }
}

/// What a record may take of the batch without asking it first; a larger one makes it grow.
const BATCH_RECORD_BYTES: usize = 512;

impl<R: Record, S: Split<R>> Stage for SourceStage<R, S> {
    fn turn(&mut self, context: &mut TurnContext<'_>) -> Result<(), StageError> {
        if self.fanout.drain().is_blocked() {
            self.timeline.held_back();
        } else {
            // Before the batch is filled again: where what stands behind is always full, this is
            // the only moment at which it is empty, and markers must not wait for the end.
            self.send_markers(context);
            self.fill(context)?;
            if self.fanout.drain() == Flow::Ready {
                self.send_markers(context);
            }
        }
        if let Some(schedule) = &mut self.schedule {
            if self.end_sent {
                schedule.end();
            } else {
                schedule.note(context.now_ns);
            }
            let backlog_max = schedule.backlog_max();
            context.tally.backlog_max = context.tally.backlog_max.max(backlog_max);
        }
        if let Some(at_ns) = self.timeline.next_idle_ns() {
            context.wake_at(at_ns);
        }
        context.tally.watermark_micros = self.timeline.highest().0;
        context.moved |= self.fanout.end_turn()?;
        if let Some(at_ns) = self.fanout.next_ns() {
            context.wake_at(at_ns);
        }
        self.end_outputs(context)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn epoch(&self) -> u64 {
        if self.end_sent { u64::MAX } else { self.barrier_sent }
    }

    fn serving(&self) -> Option<IngressPosition> {
        self.fanout.serving()
    }
}

impl<R: Record, S: Split<R>> SourceStage<R, S> {
    /// What was read so far belongs to `epoch`: side outputs note it, and the splits say where
    /// they stand.
    fn prepare(&mut self, epoch: u64) {
        if let Some(rejects) = &mut self.rejects {
            rejects.prepare(Epoch(epoch));
        }
        if let Some(late) = &mut self.late {
            late.prepare(Epoch(epoch));
        }
        self.say(PartEpoch::At(epoch));
    }

    fn say(&mut self, epoch: PartEpoch) {
        let Some(seat) = self.seat.as_mut().filter(|seat| !seat.is_over()) else {
            return;
        };
        let ended = |index| self.timeline.status(index) == SplitStatus::Ended;
        let splits = self.splits.iter().enumerate();
        let places =
            splits.map(|(index, input)| input.place(self.timeline.times(index), ended(index)));
        seat.say(epoch, PartBody::Splits(places.collect()));
    }

    /// Moves rejects and late records on; at the end, waits for the last of them.
    fn end_outputs(&mut self, context: &mut TurnContext<'_>) -> Result<(), StageError> {
        let mut written = true;
        if let Some(rejects) = &mut self.rejects {
            context.moved |= rejects.end_turn()?;
            written &= !self.end_sent || rejects.end()?;
        }
        if let Some(late) = &mut self.late {
            context.moved |= late.end_turn()?;
            written &= !self.end_sent || late.end()?;
        }
        self.done = self.end_sent && written && self.fanout.is_drained();
        if self.done {
            self.say(PartEpoch::Last);
        }
        Ok(())
    }
}

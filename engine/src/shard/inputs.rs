//! What a stage reads: one ring from every producing shard, for each exchange into the stage.
//!
//! Takes rings; hands on frames in each ring's order, the combined watermark, and barriers that
//! are aligned.
//!
//! Invariants
//! 1. The combined watermark is the minimum over the rings that have neither ended nor gone idle,
//!    and never goes back; where all that have not ended are idle, the highest of theirs. A ring
//!    at plus infinity counts as ended, or its last words would close the windows of an idle one.
//! 2. A ring that has delivered barrier n is not read before every ring has delivered it or ended.
//! 3. A ring whose frame was refused is the next one that is read, and starts with that frame.

use crate::record::{EventTime, Marker};
use crate::ring::Consumer;

use super::park::Waker;

/// One ring into the stage.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) consumer: Consumer,
    /// Wakes the producing shard, which may be parked because this ring was full.
    producer: Waker,
    taken_bytes: usize,
    /// Which of the stage's exchanges it belongs to.
    pub(super) side: u8,
    watermark: EventTime,
    idle: bool,
    ended: bool,
    held_at: Option<u64>,
}

impl Input {
    /// Frames of so many bytes are done with.
    #[inline(always)]
    pub(super) fn advance(&mut self, bytes: usize) {
        self.consumer.advance(bytes);
        self.taken_bytes += bytes;
    }

    /// The turn ends: gives the room back, and wakes the producer once if there is any.
    pub(super) fn release(&mut self) {
        if self.taken_bytes > 0 {
            self.taken_bytes = 0;
            self.consumer.release();
            self.producer.wake();
        }
    }

    /// Whether it may be read now.
    pub(super) fn is_open(&self) -> bool {
        !self.ended && self.held_at.is_none()
    }
}

/// All rings into the stage.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub(super) rings: Vec<Input>,
    /// The ring that is read first.
    pub(super) current: usize,
    watermark: EventTime,
    idle: bool,
}

/// What a marker changed for the stage as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The combined watermark moved, or the stage went idle or came back.
    Watermark { time: EventTime, idle: bool },
    /// Every ring has delivered this barrier.
    Aligned(u64),
    /// Every ring has ended.
    Ended,
}

impl Inputs {
    /// The rings of one exchange after the other; each exchange has one from every shard, in the
    /// order of `shards`.
    pub(crate) fn new(
        exchanges: impl IntoIterator<Item = Vec<Consumer>>,
        shards: &[Waker],
    ) -> Self {
        let rings = (0..).zip(exchanges).flat_map(|(side, consumers)| {
            assert_eq!(consumers.len(), shards.len(), "an exchange has one ring a shard");
            consumers.into_iter().zip(shards).map(move |(consumer, waker)| (side, consumer, waker))
        });
        let rings = rings.map(|(side, consumer, waker)| Input {
            consumer,
            producer: waker.clone(),
            taken_bytes: 0,
            side,
            watermark: EventTime::MIN,
            idle: false,
            ended: false,
            held_at: None,
        });
        Self { rings: rings.collect(), current: 0, watermark: EventTime::MIN, idle: false }
    }

    pub(super) fn watermark(&self) -> EventTime {
        self.watermark
    }

    pub(super) fn ended(&self) -> bool {
        self.rings.iter().all(|ring| ring.ended)
    }

    /// Takes a marker from ring `index`; answers what it changes, at most one thing first and
    /// one after it (an end may complete an alignment).
    pub(super) fn take(&mut self, index: usize, marker: Marker) -> [Option<Change>; 2] {
        let ring = &mut self.rings[index];
        match marker {
            Marker::Watermark { time, idle } => {
                debug_assert!(time >= ring.watermark, "a watermark never goes back");
                ring.watermark = time;
                ring.idle = idle;
                [self.combine(), None]
            }
            Marker::Barrier(epoch) => {
                assert!(ring.held_at.is_none(), "one epoch is in flight at a time");
                ring.held_at = Some(epoch);
                [self.align(), None]
            }
            Marker::End => {
                ring.ended = true;
                if self.ended() {
                    return [self.align(), Some(Change::Ended)];
                }
                [self.combine(), self.align()]
            }
        }
    }

    fn combine(&mut self) -> Option<Change> {
        // A ring at plus infinity is about to end: it says nothing about those that are idle.
        let at_end = |ring: &&Input| ring.ended || ring.watermark == EventTime::MAX;
        let open = || self.rings.iter().filter(|ring| !at_end(ring));
        let lowest = open().filter(|ring| !ring.idle).map(|ring| ring.watermark).min();
        let highest = open().map(|ring| ring.watermark).max();
        let idle = lowest.is_none() && highest.is_some();
        let time = lowest.or(highest).unwrap_or(EventTime::MAX).max(self.watermark);
        if time == self.watermark && idle == self.idle {
            return None;
        }
        self.watermark = time;
        self.idle = idle;
        Some(Change::Watermark { time, idle })
    }

    /// Lets all rings go once none is left that has not delivered the barrier.
    fn align(&mut self) -> Option<Change> {
        let epoch = self.rings.iter().find_map(|ring| ring.held_at)?;
        if !self.rings.iter().all(|ring| ring.ended || ring.held_at == Some(epoch)) {
            return None;
        }
        for ring in &mut self.rings {
            ring.held_at = None;
        }
        Some(Change::Aligned(epoch))
    }
}

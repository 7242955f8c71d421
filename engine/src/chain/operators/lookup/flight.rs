//! Who waits for an answer, and who may leave next.
//!
//! Takes records and watermarks in the order in which they came, and which records are done; hands both
//! on in an order that keeps what was asked for.
//!
//! Invariants
//! 1. Watermarks cut what waits into segments. A record of a segment leaves only when the segments before
//!    it are empty and their watermarks have left.
//! 2. A watermark waits only behind a record: one that comes right behind another one replaces it. So
//!    there are at most as many segments as records, and one.
//! 3. In order, records leave as they came; else as they were done.
//!
//! ```text
//!   first segment                      the last one takes what comes
//!   | record, record | watermark 1 | record | watermark 2 | |
//! ```

use std::collections::VecDeque;

use crate::record::EventTime;

/// Where a record waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SlotIndex(usize);

/// A watermark that waits, and whether the stage is idle behind it.
pub(super) type Fence = (EventTime, bool);

#[derive(Debug)]
struct Slot<T> {
    record: T,
    segment: u64,
    is_done: bool,
}

#[derive(Debug, Default)]
struct Segment {
    record_count: usize,
    fence: Option<Fence>,
}

/// What waits.
#[derive(Debug)]
pub(super) struct Flight<T> {
    is_ordered: bool,
    slots: Vec<Option<Slot<T>>>,
    free: Vec<SlotIndex>,
    /// In order: all that wait, as they came. Else: those of the first segment that are done.
    queue: VecDeque<SlotIndex>,
    /// Never empty; the last one has no fence.
    segments: VecDeque<Segment>,
    first_segment: u64,
}

impl<T> Flight<T> {
    pub(super) fn new(is_ordered: bool) -> Self {
        Self {
            is_ordered,
            slots: Vec::new(),
            free: Vec::new(),
            queue: VecDeque::new(),
            segments: VecDeque::from([Segment::default()]),
            first_segment: 0,
        }
    }

    /// How many records wait.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether neither a record nor a watermark waits.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0 && self.segments.len() == 1
    }

    /// A record came.
    pub(super) fn add(&mut self, record: T) -> SlotIndex {
        let segment = self.first_segment + self.segments.len() as u64 - 1;
        let slot = Some(Slot { record, segment, is_done: false });
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index.0] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                SlotIndex(self.slots.len() - 1)
            }
        };
        self.last_segment().record_count += 1;
        if self.is_ordered {
            self.queue.push_back(index);
        }
        index
    }

    /// A watermark came. Where nothing waits it is not taken: it may leave at once.
    pub(super) fn hold(&mut self, fence: Fence) -> bool {
        if self.is_empty() {
            return false;
        }
        let count = self.segments.len();
        if count > 1 && self.last_segment().record_count == 0 {
            self.segments[count - 2].fence = Some(fence);
        } else {
            self.last_segment().fence = Some(fence);
            self.segments.push_back(Segment::default());
        }
        true
    }

    fn last_segment(&mut self) -> &mut Segment {
        self.segments.back_mut().expect("there is always a segment for what comes")
    }

    /// The record that waits there.
    pub(super) fn get(&mut self, index: SlotIndex) -> Option<&mut T> {
        self.slots[index.0].as_mut().map(|slot| &mut slot.record)
    }

    /// It has what it waits for.
    pub(super) fn done(&mut self, index: SlotIndex) {
        let slot = self.slots[index.0].as_mut().expect("only a record that waits is done");
        slot.is_done = true;
        if !self.is_ordered && slot.segment == self.first_segment {
            self.queue.push_back(index);
        }
    }

    /// Takes the watermark that may leave before any record, if there is one.
    pub(super) fn take_fence(&mut self) -> Option<Fence> {
        let first = self.segments.front()?;
        let fence = first.fence.filter(|_| first.record_count == 0)?;
        self.segments.pop_front();
        self.first_segment += 1;
        if !self.is_ordered {
            let first = self.first_segment;
            let is_next = |slot: &Slot<T>| slot.is_done && slot.segment == first;
            let next = (0..self.slots.len())
                .filter(|&index| self.slots[index].as_ref().is_some_and(is_next));
            self.queue.extend(next.map(SlotIndex));
        }
        Some(fence)
    }

    /// Whether a watermark or a record may leave.
    pub(super) fn has_next(&self) -> bool {
        let first = self.segments.front();
        first.is_some_and(|first| first.record_count == 0 && first.fence.is_some())
            || self.next().is_some()
    }

    /// The record that may leave, where all watermarks that may have left. It stays the same until it
    /// is taken.
    pub(super) fn next(&self) -> Option<&T> {
        let slot = self.slots[self.queue.front()?.0].as_ref()?;
        slot.is_done.then_some(&slot.record)
    }

    /// Takes that record.
    pub(super) fn take_next(&mut self) -> Option<T> {
        let index = self.queue.pop_front()?;
        let slot = self.slots[index.0].take()?;
        debug_assert!(slot.is_done && slot.segment == self.first_segment, "invariant 1");
        self.segments[0].record_count -= 1;
        self.free.push(index);
        Some(slot.record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What leaves, as text: records by number, watermarks by `|`.
    fn left(flight: &mut Flight<u32>) -> String {
        let mut left = String::new();
        while flight.has_next() {
            match flight.take_fence() {
                Some((time, _)) => left.push_str(&format!("|{} ", time.0)),
                None => {
                    left.push_str(&format!("{} ", flight.take_next().expect("there is a next")));
                }
            }
        }
        left
    }

    #[test]
    fn in_order_a_slow_answer_holds_up_those_behind_it() {
        let mut flight = Flight::new(true);
        let slots = [1, 2, 3].map(|record| flight.add(record));
        assert!(flight.hold((EventTime(7), false)));
        flight.done(slots[1]);
        flight.done(slots[2]);
        assert_eq!(left(&mut flight), "");
        flight.done(slots[0]);
        assert_eq!(left(&mut flight), "1 2 3 |7 ");
        assert!(flight.is_empty());
        assert!(!flight.hold((EventTime(8), false)), "nothing waits, so it may leave");
    }

    #[test]
    fn out_of_order_nothing_passes_a_watermark() {
        let mut flight = Flight::new(false);
        let before = [1, 2].map(|record| flight.add(record));
        assert!(flight.hold((EventTime(7), false)));
        let behind = [3, 4].map(|record| flight.add(record));
        flight.done(behind[1]);
        flight.done(before[1]);
        assert_eq!(left(&mut flight), "2 ");
        flight.done(before[0]);
        assert_eq!(left(&mut flight), "1 |7 4 ");
        flight.done(behind[0]);
        assert_eq!(left(&mut flight), "3 ");
    }

    #[test]
    fn a_watermark_right_behind_another_replaces_it() {
        let mut flight = Flight::new(false);
        let slot = flight.add(1);
        for time in 1..1_000 {
            assert!(flight.hold((EventTime(time), false)));
        }
        assert_eq!(flight.segments.len(), 2);
        flight.done(slot);
        assert_eq!(left(&mut flight), "1 |999 ");
    }
}

//! Puts both inputs of a pair operator into the order of event time.
//!
//! Takes frames of two streams in any order; hands on what the wrapped operator makes of them in the
//! order of time, each once the watermark has passed it. At one time the right side comes first, so
//! that a version holds from its own time on; equals of one side go in the order of arrival.
//!
//! Invariants are those of `Sorted`, the wrapper for one input: a waiting record is an entry, the heap
//! an index of them, and the wrapped operator's own time never overtakes a waiting record.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::pair::{PairOperator, Side};
use super::super::sorted::FrameBuffer;
use crate::chain::{Due, KeyFn, OperatorState, StateLayout};
use crate::record::{EventTime, Frame, FrameHeader, Item, Key, KeyHash, TimeSpan};
use crate::state::{EntryKey, OperatorId, Store};

/// Time, whether it is left, arrival number, hash.
type Waiting = Reverse<(EventTime, bool, u64, KeyHash)>;

/// Where the namespaces of the right side begin.
const RIGHT_FIRST: u64 = 1 << 63;

/// `Op`, with its inputs in order.
#[derive(Debug)]
pub struct SortedPair<Op: PairOperator, K, FL, FR> {
    operator: OperatorId,
    inner: Op,
    keys: (FL, FR),
    waits: bool,
    heap: BinaryHeap<Waiting>,
    next_number: u64,
    ready: Ready<Op::Emission>,
    frame: FrameBuffer,
    key: std::marker::PhantomData<fn() -> K>,
}

/// What `advance` has made ready.
#[derive(Debug, Clone, Copy)]
enum Ready<E> {
    Nothing,
    /// An emission of the frame that is in the buffer, and its number.
    Applied(E, u32),
    /// What the wrapped operator has due by itself.
    Inner,
}

impl<Op, K, FL, FR> SortedPair<Op, K, FL, FR>
where
    Op: PairOperator,
    K: Key,
    FL: KeyFn<Op::Left, K>,
    FR: KeyFn<Op::Right, K>,
{
    /// Wraps `inner`; `operator` is the waiting records' own id. Where it does not wait, records
    /// are applied as they arrive.
    pub fn new(operator: OperatorId, inner: Op, keys: (FL, FR), waits: bool) -> Self {
        Self {
            operator,
            inner,
            keys,
            waits,
            heap: BinaryHeap::new(),
            next_number: 0,
            ready: Ready::Nothing,
            frame: FrameBuffer::default(),
            key: std::marker::PhantomData,
        }
    }

    fn namespace(side: Side, number: u64) -> u64 {
        match side {
            Side::Left => number,
            Side::Right => RIGHT_FIRST + number,
        }
    }

    fn keep(&mut self, state: &mut Store, side: Side, frame: Frame<'_>) {
        let number = self.next_number;
        self.next_number += 1;
        let header = frame.header();
        let put = |key: &[u8]| {
            let (operator, hash) = (self.operator, header.key_hash);
            let namespace = Self::namespace(side, number);
            state.put(&EntryKey { operator, hash, key, namespace }, frame.bytes());
        };
        match side {
            Side::Left => K::with_bytes(self.keys.0.key(frame.view::<Op::Left>()), put),
            Side::Right => K::with_bytes(self.keys.1.key(frame.view::<Op::Right>()), put),
        }
        let is_left = side == Side::Left;
        self.heap.push(Reverse((header.event_time, is_left, number, header.key_hash)));
    }

    /// Applies the least waiting record.
    fn apply_next(&mut self, state: &mut Store, due: Due) -> Option<Op::Emission> {
        let Reverse((time, is_left, number, hash)) = self.heap.pop()?;
        let side = if is_left { Side::Left } else { Side::Right };
        // Two keys with one hash may have one number, where their shards became one.
        let mut waiting = state.candidates(self.operator, hash, Self::namespace(side, number));
        let offset =
            waiting.find(|&offset| Frame::new(state.value(offset)).header().event_time == time);
        drop(waiting);
        let offset = offset.expect("a record waits as an entry until it is applied");
        self.frame.copy(state.value(offset));
        state.delete_at(offset);
        self.inner.apply(state, side, self.frame.frame(), due)
    }
}

impl<Op, K, FL, FR> PairOperator for SortedPair<Op, K, FL, FR>
where
    Op: PairOperator,
    K: Key,
    FL: KeyFn<Op::Left, K>,
    FR: KeyFn<Op::Right, K>,
{
    type Left = Op::Left;
    type Right = Op::Right;
    type Out = Op::Out;
    type Emission = Op::Emission;

    const HAS_DUE: bool = true;

    fn dropped_count(&self) -> u64 {
        self.inner.dropped_count()
    }

    fn states(&self) -> Vec<OperatorState> {
        let mut states = self.inner.states();
        if !self.waits {
            return states;
        }
        states.push(OperatorState {
            id: self.operator,
            kind: "sorted_pair",
            identity: String::new(),
            key: K::layout(),
            values: vec![
                StateLayout::frames::<Op::Left>("left", 0..=RIGHT_FIRST - 1),
                StateLayout::frames::<Op::Right>("right", RIGHT_FIRST..=u64::MAX),
            ],
        });
        states
    }

    fn rebuild(&mut self, state: &Store, watermark: EventTime) {
        self.heap.clear();
        for offset in state.iter_operator(self.operator) {
            let namespace = state.namespace(offset);
            let (is_left, number) = (namespace < RIGHT_FIRST, namespace & (RIGHT_FIRST - 1));
            self.next_number = self.next_number.max(number + 1);
            let time = Frame::new(state.value(offset)).header().event_time;
            self.heap.push(Reverse((time, is_left, number, state.hash(offset))));
        }
        self.inner.rebuild(state, watermark);
    }

    fn tick(&mut self, wall_micros: i64) {
        self.inner.tick(wall_micros);
    }

    fn next_wall_micros(&self) -> Option<i64> {
        self.inner.next_wall_micros()
    }

    fn apply(
        &mut self,
        state: &mut Store,
        side: Side,
        frame: Frame<'_>,
        due: Due,
    ) -> Option<Op::Emission> {
        if !self.waits {
            return self.inner.apply(state, side, frame, due);
        }
        self.keep(state, side, frame);
        None
    }

    fn output<'a>(
        &'a self,
        state: &'a Store,
        emission: Op::Emission,
        frame: Frame<'a>,
    ) -> (FrameHeader, <Op::Out as Item>::View<'a>) {
        self.inner.output(state, emission, frame)
    }

    fn done(
        &mut self,
        state: &mut Store,
        emission: Op::Emission,
        frame: Frame<'_>,
    ) -> Option<Op::Emission> {
        self.inner.done(state, emission, frame)
    }

    fn advance(&mut self, state: &mut Store, due: Due) -> bool {
        while let Ready::Nothing = self.ready {
            let next_time = self.heap.peek().map(|Reverse((time, ..))| *time);
            let inner_due = match next_time {
                Some(time) => {
                    let before = time - TimeSpan::micros(1);
                    Due { watermark: due.watermark.min(before), ended: false }
                }
                None => due,
            };
            if Op::HAS_DUE && self.inner.advance(state, inner_due) {
                self.ready = Ready::Inner;
            } else if next_time.is_some_and(|time| due.ended || time <= due.watermark) {
                if let Some(emission) = self.apply_next(state, inner_due) {
                    self.ready = Ready::Applied(emission, 0);
                }
            } else {
                return false;
            }
        }
        true
    }

    fn due<'s>(&'s self, state: &'s Store) -> (FrameHeader, <Op::Out as Item>::View<'s>) {
        match self.ready {
            Ready::Applied(emission, number) => {
                let (header, view) = self.inner.output(state, emission, self.frame.frame());
                (FrameHeader { ordinal: header.ordinal_of(number), ..header }, view)
            }
            Ready::Inner => self.inner.due(state),
            Ready::Nothing => unreachable!("asked only after `advance` answered `true`"),
        }
    }

    fn due_done(&mut self, state: &mut Store) {
        self.ready = match self.ready {
            Ready::Applied(emission, number) => {
                match self.inner.done(state, emission, self.frame.frame()) {
                    Some(next) => Ready::Applied(next, number + 1),
                    None => Ready::Nothing,
                }
            }
            Ready::Inner => {
                self.inner.due_done(state);
                Ready::Nothing
            }
            Ready::Nothing => Ready::Nothing,
        };
    }
}

//! Window join: all pairs of one key in one tumbling or hopping window, when the watermark closes it.
//!
//! Takes frames of two keyed streams; hands on, for each window and key, every left row with every
//! right one, or the rows of one side where the other has none and the kind keeps them. An item's time
//! is its window's last microsecond.
//!
//! Cost: two look-ups to keep a row, however many windows share it (it lies in a slice as long as the
//! greatest common divisor of length and slide); one for each row of each pair. State: a row until its
//! last window has closed.
//!
//! Invariants
//! 1. A slice that is kept has places in the heap for the windows that it is in and that have not
//!    closed; it goes with the last one. The heap is a set and holds no offsets.
//! 2. A window of a key closes once: the place that closes it takes those of its other slices along, as
//!    they are equal.
//!
//! Source of the semantics: Flink's window joins (docs, "Joining": an inner join of each window).

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::marker::PhantomData;

use super::super::pair::{PairOperator, Side};
use super::super::window::PaneSpec;
use super::buckets::{Buckets, Place, Whose};
use super::kind::{JoinKind, Kinds, Pairs};
use super::sides::Sides;
use crate::chain::{Due, KeyFn, OperatorState, StateLayout};
use crate::record::{EventTime, Frame, FrameHeader, Item, Key, KeyHash, Layout, Record};
use crate::state::{EntryKey, OperatorId, Store};

/// End of a window, hash.
type Closes = Reverse<(EventTime, KeyHash)>;

/// A window of one key that closes.
#[derive(Debug, Clone, Copy)]
struct Closing {
    hash: KeyHash,
    end: EventTime,
    /// Its slices.
    first: i64,
    last: i64,
    /// The pair that leaves next; a side that has no rows has no place.
    left: Option<Place>,
    right: Option<Place>,
    number: u32,
}

/// A window join of kind `J`.
#[derive(Debug)]
pub struct WindowJoin<K, L, R, FL, FR, J> {
    /// Keeps, for each key and window that has rows, an entry: whose windows are to be closed.
    operator: OperatorId,
    spec: PaneSpec,
    sides: Sides<K, L, R, FL, FR>,
    heap: BinaryHeap<Closes>,
    closing: Option<Closing>,
    key: Vec<u8>,
    late_count: u64,
    kinds: Kinds<K, L, R, J>,
}

fn greatest_common_divisor(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl<K, L, R, FL, FR, J> WindowJoin<K, L, R, FL, FR, J>
where
    K: Key,
    L: Record,
    R: Record,
    FL: KeyFn<L, K>,
    FR: KeyFn<R, K>,
    J: JoinKind,
{
    /// Names of its states beside the first.
    pub const SUFFIXES: &'static [&'static str] = &Buckets::SUFFIXES;

    /// A join under `operator` and the ids behind it.
    ///
    /// Panics where length or slide are not positive: jobs are checked before.
    pub fn new(operator: OperatorId, spec: PaneSpec, keys: (FL, FR)) -> Self {
        let width = greatest_common_divisor(spec.length.0, spec.slide.0);
        Self {
            operator,
            spec,
            sides: Sides::new(operator, width, keys),
            heap: BinaryHeap::new(),
            closing: None,
            key: Vec::new(),
            late_count: 0,
            kinds: PhantomData,
        }
    }

    /// The last moments of the windows that hold `time`, the first one first.
    fn ends(&self, time: EventTime) -> impl Iterator<Item = EventTime> + use<K, L, R, FL, FR, J> {
        let PaneSpec { length, slide, offset } = self.spec;
        let within = (time.0 - offset.0).rem_euclid(slide.0);
        let newest_start = time.0 - within;
        let count = (length.0 - within - 1).div_euclid(slide.0);
        (0..=count).rev().map(move |back| EventTime(newest_start - back * slide.0 + length.0 - 1))
    }

    /// A time on the grid on which slices begin.
    fn slice(&self, time: EventTime) -> i64 {
        self.sides.of(Side::Left).bucket_of(EventTime(time.0 - self.spec.offset.0))
    }

    fn window<'k>(&self, whose: Whose<'k>, end: EventTime) -> EntryKey<'k> {
        let namespace = end.0.cast_unsigned();
        EntryKey { operator: self.operator, hash: whose.hash, key: whose.key, namespace }
    }

    /// The place itself if there is a row, else the next one of the window.
    fn at_place(
        &self,
        store: &Store,
        side: Side,
        whose: Whose<'_>,
        mut place: Place,
        last: i64,
    ) -> Option<Place> {
        while place.bucket <= last {
            if place.index < self.sides.of(side).count(store, whose, place.bucket) {
                return Some(place);
            }
            place = Place { bucket: place.bucket + 1, index: 0 };
        }
        None
    }

    fn next(&self, store: &Store, side: Side, closing: &Closing, from: Place) -> Option<Place> {
        let whose = Whose { hash: closing.hash, key: &self.key };
        let place = Place { index: from.index + 1, ..from };
        self.at_place(store, side, whose, place, closing.last)
    }

    fn first(&self, store: &Store, side: Side, closing: &Closing) -> Option<Place> {
        let whose = Whose { hash: closing.hash, key: &self.key };
        self.at_place(store, side, whose, Place { bucket: closing.first, index: 0 }, closing.last)
    }

    /// Whether what stands in `closing` leaves.
    fn leaves(closing: &Closing) -> bool {
        match (closing.left, closing.right) {
            (Some(_), Some(_)) => J::PAIRS != Pairs::Never,
            (Some(_), None) => J::KEEPS_LEFT,
            (None, Some(_)) => J::KEEPS_RIGHT,
            (None, None) => false,
        }
    }

    /// The pair after the present one; `None` where it was the last.
    fn step(&self, store: &Store, closing: Closing) -> Option<Closing> {
        let number = closing.number + 1;
        let next_right = match (J::PAIRS, closing.left, closing.right) {
            // One right row is as good as any.
            (Pairs::OnceALeft, Some(_), _) => None,
            (_, _, right) => right.and_then(|at| self.next(store, Side::Right, &closing, at)),
        };
        if next_right.is_some() {
            return Some(Closing { right: next_right, number, ..closing });
        }
        let left = self.next(store, Side::Left, &closing, closing.left?)?;
        let right = self.first(store, Side::Right, &closing);
        Some(Closing { left: Some(left), right, number, ..closing })
    }

    /// The window has closed: its first slice goes, which no later one has.
    fn close(&self, store: &mut Store, closing: &Closing) {
        let whose = Whose { hash: closing.hash, key: &self.key };
        store.delete(&self.window(whose, closing.end));
        let slices =
            self.spec.slide.0 / greatest_common_divisor(self.spec.length.0, self.spec.slide.0);
        for slice in closing.first..closing.first + slices {
            for side in [Side::Left, Side::Right] {
                while self.sides.of(side).remove_last(store, whose, slice) {}
            }
        }
    }

    /// Begins to close the window at the top of the heap, if it is still there.
    fn begin(&mut self, store: &Store, end: EventTime, hash: KeyHash) -> bool {
        let window = store.candidates(self.operator, hash, end.0.cast_unsigned()).next();
        let Some(window) = window else {
            return false;
        };
        self.key.clear();
        self.key.extend_from_slice(store.key(window));
        let first = self.slice(EventTime(end.0 + 1 - self.spec.length.0));
        let last = self.slice(end);
        let mut closing = Closing { hash, end, first, last, left: None, right: None, number: 0 };
        closing.left = self.first(store, Side::Left, &closing);
        closing.right = self.first(store, Side::Right, &closing);
        self.closing = Some(closing);
        true
    }
}

impl<K, L, R, FL, FR, J> PairOperator for WindowJoin<K, L, R, FL, FR, J>
where
    K: Key,
    L: Record,
    R: Record,
    FL: KeyFn<L, K>,
    FR: KeyFn<R, K>,
    J: JoinKind,
{
    type Left = L;
    type Right = R;
    type Out = J::Out<L, R>;
    type Emission = ();

    const HAS_DUE: bool = true;

    fn dropped_count(&self) -> u64 {
        self.late_count
    }

    fn states(&self) -> Vec<OperatorState> {
        let PaneSpec { length, slide, offset } = self.spec;
        let windows = OperatorState {
            id: self.operator,
            kind: "window_join",
            identity: format!(
                "{} join, length {} us, slide {} us, offset {} us",
                J::NAME,
                length.0,
                slide.0,
                offset.0
            ),
            key: K::layout(),
            values: vec![StateLayout::new("open", 0..=u64::MAX, Layout::Unit)],
        };
        self.sides.states(windows)
    }

    fn rebuild(&mut self, state: &Store, _: EventTime) {
        let windows = state.iter_operator(self.operator);
        self.heap = windows
            .map(|offset| {
                let end = EventTime(state.namespace(offset).cast_signed());
                Reverse((end, state.hash(offset)))
            })
            .collect();
    }

    fn apply(&mut self, state: &mut Store, side: Side, frame: Frame<'_>, due: Due) -> Option<()> {
        let header = frame.header();
        let (hash, time) = (header.key_hash, header.event_time);
        let last_end = self.ends(time).last();
        if last_end.is_none_or(|end| end <= due.watermark) {
            self.late_count += 1;
            return None;
        }
        let mut heap = std::mem::take(&mut self.heap);
        self.sides.with_key(side, frame, |key| {
            let whose = Whose { hash, key };
            self.sides.of(side).add(state, whose, self.slice(time), frame);
            for end in self.ends(time).filter(|end| *end > due.watermark) {
                if state.find_or_insert(&self.window(whose, end), 0).1 {
                    heap.push(Reverse((end, hash)));
                }
            }
        });
        self.heap = heap;
        None
    }

    fn output<'a>(
        &'a self,
        _: &'a Store,
        (): (),
        _: Frame<'a>,
    ) -> (FrameHeader, <Self::Out as Item>::View<'a>) {
        unreachable!("what a window holds is due, not an emission")
    }

    fn done(&mut self, _: &mut Store, (): (), _: Frame<'_>) -> Option<()> {
        None
    }

    fn advance(&mut self, state: &mut Store, due: Due) -> bool {
        loop {
            while let Some(closing) = self.closing {
                if Self::leaves(&closing) {
                    return true;
                }
                self.closing = self.step(state, closing);
                if self.closing.is_none() {
                    self.close(state, &closing);
                }
            }
            let Some(&Reverse((end, hash))) = self.heap.peek() else {
                return false;
            };
            if end > due.watermark && !due.ended {
                return false;
            }
            if !self.begin(state, end, hash) {
                self.heap.pop();
            }
        }
    }

    fn due<'s>(&'s self, state: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
        let closing = self.closing.expect("asked only after `advance` answered `true`");
        let whose = Whose { hash: closing.hash, key: &self.key };
        let left =
            closing.left.map(|at| self.sides.of(Side::Left).get(state, whose, at).view::<L>());
        let right =
            closing.right.map(|at| self.sides.of(Side::Right).get(state, whose, at).view::<R>());
        let header = FrameHeader::at_time(closing.hash, closing.end);
        let ordinal = header.ordinal_of(closing.number);
        (FrameHeader { ordinal, ..header }, J::view::<L, R>(left, right))
    }

    fn due_done(&mut self, state: &mut Store) {
        let closing = self.closing.expect("an item was due");
        self.closing = self.step(state, closing);
        if self.closing.is_none() {
            self.close(state, &closing);
        }
    }
}

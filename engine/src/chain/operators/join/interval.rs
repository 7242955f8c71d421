//! Interval join: pairs whose times are no further apart than two bounds.
//!
//! Takes frames of two keyed streams; hands on each pair (left, right) of one key with
//! `left + lower <= right <= left + upper`, both bounds included, as soon as its later row has come.
//! Rows without a partner leave when none can come any more, where the kind keeps them.
//!
//! ```text
//!   left     --------t------------------
//!   right    ----[t+lower ..... t+upper]--
//! ```
//!
//! Cost: two look-ups to keep a row, one or two to find the buckets of its partners (a bucket is as
//! wide as the interval), one for each row in them. State: each row until `watermark` has passed all
//! of its partners, rounded up to a bucket.
//!
//! Invariants
//! 1. A bucket that is kept has one place in the heap, by the moment from which on no partner of its
//!    last row can come. The heap is an index: it holds no offsets, and `rebuild` makes it anew.
//! 2. Where a kind lets rows without a partner leave, a row that found one has an entry that says so
//!    (`marks`); it goes with the row.
//! 3. An unmatched row's time is the moment from which on it is known to be one: it is not behind the
//!    watermark that the next stage has seen.
//!
//! Source of the semantics: Flink's interval join (docs, "Joining"), and its outer variants in SQL.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::marker::PhantomData;

use super::super::pair::{PairOperator, Side};
use super::buckets::{Buckets, Place, Whose};
use super::kind::{JoinKind, Kinds, Pairs};
use super::sides::Sides;
use crate::chain::{Due, KeyFn, OperatorState, StateLayout};
use crate::record::{EventTime, Frame, FrameHeader, Item, Key, KeyHash, Layout, Record, TimeSpan};
use crate::state::{EntryKey, OperatorId, Store};

/// How far a right row's time may be from a left row's: both bounds are included, and may be
/// negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// The least of right - left.
    pub lower: TimeSpan,
    /// The most of right - left.
    pub upper: TimeSpan,
}

impl Interval {
    /// The times on `side.other()` that are partners of `time` on `side`.
    fn partners(self, side: Side, time: EventTime) -> (EventTime, EventTime) {
        match side {
            Side::Left => (time + self.lower, time + self.upper),
            Side::Right => (time - self.upper, time - self.lower),
        }
    }

    /// A bucket's width: the interval, so that a row's partners lie in two of them at most.
    fn width(self) -> i64 {
        self.upper.0.saturating_sub(self.lower.0).saturating_add(1)
    }
}

/// A partner of the present frame: the next one to leave.
#[derive(Debug, Clone, Copy)]
pub struct IntervalEmission {
    came: Side,
    partner: Place,
    /// How many frames the partner's bucket has.
    count: u32,
}

/// A bucket that has come to its end.
#[derive(Debug, Clone, Copy)]
struct Closing {
    side: Side,
    hash: KeyHash,
    next: Place,
    count: u32,
    /// When it came to its end (invariant 3).
    time: EventTime,
}

/// Moment, hash, bucket, side.
type Expiry = Reverse<(EventTime, KeyHash, i64, Side)>;

/// An interval join of kind `J`.
#[derive(Debug)]
pub struct IntervalJoin<K, L, R, FL, FR, J> {
    marks: OperatorId,
    interval: Interval,
    sides: Sides<K, L, R, FL, FR>,
    expiries: BinaryHeap<Expiry>,
    closing: Option<Closing>,
    /// The key of what closes.
    key: Vec<u8>,
    kinds: Kinds<K, L, R, J>,
}

impl<K, L, R, FL, FR, J> IntervalJoin<K, L, R, FL, FR, J>
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

    /// A join under `operator` and the ids behind it. The interval is not empty.
    pub fn new(operator: OperatorId, interval: Interval, keys: (FL, FR)) -> Self {
        let width = interval.width();
        Self {
            marks: operator,
            interval,
            sides: Sides::new(operator, width, keys),
            expiries: BinaryHeap::new(),
            closing: None,
            key: Vec::new(),
            kinds: PhantomData,
        }
    }

    /// Whether it matters which rows of a side have found a partner.
    fn marks(side: Side) -> bool {
        J::keeps(side) || (matches!(J::PAIRS, Pairs::OnceALeft) && matches!(side, Side::Left))
    }

    /// From when on no partner of any row of a bucket can come.
    fn expires(&self, side: Side, bucket: i64) -> EventTime {
        self.interval.partners(side, self.sides.of(side).last_of(bucket)).1
    }

    fn mark<'k>(&self, side: Side, whose: Whose<'k>, place: Place) -> EntryKey<'k> {
        // The lowest bit tells the sides apart; the namespaces are spread, so shifting keeps them so.
        let side_bit = u64::from(side == Side::Right);
        let namespace = Buckets::namespace(place).rotate_left(1) ^ side_bit;
        EntryKey { operator: self.marks, hash: whose.hash, key: whose.key, namespace }
    }

    /// The partner at `from` or behind it that leaves next.
    #[inline(always)]
    fn find(
        &self,
        store: &Store,
        whose: Whose<'_>,
        came: Side,
        time: EventTime,
        from: Option<IntervalEmission>,
    ) -> Option<IntervalEmission> {
        let others = self.sides.of(came.other());
        let (first, last) = self.interval.partners(came, time);
        let mut place =
            from.map_or(Place { bucket: others.bucket_of(first), index: 0 }, |emission| Place {
                index: emission.partner.index + 1,
                ..emission.partner
            });
        let mut count = from.map(|emission| emission.count);
        let last_bucket = others.bucket_of(last);
        while place.bucket <= last_bucket {
            let here = count.take().unwrap_or_else(|| others.count(store, whose, place.bucket));
            while place.index < here {
                let partner = others.get(store, whose, place).header().event_time;
                if first <= partner && partner <= last && self.leaves(store, whose, came, place) {
                    return Some(IntervalEmission { came, partner: place, count: here });
                }
                place.index += 1;
            }
            // The last bucket may be the last one that there is.
            if place.bucket == last_bucket {
                break;
            }
            place = Place { bucket: place.bucket + 1, index: 0 };
        }
        None
    }

    /// Whether a pair leaves: of a semi join, a left row's first one.
    #[inline(always)]
    fn leaves(&self, store: &Store, whose: Whose<'_>, came: Side, partner: Place) -> bool {
        match J::PAIRS {
            Pairs::OnceALeft if came == Side::Right => {
                store.find(&self.mark(Side::Left, whose, partner)).is_none()
            }
            _ => true,
        }
    }

    /// Makes the next row ready that leaves without a partner; says whether there is one. A bucket
    /// whose rows have left goes.
    fn close_next(&mut self, store: &mut Store) -> bool {
        while let Some(closing) = self.closing {
            let whose = Whose { hash: closing.hash, key: &self.key };
            if closing.next.index < closing.count {
                let mark = self.mark(closing.side, whose, closing.next);
                if J::keeps(closing.side) && store.find(&mark).is_none() {
                    return true;
                }
                self.pass();
                continue;
            }
            let bucket = closing.next.bucket;
            for index in 0..closing.count {
                if Self::marks(closing.side) {
                    store.delete(&self.mark(closing.side, whose, Place { bucket, index }));
                }
                self.sides.of(closing.side).remove_last(store, whose, bucket);
            }
            self.closing = None;
        }
        false
    }

    fn pass(&mut self) {
        if let Some(closing) = &mut self.closing {
            closing.next.index += 1;
        }
    }
}

impl<K, L, R, FL, FR, J> PairOperator for IntervalJoin<K, L, R, FL, FR, J>
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
    type Emission = IntervalEmission;

    const HAS_DUE: bool = true;

    fn states(&self) -> Vec<OperatorState> {
        let Interval { lower, upper } = self.interval;
        let marks = OperatorState {
            id: self.marks,
            kind: "interval_join",
            identity: format!("{} join, {} to {} us", J::NAME, lower.0, upper.0),
            key: K::layout(),
            values: vec![StateLayout::new("matched", 0..=u64::MAX, Layout::Unit)],
        };
        self.sides.states(marks)
    }

    fn rebuild(&mut self, state: &Store, _: EventTime) {
        self.expiries.clear();
        for side in [Side::Left, Side::Right] {
            let buckets = *self.sides.of(side);
            for (hash, bucket) in buckets.all(state) {
                let expires = self.expires(side, bucket);
                self.expiries.push(Reverse((expires, hash, bucket, side)));
            }
        }
    }

    fn apply(
        &mut self,
        state: &mut Store,
        came: Side,
        frame: Frame<'_>,
        due: Due,
    ) -> Option<IntervalEmission> {
        let header = frame.header();
        let (hash, time) = (header.key_hash, header.event_time);
        let bucket = self.sides.of(came).bucket_of(time);
        let expires = self.expires(came, bucket);
        let (first, added) = self.sides.with_key(came, frame, |key| {
            let whose = Whose { hash, key };
            let first = self.find(state, whose, came, time, None);
            // A row that nobody can be a partner of any more need not wait for one.
            let is_over = expires <= due.watermark && !J::keeps(came);
            let is_decided = first.is_some() && J::PAIRS != Pairs::Each && came == Side::Left;
            let added = (!is_over && !is_decided).then(|| {
                let place = self.sides.of(came).add(state, whose, bucket, frame);
                if Self::marks(came) && first.is_some() {
                    state.insert(&self.mark(came, whose, place), 0);
                }
                place
            });
            if J::PAIRS == Pairs::Never {
                self.mark_all(state, whose, came, time, first);
                return (None, added);
            }
            (first, added)
        });
        if added.is_some_and(|place| place.index == 0) {
            self.expiries.push(Reverse((expires, hash, bucket, came)));
        }
        first
    }

    #[inline(always)]
    fn output<'a>(
        &'a self,
        state: &'a Store,
        emission: IntervalEmission,
        frame: Frame<'a>,
    ) -> (FrameHeader, <Self::Out as Item>::View<'a>) {
        let header = frame.header();
        let partner = self.sides.with_key(emission.came, frame, |key| {
            let whose = Whose { hash: header.key_hash, key };
            self.sides.of(emission.came.other()).get(state, whose, emission.partner)
        });
        let event_time = header.event_time.max(partner.header().event_time);
        let (left, right) = match emission.came {
            Side::Left => (frame, partner),
            Side::Right => (partner, frame),
        };
        let view = J::view::<L, R>(Some(left.view::<L>()), Some(right.view::<R>()));
        (FrameHeader { event_time, ..header }, view)
    }

    fn done(
        &mut self,
        state: &mut Store,
        emission: IntervalEmission,
        frame: Frame<'_>,
    ) -> Option<IntervalEmission> {
        let header = frame.header();
        self.sides.with_key(emission.came, frame, |key| {
            let whose = Whose { hash: header.key_hash, key };
            if Self::marks(emission.came.other()) {
                let mark = self.mark(emission.came.other(), whose, emission.partner);
                state.find_or_insert(&mark, 0);
            }
            if J::PAIRS == Pairs::OnceALeft && emission.came == Side::Left {
                return None;
            }
            self.find(state, whose, emission.came, header.event_time, Some(emission))
        })
    }

    fn advance(&mut self, state: &mut Store, due: Due) -> bool {
        loop {
            if self.close_next(state) {
                return true;
            }
            let Some(&Reverse((time, hash, bucket, side))) = self.expiries.peek() else {
                return false;
            };
            if time > due.watermark && !due.ended {
                return false;
            }
            let Some(head) = self.sides.of(side).any_head(state, hash, bucket) else {
                while self.expiries.peek() == Some(&Reverse((time, hash, bucket, side))) {
                    self.expiries.pop();
                }
                continue;
            };
            self.key.clear();
            self.key.extend_from_slice(state.key(head));
            let next = Place { bucket, index: 0 };
            let count = state.field(head, 0);
            self.closing = Some(Closing { side, hash, next, count, time });
        }
    }

    fn due<'s>(&'s self, state: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
        let closing = self.closing.expect("asked only after `advance` answered `true`");
        let whose = Whose { hash: closing.hash, key: &self.key };
        let frame = self.sides.of(closing.side).get(state, whose, closing.next);
        let view = match closing.side {
            Side::Left => J::view::<L, R>(Some(frame.view::<L>()), None),
            Side::Right => J::view::<L, R>(None, Some(frame.view::<R>())),
        };
        let header = frame.header();
        (FrameHeader { event_time: closing.time.max(header.event_time), ..header }, view)
    }

    fn due_done(&mut self, _: &mut Store) {
        self.pass();
    }
}

impl<K, L, R, FL, FR, J> IntervalJoin<K, L, R, FL, FR, J>
where
    K: Key,
    L: Record,
    R: Record,
    FL: KeyFn<L, K>,
    FR: KeyFn<R, K>,
    J: JoinKind,
{
    /// Marks all partners of a row, where no pair leaves.
    fn mark_all(
        &self,
        state: &mut Store,
        whose: Whose<'_>,
        came: Side,
        time: EventTime,
        first: Option<IntervalEmission>,
    ) {
        let mut next = first;
        while let Some(partner) = next {
            if Self::marks(came.other()) {
                state.find_or_insert(&self.mark(came.other(), whose, partner.partner), 0);
            }
            next = self.find(state, whose, came, time, Some(partner));
        }
    }
}

//! Regular join: every row of one stream with every row of the other that has its key, as a
//! changelog.
//!
//! Takes frames of two keyed streams: a row of kind `Insert` or `UpdateAfter` comes, one of kind
//! `UpdateBefore` or `Delete` takes an equal row back. Hands on the changes of the joined table: pairs
//! that come and go, and rows without a partner, which go when their first partner comes and come
//! back when the last one goes.
//!
//! ```text
//!   left outer     left a      + (a, -)
//!                  right x     - (a, -)   + (a, x)
//!                  right -x    - (a, x)   + (a, -)
//! ```
//!
//! Cost: a look-up for the key's counts, two to keep a row, one for each partner; to take a row back,
//! its side is searched. State: every row of both sides, for ever, or for the time to live since the
//! row's event time; what has expired goes without a word, as in Flink.
//!
//! Invariants
//! 1. A key's entry counts the rows of each side; a row has a partner if the other count is not 0.
//! 2. Rows lie in buckets of an eighth of the time to live, and go with their bucket; without one
//!    there is one bucket. The key's entry has the first and the last bucket of each side.
//! 3. The heap is an index of buckets, which `rebuild` makes anew.
//!
//! Source of the semantics: Flink's regular joins (docs, "Joins") and its streaming outer join.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::marker::PhantomData;

use super::super::pair::{PairOperator, Side};
use super::buckets::{Buckets, Place, Whose};
use super::kind::{JoinKind, Kinds, Pairs};
use super::sides::Sides;
use crate::chain::{Due, KeyFn, OperatorState, StateLayout};
use crate::record::{
    Changed, ChangedView, EventTime, Fixed, Frame, FrameHeader, Item, Key, KeyHash, Record,
    RowKind, TimeSpan,
};
use crate::state::{EntryKey, LogOffset, OperatorId, Store};

/// What one side of a key has: how many rows, its first bucket, its last bucket.
type Extent = (u64, i64, i64);
/// Both sides' extents.
const KEY_BYTES: usize = 2 * <Extent as Fixed>::BYTES;

/// What leaves next for the present frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A partner, which has none of its own any more, or has its first one.
    Alone,
    /// The frame and a partner.
    Pair,
    /// The frame, which has no partner.
    Own,
}

/// An item of the present frame.
#[derive(Debug, Clone, Copy)]
pub struct RegularEmission {
    came: Side,
    comes: bool,
    what: What,
    partner: Place,
    /// How many frames the partner's bucket has, and the last bucket.
    count: u32,
    bucket_last: i64,
    /// Whether partners were alone before, or are now.
    turns: bool,
}

/// When a bucket expires, hash, bucket, side.
type Expiry = Reverse<(EventTime, KeyHash, i64, Side)>;

/// A regular join of kind `J`.
#[derive(Debug)]
pub struct RegularJoin<K, L, R, FL, FR, J> {
    operator: OperatorId,
    ttl: Option<TimeSpan>,
    sides: Sides<K, L, R, FL, FR>,
    expiries: BinaryHeap<Expiry>,
    unknown_count: u64,
    moved: Vec<u8>,
    kinds: Kinds<K, L, R, J>,
}

impl<K, L, R, FL, FR, J> RegularJoin<K, L, R, FL, FR, J>
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
    pub fn new(operator: OperatorId, ttl: Option<TimeSpan>, keys: (FL, FR)) -> Self {
        let width = ttl.map_or(i64::MAX, |ttl| (ttl.0 / 8).max(1));
        Self {
            operator,
            ttl,
            sides: Sides::new(operator, width, keys),
            expiries: BinaryHeap::new(),
            unknown_count: 0,
            moved: Vec::new(),
            kinds: PhantomData,
        }
    }

    fn bucket_of(&self, side: Side, time: EventTime) -> i64 {
        if self.ttl.is_some() { self.sides.of(side).bucket_of(time) } else { 0 }
    }

    fn expires(&self, side: Side, bucket: i64) -> EventTime {
        self.ttl.map_or(EventTime::MAX, |ttl| self.sides.of(side).last_of(bucket) + ttl)
    }

    fn entry<'k>(&self, whose: Whose<'k>) -> EntryKey<'k> {
        EntryKey { operator: self.operator, hash: whose.hash, key: whose.key, namespace: 0 }
    }

    /// Changes what a side of a key has; answers where the key's entry lies.
    fn update(
        &self,
        store: &mut Store,
        whose: Whose<'_>,
        side: Side,
        change: impl FnOnce(Extent) -> Extent,
    ) -> LogOffset {
        let (entry, _) = store.find_or_insert(&self.entry(whose), KEY_BYTES);
        let entry = store.writable(entry);
        store.update(entry, Self::at(side), change);
        entry
    }

    const fn at(side: Side) -> usize {
        match side {
            Side::Left => 0,
            Side::Right => <Extent as Fixed>::BYTES,
        }
    }

    /// Adds the row; answers whether it is the first of its side.
    fn add(&mut self, store: &mut Store, side: Side, frame: Frame<'_>) -> bool {
        let header = frame.header();
        let bucket = self.bucket_of(side, header.event_time);
        let (place, count) = self.sides.with_key(side, frame, |key| {
            let whose = Whose { hash: header.key_hash, key };
            let place = self.sides.of(side).add(store, whose, bucket, frame);
            let grown = |(count, first, last): Extent| {
                if count == 0 {
                    (1, bucket, bucket)
                } else {
                    (count + 1, first.min(bucket), last.max(bucket))
                }
            };
            let entry = self.update(store, whose, side, grown);
            let (count, ..): Extent = store.field(entry, Self::at(side));
            (place, count)
        });
        if place.index == 0 && self.ttl.is_some() {
            let expires = self.expires(side, bucket);
            self.expiries.push(Reverse((expires, header.key_hash, bucket, side)));
        }
        count == 1
    }

    /// Takes an equal row back, the newest one; answers whether it was the last of its side, or
    /// `None` where there is none.
    fn take_back(&mut self, store: &mut Store, side: Side, frame: Frame<'_>) -> Option<bool> {
        let hash = frame.header().key_hash;
        let mut moved = std::mem::take(&mut self.moved);
        let was_last = self.sides.with_key(side, frame, |key| {
            let whose = Whose { hash, key };
            let entry = store.find(&self.entry(whose))?;
            let (count, first, last): Extent = store.field(entry, Self::at(side));
            if count == 0 {
                return None;
            }
            let place = self.find_equal(store, whose, side, frame, (first, last))?;
            self.sides.of(side).remove(store, whose, place, &mut moved);
            self.shrink(store, whose, side, 1, first);
            Some(count == 1)
        });
        self.moved = moved;
        was_last
    }

    fn find_equal(
        &self,
        store: &Store,
        whose: Whose<'_>,
        side: Side,
        frame: Frame<'_>,
        (first, last): (i64, i64),
    ) -> Option<Place> {
        let buckets = self.sides.of(side);
        let places = (first..=last).rev().flat_map(|bucket| {
            let count = buckets.count(store, whose, bucket);
            (0..count).rev().map(move |index| Place { bucket, index })
        });
        let mut places = places;
        places.find(|&place| buckets.get(store, whose, place).payload() == frame.payload())
    }

    /// Some rows of a side are gone, and all buckets before `first`; the key's entry goes with the last
    /// row of both.
    fn shrink(&self, store: &mut Store, whose: Whose<'_>, side: Side, gone: u64, first: i64) {
        let shrunk = |(count, was_first, last): Extent| (count - gone, first.max(was_first), last);
        let entry = self.update(store, whose, side, shrunk);
        let (left, right): (Extent, Extent) = store.field(entry, 0);
        if left.0 == 0 && right.0 == 0 {
            store.delete_at(entry);
        }
    }

    /// The first item of a row that came or went; `turns` where its side had none before, or has
    /// none now.
    fn first(
        &self,
        store: &Store,
        came: Side,
        frame: Frame<'_>,
        comes: bool,
        turns: bool,
    ) -> Option<RegularEmission> {
        let hash = frame.header().key_hash;
        let (count, first, last) = self.sides.with_key(came, frame, |key| {
            let entry = store.find(&self.entry(Whose { hash, key }));
            entry.map_or((0, 0, -1), |entry| store.field::<Extent>(entry, Self::at(came.other())))
        });
        let place = Place { bucket: first, index: 0 };
        let emission = RegularEmission {
            came,
            comes,
            what: What::Own,
            partner: place,
            count: 0,
            bucket_last: last,
            turns,
        };
        let own = match J::PAIRS {
            Pairs::Each => count == 0 && J::keeps(came),
            Pairs::OnceALeft => count > 0 && came == Side::Left,
            Pairs::Never => count == 0 && came == Side::Left,
        };
        if own {
            return Some(emission);
        }
        let others = match J::PAIRS {
            Pairs::Each => true,
            Pairs::OnceALeft | Pairs::Never => came == Side::Right && turns,
        };
        if count == 0 || !others {
            return None;
        }
        self.at_place(
            store,
            frame,
            RegularEmission { what: self.first_of_partner(&emission), ..emission },
        )
    }

    /// What of a partner leaves first: where it comes to be alone or ceases to, that goes before a
    /// pair that comes, and behind one that goes.
    fn first_of_partner(&self, emission: &RegularEmission) -> What {
        let alone = emission.turns && (J::PAIRS != Pairs::Each || J::keeps(emission.came.other()));
        if alone && (emission.comes || J::PAIRS != Pairs::Each) { What::Alone } else { What::Pair }
    }

    /// The emission itself if its partner is there, else with the next one that is.
    fn at_place(
        &self,
        store: &Store,
        frame: Frame<'_>,
        mut emission: RegularEmission,
    ) -> Option<RegularEmission> {
        let hash = frame.header().key_hash;
        let others = self.sides.of(emission.came.other());
        self.sides.with_key(emission.came, frame, |key| {
            let whose = Whose { hash, key };
            while emission.partner.bucket <= emission.bucket_last {
                if emission.partner.index == 0 {
                    emission.count = others.count(store, whose, emission.partner.bucket);
                }
                if emission.partner.index < emission.count {
                    return Some(emission);
                }
                emission.partner = Place { bucket: emission.partner.bucket + 1, index: 0 };
            }
            None
        })
    }

    /// Whether an item says that something comes.
    fn kind_of(emission: &RegularEmission) -> RowKind {
        let comes = match emission.what {
            What::Own | What::Pair => emission.comes,
            // With a right row, a semi join's left rows come; all others' go.
            What::Alone => emission.comes == (J::PAIRS == Pairs::OnceALeft),
        };
        if comes { RowKind::Insert } else { RowKind::Delete }
    }

    fn expire(&self, store: &mut Store, side: Side, head: LogOffset, key: &mut Vec<u8>) {
        key.clear();
        key.extend_from_slice(store.key(head));
        let whose = Whose { hash: store.hash(head), key };
        let bucket = store.namespace(head).cast_signed();
        let count: u32 = store.field(head, 0);
        while self.sides.of(side).remove_last(store, whose, bucket) {}
        // Buckets expire in their order.
        self.shrink(store, whose, side, u64::from(count), bucket.saturating_add(1));
    }
}

impl<K, L, R, FL, FR, J> PairOperator for RegularJoin<K, L, R, FL, FR, J>
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
    type Out = Changed<J::Out<L, R>>;
    type Emission = RegularEmission;

    const HAS_DUE: bool = true;

    fn dropped_count(&self) -> u64 {
        self.unknown_count
    }

    fn states(&self) -> Vec<OperatorState> {
        let rows = OperatorState {
            id: self.operator,
            kind: "join",
            identity: match self.ttl {
                Some(ttl) => format!("{} join, rows live {} us", J::NAME, ttl.0),
                None => format!("{} join", J::NAME),
            },
            key: K::layout(),
            values: vec![StateLayout::new("rows", 0..=0, <(Extent, Extent) as Fixed>::layout())],
        };
        self.sides.states(rows)
    }

    fn rebuild(&mut self, state: &Store, _: EventTime) {
        self.expiries.clear();
        if self.ttl.is_none() {
            return;
        }
        for side in [Side::Left, Side::Right] {
            let buckets = *self.sides.of(side);
            for (hash, bucket) in buckets.all(state) {
                self.expiries.push(Reverse((self.expires(side, bucket), hash, bucket, side)));
            }
        }
    }

    fn apply(
        &mut self,
        state: &mut Store,
        came: Side,
        frame: Frame<'_>,
        _: Due,
    ) -> Option<RegularEmission> {
        match frame.header().kind {
            RowKind::Insert | RowKind::UpdateAfter => {
                let is_first = self.add(state, came, frame);
                self.first(state, came, frame, true, is_first)
            }
            RowKind::UpdateBefore | RowKind::Delete => {
                let Some(was_last) = self.take_back(state, came, frame) else {
                    self.unknown_count += 1;
                    return None;
                };
                self.first(state, came, frame, false, was_last)
            }
        }
    }

    fn output<'a>(
        &'a self,
        state: &'a Store,
        emission: RegularEmission,
        frame: Frame<'a>,
    ) -> (FrameHeader, <Self::Out as Item>::View<'a>) {
        let header = frame.header();
        let kind = Self::kind_of(&emission);
        let partner = || {
            self.sides.with_key(emission.came, frame, |key| {
                let whose = Whose { hash: header.key_hash, key };
                self.sides.of(emission.came.other()).get(state, whose, emission.partner)
            })
        };
        let (own, other) = match emission.what {
            What::Own => (Some(frame), None),
            What::Alone => (None, Some(partner())),
            What::Pair => (Some(frame), Some(partner())),
        };
        let (left, right) = match emission.came {
            Side::Left => (own, other),
            Side::Right => (other, own),
        };
        let row = J::view::<L, R>(left.map(Frame::view::<L>), right.map(Frame::view::<R>));
        let time = other.map_or(header.event_time, |other| other.header().event_time);
        let event_time = header.event_time.max(time);
        (FrameHeader { event_time, kind, ..header }, ChangedView { kind, row })
    }

    fn done(
        &mut self,
        state: &mut Store,
        emission: RegularEmission,
        frame: Frame<'_>,
    ) -> Option<RegularEmission> {
        let each = J::PAIRS == Pairs::Each;
        let turns = emission.turns && J::keeps(emission.came.other());
        match emission.what {
            What::Own => None,
            What::Alone if each && emission.comes => {
                Some(RegularEmission { what: What::Pair, ..emission })
            }
            What::Pair if turns && !emission.comes => {
                Some(RegularEmission { what: What::Alone, ..emission })
            }
            What::Alone | What::Pair => {
                let Place { bucket, index } = emission.partner;
                let partner = Place { bucket, index: index + 1 };
                let what = self.first_of_partner(&emission);
                self.at_place(state, frame, RegularEmission { what, partner, ..emission })
            }
        }
    }

    fn advance(&mut self, state: &mut Store, due: Due) -> bool {
        let mut key = std::mem::take(&mut self.moved);
        // At the end of the input nothing expires: the rows are the table as it is.
        while let Some(&Reverse((time, hash, bucket, side))) = self.expiries.peek()
            && time <= due.watermark
            && !due.ended
        {
            match self.sides.of(side).any_head(state, hash, bucket) {
                Some(head) => self.expire(state, side, head, &mut key),
                None => {
                    self.expiries.pop();
                }
            }
        }
        self.moved = key;
        false
    }
}

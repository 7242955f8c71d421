//! One side of a join: whole frames by key and time.
//!
//! Time is cut into *buckets* of one width. A bucket is an entry that says how many frames it has
//! (its namespace: the bucket's number), and an entry for each frame (another operator id; its
//! namespace made of bucket and index). So finding the frames of a stretch of time costs a look-up
//! a bucket and one a frame, and a bucket goes as a whole.
//!
//! Invariants
//! 1. Frames of a bucket have the indices from 0 to its count, without holes.
//! 2. Two frames of one key never share a namespace: it is `bucket * PHI + index`, `PHI` the golden
//!    ratio in 64 bits. Multiples of it up to 2^40 apart differ by more than 2^22 (the three-distance
//!    theorem: no two are nearer than 2^64 / (2^40 * sqrt 5)), and an index is below 2^22. Live
//!    buckets of one key span the join's reach in buckets, which is a few.
//!
//! Why the index is not a part of the key: keys come hashed, and a longer one would be hashed again.

use super::super::pair::Side;
use crate::chain::{OperatorState, StateLayout};
use crate::record::{EventTime, Fixed, Frame, KeyHash, Layout, Record};
use crate::state::{EntryKey, LogOffset, OperatorId, Store};

/// 2^64 divided by the golden ratio.
const PHI: u64 = 0x9e37_79b9_7f4a_7c15;
/// Frames of one key in one bucket.
const FRAMES_MAX: u32 = 1 << 22;

/// Whose frames: a key with its hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose<'k> {
    pub(super) hash: KeyHash,
    pub(super) key: &'k [u8],
}

/// Where a frame lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bucket: i64,
    pub(super) index: u32,
}

/// The frames of one side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Buckets {
    heads: OperatorId,
    frames: OperatorId,
    /// Of a bucket, in microseconds.
    width: i64,
}

impl Buckets {
    /// Names of the states that a side keeps, after the operator's own.
    pub(super) const SUFFIXES: [&'static str; 4] = ["left", "left_frames", "right", "right_frames"];

    /// A side's buckets under the ids that follow the operator's own, `first`.
    pub(super) fn of_side(first: OperatorId, side: Side, width: i64) -> Self {
        assert!(width > 0, "a bucket has a width");
        let heads = match side {
            Side::Left => first.0 + 1,
            Side::Right => first.0 + 3,
        };
        Self { heads: OperatorId(heads), frames: OperatorId(heads + 1), width }
    }

    /// What is kept.
    pub(super) fn states<R: Record>(&self, kind: &'static str, key: &Layout) -> [OperatorState; 2] {
        let identity = format!("buckets of {} us", self.width);
        let state = |id, value| OperatorState {
            id,
            kind,
            identity: identity.clone(),
            key: key.clone(),
            values: vec![value],
        };
        [
            state(self.heads, StateLayout::new("count", 0..=u64::MAX, u32::layout())),
            state(self.frames, StateLayout::frames::<R>("rows", 0..=u64::MAX)),
        ]
    }

    pub(super) fn bucket_of(&self, time: EventTime) -> i64 {
        time.0.div_euclid(self.width)
    }

    /// The last moment of a bucket.
    pub(super) fn last_of(&self, bucket: i64) -> EventTime {
        EventTime(bucket.saturating_add(1).saturating_mul(self.width).saturating_sub(1))
    }

    fn head<'k>(&self, whose: Whose<'k>, bucket: i64) -> EntryKey<'k> {
        let Whose { hash, key } = whose;
        EntryKey { operator: self.heads, hash, key, namespace: bucket.cast_unsigned() }
    }

    fn frame_key<'k>(&self, whose: Whose<'k>, Place { bucket, index }: Place) -> EntryKey<'k> {
        let Whose { hash, key } = whose;
        let namespace = Self::namespace(Place { bucket, index });
        EntryKey { operator: self.frames, hash, key, namespace }
    }

    /// Of a frame's entry (invariant 2).
    pub(super) fn namespace(Place { bucket, index }: Place) -> u64 {
        bucket.cast_unsigned().wrapping_mul(PHI).wrapping_add(u64::from(index))
    }

    /// Adds a frame; answers its place. Two look-ups.
    pub(super) fn add(
        &self,
        store: &mut Store,
        whose: Whose<'_>,
        bucket: i64,
        frame: Frame<'_>,
    ) -> Place {
        let (head, _) = store.find_or_insert(&self.head(whose, bucket), u32::BYTES);
        let head = store.writable(head);
        let count = store.update(head, 0, |count: u32| count + 1);
        assert!(count <= FRAMES_MAX, "a key has at most {FRAMES_MAX} rows in one bucket");
        let place = Place { bucket, index: count - 1 };
        store.put(&self.frame_key(whose, place), frame.bytes());
        place
    }

    /// How many frames a bucket has. One look-up.
    #[inline(always)]
    pub(super) fn count(&self, store: &Store, whose: Whose<'_>, bucket: i64) -> u32 {
        store.find(&self.head(whose, bucket)).map_or(0, |head| store.field(head, 0))
    }

    /// A frame. One look-up.
    #[inline(always)]
    pub(super) fn get<'s>(&self, store: &'s Store, whose: Whose<'_>, place: Place) -> Frame<'s> {
        let offset = store.find(&self.frame_key(whose, place));
        let offset = offset.expect("a bucket has the frames that it counts (invariant 1)");
        Frame::new(store.value(offset))
    }

    /// Takes the last frame of a bucket away; the bucket goes with its last one.
    pub(super) fn remove_last(&self, store: &mut Store, whose: Whose<'_>, bucket: i64) -> bool {
        let Some(head) = store.find(&self.head(whose, bucket)) else {
            return false;
        };
        let count: u32 = store.field(head, 0);
        store.delete(&self.frame_key(whose, Place { bucket, index: count - 1 }));
        if count == 1 {
            store.delete_at(head);
        } else {
            let head = store.writable(head);
            store.set(head, 0, count - 1);
        }
        true
    }

    /// Takes a frame away; the last one of its bucket takes its place. `moved` holds it meanwhile.
    pub(super) fn remove(
        &self,
        store: &mut Store,
        whose: Whose<'_>,
        place: Place,
        moved: &mut Vec<u8>,
    ) {
        let last = self.count(store, whose, place.bucket) - 1;
        if place.index < last {
            moved.clear();
            let frame = self.get(store, whose, Place { index: last, ..place });
            moved.extend_from_slice(frame.bytes());
            store.put(&self.frame_key(whose, place), moved);
        }
        self.remove_last(store, whose, place.bucket);
    }

    /// Some key's head of a bucket, by the key's hash.
    pub(super) fn any_head(&self, store: &Store, hash: KeyHash, bucket: i64) -> Option<LogOffset> {
        store.candidates(self.heads, hash, bucket.cast_unsigned()).next()
    }

    /// All buckets that there are: hash and number of each.
    pub(super) fn all<'s>(&self, store: &'s Store) -> impl Iterator<Item = (KeyHash, i64)> + 's {
        let heads = store.iter_operator(self.heads);
        heads.map(|offset| (store.hash(offset), store.namespace(offset).cast_signed()))
    }
}

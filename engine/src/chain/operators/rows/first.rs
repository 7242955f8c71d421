//! Keeps the first row of each key, for ever or within a time.
//!
//! Takes records; hands on those that are no duplicates. For ever: the first of its key that arrives.
//! Within a time: a record is a duplicate if it lies less than that from the last one of its key that
//! was kept, by event time, on either side; one that lies further behind is kept and opens nothing.
//!
//! Byte layout of an entry: none for ever; within a time `| expires at 8 | kept at 8 |`.
//!
//! Invariant: an entry expires when every record that may still come lies far enough behind what was
//! kept. So whether it has been swept yet makes no difference, but for what comes from behind the
//! watermark, which only a source that was idle can send.
//!
//! Why not an entry a kept record: in order of time one is enough, and that order is at hand.

use std::marker::PhantomData;

use crate::chain::operators::fold::Kinds;
use crate::chain::{KeyedOperator, OperatorState, StateLayout};
use crate::record::{EventTime, FrameHeader, Key, KeyHash, Layout, Record, TimeSpan};
use crate::state::{EntryKey, ExpiryKind, LogOffset, OperatorId, Store};

/// Where the time that was kept stands in an entry.
const KEPT_AT: usize = 8;

/// The first row of each key.
#[derive(Debug)]
pub struct FirstRows<K, I> {
    operator: OperatorId,
    within: Option<TimeSpan>,
    kinds: Kinds<K, I, ()>,
}

impl<K: Key, I: Record> FirstRows<K, I> {
    /// The first row for ever: one entry a key stays in state.
    #[must_use]
    pub fn for_ever(operator: OperatorId) -> Self {
        Self { operator, within: None, kinds: PhantomData }
    }

    /// The first row within `span` of event time; an entry goes that long after it.
    ///
    /// Panics where the span is not positive: a bug in the job.
    #[must_use]
    pub fn within(operator: OperatorId, span: TimeSpan) -> Self {
        assert!(span > TimeSpan::ZERO, "duplicates are looked for in some time");
        Self { operator, within: Some(span), kinds: PhantomData }
    }

    fn keep(state: &mut Store, offset: LogOffset, time: EventTime, span: TimeSpan) {
        state.set(offset, 0, time + span);
        state.set(offset, KEPT_AT, time);
    }

    fn is_first_within(
        state: &mut Store,
        key: &EntryKey<'_>,
        time: EventTime,
        span: TimeSpan,
    ) -> bool {
        let Some(offset) = state.find(key) else {
            let offset = state.insert_expiring(key, 2 * KEPT_AT, ExpiryKind::Event);
            Self::keep(state, offset, time, span);
            return true;
        };
        let kept: EventTime = state.field(offset, KEPT_AT);
        let is_first = time.0.abs_diff(kept.0) >= span.0.unsigned_abs();
        if is_first && time > kept {
            let offset = state.writable(offset);
            Self::keep(state, offset, time, span);
        }
        is_first
    }
}

impl<K: Key, I: Record> KeyedOperator for FirstRows<K, I> {
    type Key = K;
    type In = I;
    type Out = I;
    type Emission = ();

    fn touch(&self, state: &mut Store, hashes: &[KeyHash]) {
        state.touch(self.operator, hashes);
    }

    fn states(&self) -> Vec<OperatorState> {
        let times = [("expires_at", Layout::Time), ("kept_at", Layout::Time)];
        let (identity, layout) = match self.within {
            None => ("for ever".to_owned(), Layout::Unit),
            Some(span) => (format!("within {} us", span.0), Layout::fields(times)),
        };
        vec![OperatorState {
            id: self.operator,
            kind: "dedup",
            identity,
            key: K::layout(),
            values: vec![StateLayout::new("seen", 0..=0, layout)],
        }]
    }

    #[inline(always)]
    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        _: I::View<'_>,
    ) -> Option<()> {
        let is_first = K::with_bytes(key, |bytes| {
            let (operator, hash) = (self.operator, header.key_hash);
            let key = EntryKey { operator, hash, key: bytes, namespace: 0 };
            match self.within {
                None => state.find_or_insert(&key, 0).1,
                Some(span) => Self::is_first_within(state, &key, header.event_time, span),
            }
        });
        is_first.then_some(())
    }

    #[inline(always)]
    fn output<'a>(&self, (): (), _: K::View<'a>, view: I::View<'a>) -> I::View<'a> {
        view
    }
}

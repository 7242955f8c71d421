//! What the k-th row behind each one is: SQL's `LEAD(value, k, default)`.
//!
//! Takes records; hands on each once its key's k-th row behind it has come, with a value of that one,
//! and at the end of the input those that still wait, with the default. What waits are whole frames.
//!
//! A row leaves with the event time of the record that it waited for, and at the end with the last
//! time of all: by its own it would be late for whatever stands behind. Its fields are its own.
//!
//! Entries: a key's head, `| first 8 | next 8 |`, under the operator's own id; the frames of rows
//! `first .. next` under the next one, the namespace a row's number.
//!
//! Invariant: a row whose value has come is no longer in `first .. next`; its frame goes when it has
//! been taken. No barrier passes before.

use std::marker::PhantomData;

use crate::chain::operators::fold::Kinds;
use crate::chain::operators::sorted::FrameBuffer;
use crate::chain::{Due, KeyedOperator, OperatorState, StateLayout};
use crate::record::{EventTime, Fixed, Frame, FrameHeader, Item, Key, Layout, Paired, Record};
use crate::state::{EntryKey, LogOffset, OperatorId, SlotCursor, Store};

const NEXT_AT: usize = <u64 as Fixed>::BYTES;

/// Each record with a value of a later one. `F` reads the value.
#[derive(Debug)]
pub struct Lead<K, I, T, F> {
    operator: OperatorId,
    rows: OperatorId,
    distance: u32,
    default: T,
    read: F,
    ready: Option<Ready<T>>,
    finals: SlotCursor,
    /// Whether an earlier run has emitted what waited at the end.
    finals_done: bool,
    frame: FrameBuffer,
    kinds: Kinds<K, I, ()>,
}

/// A row that leaves: its key's head, its number, and the value that it waited for.
#[derive(Debug, Clone, Copy)]
struct Ready<T> {
    head: LogOffset,
    number: u64,
    value: T,
    time: EventTime,
    is_final: bool,
}

impl<K, I, T, F> Lead<K, I, T, F>
where
    I: Record,
    T: Fixed,
    F: for<'a> Fn(I::View<'a>) -> T,
{
    /// What `read` makes of the row `distance` rows behind; `rows` is the id for what waits.
    ///
    /// Panics where the distance is 0: a bug in the job.
    pub fn new(operator: OperatorId, rows: OperatorId, distance: u32, default: T, read: F) -> Self {
        assert!(distance > 0, "a row lies behind another");
        Self {
            operator,
            rows,
            distance,
            default,
            read,
            ready: None,
            finals: SlotCursor::new(operator, None),
            finals_done: false,
            frame: FrameBuffer::default(),
            kinds: PhantomData,
        }
    }

    fn row(&self, state: &Store, ready: &Ready<T>) -> LogOffset {
        let key = state.entry_key(ready.head);
        let row = EntryKey { operator: self.rows, namespace: ready.number, ..key };
        state.find(&row).expect("a row waits as an entry until it has left")
    }

    /// The next row that waits at the end: of the same key, or of the next one.
    fn next_final(&mut self, state: &Store, after: Option<Ready<T>>) -> Option<Ready<T>> {
        let (time, is_final) = (EventTime::MAX, true);
        let of_key = |head| {
            let (number, next): (u64, u64) = state.field(head, 0);
            (number < next).then_some(Ready { head, number, value: self.default, time, is_final })
        };
        if let Some(ready) = after {
            let number = ready.number + 1;
            if number < state.field(ready.head, NEXT_AT) {
                return Some(Ready { number, ..ready });
            }
        }
        std::iter::from_fn(|| self.finals.next(state)).find_map(of_key)
    }
}

impl<K, I, T, F> KeyedOperator for Lead<K, I, T, F>
where
    K: Key,
    I: Record,
    T: Fixed,
    F: for<'a> Fn(I::View<'a>) -> T + Send + 'static,
{
    type Key = K;
    type In = I;
    type Out = Paired<I, T>;
    type Emission = ();

    const HAS_DUE: bool = true;

    fn states(&self) -> Vec<OperatorState> {
        let head = Layout::fields([
            ("first", <u64 as Fixed>::layout()),
            ("next", <u64 as Fixed>::layout()),
        ]);
        let identity = format!("{} rows", self.distance);
        let state = |id, kind, value| OperatorState {
            id,
            kind,
            identity: identity.clone(),
            key: K::layout(),
            values: vec![value],
        };
        vec![
            state(self.operator, "lead", StateLayout::new("cursors", 0..=0, head)),
            state(self.rows, "lead_rows", StateLayout::frames::<I>("waiting", 0..=u64::MAX)),
        ]
    }

    fn rebuild(&mut self, _: &Store, watermark: EventTime) {
        // A stage says plus infinity once it has ended.
        self.finals_done = watermark == EventTime::MAX;
    }

    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        view: I::View<'_>,
    ) -> Option<()> {
        let head = K::with_bytes(key, |bytes| {
            let (operator, hash) = (self.operator, header.key_hash);
            let key = EntryKey { operator, hash, key: bytes, namespace: 0 };
            let (head, _) = state.find_or_insert(&key, 2 * NEXT_AT);
            let number = state.field(head, NEXT_AT);
            self.frame.encode::<I>(header, view);
            let row = EntryKey { operator: self.rows, namespace: number, ..key };
            state.put(&row, self.frame.bytes());
            head
        });
        let head = state.writable(head);
        let (number, next): (u64, u64) = state.field(head, 0);
        let is_complete = next - number == u64::from(self.distance);
        state.set(head, 0, (number + u64::from(is_complete), next + 1));
        if is_complete {
            let (value, time) = ((self.read)(view), header.event_time);
            self.ready = Some(Ready { head, number, value, time, is_final: false });
        }
        None
    }

    fn output<'a>(&self, (): (), _: K::View<'a>, _: I::View<'a>) -> <Self::Out as Item>::View<'a> {
        unreachable!("a record emits nothing by itself; the row that waited for it is due")
    }

    fn advance(&mut self, state: &mut Store, due: Due) -> bool {
        if self.ready.is_none() && due.ended && !self.finals_done {
            self.ready = self.next_final(state, None);
        }
        self.ready.is_some()
    }

    fn due<'s>(&'s self, state: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
        let ready = self.ready.expect("asked only after `advance` answered `true`");
        let frame = Frame::new(state.value(self.row(state, &ready)));
        let header = FrameHeader { event_time: ready.time, ..frame.header() };
        (header, (frame.view::<I>(), ready.value))
    }

    fn done(&mut self, state: &mut Store) {
        let Some(ready) = self.ready.take() else {
            return;
        };
        if ready.is_final {
            self.ready = self.next_final(state, Some(ready));
            self.finals_done = self.ready.is_none();
        } else {
            state.delete_at(self.row(state, &ready));
        }
    }
}

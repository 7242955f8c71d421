//! What a process function may do: its key's values and lists, timers, and emitting.
//!
//! Values and lists are named by a small number that is unique in the function. Their entries:
//!
//! ```text
//! namespace  | kind 8 bits | field 16 bits | chunk 40 bits |
//!   kind 0: a value                         the value's bytes
//!   kind 1: a list's head                   item count 8
//!   kind 2: a list's chunk                  16 items, the last chunk's rest zero
//! ```

use std::cmp::Reverse;
use std::marker::PhantomData;

use super::process::{Outbox, timer_key};
use crate::record::{EventTime, Fixed, FrameHeader, Record};
use crate::state::{EntryKey, OperatorId, Store};

/// Names a value of a key: `ValueState::<u64>::new(0)`.
#[derive(Debug, Clone, Copy)]
pub struct ValueState<T> {
    field: u16,
    kind: PhantomData<fn() -> T>,
}

/// Names a list of a key: `ListState::<u64>::new(0)`.
#[derive(Debug, Clone, Copy)]
pub struct ListState<T> {
    field: u16,
    kind: PhantomData<fn() -> T>,
}

impl<T: Fixed> ValueState<T> {
    /// The value with this number.
    #[must_use]
    pub const fn new(field: u16) -> Self {
        Self { field, kind: PhantomData }
    }
}

impl<T: Fixed> ListState<T> {
    /// The list with this number.
    #[must_use]
    pub const fn new(field: u16) -> Self {
        Self { field, kind: PhantomData }
    }
}

/// Whose turn it is: the record's or timer's header, and the key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'k> {
    pub(super) header: FrameHeader,
    pub(super) key: &'k [u8],
    pub(super) state_id: OperatorId,
    pub(super) timer_id: OperatorId,
}

/// A process function's hands, for one record or timer.
#[derive(Debug)]
pub struct ProcessContext<'a, Out> {
    store: &'a mut Store,
    outbox: &'a mut Outbox,
    scope: Scope<'a>,
    watermark: EventTime,
    emitted: u32,
    out: PhantomData<fn(Out)>,
}

const KIND_VALUE: u64 = 0;
const KIND_LIST: u64 = 1;
const KIND_CHUNK: u64 = 2;
const CHUNK_ITEMS: u64 = 16;

impl<'a, Out: Record> ProcessContext<'a, Out> {
    pub(super) fn new(
        store: &'a mut Store,
        outbox: &'a mut Outbox,
        scope: Scope<'a>,
        watermark: EventTime,
    ) -> Self {
        Self { store, outbox, scope, watermark, emitted: 0, out: PhantomData }
    }

    /// The header of the record, or one with the timer's time and key.
    #[must_use]
    pub fn header(&self) -> &FrameHeader {
        &self.scope.header
    }

    /// How far event time has come.
    #[must_use]
    pub fn watermark(&self) -> EventTime {
        self.watermark
    }

    /// Emits a record, with the time and position of what is being handled.
    pub fn emit(&mut self, view: Out::View<'_>) {
        let mut buffer = self.outbox.spare.pop().unwrap_or_default();
        let header = self.scope.header;
        let header = FrameHeader { ordinal: header.ordinal_of(self.emitted), ..header };
        self.emitted += 1;
        buffer.encode::<Out>(&header, view);
        self.outbox.frames.push_back(buffer);
    }

    /// The key's value, if it was set.
    #[must_use]
    pub fn get<T: Fixed>(&self, value: ValueState<T>) -> Option<T> {
        let offset = self.store.find(&self.entry(KIND_VALUE, value.field, 0))?;
        Some(self.store.field(offset, 0))
    }

    /// Sets the key's value.
    pub fn set<T: Fixed>(&mut self, value: ValueState<T>, to: T) {
        let key = self.entry(KIND_VALUE, value.field, 0);
        let (offset, _) = self.store.find_or_insert(&key, T::BYTES);
        let offset = self.store.writable(offset);
        self.store.set(offset, 0, to);
    }

    /// Forgets the key's value.
    pub fn clear<T: Fixed>(&mut self, value: ValueState<T>) {
        self.store.delete(&self.entry(KIND_VALUE, value.field, 0));
    }

    /// Appends to the key's list.
    pub fn append<T: Fixed>(&mut self, list: ListState<T>, item: T) {
        let head = self.entry(KIND_LIST, list.field, 0);
        let (head, _) = self.store.find_or_insert(&head, u64::BYTES);
        let count: u64 = self.store.field(head, 0);
        let chunk = self.entry(KIND_CHUNK, list.field, count / CHUNK_ITEMS);
        let (chunk, _) = self.store.find_or_insert(&chunk, item_at::<T>(CHUNK_ITEMS));
        let chunk = self.store.writable(chunk);
        self.store.set(chunk, item_at::<T>(count % CHUNK_ITEMS), item);
        let head = self.store.writable(head);
        self.store.set(head, 0, count + 1);
    }

    /// The key's list, the oldest item first.
    pub fn iter<T: Fixed>(&self, list: ListState<T>) -> impl Iterator<Item = T> {
        let count = self.list_count(list);
        (0..count.div_ceil(CHUNK_ITEMS)).flat_map(move |number| {
            let chunk = self.store.find(&self.entry(KIND_CHUNK, list.field, number));
            let chunk = chunk.expect("a list has all of its chunks");
            let items = CHUNK_ITEMS.min(count - number * CHUNK_ITEMS);
            (0..items).map(move |place| self.store.field(chunk, item_at::<T>(place)))
        })
    }

    /// How many items the key's list has.
    #[must_use]
    pub fn list_count<T: Fixed>(&self, list: ListState<T>) -> u64 {
        let head = self.store.find(&self.entry(KIND_LIST, list.field, 0));
        head.map_or(0, |head| self.store.field(head, 0))
    }

    /// Forgets the key's list.
    pub fn clear_list<T: Fixed>(&mut self, list: ListState<T>) {
        for number in 0..self.list_count(list).div_ceil(CHUNK_ITEMS) {
            self.store.delete(&self.entry(KIND_CHUNK, list.field, number));
        }
        self.store.delete(&self.entry(KIND_LIST, list.field, 0));
    }

    /// Calls `on_timer` for this key once the watermark reaches `time`: right after this record,
    /// where it has already.
    pub fn set_timer(&mut self, time: EventTime) {
        let (offset, added) = self.store.find_or_insert(&timer_key(&self.scope, time), 0);
        if added {
            let hash = self.scope.header.key_hash;
            self.outbox.timers.push(Reverse((time, hash, offset)));
        }
    }

    /// Takes a timer of this key back; says whether it was set.
    pub fn delete_timer(&mut self, time: EventTime) -> bool {
        self.store.delete(&timer_key(&self.scope, time))
    }

    fn entry(&self, kind: u64, field: u16, chunk: u64) -> EntryKey<'a> {
        EntryKey {
            operator: self.scope.state_id,
            hash: self.scope.header.key_hash,
            key: self.scope.key,
            namespace: kind << 56 | u64::from(field) << 40 | chunk,
        }
    }
}

fn item_at<T: Fixed>(place: u64) -> usize {
    usize::try_from(place).expect("a place is below a chunk's items") * T::BYTES
}

/// A timer's time as a namespace; sorts as the times do.
pub(super) fn timer_namespace(time: EventTime) -> u64 {
    time.0.cast_unsigned() ^ (1 << 63)
}

/// The time of a timer's namespace.
pub(super) fn time_of(namespace: u64) -> EventTime {
    EventTime((namespace ^ (1 << 63)).cast_signed())
}

//! The log of a key's events, which all of its exact windows share.
//!
//! Events are numbered from 0 and stand in chunks, entries of namespace `chunk number + 1`. The
//! first chunks take 4, 8, 16 and 32 events, all later ones 64: a rare key stays small, a busy one
//! makes few entries. So chunk and place follow from an event's number alone.
//!
//! ```text
//! event:  | time 8 | order 8 | item ... |        chunk 0: 0..4  1: 4..12  2: 12..28  3: 28..60
//! ```

use std::marker::PhantomData;

use crate::record::{Fixed, Layout};
use crate::state::{EntryKey, LogOffset, Store};

/// What stands in the log for a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event<I> {
    pub(super) time: i64,
    pub(super) order: u64,
    pub(super) item: I,
}

impl<I: Fixed> Fixed for Event<I> {
    const BYTES: usize = 16 + I::BYTES;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        let (time, order, item) = Fixed::read(&bytes[..Self::BYTES]);
        Self { time, order, item }
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        (self.time, self.order, self.item).write(&mut bytes[..Self::BYTES]);
    }
    fn layout() -> Layout {
        let (time, order) = (Layout::Time, u64::layout());
        Layout::fields([("time", time), ("order", order), ("item", I::layout())])
    }
}

impl<I> Event<I> {
    /// What the log is sorted by.
    pub(super) fn rank(&self) -> (i64, u64) {
        (self.time, self.order)
    }
}

/// One key's log in a store.
#[derive(Debug)]
pub(super) struct Log<'s, I> {
    pub(super) store: &'s mut Store,
    /// The head entry's key; chunks differ in the namespace.
    key: EntryKey<'s>,
    items: PhantomData<fn() -> I>,
}

impl<'s, I: Fixed> Log<'s, I> {
    #[inline(always)]
    pub(super) fn new(store: &'s mut Store, key: EntryKey<'s>) -> Self {
        Self { store, key, items: PhantomData }
    }

    /// The event of that number, which must be kept still. `hint` is where its chunk may lie, and
    /// is set to where it does.
    #[inline(always)]
    pub(super) fn get(&self, number: u64, hint: &mut LogOffset) -> Event<I> {
        let (chunk, place) = place_of(number);
        let found = self.store.read_hinted(&self.chunk_key(chunk), *hint);
        let (offset, events) = found.expect("an event that is kept has a chunk");
        *hint = offset;
        Event::read(&events[place * Event::<I>::BYTES..])
    }

    /// Writes an event, whose chunk is made where there is none.
    #[inline(always)]
    pub(super) fn set(&mut self, number: u64, hint: &mut LogOffset, event: Event<I>) {
        let (chunk, place) = place_of(number);
        let offset = match self.store.find_hinted(&self.chunk_key(chunk), *hint) {
            Some(offset) => self.store.writable(offset),
            None => {
                let chunk_bytes = event_count(chunk) * Event::<I>::BYTES;
                self.store.insert(&self.chunk_key(chunk), chunk_bytes)
            }
        };
        *hint = offset;
        self.store.set(offset, place * Event::<I>::BYTES, event);
    }

    /// Puts an event in front of event `number`, and moves that one and all later ones, up to
    /// `next`, one place on.
    pub(super) fn insert(&mut self, number: u64, next: u64, event: Event<I>) {
        let (mut from, mut to) = (LogOffset::NONE, LogOffset::NONE);
        for moved in (number..next).rev() {
            let later = self.get(moved, &mut from);
            self.set(moved + 1, &mut to, later);
        }
        self.set(number, &mut to, event);
    }

    /// Deletes the chunks whose events are all before `first` and not before `was_first`.
    #[inline(always)]
    pub(super) fn delete_before(&mut self, was_first: u64, first: u64) {
        let (chunk, _) = place_of(was_first);
        let (kept, _) = place_of(first);
        for expired in chunk..kept {
            self.store.delete(&self.chunk_key(expired));
        }
    }

    #[inline(always)]
    fn chunk_key(&self, chunk: u64) -> EntryKey<'s> {
        EntryKey { namespace: chunk + 1, ..self.key }
    }
}

/// Brings the event of that number into the cache, if its chunk lies where the hint says.
#[inline(always)]
pub(super) fn touch_event<I: Fixed>(store: &Store, number: u64, hint: LogOffset) {
    let (_, place) = place_of(number);
    store.touch_at(hint, place * Event::<I>::BYTES);
}

const GROWING_CHUNKS: u64 = 4;
const CHUNK_EVENTS_MAX: u64 = 64;
/// How many events the growing chunks hold together: 4 + 8 + 16 + 32.
const GROWING_EVENTS: u64 = 60;

/// The chunk of an event, and its place there.
#[inline(always)]
fn place_of(number: u64) -> (u64, usize) {
    let (chunk, place) = if number < GROWING_EVENTS {
        let chunk = u64::from((number / 4 + 1).ilog2());
        (chunk, number - 4 * ((1 << chunk) - 1))
    } else {
        let later = number - GROWING_EVENTS;
        (GROWING_CHUNKS + later / CHUNK_EVENTS_MAX, later % CHUNK_EVENTS_MAX)
    };
    (chunk, usize::try_from(place).expect("a place is below 64"))
}

/// How many events a chunk holds.
fn event_count(chunk: u64) -> usize {
    if chunk < GROWING_CHUNKS { 4 << chunk } else { 64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_fill_one_chunk_after_the_other() {
        let (mut chunk, mut place) = (0, 0);
        for number in 0..500 {
            assert_eq!(place_of(number), (chunk, place), "{number}");
            place += 1;
            if place == event_count(chunk) {
                (chunk, place) = (chunk + 1, 0);
            }
        }
    }
}

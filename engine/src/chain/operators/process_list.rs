//! A key's list: a head, and chunks of 16 items that are never copied to grow.
//!
//! ```text
//! head:  | expires 8? | first 8 | next 8 |      the numbers of its items: first.. (a multiple of
//! chunk: | expires 8? | 16 x ( expires 8? | item ) |    16) up to next
//! ```
//!
//! Appending, reading and changing one item take one or two look-ups; walking takes one for every
//! 16 items. With a time to live, chunks in front of which all has expired are passed over once,
//! when the next chunk is begun; items that expire out of order (a map's, which are renewed) cost a
//! walk until those before them have.

use std::marker::PhantomData;

use super::process_place::Place;
use crate::record::Fixed;
use crate::state::Store;

const CHUNK_ITEMS: u64 = 16;

/// A list, by the kinds of its entries.
#[derive(Debug)]
pub(super) struct List<'k, T> {
    pub(super) place: Place<'k>,
    head_kind: u64,
    chunk_kind: u64,
    items: PhantomData<fn() -> T>,
}

impl<'k, T: Fixed> List<'k, T> {
    pub(super) fn new(place: Place<'k>, head_kind: u64, chunk_kind: u64) -> Self {
        Self { place, head_kind, chunk_kind, items: PhantomData }
    }

    fn item_bytes(&self) -> usize {
        self.place.prefix_bytes() + T::BYTES
    }

    fn item_at(&self, number: u64) -> usize {
        let place = usize::try_from(number % CHUNK_ITEMS).expect("a place is below 16");
        self.place.prefix_bytes() + place * self.item_bytes()
    }

    /// The numbers of its items.
    pub(super) fn bounds(&self, store: &Store) -> (u64, u64) {
        let Some(head) = self.place.find(store, self.head_kind, 0) else {
            return (0, 0);
        };
        let at = self.place.prefix_bytes();
        (store.field(head, at), store.field(head, at + 8))
    }

    /// Appends an item; answers with its number.
    pub(super) fn push(&self, store: &mut Store, item: T) -> u64 {
        let (mut first, number) = self.bounds(store);
        if number.is_multiple_of(CHUNK_ITEMS) && self.place.name.ttl.is_some() {
            first = self.pass_expired(store, first, number);
        }
        self.write(store, number, item);
        self.write_head(store, first, number + 1);
        number
    }

    fn pass_expired(&self, store: &mut Store, mut first: u64, next: u64) -> u64 {
        while first < next && self.place.find(store, self.chunk_kind, first / CHUNK_ITEMS).is_none()
        {
            self.place.delete(store, self.chunk_kind, first / CHUNK_ITEMS);
            first += CHUNK_ITEMS;
        }
        first
    }

    fn write_head(&self, store: &mut Store, first: u64, next: u64) {
        let (head, _) = self.place.write(store, self.head_kind, 0, 16);
        store.set(head, self.place.prefix_bytes(), (first, next));
    }

    fn write(&self, store: &mut Store, number: u64, item: T) {
        let chunk_bytes = self.item_bytes() * 16;
        let chunk = number / CHUNK_ITEMS;
        let (chunk, _) = self.place.write(store, self.chunk_kind, chunk, chunk_bytes);
        let at = self.item_at(number);
        if self.place.name.ttl.is_some() {
            store.set(chunk, at, self.place.expires_at());
        }
        store.set(chunk, at + self.place.prefix_bytes(), item);
    }

    /// Changes an item, and renews it and the list.
    pub(super) fn set(&self, store: &mut Store, number: u64, item: T) {
        self.write(store, number, item);
        let (first, next) = self.bounds(store);
        self.write_head(store, first, next);
    }

    /// One item, if it has not expired.
    pub(super) fn get(&self, store: &Store, number: u64) -> Option<T> {
        let chunk = self.place.find(store, self.chunk_kind, number / CHUNK_ITEMS)?;
        let item = &store.value(chunk)[self.item_at(number)..];
        self.place.is_alive(item).then(|| T::read(&item[self.place.prefix_bytes()..]))
    }

    /// All items that have not expired, with their numbers.
    pub(super) fn iter<'s>(
        &self,
        store: &'s Store,
    ) -> impl Iterator<Item = (u64, T)> + use<'s, 'k, T> {
        let list = Self::new(self.place, self.head_kind, self.chunk_kind);
        let (first, next) = list.bounds(store);
        (first / CHUNK_ITEMS..next.div_ceil(CHUNK_ITEMS))
            .filter_map(move |chunk| {
                let offset = list.place.find(store, list.chunk_kind, chunk)?;
                let last = next.min((chunk + 1) * CHUNK_ITEMS);
                let (place, bytes) = (list.place, store.value(offset));
                let prefix_bytes = place.prefix_bytes();
                let items = (chunk * CHUNK_ITEMS..last).zip(0..);
                let items = items.map(move |(number, index): (u64, usize)| {
                    (number, &bytes[prefix_bytes + index * (prefix_bytes + T::BYTES)..])
                });
                let alive = items.filter(move |(_, item)| place.is_alive(item));
                Some(alive.map(move |(number, item)| (number, T::read(&item[prefix_bytes..]))))
            })
            .flatten()
    }

    /// Takes the last item away, whatever it is.
    pub(super) fn pop(&self, store: &mut Store) {
        let (first, next) = self.bounds(store);
        let Some(last) = next.checked_sub(1).filter(|last| *last >= first) else {
            return;
        };
        if last.is_multiple_of(CHUNK_ITEMS) {
            self.place.delete(store, self.chunk_kind, last / CHUNK_ITEMS);
        }
        if last == first {
            self.place.delete(store, self.head_kind, 0);
        } else {
            self.write_head(store, first, last);
        }
    }

    /// Forgets all.
    pub(super) fn clear(&self, store: &mut Store) {
        let (first, next) = self.bounds(store);
        for chunk in first / CHUNK_ITEMS..next.div_ceil(CHUNK_ITEMS) {
            self.place.delete(store, self.chunk_kind, chunk);
        }
        self.place.delete(store, self.head_kind, 0);
    }
}

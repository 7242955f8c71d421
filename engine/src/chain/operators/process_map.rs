//! A key's map: buckets by the hash of the map's key, and a list of the buckets.
//!
//! ```text
//! bucket:  | expires 8? | place in the list 8 | entries: ( map key | expires 8? | value ) ... |
//! ```
//!
//! A bucket's number is the low 40 bits of the map key's hash; it nearly always has one entry.
//! Reading takes one look-up; adding and removing take a few; walking takes one a bucket.
//!
//! Invariants
//! 1. A bucket says where it stands in the list, and the list says its number there. What the list
//!    names and does not agree was removed, or has expired, and is passed over.
//! 2. The list is no longer than what was added since its oldest entry that lives.
//!
//! Why not entries under the key's bytes with the map's behind them: entries of one operator have
//! keys of one layout, so that a person can ask for a key and see all that it has.

use std::marker::PhantomData;

use super::process_list::List;
use super::process_place::Place;
use super::process_states::{CHUNK_MAX, KIND_BUCKET, KIND_MAP, KIND_MAP_CHUNK};
use crate::record::{Fixed, Key};
use crate::state::Store;

/// A map of one key.
#[derive(Debug)]
pub(super) struct Map<'k, K, T> {
    place: Place<'k>,
    kinds: PhantomData<fn() -> (K, T)>,
}

const PLACE_BYTES: usize = 8;

impl<'k, K: Key, T: Fixed> Map<'k, K, T> {
    pub(super) fn new(place: Place<'k>) -> Self {
        Self { place, kinds: PhantomData }
    }

    fn list(&self) -> List<'k, u64> {
        List::new(self.place, KIND_MAP, KIND_MAP_CHUNK)
    }

    fn bucket_of(key: K::View<'_>) -> u64 {
        K::hash(key).0 & CHUNK_MAX
    }

    /// A key's bytes as a part: with its length, where it is text.
    fn part<R>(key: K::View<'_>, then: impl FnOnce(&[u8]) -> R) -> R {
        <(K,)>::with_bytes((key,), then)
    }

    fn value_bytes(&self) -> usize {
        self.place.prefix_bytes() + T::BYTES
    }

    /// The entries of a bucket's value, without its prefix: where each starts, its key, and its
    /// value with the prefix.
    fn entries<'s>(
        &self,
        bucket: &'s [u8],
    ) -> impl Iterator<Item = (usize, K::View<'s>, &'s [u8])> + use<'s, K, T> {
        let value_bytes = self.value_bytes();
        let mut rest = bucket.get(PLACE_BYTES..).unwrap_or_default();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let at = bucket.len() - rest.len();
            let key = K::read_part(&mut rest);
            let (value, left) = rest.split_at(value_bytes);
            rest = left;
            Some((at, key, value))
        })
    }

    /// A bucket's value without its prefix.
    fn bucket<'s>(&self, store: &'s Store, number: u64) -> Option<&'s [u8]> {
        let offset = self.place.find(store, KIND_BUCKET, number)?;
        Some(&store.value(offset)[self.place.prefix_bytes()..])
    }

    /// Where a key's entry starts and ends in its bucket, whether or not it has expired.
    fn position(&self, bucket: &[u8], key: K::View<'_>) -> Option<(usize, usize)> {
        Self::part(key, |part| {
            self.entries(bucket).find_map(|(at, _, value)| {
                let end = at + part.len() + value.len();
                bucket[at..].starts_with(part).then_some((at, end))
            })
        })
    }

    pub(super) fn get(&self, store: &Store, key: K::View<'_>) -> Option<T> {
        let bucket = self.bucket(store, Self::bucket_of(key))?;
        let (_, end) = self.position(bucket, key)?;
        let value = &bucket[end - self.value_bytes()..end];
        self.place.is_alive(value).then(|| T::read(&value[self.place.prefix_bytes()..]))
    }

    pub(super) fn insert(&self, store: &mut Store, key: K::View<'_>, value: T) {
        let number = Self::bucket_of(key);
        let mut bucket = match self.bucket(store, number) {
            None => self.list().push(store, number).to_le_bytes().to_vec(),
            Some(bucket) => {
                let mut kept = bucket.to_vec();
                if let Some((at, end)) = self.position(bucket, key) {
                    kept.drain(at..end);
                }
                if self.place.name.ttl.is_some() {
                    self.relist(store, number, &mut kept);
                }
                kept
            }
        };
        Self::part(key, |part| bucket.extend_from_slice(part));
        if self.place.name.ttl.is_some() {
            bucket.extend_from_slice(&self.place.expires_at().to_le_bytes());
        }
        let at = bucket.len();
        bucket.resize(at + T::BYTES, 0);
        value.write(&mut bucket[at..]);
        self.place.put(store, KIND_BUCKET, number, &bucket);
    }

    /// Lets the list's item live as long as the bucket that is about to be renewed. The item may be
    /// gone before the bucket, which removing an entry renews: then the bucket gets another place.
    fn relist(&self, store: &mut Store, number: u64, bucket: &mut [u8]) {
        let (list, place) = (self.list(), u64::read(bucket));
        let (first, next) = list.bounds(store);
        let is_listed = (first..next).contains(&place) && list.get(store, place) == Some(number);
        if is_listed {
            list.set(store, place, number);
        } else {
            list.push(store, number).write(bucket);
        }
    }

    /// Removes a key; says whether it was there.
    pub(super) fn remove(&self, store: &mut Store, key: K::View<'_>) -> bool {
        let number = Self::bucket_of(key);
        let Some(bucket) = self.bucket(store, number) else {
            return false;
        };
        let Some((at, end)) = self.position(bucket, key) else {
            return false;
        };
        let was_alive = self.place.is_alive(&bucket[end - self.value_bytes()..end]);
        let mut kept = bucket.to_vec();
        kept.drain(at..end);
        if kept.len() > PLACE_BYTES {
            self.place.put(store, KIND_BUCKET, number, &kept);
        } else {
            self.place.delete(store, KIND_BUCKET, number);
            self.unlist(store, u64::read(&kept));
        }
        was_alive
    }

    /// Takes a place out of the list: the last one moves there.
    fn unlist(&self, store: &mut Store, place: u64) {
        let list = self.list();
        let (_, next) = list.bounds(store);
        let last = next.saturating_sub(1);
        if place != last
            && let Some(number) = list.get(store, last)
            && let Some(bucket) = self.bucket(store, number)
            && u64::read(bucket) == last
        {
            let mut moved = bucket.to_vec();
            place.write(&mut moved);
            list.set(store, place, number);
            self.place.put(store, KIND_BUCKET, number, &moved);
        }
        list.pop(store);
    }

    /// All entries that live, in the order in which they came, more or less: removing moves one.
    pub(super) fn iter<'s>(
        &self,
        store: &'s Store,
    ) -> impl Iterator<Item = (K::View<'s>, T)> + use<'s, 'k, K, T> {
        let map = Self::new(self.place);
        let prefix_bytes = self.place.prefix_bytes();
        self.list()
            .iter(store)
            .filter_map(move |(place, number)| {
                let bucket = map.bucket(store, number)?;
                let is_listed_here = u64::read(bucket) == place;
                let alive = map.place;
                is_listed_here.then(|| {
                    map.entries(bucket)
                        .filter(move |(_, _, value)| alive.is_alive(value))
                        .map(move |(_, key, value)| (key, T::read(&value[prefix_bytes..])))
                })
            })
            .flatten()
    }

    /// Forgets all.
    pub(super) fn clear(&self, store: &mut Store) {
        let numbers: Vec<u64> = self.list().iter(store).map(|(_, number)| number).collect();
        for number in numbers {
            self.place.delete(store, KIND_BUCKET, number);
        }
        self.list().clear(store);
    }
}

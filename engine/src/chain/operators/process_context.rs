//! What a process function may do: read and change its key's states, set timers, and emit.

use std::cmp::Reverse;
use std::marker::PhantomData;

use super::fold::Fold;
use super::process_core::{EmittedFrame, Outbox, timer_key};
use super::process_list::List;
use super::process_map::Map;
use super::process_place::Place;
use super::process_states::{
    Declared, KIND_CHUNK, KIND_LIST, KIND_REDUCED, KIND_VALUE, ListState, MapState, ReducingState,
    StateKind, StateName, ValueState,
};
use crate::chain::SideTag;
use crate::chain::tagged::TagId;
use crate::record::{EventTime, Fixed, FrameHeader, Key, KeyHash, Record};
use crate::state::{ExpiryKind, OperatorId, Store};

/// Whose turn it is: the record's or timer's header, and the key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'k> {
    pub(super) header: FrameHeader,
    pub(super) key: &'k [u8],
    pub(super) state_id: OperatorId,
    pub(super) timer_id: OperatorId,
    pub(super) wall_id: OperatorId,
    /// State without a key, and what of it is declared.
    pub(super) shared: Option<(OperatorId, Declared)>,
    pub(super) declared: Declared,
    pub(super) wall_micros: i64,
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

    /// The time of day in microseconds since 1970, as of this turn. What depends on it is not the
    /// same when the job runs again.
    #[must_use]
    pub fn wall_micros(&self) -> i64 {
        self.scope.wall_micros
    }

    /// Emits a record, with the time and position of what is being handled.
    pub fn emit(&mut self, view: Out::View<'_>) {
        self.emit_tagged::<Out>(None, view);
    }

    /// Emits a record to a side output: what the job takes by the same tag, see `with_sides`. Behind an
    /// operator without side outputs it is dropped.
    pub fn emit_to<S: Record>(&mut self, tag: SideTag<S>, view: S::View<'_>) {
        if self.outbox.takes_sides {
            self.emit_tagged::<S>(Some(tag.id()), view);
        }
    }

    fn emit_tagged<R: Record>(&mut self, tag: Option<TagId>, view: R::View<'_>) {
        let mut frame = self.outbox.spare.pop().unwrap_or_default();
        let header = self.scope.header;
        let header = FrameHeader { ordinal: header.ordinal_of(self.emitted), ..header };
        self.emitted += 1;
        frame.encode::<R>(&header, view);
        self.outbox.frames.push_back(EmittedFrame { tag, frame });
    }

    /// The key's value, if it was set and has not expired. One look-up.
    #[must_use]
    pub fn get<T: Fixed>(&self, value: ValueState<T>) -> Option<T> {
        let place = self.place(StateKind::Value, value.name);
        let offset = place.find(self.store, KIND_VALUE, 0)?;
        Some(self.store.field(offset, place.prefix_bytes()))
    }

    /// Sets the key's value. One look-up.
    pub fn set<T: Fixed>(&mut self, value: ValueState<T>, to: T) {
        let place = self.place(StateKind::Value, value.name);
        let (offset, _) = place.write(self.store, KIND_VALUE, 0, T::BYTES);
        self.store.set(offset, place.prefix_bytes(), to);
    }

    /// Forgets the key's value.
    pub fn clear<T: Fixed>(&mut self, value: ValueState<T>) {
        self.place(StateKind::Value, value.name).delete(self.store, KIND_VALUE, 0);
    }

    /// Folds `input` into the key's value; answers what it says then. One look-up.
    pub fn reduce<F: Fold>(&mut self, state: ReducingState<F>, input: F::Input) -> F::Output {
        let place = self.place(StateKind::Reducing, state.name);
        let (offset, is_new) = place.write(self.store, KIND_REDUCED, 0, F::State::BYTES);
        let at = place.prefix_bytes();
        let before = if is_new { F::start() } else { self.store.field(offset, at) };
        let after = F::add(before, input);
        self.store.set(offset, at, after);
        F::output(after)
    }

    /// What the folded value says, if anything was folded and it has not expired.
    #[must_use]
    pub fn reduced<F: Fold>(&self, state: ReducingState<F>) -> Option<F::Output> {
        let place = self.place(StateKind::Reducing, state.name);
        let offset = place.find(self.store, KIND_REDUCED, 0)?;
        Some(F::output(self.store.field(offset, place.prefix_bytes())))
    }

    /// Forgets the folded value.
    pub fn clear_reduced<F: Fold>(&mut self, state: ReducingState<F>) {
        self.place(StateKind::Reducing, state.name).delete(self.store, KIND_REDUCED, 0);
    }

    /// Appends to the key's list. Two look-ups.
    pub fn append<T: Fixed>(&mut self, list: ListState<T>, item: T) {
        self.list(list).push(self.store, item);
    }

    /// The key's list, the oldest item first, without what has expired. A look-up for 16 items.
    pub fn iter<T: Fixed>(&self, list: ListState<T>) -> impl Iterator<Item = T> {
        self.list(list).iter(self.store).map(|(_, item)| item)
    }

    /// How many items the key's list has. With a time to live it is walked.
    #[must_use]
    pub fn list_count<T: Fixed>(&self, list: ListState<T>) -> u64 {
        let items = self.list(list);
        if list.name.ttl.is_some() {
            return items.iter(self.store).map(|_| 1).sum();
        }
        let (first, next) = items.bounds(self.store);
        next - first
    }

    /// Forgets the key's list.
    pub fn clear_list<T: Fixed>(&mut self, list: ListState<T>) {
        self.list(list).clear(self.store);
    }

    /// What the key's map holds for `at`, if it has not expired. One look-up.
    #[must_use]
    pub fn map_get<K: Key, T: Fixed>(&self, map: MapState<K, T>, at: K::View<'_>) -> Option<T> {
        self.map(map).get(self.store, at)
    }

    /// Puts a value into the key's map. A few look-ups.
    pub fn map_insert<K: Key, T: Fixed>(&mut self, map: MapState<K, T>, at: K::View<'_>, to: T) {
        self.map(map).insert(self.store, at, to);
    }

    /// Takes a value out of the key's map; says whether it was there. A few look-ups.
    pub fn map_remove<K: Key, T: Fixed>(&mut self, map: MapState<K, T>, at: K::View<'_>) -> bool {
        self.map(map).remove(self.store, at)
    }

    /// The key's map, in no order that may be relied on. A look-up an entry.
    pub fn map_iter<K: Key, T: Fixed>(
        &self,
        map: MapState<K, T>,
    ) -> impl Iterator<Item = (K::View<'_>, T)> {
        self.map(map).iter(self.store)
    }

    /// What the shared map holds for `at`: state without a key, which `on_broadcast` writes. One
    /// look-up.
    #[must_use]
    pub fn shared_get<K: Key, T: Fixed>(&self, map: MapState<K, T>, at: K::View<'_>) -> Option<T> {
        shared_map(self.scope.shared, map).get(self.store, at)
    }

    /// The shared map, in no order that may be relied on. A look-up an entry.
    pub fn shared_iter<K: Key, T: Fixed>(
        &self,
        map: MapState<K, T>,
    ) -> impl Iterator<Item = (K::View<'_>, T)> {
        shared_map(self.scope.shared, map).iter(self.store)
    }

    /// Forgets the key's map.
    pub fn clear_map<K: Key, T: Fixed>(&mut self, map: MapState<K, T>) {
        self.map(map).clear(self.store);
    }

    /// Calls `on_timer` for this key once the watermark reaches `time`: right after this record,
    /// where it has already.
    pub fn set_timer(&mut self, time: EventTime) {
        let (_, added) =
            self.store.find_or_insert(&timer_key(&self.scope, self.scope.timer_id, time), 0);
        if added {
            let hash = self.scope.header.key_hash;
            self.outbox.timers.push(Reverse((time, hash)));
        }
    }

    /// Takes a timer of this key back; says whether it was set.
    pub fn delete_timer(&mut self, time: EventTime) -> bool {
        self.store.delete(&timer_key(&self.scope, self.scope.timer_id, time))
    }

    /// Calls `on_wall_timer` for this key once the wall clock has reached `at_micros` since 1970. It is
    /// kept over a restart; one that has not come when the input ends does not fire.
    pub fn set_wall_timer(&mut self, at_micros: i64) {
        let time = EventTime(at_micros);
        let key = timer_key(&self.scope, self.scope.wall_id, time);
        if self.store.find_or_insert(&key, 0).1 {
            let hash = self.scope.header.key_hash;
            self.outbox.wall_timers.push(Reverse((time, hash)));
        }
    }

    /// Takes a timer of the wall clock back; says whether it was set.
    pub fn delete_wall_timer(&mut self, at_micros: i64) -> bool {
        let key = timer_key(&self.scope, self.scope.wall_id, EventTime(at_micros));
        self.store.delete(&key)
    }

    fn place(&self, kind: StateKind, name: StateName) -> Place<'a> {
        self.scope.declared.check(kind, name);
        let now = match name.ttl.map(|ttl| ttl.clock) {
            Some(ExpiryKind::Wall) => self.scope.wall_micros,
            // A record from before the watermark can't see what the watermark has swept.
            Some(ExpiryKind::Event) => self.scope.header.event_time.max(self.watermark).0,
            None => 0,
        };
        let FrameHeader { key_hash: hash, .. } = self.scope.header;
        Place { operator: self.scope.state_id, hash, key: self.scope.key, name, now }
    }

    fn list<T: Fixed>(&self, list: ListState<T>) -> List<'a, T> {
        List::new(self.place(StateKind::List, list.name), KIND_LIST, KIND_CHUNK)
    }

    fn map<K: Key, T: Fixed>(&self, map: MapState<K, T>) -> Map<'a, K, T> {
        Map::new(self.place(StateKind::Map, map.name))
    }
}

/// What `on_broadcast` may do: change state that every shard has a copy of.
#[derive(Debug)]
pub struct SharedContext<'a> {
    store: &'a mut Store,
    shared: (OperatorId, Declared),
    wall_micros: i64,
}

impl<'a> SharedContext<'a> {
    pub(super) fn new(
        store: &'a mut Store,
        shared: (OperatorId, Declared),
        wall_micros: i64,
    ) -> Self {
        Self { store, shared, wall_micros }
    }

    /// The time of day in microseconds since 1970, as of this turn: not the same on every shard.
    #[must_use]
    pub fn wall_micros(&self) -> i64 {
        self.wall_micros
    }

    /// What the map holds for `at`. One look-up.
    #[must_use]
    pub fn get<K: Key, T: Fixed>(&self, map: MapState<K, T>, at: K::View<'_>) -> Option<T> {
        shared_map(Some(self.shared), map).get(self.store, at)
    }

    /// Puts a value into the map. A few look-ups.
    pub fn insert<K: Key, T: Fixed>(&mut self, map: MapState<K, T>, at: K::View<'_>, to: T) {
        shared_map(Some(self.shared), map).insert(self.store, at, to);
    }

    /// Takes a value out of the map; says whether it was there. A few look-ups.
    pub fn remove<K: Key, T: Fixed>(&mut self, map: MapState<K, T>, at: K::View<'_>) -> bool {
        shared_map(Some(self.shared), map).remove(self.store, at)
    }

    /// Forgets the map.
    pub fn clear<K: Key, T: Fixed>(&mut self, map: MapState<K, T>) {
        shared_map(Some(self.shared), map).clear(self.store);
    }
}

/// A map of state without a key: that of the empty one.
///
/// Panics where it is not declared: a bug in the job.
fn shared_map<K: Key, T: Fixed>(
    shared: Option<(OperatorId, Declared)>,
    map: MapState<K, T>,
) -> Map<'static, K, T> {
    let (operator, declared) = shared.expect("a function with shared state has a broadcast stream");
    declared.check(StateKind::Map, map.name);
    assert!(map.name.ttl.is_none(), "a shared map has no time to live: shards would differ");
    Map::new(Place { operator, hash: NO_KEY, key: &[], name: map.name, now: i64::MIN })
}

/// The hash of state without a key. Its slot says nothing: every shard has a copy.
const NO_KEY: KeyHash = KeyHash(0);

/// A timer's time as a namespace; sorts as the times do.
pub(super) fn timer_namespace(time: EventTime) -> u64 {
    time.0.cast_unsigned() ^ (1 << 63)
}

/// The time of a timer's namespace.
pub(super) fn time_of(namespace: u64) -> EventTime {
    EventTime((namespace ^ (1 << 63)).cast_signed())
}

//! The store: what operators read and change.

use super::ahead::Ahead;
use super::arena::Arena;
use super::cursor::slot_entries;
use super::entry::{self, Entry, HAS_ANCESTOR, LIVE};
use super::index::Index;
use super::maintain::Maintenance;
use super::{EntryKey, ExpiryClock, ExpiryKind, LogOffset, OperatorId, StoreSettings};
use crate::io::mapping::Region;
use crate::record::{Fixed, KeyHash, Slot};

/// How many records are worth touching at once: more than the memory system has in flight.
pub const TOUCHED_MAX: usize = 32;

/// A table up to here and its entries (up to 16,384 of 48 bytes) fit a core's level-2 cache of 1 MiB,
/// nearly.
const CACHED_TABLE_BYTES_MAX: u64 = 256 << 10;

/// A shard's state: entries of bytes by (operator, slot, key, namespace).
#[derive(Debug)]
pub struct Store {
    pub(super) index: Index,
    pub(super) arena: Arena,
    ahead: Ahead,
    pub(super) maintenance: Maintenance,
    pub(super) budget_bytes: Option<u64>,
    /// Regions that are needed no more, until somebody drops them elsewhere.
    pub(super) retired: Vec<Region>,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// An empty store with the usual settings. It takes memory as entries come.
    #[must_use]
    pub fn new() -> Self {
        Self::with_settings(&StoreSettings::default())
    }

    /// An empty store.
    #[must_use]
    pub fn with_settings(settings: &StoreSettings) -> Self {
        Self::of_parts(settings, Index::new(), Arena::new(settings))
    }

    pub(super) fn of_parts(settings: &StoreSettings, index: Index, arena: Arena) -> Self {
        Self {
            index,
            arena,
            ahead: Ahead::new(),
            maintenance: Maintenance::default(),
            budget_bytes: settings.budget_bytes,
            retired: Vec::new(),
        }
    }

    /// The entry of `key`.
    #[inline(always)]
    #[must_use]
    pub fn find(&self, key: &EntryKey<'_>) -> Option<LogOffset> {
        let hash = key.index_hash();
        let hint = self.ahead.hint(hash);
        if hint != LogOffset::NONE && self.is_live_at(key, hint) {
            return Some(hint);
        }
        let arena = &self.arena;
        self.index.find(hash, |offset| arena.entry(offset).is_of(key))
    }

    /// The entry of `key`, looked for at `hint` first. A hint is checked, not trusted: it may
    /// be [`LogOffset::NONE`], or of an entry that is gone.
    #[inline(always)]
    #[must_use]
    pub fn find_hinted(&self, key: &EntryKey<'_>, hint: LogOffset) -> Option<LogOffset> {
        if self.is_live_at(key, hint) { Some(hint) } else { self.find(key) }
    }

    #[inline(always)]
    fn is_live_at(&self, key: &EntryKey<'_>, hint: LogOffset) -> bool {
        let room = self.arena.room_at(hint);
        room.is_some_and(|entry| entry.is_of(key)) && !self.arena.is_dead(hint)
    }

    /// Like [`Store::find_hinted`], with the value.
    #[inline(always)]
    #[must_use]
    pub fn read_hinted(&self, key: &EntryKey<'_>, hint: LogOffset) -> Option<(LogOffset, &[u8])> {
        let offset = self.find_hinted(key, hint)?;
        Some((offset, self.value(offset)))
    }

    /// Looks up the entries of `hashes` (namespace 0), all at once and ahead of the records that need
    /// them, and brings them into the cache: at most [`TOUCHED_MAX`]. Each record then says that it is
    /// its turn ([`Store::turn_to`]). It is a hint: leaving it out changes no answer.
    ///
    /// One look-up waits for the index, then for the entry, and the processor has no room to start
    /// the next record meanwhile; here the waits of [`TOUCHED_MAX`] records overlap.
    pub fn touch(&mut self, operator: OperatorId, hashes: &[KeyHash]) {
        let mixed = |hash: &KeyHash| EntryKey::mixed(*hash, operator, 0);
        let (index, arena) = (&self.index, &self.arena);
        let find = |hash| index.candidate(hash).unwrap_or_default();
        // What fits the cache is there, and needs no loads of its own.
        if index.is_within(CACHED_TABLE_BYTES_MAX) {
            self.ahead.keep(hashes.iter().map(mixed), find);
            return;
        }
        let words = hashes.iter().map(|hash| index.home(mixed(hash)));
        std::hint::black_box(words.fold(0, |sum, word| sum ^ word));
        // First all offsets, from lines that are here now, and then nothing but loads: the shorter
        // the loop, the more of them are under way.
        let offsets = self.ahead.keep(hashes.iter().map(mixed), find);
        let known = offsets.iter().filter(|offset| **offset != LogOffset::NONE);
        let touched =
            known.map(|offset| u64::from(arena.entry(*offset).ends()) ^ arena.dead_word(*offset));
        std::hint::black_box(touched.fold(0, |sum, touched| sum ^ touched));
    }

    /// The record `index` of those that were touched last has its turn.
    #[inline(always)]
    pub fn turn_to(&mut self, index: usize) {
        self.ahead.turn_to(index);
    }

    /// The value of what nearly always is the entry of `hash` (namespace 0), for touching what it
    /// leads to. The key is not compared, so it may be another key's: nothing may depend on it.
    #[inline(always)]
    #[must_use]
    pub fn guess(&self, operator: OperatorId, hash: KeyHash) -> Option<&[u8]> {
        let offset = self.index.candidate(EntryKey::mixed(hash, operator, 0))?;
        Some(self.value(offset))
    }

    /// Brings the header of the entry at `offset` and the byte `at` of its value, roughly, into the
    /// cache. A hint, as [`Store::touch`] is; so `offset` may be stale.
    #[inline(always)]
    pub fn touch_at(&self, offset: LogOffset, at: usize) {
        if let Some(entry) = self.arena.room_at(offset) {
            std::hint::black_box(entry.0[0]);
            std::hint::black_box(entry.0.get(entry::HEADER_BYTES + 8 + at).copied());
        }
    }

    /// All entries of an operator with this hash and namespace: several only where two keys have
    /// one hash.
    pub fn candidates(
        &self,
        operator: OperatorId,
        hash: KeyHash,
        namespace: u64,
    ) -> impl Iterator<Item = LogOffset> {
        self.index
            .matches(EntryKey::mixed(hash, operator, namespace))
            .filter(move |&offset| self.is_at(operator, hash, namespace, offset))
    }

    /// Adds the entry of `key`, which has none, with a value of `value_bytes` zeroes.
    pub fn insert(&mut self, key: &EntryKey<'_>, value_bytes: usize) -> LogOffset {
        self.insert_flagged(key, value_bytes, LIVE)
    }

    /// Adds the entry of `key`, which has none, that is void from a time on. That time stands in
    /// the first 8 of its `value_bytes`, an i64 of microseconds; [`Store::set`] it right away.
    ///
    /// Setting a later time keeps the entry longer; an earlier one may go unnoticed until the first.
    /// Such an entry is deleted by [`Store::maintain`] some time later. Who reads it asks
    /// [`Store::expiry`] before.
    pub fn insert_expiring(
        &mut self,
        key: &EntryKey<'_>,
        value_bytes: usize,
        kind: ExpiryKind,
    ) -> LogOffset {
        assert!(value_bytes >= i64::BYTES, "the value has room for the time");
        let offset = self.insert_flagged(key, value_bytes, LIVE | kind.flag());
        self.arena.note_expires(offset);
        self.maintenance.note_expiring();
        // Until it is set, it does not expire.
        self.set(offset, 0, i64::MAX);
        offset
    }

    fn insert_flagged(&mut self, key: &EntryKey<'_>, value_bytes: usize, state: u8) -> LogOffset {
        debug_assert!(self.find(key).is_none(), "the entry is there already");
        let room = self.arena.take(entry::entry_bytes(key.key.len(), value_bytes));
        let bytes = &mut self.arena.entry_mut(room.offset)[..room.room_bytes];
        entry::write(bytes, key, value_bytes, state, room.fresh);
        let arena = &self.arena;
        self.index.insert(key.index_hash(), room.offset, |offset| arena.entry(offset).index_hash());
        room.offset
    }

    /// Which clock the entry at `offset` expires by, and when, if it does.
    #[inline]
    #[must_use]
    pub fn expiry(&self, offset: LogOffset) -> Option<(ExpiryKind, i64)> {
        let (flags, at) = self.live(offset).expires_at()?;
        Some((ExpiryKind::of_flags(flags)?, at))
    }

    /// Whether the entry at `offset` is void by now.
    #[inline]
    #[must_use]
    pub fn is_expired(&self, offset: LogOffset, now: ExpiryClock) -> bool {
        self.expiry(offset).is_some_and(|(kind, at)| now.has_passed(kind, at))
    }

    /// The entry of `key`, added where there is none; and whether it was added.
    #[inline(always)]
    pub fn find_or_insert(&mut self, key: &EntryKey<'_>, value_bytes: usize) -> (LogOffset, bool) {
        match self.find(key) {
            Some(offset) => (offset, false),
            None => (self.insert(key, value_bytes), true),
        }
    }

    /// Changes the value of `key`'s entry, which is one `T`, to what `change` makes of it, or of
    /// nothing where there is no entry. Answers with where it is and the value as it is now.
    ///
    /// It is [`Store::find_or_insert`], [`Store::writable`] and [`Store::update`] in one, which looks
    /// at the entry's lengths once: 45 instructions less where the entry is there and not frozen.
    #[inline(always)]
    pub fn upsert<T: Fixed>(
        &mut self,
        key: &EntryKey<'_>,
        change: impl FnOnce(Option<T>) -> T,
    ) -> (LogOffset, T) {
        let hint = self.ahead.hint(key.index_hash());
        if let Some(entry) = self.arena.tail_mut(hint)
            && Entry(entry).is_of(key)
        {
            let field = entry::field_mut::<T>(entry, key);
            let changed = change(Some(T::read(field)));
            changed.write(field);
            return (hint, changed);
        }
        let (offset, added) = self.find_thawed_or_insert(key, T::BYTES);
        let field = entry::field_mut::<T>(self.arena.entry_mut(offset), key);
        let changed = change(if added { None } else { Some(T::read(field)) });
        changed.write(field);
        (offset, changed)
    }

    #[inline(never)]
    fn find_thawed_or_insert(
        &mut self,
        key: &EntryKey<'_>,
        value_bytes: usize,
    ) -> (LogOffset, bool) {
        match self.find(key) {
            Some(offset) => (self.writable(offset), false),
            None => (self.insert(key, value_bytes), true),
        }
    }

    /// Makes `value` the value of `key`'s entry, whether or not there is one. An entry of another
    /// length is replaced, and its old offset is void. An entry that expires goes on expiring: its
    /// new value starts with a time as well.
    pub fn put(&mut self, key: &EntryKey<'_>, value: &[u8]) -> LogOffset {
        let offset = match self.find(key) {
            Some(offset) if self.value(offset).len() == value.len() => self.writable(offset),
            Some(offset) => self.replace(key, offset, value.len()),
            None => self.insert(key, value.len()),
        };
        entry::value_mut(self.arena.entry_mut(offset)).copy_from_slice(value);
        offset
    }

    /// The value of the entry at `offset`, in place.
    #[inline(always)]
    #[must_use]
    pub fn value(&self, offset: LogOffset) -> &[u8] {
        self.live(offset).value()
    }

    /// One field of the entry at `offset`, `at` bytes into its value.
    #[inline(always)]
    #[must_use]
    pub fn field<T: Fixed>(&self, offset: LogOffset, at: usize) -> T {
        T::read(&self.value(offset)[at..][..T::BYTES])
    }

    /// Where the entry may be changed: a frozen one is copied to the tail. Go on with the answer:
    /// the offset that was passed may be void.
    #[inline(always)]
    #[must_use]
    pub fn writable(&mut self, offset: LogOffset) -> LogOffset {
        if self.arena.is_frozen(offset) { self.thaw(offset) } else { offset }
    }

    #[inline(never)]
    pub(super) fn thaw(&mut self, offset: LogOffset) -> LogOffset {
        let hash = self.live(offset).index_hash();
        let to = self.arena.copy_to_tail(offset);
        self.index.repoint(hash, offset, to);
        to
    }

    /// Changes one field of the entry at `offset`, which [`Store::writable`] or an insertion gave.
    #[inline(always)]
    pub fn set<T: Fixed>(&mut self, offset: LogOffset, at: usize, field: T) {
        debug_assert!(self.live(offset).is_live());
        let value = entry::value_mut(self.arena.entry_mut(offset));
        field.write(&mut value[at..][..T::BYTES]);
    }

    /// Changes one field to what `change` makes of it; answers with the field as it is now.
    #[inline(always)]
    pub fn update<T: Fixed>(
        &mut self,
        offset: LogOffset,
        at: usize,
        change: impl FnOnce(T) -> T,
    ) -> T {
        debug_assert!(self.live(offset).is_live());
        let value = entry::value_mut(self.arena.entry_mut(offset));
        let field = &mut value[at..][..T::BYTES];
        let changed = change(T::read(field));
        changed.write(field);
        changed
    }

    /// Deletes the entry of `key`; says whether there was one.
    pub fn delete(&mut self, key: &EntryKey<'_>) -> bool {
        let Some(offset) = self.find(key) else {
            return false;
        };
        self.delete_at(offset);
        true
    }

    /// Deletes the entry at `offset`.
    pub fn delete_at(&mut self, offset: LogOffset) {
        let entry = self.live(offset);
        let has_ancestor = entry.state() & HAS_ANCESTOR != 0;
        let hash = entry.index_hash();
        let arena = &self.arena;
        self.index.remove(hash, offset, |offset| arena.entry(offset).index_hash());
        if has_ancestor || self.arena.is_frozen(offset) {
            self.arena.bury_deep(offset);
        } else {
            self.arena.free(offset);
        }
    }

    /// The key bytes of the entry at `offset`.
    #[inline(always)]
    #[must_use]
    pub fn key(&self, offset: LogOffset) -> &[u8] {
        self.live(offset).key()
    }

    /// The key's hash, as the entry keeps it.
    #[inline(always)]
    #[must_use]
    pub fn hash(&self, offset: LogOffset) -> KeyHash {
        self.live(offset).hash()
    }

    /// The namespace of the entry at `offset`.
    #[inline(always)]
    #[must_use]
    pub fn namespace(&self, offset: LogOffset) -> u64 {
        self.live(offset).namespace()
    }

    /// All that the entry at `offset` is known by.
    #[must_use]
    pub fn entry_key(&self, offset: LogOffset) -> EntryKey<'_> {
        self.live(offset).entry_key()
    }

    /// The entries of one operator in one slot, in no order. Walks the whole store: it is for
    /// handing a slot over and for exports, not for a record's path.
    pub fn iter_slot(&self, operator: OperatorId, slot: Slot) -> impl Iterator<Item = LogOffset> {
        slot_entries(self, operator)
            .filter_map(move |(offset, entry)| (entry.hash().slot() == slot).then_some(offset))
    }

    /// The entries of one operator, in no order: what its indexes are rebuilt from.
    pub fn iter_operator(&self, operator: OperatorId) -> impl Iterator<Item = LogOffset> {
        slot_entries(self, operator).map(|(offset, _)| offset)
    }

    /// How many entries there are.
    #[must_use]
    pub fn entry_count(&self) -> u64 {
        self.index.entry_count()
    }

    /// How many bytes the live entries and their index take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.arena.live_bytes() + self.index.table_bytes()
    }

    /// How many bytes were written to the log from its oldest segment on, dead ones too.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.arena.used_bytes()
    }

    /// How many bytes of memory the log and the index take, beside files.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.arena.resident_bytes() + self.index.table_bytes()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (LogOffset, Entry<'_>)> {
        self.arena.iter()
    }

    /// Whether the entry at `offset` is still one of this operator, hash and namespace. `offset`
    /// must have been an entry's once; its segment may be gone.
    #[must_use]
    pub fn is_at(
        &self,
        operator: OperatorId,
        hash: KeyHash,
        namespace: u64,
        offset: LogOffset,
    ) -> bool {
        self.living(operator, offset)
            .is_some_and(|entry| entry.hash() == hash && entry.namespace() == namespace)
    }

    /// The entry at `offset`, if one of `operator` lives there still.
    pub(super) fn living(&self, operator: OperatorId, offset: LogOffset) -> Option<Entry<'_>> {
        let entry = self.arena.room_at(offset)?;
        let lives = entry.is_live() && entry.operator() == operator && !self.arena.is_dead(offset);
        lives.then_some(entry)
    }

    #[inline(always)]
    pub(super) fn live(&self, offset: LogOffset) -> Entry<'_> {
        let entry = self.arena.entry(offset);
        debug_assert!(entry.is_live(), "the entry at {offset:?} was deleted");
        entry
    }

    fn replace(&mut self, key: &EntryKey<'_>, old: LogOffset, value_bytes: usize) -> LogOffset {
        let is_frozen = self.arena.is_frozen(old);
        let ancestor = if is_frozen { HAS_ANCESTOR } else { 0 };
        let state = self.live(old).state() | ancestor;
        let expires = state & entry::EXPIRES != 0;
        assert!(!expires || value_bytes >= i64::BYTES, "the value has room for the time");
        let room = self.arena.take(entry::entry_bytes(key.key.len(), value_bytes));
        let bytes = &mut self.arena.entry_mut(room.offset)[..room.room_bytes];
        entry::write(bytes, key, value_bytes, state, room.fresh);
        if expires {
            self.arena.note_expires(room.offset);
        }
        self.index.repoint(key.index_hash(), old, room.offset);
        if is_frozen {
            self.arena.mark_dead(old);
        } else {
            self.arena.free(old);
        }
        room.offset
    }
}

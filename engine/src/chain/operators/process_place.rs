//! Where one state of one key lies, and whether it has expired.
//!
//! Invariants
//! 1. What has expired reads as absent, and is written as if it had been.
//! 2. The time of an entry is never before the time of anything in it, so the store may sweep an
//!    expired entry whole. Writing never brings a time forward.
//! 3. By event time, now is the time of the record or timer. It is past the watermark for a record,
//!    so an entry that was swept by the watermark would have been absent anyway.

use super::process_states::{StateName, namespace};
use crate::record::{Fixed, KeyHash};
use crate::state::{EntryKey, ExpiryKind, LogOffset, OperatorId, Store};

/// One state of one key, at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'k> {
    pub(super) operator: OperatorId,
    pub(super) hash: KeyHash,
    pub(super) key: &'k [u8],
    pub(super) name: StateName,
    /// By the state's clock, where it has one.
    pub(super) now: i64,
}

impl<'k> Place<'k> {
    /// How many bytes stand before a value: its time, where it has one.
    pub(super) fn prefix_bytes(&self) -> usize {
        if self.name.ttl.is_some() { i64::BYTES } else { 0 }
    }

    pub(super) fn entry(&self, kind: u64, chunk: u64) -> EntryKey<'k> {
        EntryKey {
            operator: self.operator,
            hash: self.hash,
            key: self.key,
            namespace: namespace(kind, self.name.field, chunk),
        }
    }

    /// When what is written now expires.
    pub(super) fn expires_at(&self) -> i64 {
        self.name.ttl.map_or(i64::MAX, |ttl| self.now.saturating_add(ttl.span.0))
    }

    /// Whether a value with its prefix is there still.
    pub(super) fn is_alive(&self, value: &[u8]) -> bool {
        self.name.ttl.is_none() || i64::read(value) > self.now
    }

    /// The entry, if it has not expired.
    pub(super) fn find(&self, store: &Store, kind: u64, chunk: u64) -> Option<LogOffset> {
        let offset = store.find(&self.entry(kind, chunk))?;
        self.is_alive(store.value(offset)).then_some(offset)
    }

    /// The entry for writing, with room for `value_bytes` behind the prefix, and whether it is as
    /// new: then its bytes are void. Its time is renewed.
    pub(super) fn write(
        &self,
        store: &mut Store,
        kind: u64,
        chunk: u64,
        value_bytes: usize,
    ) -> (LogOffset, bool) {
        let key = self.entry(kind, chunk);
        let Some(ttl) = self.name.ttl else {
            let (offset, added) = store.find_or_insert(&key, value_bytes);
            return (store.writable(offset), added);
        };
        match store.find(&key) {
            Some(offset) => {
                let is_new = !self.is_alive(store.value(offset));
                (self.renew(store, offset), is_new)
            }
            None => (self.insert(store, &key, value_bytes, ttl.clock), true),
        }
    }

    fn insert(
        &self,
        store: &mut Store,
        key: &EntryKey<'_>,
        value_bytes: usize,
        clock: ExpiryKind,
    ) -> LogOffset {
        let offset = store.insert_expiring(key, i64::BYTES + value_bytes, clock);
        store.set(offset, 0, self.expires_at());
        offset
    }

    /// Makes `value` the entry's value behind the prefix, whatever its length was; renews it.
    pub(super) fn put(&self, store: &mut Store, kind: u64, chunk: u64, value: &[u8]) {
        let key = self.entry(kind, chunk);
        let Some(ttl) = self.name.ttl else {
            store.put(&key, value);
            return;
        };
        let mut expires_at = self.expires_at();
        match store.find(&key) {
            Some(offset) => expires_at = expires_at.max(store.field(offset, 0)),
            None => {
                self.insert(store, &key, value.len(), ttl.clock);
            }
        }
        let bytes = [&expires_at.to_le_bytes(), value].concat();
        store.put(&key, &bytes);
    }

    /// Moves the entry's time on, where it has one; answers with where it may be written.
    pub(super) fn renew(&self, store: &mut Store, offset: LogOffset) -> LogOffset {
        let offset = store.writable(offset);
        if self.name.ttl.is_some() {
            store.update(offset, 0, |at: i64| at.max(self.expires_at()));
        }
        offset
    }

    pub(super) fn delete(&self, store: &mut Store, kind: u64, chunk: u64) {
        store.delete(&self.entry(kind, chunk));
    }
}

//! Where closures put what they make: the out-parameters behind `map`, `key_by` and `flat_map`.
//!
//! A closure that returns a view borrowed from its argument can't be named in Rust without an
//! annotation by the user (its return type depends on a lifetime that only the argument has). An
//! out-parameter carries that lifetime in an argument, where inference finds it. The job macro
//! writes it, so that people read and write `|c| c.user`; by hand it is `|c, key| key.of(c.user)`.

use crate::record::{Emit, Emitted, Item, Key, KeyView, Record};

use super::Flow;

/// Takes the one item that a `map` or `filter_map` makes.
pub struct Out<'o, 'a, R: Record>(&'o mut Emitted<'a, R>);

impl<'o, 'a, R: Record> Out<'o, 'a, R> {
    #[inline(always)]
    pub(super) fn new(slot: &'o mut Emitted<'a, R>) -> Self {
        Self(slot)
    }

    /// Emits a view or an owned record.
    #[inline(always)]
    pub fn emit<E: Emit<'a, Record = R>>(self, item: E) {
        *self.0 = item.into_emitted();
    }

    /// Emits what is there, or nothing.
    #[inline(always)]
    pub fn emit_some<E: Emit<'a, Record = R>>(self, item: Option<E>) {
        if let Some(item) = item {
            *self.0 = item.into_emitted();
        }
    }
}

/// Takes the items that a `flat_map` makes, and stops it when the terminal is full.
pub struct OutEach<'o, 'a, R: Record>(&'o mut dyn FnMut(Emitted<'a, R>) -> Flow);

impl<'o, 'a, R: Record> OutEach<'o, 'a, R> {
    #[inline(always)]
    pub(super) fn new(each: &'o mut dyn FnMut(Emitted<'a, R>) -> Flow) -> Self {
        Self(each)
    }

    /// Emits every item. When the terminal refuses one, the iterator is dropped there; the
    /// closure runs again later, and what was accepted is skipped: it must give the same items.
    #[inline(always)]
    pub fn emit_all<E: Emit<'a, Record = R>>(self, items: impl IntoIterator<Item = E>) {
        for item in items {
            if (self.0)(item.into_emitted()).is_blocked() {
                return;
            }
        }
    }
}

/// Takes the key that a `key_by` reads.
pub struct KeyOut<'o, 'a, K: Key>(&'o mut Option<K::View<'a>>);

impl<'a, K: Key> KeyOut<'_, 'a, K> {
    /// The record's key.
    #[inline(always)]
    pub fn of<V: KeyView<'a, Key = K>>(self, key: V)
    where
        K: Key<View<'a> = V>,
    {
        *self.0 = Some(key);
    }
}

/// Reads a key off an item. Implemented by closures; it must be pure, as it runs on both sides
/// of the ring, so that the key need not be sent beside the record.
pub trait KeyFn<I: Item, K: Key>: Clone + Send + Sync + 'static {
    /// The item's key.
    fn key<'a>(&self, view: I::View<'a>) -> K::View<'a>;
}

impl<I: Item, K: Key, F> KeyFn<I, K> for F
where
    F: for<'o, 'a> Fn(I::View<'a>, KeyOut<'o, 'a, K>) + Clone + Send + Sync + 'static,
{
    #[inline(always)]
    fn key<'a>(&self, view: I::View<'a>) -> K::View<'a> {
        let mut key = None;
        self(view, KeyOut(&mut key));
        key.expect("a key closure calls `of`: the macro writes it so")
    }
}

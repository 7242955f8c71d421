//! The rows of a changelog: a key's columns, then a value's.
//!
//! Takes a change; hands on its fields to a row writer, each under its column's name. A tuple has
//! a column for each of its parts: `key_1,key_2,value`.

use crate::record::{ChangeView, Decimal, EventTime, Field, Key, RowKind, RowWriter};

/// A key that can be written as columns: text, numbers, times, and tuples of them.
pub trait RowKey: Key {
    /// How many columns it has.
    const COLUMN_COUNT: usize;
    /// Writes one field for each of `names`, of which there are `COLUMN_COUNT`.
    fn write_columns<W: RowWriter>(view: Self::View<'_>, names: &[&'static str], writer: &mut W);
}

/// A value of a changelog that can be written as columns: numbers, times, options and tuples.
pub trait RowValue: Copy + 'static {
    /// How many columns it has.
    const COLUMN_COUNT: usize;
    /// Writes one field for each of `names`, of which there are `COLUMN_COUNT`.
    fn write_columns<W: RowWriter>(self, names: &[&'static str], writer: &mut W);
}

/// Which columns the rows of a changelog have.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ChangeColumns {
    pub(super) has_kind: bool,
    key_names: Option<&'static [&'static str]>,
    value_names: Option<&'static [&'static str]>,
}

const KIND_NAME: &str = "kind";
const KEY_NAME: [&str; 1] = ["key"];
const VALUE_NAME: [&str; 1] = ["value"];
const KEY_NAMES: [&str; 8] =
    ["key_1", "key_2", "key_3", "key_4", "key_5", "key_6", "key_7", "key_8"];
const VALUE_NAMES: [&str; 8] =
    ["value_1", "value_2", "value_3", "value_4", "value_5", "value_6", "value_7", "value_8"];

impl ChangeColumns {
    pub(super) fn name(&mut self, key: &'static [&'static str], value: &'static [&'static str]) {
        self.key_names = Some(key);
        self.value_names = Some(value);
    }

    pub(super) fn names<K: RowKey, V: RowValue>(&self) -> Vec<&'static str> {
        let kind = self.has_kind.then_some(KIND_NAME);
        let (key, value) = (self.key::<K>(), self.value::<V>());
        kind.iter().chain(key).chain(value).copied().collect()
    }

    #[inline]
    pub(super) fn write<K: RowKey, V: RowValue, W: RowWriter>(
        &self,
        change: ChangeView<K::View<'_>, V>,
        writer: &mut W,
    ) {
        if self.has_kind {
            writer.text(KIND_NAME, kind_text(change.kind));
        }
        K::write_columns(change.key, self.key::<K>(), writer);
        change.value.write_columns(self.value::<V>(), writer);
    }

    #[inline]
    fn key<K: RowKey>(&self) -> &'static [&'static str] {
        pick(self.key_names, &KEY_NAME, &KEY_NAMES, K::COLUMN_COUNT)
    }

    #[inline]
    fn value<V: RowValue>(&self) -> &'static [&'static str] {
        pick(self.value_names, &VALUE_NAME, &VALUE_NAMES, V::COLUMN_COUNT)
    }
}

#[inline]
fn pick(
    named: Option<&'static [&'static str]>,
    one: &'static [&'static str],
    many: &'static [&'static str],
    count: usize,
) -> &'static [&'static str] {
    match (named, count) {
        (Some(names), _) => {
            assert_eq!(names.len(), count, "a change has a name for each column");
            names
        }
        (None, 1) => one,
        (None, _) => &many[..count],
    }
}

fn kind_text(kind: RowKind) -> &'static str {
    match kind {
        RowKind::Insert => "+I",
        RowKind::UpdateBefore => "-U",
        RowKind::UpdateAfter => "+U",
        RowKind::Delete => "-D",
    }
}

impl RowKey for String {
    const COLUMN_COUNT: usize = 1;
    #[inline]
    fn write_columns<W: RowWriter>(view: &str, names: &[&'static str], writer: &mut W) {
        view.write(names[0], writer);
    }
}

macro_rules! key_column {
    ($($key:ty),*) => {$(
        impl RowKey for $key {
            const COLUMN_COUNT: usize = 1;
            #[inline]
            fn write_columns<W: RowWriter>(view: $key, names: &[&'static str], writer: &mut W) {
                Field::write(view, names[0], writer);
            }
        }
    )*};
}

macro_rules! value_column {
    ($($value:ty),*) => {$(
        impl RowValue for $value {
            const COLUMN_COUNT: usize = 1;
            #[inline]
            fn write_columns<W: RowWriter>(self, names: &[&'static str], writer: &mut W) {
                Field::write(self, names[0], writer);
            }
        }

        impl RowValue for Option<$value> {
            const COLUMN_COUNT: usize = 1;
            #[inline]
            fn write_columns<W: RowWriter>(self, names: &[&'static str], writer: &mut W) {
                Field::write(self, names[0], writer);
            }
        }
    )*};
}

key_column!(bool, u8, u16, u32, u64, i8, i16, i32, i64, EventTime);
value_column!(bool, u8, u16, u32, u64, i8, i16, i32, i64, f32, f64, EventTime, Decimal);

macro_rules! columns_of_tuple {
    ($($name:ident: $part:ident),*) => {
        impl<$($name: RowKey),*> RowKey for ($($name,)*) {
            const COLUMN_COUNT: usize = 0 $(+ $name::COLUMN_COUNT)*;
            #[inline]
            fn write_columns<W: RowWriter>(
                view: Self::View<'_>,
                mut names: &[&'static str],
                writer: &mut W,
            ) {
                let ($($part,)*) = view;
                $(
                    let (mine, rest) = names.split_at($name::COLUMN_COUNT);
                    $name::write_columns($part, mine, writer);
                    names = rest;
                )*
                debug_assert!(names.is_empty());
            }
        }

        impl<$($name: RowValue),*> RowValue for ($($name,)*) {
            const COLUMN_COUNT: usize = 0 $(+ $name::COLUMN_COUNT)*;
            #[inline]
            fn write_columns<W: RowWriter>(self, mut names: &[&'static str], writer: &mut W) {
                let ($($part,)*) = self;
                $(
                    let (mine, rest) = names.split_at($name::COLUMN_COUNT);
                    $part.write_columns(mine, writer);
                    names = rest;
                )*
                debug_assert!(names.is_empty());
            }
        }
    };
}

columns_of_tuple!(A: a);
columns_of_tuple!(A: a, B: b);
columns_of_tuple!(A: a, B: b, C: c);
columns_of_tuple!(A: a, B: b, C: c, D: d);

/// A changelog of keys alone, as `distinct` makes.
impl RowValue for () {
    const COLUMN_COUNT: usize = 0;
    fn write_columns<W: RowWriter>(self, _: &[&'static str], _: &mut W) {}
}

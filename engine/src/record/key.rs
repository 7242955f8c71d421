//! Keys: what a stream is partitioned and grouped by.
//!
//! A key has one canonical byte form, from which it is hashed and by which the state store knows
//! it: text is its UTF-8 bytes, a number its little-endian bytes, a tuple its parts one after the
//! other, each text part with its length before it. Keys are read in place, never cloned.

use super::{EventTime, Fixed, KeyHash, Layout};

/// An owned key type: `String`, an integer, `bool`, [`EventTime`], or a tuple of up to four.
pub trait Key: Send + Sync + 'static {
    /// The key as closures see it: `&str` for `String`, the value itself for numbers.
    type View<'a>: KeyView<'a, Key = Self>;
    /// Calls `then` with the canonical bytes.
    fn with_bytes<T>(view: Self::View<'_>, then: impl FnOnce(&[u8]) -> T) -> T;
    /// Appends the canonical bytes as a part of a longer key.
    fn write_part(view: Self::View<'_>, out: &mut KeyBytes);
    /// Reads a key back from its canonical bytes. Panics where they are not: a bug, as they
    /// come from our own state.
    fn from_bytes(bytes: &[u8]) -> Self::View<'_>;
    /// Reads one part off the front of `bytes`.
    fn read_part<'a>(bytes: &mut &'a [u8]) -> Self::View<'a>;
    /// What the canonical bytes are.
    fn layout() -> Layout;
    /// The stable hash of the canonical bytes.
    #[inline(always)]
    fn hash(view: Self::View<'_>) -> KeyHash {
        Self::with_bytes(view, KeyHash::of)
    }
}

/// The borrowed form of a key.
pub trait KeyView<'a>: Copy {
    /// The owned key type.
    type Key: Key<View<'a> = Self>;
    /// The owned key.
    fn to_key(self) -> Self::Key;
}

/// Collects the parts of a tuple key: on the stack while they are short.
#[derive(Debug)]
pub struct KeyBytes {
    short: [u8; KEY_BYTES_SHORT],
    short_len: usize,
    long: Vec<u8>,
}

const KEY_BYTES_SHORT: usize = 96;

impl KeyBytes {
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self { short: [0; KEY_BYTES_SHORT], short_len: 0, long: Vec::new() }
    }

    /// Appends `bytes`.
    #[inline(always)]
    pub fn extend(&mut self, bytes: &[u8]) {
        let end = self.short_len + bytes.len();
        if self.long.is_empty() && end <= KEY_BYTES_SHORT {
            self.short[self.short_len..end].copy_from_slice(bytes);
            self.short_len = end;
        } else {
            self.extend_long(bytes);
        }
    }

    #[cold]
    fn extend_long(&mut self, bytes: &[u8]) {
        if self.long.is_empty() {
            self.long.extend_from_slice(&self.short[..self.short_len]);
        }
        self.long.extend_from_slice(bytes);
    }

    #[inline(always)]
    pub(crate) fn as_slice(&self) -> &[u8] {
        if self.long.is_empty() { &self.short[..self.short_len] } else { &self.long }
    }
}

fn split_part<'a>(bytes: &mut &'a [u8], part_bytes: usize) -> &'a [u8] {
    let (part, rest) =
        bytes.split_at_checked(part_bytes).expect("a key's bytes hold all of its parts");
    *bytes = rest;
    part
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("a text key's bytes were UTF-8 when they were written")
}

impl Key for String {
    type View<'a> = &'a str;
    #[inline(always)]
    fn with_bytes<T>(view: &str, then: impl FnOnce(&[u8]) -> T) -> T {
        then(view.as_bytes())
    }
    #[inline(always)]
    fn write_part(view: &str, out: &mut KeyBytes) {
        let text_bytes = u32::try_from(view.len()).expect("a key is shorter than 4 GiB");
        out.extend(&text_bytes.to_le_bytes());
        out.extend(view.as_bytes());
    }
    fn from_bytes(bytes: &[u8]) -> &str {
        text(bytes)
    }
    fn read_part<'a>(bytes: &mut &'a [u8]) -> &'a str {
        let text_bytes = u32::read(split_part(bytes, 4)) as usize;
        text(split_part(bytes, text_bytes))
    }
    fn layout() -> Layout {
        Layout::Text
    }
}

impl<'a> KeyView<'a> for &'a str {
    type Key = String;
    fn to_key(self) -> String {
        self.to_owned()
    }
}

macro_rules! fixed_key {
    ($($key:ty),*) => {$(
        impl Key for $key {
            type View<'a> = $key;
            #[inline(always)]
            fn with_bytes<T>(view: $key, then: impl FnOnce(&[u8]) -> T) -> T {
                let mut bytes = [0; <$key as Fixed>::BYTES];
                view.write(&mut bytes);
                then(&bytes)
            }
            #[inline(always)]
            fn write_part(view: $key, out: &mut KeyBytes) {
                Self::with_bytes(view, |bytes| out.extend(bytes));
            }
            fn from_bytes(bytes: &[u8]) -> $key {
                Fixed::read(bytes)
            }
            fn read_part(bytes: &mut &[u8]) -> $key {
                Fixed::read(split_part(bytes, <$key as Fixed>::BYTES))
            }
            fn layout() -> Layout {
                <$key as Fixed>::layout()
            }
        }

        impl<'a> KeyView<'a> for $key {
            type Key = $key;
            fn to_key(self) -> $key {
                self
            }
        }
    )*};
}

fixed_key!(bool, u8, u16, u32, u64, i8, i16, i32, i64, EventTime);

macro_rules! tuple_key {
    ($($name:ident: $view:ident),*) => {
        impl<$($name: Key),*> Key for ($($name,)*) {
            type View<'a> = ($($name::View<'a>,)*);
            #[inline(always)]
            fn with_bytes<T>(view: Self::View<'_>, then: impl FnOnce(&[u8]) -> T) -> T {
                let mut bytes = KeyBytes::new();
                Self::write_part(view, &mut bytes);
                then(bytes.as_slice())
            }
            #[inline(always)]
            fn write_part(view: Self::View<'_>, out: &mut KeyBytes) {
                let ($($view,)*) = view;
                $($name::write_part($view, out);)*
            }
            fn from_bytes(mut bytes: &[u8]) -> Self::View<'_> {
                Self::read_part(&mut bytes)
            }
            fn read_part<'a>(bytes: &mut &'a [u8]) -> Self::View<'a> {
                ($($name::read_part(bytes),)*)
            }
            fn layout() -> Layout {
                Layout::Tuple(vec![$($name::layout()),*])
            }
        }

        impl<'a, $($name: KeyView<'a>),*> KeyView<'a> for ($($name,)*) {
            type Key = ($($name::Key,)*);
            fn to_key(self) -> Self::Key {
                let ($($view,)*) = self;
                ($($view.to_key(),)*)
            }
        }
    };
}

tuple_key!(A: a);
tuple_key!(A: a, B: b);
tuple_key!(A: a, B: b, C: c);
tuple_key!(A: a, B: b, C: c, D: d);

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back<K: Key>(view: K::View<'_>) -> K {
        K::with_bytes(view, |bytes| K::from_bytes(bytes).to_key())
    }

    #[test]
    fn keys_hash_to_golden_values() {
        assert_eq!(String::hash("user_1"), KeyHash(0x20f9_09ab_6f54_d5a1));
        assert_eq!(u64::hash(42), KeyHash(0xd5a6_f8c8_38df_27c8));
        assert_eq!(<(String, i32)>::hash(("a", -1)), KeyHash(0xcda9_9a26_6939_0394));
    }

    #[test]
    fn keys_read_back() {
        assert_eq!(there_and_back::<String>("caf\u{e9}"), "caf\u{e9}");
        assert_eq!(there_and_back::<u32>(7), 7);
        let long = "x".repeat(300);
        let key = there_and_back::<(String, u8, String)>((&long, 3, "z"));
        assert_eq!(key, (long, 3, "z".to_owned()));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let hash = <(String, String)>::hash;
        assert_ne!(hash(("ab", "c")), hash(("a", "bc")));
    }
}

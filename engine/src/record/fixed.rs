//! Fixed-layout values: what state fields, logs and counters hold.
//!
//! A `Fixed` value has one width and one byte form (little endian), and is read and written by
//! copy at any alignment; LLVM turns that into plain loads and stores. It is what may change in
//! place in the state log; anything of varying length appends.

use std::cmp::Reverse;

use super::{EventTime, Layout};

/// A value of a fixed number of bytes.
pub trait Fixed: Copy + Send + Sync + 'static {
    /// How many bytes the value takes.
    const BYTES: usize;
    /// Reads the value from the first `BYTES` bytes. Panics where there are fewer: a bug.
    fn read(bytes: &[u8]) -> Self;
    /// Writes the value to the first `BYTES` bytes. Panics where there are fewer: a bug.
    fn write(self, bytes: &mut [u8]);
    /// What the bytes are, for whoever reads them without the type.
    fn layout() -> Layout;
}

macro_rules! fixed_number {
    ($($number:ty: $kind:ident($bits:literal)),*) => {$(
        impl Fixed for $number {
            const BYTES: usize = size_of::<$number>();
            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                let bytes = bytes.first_chunk().expect("a fixed field lies within its entry");
                <$number>::from_le_bytes(*bytes)
            }
            #[inline(always)]
            fn write(self, bytes: &mut [u8]) {
                let out = bytes.first_chunk_mut().expect("a fixed field lies within its entry");
                *out = self.to_le_bytes();
            }
            fn layout() -> Layout {
                Layout::$kind($bits)
            }
        }
    )*};
}

fixed_number!(
    u8: UInt(8), u16: UInt(16), u32: UInt(32), u64: UInt(64), u128: UInt(128),
    i8: Int(8), i16: Int(16), i32: Int(32), i64: Int(64), i128: Int(128),
    f32: Float(32), f64: Float(64)
);

impl Fixed for () {
    const BYTES: usize = 0;
    fn read(_: &[u8]) -> Self {}
    fn write(self, _: &mut [u8]) {}
    fn layout() -> Layout {
        Layout::Unit
    }
}

impl Fixed for bool {
    const BYTES: usize = 1;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        bytes[0] != 0
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        bytes[0] = u8::from(self);
    }
    fn layout() -> Layout {
        Layout::Bool
    }
}

impl Fixed for EventTime {
    const BYTES: usize = 8;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        Self(i64::read(bytes))
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        self.0.write(bytes);
    }
    fn layout() -> Layout {
        Layout::Time
    }
}

impl<T: Fixed, const N: usize> Fixed for [T; N] {
    const BYTES: usize = T::BYTES * N;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        std::array::from_fn(|index| T::read(&bytes[index * T::BYTES..]))
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        for (index, value) in self.into_iter().enumerate() {
            value.write(&mut bytes[index * T::BYTES..]);
        }
    }
    fn layout() -> Layout {
        let count = u32::try_from(N).expect("an array in an entry has fewer items");
        Layout::Array(Box::new(T::layout()), count)
    }
}

/// Whether there is a value, and then the value; zeroes where there is none.
impl<T: Fixed> Fixed for Option<T> {
    const BYTES: usize = 1 + T::BYTES;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        bool::read(bytes).then(|| T::read(&bytes[1..]))
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        self.is_some().write(bytes);
        match self {
            Some(value) => value.write(&mut bytes[1..]),
            None => bytes[1..Self::BYTES].fill(0),
        }
    }
    fn layout() -> Layout {
        Layout::fields([("is_some", Layout::Bool), ("value", T::layout())])
    }
}

impl<T: Fixed> Fixed for Reverse<T> {
    const BYTES: usize = T::BYTES;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        Self(T::read(bytes))
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        self.0.write(bytes);
    }
    fn layout() -> Layout {
        T::layout()
    }
}

macro_rules! fixed_tuple {
    ($($name:ident: $value:ident),*) => {
        impl<$($name: Fixed),*> Fixed for ($($name,)*) {
            const BYTES: usize = 0 $(+ $name::BYTES)*;
            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                let mut at = 0;
                $(let $value = $name::read(&bytes[at..]); at += $name::BYTES;)*
                let _ = at;
                ($($value,)*)
            }
            #[inline(always)]
            fn write(self, bytes: &mut [u8]) {
                let ($($value,)*) = self;
                let mut at = 0;
                $($value.write(&mut bytes[at..]); at += $name::BYTES;)*
                let _ = at;
            }
            fn layout() -> Layout {
                Layout::Tuple(vec![$($name::layout()),*])
            }
        }
    };
}

fixed_tuple!(A: a);
fixed_tuple!(A: a, B: b);
fixed_tuple!(A: a, B: b, C: c);
fixed_tuple!(A: a, B: b, C: c, D: d);
fixed_tuple!(A: a, B: b, C: c, D: d, E: e);
fixed_tuple!(A: a, B: b, C: c, D: d, E: e, G: g);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_at_any_alignment() {
        let value = (7_u8, [1_i64, -2], (true, 0.5_f64), EventTime(-9));
        let mut bytes = [0; 64];
        value.write(&mut bytes[3..]);
        assert_eq!(<(u8, [i64; 2], (bool, f64), EventTime)>::read(&bytes[3..]), value);
        assert_eq!(bytes[3..5], [7, 1]);
        for maybe in [Some(7_i64), None] {
            maybe.write(&mut bytes[5..]);
            assert_eq!(<Option<i64>>::read(&bytes[5..]), maybe);
        }
        assert_eq!(bytes[5..14], [0; 9]);
    }
}

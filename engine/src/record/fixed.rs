//! Fixed-layout values: what state fields, logs and counters hold.
//!
//! A `Fixed` value has one width and one byte form (little endian), and is read and written by
//! copy at any alignment; LLVM turns that into plain loads and stores. It is what may change in
//! place in the state log; anything of varying length appends.

use super::EventTime;

/// A value of a fixed number of bytes.
pub trait Fixed: Copy + Send + Sync + 'static {
    /// How many bytes the value takes.
    const BYTES: usize;
    /// Reads the value from the first `BYTES` bytes. Panics where there are fewer: a bug.
    fn read(bytes: &[u8]) -> Self;
    /// Writes the value to the first `BYTES` bytes. Panics where there are fewer: a bug.
    fn write(self, bytes: &mut [u8]);
}

macro_rules! fixed_number {
    ($($number:ty),*) => {$(
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
        }
    )*};
}

fixed_number!(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32, f64);

impl Fixed for () {
    const BYTES: usize = 0;
    fn read(_: &[u8]) -> Self {}
    fn write(self, _: &mut [u8]) {}
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
    }
}

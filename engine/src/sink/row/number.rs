//! Numbers as text: the shortest way from a value to digits in a buffer.
//!
//! Takes integers and exact fractions; hands on ASCII digits. Averages and shares are written from
//! their exact sum and count, so they come out the same whatever the order of the additions was.

use std::num::NonZeroU64;

use crate::record::Decimal;

/// One, in millionths.
const ONE_MICROS: u64 = 1_000_000;

const DIGIT_PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut tens = 0;
    let mut index = 0;
    while tens < 10 {
        let mut ones = 0;
        while ones < 10 {
            pairs[index] = [b'0' + tens, b'0' + ones];
            ones += 1;
            index += 1;
        }
        tens += 1;
    }
    pairs
};

/// Appends a whole number without a sign.
#[inline]
pub fn write_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a whole number.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `micros` millionths with all six decimals: `57.160000`.
#[inline]
pub fn write_fixed6(out: &mut Vec<u8>, micros: i128) {
    if micros < 0 {
        out.push(b'-');
    }
    match u64::try_from(micros.unsigned_abs()) {
        Ok(micros) => write_micros(out, micros),
        Err(_) => write_micros_wide(out, micros.unsigned_abs()),
    }
}

/// Appends a decimal number as it is shown: at least two places, and no more than it needs.
#[inline]
pub(super) fn write_decimal(out: &mut Vec<u8>, value: Decimal) {
    write_fixed6(out, i128::from(value.0));
    let surplus = out.iter().rev().take(4).take_while(|&&digit| digit == b'0');
    out.truncate(out.len() - surplus.count());
}

/// Appends `sum_micros / count` millionths with six decimals, rounded half away from zero; zero
/// where there is nothing to divide by.
#[inline]
pub fn write_ratio6(out: &mut Vec<u8>, sum_micros: i128, count: u64) {
    let Some(count) = NonZeroU64::new(count) else {
        return write_micros(out, 0);
    };
    let rounded = match u64::try_from(sum_micros.unsigned_abs()) {
        Ok(sum) => u128::from(divide_rounded(sum, count)),
        Err(_) => divide_rounded_wide(sum_micros.unsigned_abs(), count),
    };
    // Tested after the rounding: there is no minus zero.
    if sum_micros < 0 && rounded > 0 {
        out.push(b'-');
    }
    match u64::try_from(rounded) {
        Ok(micros) => write_micros(out, micros),
        Err(_) => write_micros_wide(out, rounded),
    }
}

#[inline]
fn divide_rounded(sum: u64, count: NonZeroU64) -> u64 {
    let (quotient, rest) = (sum / count, sum % count);
    quotient + u64::from(rest >= count.get() - rest)
}

#[cold]
fn divide_rounded_wide(sum: u128, count: NonZeroU64) -> u128 {
    let count = u128::from(count.get());
    let (quotient, rest) = (sum / count, sum % count);
    quotient + u128::from(rest >= count - rest)
}

#[inline]
fn write_micros(out: &mut Vec<u8>, micros: u64) {
    let mut digits = itoa::Buffer::new();
    let whole = digits.format(micros / ONE_MICROS);
    out.reserve(whole.len() + 7);
    out.extend_from_slice(whole.as_bytes());
    out.extend_from_slice(&fraction(micros % ONE_MICROS));
}

#[cold]
fn write_micros_wide(out: &mut Vec<u8>, micros: u128) {
    let one = u128::from(ONE_MICROS);
    let rest = u64::try_from(micros % one).expect("a rest is less than its divisor");
    out.extend_from_slice(itoa::Buffer::new().format(micros / one).as_bytes());
    out.extend_from_slice(&fraction(rest));
}

/// The point and six digits.
#[inline]
fn fraction(micros: u64) -> [u8; 7] {
    debug_assert!(micros < ONE_MICROS);
    let pair = |value: u64| DIGIT_PAIRS[(value % 100) as usize];
    let ([a, b], [c, d], [e, f]) = (pair(micros / 10_000), pair(micros / 100), pair(micros));
    [b'.', a, b, c, d, e, f]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(sum_micros: i128, count: u64) -> String {
        let mut out = Vec::new();
        write_ratio6(&mut out, sum_micros, count);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn ratios_are_rounded_half_away_from_zero() {
        for (sum, count, text) in [
            (1, 2, "0.000001"),
            (-1, 2, "-0.000001"),
            (1, 3, "0.000000"),
            (-1, 3, "0.000000"),
            (2, 3, "0.000001"),
            (57_160_000, 1, "57.160000"),
            (1_000_000, 3, "0.333333"),
            (-2_000_000, 3, "-0.666667"),
            (5, 0, "0.000000"),
            (i128::from(u64::MAX), u64::MAX, "0.000001"),
            (i128::MIN, 1, "-170141183460469231731687303715884.105728"),
        ] {
            assert_eq!(ratio(sum, count), text, "{sum} / {count}");
        }
    }

    #[test]
    fn fixed_numbers_have_six_decimals() {
        for (micros, text) in [
            (0, "0.000000"),
            (-1, "-0.000001"),
            (123_456_789, "123.456789"),
            (i128::MAX, "170141183460469231731687303715884.105727"),
        ] {
            let mut out = Vec::new();
            write_fixed6(&mut out, micros);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn decimals_are_written_as_they_are_shown() {
        for units in [0, 1, -1, 10, 1_230_000, -57_160_000, 5_100_000, 100, i64::MIN] {
            let mut out = Vec::new();
            write_decimal(&mut out, Decimal(units));
            assert_eq!(String::from_utf8(out).unwrap(), Decimal(units).to_string());
        }
    }
}

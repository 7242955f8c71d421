//! Numbers as text, straight into a byte buffer.
//!
//! A features row holds twelve numbers and is written once a transaction, so `fmt` with its
//! dynamic dispatch would cost more than the windows do. The yardstick in `benches` uses the same
//! functions, so that the comparison is about the engine and not about printing.

const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

/// The two digits of `value`, which is below 100.
#[inline]
fn pair(value: u64) -> [u8; 2] {
    let at = usize::try_from(value).map_or(0, |value| value * 2);
    [PAIRS[at], PAIRS[at + 1]]
}

/// Appends `value` in decimal.
#[inline]
pub fn push_u64(out: &mut Vec<u8>, mut value: u64) {
    // The digits end at `DIGITS`. From the first one, a fixed number of bytes is copied and what
    // is too much cut off: a copy of a length that isn't known would be a call.
    const DIGITS: usize = 20;
    let mut digits = [0_u8; 2 * DIGITS];
    let mut at = DIGITS;
    while value >= 100 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&pair(value % 100));
        value /= 100;
    }
    if value >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&pair(value));
    } else {
        at -= 1;
        digits[at] = pair(value)[1];
    }
    let end = out.len() + DIGITS - at;
    if let Some(copied) = digits[at..].first_chunk::<DIGITS>() {
        out.extend_from_slice(copied);
    }
    out.truncate(end);
}

/// Appends the two digits of `value`, which is below 100.
#[inline]
pub fn push_two(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&pair(value));
}

/// Appends a count of millionths with all six places: `57160000` is `57.160000`.
#[inline]
pub fn push_micros(out: &mut Vec<u8>, micros: i128) {
    if micros < 0 {
        out.push(b'-');
    }
    let micros = micros.unsigned_abs();
    let (whole, fraction) = match u64::try_from(micros) {
        Ok(small) => (small / 1_000_000, small % 1_000_000),
        Err(_) => {
            let whole = u64::try_from(micros / 1_000_000).unwrap_or(u64::MAX);
            (whole, u64::try_from(micros % 1_000_000).unwrap_or(0))
        }
    };
    push_u64(out, whole);
    let [a, b] = pair(fraction / 10_000);
    let [c, d] = pair(fraction / 100 % 100);
    let [e, f] = pair(fraction % 100);
    out.extend_from_slice(&[b'.', a, b, c, d, e, f]);
}

/// `sum / count` in the units of `sum`, rounded half away from zero; 0 for a count of 0.
#[inline]
#[must_use]
pub fn rounded_quotient(sum: i128, count: u64) -> i128 {
    if count == 0 {
        return 0;
    }
    let magnitude = sum.unsigned_abs();
    // The hardware divides 64 bits in a few ns; 128 bits take a call.
    let quotient = match u64::try_from(magnitude) {
        Ok(small) => {
            let (whole, rest) = (small / count, small % count);
            u128::from(whole) + u128::from(rest >= count - rest)
        }
        Err(_) => {
            let count = u128::from(count);
            let (whole, rest) = (magnitude / count, magnitude % count);
            whole + u128::from(rest >= count - rest)
        }
    };
    let quotient = i128::try_from(quotient).unwrap_or(i128::MAX);
    if sum < 0 { -quotient } else { quotient }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn whole_numbers_print_as_fmt_prints_them() {
        for value in [0, 7, 10, 99, 100, 101, 12_345, 999_999, u64::MAX] {
            assert_eq!(text(|out| push_u64(out, value)), value.to_string());
        }
    }

    #[test]
    fn millionths_print_with_six_places() {
        for (micros, printed) in [
            (0, "0.000000"),
            (57_160_000, "57.160000"),
            (-500_001, "-0.500001"),
            (1_i128 << 80, "1208925819614629174.706176"),
        ] {
            assert_eq!(text(|out| push_micros(out, micros)), printed);
        }
    }

    #[test]
    fn quotients_round_half_away_from_zero() {
        for (sum, count, expected) in [
            (0, 0, 0),
            (7, 2, 4),
            (-7, 2, -4),
            (10, 3, 3),
            (11, 3, 4),
            (1_i128 << 70, 3, ((1_i128 << 70) + 1) / 3),
        ] {
            assert_eq!(rounded_quotient(sum, count), expected, "{sum} / {count}");
        }
    }
}

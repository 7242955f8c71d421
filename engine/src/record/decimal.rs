//! Decimal numbers in fixed point: sums that come out the same in any order.

use std::fmt;

use super::field::{FieldReason, short_digits};
use super::{Fixed, Layout};

/// A decimal number with six places: `Decimal(57_160_000)` is 57.16.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Default,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
)]
pub struct Decimal(pub i64);

impl Decimal {
    /// One, in units of the sixth place.
    pub const ONE: i64 = 1_000_000;
    /// The largest amount that is read: a million millions, so that sums of squares of it fit
    /// 128 bits for as many records as anyone keeps.
    pub const MAX: i64 = 1_000_000_000_000 * Self::ONE;

    /// As a float, for thresholds and output; exact up to 2^53 units.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "the nearest float is what is asked for")]
        let units = self.0 as f64;
        units / 1e6
    }

    /// Reads digits with an optional sign, fraction and exponent; places past the sixth are
    /// rounded half away from zero.
    ///
    /// # Errors
    /// Not a number, not finite, or more than [`Decimal::MAX`] either way.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, FieldReason> {
        match Self::parse_cents(bytes) {
            Some(decimal) => Ok(decimal),
            None => Self::parse_any(bytes),
        }
    }

    /// One to eight digits, a point, and two digits: nearly every amount of money.
    #[inline(always)]
    fn parse_cents(bytes: &[u8]) -> Option<Self> {
        let (whole, [b'.', tenths, hundredths]) = bytes.split_last_chunk::<3>()? else {
            return None;
        };
        if !tenths.is_ascii_digit() || !hundredths.is_ascii_digit() {
            return None;
        }
        let cents = i64::from(tenths - b'0') * 10 + i64::from(hundredths - b'0');
        let whole = short_digits(whole)?.cast_signed();
        Some(Self(whole * Self::ONE + cents * (Self::ONE / 100)))
    }

    fn parse_any(bytes: &[u8]) -> Result<Self, FieldReason> {
        let (negative, unsigned) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let whole_digits = unsigned.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (whole, rest) = unsigned.split_at(whole_digits);
        let fraction = match rest {
            [] => rest,
            [b'.', fraction @ ..] if fraction.iter().all(u8::is_ascii_digit) => fraction,
            _ => return Self::parse_float(bytes),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(FieldReason::NotANumber);
        }
        if whole.len() > 12 {
            return Self::parse_float(bytes);
        }
        let mut units = whole.iter().fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
        for place in 0..6 {
            units = units * 10 + fraction.get(place).map_or(0, |digit| i64::from(digit - b'0'));
        }
        units += i64::from(fraction.get(6).is_some_and(|&digit| digit >= b'5'));
        Ok(Self(if negative { -units } else { units }))
    }

    /// The rare forms: exponents, leading zeros past twelve digits, `inf` and `nan`.
    #[cold]
    fn parse_float(bytes: &[u8]) -> Result<Self, FieldReason> {
        let text = std::str::from_utf8(bytes).map_err(|_| FieldReason::NotANumber)?;
        let value: f64 = text.parse().map_err(|_| FieldReason::NotANumber)?;
        if !value.is_finite() {
            return Err(FieldReason::NotFinite);
        }
        let units = (value * 1e6).round();
        #[expect(clippy::cast_precision_loss, reason = "the bound is far below where it matters")]
        if units.abs() > Self::MAX as f64 {
            return Err(FieldReason::OutOfRange);
        }
        #[expect(clippy::cast_possible_truncation, reason = "bounded just above")]
        Ok(Self(units as i64))
    }
}

impl Fixed for Decimal {
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
        Layout::Decimal
    }
}

/// At least two places and no more than it needs: `57.16`, `81.50`, `0.000001`.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let units = self.0.unsigned_abs();
        let (whole, mut fraction) =
            (units / Self::ONE.unsigned_abs(), units % Self::ONE.unsigned_abs());
        let mut places = 6;
        while places > 2 && fraction % 10 == 0 {
            fraction /= 10;
            places -= 1;
        }
        write!(f, "{sign}{whole}.{fraction:0places$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_parse_and_print() {
        let cases = [
            ("57.16", 57_160_000, "57.16"),
            ("0.05", 50_000, "0.05"),
            ("123456789.99", 123_456_789_990_000, "123456789.99"),
            ("-0.5", -500_000, "-0.50"),
            ("1e3", 1_000_000_000, "1000.00"),
            (".1234565", 123_457, "0.123457"),
            ("7.", 7_000_000, "7.00"),
        ];
        for (text, units, printed) in cases {
            let decimal = Decimal::parse(text.as_bytes()).unwrap();
            assert_eq!((decimal.0, decimal.to_string().as_str()), (units, printed));
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for (text, reason) in [
            ("", FieldReason::NotANumber),
            (".", FieldReason::NotANumber),
            ("12,5", FieldReason::NotANumber),
            ("1x.25", FieldReason::NotANumber),
            ("1.2x", FieldReason::NotANumber),
            ("nan", FieldReason::NotFinite),
            ("-inf", FieldReason::NotFinite),
            ("1e13", FieldReason::OutOfRange),
        ] {
            assert_eq!(Decimal::parse(text.as_bytes()), Err(reason), "{text}");
        }
    }
}

//! Fields: how a record is read from text and written as a row of text.
//!
//! CSV and JSON readers hand out a field's bytes; this module turns them into native values, or
//! into a [`FieldError`] that names what is wrong. What does not parse is a rejected input, which
//! is a value and not an error of the engine.

use super::{Decimal, EventTime, FieldType};

/// A field as a reader found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldText<'a> {
    /// The row has no such field.
    Missing,
    /// The field is empty (CSV) or `null` (JSON).
    Null,
    /// The field's bytes, unquoted and unescaped; not yet known to be UTF-8.
    Text(&'a [u8]),
}

/// Hands out the fields of one row by their index in the schema.
pub trait FieldSource<'a> {
    /// The field at `index`.
    fn text(&self, index: usize) -> FieldText<'a>;
}

/// Why a field was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldReason {
    /// The row has no such field, or it is empty.
    #[error("is missing")]
    Missing,
    /// Not a number of the field's kind.
    #[error("is not a number")]
    NotANumber,
    /// A number that the field's type can't hold.
    #[error("is out of range")]
    OutOfRange,
    /// NaN or an infinity.
    #[error("is not finite")]
    NotFinite,
    /// Not an ISO 8601 time.
    #[error("is not a time like 2018-04-01T00:00:31Z")]
    NotATime,
    /// Neither `true`, `false`, `1` nor `0`.
    #[error("is not true, false, 1 or 0")]
    NotABool,
    /// Bytes that are not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
}

/// A field that could not be read: which one, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}` {reason}")]
pub struct FieldError {
    /// The field's name.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: FieldReason,
}

/// Takes the fields of one row in order; CSV and JSON writers implement it.
pub trait RowWriter {
    /// A text field.
    fn text(&mut self, name: &'static str, value: &str);
    /// A whole number.
    fn int(&mut self, name: &'static str, value: i64);
    /// A whole number without a sign.
    fn uint(&mut self, name: &'static str, value: u64);
    /// A float, in its shortest form that reads back the same.
    fn float(&mut self, name: &'static str, value: f64);
    /// A truth value.
    fn bool(&mut self, name: &'static str, value: bool);
    /// A time, as ISO 8601 text.
    fn time(&mut self, name: &'static str, value: EventTime);
    /// A decimal number.
    fn decimal(&mut self, name: &'static str, value: Decimal);
    /// An absent value.
    fn null(&mut self, name: &'static str);
}

/// The type of a field, in its view form.
pub trait Field<'a>: Copy {
    /// How schemas call it.
    const TYPE: FieldType;
    /// Whether it may be absent.
    const OPTIONAL: bool = false;
    /// Reads the field.
    ///
    /// # Errors
    /// Why it can't be read.
    fn parse(text: FieldText<'a>) -> Result<Self, FieldReason>;
    /// Writes the field.
    fn write<W: RowWriter>(self, name: &'static str, writer: &mut W);
}

fn present(text: FieldText<'_>) -> Result<&[u8], FieldReason> {
    match text {
        FieldText::Text(bytes) => Ok(bytes),
        FieldText::Null | FieldText::Missing => Err(FieldReason::Missing),
    }
}

macro_rules! integer_field {
    ($($number:ty: $kind:ident, $write:ident),*) => {$(
        impl<'a> Field<'a> for $number {
            const TYPE: FieldType = FieldType::$kind({
                #[expect(clippy::cast_possible_truncation, reason = "a number has 64 bits at most")]
                { <$number>::BITS as u8 }
            });
            #[inline]
            fn parse(text: FieldText<'a>) -> Result<Self, FieldReason> {
                let wide = parse_integer(present(text)?)?;
                Self::try_from(wide).map_err(|_| FieldReason::OutOfRange)
            }
            #[inline]
            fn write<W: RowWriter>(self, name: &'static str, writer: &mut W) {
                writer.$write(name, self.into());
            }
        }
    )*};
}

integer_field!(
    i8: Int, int, i16: Int, int, i32: Int, int, i64: Int, int,
    u8: UInt, uint, u16: UInt, uint, u32: UInt, uint, u64: UInt, uint
);

/// Reads an optional sign and digits; the field's type then checks the range.
#[inline(always)]
fn parse_integer(bytes: &[u8]) -> Result<i128, FieldReason> {
    match short_digits(bytes).or_else(|| long_digits(bytes)) {
        Some(value) => Ok(i128::from(value)),
        None => parse_integer_slowly(bytes),
    }
}

/// Signs, more than sixteen digits, and what is no number.
fn parse_integer_slowly(bytes: &[u8]) -> Result<i128, FieldReason> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(FieldReason::NotANumber);
    }
    let significant = digits.iter().position(|&digit| digit != b'0').unwrap_or(digits.len());
    let digits = &digits[significant..];
    if digits.len() > 20 {
        return Err(FieldReason::OutOfRange);
    }
    let value = if digits.len() <= 19 {
        i128::from(digits.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0')))
    } else {
        digits.iter().fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'))
    };
    Ok(if negative { -value } else { value })
}

/// The value of one to eight digits, all at once: the digits are lined up in a word behind leading
/// zeros, checked together, and added up as pairs, fours and eights (Daniel Lemire, "Quickly
/// parsing eight digits").
#[inline(always)]
pub(super) fn short_digits(bytes: &[u8]) -> Option<u64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let digits = match bytes.len() {
        1 => u64::from(bytes[0]),
        2..4 => {
            let first = u64::from(u16::from_le_bytes(*bytes.first_chunk()?));
            first | u64::from(bytes[bytes.len() - 1]) << (8 * (bytes.len() - 1))
        }
        4..=8 => {
            let first = u64::from(u32::from_le_bytes(*bytes.first_chunk()?));
            let last = u64::from(u32::from_le_bytes(*bytes.last_chunk()?));
            first | last << (8 * (bytes.len() - 4))
        }
        _ => return None,
    };
    let spare_bits = 64 - 8 * bytes.len();
    let zeros = if spare_bits == 0 { 0 } else { ZEROS >> (64 - spare_bits) };
    eight_digits(digits << spare_bits | zeros)
}

/// The value of nine to sixteen digits: epoch milliseconds, card numbers.
#[inline]
fn long_digits(bytes: &[u8]) -> Option<u64> {
    let (first, last) = bytes.split_last_chunk()?;
    Some(short_digits(first)? * 100_000_000 + eight_digits(u64::from_le_bytes(*last))?)
}

/// The value of eight digits, the first in the lowest byte.
#[inline(always)]
fn eight_digits(digits: u64) -> Option<u64> {
    let carried = digits.wrapping_add(0x0606_0606_0606_0606);
    if (digits & 0xf0f0_f0f0_f0f0_f0f0) | ((carried & 0xf0f0_f0f0_f0f0_f0f0) >> 4)
        != 0x3333_3333_3333_3333
    {
        return None;
    }
    let pairs = (digits & 0x0f0f_0f0f_0f0f_0f0f).wrapping_mul(2_561) >> 8;
    let fours = (pairs & 0x00ff_00ff_00ff_00ff).wrapping_mul(6_553_601) >> 16;
    Some((fours & 0x0000_ffff_0000_ffff).wrapping_mul(42_949_672_960_001) >> 32)
}

macro_rules! float_field {
    ($($number:ty: $bits:literal),*) => {$(
        impl<'a> Field<'a> for $number {
            const TYPE: FieldType = FieldType::Float($bits);
            #[inline]
            fn parse(text: FieldText<'a>) -> Result<Self, FieldReason> {
                let text = std::str::from_utf8(present(text)?).map_err(|_| FieldReason::NotANumber)?;
                let value: $number = text.parse().map_err(|_| FieldReason::NotANumber)?;
                if value.is_finite() { Ok(value) } else { Err(FieldReason::NotFinite) }
            }
            #[inline]
            fn write<W: RowWriter>(self, name: &'static str, writer: &mut W) {
                writer.float(name, self.into());
            }
        }
    )*};
}

float_field!(f32: 32, f64: 64);

impl<'a> Field<'a> for bool {
    const TYPE: FieldType = FieldType::Bool;
    #[inline]
    fn parse(text: FieldText<'a>) -> Result<Self, FieldReason> {
        match present(text)? {
            b"1" | b"true" | b"True" | b"TRUE" => Ok(true),
            b"0" | b"false" | b"False" | b"FALSE" => Ok(false),
            _ => Err(FieldReason::NotABool),
        }
    }
    #[inline]
    fn write<W: RowWriter>(self, name: &'static str, writer: &mut W) {
        writer.bool(name, self);
    }
}

impl<'a> Field<'a> for EventTime {
    const TYPE: FieldType = FieldType::Time;
    #[inline]
    fn parse(text: FieldText<'a>) -> Result<Self, FieldReason> {
        EventTime::parse_bytes(present(text)?).ok_or(FieldReason::NotATime)
    }
    #[inline]
    fn write<W: RowWriter>(self, name: &'static str, writer: &mut W) {
        writer.time(name, self);
    }
}

impl<'a> Field<'a> for Decimal {
    const TYPE: FieldType = FieldType::Decimal;
    #[inline]
    fn parse(text: FieldText<'a>) -> Result<Self, FieldReason> {
        Decimal::parse(present(text)?)
    }
    #[inline]
    fn write<W: RowWriter>(self, name: &'static str, writer: &mut W) {
        writer.decimal(name, self);
    }
}

/// An empty CSV field is an empty text, not a missing one; a JSON `null` is missing.
impl<'a> Field<'a> for &'a str {
    const TYPE: FieldType = FieldType::Text;
    #[inline]
    fn parse(text: FieldText<'a>) -> Result<Self, FieldReason> {
        std::str::from_utf8(present(text)?).map_err(|_| FieldReason::NotUtf8)
    }
    #[inline]
    fn write<W: RowWriter>(self, name: &'static str, writer: &mut W) {
        writer.text(name, self);
    }
}

impl<'a, T: Field<'a>> Field<'a> for Option<T> {
    const TYPE: FieldType = T::TYPE;
    const OPTIONAL: bool = true;
    #[inline]
    fn parse(text: FieldText<'a>) -> Result<Self, FieldReason> {
        match text {
            FieldText::Missing | FieldText::Null => Ok(None),
            FieldText::Text(_) => T::parse(text).map(Some),
        }
    }
    #[inline]
    fn write<W: RowWriter>(self, name: &'static str, writer: &mut W) {
        match self {
            Some(value) => value.write(name, writer),
            None => writer.null(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a, T: Field<'a>>(text: &'a str) -> Result<T, FieldReason> {
        T::parse(FieldText::Text(text.as_bytes()))
    }

    #[test]
    fn digits_are_read_at_every_length_and_every_other_byte_is_refused() {
        for count in 1..=18 {
            let digits = &"907856341209876543"[..count];
            assert_eq!(parse::<u64>(digits), Ok(digits.parse().unwrap()));
            for at in 0..count {
                for byte in (0..=255_u8).filter(|byte| !byte.is_ascii_digit()) {
                    let mut bytes = digits.as_bytes().to_vec();
                    bytes[at] = byte;
                    let is_sign = at == 0 && count > 1 && b"+-".contains(&byte);
                    let parsed = <i64 as Field<'_>>::parse(FieldText::Text(&bytes));
                    assert_eq!(parsed.is_ok(), is_sign, "{bytes:?}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_read_or_refused_with_the_reason() {
        assert_eq!(parse::<u8>("+0255"), Ok(255));
        assert_eq!(parse::<i64>("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(parse::<u64>("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(parse::<u64>("18446744073709551616"), Err(FieldReason::OutOfRange));
        assert_eq!(parse::<u64>("99999999999999999999999"), Err(FieldReason::OutOfRange));
        assert_eq!(parse::<u8>("-1"), Err(FieldReason::OutOfRange));
        assert_eq!(parse::<u8>(""), Err(FieldReason::NotANumber));
        assert_eq!(parse::<u8>("1.5"), Err(FieldReason::NotANumber));
        assert_eq!(parse::<f64>("nan"), Err(FieldReason::NotFinite));
        assert_eq!(parse::<f64>("1e999"), Err(FieldReason::NotFinite));
        assert_eq!(<Option<u8> as Field<'_>>::parse(FieldText::Null), Ok(None));
        assert_eq!(<u8 as Field<'_>>::parse(FieldText::Null), Err(FieldReason::Missing));
    }
}

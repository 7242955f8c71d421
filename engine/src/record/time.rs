//! Event time: microseconds since 1970-01-01T00:00:00Z, and spans of it.

use std::fmt;
use std::ops::{Add, Sub};

/// A moment of event time, in microseconds UTC.
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
pub struct EventTime(pub i64);

/// A distance in event time, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TimeSpan(pub i64);

impl EventTime {
    /// Before every record: the watermark of an unopened split.
    pub const MIN: Self = Self(i64::MIN);
    /// After every record: the watermark of an ended or absent split.
    pub const MAX: Self = Self(i64::MAX);

    /// `self - span`, stopping at [`EventTime::MIN`].
    #[must_use]
    pub fn saturating_sub(self, span: TimeSpan) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// `self + span`, stopping at [`EventTime::MAX`].
    #[must_use]
    pub fn saturating_add(self, span: TimeSpan) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl TimeSpan {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of whole microseconds.
    #[must_use]
    pub const fn micros(count: i64) -> Self {
        Self(count)
    }

    /// A span of whole milliseconds.
    #[must_use]
    pub const fn millis(count: i64) -> Self {
        Self(count.saturating_mul(1_000))
    }

    /// A span of whole seconds.
    #[must_use]
    pub const fn seconds(count: i64) -> Self {
        Self(count.saturating_mul(1_000_000))
    }

    /// A span of whole minutes.
    #[must_use]
    pub const fn minutes(count: i64) -> Self {
        Self::seconds(count.saturating_mul(60))
    }

    /// A span of whole hours.
    #[must_use]
    pub const fn hours(count: i64) -> Self {
        Self::minutes(count.saturating_mul(60))
    }

    /// A span of days of 24 hours.
    #[must_use]
    pub const fn days(count: i64) -> Self {
        Self::hours(count.saturating_mul(24))
    }
}

impl Add<TimeSpan> for EventTime {
    type Output = Self;
    fn add(self, span: TimeSpan) -> Self {
        self.saturating_add(span)
    }
}

impl Sub<TimeSpan> for EventTime {
    type Output = Self;
    fn sub(self, span: TimeSpan) -> Self {
        self.saturating_sub(span)
    }
}

impl Sub for EventTime {
    type Output = TimeSpan;
    fn sub(self, earlier: Self) -> TimeSpan {
        TimeSpan(self.0.saturating_sub(earlier.0))
    }
}

impl EventTime {
    /// Reads `2018-04-01T00:00:31[.ffffff][Z|+hh:mm]`; a space may stand for the `T`, and a
    /// time without a zone is UTC. `None` where the text is not such a time or the day does not
    /// exist. Fractions past microseconds are cut off.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_bytes(text.as_bytes())
    }

    /// The same, of bytes that need not be UTF-8 (and are no time where they are not).
    #[inline]
    #[must_use]
    pub fn parse_bytes(bytes: &[u8]) -> Option<Self> {
        let text = bytes.first_chunk::<19>()?;
        if !is_date_time(text) {
            return None;
        }
        let pair = |at: usize| u32::from(text[at] & 15) * 10 + u32::from(text[at + 1] & 15);
        let (year, month, day) = (pair(0) * 100 + pair(2), pair(5), pair(8));
        let (hour, minute, second) = (pair(11), pair(14), pair(17));
        let day_exists = (1..=12).contains(&month) && day >= 1 && day <= days_in(year, month);
        if !day_exists || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let (fraction_micros, offset_minutes) = match &bytes[19..] {
            b"Z" => (0, 0),
            rest => {
                let (fraction_micros, zone) = fraction(rest)?;
                (fraction_micros, zone_offset(zone)?)
            }
        };
        let seconds = i64::from((hour * 60 + minute) * 60 + second) - offset_minutes * 60;
        let days = i64::from(days_from_civil(year, month, day)) - DAYS_TO_1970;
        Some(Self((days * 86_400 + seconds) * 1_000_000 + fraction_micros))
    }
}

/// Whether `text` is digits where `dddd-dd-ddTdd:dd:dd` has them, and the rest as it stands there;
/// the `T` may be a `t` or a space. Eight bytes are checked at once.
#[inline(always)]
fn is_date_time(text: &[u8; 19]) -> bool {
    let word = |at: usize| text[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    let fits = |word: u64, form: &[u8; 8]| {
        let form = u64::from_le_bytes(*form);
        // A digit's place holds a 0 in the form: its high half is 3, and 6 more do not carry.
        let digits = digit_places(form);
        let carried = word.wrapping_add(digits & 0x0606_0606_0606_0606);
        let high = digits & 0xf0f0_f0f0_f0f0_f0f0;
        (word & !digits) == (form & !digits)
            && (word & high) == (form & high)
            && (carried & high) == (form & high)
    };
    let separator = text[10];
    fits(word(0), b"0000-00-")
        && fits(word(11), b"00:00:00")
        && text[8].is_ascii_digit()
        && text[9].is_ascii_digit()
        && matches!(separator, b'T' | b't' | b' ')
}

/// All ones in each byte of `form` that is the digit 0.
#[inline(always)]
const fn digit_places(form: u64) -> u64 {
    let mut places = 0;
    let mut index = 0;
    while index < 8 {
        if (form >> (8 * index)) & 0xff == 0x30 {
            places |= 0xff << (8 * index);
        }
        index += 1;
    }
    places
}

fn decimal(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |sum, &digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

/// Splits `.ffffff` off `rest`: the fraction in microseconds, and what follows it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', digits)) = rest.split_first() else {
        return Some((0, rest));
    };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 || count > 18 {
        return None;
    }
    let mut micros = decimal(&digits[..count.min(6)])?;
    for _ in count..6 {
        micros *= 10;
    }
    Some((micros, &digits[count..]))
}

fn zone_offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"" | b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h0, h1, rest @ ..] => {
            let minutes = match rest {
                [b':', m0, m1] | [m0, m1] => decimal(&[*m0, *m1])?,
                [] => 0,
                _ => return None,
            };
            let hours = decimal(&[*h0, *h1])?;
            let offset = hours * 60 + minutes;
            (hours <= 18 && minutes <= 59).then_some(if *sign == b'+' { offset } else { -offset })
        }
        _ => None,
    }
}

fn days_in(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// From the 1st of March of the year -400, where [`days_from_civil`] counts from, to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468 + 146_097;

/// Days since the 1st of March of the year -400, for years from 0 to 9999 (after Howard Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms"; 400 years more, and nothing has a sign).
#[inline(always)]
fn days_from_civil(year: u32, month: u32, day: u32) -> u32 {
    let year_from_march = year + 400 - u32::from(month <= 2);
    let leap_days = year_from_march / 4 - year_from_march / 100 + year_from_march / 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year_from_march * 365 + leap_days + day_of_year
}

/// The year, month and day of a count of days since 1970-01-01; the inverse of the above.
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// ISO 8601 in UTC, with a fraction only where there is one: `2018-04-01T00:00:31Z`.
impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(1_000_000);
        let micros = self.0.rem_euclid(1_000_000);
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let second_of_day = seconds.rem_euclid(86_400);
        let (hour, minute) = (second_of_day / 3_600, second_of_day / 60 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}", second_of_day % 60)?;
        if micros != 0 {
            write!(f, ".{micros:06}")?;
        }
        f.write_str("Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_parse_and_print_back() {
        for text in ["2018-04-01T00:00:31Z", "1969-12-31T23:59:59.999999Z", "2024-02-29T12:00:00Z"]
        {
            assert_eq!(EventTime::parse(text).map(|time| time.to_string()), Some(text.to_owned()));
        }
        assert_eq!(EventTime::parse("1970-01-01 01:00:00+01:00"), Some(EventTime(0)));
        assert_eq!(EventTime::parse("1970-01-01T00:00:00.5"), Some(EventTime(500_000)));
    }

    #[test]
    fn days_of_ten_thousand_years_read_back() {
        for day in (-719_528..2_932_897).step_by(11) {
            let time = EventTime(day * 86_400_000_000 + 86_399_000_000);
            assert_eq!(EventTime::parse(&time.to_string()), Some(time));
        }
        assert_eq!(EventTime(-719_528 * 86_400_000_000).to_string(), "0000-01-01T00:00:00Z");
    }

    #[test]
    fn every_byte_that_does_not_belong_is_refused() {
        let text = b"2018-04-01T00:00:31Z";
        for at in 0..20 {
            for byte in 0..=255_u8 {
                let mut bytes = *text;
                bytes[at] = byte;
                let fits = match at {
                    4 | 7 | 13 | 16 => byte == text[at],
                    10 => b"Tt ".contains(&byte),
                    19 => b"Zz".contains(&byte),
                    _ => byte.is_ascii_digit(),
                };
                let is_read = EventTime::parse_bytes(&bytes).is_some();
                assert!(fits || !is_read, "{bytes:?}");
                let is_number = byte.is_ascii_digit() && at < 19;
                assert!(is_read || !fits || is_number, "{bytes:?}");
            }
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2018-04-01",
            "2018-02-29T00:00:00Z",
            "2018-04-01T24:00:00Z",
            "x018-04-01T00:00:00Z",
            "2018-04-01T00:00:00.Z",
            "2018-04-01T00:00:00+1",
            "2018-13-01T00:00:00Z",
            "2018-04-01T00:00:00Zz",
        ] {
            assert_eq!(EventTime::parse(text), None, "{text}");
        }
    }
}

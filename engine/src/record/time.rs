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
        let bytes = text.as_bytes();
        let date_time = bytes.first_chunk::<19>()?;
        let seps = [date_time[4], date_time[7], date_time[13], date_time[16]];
        if seps != *b"--::" || !matches!(date_time[10], b'T' | b't' | b' ') {
            return None;
        }
        let number = |at: usize, digits: usize| decimal(&date_time[at..at + digits]);
        let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
        let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
        let day_exists = (1..=12).contains(&month) && day >= 1 && day <= days_in(year, month);
        if !day_exists || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let (fraction_micros, zone) = fraction(&bytes[19..])?;
        let offset_minutes = zone_offset(zone)?;
        let minutes =
            (days_from_civil(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
        Some(Self((minutes * 60 + second) * 1_000_000 + fraction_micros))
    }
}

fn decimal(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |sum, &digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

/// Splits `.ffffff` off `rest`: the fraction in microseconds, and what follows it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', digits)) = rest.split_first() else {
        return Some((0, rest));
    };
    let count = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
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

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The year, month and day of a count of days since 1970-01-01; the inverse of the above.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
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
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}",
            second_of_day % 60
        )?;
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
        for text in [
            "2018-04-01T00:00:31Z",
            "1969-12-31T23:59:59.999999Z",
            "2024-02-29T12:00:00Z",
        ] {
            assert_eq!(
                EventTime::parse(text).map(|time| time.to_string()),
                Some(text.to_owned())
            );
        }
        assert_eq!(
            EventTime::parse("1970-01-01 01:00:00+01:00"),
            Some(EventTime(0))
        );
        assert_eq!(
            EventTime::parse("1970-01-01T00:00:00.5"),
            Some(EventTime(500_000))
        );
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

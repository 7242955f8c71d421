//! Windows of the calendar: days, weeks, months and years of a zone.
//!
//! Takes a moment; hands on when its day, week, month or year began and ends. A unit begins at local
//! midnight of its first day, plus the offset.

use std::fmt;

use super::grid::to_time;
use crate::record::{TimeSpan, civil_from_days};

/// A stretch of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CalendarUnit {
    Day,
    Week,
    Month,
    Year,
}

/// Whose calendar it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// How far local time is ahead of UTC.
    ahead: TimeSpan,
}

impl Zone {
    /// UTC.
    pub const UTC: Self = Self { ahead: TimeSpan::ZERO };

    /// A zone that is always so far ahead of UTC; negative, where it is behind.
    #[must_use]
    pub fn fixed(ahead: TimeSpan) -> Self {
        Self { ahead }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UTC{:+} us", self.ahead.0)
    }
}

/// Cuts time into units of a zone's calendar.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    unit: CalendarUnit,
    offset: i128,
    zone: Zone,
}

const DAY_MICROS: i128 = 86_400_000_000;

impl Calendar {
    pub(super) fn new(unit: CalendarUnit, offset: TimeSpan, zone: Zone) -> Self {
        Self { unit, offset: i128::from(offset.0), zone }
    }

    /// The start and the end of the unit that holds `time`.
    pub(super) fn window(&self, time: i64) -> (i64, i64) {
        let local = i128::from(time) + i128::from(self.zone.ahead.0) - self.offset;
        let day = i64::try_from(local.div_euclid(DAY_MICROS)).expect("there are fewer days");
        let (first, after) = self.unit.days(day);
        let utc = |day: i64| {
            let local = i128::from(day) * DAY_MICROS + self.offset;
            to_time(local - i128::from(self.zone.ahead.0))
        };
        (utc(first), utc(after))
    }
}

impl CalendarUnit {
    /// The first day of the unit that holds `day`, and the first after it; from 1970-01-01 on.
    fn days(self, day: i64) -> (i64, i64) {
        let (year, month, _) = civil_from_days(day);
        match self {
            Self::Day => (day, day + 1),
            Self::Week => {
                // 1970-01-01 was a Thursday.
                let monday = day - (day + 3).rem_euclid(7);
                (monday, monday + 7)
            }
            Self::Month if month == 12 => (first_of(year, 12), first_of(year + 1, 1)),
            Self::Month => (first_of(year, month), first_of(year, month + 1)),
            Self::Year => (first_of(year, 1), first_of(year + 1, 1)),
        }
    }
}

/// The first day of a month, from 1970-01-01 on (after Howard Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms"). For all years that times reach.
fn first_of(year: i64, month: i64) -> i64 {
    let year_from_march = year - i64::from(month <= 2);
    let era = year_from_march.div_euclid(400);
    let year_of_era = year_from_march.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::EventTime;

    fn window(calendar: &Calendar, time: &str) -> (String, String) {
        let time = EventTime::parse(time).expect("a time of the test");
        let (start, end) = calendar.window(time.0);
        (EventTime(start).to_string(), EventTime(end).to_string())
    }

    #[test]
    fn units_begin_at_local_midnight() {
        let utc = |unit| Calendar::new(unit, TimeSpan::ZERO, Zone::UTC);
        let cases = [
            (CalendarUnit::Day, "2024-02-29T23:59:59Z", "2024-02-29", "2024-03-01"),
            (CalendarUnit::Week, "2024-02-29T12:00:00Z", "2024-02-26", "2024-03-04"),
            (CalendarUnit::Week, "2024-03-04T00:00:00Z", "2024-03-04", "2024-03-11"),
            (CalendarUnit::Month, "2024-02-01T00:00:00Z", "2024-02-01", "2024-03-01"),
            (CalendarUnit::Month, "1969-12-31T23:00:00Z", "1969-12-01", "1970-01-01"),
            (CalendarUnit::Year, "2023-12-31T23:59:59Z", "2023-01-01", "2024-01-01"),
        ];
        for (unit, time, start, end) in cases {
            let midnight = |day: &str| format!("{day}T00:00:00Z");
            assert_eq!(window(&utc(unit), time), (midnight(start), midnight(end)), "{time}");
        }
    }

    #[test]
    fn a_zone_and_an_offset_move_midnight() {
        let zone = Zone::fixed(TimeSpan::hours(2));
        let months = Calendar::new(CalendarUnit::Month, TimeSpan::ZERO, zone.clone());
        let (start, end) = window(&months, "2024-01-31T22:30:00Z");
        assert_eq!(
            (start.as_str(), end.as_str()),
            ("2024-01-31T22:00:00Z", "2024-02-29T22:00:00Z")
        );
        let days = Calendar::new(CalendarUnit::Day, TimeSpan::hours(4), zone);
        let (start, end) = window(&days, "2024-01-31T01:59:00Z");
        assert_eq!(
            (start.as_str(), end.as_str()),
            ("2024-01-30T02:00:00Z", "2024-01-31T02:00:00Z")
        );
    }
}

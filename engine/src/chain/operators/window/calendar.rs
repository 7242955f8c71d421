//! Windows of the calendar: days, weeks, months and years of a zone.
//!
//! Takes a moment; hands on when its day, week, month or year began and ends. A unit begins at local
//! midnight of its first day, plus the offset, by the clocks of the zone: where they are set forward
//! over that moment, when they have been; where they are set back over it, the first time. So a day
//! of a zone with summer time has 23, 24 or 25 hours.
//!
//! The zones are those of the tz database that is built in (jiff), whatever the machine has: windows
//! of one build are the same everywhere. Named zones know the years up to 9999; times outside of them
//! are taken as UTC.

use std::cell::Cell;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::grid::to_time;
use super::spec::WindowProblem;
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
pub struct Zone(ZoneKind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum ZoneKind {
    /// Always so far ahead of UTC.
    Fixed(TimeSpan),
    /// By name; none, where there is no such zone, which is refused when the job starts.
    Named(String, Option<TimeZone>),
}

impl Zone {
    /// UTC.
    pub const UTC: Self = Self(ZoneKind::Fixed(TimeSpan::ZERO));

    /// A zone that is always so far ahead of UTC; negative, where it is behind.
    #[must_use]
    pub fn fixed(ahead: TimeSpan) -> Self {
        Self(ZoneKind::Fixed(ahead))
    }

    /// A zone by its name in the tz database, such as `Europe/Berlin`, with its summer time. A job
    /// that names one that there is not is refused when it starts.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self(ZoneKind::Named(name.to_owned(), TimeZone::get(name).ok()))
    }

    /// Why there is no such zone, if there is none.
    pub(super) fn problem(&self) -> Option<WindowProblem> {
        match &self.0 {
            ZoneKind::Named(name, None) => Some(WindowProblem::NoZone { name: name.clone() }),
            ZoneKind::Named(..) | ZoneKind::Fixed(_) => None,
        }
    }

    /// What the zone's clocks show at `time`, in microseconds.
    fn local(&self, time: i64) -> i128 {
        let ahead = match &self.0 {
            ZoneKind::Fixed(ahead) => i128::from(ahead.0),
            ZoneKind::Named(_, zone) => {
                let zone = zone.as_ref().expect("a zone that there is not was refused");
                let offset = Timestamp::from_microsecond(time).map(|time| zone.to_offset(time));
                offset.map_or(0, |offset| i128::from(offset.seconds()) * 1_000_000)
            }
        };
        i128::from(time) + ahead
    }

    /// When the zone's clocks show `local`.
    fn utc(&self, local: i128) -> i64 {
        match &self.0 {
            ZoneKind::Fixed(ahead) => to_time(local - i128::from(ahead.0)),
            ZoneKind::Named(_, zone) => {
                let zone = zone.as_ref().expect("a zone that there is not was refused");
                let shown = shown_at(local);
                let time =
                    shown.and_then(|shown| zone.to_ambiguous_timestamp(shown).compatible().ok());
                time.map_or_else(|| to_time(local), Timestamp::as_microsecond)
            }
        }
    }
}

/// The date and time of so many microseconds after 1970, by one clock; none outside of the years that
/// zones know.
fn shown_at(local: i128) -> Option<DateTime> {
    let day = i64::try_from(local.div_euclid(DAY_MICROS)).ok()?;
    let (year, month, day) = civil_from_days(day);
    let micros = i64::try_from(local.rem_euclid(DAY_MICROS)).ok()?;
    let seconds = micros / 1_000_000;
    let part = |seconds: i64| i8::try_from(seconds).ok();
    DateTime::new(
        i16::try_from(year).ok()?,
        part(month)?,
        part(day)?,
        part(seconds / 3_600)?,
        part(seconds / 60 % 60)?,
        part(seconds % 60)?,
        i32::try_from(micros % 1_000_000 * 1_000).ok()?,
    )
    .ok()
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ZoneKind::Fixed(TimeSpan(ahead)) => write!(f, "UTC{ahead:+} us"),
            ZoneKind::Named(name, _) => f.write_str(name),
        }
    }
}

/// Cuts time into units of a zone's calendar.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    unit: CalendarUnit,
    offset: i128,
    zone: Zone,
    /// The window that was asked for last: nearly always the next one too.
    last: Cell<(i64, i64)>,
}

const DAY_MICROS: i128 = 86_400_000_000;

impl Calendar {
    pub(super) fn new(unit: CalendarUnit, offset: TimeSpan, zone: Zone) -> Self {
        Self { unit, offset: i128::from(offset.0), zone, last: Cell::new((0, 0)) }
    }

    /// The start and the end of the unit that holds `time`.
    #[inline(always)]
    pub(super) fn window(&self, time: i64) -> (i64, i64) {
        let (start, end) = self.last.get();
        if start <= time && time < end {
            return (start, end);
        }
        self.last.set(self.find(time));
        self.last.get()
    }

    fn find(&self, time: i64) -> (i64, i64) {
        let local = self.zone.local(time) - self.offset;
        let day = i64::try_from(local.div_euclid(DAY_MICROS)).expect("there are fewer days");
        let (first, after) = self.unit.days(day);
        let (start, end) = (self.begin(first), self.begin(after));
        // The clocks may have shown the unit's first moment twice, or never.
        if time < start {
            let (earlier, _) = self.unit.days(first - 1);
            return (self.begin(earlier), start);
        }
        if time >= end {
            let (_, later) = self.unit.days(after);
            return (end, self.begin(later));
        }
        (start, end)
    }

    /// When a unit begins whose first day it is.
    fn begin(&self, day: i64) -> i64 {
        self.zone.utc(i128::from(day) * DAY_MICROS + self.offset)
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

    #[test]
    fn a_day_of_summer_time_is_as_long_as_its_clocks_say() {
        let berlin = Zone::named("Europe/Berlin");
        assert_eq!(berlin.problem(), None);
        let days = Calendar::new(CalendarUnit::Day, TimeSpan::ZERO, berlin.clone());
        let cases = [
            ("2024-03-31T12:00:00Z", "2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z"),
            ("2024-10-27T12:00:00Z", "2024-10-26T22:00:00Z", "2024-10-27T23:00:00Z"),
            ("2024-07-01T22:00:00Z", "2024-07-01T22:00:00Z", "2024-07-02T22:00:00Z"),
        ];
        for (time, start, end) in cases {
            assert_eq!(window(&days, time), (start.to_owned(), end.to_owned()), "{time}");
        }
        let months = Calendar::new(CalendarUnit::Month, TimeSpan::ZERO, berlin.clone());
        let march = window(&months, "2024-03-31T21:59:59Z");
        assert_eq!(march, ("2024-02-29T23:00:00Z".to_owned(), "2024-03-31T22:00:00Z".to_owned()));
        // Half past two is skipped on one day, and comes twice on another.
        let shifted = Calendar::new(CalendarUnit::Day, TimeSpan::minutes(150), berlin);
        let skipped = window(&shifted, "2024-03-31T01:30:00Z");
        assert_eq!(skipped.0, "2024-03-31T01:30:00Z");
        let twice = window(&shifted, "2024-10-27T00:30:00Z");
        assert_eq!(twice.0, "2024-10-27T00:30:00Z");
        assert_eq!(window(&shifted, "2024-10-27T01:15:00Z"), twice);
        assert_eq!(window(&shifted, "2024-10-27T00:29:00Z").1, twice.0);
    }

    #[test]
    fn units_follow_each_other_without_gaps_in_every_zone() {
        let zones = ["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia"];
        for zone in zones.map(Zone::named) {
            for unit in [CalendarUnit::Day, CalendarUnit::Week, CalendarUnit::Month] {
                for offset in [TimeSpan::ZERO, TimeSpan::minutes(150)] {
                    let calendar = Calendar::new(unit, offset, zone.clone());
                    let (mut start, mut end) = calendar.find(1_200_000_000_000_000);
                    while end < 1_400_000_000_000_000 {
                        assert!(start < end, "{zone} {unit:?}");
                        for time in [start, start + (end - start) / 2, end - 1] {
                            assert_eq!(calendar.find(time), (start, end), "{zone} {unit:?} {time}");
                        }
                        let (next, next_end) = calendar.find(end);
                        assert_eq!(next, end, "{zone} {unit:?}");
                        (start, end) = (next, next_end);
                    }
                }
            }
        }
    }

    #[test]
    fn a_zone_that_there_is_not_is_a_problem() {
        let problem = Zone::named("Europe/Atlantis").problem();
        assert_eq!(problem, Some(WindowProblem::NoZone { name: "Europe/Atlantis".to_owned() }));
    }
}

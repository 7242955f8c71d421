//! What windows there are: the user's words for them, and whether they can work.

use super::calendar::{Calendar, CalendarUnit, Zone};
use super::grid::Grid;
use crate::record::TimeSpan;

/// How a key's records are put into windows.
///
/// Windows hold their first microsecond and not their last: `[start, end)`.
///
/// ```
/// use pelton::chain::operators::{Window, Zone};
/// use pelton::record::TimeSpan;
///
/// let minutes = Window::tumbling(TimeSpan::minutes(1));
/// let sliding = Window::hopping(TimeSpan::hours(1), TimeSpan::minutes(5));
/// let visits = Window::session(TimeSpan::minutes(30));
/// let so_far_today = Window::cumulate(TimeSpan::days(1), TimeSpan::hours(1));
/// let months = Window::months().in_zone(Zone::named("Europe/Berlin"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    kind: WindowKind,
    offset: TimeSpan,
    zone: Zone,
    may_have_gaps: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WindowKind {
    Hopping { lengths: Vec<TimeSpan>, slide: TimeSpan },
    Cumulating { length_max: TimeSpan, step: TimeSpan },
    Calendar(CalendarUnit),
    Session { gap: TimeSpan },
    Global,
}

impl Window {
    fn of(kind: WindowKind) -> Self {
        Self { kind, offset: TimeSpan::ZERO, zone: Zone::UTC, may_have_gaps: false }
    }

    /// Windows that follow each other.
    #[must_use]
    pub fn tumbling(length: TimeSpan) -> Self {
        Self::hopping(length, length)
    }

    /// Windows of one length, one every `slide`.
    #[must_use]
    pub fn hopping(length: TimeSpan, slide: TimeSpan) -> Self {
        Self::of(WindowKind::Hopping { lengths: vec![length], slide })
    }

    /// Windows of several lengths, one of each every `slide`. They share slices, so a record costs
    /// what it costs with one length; rows say which length they are of.
    #[must_use]
    pub fn hopping_lengths(lengths: impl IntoIterator<Item = TimeSpan>, slide: TimeSpan) -> Self {
        Self::of(WindowKind::Hopping { lengths: lengths.into_iter().collect(), slide })
    }

    /// Windows that start every `length_max`, and end every `step` after that: the day so far, each
    /// hour.
    #[must_use]
    pub fn cumulate(length_max: TimeSpan, step: TimeSpan) -> Self {
        Self::of(WindowKind::Cumulating { length_max, step })
    }

    /// Runs of records that are less than `gap` apart. A session ends `gap` after its last record;
    /// one that comes exactly then begins the next.
    #[must_use]
    pub fn session(gap: TimeSpan) -> Self {
        Self::of(WindowKind::Session { gap })
    }

    /// Days from midnight to midnight.
    #[must_use]
    pub fn days() -> Self {
        Self::of(WindowKind::Calendar(CalendarUnit::Day))
    }

    /// Weeks from Monday on.
    #[must_use]
    pub fn weeks() -> Self {
        Self::of(WindowKind::Calendar(CalendarUnit::Week))
    }

    /// Months from the first on.
    #[must_use]
    pub fn months() -> Self {
        Self::of(WindowKind::Calendar(CalendarUnit::Month))
    }

    /// Years from the first of January on.
    #[must_use]
    pub fn years() -> Self {
        Self::of(WindowKind::Calendar(CalendarUnit::Year))
    }

    /// One window of all of a key's records, without end: its trigger says when it fires.
    #[must_use]
    pub fn global() -> Self {
        Self::of(WindowKind::Global)
    }

    /// Windows start this much later. Of calendar ones: a day that begins at four, say.
    #[must_use]
    pub fn offset(mut self, offset: TimeSpan) -> Self {
        self.offset = offset;
        self
    }

    /// The zone whose calendar it is.
    #[must_use]
    pub fn in_zone(mut self, zone: Zone) -> Self {
        self.zone = zone;
        self
    }

    /// Windows may be further apart than they are long: records in between belong to none, and
    /// leave the stream as if by a filter.
    #[must_use]
    pub fn with_gaps(mut self) -> Self {
        self.may_have_gaps = true;
        self
    }

    pub(super) fn kind(&self) -> &WindowKind {
        &self.kind
    }

    pub(super) fn offset_span(&self) -> TimeSpan {
        self.offset
    }

    pub(super) fn assigner(&self) -> Assigner {
        match &self.kind {
            WindowKind::Hopping { lengths, slide } => {
                let grid = |length: &TimeSpan| Grid::hopping(*length, *slide, self.offset);
                Assigner::Grids(lengths.iter().map(grid).collect())
            }
            WindowKind::Cumulating { length_max, step } => {
                Assigner::Grids(vec![Grid::cumulating(*length_max, *step, self.offset)])
            }
            WindowKind::Calendar(unit) => {
                Assigner::Calendar(Calendar::new(*unit, self.offset, self.zone.clone()))
            }
            WindowKind::Session { gap } => Assigner::Session { gap: gap.0 },
            WindowKind::Global => Assigner::Global,
        }
    }

    /// What its windows depend on, as text.
    pub(super) fn identity(&self) -> String {
        let Self { kind, offset: TimeSpan(offset), zone, .. } = self;
        match kind {
            WindowKind::Hopping { lengths, slide } => {
                let lengths: Vec<String> =
                    lengths.iter().map(|length| format!("length {} us", length.0)).collect();
                format!("{}, slide {} us, offset {offset} us", lengths.join(", "), slide.0)
            }
            WindowKind::Cumulating { length_max, step } => {
                format!("up to {} us, step {} us, offset {offset} us", length_max.0, step.0)
            }
            WindowKind::Calendar(unit) => format!("{unit:?}s of {zone}, offset {offset} us"),
            WindowKind::Session { gap } => format!("sessions, gap {} us", gap.0),
            WindowKind::Global => "global".to_owned(),
        }
    }

    /// Whether windows close by event time: all but the global one do.
    pub(crate) fn needs_event_time(&self) -> bool {
        self.kind != WindowKind::Global
    }

    /// Why windows like these can't work, if they can't.
    pub(crate) fn problem(&self) -> Option<WindowProblem> {
        let not_positive = |what: &'static str, span: TimeSpan| {
            (span <= TimeSpan::ZERO).then_some(WindowProblem::NotPositive { what, micros: span.0 })
        };
        match &self.kind {
            WindowKind::Hopping { lengths, slide } => {
                if lengths.is_empty() {
                    return Some(WindowProblem::NoLength);
                }
                let mut lengths_found =
                    lengths.iter().map(|length| not_positive("length", *length));
                let gap = |length: &TimeSpan| {
                    let (slide_micros, length_micros) = (slide.0, length.0);
                    (slide > length && !self.may_have_gaps)
                        .then_some(WindowProblem::Gaps { slide_micros, length_micros })
                };
                let problem = lengths_found.find_map(|problem| problem);
                problem
                    .or_else(|| not_positive("slide", *slide))
                    .or_else(|| lengths.iter().find_map(gap))
            }
            WindowKind::Cumulating { length_max, step } => {
                let rest = || {
                    let (length_micros, step_micros) = (length_max.0, step.0);
                    (length_max.0 % step.0 != 0)
                        .then_some(WindowProblem::UnevenSteps { length_micros, step_micros })
                };
                not_positive("longest length", *length_max)
                    .or_else(|| not_positive("step", *step))
                    .or_else(rest)
            }
            WindowKind::Session { gap } => not_positive("gap", *gap),
            WindowKind::Calendar(_) => self.zone.problem(),
            WindowKind::Global => None,
        }
    }
}

/// Why windows can't work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowProblem {
    /// A length, a slide, a gap or a period that is not positive.
    #[error("its {what} is {micros} us; it must be more than nothing")]
    NotPositive {
        /// What of it.
        what: &'static str,
        /// How long it is.
        micros: i64,
    },
    /// The allowed lateness is negative.
    #[error("its allowed lateness is {micros} us; it must not be negative")]
    NegativeLateness {
        /// How long it is.
        micros: i64,
    },
    /// A number of records that is zero.
    #[error("it fires with every 0 records; name a number from 1 on")]
    NoRecords,
    /// An evictor that leaves nothing.
    #[error("its windows keep the last 0 records; name a number from 1 on")]
    KeepsNothing,
    /// No length at all.
    #[error("it has windows of no length; name one at least")]
    NoLength,
    /// Records would fall between windows, without a word about it.
    #[error(
        "its windows are {length_micros} us long and start every {slide_micros} us, so records in \
         between would belong to none; if that is meant, say `.with_gaps()`"
    )]
    Gaps {
        /// How far apart they start.
        slide_micros: i64,
        /// How long they are.
        length_micros: i64,
    },
    /// Cumulating windows whose last step is shorter than the others.
    #[error(
        "its longest window of {length_micros} us is no multiple of its step of {step_micros} us"
    )]
    UnevenSteps {
        /// How long the longest is.
        length_micros: i64,
        /// By how much they grow.
        step_micros: i64,
    },
    /// A zone that the tz database does not have.
    #[error(
        "its windows are of the zone `{name}`, which the tz database does not have; name one such \
         as `Europe/Berlin`, or say how far it is ahead of UTC with `Zone::fixed`"
    )]
    NoZone {
        /// The name.
        name: String,
    },
    /// The windows close by event time, and there is none.
    #[error(
        "it has windows of event time, and {what}; give the record an `#[event_time]` field, and its \
         source `SourceOptions::lateness`"
    )]
    NoEventTime {
        /// What is missing.
        what: &'static str,
    },
}

/// Puts times into windows.
#[derive(Debug, Clone)]
pub(super) enum Assigner {
    Grids(Vec<Grid>),
    Calendar(Calendar),
    Session { gap: i64 },
    Global,
}

impl Assigner {
    /// Calls `visit` with each window that holds `time`, whose bounds do not depend on records: its
    /// start, its end, and which of the lengths it is of.
    #[inline(always)]
    pub(super) fn each(&self, time: i64, mut visit: impl FnMut(i64, i64, u16)) {
        match self {
            Self::Grids(grids) => {
                for (grid, length_index) in grids.iter().zip(0..) {
                    grid.each(time, |start, end| visit(start, end, length_index));
                }
            }
            Self::Calendar(calendar) => {
                let (start, end) = calendar.window(time);
                visit(start, end, 0);
            }
            Self::Session { .. } | Self::Global => {}
        }
    }
}

/// What texts there are to say, with commas between them.
pub(in crate::chain::operators) fn listed(parts: &[String]) -> String {
    let parts: Vec<&str> =
        parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    parts.join(", ")
}

/// What a row says of earlier rows of the same window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Each row holds all that has come, and replaces the one before.
    #[default]
    Accumulating,
    /// Each row holds what has come since the last one: the rows add up.
    Discarding,
    /// As accumulating, and each row that does not hold any more is taken back first.
    Retracting,
}

/// How windows treat what comes late, and what they say more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// How long after its end a window takes records still.
    pub lateness: TimeSpan,
    /// What a row says of earlier ones.
    pub mode: Mode,
}

impl Rules {
    /// The same, as text: what states depend on. Nothing to say of the usual ones.
    pub(super) fn identity(&self) -> String {
        if *self == Self::default() {
            return String::new();
        }
        format!("{:?}, lateness {} us", self.mode, self.lateness.0)
    }

    pub(crate) fn problem(&self) -> Option<WindowProblem> {
        let micros = self.lateness.0;
        (micros < 0).then_some(WindowProblem::NegativeLateness { micros })
    }
}

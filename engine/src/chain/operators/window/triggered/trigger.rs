//! When a window fires: what decides it, and what the choices are.
//!
//! Takes what happens to a window; hands on whether it fires. A trigger keeps a small state for each
//! window, which lies beside the window's own.
//!
//! Invariants
//! 1. A trigger sets no timers: its state says when it wants to be asked next. So timers are made
//!    anew from the store after a restart, and none is ever left behind.
//! 2. A timer that was answered is later the next time, or gone.
//!
//! Why the end of a window is no timer of the trigger's: nearly all triggers fire then, and the
//! operator knows it without asking. One that should not fire answers [`Fire::Wait`].

use super::super::spec::WindowProblem;
use crate::record::{EventTime, Fixed, Layout, TimeSpan};

/// What becomes of a window now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fire {
    /// Nothing.
    Wait,
    /// It emits what it holds.
    Emit,
    /// It emits what it holds, and forgets it.
    EmitAndPurge,
    /// It forgets what it holds.
    Purge,
}

/// What a trigger may know of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowStatus {
    /// The window's first microsecond.
    pub start: EventTime,
    /// The first microsecond after it.
    pub end: EventTime,
    /// How many records have come since it was opened or purged, the present one too.
    pub record_count: u64,
    /// How far event time has come.
    pub watermark: EventTime,
    /// The time of day in microseconds since 1970, as of this turn.
    pub wall_micros: i64,
}

/// Decides when windows fire.
///
/// ```
/// use pelton::chain::operators::{Fire, Trigger, WindowStatus};
/// use pelton::record::EventTime;
///
/// /// Fires as soon as a window has a hundred records, and at its end.
/// #[derive(Clone)]
/// struct AtHundred;
///
/// impl Trigger for AtHundred {
///     type State = ();
///     fn start(&self) {}
///     fn on_record(&self, (): &mut (), window: &WindowStatus, _: EventTime) -> Fire {
///         if window.record_count == 100 { Fire::Emit } else { Fire::Wait }
///     }
///     fn merge(&self, (): (), (): ()) {}
///     fn identity(&self) -> String {
///         "at a hundred".to_owned()
///     }
/// }
/// ```
pub trait Trigger: Clone + Send + Sync + 'static {
    /// What it keeps for a window.
    type State: Fixed;

    /// Whether windows fire when they end, and for each late record, and never else. Then records
    /// may go into slices that windows share, and the trigger is not asked.
    const AT_END_ONLY: bool = false;

    /// The state of a window without records.
    fn start(&self) -> Self::State;

    /// A record has come before the window's end; `time` is its own.
    fn on_record(&self, state: &mut Self::State, window: &WindowStatus, time: EventTime) -> Fire;

    /// A record has come after the window's end, within the allowed lateness.
    fn on_late(&self, _state: &mut Self::State, _window: &WindowStatus, _time: EventTime) -> Fire {
        Fire::Emit
    }

    /// The watermark has passed the window's end; for a window without end, the input has ended.
    fn on_end(&self, _state: &mut Self::State, _window: &WindowStatus) -> Fire {
        Fire::Emit
    }

    /// The allowed lateness is over: after this the window is gone.
    fn on_expiry(&self, _state: &mut Self::State, _window: &WindowStatus) -> Fire {
        Fire::Wait
    }

    /// The event time at which it wants to be asked, before the window's end.
    fn event_timer(&self, _state: &Self::State) -> Option<EventTime> {
        None
    }

    /// The watermark has reached that time.
    fn on_event_timer(&self, _state: &mut Self::State, _window: &WindowStatus) -> Fire {
        Fire::Emit
    }

    /// The time of day, in microseconds since 1970, at which it wants to be asked, before the
    /// window's end.
    fn wall_timer(&self, _state: &Self::State) -> Option<i64> {
        None
    }

    /// That time of day has come.
    fn on_wall_timer(&self, _state: &mut Self::State, _window: &WindowStatus) -> Fire {
        Fire::Emit
    }

    /// The state of a session that two have become.
    fn merge(&self, earlier: Self::State, later: Self::State) -> Self::State;

    /// What its states depend on, as text: states of another identity are refused at a restart.
    fn identity(&self) -> String;

    /// Why it can't work, if it can't: the job is refused then.
    fn problem(&self) -> Option<WindowProblem> {
        None
    }
}

/// Fires when the watermark passes a window's end, and for each late record after that: what
/// windows do unless they are told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtEnd;

impl Trigger for AtEnd {
    type State = ();
    const AT_END_ONLY: bool = true;
    fn start(&self) {}
    fn on_record(&self, (): &mut (), _: &WindowStatus, _: EventTime) -> Fire {
        Fire::Wait
    }
    fn merge(&self, (): (), (): ()) {}
    fn identity(&self) -> String {
        String::new()
    }
}

/// Fires once, when the window can't change any more: at its end, plus the allowed lateness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnClose;

impl Trigger for OnClose {
    type State = ();
    fn start(&self) {}
    fn on_record(&self, (): &mut (), _: &WindowStatus, _: EventTime) -> Fire {
        Fire::Wait
    }
    fn on_late(&self, (): &mut (), _: &WindowStatus, _: EventTime) -> Fire {
        Fire::Wait
    }
    fn on_end(&self, (): &mut (), _: &WindowStatus) -> Fire {
        Fire::Wait
    }
    fn on_expiry(&self, (): &mut (), _: &WindowStatus) -> Fire {
        Fire::Emit
    }
    fn merge(&self, (): (), (): ()) {}
    fn identity(&self) -> String {
        "on close".to_owned()
    }
}

/// Fires early as well: every so often by event time or by the wall clock, or every so many records.
/// By time, a window that has not changed does not fire again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Early {
    /// At each multiple of this by event time, from 1970 on.
    pub(super) every: Option<TimeSpan>,
    /// So long after the first record since the last firing, by the wall clock.
    pub(super) wall: Option<TimeSpan>,
    /// With every so many records.
    pub(super) records: Option<u64>,
}

/// What [`Early`] keeps for a window; `i64::MAX` where no time is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlyState {
    event_at: i64,
    wall_at: i64,
    record_count: u64,
}

impl Fixed for EarlyState {
    const BYTES: usize = 24;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        let (event_at, wall_at, record_count) = Fixed::read(bytes);
        Self { event_at, wall_at, record_count }
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        (self.event_at, self.wall_at, self.record_count).write(bytes);
    }
    fn layout() -> Layout {
        let (event_at, wall_at) = (Layout::Time, i64::layout());
        let record_count = u64::layout();
        Layout::fields([
            ("event_at", event_at),
            ("wall_at", wall_at),
            ("record_count", record_count),
        ])
    }
}

impl Early {
    /// At each multiple of `span` of event time.
    #[must_use]
    pub fn every(span: TimeSpan) -> Self {
        Self { every: Some(span), ..Self::default() }
    }

    /// Every `span` of the wall clock. What is emitted then depends on when the job runs.
    #[must_use]
    pub fn every_wall(span: TimeSpan) -> Self {
        Self { wall: Some(span), ..Self::default() }
    }

    /// With every `count` records of a window since it has fired.
    #[must_use]
    pub fn every_records(count: u64) -> Self {
        Self { records: Some(count), ..Self::default() }
    }

    /// Also when `other` fires.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            every: self.every.or(other.every),
            wall: self.wall.or(other.wall),
            records: self.records.or(other.records),
        }
    }

    /// The first multiple after `time`.
    fn next_multiple(span: TimeSpan, time: i64) -> i64 {
        let next = (i128::from(time).div_euclid(i128::from(span.0)) + 1) * i128::from(span.0);
        super::super::grid::to_time(next)
    }
}

impl Trigger for Early {
    type State = EarlyState;

    fn start(&self) -> EarlyState {
        EarlyState { event_at: i64::MAX, wall_at: i64::MAX, record_count: 0 }
    }

    fn on_record(&self, state: &mut EarlyState, window: &WindowStatus, time: EventTime) -> Fire {
        if let (Some(span), i64::MAX) = (self.every, state.event_at) {
            state.event_at = Self::next_multiple(span, time.max(window.watermark).0);
        }
        if let (Some(span), i64::MAX) = (self.wall, state.wall_at) {
            state.wall_at = window.wall_micros.saturating_add(span.0);
        }
        state.record_count += 1;
        // Sessions that have merged may have more than enough together.
        if self.records.is_some_and(|count| state.record_count >= count) {
            *state = self.start();
            return Fire::Emit;
        }
        Fire::Wait
    }

    fn event_timer(&self, state: &EarlyState) -> Option<EventTime> {
        (state.event_at != i64::MAX).then_some(EventTime(state.event_at))
    }

    fn on_event_timer(&self, state: &mut EarlyState, _: &WindowStatus) -> Fire {
        *state = self.start();
        Fire::Emit
    }

    fn wall_timer(&self, state: &EarlyState) -> Option<i64> {
        (state.wall_at != i64::MAX).then_some(state.wall_at)
    }

    fn on_wall_timer(&self, state: &mut EarlyState, window: &WindowStatus) -> Fire {
        self.on_event_timer(state, window)
    }

    fn merge(&self, earlier: EarlyState, later: EarlyState) -> EarlyState {
        EarlyState {
            event_at: earlier.event_at.min(later.event_at),
            wall_at: earlier.wall_at.min(later.wall_at),
            record_count: earlier.record_count + later.record_count,
        }
    }

    fn identity(&self) -> String {
        let Self { every, wall, records } = self;
        let micros = |span: &Option<TimeSpan>| span.map_or(0, |span| span.0);
        let records = records.unwrap_or(0);
        format!("early every {} us, {} us of wall, {records} records", micros(every), micros(wall))
    }

    fn problem(&self) -> Option<WindowProblem> {
        let spans = [("early period", self.every), ("early period of wall clock", self.wall)];
        let not_positive = spans.into_iter().find_map(|(what, span)| {
            let micros = span.filter(|span| *span <= TimeSpan::ZERO)?.0;
            Some(WindowProblem::NotPositive { what, micros })
        });
        not_positive.or((self.records == Some(0)).then_some(WindowProblem::NoRecords))
    }
}

/// Fires with every so many records, and never for the time: what windows by count do. Records that
/// are left over at the end of the input are not emitted, as there are too few of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EveryRecords {
    pub(super) count: u64,
    pub(super) purges: bool,
}

impl EveryRecords {
    /// Fires with every `count` records, and forgets them.
    #[must_use]
    pub fn purging(count: u64) -> Self {
        Self { count, purges: true }
    }

    /// Fires with every `count` records, and keeps them.
    #[must_use]
    pub fn keeping(count: u64) -> Self {
        Self { count, purges: false }
    }
}

impl Trigger for EveryRecords {
    type State = u64;

    fn start(&self) -> u64 {
        0
    }

    fn on_record(&self, seen: &mut u64, _: &WindowStatus, _: EventTime) -> Fire {
        *seen += 1;
        if *seen < self.count {
            return Fire::Wait;
        }
        *seen = 0;
        if self.purges { Fire::EmitAndPurge } else { Fire::Emit }
    }

    fn on_late(&self, seen: &mut u64, window: &WindowStatus, time: EventTime) -> Fire {
        self.on_record(seen, window, time)
    }

    fn on_end(&self, _: &mut u64, _: &WindowStatus) -> Fire {
        Fire::Wait
    }

    fn merge(&self, earlier: u64, later: u64) -> u64 {
        earlier + later
    }

    fn identity(&self) -> String {
        format!("every {} records{}", self.count, if self.purges { ", purging" } else { "" })
    }

    fn problem(&self) -> Option<WindowProblem> {
        (self.count == 0).then_some(WindowProblem::NoRecords)
    }
}

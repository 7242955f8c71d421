//! Time cut into slices, and windows counted in them: pure arithmetic.
//!
//! ```text
//!   slices     | a | b | c | d | e | f |
//!   hopping    [a b] [b c] [c d] ...               length 2 slices, slide 1
//!   cumulating [a] [a b] [a b c] [d] [d e] ...     up to 3 slices, step 1
//! ```
//!
//! A slice is as long as the greatest common divisor of all lengths and slides, so that each window
//! is a whole number of slices. All is wider than times, so nothing saturates.

use super::super::grid::to_time;
use super::super::spec::{Window, WindowKind};
use crate::record::{EventTime, TimeSpan};

/// Of how many slices a window may be, if they are shorter than the slide.
const SLICES_MAX: i128 = 1 << 16;

/// Windows of one length, in slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Family {
    /// How long a window is; of cumulating ones, the longest.
    length: i128,
    /// How far apart windows end.
    slide: i128,
    /// The end of window 0.
    first_end: i128,
    is_cumulating: bool,
}

/// How time is cut, and the windows that are made of it.
#[derive(Debug, Clone)]
pub(super) struct Slices {
    slice_micros: i64,
    /// Where slice 0 starts.
    origin: i64,
    /// There are moments that no window holds.
    pub(super) has_gaps: bool,
    pub(super) families: Vec<Family>,
}

impl Slices {
    /// The slices of windows whose bounds do not depend on records or on a calendar.
    pub(super) fn of(window: &Window) -> Option<Self> {
        let micros = |span: TimeSpan| i128::from(span.0);
        let (lengths, slide, is_cumulating): (Vec<i128>, _, _) = match window.kind() {
            WindowKind::Hopping { lengths, slide } => {
                (lengths.iter().map(|length| micros(*length)).collect(), micros(*slide), false)
            }
            WindowKind::Cumulating { length_max, step } => {
                (vec![micros(*length_max)], micros(*step), true)
            }
            WindowKind::Calendar(_) | WindowKind::Session { .. } | WindowKind::Global => {
                return None;
            }
        };
        let slice_micros = lengths.iter().copied().fold(slide, greatest_common_divisor);
        let offset = micros(window.offset_span());
        let origin = offset.rem_euclid(slice_micros);
        // The slice at which window 0 starts.
        let first = (offset - origin) / slice_micros;
        let family = |length: i128| {
            let (length, slide) = (length / slice_micros, slide / slice_micros);
            let first_end = first + if is_cumulating { slide } else { length };
            Family { length, slide, first_end, is_cumulating }
        };
        let has_gaps = !is_cumulating && lengths.iter().any(|length| *length < slide);
        let families = lengths.into_iter().map(family).collect();
        let [slice_micros, origin] = [slice_micros, origin].map(to_time);
        Some(Self { slice_micros, origin, has_gaps, families })
    }

    /// Whether a window is of more slices than its firing should look up: an hour that moves on by
    /// 1,000,003 us is of 3.6 G. Where a slice is as long as the slide, a record is in as many windows
    /// as a window has slices, so cutting never costs more.
    pub(super) fn are_too_many(&self) -> bool {
        self.families.iter().any(|family| family.slide > 1 && family.length > SLICES_MAX)
    }

    pub(super) fn slice_of(&self, time: EventTime) -> i128 {
        let Self { slice_micros, origin, .. } = *self;
        match time.0.checked_sub(origin) {
            // The rule: a division of 64 bits, not of 128.
            Some(since) => i128::from(since.div_euclid(slice_micros)),
            None => (i128::from(time.0) - i128::from(origin)).div_euclid(slice_micros.into()),
        }
    }

    /// The last microsecond before slice `number`: when a window that ends there ends.
    pub(super) fn last_before(&self, number: i128) -> i128 {
        self.start_micros(number) - 1
    }

    /// Where slice `number` starts, or the nearest time that there is.
    pub(super) fn time_of(&self, number: i128) -> EventTime {
        EventTime(to_time(self.start_micros(number)))
    }

    fn start_micros(&self, number: i128) -> i128 {
        i128::from(self.origin) + number * i128::from(self.slice_micros)
    }

    /// Up to which slice, excluded, all time has passed.
    pub(super) fn closed_to(&self, watermark: EventTime) -> i128 {
        match watermark {
            EventTime::MIN => i128::MIN / 2,
            EventTime::MAX => i128::MAX / 2,
            EventTime(micros) => {
                let past = i128::from(micros) + 1 - i128::from(self.origin);
                past.div_euclid(self.slice_micros.into())
            }
        }
    }
}

impl Family {
    /// The first slice of the window that ends at `end`.
    pub(super) fn start_of(&self, end: i128) -> i128 {
        if !self.is_cumulating {
            return end - self.length;
        }
        let base = self.first_end - self.slide;
        base + (end - 1 - base).div_euclid(self.length) * self.length
    }

    /// The end of the first window that ends after `end`.
    pub(super) fn end_after(&self, end: i128) -> i128 {
        let passed = (end - self.first_end).div_euclid(self.slide);
        self.first_end + (passed + 1) * self.slide
    }

    /// The end of the first window that holds the slice, where one does.
    pub(super) fn first_end_with(&self, slice: i128) -> Option<i128> {
        let end = self.end_after(slice);
        (self.start_of(end) <= slice).then_some(end)
    }

    /// The end of the last window that holds the slice, where one does.
    pub(super) fn last_end_with(&self, slice: i128) -> Option<i128> {
        let end = if self.is_cumulating {
            self.start_of(self.end_after(slice)) + self.length
        } else {
            self.end_after(slice + self.length) - self.slide
        };
        (end > slice && self.start_of(end) <= slice).then_some(end)
    }
}

fn greatest_common_divisor(mut left: i128, mut right: i128) -> i128 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

/// Every time's slice fits: there are no more slices than microseconds.
pub(super) fn slice_namespace(number: i128) -> Option<u64> {
    i64::try_from(number).ok().map(i64::cast_unsigned)
}

pub(super) fn slice_number(namespace: u64) -> i128 {
    i128::from(namespace.cast_signed())
}

//! Windows whose bounds follow from the clock alone: which of them hold a moment.
//!
//! Pure arithmetic, wider than times, so that nothing saturates before the last step.

use crate::record::TimeSpan;

/// Tumbling, hopping or cumulating windows of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    /// Where window 0 starts, from 1970 on.
    offset: i128,
    /// How long a window is; of cumulating ones the longest.
    length: i128,
    /// How far apart windows start; of cumulating ones, how far apart they end.
    slide: i128,
    is_cumulating: bool,
}

impl Grid {
    pub(super) fn hopping(length: TimeSpan, slide: TimeSpan, offset: TimeSpan) -> Self {
        let [offset, length, slide] = [offset, length, slide].map(|span| i128::from(span.0));
        Self { offset, length, slide, is_cumulating: false }
    }

    pub(super) fn cumulating(length_max: TimeSpan, step: TimeSpan, offset: TimeSpan) -> Self {
        Self { is_cumulating: true, ..Self::hopping(length_max, step, offset) }
    }

    /// Calls `visit` with the start and end of each window that holds `time`, in the order of their
    /// ends. There may be none where windows are further apart than they are long.
    pub(super) fn each(&self, time: i64, mut visit: impl FnMut(i64, i64)) {
        let time = i128::from(time);
        let floor = |unit: i128| self.offset + (time - self.offset).div_euclid(unit) * unit;
        if self.is_cumulating {
            let start = floor(self.length);
            let mut end = floor(self.slide) + self.slide;
            while end <= start + self.length {
                visit(to_time(start), to_time(end));
                end += self.slide;
            }
            return;
        }
        let last = floor(self.slide);
        // The first window that ends after `time`.
        let before = (self.length - 1 - (time - last)).div_euclid(self.slide);
        let mut start = last - before * self.slide;
        while start <= last {
            visit(to_time(start), to_time(start + self.length));
            start += self.slide;
        }
    }
}

/// The nearest time that there is.
pub(super) fn to_time(micros: i128) -> i64 {
    let micros = micros.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    i64::try_from(micros).expect("clamped to a time")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(grid: Grid, time: i64) -> Vec<(i64, i64)> {
        let mut windows = Vec::new();
        grid.each(time, |start, end| windows.push((start, end)));
        windows
    }

    #[test]
    fn a_moment_is_in_the_windows_that_cover_it() {
        let span = TimeSpan::micros;
        let tumbling = Grid::hopping(span(10), span(10), span(3));
        assert_eq!(windows(tumbling, 2), [(-7, 3)]);
        assert_eq!(windows(tumbling, 3), [(3, 13)]);
        let hopping = Grid::hopping(span(10), span(4), span(0));
        assert_eq!(windows(hopping, 9), [(0, 10), (4, 14), (8, 18)]);
        assert_eq!(windows(hopping, 10), [(4, 14), (8, 18)]);
        let gaps = Grid::hopping(span(2), span(5), span(0));
        assert_eq!(windows(gaps, 6), [(5, 7)]);
        assert_eq!(windows(gaps, 7), []);
        let cumulating = Grid::cumulating(span(9), span(3), span(0));
        assert_eq!(windows(cumulating, 4), [(0, 6), (0, 9)]);
        assert_eq!(windows(cumulating, -1), [(-9, 0)]);
    }

    #[test]
    fn the_windows_of_a_moment_are_those_that_a_search_finds() {
        for (length, slide, offset) in [(1, 1, 0), (7, 3, 2), (3, 7, -1), (12, 4, 5), (5, 5, -3)] {
            let span = TimeSpan::micros;
            let grid = Grid::hopping(span(length), span(slide), span(offset));
            for time in -40..40 {
                let starts = (time - length + 1..=time)
                    .filter(|start| (start - offset).rem_euclid(slide) == 0);
                let expected: Vec<_> = starts.map(|start| (start, start + length)).collect();
                assert_eq!(windows(grid, time), expected, "{time} of {grid:?}");
            }
        }
    }
}

//! The schedule of arrivals: when each record is due, and how many that were due had to wait.
//!
//! A schedule goes on for ever and the input does not: an arrival counts only if there was a
//! record for it. Which arrivals had one is known when they are taken, or at the end of the input.
//! So the moments of the largest backlogs are kept as marks until that is known; a mark is made
//! where the backlog has grown by a 64th, so there are few, and a maximum is at most 2 % low.

use std::collections::VecDeque;

/// When records are due.
#[derive(Debug)]
pub(super) struct Schedule {
    rate: f64,
    start_ns: Option<u64>,
    taken: u64,
    marks: VecDeque<Mark>,
    /// The backlog of the last mark.
    marked: u64,
    backlog_max: u64,
}

/// A moment at which the backlog was larger than ever before.
#[derive(Debug, Clone, Copy)]
struct Mark {
    due: u64,
    taken: u64,
}

impl Schedule {
    /// So many records a second; the first is due when it is first asked for.
    pub(super) fn new(rate: f64) -> Self {
        let marks = VecDeque::new();
        Self { rate, start_ns: None, taken: 0, marks, marked: 0, backlog_max: 0 }
    }

    /// When the next arrival is due. The first call, at `now_ns`, starts the schedule.
    #[inline(always)]
    pub(super) fn next_due_ns(&mut self, now_ns: u64) -> u64 {
        let start_ns = *self.start_ns.get_or_insert(now_ns);
        #[expect(clippy::cast_precision_loss, reason = "exact for the first 2^53 records")]
        #[expect(clippy::cast_possible_truncation, reason = "a run lasts less than 584 years")]
        #[expect(clippy::cast_sign_loss, reason = "a product of two positive numbers")]
        let after_ns = (self.taken as f64 * (1e9 / self.rate)) as u64;
        start_ns.saturating_add(after_ns)
    }

    /// A record was taken.
    #[inline(always)]
    pub(super) fn take(&mut self) {
        self.taken += 1;
    }

    /// Notes how many arrivals wait; once a turn, until the input has ended.
    pub(super) fn note(&mut self, now_ns: u64) {
        let Some(start_ns) = self.start_ns else {
            return;
        };
        #[expect(clippy::cast_precision_loss, reason = "a statistic")]
        let elapsed_ns = now_ns.saturating_sub(start_ns) as f64;
        #[expect(clippy::cast_possible_truncation, reason = "far below 2^64 records")]
        #[expect(clippy::cast_sign_loss, reason = "a product of two positive numbers")]
        let due = (elapsed_ns * self.rate / 1e9) as u64;
        let backlog = due.saturating_sub(self.taken);
        if backlog > self.marked + self.marked / 64 {
            self.marks.push_back(Mark { due, taken: self.taken });
            self.marked = backlog;
        }
        while let Some(mark) = self.marks.front().filter(|mark| mark.due <= self.taken) {
            self.backlog_max = self.backlog_max.max(mark.due - mark.taken);
            self.marks.pop_front();
        }
    }

    /// The input has ended: no arrival after the last record that was taken had one.
    pub(super) fn end(&mut self) {
        for mark in self.marks.drain(..) {
            self.backlog_max = self.backlog_max.max(mark.due.min(self.taken) - mark.taken);
        }
    }

    /// The most arrivals that waited at any time, as far as it is known.
    pub(super) fn backlog_max(&self) -> u64 {
        self.backlog_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI_NS: u64 = 1_000_000;

    /// A thousand a second, so a record is due each millisecond.
    fn started() -> Schedule {
        let mut schedule = Schedule::new(1_000.0);
        assert_eq!(schedule.next_due_ns(5), 5);
        schedule
    }

    fn take(schedule: &mut Schedule, count: u64) {
        (0..count).for_each(|_| schedule.take());
    }

    #[test]
    fn arrivals_are_due_by_the_schedule_however_late_they_are_taken() {
        let mut schedule = started();
        take(&mut schedule, 3);
        assert_eq!(schedule.next_due_ns(900 * MILLI_NS), 3 * MILLI_NS + 5);
    }

    #[test]
    fn the_backlog_is_what_waited_at_the_worst_moment() {
        let mut schedule = started();
        schedule.note(10 * MILLI_NS + 5);
        take(&mut schedule, 8);
        schedule.note(11 * MILLI_NS + 5);
        assert_eq!(schedule.backlog_max(), 0, "of the ten, only eight are known to exist");
        take(&mut schedule, 3);
        schedule.note(11 * MILLI_NS + 5);
        assert_eq!(schedule.backlog_max(), 10);
    }

    #[test]
    fn arrivals_without_a_record_do_not_count() {
        let mut schedule = started();
        for milli in 1..=100 {
            take(&mut schedule, milli % 2);
            schedule.note(milli * MILLI_NS + 5);
        }
        // 50 taken, and the input ends: after 50 ms everything had arrived and 25 were taken.
        schedule.end();
        assert_eq!(schedule.backlog_max(), 25);
    }

    #[test]
    fn few_marks_are_kept() {
        let mut schedule = started();
        (1..=1_000_000).for_each(|milli| schedule.note(milli * MILLI_NS + 5));
        assert!(schedule.marks.len() < 1_000);
    }
}

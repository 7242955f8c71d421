//! Event time of the splits that one source stage reads: watermarks, idleness, and lateness.
//!
//! Takes each record's time; hands on whether it is late, and the stage's watermark.
//!
//! Invariants
//! 1. A split's watermark is its highest time seen, less the lateness, less one; it never goes
//!    back, and is raised to the stage's when the split comes back from idleness. A record is late
//!    if its time, plus the lateness that is kept, is at or before its own split's watermark.
//! 2. The stage's watermark is the minimum over its splits: minus infinity for one that has not
//!    been opened, plus infinity for one that has ended. Idle splits do not count; where all are
//!    idle it is the highest of theirs, so it does not depend on which one fell silent first.
//! 3. Only an unbounded split goes idle: when it has had nothing for the idle time while the
//!    stage was free to take. While the stage is held back, the clock of idleness stands still.
//!
//! Why late is judged against the split's own watermark and not the combined one: the combined
//! one depends on how far the other splits happen to have been read, so the same input would give
//! other results on another run, and a replay after a failure could not be exact. Downstream
//! nothing can be late by this rule, since the combined watermark is never ahead of a split's; but
//! for what the job has asked to be handed late (`keep_late`), which is no later than it said.

use crate::record::{EventTime, TimeSpan};

/// Where a split stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitStatus {
    /// Not opened yet: holds the watermark at minus infinity.
    Unopened,
    /// Being read.
    Open,
    /// Nothing has come for the idle time.
    Idle,
    /// At its end.
    Ended,
}

#[derive(Debug, Clone, Copy)]
struct SplitTime {
    status: SplitStatus,
    bounded: bool,
    watermark: EventTime,
    highest: EventTime,
    /// Since when the stage has asked in vain.
    quiet_since_ns: Option<u64>,
}

/// The event time of a source stage.
#[derive(Debug)]
pub struct Timeline {
    splits: Vec<SplitTime>,
    lateness: Option<TimeSpan>,
    /// How late a record may be and is not called late.
    kept_lateness: TimeSpan,
    idle_after_ns: u64,
    /// Sent last; never goes back.
    watermark: EventTime,
    idle: bool,
    /// The split that was named last by `furthest_behind`.
    read_last: usize,
}

impl Timeline {
    /// A timeline over splits, each `bounded` or not; all unopened. Without a lateness nothing is
    /// late, and the watermark stays at minus infinity until the splits have ended.
    #[must_use]
    pub fn new(bounded: &[bool], lateness: Option<TimeSpan>, idle_after_ns: u64) -> Self {
        let split = |&bounded: &bool| SplitTime {
            status: SplitStatus::Unopened,
            bounded,
            watermark: EventTime::MIN,
            highest: EventTime::MIN,
            quiet_since_ns: None,
        };
        Self {
            splits: bounded.iter().map(split).collect(),
            lateness,
            kept_lateness: TimeSpan::ZERO,
            idle_after_ns,
            watermark: EventTime::MIN,
            idle: false,
            read_last: 0,
        }
    }

    /// The same, where records pass that are late by no more than `kept_lateness`.
    #[must_use]
    pub fn keeping(self, kept_lateness: TimeSpan) -> Self {
        Self { kept_lateness, ..self }
    }

    /// Puts a split where it stood in an earlier run.
    pub fn restore(&mut self, split: usize, watermark: EventTime, highest: EventTime, ended: bool) {
        let split = &mut self.splits[split];
        (split.watermark, split.highest) = (watermark, highest);
        if ended {
            split.status = SplitStatus::Ended;
        }
    }

    /// The watermark and the highest time of `split`, for [`Timeline::restore`].
    #[must_use]
    pub fn times(&self, split: usize) -> (EventTime, EventTime) {
        let split = &self.splits[split];
        (split.watermark, split.highest)
    }

    /// Notes a record of `split`; answers whether it is late.
    #[inline(always)]
    pub fn record(&mut self, split: usize, time: EventTime) -> bool {
        let split = &mut self.splits[split];
        if split.status == SplitStatus::Idle {
            // The others went on without it: what is behind them now has come too late.
            split.watermark = split.watermark.max(self.watermark);
        }
        split.status = SplitStatus::Open;
        split.quiet_since_ns = None;
        let kept_to = time.saturating_add(self.kept_lateness);
        if kept_to <= split.watermark && split.watermark != EventTime::MIN {
            return true;
        }
        split.highest = split.highest.max(time);
        if let Some(lateness) = self.lateness {
            let candidate = split.highest.0.saturating_sub(lateness.0).saturating_sub(1);
            split.watermark = split.watermark.max(EventTime(candidate));
        }
        false
    }

    /// Notes that the stage was free to take from `split`, and there was nothing.
    pub fn quiet(&mut self, split: usize, now_ns: u64) {
        let idle_after_ns = self.idle_after_ns;
        let split = &mut self.splits[split];
        if split.status == SplitStatus::Unopened {
            split.status = SplitStatus::Open;
        }
        let since = *split.quiet_since_ns.get_or_insert(now_ns);
        if !split.bounded
            && split.status == SplitStatus::Open
            && now_ns.saturating_sub(since) >= idle_after_ns
        {
            split.status = SplitStatus::Idle;
        }
    }

    /// Notes that the stage is held back: no split looks idle for that.
    pub fn held_back(&mut self) {
        for split in &mut self.splits {
            split.quiet_since_ns = None;
        }
    }

    /// Notes that `split` is at its end.
    pub fn ended(&mut self, split: usize) {
        self.splits[split].status = SplitStatus::Ended;
    }

    /// Where `split` stands.
    #[must_use]
    pub fn status(&self, split: usize) -> SplitStatus {
        self.splits[split].status
    }

    /// The split that is furthest behind, among those that `may_read` allows: reading it next
    /// keeps the splits' event times together. Of equals, as where records have no time, each
    /// gets its turn: one that never ends must not starve the others.
    #[must_use]
    pub fn furthest_behind(&mut self, may_read: impl Fn(usize) -> bool) -> Option<usize> {
        let split_count = self.splits.len();
        let turns_away = |index| (index + split_count - self.read_last - 1) % split_count;
        let readable = self.splits.iter().enumerate();
        let furthest = readable
            .filter(|&(index, split)| split.status != SplitStatus::Ended && may_read(index))
            .min_by_key(|&(index, split)| (split.highest, turns_away(index)))
            .map(|(index, _)| index)?;
        self.read_last = furthest;
        Some(furthest)
    }

    /// When an open, unbounded split that is quiet will turn idle, if none speaks before.
    #[must_use]
    pub fn next_idle_ns(&self) -> Option<u64> {
        let quiet =
            self.splits.iter().filter(|split| !split.bounded && split.status == SplitStatus::Open);
        quiet
            .filter_map(|split| split.quiet_since_ns)
            .map(|since| since.saturating_add(self.idle_after_ns))
            .min()
    }

    /// The stage's watermark and idleness, where they have changed since this was last asked.
    /// A split whose status is open but that has had no record holds it at minus infinity.
    pub fn advance(&mut self) -> Option<(EventTime, bool)> {
        let counting = self
            .splits
            .iter()
            .filter(|split| !matches!(split.status, SplitStatus::Ended | SplitStatus::Idle));
        let lowest = counting.map(|split| split.watermark).min();
        let all_ended = self.all_ended();
        let idle = lowest.is_none() && !all_ended;
        let time = match lowest {
            Some(lowest) => lowest.max(self.watermark),
            None if all_ended => EventTime::MAX,
            None => self.highest_idle().max(self.watermark),
        };
        if (time, idle) == (self.watermark, self.idle) {
            return None;
        }
        (self.watermark, self.idle) = (time, idle);
        Some((time, idle))
    }

    fn highest_idle(&self) -> EventTime {
        let idle = self.splits.iter().filter(|split| split.status == SplitStatus::Idle);
        idle.map(|split| split.watermark).max().unwrap_or(EventTime::MIN)
    }

    /// Whether every split is at its end.
    #[must_use]
    pub fn all_ended(&self) -> bool {
        self.splits.iter().all(|split| split.status == SplitStatus::Ended)
    }

    /// The highest event time of any record so far: how far the stage has come.
    #[must_use]
    pub fn highest(&self) -> EventTime {
        self.splits.iter().map(|split| split.highest).max().unwrap_or(EventTime::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATENESS: Option<TimeSpan> = Some(TimeSpan::micros(10));

    fn open(bounded: &[bool]) -> Timeline {
        Timeline::new(bounded, LATENESS, 1_000)
    }

    #[test]
    fn the_watermark_is_the_highest_time_less_lateness_less_one() {
        let mut timeline = open(&[true]);
        assert!(!timeline.record(0, EventTime(100)));
        assert_eq!(timeline.advance(), Some((EventTime(89), false)));
        assert!(!timeline.record(0, EventTime(90)));
        assert_eq!(timeline.advance(), None);
        assert!(timeline.record(0, EventTime(89)), "late means at or before the watermark");
    }

    #[test]
    fn an_unopened_split_holds_the_watermark_and_an_ended_one_does_not() {
        let mut timeline = open(&[true, true]);
        let _ = timeline.record(0, EventTime(100));
        assert_eq!(timeline.advance(), None);
        timeline.ended(1);
        assert_eq!(timeline.advance(), Some((EventTime(89), false)));
        timeline.ended(0);
        assert_eq!(timeline.advance(), Some((EventTime::MAX, false)));
    }

    #[test]
    fn a_shard_without_splits_is_at_plus_infinity() {
        assert_eq!(open(&[]).advance(), Some((EventTime::MAX, false)));
    }

    #[test]
    fn an_unbounded_split_goes_idle_by_the_clock_and_comes_back() {
        let mut timeline = open(&[false, false]);
        let _ = timeline.record(0, EventTime(100));
        timeline.quiet(1, 5_000);
        timeline.quiet(1, 5_999);
        assert_eq!(timeline.advance(), None);
        assert_eq!(timeline.next_idle_ns(), Some(6_000));
        timeline.quiet(1, 6_000);
        assert_eq!(timeline.status(1), SplitStatus::Idle);
        assert_eq!(timeline.advance(), Some((EventTime(89), false)));
        assert!(timeline.record(1, EventTime(20)), "the others went on without it");
        assert_eq!(timeline.advance(), None, "and the watermark does not go back");
        timeline.quiet(0, 7_000);
        timeline.quiet(1, 7_000);
        timeline.quiet(0, 8_000);
        timeline.quiet(1, 8_000);
        assert_eq!(timeline.advance(), Some((EventTime(89), true)));
    }

    #[test]
    fn without_a_lateness_nothing_is_late() {
        let mut timeline = Timeline::new(&[true], None, 1_000);
        assert!(!timeline.record(0, EventTime(100)));
        assert!(!timeline.record(0, EventTime(i64::MIN)));
        assert_eq!((timeline.advance(), timeline.highest()), (None, EventTime(100)));
    }

    #[test]
    fn being_held_back_does_not_look_idle() {
        let mut timeline = open(&[false]);
        timeline.quiet(0, 0);
        timeline.held_back();
        timeline.quiet(0, 5_000);
        assert_eq!(timeline.status(0), SplitStatus::Open);
        timeline.quiet(0, 6_000);
        assert_eq!(timeline.status(0), SplitStatus::Idle);
    }

    #[test]
    fn a_bounded_split_never_goes_idle() {
        let mut timeline = open(&[true]);
        timeline.quiet(0, 0);
        timeline.quiet(0, 1_000_000);
        assert_eq!(timeline.status(0), SplitStatus::Open);
    }

    #[test]
    fn the_split_furthest_behind_is_read_next() {
        let mut timeline = open(&[true, true, true]);
        let _ = timeline.record(0, EventTime(100));
        let _ = timeline.record(1, EventTime(50));
        assert_eq!(timeline.furthest_behind(|_| true), Some(2));
        assert_eq!(timeline.furthest_behind(|index| index != 2), Some(1));
        timeline.ended(1);
        assert_eq!(timeline.furthest_behind(|index| index != 2), Some(0));
    }

    #[test]
    fn splits_that_are_equally_far_take_turns() {
        let mut timeline = open(&[true, true, true]);
        let picks = [0; 6].map(|_| timeline.furthest_behind(|_| true));
        assert_eq!(picks, [1, 2, 0, 1, 2, 0].map(Some));
    }

    #[test]
    fn when_all_splits_are_idle_it_does_not_matter_which_fell_silent_first() {
        for silent_first in [0, 1] {
            let mut timeline = open(&[false, false]);
            let _ = timeline.record(0, EventTime(100));
            let _ = timeline.record(1, EventTime(50));
            for (split, since_ns) in [(silent_first, 0), (1 - silent_first, 500)] {
                timeline.quiet(split, since_ns);
                timeline.quiet(split, since_ns + 1_000);
                let _ = timeline.advance();
            }
            let _ = timeline.record(1, EventTime(95));
            assert!(timeline.record(1, EventTime(89)), "late since both were idle at 89");
        }
    }
}

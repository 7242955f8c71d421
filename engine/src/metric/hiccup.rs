//! What the machine itself adds: the gaps between two turns in which there was nothing to do.
//!
//! Takes the times of idle turns; hands on a distribution to set beside the latencies. A record
//! that arrives within a gap waits for its end, whatever the engine does.
//!
//! Invariants
//! 1. There is one sample for each microsecond of idle time, so a gap of 1 ms weighs a thousand
//!    samples, falling from 1 ms to 1 us, and quantiles compare with those of evenly spaced
//!    arrivals. (Recording one sample a gap would hide the long ones: coordinated omission.)
//! 2. A gap costs `SAMPLES_A_GAP_MAX` recordings at most: those of a longer gap are
//!    recorded in groups, which stays within the histogram's three digits.

use serde::{Deserialize, Serialize};

use super::Latency;

const SAMPLE_EVERY_NS: u64 = 1_000;
const SAMPLES_A_GAP_MAX: u64 = 1_000;

/// Records the gaps between consecutive idle turns of one thread.
#[derive(Debug, Clone, Default)]
pub struct Hiccup {
    gaps: Latency,
    idle_since_ns: Option<u64>,
    short_ns: u64,
    short_ns_max: u64,
}

/// The figures of hiccups that reports show, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HiccupSummary {
    /// 99 of 100 moments waited at most this.
    pub p99: u64,
    /// 9,999 of 10,000.
    pub p9999: u64,
    /// The longest gap.
    pub max: u64,
}

impl Hiccup {
    /// Nothing recorded yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A turn found nothing to do, and it is now `now_ns`. Two in a row make a gap.
    #[inline]
    pub fn idle_turn(&mut self, now_ns: u64) {
        if let Some(since_ns) = self.idle_since_ns.replace(now_ns) {
            self.record_gap(now_ns.saturating_sub(since_ns));
        }
    }

    /// The turn had work, or the thread parked on purpose: the next gap begins anew.
    #[inline]
    pub fn interrupted(&mut self) {
        self.idle_since_ns = None;
    }

    /// Records one gap.
    pub fn record_gap(&mut self, gap_ns: u64) {
        if gap_ns < SAMPLE_EVERY_NS {
            self.record_short(gap_ns);
            return;
        }
        let samples = gap_ns / SAMPLE_EVERY_NS;
        let group = samples.div_ceil(SAMPLES_A_GAP_MAX);
        let mut wait_ns = gap_ns;
        let mut left = samples;
        while left > 0 {
            let count = group.min(left);
            self.gaps.record_n(wait_ns, count);
            wait_ns = wait_ns.saturating_sub(count * SAMPLE_EVERY_NS);
            left -= count;
        }
    }

    /// All gaps so far.
    #[must_use]
    pub fn gaps(&self) -> &Latency {
        &self.gaps
    }

    /// Adds what another thread recorded.
    pub fn merge(&mut self, other: &Self) {
        self.gaps.merge(&other.gaps);
    }

    /// The figures for a report, or `None` where no turn was idle.
    #[must_use]
    pub fn summary(&self) -> Option<HiccupSummary> {
        (!self.gaps.is_empty()).then(|| HiccupSummary {
            p99: self.gaps.at(0.99),
            p9999: self.gaps.at(0.9999),
            max: self.gaps.max_ns(),
        })
    }

    /// Gaps shorter than the interval share a sample: the longest of them.
    fn record_short(&mut self, gap_ns: u64) {
        self.short_ns += gap_ns;
        self.short_ns_max = self.short_ns_max.max(gap_ns);
        if self.short_ns >= SAMPLE_EVERY_NS {
            self.gaps.record(self.short_ns_max);
            self.short_ns -= SAMPLE_EVERY_NS;
            self.short_ns_max = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_weighs_as_much_as_it_lasts() {
        let mut hiccup = Hiccup::new();
        // 99 ms of turns of 100 ns, and one gap of 1 ms.
        for turn in 0..=990_000 {
            hiccup.idle_turn(turn * 100);
        }
        hiccup.idle_turn(100_000_000);
        let gaps = hiccup.gaps();
        assert_eq!(gaps.count(), 100_000, "invariant 1");
        // 1 % of the time lay in the gap, half of it more than 0.5 ms before its end.
        assert_eq!(gaps.at(0.98), 100);
        assert!(gaps.at(0.995).abs_diff(500_000) < 2_000);
        assert!(hiccup.summary().unwrap().max.abs_diff(1_000_000) < 1_000);
    }

    #[test]
    fn work_between_two_idle_turns_is_no_gap() {
        let mut hiccup = Hiccup::new();
        hiccup.idle_turn(0);
        hiccup.interrupted();
        hiccup.idle_turn(5_000_000);
        assert_eq!(hiccup.summary(), None);
    }

    #[test]
    fn a_gap_recorded_in_groups_counts_the_same() {
        let mut grouped = Hiccup::new();
        grouped.record_gap(10_000_000);
        let mut one_by_one = Latency::new();
        (1..=10_000).for_each(|sample| one_by_one.record(sample * 1_000));
        assert_eq!(grouped.gaps().count(), one_by_one.count());
        for quantile in [0.1, 0.5, 0.9, 0.99] {
            let (a, b) = (grouped.gaps().at(quantile), one_by_one.at(quantile));
            assert!(a.abs_diff(b) <= 20_000, "{quantile}: {a} {b}");
        }
    }
}

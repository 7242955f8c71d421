//! A distribution of latencies, and the figures that are shown of it.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest latency that is told apart: one hour.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;
/// How many points of a curve lie between, say, 99 % and 99.9 %.
const POINTS_A_NINE: u32 = 20;

/// A histogram of nanoseconds. About 270 kB; recording takes a few nanoseconds.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

/// The figures of a latency that reports show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LatencySummary {
    /// Half of all are at most this, in nanoseconds; and so on.
    pub p50: u64,
    /// 99 of 100.
    pub p99: u64,
    /// 999 of 1,000.
    pub p999: u64,
    /// 9,999 of 10,000.
    pub p9999: u64,
    /// All of them.
    pub max: u64,
}

/// One point of a distribution: this share of all values is at most `value_ns`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantilePoint {
    /// From 0 to 1, and below 1.
    pub quantile: f64,
    /// In nanoseconds.
    pub value_ns: u64,
}

impl Latency {
    /// An empty histogram.
    #[must_use]
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, SIGNIFICANT_DIGITS)
            .expect("the bounds and digits are constants that hdrhistogram takes");
        Self(histogram)
    }

    /// Records one value.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    /// Records one value `count` times.
    pub fn record_n(&mut self, ns: u64, count: u64) {
        self.0.saturating_record_n(ns, count);
    }

    /// Adds all that `other` has recorded.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all latencies have the same bounds");
    }

    /// Forgets everything, and keeps the memory.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// How many values were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The largest value.
    #[must_use]
    pub fn max_ns(&self) -> u64 {
        self.0.max()
    }

    /// The value that the share `quantile` of all values does not exceed; 0 where there is none.
    #[must_use]
    pub fn at(&self, quantile: f64) -> u64 {
        // The upper end of the bucket that `max` is in may lie above it.
        self.0.value_at_quantile(quantile).min(self.0.max())
    }

    /// The figures for a report, or `None` where nothing was recorded.
    #[must_use]
    pub fn summary(&self) -> Option<LatencySummary> {
        (!self.is_empty()).then(|| LatencySummary {
            p50: self.at(0.5),
            p99: self.at(0.99),
            p999: self.at(0.999),
            p9999: self.at(0.9999),
            max: self.max_ns(),
        })
    }

    /// The distribution, evenly spaced in nines (90 %, 99 %, 99.9 % are equally far apart), as
    /// far as there are values to tell the next point from the maximum.
    #[must_use]
    pub fn curve(&self) -> Vec<QuantilePoint> {
        if self.is_empty() {
            return Vec::new();
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a count past 2^53 moves no point that can be seen"
        )]
        let share_min = 1.0 / self.count() as f64;
        let shares = (0..)
            .map(|index| 10_f64.powf(-f64::from(index) / f64::from(POINTS_A_NINE)))
            .take_while(|&share| share > share_min);
        let point =
            |share: f64| QuantilePoint { quantile: 1.0 - share, value_ns: self.at(1.0 - share) };
        let mut points: Vec<_> = shares.map(point).collect();
        points.push(QuantilePoint { quantile: 1.0 - share_min, value_ns: self.max_ns() });
        points
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_halves_equal_the_whole() {
        let (mut whole, mut even, mut odd) = (Latency::new(), Latency::new(), Latency::new());
        for value in 1..=100_000 {
            whole.record(value);
            if value % 2 == 0 {
                even.record(value);
            } else {
                odd.record(value);
            }
        }
        even.merge(&odd);
        assert_eq!(even.summary(), whole.summary());
        let summary = whole.summary().unwrap();
        assert_eq!(summary.max, 100_031, "the end of its bucket");
        assert!(summary.p50.abs_diff(50_000) <= 50, "{summary:?}");
        assert!(summary.p9999.abs_diff(99_990) <= 100, "{summary:?}");
    }

    #[test]
    fn a_value_past_an_hour_counts_as_one_and_nothing_has_no_figures() {
        let mut latency = Latency::new();
        assert_eq!(latency.summary(), None);
        assert!(latency.curve().is_empty());
        latency.record(u64::MAX);
        assert!(latency.max_ns() >= LATENCY_NS_MAX);
        assert!(latency.max_ns() < LATENCY_NS_MAX / 1_000 * 1_001);
    }

    #[test]
    fn a_curve_rises_and_ends_at_the_maximum() {
        let mut latency = Latency::new();
        (1..=1_000).for_each(|value| latency.record(value));
        let curve = latency.curve();
        assert!(
            curve
                .windows(2)
                .all(|two| two[0].quantile < two[1].quantile && two[0].value_ns <= two[1].value_ns)
        );
        let last = curve.last().unwrap();
        assert_eq!((last.quantile, last.value_ns), (0.999, latency.max_ns()));
    }

    #[test]
    fn a_summary_is_read_back_from_a_report() {
        let summary = LatencySummary { p50: 1, p99: 2, p999: 3, p9999: 4, max: 5 };
        let text = serde_json::to_string(&summary).unwrap();
        assert_eq!(text, r#"{"p50":1,"p99":2,"p999":3,"p9999":4,"max":5}"#);
        assert_eq!(serde_json::from_str::<LatencySummary>(&text).unwrap(), summary);
    }
}

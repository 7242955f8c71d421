//! The two latencies of an output: *handed* to the sink, and *visible* to its reader.
//!
//! Takes the intended arrival time of each record; hands on values to two histograms. Where there
//! is no schedule of arrivals, an arrival time is 0 and nothing is measured.

use crate::clock::Clock;
use crate::metric::LatencyRecorder;

/// Measures the latencies of one shard's output.
#[derive(Debug, Default)]
pub struct Meter(Option<Recorders>);

#[derive(Debug)]
struct Recorders {
    clock: Clock,
    handed: LatencyRecorder,
    visible: LatencyRecorder,
}

impl Meter {
    /// Measures by `clock`, the same as the arrival times are of.
    #[must_use]
    pub fn new(clock: Clock, handed: LatencyRecorder, visible: LatencyRecorder) -> Self {
        Self(Some(Recorders { clock, handed, visible }))
    }

    /// Measures nothing, and reads no clock.
    #[must_use]
    pub fn silent() -> Self {
        Self(None)
    }

    /// The sink took a record.
    #[inline]
    pub fn handed(&mut self, arrival_ns: u64) {
        if let Some(to) = &mut self.0
            && arrival_ns != 0
        {
            to.handed.record(to.clock.now_ns().saturating_sub(arrival_ns));
        }
    }

    /// The sink took a record, and whoever reads the output has it.
    #[inline]
    pub fn handed_and_visible(&mut self, arrival_ns: u64) {
        if let Some(to) = &mut self.0
            && arrival_ns != 0
        {
            let latency_ns = to.clock.now_ns().saturating_sub(arrival_ns);
            to.handed.record(latency_ns);
            to.visible.record(latency_ns);
        }
    }

    /// Records became visible at `visible_ns`.
    pub fn visible(&mut self, arrivals_ns: &[u64], visible_ns: u64) {
        if let Some(to) = &mut self.0 {
            for arrival_ns in arrivals_ns {
                to.visible.record(visible_ns.saturating_sub(*arrival_ns));
            }
        }
    }

    /// The turn ends: shows the figures to whoever asked for them.
    #[inline]
    pub fn offer(&mut self) {
        if let Some(to) = &mut self.0 {
            to.handed.offer();
            to.visible.offer();
        }
    }
}

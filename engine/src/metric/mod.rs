//! What the engine measures of itself: latencies, hiccups of the machine, and counters.
//!
//! Takes one number a record, a turn or a gap; hands on histograms and copies of counters to the
//! control thread. Knows nothing of records or shards.
//!
//! Invariants
//! 1. Recording allocates nothing, takes no lock and never waits for a reader.
//! 2. A latency is counted from the *intended* arrival, so a stall counts once for each record
//!    that should have arrived meanwhile (no coordinated omission).
//! 3. Histograms hold 1 ns to an hour with three significant digits; what is longer counts as an
//!    hour.
//!
//! Why hdrhistogram everywhere and no mean or standard deviation: a latency is a distribution
//! with a long tail, and the tail is what is asked for.

mod counters;
mod hiccup;
mod latency;
mod relay;

pub use counters::{ShardCount, ShardCounters};
pub use hiccup::{Hiccup, HiccupSummary};
pub use latency::{Latency, LatencySummary, QuantilePoint};
pub use relay::{LatencyReader, LatencyRecorder, latency_relay};

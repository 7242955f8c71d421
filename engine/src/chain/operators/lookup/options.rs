//! What may be asked of a look-up, and what it counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Records of a shard that wait for answers, without another bound.
const IN_FLIGHT_DEFAULT: u32 = 256;
/// The most that may be asked for.
pub(crate) const IN_FLIGHT_MAX: u32 = 1 << 16;

/// How a look-up is done. The defaults: in order, 256 in flight on each shard, 10 s for a call, no
/// retries, no cache.
#[derive(Debug, Clone)]
#[must_use]
pub struct LookupOptions {
    pub(super) in_flight: u32,
    pub(super) is_ordered: bool,
    pub(super) timeout: Duration,
    pub(super) retries: u32,
    pub(super) backoff: Duration,
    pub(super) backoff_max: Duration,
    pub(super) cache: Option<LookupCache>,
    pub(super) meters: LookupMeters,
}

/// How many answers a shard keeps, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookupCache {
    /// How many; the one that was used longest ago goes first.
    pub entries_max: usize,
    /// For how long after its call an answer is good.
    pub time_to_live: Duration,
}

impl Default for LookupOptions {
    fn default() -> Self {
        Self {
            in_flight: IN_FLIGHT_DEFAULT,
            is_ordered: true,
            timeout: Duration::from_secs(10),
            retries: 0,
            backoff: Duration::from_millis(10),
            backoff_max: Duration::from_secs(10),
            cache: None,
            meters: LookupMeters::default(),
        }
    }
}

impl LookupOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records of each shard may wait for answers: 1 to 65,536. Then no more input is taken.
    pub fn in_flight(mut self, in_flight: u32) -> Self {
        self.in_flight = in_flight;
        self
    }

    /// Records leave in the order in which they came: a slow answer holds up those behind it.
    pub fn ordered(mut self) -> Self {
        self.is_ordered = true;
        self
    }

    /// Records leave as their answers come, but none passes a watermark either way. Those of one key
    /// may change places, too.
    pub fn unordered(mut self) -> Self {
        self.is_ordered = false;
        self
    }

    /// How long one call may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many more calls are made where one fails or takes too long; before the first of them `backoff`
    /// is waited, and twice as long before each further one, up to [`LookupOptions::backoff_max`].
    pub fn retries(mut self, retries: u32, backoff: Duration) -> Self {
        self.retries = retries;
        self.backoff = backoff;
        self
    }

    /// The longest wait before a retry: 10 s without it.
    pub fn backoff_max(mut self, backoff_max: Duration) -> Self {
        self.backoff_max = backoff_max;
        self
    }

    /// Keeps so many answers on each shard, and uses each for so long. Failures are not kept. A cache is
    /// not state: a restart begins with an empty one.
    pub fn cache(mut self, entries_max: usize, time_to_live: Duration) -> Self {
        self.cache = Some(LookupCache { entries_max, time_to_live });
        self
    }

    /// Counts into `meters`.
    pub fn meters(mut self, meters: &LookupMeters) -> Self {
        self.meters = meters.clone();
        self
    }

    /// Why a look-up can't work like this.
    pub(crate) fn problem(&self) -> Option<LookupProblem> {
        if !(1..=IN_FLIGHT_MAX).contains(&self.in_flight) {
            return Some(LookupProblem::InFlight { found: self.in_flight });
        }
        if self.timeout.is_zero() {
            return Some(LookupProblem::Timeout);
        }
        let is_useless =
            |cache: LookupCache| cache.entries_max == 0 || cache.time_to_live.is_zero();
        self.cache.is_some_and(is_useless).then_some(LookupProblem::Cache)
    }

    /// How long to wait before the next call when so many were made.
    pub(super) fn backoff_ns(&self, attempts: u32) -> u64 {
        let doublings = attempts.saturating_sub(1).min(31);
        nanoseconds(self.backoff.saturating_mul(1 << doublings).min(self.backoff_max))
    }

    pub(super) fn timeout_ns(&self) -> u64 {
        nanoseconds(self.timeout)
    }
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Why a look-up can't work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LookupProblem {
    /// The bound on what waits.
    #[error("`in_flight({found})`: from 1 to {IN_FLIGHT_MAX} records of a shard may wait")]
    InFlight {
        /// What was asked for.
        found: u32,
    },
    /// No time for a call.
    #[error("its calls have no time to answer in: give `timeout` some")]
    Timeout,
    /// A cache that holds nothing.
    #[error(
        "its cache never holds an answer: give `cache` room and a time to live, or leave it out"
    )]
    Cache,
}

/// What look-ups have done. Clones are handles to the same counts; shards add to them once a turn.
#[derive(Debug, Clone, Default)]
pub struct LookupMeters(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    calls: AtomicU64,
    retries: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    timed_out: AtomicU64,
    cached: AtomicU64,
}

/// A copy of the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LookupCounts {
    /// Calls that were begun, retries among them.
    pub calls: u64,
    /// Calls that were begun because one before them failed or took too long.
    pub retries: u64,
    /// Records that a call was answered for.
    pub answered: u64,
    /// Records whose last call failed.
    pub failed: u64,
    /// Records whose last call took too long.
    pub timed_out: u64,
    /// Records that a kept answer was good for.
    pub cached: u64,
}

impl LookupMeters {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What all shards have counted, over all runs that were given this handle.
    #[must_use]
    pub fn read(&self) -> LookupCounts {
        // Relaxed, here and below: each value stands alone.
        let Shared { calls, retries, answered, failed, timed_out, cached } = &*self.0;
        LookupCounts {
            calls: calls.load(Ordering::Relaxed),
            retries: retries.load(Ordering::Relaxed),
            answered: answered.load(Ordering::Relaxed),
            failed: failed.load(Ordering::Relaxed),
            timed_out: timed_out.load(Ordering::Relaxed),
            cached: cached.load(Ordering::Relaxed),
        }
    }

    pub(super) fn add(&self, more: LookupCounts) {
        let Shared { calls, retries, answered, failed, timed_out, cached } = &*self.0;
        calls.fetch_add(more.calls, Ordering::Relaxed);
        retries.fetch_add(more.retries, Ordering::Relaxed);
        answered.fetch_add(more.answered, Ordering::Relaxed);
        failed.fetch_add(more.failed, Ordering::Relaxed);
        timed_out.fetch_add(more.timed_out, Ordering::Relaxed);
        cached.fetch_add(more.cached, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_twice_the_one_before_it_up_to_the_longest() {
        let ms = Duration::from_millis;
        let options = LookupOptions::new().retries(9, ms(3)).backoff_max(ms(20));
        let waits = [1, 2, 3, 4, 90].map(|attempts| options.backoff_ns(attempts) / 1_000_000);
        assert_eq!(waits, [3, 6, 12, 20, 20]);
    }

    #[test]
    fn what_can_not_work_is_told() {
        let none = Duration::ZERO;
        let problem = |options: LookupOptions| options.problem();
        assert_eq!(problem(LookupOptions::new()), None);
        let found = [0, IN_FLIGHT_MAX + 1].map(|found| LookupOptions::new().in_flight(found));
        assert_eq!(found.map(problem).map(|it| it.is_some()), [true; 2]);
        assert_eq!(problem(LookupOptions::new().timeout(none)), Some(LookupProblem::Timeout));
        let cache = LookupOptions::new().cache(9, none);
        assert_eq!(problem(cache), Some(LookupProblem::Cache));
    }
}

//! Time comes through a seam: production asks the machine, the simulator asks its own clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The engine's clock: monotonic nanoseconds since the engine started. Cheap to clone; every
/// clone reads the same time.
#[derive(Debug, Clone)]
pub struct Clock(Source);

/// When a simulated clock starts: 2020-09-13T12:26:40Z.
const SIMULATED_START_MICROS: i64 = 1_600_000_000_000_000;

#[derive(Debug, Clone)]
enum Source {
    Machine(Instant),
    Simulated(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's monotonic clock, from now.
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    #[must_use]
    pub fn machine() -> Self {
        Self(Source::Machine(Instant::now()))
    }

    /// A clock that stands still until [`Clock::advance`].
    #[must_use]
    pub fn simulated() -> Self {
        Self(Source::Simulated(Arc::new(AtomicU64::new(0))))
    }

    /// Nanoseconds since the engine started. 20 to 30 ns on the machine's clock.
    #[inline]
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        match &self.0 {
            Source::Machine(start) => u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
            // Relaxed: the simulator is one thread.
            Source::Simulated(now) => now.load(Ordering::Relaxed),
        }
    }

    /// The time of day, in microseconds since 1970: for expiry, and for nothing that results
    /// depend on. It may jump either way.
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    #[must_use]
    pub fn wall_micros(&self) -> i64 {
        match &self.0 {
            Source::Machine(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
            }
            Source::Simulated(_) => {
                SIMULATED_START_MICROS.saturating_add_unsigned(self.now_ns() / 1_000)
            }
        }
    }

    /// Moves a simulated clock on; the machine's clock moves by itself.
    pub fn advance(&self, ns: u64) {
        if let Source::Simulated(now) = &self.0 {
            now.fetch_add(ns, Ordering::Relaxed);
        }
    }
}

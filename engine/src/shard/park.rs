//! Step 5, shard: how a shard waits when there is nothing to do, and who wakes it.
//!
//! Takes the time for which a shard has been idle; hands on whether it spins, yields its core or
//! parks. A parked shard is woken by any thread that holds one of its [`Waker`]s.
//!
//! Invariants
//! 1. `sleeping` is 1 only between [`Parker::prepare`] and the first wake, cancel or return.
//! 2. Work is made visible before [`Waker::wake`] looks at `sleeping`, and `sleeping` is set
//!    before its shard looks for work the last time. A fence stands between the two on both
//!    sides, so one of them sees the other: no wake-up is lost.
//! 3. What sleeps is registered under the lock, and only while `sleeping` is still 1; a waker
//!    takes the flag first and then the lock, so it finds what it has to wake.
//! 4. The flag is written by read-modify-write only, off the path of a shard that has work.
//!
//! ```text
//!   shard                                 any other thread
//!   prepare: sleeping = 1; fence          publish to a ring
//!   look for work once more               wake: fence; is sleeping 1?
//!   found: cancel | not found: park             yes: sleeping = 0, wake it
//! ```
//!
//! Why a flag and not a semaphore or an eventfd: a shard under load is never asleep, and then a
//! wake costs one fence and one load of a line that nobody writes, once a batch. The system call
//! is paid only for a shard that really sleeps. Why both flavours register a
//! [`std::task::Waker`]: the plain thread and the glommio executor then sleep by the same proof.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::ring::primitive::{Arc, AtomicUsize, Mutex, Thread, current_thread, fence, park_thread};

const AWAKE: usize = 0;
const SLEEPING: usize = 1;

/// A place for one shard to sleep, and the handle that wakes it.
#[must_use]
pub fn parking() -> (Parker, Waker) {
    let place = Arc::new(Place {
        sleeping: CachePadded::new(AtomicUsize::new(AWAKE)),
        sleeper: Mutex::new(None),
    });
    (Parker(Arc::clone(&place)), Waker(place))
}

struct Place {
    /// On its own cache line: wakers only read it while the shard works.
    sleeping: CachePadded<AtomicUsize>,
    sleeper: Mutex<Option<std::task::Waker>>,
}

impl Place {
    /// Registers what is to be woken; answers whether it still may sleep (invariant 3).
    fn register(&self, sleeper: &std::task::Waker) -> bool {
        let mut registered = self.sleeper.lock().unwrap_or_else(PoisonError::into_inner);
        // Relaxed: a waker that takes the flag after this takes the lock after this, too; one that
        // took it before is seen, or the lock orders it behind the registration.
        if self.sleeping.load(Ordering::Relaxed) == AWAKE {
            return false;
        }
        match &mut *registered {
            Some(registered) => registered.clone_from(sleeper),
            none => *none = Some(sleeper.clone()),
        }
        true
    }
}

/// The shard's side.
pub struct Parker(Arc<Place>);

impl Parker {
    /// The shard is about to sleep. Now it looks for work once more, and then cancels or parks.
    pub fn prepare(&self) {
        // Relaxed: the fence orders it before the last look for work. A swap and not a store, here
        // and in `cancel`: all writes of the flag are then one chain, and a waker that has seen
        // this value cannot replace an older one (invariant 4).
        self.0.sleeping.swap(SLEEPING, Ordering::Relaxed);
        // SeqCst: pairs with the fence in `Waker::wake` (invariant 2).
        fence(Ordering::SeqCst);
    }

    /// There was work after all, or a timer was first.
    pub fn cancel(&self) {
        // Relaxed: a waker that still sees the flag wakes a shard that is awake, which is harmless.
        self.0.sleeping.swap(AWAKE, Ordering::Relaxed);
    }

    /// Puts the thread to sleep until it is woken or the time is over. It may return early, so the
    /// shard looks for work whatever the reason; nothing needs to be cancelled afterwards.
    pub fn park_timeout(&self, timeout: Option<Duration>) {
        let thread = std::sync::Arc::new(ThreadSleeper(current_thread())).into();
        if self.0.register(&thread) {
            park_thread(timeout);
        }
        self.cancel();
    }

    /// The same for a future: ready once the shard is woken. Await it with
    /// [`std::future::poll_fn`], between [`Parker::prepare`] and [`Parker::cancel`].
    pub fn poll_park(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.register(cx.waker()) { Poll::Pending } else { Poll::Ready(()) }
    }
}

/// Wakes one shard, from any thread.
#[derive(Clone)]
pub struct Waker(Arc<Place>);

impl Waker {
    /// Wakes the shard if it sleeps. To be called after each batch that was published to it: one
    /// fence and one load where it is awake.
    #[inline]
    pub fn wake(&self) {
        // SeqCst: pairs with the fence in `Parker::prepare` (invariant 2).
        fence(Ordering::SeqCst);
        if self.0.sleeping.load(Ordering::Relaxed) == SLEEPING {
            self.wake_sleeper();
        }
    }

    #[cold]
    #[inline(never)]
    fn wake_sleeper(&self) {
        // Relaxed: the lock below orders the registration, the fence above the work.
        if self.0.sleeping.swap(AWAKE, Ordering::Relaxed) == AWAKE {
            return;
        }
        let sleeper = self.0.sleeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }
}

impl std::fmt::Debug for Parker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parker").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waker").finish_non_exhaustive()
    }
}

/// A thread that sleeps in `park_timeout`. An unpark that comes first makes the park return at
/// once, so the gap between registering and parking loses nothing.
struct ThreadSleeper(Thread);

impl Wake for ThreadSleeper {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

/// How a shard waits for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitStrategy {
    /// Never leaves its core: the lowest latency, and a core that is always busy. Only where each
    /// shard has a core to itself.
    Spin,
    /// Spins for about as long as a wake-up takes, then gives its core to others for a while, then
    /// parks. At worst it waits twice as long as if it had known.
    Balanced,
    /// Parks almost at once; for machines that are shared, and for more shards than cores.
    Efficient,
}

/// What a shard without work does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Takes its next turn at once.
    Spin,
    /// Lets others run first.
    Yield,
    /// Sleeps until it is woken, or until its next timer.
    Park,
}

/// What it costs to park and be woken, each about this much (measured: 24 us).
const PARK_COST_NS: u64 = 25_000;
const BALANCED_SPIN_NS_MAX: u64 = PARK_COST_NS;
const BALANCED_YIELD_NS_MAX: u64 = 4 * PARK_COST_NS;
const EFFICIENT_YIELD_NS_MAX: u64 = PARK_COST_NS / 5;

impl WaitStrategy {
    /// Never spins where shards outnumber cores: a spinning shard would hold the core of one that
    /// has work.
    #[must_use]
    pub fn default_for(shard_count: usize, core_count: usize) -> Self {
        if shard_count > core_count { Self::Efficient } else { Self::Balanced }
    }
}

/// What to do after `idle_ns` without work; 0 is the first turn that found none.
#[must_use]
pub fn next_wait(strategy: WaitStrategy, idle_ns: u64) -> Wait {
    let (spin_ns_max, yield_ns_max) = match strategy {
        WaitStrategy::Spin => return Wait::Spin,
        WaitStrategy::Balanced => (BALANCED_SPIN_NS_MAX, BALANCED_YIELD_NS_MAX),
        WaitStrategy::Efficient => (0, EFFICIENT_YIELD_NS_MAX),
    };
    if idle_ns < spin_ns_max {
        Wait::Spin
    } else if idle_ns < yield_ns_max {
        Wait::Yield
    } else {
        Wait::Park
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_waits_longer_gives_up_more() {
        use {Wait::*, WaitStrategy::*};
        let after =
            |strategy| [0, 24_999, 25_000, 99_999, 100_000].map(|ns| next_wait(strategy, ns));
        assert_eq!(after(WaitStrategy::Spin), [Wait::Spin; 5]);
        assert_eq!(after(Balanced), [Wait::Spin, Wait::Spin, Yield, Yield, Park]);
        assert_eq!(after(Efficient), [Yield, Park, Park, Park, Park]);
    }

    #[test]
    fn shards_that_outnumber_cores_never_spin_by_default() {
        for shard_count in 1..9 {
            let strategy = WaitStrategy::default_for(shard_count, 2);
            assert_ne!(strategy, WaitStrategy::Spin);
            assert!(shard_count <= 2 || next_wait(strategy, 0) != Wait::Spin);
        }
    }

    #[test]
    fn a_wake_before_the_park_makes_it_return_at_once() {
        let (parker, waker) = parking();
        parker.prepare();
        waker.wake();
        parker.park_timeout(None);
    }

    #[test]
    fn a_wake_while_awake_leaves_nothing_behind() {
        let (parker, waker) = parking();
        waker.wake();
        parker.prepare();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert_eq!(parker.poll_park(&mut cx), Poll::Pending);
        waker.wake();
        assert_eq!(parker.poll_park(&mut cx), Poll::Ready(()));
    }

    #[test]
    fn a_parked_thread_is_woken_by_another() {
        let (parker, waker) = parking();
        let turn = std::sync::Arc::new(AtomicUsize::new(0));
        let seen = std::sync::Arc::clone(&turn);
        let sleeper = std::thread::spawn(move || {
            for wanted in 1..=1_000 {
                while seen.load(Ordering::Acquire) < wanted {
                    parker.prepare();
                    if seen.load(Ordering::Acquire) < wanted {
                        parker.park_timeout(None);
                    } else {
                        parker.cancel();
                    }
                }
            }
        });
        for wanted in 1..=1_000 {
            turn.store(wanted, Ordering::Release);
            waker.wake();
        }
        sleeper.join().expect("the sleeper ends");
    }
}

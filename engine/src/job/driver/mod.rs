//! Drivers: what turns the shards.
//!
//! Takes shards that do no I/O by themselves; hands on their turns, and what they came to.
//!
//! Three drivers turn the same shard code: glommio (production), plain threads (where io_uring is
//! forbidden), and the simulator (one thread, one seed).

mod checkpoints;
mod glommio;
mod simulator;
mod threads;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use core_affinity::CoreId;

use crate::checkpoint::{CheckpointError, Coordinator};
use crate::clock::Clock;
use crate::metric::Hiccup;
use crate::shard::park::{Parker, Wait, WaitStrategy, Waker, next_wait};
use crate::shard::{Shard, Turn};

use super::error::JobError;
use super::settings::{Driver, Settings};

/// What the control thread and the drivers share.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) wakers: Vec<Waker>,
    pub(super) wait: WaitStrategy,
    aborted: AtomicBool,
}

impl Control {
    pub(super) fn new(wakers: Vec<Waker>, wait: WaitStrategy) -> Self {
        Self { wakers, wait, aborted: AtomicBool::new(false) }
    }

    /// Ends every shard at its next turn; what they have not written is dropped.
    pub(super) fn abort(&self) {
        // Release, with the acquire below: a shard that sees it may also see why.
        self.aborted.store(true, Ordering::Release);
        self.wake_all();
    }

    pub(super) fn wake_all(&self) {
        for waker in &self.wakers {
            waker.wake();
        }
    }

    pub(in crate::job) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }
}

/// What a shard came to.
pub(super) struct Ended {
    pub(super) hiccup: Hiccup,
    pub(super) result: Result<(), JobError>,
}

/// Shards that run, and the checkpoint thread beside them.
pub(super) struct Shards {
    pub(super) threads: Vec<JoinHandle<Ended>>,
    pub(super) coordinator: Option<JoinHandle<Result<(), CheckpointError>>>,
}

/// Resolves `Auto`, by trying and not by guessing.
pub(super) fn pick(wanted: Driver, shard_count: u16, core_count: usize) -> Driver {
    match wanted {
        Driver::Auto if usize::from(shard_count) <= core_count && glommio::works() => {
            Driver::Glommio
        }
        Driver::Auto => Driver::Threads,
        other => other,
    }
}

/// What is to be turned.
pub(super) struct Crew {
    pub(super) shards: Vec<Shard>,
    /// By shard.
    pub(super) parkers: Vec<Parker>,
    /// Makes checkpoints, where the job has a state directory.
    pub(super) coordinator: Option<Coordinator>,
}

pub(super) fn start(
    driver: Driver,
    crew: Crew,
    control: &Arc<Control>,
    clock: &Clock,
    settings: &Settings,
    cores: Vec<CoreId>,
) -> Result<Shards, JobError> {
    let Crew { shards, parkers, coordinator } = crew;
    let pinned = settings.pinned && shards.len() <= cores.len();
    let mut threads = Vec::with_capacity(shards.len());
    if let Driver::Simulator { seed } = driver {
        let (control, clock) = (Arc::clone(control), clock.clone());
        threads.push(simulator::start(shards, coordinator, control, clock, seed)?);
        return Ok(Shards { threads, coordinator: None });
    }
    let coordinator = match coordinator {
        None => None,
        Some(coordinator) => {
            // A shard that spins would have to share its core for a scheduler's slice: milliseconds.
            let free = cores.get(shards.len()..).and_then(<[CoreId]>::last);
            let core = free.copied().filter(|_| pinned);
            Some(checkpoints::start(coordinator, Arc::clone(control), core)?)
        }
    };
    for (index, (shard, parker)) in shards.into_iter().zip(parkers).enumerate() {
        let core = pinned.then(|| cores[index]);
        let seat = Seat {
            index,
            shard,
            parker,
            control: Arc::clone(control),
            clock: clock.clone(),
            idle_since_ns: None,
        };
        let started = match driver {
            Driver::Glommio => glommio::start(seat, core),
            _ => threads::start(seat, core),
        };
        match started {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                control.abort();
                return Err(error);
            }
        }
    }
    Ok(Shards { threads, coordinator })
}

/// A shard and what turns it.
pub(super) struct Seat {
    index: usize,
    shard: Shard,
    parker: Parker,
    control: Arc<Control>,
    clock: Clock,
    /// Since when the shard has had nothing to do.
    idle_since_ns: Option<u64>,
}

/// What a driver does next.
enum Next {
    /// Turn again.
    Turn,
    /// Nothing to do for a while: announce sleep, look once more, and sleep.
    Park,
    /// The shard is over.
    Over(Result<(), JobError>),
}

/// What the last look before sleep came to.
enum LastLook {
    /// There was work after all, and the sleep is called off.
    Turn,
    /// Sleep until a wake, for so long at most.
    Sleep(Option<Duration>),
    /// The shard is over.
    Over(Result<(), JobError>),
}

impl Seat {
    /// One turn, and the waiting that keeps the core.
    fn next(&mut self) -> Next {
        match turn(self.index, &mut self.shard, &self.control) {
            Step::Worked => self.idle_since_ns = None,
            Step::Over(result) => return Next::Over(result),
            Step::Idle(_) => {
                let now_ns = self.clock.now_ns();
                let since_ns = *self.idle_since_ns.get_or_insert(now_ns);
                match next_wait(self.control.wait, now_ns.saturating_sub(since_ns)) {
                    Wait::Spin => std::hint::spin_loop(),
                    Wait::Yield => {
                        self.shard.parks();
                        std::thread::yield_now();
                    }
                    Wait::Park => return Next::Park,
                }
            }
        }
        Next::Turn
    }

    /// Announces sleep and looks for work once more: a wake in between is seen.
    fn last_look(&mut self) -> LastLook {
        self.parker.prepare();
        match turn(self.index, &mut self.shard, &self.control) {
            Step::Worked => {
                self.parker.cancel();
                LastLook::Turn
            }
            Step::Over(result) => {
                self.parker.cancel();
                LastLook::Over(result)
            }
            Step::Idle(until_ns) => {
                self.shard.parks();
                let now_ns = self.clock.now_ns();
                let left_ns = |at_ns: u64| at_ns.saturating_sub(now_ns);
                LastLook::Sleep(until_ns.map(|at_ns| Duration::from_nanos(left_ns(at_ns))))
            }
        }
    }

    fn ended(&self, result: Result<(), JobError>) -> Ended {
        Ended { hiccup: self.shard.hiccup().clone(), result }
    }
}

/// What a guarded turn came to.
enum Step {
    Worked,
    Idle(Option<u64>),
    Over(Result<(), JobError>),
}

/// One turn. A panic in user code is caught here, and only to end the job: nothing goes on in
/// place, the shard is not turned again.
fn turn(index: usize, shard: &mut Shard, control: &Control) -> Step {
    if control.is_aborted() {
        return Step::Over(Ok(()));
    }
    let turned = catch_unwind(AssertUnwindSafe(|| shard.turn()));
    let error = match turned {
        Ok(Ok(Turn::Worked)) => return Step::Worked,
        Ok(Ok(Turn::Idle { until_ns })) => return Step::Idle(until_ns),
        Ok(Ok(Turn::Done)) => return Step::Over(Ok(())),
        Ok(Err(source)) => {
            let (operator, _) = shard.serving();
            JobError::Stage { operator: operator.to_owned(), shard: shard_number(index), source }
        }
        Err(panic) => {
            let (operator, position) = shard.serving();
            let message = text_of(panic.as_ref());
            let operator = operator.to_owned();
            JobError::Panicked { operator, shard: shard_number(index), position, message }
        }
    };
    control.abort();
    Step::Over(Err(error))
}

/// What a panic said.
fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}

fn shard_number(index: usize) -> u16 {
    u16::try_from(index).expect("settings bound the shard count")
}

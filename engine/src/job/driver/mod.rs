//! Drivers: what turns the shards.
//!
//! Takes shards that do no I/O by themselves; hands on their turns, and what they came to.
//!
//! Three drivers turn the same shard code: glommio (production), plain threads (where io_uring is
//! forbidden), and the simulator (one thread, one seed).

mod glommio;
mod simulator;
mod threads;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use core_affinity::CoreId;

use crate::clock::Clock;
use crate::metric::Hiccup;
use crate::shard::park::{Parker, WaitStrategy, Waker};
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

/// Shards that run.
pub(super) struct Shards {
    pub(super) threads: Vec<JoinHandle<Ended>>,
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

pub(super) fn start(
    driver: Driver,
    shards: Vec<Shard>,
    parkers: Vec<Parker>,
    control: &Arc<Control>,
    clock: &Clock,
    settings: &Settings,
    cores: Vec<CoreId>,
) -> Result<Shards, JobError> {
    let pinned = settings.pinned && shards.len() <= cores.len();
    let mut threads = Vec::with_capacity(shards.len());
    if let Driver::Simulator { seed } = driver {
        let (control, clock) = (Arc::clone(control), clock.clone());
        threads.push(simulator::start(shards, control, clock, seed)?);
        return Ok(Shards { threads });
    }
    for (index, (shard, parker)) in shards.into_iter().zip(parkers).enumerate() {
        let core = pinned.then(|| cores[index]);
        let seat =
            Seat { index, shard, parker, control: Arc::clone(control), clock: clock.clone() };
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
    Ok(Shards { threads })
}

/// A shard and what turns it.
pub(super) struct Seat {
    index: usize,
    shard: Shard,
    parker: Parker,
    control: Arc<Control>,
    clock: Clock,
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
            let message = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "a panic without a message".to_owned());
            let operator = operator.to_owned();
            JobError::Panicked { operator, shard: shard_number(index), position, message }
        }
    };
    control.abort();
    Step::Over(Err(error))
}

fn shard_number(index: usize) -> u16 {
    u16::try_from(index).expect("settings bound the shard count")
}

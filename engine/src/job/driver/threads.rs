//! Plain pinned threads: one for each shard.

use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use core_affinity::CoreId;

use crate::shard::park::{Wait, next_wait};

use super::{Ended, JobError, Seat, Step, turn};

pub(super) fn start(seat: Seat, core: Option<CoreId>) -> Result<JoinHandle<Ended>, JobError> {
    let name = format!("pelton-{}", seat.index);
    Builder::new().name(name).spawn(move || run(seat, core)).map_err(|error| JobError::Driver {
        driver: "threads",
        reason: format!("{error}; raise the limit of threads or use fewer shards"),
    })
}

fn run(mut seat: Seat, core: Option<CoreId>) -> Ended {
    if let Some(core) = core {
        // A refusal (a cpuset that changed) costs locality, not results.
        let _ = core_affinity::set_for_current(core);
    }
    let mut idle_since_ns = None;
    let result = loop {
        match turn(seat.index, &mut seat.shard, &seat.control) {
            Step::Worked => idle_since_ns = None,
            Step::Over(result) => break result,
            Step::Idle(_) => {
                let now_ns = seat.clock.now_ns();
                let since_ns = *idle_since_ns.get_or_insert(now_ns);
                match next_wait(seat.control.wait, now_ns.saturating_sub(since_ns)) {
                    Wait::Spin => std::hint::spin_loop(),
                    Wait::Yield => {
                        seat.shard.parks();
                        std::thread::yield_now();
                    }
                    Wait::Park => {
                        if let Some(result) = park(&mut seat) {
                            break result;
                        }
                    }
                }
            }
        }
    };
    Ended { hiccup: seat.shard.hiccup().clone(), result }
}

/// Announces sleep, looks for work once more, and only then sleeps: a wake in between is seen.
fn park(seat: &mut Seat) -> Option<Result<(), JobError>> {
    seat.parker.prepare();
    match turn(seat.index, &mut seat.shard, &seat.control) {
        Step::Worked => seat.parker.cancel(),
        Step::Over(result) => {
            seat.parker.cancel();
            return Some(result);
        }
        Step::Idle(until_ns) => {
            seat.shard.parks();
            let now_ns = seat.clock.now_ns();
            let timeout = until_ns.map(|at| Duration::from_nanos(at.saturating_sub(now_ns)));
            seat.parker.park_timeout(timeout);
        }
    }
    None
}

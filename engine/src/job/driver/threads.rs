//! Plain pinned threads: one for each shard.

use std::thread::{Builder, JoinHandle};

use core_affinity::CoreId;

use super::{Ended, JobError, LastLook, Next, Seat};

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
    loop {
        match seat.next() {
            Next::Turn => {}
            Next::Over(result) => return seat.ended(result),
            Next::Park => match seat.last_look() {
                LastLook::Turn => {}
                LastLook::Over(result) => return seat.ended(result),
                LastLook::Sleep(timeout) => seat.parker.park_timeout(timeout),
            },
        }
    }
}

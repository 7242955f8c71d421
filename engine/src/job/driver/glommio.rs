//! glommio: one executor for each shard, which parks in io_uring.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use core_affinity::CoreId;
use glommio::{LocalExecutorBuilder, Placement};

use super::{Ended, JobError, LastLook, Next, Seat};

/// After how many turns in a row the executor is given the core, for its own timers and wakes.
const TURNS_A_YIELD: u32 = 64;

/// Whether an executor can be made here: many containers forbid io_uring, and a memlock limit
/// under 512 KiB is too small for its rings.
pub(super) fn works() -> bool {
    let probe = Builder::new().name("pelton-probe".to_owned()).spawn(|| {
        LocalExecutorBuilder::new(Placement::Unbound)
            .make()
            .map(|executor| executor.run(async {}))
            .is_ok()
    });
    // A panic within the probe (an unknown kernel) counts as no.
    probe.is_ok_and(|thread| thread.join().unwrap_or(false))
}

pub(super) fn start(seat: Seat, core: Option<CoreId>) -> Result<JoinHandle<Ended>, JobError> {
    let refused = |reason: String| JobError::Driver { driver: "glommio", reason };
    if seat.index == 0 && !works() {
        return Err(refused(
            "io_uring is not allowed here, or the limit of locked memory is under 512 KiB; use \
             --driver threads, allow io_uring, or raise `ulimit -l`"
                .to_owned(),
        ));
    }
    let name = format!("pelton-{}", seat.index);
    let placement = core.map_or(Placement::Unbound, |core| Placement::Fixed(core.id));
    Builder::new()
        .name(name)
        .spawn(move || {
            let executor = LocalExecutorBuilder::new(placement).make();
            match executor {
                Ok(executor) => executor.run(run(seat)),
                Err(error) => {
                    seat.control.abort();
                    let reason = format!("{error}; use --driver threads");
                    let result = Err(JobError::Driver { driver: "glommio", reason });
                    seat.ended(result)
                }
            }
        })
        .map_err(|error| refused(error.to_string()))
}

async fn run(mut seat: Seat) -> Ended {
    let mut turns: u32 = 0;
    loop {
        turns = turns.wrapping_add(1);
        if turns.is_multiple_of(TURNS_A_YIELD) {
            glommio::executor().yield_task_queue_now().await;
        }
        match seat.next() {
            Next::Turn => {}
            Next::Over(result) => return seat.ended(result),
            Next::Park => match seat.last_look() {
                LastLook::Turn => {}
                LastLook::Over(result) => return seat.ended(result),
                LastLook::Sleep(timeout) => wait(&seat, timeout).await,
            },
        }
    }
}

/// Asleep in the executor: a wake from another core goes through its event descriptor.
async fn wait(seat: &Seat, timeout: Option<Duration>) {
    let mut timer = pin!(async {
        match timeout {
            Some(timeout) => glommio::timer::sleep(timeout).await,
            None => std::future::pending().await,
        }
    });
    std::future::poll_fn(|context| {
        if timer.as_mut().poll(context).is_ready() {
            seat.parker.cancel();
            return Poll::Ready(());
        }
        seat.parker.poll_park(context)
    })
    .await;
}

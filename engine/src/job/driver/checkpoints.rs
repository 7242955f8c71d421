//! The checkpoint thread: turns the coordinator beside the shards.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use core_affinity::CoreId;

use super::{Control, JobError};
use crate::checkpoint::{CheckpointError, Coordinator, CoordinatorTurn};

/// How long the thread sleeps at most: an abort and a request have no wake of their own.
const SLEEP_NS_MAX: u64 = 2_000_000;

pub(super) fn start(
    coordinator: Coordinator,
    control: Arc<Control>,
    core: Option<CoreId>,
) -> Result<JoinHandle<Result<(), CheckpointError>>, JobError> {
    let name = "pelton-checkpoint".to_owned();
    let turn = move || {
        if let Some(core) = core {
            // Where it is not allowed, the thread runs wherever it is let.
            core_affinity::set_for_current(core);
        }
        run(coordinator, &control)
    };
    Builder::new().name(name).spawn(turn).map_err(|error| JobError::Driver {
        driver: "checkpoint",
        reason: format!("{error}; raise the limit of threads"),
    })
}

fn run(mut coordinator: Coordinator, control: &Control) -> Result<(), CheckpointError> {
    let outcome = loop {
        if control.is_aborted() {
            break Ok(());
        }
        let turned = catch_unwind(AssertUnwindSafe(|| coordinator.turn()));
        // An output's code runs here: a panic of it ends the job, as one in a shard does.
        let turned = turned.unwrap_or_else(|panic| {
            Err(CheckpointError::Panicked { message: super::text_of(panic.as_ref()) })
        });
        match turned {
            Ok(CoordinatorTurn::Worked) => {}
            Ok(CoordinatorTurn::Idle { until_ns }) => coordinator.wait(until_ns, SLEEP_NS_MAX),
            Ok(CoordinatorTurn::Over) => break Ok(()),
            Err(error) => {
                control.abort();
                break Err(error);
            }
        }
    };
    coordinator.refuse_requests();
    outcome
}

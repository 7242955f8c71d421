//! Why a job could not start, or ended before its input did.

use crate::record::IngressPosition;
use crate::shard::StageError;
use crate::sink::SinkError;
use crate::source::SourceError;

/// What ended a job.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A source could not be opened.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A stage could not go on: its input, its output or a ring failed.
    #[error("{source}")]
    Stage {
        /// The operator, by name.
        operator: String,
        /// The shard.
        shard: u16,
        /// What failed.
        source: StageError,
    },
    /// An output could not be finished.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// User code or the engine panicked.
    #[error(
        "operator `{operator}` panicked on shard {shard}, at record {} of split {}: {message}",
        position.sequence, position.split
    )]
    Panicked {
        /// The operator, by name.
        operator: String,
        /// The shard.
        shard: u16,
        /// The record that was being served.
        position: IngressPosition,
        /// What the panic said.
        message: String,
    },
    /// Two operators have one name, so their state could not be told apart.
    #[error("two operators are called `{name}`; name one of them with `.named(\"...\")`")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// Somebody called [`RunningJob::abort`](super::RunningJob::abort).
    #[error("the job was aborted; what was not written is dropped")]
    Aborted,
    /// A setting is out of its bounds.
    #[error("{setting} is {found}; it must be {expected}")]
    Setting {
        /// Which one.
        setting: &'static str,
        /// Its value.
        found: String,
        /// Its bounds.
        expected: String,
    },
    /// The driver could not start a shard.
    #[error("the {driver} driver can't start a shard: {reason}")]
    Driver {
        /// Which driver.
        driver: &'static str,
        /// Why not, and what to do.
        reason: String,
    },
    /// The simulator found every shard waiting with nobody left to wake it: a bug.
    #[error("the job stands still: every shard waits (seed {seed})")]
    Standstill {
        /// The seed that shows it.
        seed: u64,
    },
}

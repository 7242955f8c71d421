//! Why a job could not start, or ended before its input did.

use std::sync::Arc;

use crate::checkpoint::{CheckpointError, DirectoryError};
use crate::record::{ConversionError, IngressPosition, LayoutMismatch};
use crate::shard::StageError;
use crate::sink::SinkError;
use crate::source::SourceError;
use crate::state::OperatorId;

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
    #[error(
        "two operators are called `{name}`: {first} and {second}; name one of them with \
         `.named(\"...\")`"
    )]
    DuplicateName {
        /// The name.
        name: String,
        /// What the one is, and where the job calls it.
        first: String,
        /// What the other is.
        second: String,
    },
    /// An operator has no name that its state could be found by.
    #[error(
        "the operator `{operator}` at {at} has no name, by which a later version of the job would \
         find its state; give it one with `.named(\"...\")`, or write the job as a function under \
         `#[pelton::job]`, which names it"
    )]
    UnnamedOperator {
        /// What it is.
        operator: String,
        /// Where the job calls it.
        at: String,
    },
    /// An operator that can't work, as it was asked for.
    #[error("operator `{operator}` can't work: {problem}")]
    Operator {
        /// The operator, by name.
        operator: String,
        /// What is wrong, and what to do.
        problem: Box<dyn std::error::Error + Send + Sync>,
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
    /// State can't be flushed in the way that was asked for.
    #[error("state can't be flushed as asked for: {source}; use --flush auto")]
    Flush {
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// The state directory can't be used.
    #[error(transparent)]
    Directory(DirectoryError),
    /// State can't be checkpointed any more.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// State that does not fit the job.
    #[error(transparent)]
    State(#[from] RestoreError),
    /// A split that was not read to its end is not among the inputs.
    #[error(
        "input {name}, which the checkpoint had read up to row {sequence}, is not among the inputs; \
         name it again, or begin anew"
    )]
    SplitGone {
        /// The split.
        name: String,
        /// Its next row.
        sequence: u64,
    },
    /// The simulator found every shard waiting with nobody left to wake it: a bug.
    #[error("the job stands still: every shard waits (seed {seed})")]
    Standstill {
        /// The seed that shows it.
        seed: u64,
    },
}

/// Why state from an earlier run can't be gone on with. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Another job's directory.
    #[error(
        "the state in {directory} is of the job `{found}`, and this is `{expected}`; name another \
         directory"
    )]
    OtherJob {
        /// The directory.
        directory: String,
        /// Whose state it holds.
        found: String,
        /// Which job this is.
        expected: String,
    },
    /// Keys are cut into another number of slots.
    #[error(
        "the state in {directory} is cut into {found} slots, and this engine into {expected}; use \
         the engine that wrote it"
    )]
    OtherSlots {
        /// The directory.
        directory: String,
        /// How many slots it has.
        found: u16,
        /// How many this engine has.
        expected: u16,
    },
    /// A savepoint and state of the job's own.
    #[error(
        "{directory} holds state already, so the job can't begin with a savepoint; name a new \
         directory, or leave the savepoint out"
    )]
    SavepointOverState {
        /// The directory.
        directory: String,
    },
    /// No epoch of a savepoint is whole.
    #[error("{directory} holds no savepoint; name the directory that `pelton savepoint` has made")]
    NoSavepoint {
        /// The directory.
        directory: String,
    },
    /// An operator's state does not fit it.
    #[error("the state of operator `{operator}` does not fit: {misfit}")]
    Misfit {
        /// The operator.
        operator: String,
        /// What does not fit, and what to do.
        misfit: Misfit,
    },
    /// An entry that its manifest does not tell of.
    #[error("operator {} has an entry in namespace {namespace:#x}, which its manifest does not know; the engine that wrote it had a bug", operator.0)]
    StrayEntry {
        /// The operator's number.
        operator: OperatorId,
        /// The entry's namespace.
        namespace: u64,
    },
    /// An entry that is not what its layout says, or that the record of today refuses.
    #[error("an entry of operator {} can't be carried over: {cause}", operator.0)]
    BadEntry {
        /// The operator's number.
        operator: OperatorId,
        /// What is wrong with it.
        cause: ConversionError,
    },
}

impl RestoreError {
    /// Whether it is the checkpoint that is wrong, and not this job or what it was told: the
    /// checkpoint before may be right.
    pub(super) fn is_broken(&self) -> bool {
        let misfit = |cause: &ConversionError| matches!(cause, ConversionError::Misfit(_));
        match self {
            Self::StrayEntry { .. } => true,
            Self::BadEntry { cause, .. } => misfit(cause),
            _ => false,
        }
    }
}

/// What of an operator's state does not fit.
#[derive(Debug, thiserror::Error)]
pub enum Misfit {
    /// The job has no such operator any more.
    #[error(
        "the job has no operator of that name; name it again with `.named(\"...\")`, or let its \
         state go with --drop-state"
    )]
    OperatorGone,
    /// The operator does not keep such a value any more.
    #[error("it keeps no `{state}` any more; let it go with --drop-state")]
    StateGone {
        /// The value's name.
        state: String,
    },
    /// Kind, setting or key are others.
    #[error("its {what} was `{found}` and is `{expected}`; name the new operator differently")]
    Differs {
        /// What of it.
        what: &'static str,
        /// As it was.
        found: String,
        /// As it is.
        expected: String,
    },
    /// A field's type changed in a way that has no migration.
    #[error("field `{}` of `{state}` was `{}` and is `{}`; only added, removed, reordered and widened fields are carried over", mismatch.path, mismatch.found, mismatch.expected)]
    Field {
        /// The value's name.
        state: String,
        /// Where and what.
        mismatch: LayoutMismatch,
    },
}

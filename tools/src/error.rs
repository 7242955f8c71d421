//! What stops the program: one line that names the thing and says what to do.

use pelton::command::CommandError;
use pelton::command::state::StateCommandError;

use crate::fraud::rules::RulesError;

/// A runtime error of the program: `error: ...` on standard error, exit code 1.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The rules file is not right.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// What can go wrong in any program of jobs.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// What can go wrong with a state directory.
    #[error(transparent)]
    State(#[from] StateCommandError),
}

impl ProgramError {
    /// Whether the reader of standard output has gone, as `head` does. Nothing is wrong then.
    #[must_use]
    pub fn is_reader_gone(&self) -> bool {
        match self {
            Self::Rules(_) => false,
            Self::Command(error) => error.is_reader_gone(),
            Self::State(error) => error.is_reader_gone(),
        }
    }
}

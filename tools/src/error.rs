//! What stops the program: one line that names the thing and says what to do.

use pelton::command::CommandError;

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
}

impl ProgramError {
    /// Whether the reader of standard output has gone, as `head` does. Nothing is wrong then.
    #[must_use]
    pub fn is_reader_gone(&self) -> bool {
        matches!(self, Self::Command(error) if error.is_reader_gone())
    }
}

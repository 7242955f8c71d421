//! `pelton run clicks`: counts per user.

use crate::cli::ClicksArgs;
use crate::error::ProgramError;

/// Runs the click job.
///
/// # Errors
/// The inputs, the outputs, or the job.
pub fn run(_args: ClicksArgs) -> Result<(), ProgramError> {
    Err(ProgramError::Job(
        "the click job is not connected yet".to_owned(),
    ))
}

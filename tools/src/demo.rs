//! `pelton` without arguments: the fraud job on generated transactions.

use crate::error::ProgramError;

/// Runs the demo.
///
/// # Errors
/// The outputs, or the job.
pub fn run() -> Result<(), ProgramError> {
    Err(ProgramError::Job(
        "the demo is not connected yet".to_owned(),
    ))
}

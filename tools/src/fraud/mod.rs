//! The fraud job: card transactions in, decisions with their reasons out.
//!
//! Its parts, in the order in which a transaction meets them: `generator` (where there is no
//! file), `rules` (what people write), `verdict` (the rules at work), `features` (what the rules
//! saw, as a row), `quality` (decisions against labels).

pub mod features;
pub mod generator;
pub mod quality;
pub mod rules;
pub mod verdict;

use crate::cli::FraudArgs;
use crate::error::ProgramError;

/// Runs the fraud job.
///
/// # Errors
/// The rules, the inputs, the outputs, or the job.
pub fn run(args: FraudArgs) -> Result<(), ProgramError> {
    let _rules = rules::Rules::load(args.rules.as_deref())?;
    Err(ProgramError::Job(
        "the fraud job is not connected yet".to_owned(),
    ))
}

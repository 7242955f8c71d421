//! `pelton state` and `pelton savepoint`: the engine's commands, with Parquet.

use pelton::command::state::{OpenWriter, SavepointArgs, StateCommand};

use crate::error::ProgramError;

/// Does what `pelton state` was asked for.
///
/// # Errors
/// The directory, its contents, or an output.
pub fn run(command: &StateCommand) -> Result<(), ProgramError> {
    Ok(command.run(parquet())?)
}

/// Copies a checkpoint.
///
/// # Errors
/// The directory, its contents, or the target.
pub fn savepoint(args: &SavepointArgs) -> Result<(), ProgramError> {
    Ok(args.run()?)
}

#[cfg(feature = "parquet")]
fn parquet() -> Option<OpenWriter> {
    Some(crate::parquet::ParquetEntries::open)
}

#[cfg(not(feature = "parquet"))]
fn parquet() -> Option<OpenWriter> {
    None
}

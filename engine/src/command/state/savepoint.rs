//! `savepoint`: the newest checkpoint as a directory of its own.

use std::path::PathBuf;

use clap::Args;

use super::error::StateCommandError;
use super::open::with_newest;

/// The options of `savepoint`.
#[derive(Debug, Clone, Args)]
pub struct SavepointArgs {
    /// A state directory; a job may be running on it
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// A new or empty directory, which is the savepoint then
    #[arg(long, value_name = "TARGET")]
    pub to: PathBuf,
}

impl SavepointArgs {
    /// Copies the newest checkpoint that is whole; each block is verified on the way.
    ///
    /// # Errors
    /// The directory, its contents, or the target.
    pub fn run(&self) -> Result<(), StateCommandError> {
        let epoch = with_newest(&self.directory, |directory, manifest| {
            directory.copy_savepoint(manifest, &self.to)?;
            Ok(manifest.epoch)
        })?;
        eprintln!("savepoint of epoch {epoch} in {}", self.to.display());
        Ok(())
    }
}

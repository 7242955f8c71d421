//! What people ask of a state directory: what is in it, whether it is whole, and copies of it.
//!
//! Takes a directory's path; hands on lines, files or a savepoint. Needs no job: manifests say what
//! the entries of logs are.
//!
//! Invariants
//! 1. A directory is only read, without its lock: a job may go on beside it. What that job removes
//!    meanwhile is looked for once more in its newest checkpoint.
//! 2. Nothing is shown before all of the checkpoint was verified.
//! 3. Operators, and the entries of each by the slot of their key, come in the same order for every
//!    number of shards and however often the log was compacted.
//!
//! Why segments are mapped and not read into memory: state may be larger than memory. Only the
//! index of what is shown is in memory.

mod diff;
mod entries;
mod error;
mod export;
mod list;
mod open;
mod savepoint;
mod show;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

pub use entries::ShownEntry;
pub use error::StateCommandError;
pub use export::{EntryWriter, OpenWriter};
pub use savepoint::SavepointArgs;

/// What to ask of a state directory.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// List the checkpoints of a state directory or a savepoint.
    Ls(DirectoryArgs),
    /// Show the entries of the newest checkpoint.
    Show(ShowArgs),
    /// Verify every checkpoint, to the last block; exit code 1 where one is broken.
    Verify(DirectoryArgs),
    /// Write the entries of the newest checkpoint to a file.
    Export(ExportArgs),
    /// Compare the newest checkpoints of two directories.
    Diff(DiffArgs),
}

/// Which directory.
#[derive(Debug, Clone, Args)]
pub struct DirectoryArgs {
    /// A state directory or a savepoint
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// The options of `state show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// A state directory or a savepoint
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Only this operator's
    #[arg(long, value_name = "O")]
    pub operator: Option<String>,
    /// Only this key's; `a,1` or `["a",1]` where it has several parts
    #[arg(long, value_name = "K")]
    pub key: Option<String>,
    /// A JSON object for each entry
    #[arg(long)]
    pub json: bool,
    /// At most so many entries
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

/// The options of `state export`.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// A state directory or a savepoint
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// What kind of file
    #[arg(long, value_enum)]
    pub format: ExportFormat,
    /// The file; - is standard output, for CSV
    #[arg(short, long, value_name = "F")]
    pub output: PathBuf,
    /// Only this operator's
    #[arg(long, value_name = "O")]
    pub operator: Option<String>,
}

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// With a header line; .gz and .zst are compressed.
    Csv,
    /// Apache Parquet.
    Parquet,
}

/// The options of `state diff`.
#[derive(Debug, Clone, Args)]
pub struct DiffArgs {
    /// The older directory or savepoint
    #[arg(value_name = "A")]
    pub old: PathBuf,
    /// The newer one
    #[arg(value_name = "B")]
    pub new: PathBuf,
}

impl StateCommand {
    /// Does it; `parquet` opens files of that format, where the program can.
    ///
    /// # Errors
    /// The directory, its contents, or an output.
    pub fn run(&self, parquet: Option<OpenWriter>) -> Result<(), StateCommandError> {
        match self {
            Self::Ls(args) => list::run(args),
            Self::Show(args) => show::run(args),
            Self::Verify(args) => verify::run(args),
            Self::Export(args) => export::run(args, parquet),
            Self::Diff(args) => diff::run(args),
        }
    }
}

//! `plan` and `expand`: what a job is made of, and the code that it became.
//!
//! Neither reads an input nor writes an output of the job: a plan is drawn of a job that is built
//! and not started.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Command};

use crate::job::plan::PlanFormat;
use crate::job::{Job, Listing};

use super::error::CommandError;
use super::output::create;

/// The options of `plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    /// How the plan is shown
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    pub format: PlanFormat,
    /// Where it is written; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
}

impl PlanArgs {
    /// Draws the plan of `job`.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn show(&self, job: &Job) -> Result<(), CommandError> {
        write(&self.output, &job.plan().draw(self.format))
    }
}

/// The options of `expand`.
#[derive(Debug, Clone, Args)]
pub struct ExpandArgs {
    /// Where the code is written; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
}

impl ExpandArgs {
    /// Writes the code that `#[pelton::job]` made of a function.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn show(&self, listing: &Listing) -> Result<(), CommandError> {
        write(&self.output, listing.expansion)
    }
}

fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let mut output = create(path)?;
    let written = output.write_all(text.as_bytes()).and_then(|()| output.finish());
    written.map_err(|source| CommandError::write(path, source))
}

/// The options that a job has where it is built and not run: those that nobody gave.
#[must_use]
pub fn unasked<A: Args>() -> A {
    let command = A::augment_args(Command::new("job"));
    let matches = command.get_matches_from(["job", "--input", "-"]);
    A::from_arg_matches(&matches).expect("a job needs no option but its input")
}

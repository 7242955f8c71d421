//! `pelton run clicks`: counts per user.

use pelton::command::{JobArgs, NamedJob};
use pelton::job::Listed;
use pelton::{Changelog, Stream, job, record};

use crate::error::ProgramError;

/// One click.
#[record]
pub struct Click {
    /// Who.
    pub user: String,
    /// On what.
    pub page: String,
}

/// The plan: how often each user clicked, on any page but the one about us.
#[job]
pub fn clicks_per_user(clicks: Stream<Click>) -> Changelog<String, u64> {
    clicks.filter(|c| c.page != "about_us").key_by(|c| c.user).count()
}

/// The job under its name.
#[must_use]
pub fn named() -> NamedJob {
    NamedJob::new("clicks", <clicks_per_user as Listed>::LISTING, clicks_per_user)
}

/// Runs the click job.
///
/// # Errors
/// The inputs, the outputs, or the job.
pub fn run(mut args: JobArgs) -> Result<(), ProgramError> {
    args.no_header = true;
    Ok(named().run(&args)?)
}

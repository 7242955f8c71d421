//! `pelton plan` and `pelton expand`: the jobs of this program, looked at and not run.

use pelton::command::unasked;
use pelton::job::Listed;

use crate::cli::{ExpandOf, FraudArgs, JobName, PlanOf};
use crate::error::ProgramError;
use crate::{clicks, fraud};

/// Draws a job's plan.
///
/// # Errors
/// The output.
pub fn plan(args: &PlanOf) -> Result<(), ProgramError> {
    match args.job {
        JobName::Fraud => {
            let (job, _) = fraud::plan(&unasked::<FraudArgs>())?;
            args.plan.show(&job)?;
        }
        JobName::Clicks => clicks::named().plan(&args.plan)?,
    }
    Ok(())
}

/// Writes the code that a job became.
///
/// # Errors
/// The output.
pub fn expand(args: &ExpandOf) -> Result<(), ProgramError> {
    match args.job {
        JobName::Fraud => args.expand.show(<fraud::job::fraud as Listed>::LISTING)?,
        JobName::Clicks => clicks::named().expand(&args.expand)?,
    }
    Ok(())
}

//! The command line of a program that runs jobs: what people type, and what they see.
//!
//! Takes arguments and jobs; hands on results in files, a progress on standard error, and a
//! report. [`pelton::main!`](crate::main) is all that a program of one's own needs; the program
//! `pelton` is made of the same parts. Behind the feature `cli`, which is on by default.
//!
//! Invariants
//! 1. Results go to files or standard output; everything else that is said goes to standard error.
//! 2. Wrong usage ends with exit code 2; a failure is one line that names the thing and what to
//!    do, with exit code 1.
//! 3. A figure that was not measured is not shown, and is `null` in JSON.
//!
//! Why in the engine and not in a crate of its own: a job of one's own should need one dependency.

mod error;
pub mod human;
mod jobs;
mod options;
pub mod output;
mod paths;
mod plans;
mod plot;
mod progress;
mod report;
mod screen;
pub mod state;
mod state_options;
pub mod usage;

pub use error::CommandError;
pub use jobs::{IntoOutput, NamedJob, main, run_from};
pub use options::{DriverName, EngineArgs, JobArgs, RunArgs, Strategy, time_span};
pub use plans::{ExpandArgs, PlanArgs, unasked};
pub use progress::{Progress, Snapshot};
pub use report::{Checkpoints, Durations, Hiccups, Latencies, Nothing, Percentiles, Report};
pub use screen::{Finished, Watch, run};
pub use state_options::{FlushName, StateArgs};

/// Makes `main` of jobs: the program then has the command line that `pelton` has.
///
/// ```no_run
/// use pelton::{Changelog, Stream};
///
/// #[pelton::record]
/// struct Click {
///     user: String,
///     page: String,
/// }
///
/// #[pelton::job]
/// fn clicks_per_user(clicks: Stream<Click>) -> Changelog<String, u64> {
///     clicks.filter(|c| c.page != "about_us").key_by(|c| c.user).count()
/// }
///
/// pelton::main!(clicks_per_user);
/// ```
///
/// ```text
/// my-program run clicks_per_user --input clicks.csv --output counts.csv --shards 2
/// my-program plan clicks_per_user --format svg --output plan.svg
/// my-program expand clicks_per_user
/// ```
///
/// Without arguments the program says what it can do and which jobs it has. Several jobs are
/// listed: `pelton::main!(clicks_per_user, jobs::totals)`; each is known by its last name.
///
/// A job that stands here is a function under [`macro@crate::job`] with one parameter, a [`Stream`](crate::Stream) of a record, and answers
/// a `Stream` of a record or a [`Changelog`](crate::Changelog): its input is read, and its output
/// written, as CSV or newline-delimited JSON by the names of the files. Jobs with several streams
/// or with settings need a `main` of their own, of an [`Engine`](crate::Engine).
#[macro_export]
macro_rules! main {
    ($($job:path),+ $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            $crate::command::main(
                env!("CARGO_CRATE_NAME"),
                ::std::vec![$($crate::command::NamedJob::new(
                    stringify!($job),
                    <$job as $crate::job::Listed>::LISTING,
                    $job,
                )),+],
            )
        }
    };
}

//! `pelton run clicks`: counts per user.

use pelton::job::{Files, SourceOptions};
use pelton::sink::{Csv, FileSink, RejectLines};
use pelton::source::FileSettings;
use pelton::{Changelog, Job, Stream, job, record};

use crate::cli::ClicksArgs;
use crate::error::ProgramError;
use crate::paths;
use crate::running::{run as run_job, settings};

/// One click.
#[record]
pub struct Click {
    /// Who.
    pub user: String,
    /// On what.
    pub page: String,
}

/// The plan: how often each user clicked, not counting the page about us.
#[job]
pub fn clicks_per_user(clicks: Stream<Click>) -> Changelog<String, u64> {
    clicks.filter(|c| c.page != "about_us").key_by(|c| c.user).count()
}

/// Runs the click job.
///
/// # Errors
/// The inputs, the outputs, or the job.
pub fn run(args: ClicksArgs) -> Result<(), ProgramError> {
    paths::check(
        &args.input,
        &[
            ("--output", Some(&args.output)),
            ("--rejects", args.rejects.as_deref()),
            ("--report", args.report.as_deref()),
        ],
    )?;
    let job = Job::new();
    let mut options = SourceOptions::<Click>::new();
    if let Some(path) = &args.rejects {
        options = options.rejects(FileSink::new(path, RejectLines));
    }
    let inputs = args.input.iter().map(|path| path.to_string_lossy().into_owned());
    let mut files = FileSettings::default();
    files.csv.header = false;
    let clicks = job.source(Files::new(inputs).with(files), options);
    let counts = clicks_per_user(clicks);
    let lines = FileSink::new(&args.output, Csv::new());
    if args.changes {
        counts.to(lines);
    } else {
        counts.at_end().to(lines);
    }
    let finished = run_job(job, settings(&args.engine, None), None)?;
    finished.show(args.report.as_deref(), None, "Click counts")
}

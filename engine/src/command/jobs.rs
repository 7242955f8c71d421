//! Jobs by name: from a job's function and the arguments to results in files.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Command, FromArgMatches};

use crate::job::{Chain, Changelog, Job, Stream};
use crate::record::{Change, Record};
use crate::sink::{Csv, Json, NamedSink, RowKey, RowValue};
use crate::source::{FileSettings, Format};

use super::error::CommandError;
use super::options::{JobArgs, format_of};
use super::screen::run;

/// What a job answers, as something that can be written to a file.
pub trait IntoOutput {
    /// Ends the job in the output that `args` name.
    ///
    /// # Errors
    /// The output's name asks for what sinks can't do.
    fn into_output(self, args: &JobArgs) -> Result<(), CommandError>;
}

/// Records, with a header line in CSV.
impl<R: Record, C: Chain<Out = R>> IntoOutput for Stream<R, C> {
    fn into_output(self, args: &JobArgs) -> Result<(), CommandError> {
        let path = args.run.output()?;
        match format_of(path) {
            Format::Csv => {
                self.to(NamedSink::new(path, Csv::new().header_line(!args.no_header), "csv"));
            }
            Format::Json => self.to(NamedSink::new(path, Json::new(), "ndjson")),
        }
        Ok(())
    }
}

/// The rows at the end, or every change of them; without a header line.
impl<K, V, C> IntoOutput for Changelog<K, V, C>
where
    K: RowKey,
    V: RowValue + Send,
    C: Chain<Out = Change<K, V>>,
{
    fn into_output(self, args: &JobArgs) -> Result<(), CommandError> {
        let path = args.run.output()?;
        let rows = if args.changes { self } else { self.at_end() };
        match format_of(path) {
            Format::Csv => rows.to(NamedSink::new(path, Csv::new(), "csv")),
            Format::Json => rows.to(NamedSink::new(path, Json::new(), "ndjson")),
        }
        Ok(())
    }
}

type Plan = Box<dyn Fn(&JobArgs) -> Result<Job, CommandError>>;

/// A job and the name that it is run by.
pub struct NamedJob {
    name: &'static str,
    plan: Plan,
}

impl std::fmt::Debug for NamedJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamedJob").field("name", &self.name).finish_non_exhaustive()
    }
}

impl NamedJob {
    /// The job of the function `job`, which is called `path` in the program's text.
    #[must_use]
    pub fn new<R, O, F>(path: &'static str, job: F) -> Self
    where
        R: Record,
        O: IntoOutput,
        F: Fn(Stream<R>) -> O + 'static,
    {
        let name = path.rsplit("::").next().unwrap_or(path).trim();
        let plan = move |args: &JobArgs| {
            let plan = Job::new();
            let mut options = args.run.source_options::<R>()?;
            if let Some(lateness) = args.run.lateness {
                if R::SCHEMA.event_time_index.is_none() {
                    return Err(CommandError::NoEventTime { record: R::SCHEMA.name });
                }
                options = options.lateness(lateness);
            }
            let mut files = FileSettings::default();
            files.csv.header = !args.no_header;
            job(plan.source(args.run.files().with(files), options)).into_output(args)?;
            Ok(plan)
        };
        Self { name, plan: Box::new(plan) }
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// The options, the inputs, the outputs, or the job.
    pub fn run(&self, args: &JobArgs) -> Result<(), CommandError> {
        args.run.check_paths(&[])?;
        let make = || Ok::<_, CommandError>(((self.plan)(args)?, ()));
        let (finished, ()) = run(make, args.run.settings(self.name)?, args.run.watch())?;
        let title = format!("{}: latency from the intended arrival", self.name);
        args.run.show(&finished, &title)
    }
}

/// Runs one job, as its own command.
///
/// # Errors
/// The options, the inputs, the outputs, or the job.
pub fn run_job<R, O, F>(name: &'static str, job: F, args: &JobArgs) -> Result<(), CommandError>
where
    R: Record,
    O: IntoOutput,
    F: Fn(Stream<R>) -> O + 'static,
{
    NamedJob::new(name, job).run(args)
}

/// What [`pelton::main!`](crate::main) makes `main` do.
#[must_use]
pub fn main(program: &'static str, jobs: Vec<NamedJob>) -> ExitCode {
    ExitCode::from(run_from(std::env::args_os(), program, jobs))
}

/// The same with the arguments given, of which the first is the program's name; answers the exit
/// code.
pub fn run_from(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    program: &'static str,
    jobs: Vec<NamedJob>,
) -> u8 {
    let mut command = command(program, &jobs);
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    if args.len() < 2 {
        // Not printed is not seen, and nothing else is wrong.
        let _ = command.print_help();
        return 0;
    }
    let parsed = command.try_get_matches_from_mut(args).and_then(|matches| {
        let (_, run) = matches.subcommand().expect("clap requires `run`");
        let (name, matches) = run.subcommand().expect("clap requires a job");
        Ok((name.to_owned(), JobArgs::from_arg_matches(matches)?))
    });
    let (name, args) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let job = jobs.iter().find(|job| job.name == name).expect("clap knows the names of the jobs");
    match job.run(&args) {
        Ok(()) => 0,
        Err(error) if error.is_reader_gone() => 0,
        Err(error) => {
            eprintln!("error: {error}");
            1
        }
    }
}

fn command(program: &'static str, jobs: &[NamedJob]) -> Command {
    let mut run = Command::new("run")
        .about("Run a job")
        .subcommand_value_name("JOB")
        .subcommand_help_heading("Jobs")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .arg_required_else_help(true);
    let mut names = String::from("Jobs:");
    for job in jobs {
        let about = format!("Run the job {}", job.name);
        run = run.subcommand(JobArgs::augment_args(Command::new(job.name).about(about)));
        names += "\n  ";
        names += job.name;
    }
    Command::new(program)
        .about("Runs jobs of the stream engine Pelton")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .after_help(names)
        .subcommand(run)
}

//! Jobs by name: from a job's function and the arguments to results in files.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Command, FromArgMatches};

use crate::job::{Chain, Changelog, Job, Listing, Stream};
use crate::record::{Change, Record};
use crate::sink::{Csv, Json, NamedSink, RowKey, RowValue};
use crate::source::{FileSettings, Format};

use super::error::CommandError;
use super::options::{JobArgs, format_of};
use super::plans::{ExpandArgs, PlanArgs, unasked};
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

type Build = Box<dyn Fn(&JobArgs) -> Result<Job, CommandError>>;

/// A job and the name that it is run by.
pub struct NamedJob {
    name: &'static str,
    listing: &'static Listing,
    build: Build,
}

impl std::fmt::Debug for NamedJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NamedJob").field("name", &self.name).finish_non_exhaustive()
    }
}

impl NamedJob {
    /// The job of the function `job`, which is called `path` in the program's text, and what the
    /// macro saw of it.
    #[must_use]
    pub fn new<R, O, F>(path: &'static str, listing: &'static Listing, job: F) -> Self
    where
        R: Record,
        O: IntoOutput,
        F: Fn(Stream<R>) -> O + 'static,
    {
        let name = path.rsplit("::").next().unwrap_or(path).trim();
        let build = move |args: &JobArgs| {
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
        Self { name, listing, build: Box::new(build) }
    }

    /// Draws its plan.
    ///
    /// # Errors
    /// The output.
    pub fn plan(&self, args: &PlanArgs) -> Result<(), CommandError> {
        args.show(&(self.build)(&unasked())?)
    }

    /// Writes the code that the macro made of it.
    ///
    /// # Errors
    /// The output.
    pub fn expand(&self, args: &ExpandArgs) -> Result<(), CommandError> {
        args.show(self.listing)
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// The options, the inputs, the outputs, or the job.
    pub fn run(&self, args: &JobArgs) -> Result<(), CommandError> {
        args.run.check_paths(&[])?;
        let make = || Ok::<_, CommandError>(((self.build)(args)?, ()));
        let (finished, ()) = run(make, args.run.settings(self.name)?, args.run.watch())?;
        let title = format!("{}: latency from the intended arrival", self.name);
        args.run.show(&finished, &title)
    }
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
        let (action, matches) = matches.subcommand().expect("clap requires a command");
        let (name, matches) = matches.subcommand().expect("clap requires a job");
        let action = match action {
            "plan" => Action::Plan(PlanArgs::from_arg_matches(matches)?),
            "expand" => Action::Expand(ExpandArgs::from_arg_matches(matches)?),
            _ => Action::Run(Box::new(JobArgs::from_arg_matches(matches)?)),
        };
        Ok((name.to_owned(), action))
    });
    let (name, action) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let job = jobs.iter().find(|job| job.name == name).expect("clap knows the names of the jobs");
    let done = match action {
        Action::Run(args) => job.run(&args),
        Action::Plan(args) => job.plan(&args),
        Action::Expand(args) => job.expand(&args),
    };
    match done {
        Ok(()) => 0,
        Err(error) if error.is_reader_gone() => 0,
        Err(error) => {
            eprintln!("error: {error}");
            1
        }
    }
}

/// What is done with a job.
enum Action {
    Run(Box<JobArgs>),
    Plan(PlanArgs),
    Expand(ExpandArgs),
}

fn command(program: &'static str, jobs: &[NamedJob]) -> Command {
    let mut names = String::from("Jobs:");
    for job in jobs {
        names += "\n  ";
        names += job.name;
    }
    Command::new(program)
        .about("Runs jobs of the stream engine Pelton")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .after_help(names)
        .subcommand(of_each::<JobArgs>("run", "Run a job", "Run the job", jobs))
        .subcommand(of_each::<PlanArgs>("plan", "Draw the plan of a job", "Draw the job", jobs))
        .subcommand(of_each::<ExpandArgs>(
            "expand",
            "Show the code that #[pelton::job] made of a job",
            "Show the code of the job",
            jobs,
        ))
}

/// A command that every job has.
fn of_each<A: Args>(
    name: &'static str,
    about: &'static str,
    about_one: &str,
    jobs: &[NamedJob],
) -> Command {
    let command = Command::new(name)
        .about(about)
        .subcommand_value_name("JOB")
        .subcommand_help_heading("Jobs")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .arg_required_else_help(true);
    jobs.iter().fold(command, |command, job| {
        let about = format!("{about_one} {}", job.name);
        command.subcommand(A::augment_args(Command::new(job.name).about(about)))
    })
}

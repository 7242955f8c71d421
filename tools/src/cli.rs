//! The command line: what people type, checked as far as it can be without opening a file.
//!
//! Wrong usage ends with exit code 2 and clap's own words; what goes wrong later is a
//! [`ProgramError`](crate::ProgramError) and exit code 1. What every job has is the engine's
//! [`RunArgs`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use pelton::command::state::{SavepointArgs, StateCommand};
use pelton::command::{ExpandArgs, JobArgs, PlanArgs, RunArgs};

use crate::fraud::generator::TRANSACTION_COUNT_MAX;

/// A thread-per-core stream-processing engine.
///
/// Without a command, it runs the fraud job on generated transactions and shows how that goes.
#[derive(Debug, Parser)]
#[command(name = "pelton", version, disable_help_subcommand = true)]
pub struct Pelton {
    /// What to do; nothing means the demo.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "a program has one of it")]
pub enum Command {
    /// Run a job.
    #[command(subcommand)]
    Run(Run),
    /// Draw the plan of a job: what is fused, what crosses, what is kept.
    Plan(PlanOf),
    /// Show the code that `#[pelton::job]` made of a job.
    Expand(ExpandOf),
    /// Make input for a job.
    #[command(subcommand)]
    Generate(Generate),
    /// Look into a state directory; a job may be running on it.
    #[command(subcommand)]
    State(StateCommand),
    /// Copy the newest checkpoint of a state directory to one that is yours.
    Savepoint(SavepointArgs),
}

/// Which job.
#[derive(Debug, Subcommand)]
pub enum Run {
    /// Decide on card transactions: approve, review or decline, with the reasons.
    #[command(mut_arg("output", |output| output.help("Decisions, one JSON line a transaction; - is standard output")))]
    #[command(mut_arg("late", |late| late.help("Rows that came too late (with --order event-time)")))]
    #[command(mut_arg("lateness", |lateness| lateness.help(
        "How far behind the latest a row may be and still count (with --order event-time) [default: 10m]"
    )))]
    Fraud(FraudArgs),
    /// Count clicks per user: lines `user,page` without a header give lines `user,count`.
    #[command(mut_arg("no_header", |no_header| no_header.hide(true)))]
    #[command(mut_arg("late", |late| late.hide(true)))]
    #[command(mut_arg("lateness", |lateness| lateness.hide(true)))]
    Clicks(JobArgs),
}

/// A job that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum JobName {
    /// Decisions on card transactions.
    Fraud,
    /// Clicks per user.
    Clicks,
}

/// Which plan, and how.
#[derive(Debug, Clone, Args)]
pub struct PlanOf {
    /// Which job
    #[arg(value_enum)]
    pub job: JobName,
    /// How.
    #[command(flatten)]
    pub plan: PlanArgs,
}

/// Whose code, and where to.
#[derive(Debug, Clone, Args)]
pub struct ExpandOf {
    /// Which job
    #[arg(value_enum)]
    pub job: JobName,
    /// Where to.
    #[command(flatten)]
    pub expand: ExpandArgs,
}

/// What to generate.
#[derive(Debug, Subcommand)]
pub enum Generate {
    /// Card transactions with three kinds of fraud, from a seed.
    Transactions(TransactionsArgs),
}

/// The options of `pelton run fraud`.
#[derive(Debug, Clone, Args)]
pub struct FraudArgs {
    /// What every job has.
    #[command(flatten)]
    pub run: RunArgs,
    /// The twelve features of every transaction, as CSV
    #[arg(long, value_name = "FILE")]
    pub features: Option<PathBuf>,
    /// Terminals in an hour and travel of every transaction's card, as CSV
    #[arg(long, value_name = "FILE")]
    pub card_features: Option<PathBuf>,
    /// What takes several transactions to see, and what stays away, as NDJSON
    #[arg(long, value_name = "FILE")]
    pub alerts: Option<PathBuf>,
    /// The rules and their thresholds, as TOML, instead of the compiled-in ones; a changed file is
    /// taken while the job runs
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Decide at once on what has arrived, or wait for the watermark
    #[arg(long, value_enum, default_value_t = Order::Arrival)]
    pub order: Order,
}

/// The options of `pelton generate transactions`.
#[derive(Debug, Clone, Args)]
pub struct TransactionsArgs {
    /// How many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=TRANSACTION_COUNT_MAX))]
    pub count: u64,
    /// The same seed gives the same transactions, on every machine
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// A CSV file (.gz and .zst are compressed); - is standard output
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// Also where each happened: the columns latitude and longitude
    #[arg(long)]
    pub places: bool,
    /// Also what became of each: the columns declined, pending and confirms, and rows that confirm one
    #[arg(long)]
    pub outcomes: bool,
}

/// In which order a job takes its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// As it comes; nothing is late.
    Arrival,
    /// By event time, after the watermark has passed.
    EventTime,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use pelton::command::DriverName;
    use pelton::record::TimeSpan;

    fn parse(line: &str) -> Result<Pelton, clap::Error> {
        Pelton::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Pelton::command().debug_assert();
        assert!(parse("pelton").unwrap().command.is_none());
    }

    #[test]
    fn the_commands_of_the_readme_parse() {
        for line in [
            "pelton run fraud --input a.csv b.csv.zst --output decisions.ndjson --features \
             features.csv --report report.json --shards 2 --driver threads --rejects r.ndjson \
             --rules rules.toml --card-features cards.csv --alerts alerts.ndjson",
            "pelton run fraud --input a.csv --input b.csv --output - --order event-time \
             --lateness 10m --late late.ndjson --rate 100000 --strategy spin --driver glommio",
            "pelton run clicks --input clicks.csv --output counts.csv --shards 8 --changes",
            "pelton generate transactions --count 1000 --seed 7 --output -",
            "pelton generate transactions --count 1000 --places --outcomes --output t.csv.zst",
            "pelton plan fraud --format svg --output plan.svg",
            "pelton plan clicks",
            "pelton expand fraud",
            "pelton state ls state",
            "pelton state show state --operator count --key ada --json --limit 10",
            "pelton state verify state",
            "pelton state export state --format parquet -o state.parquet",
            "pelton state diff yesterday state",
            "pelton savepoint state --to kept",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
        let Ok(Pelton { command: Some(Command::Run(Run::Fraud(args))) }) =
            parse("pelton run fraud --input a --input b c --lateness 10m")
        else {
            panic!("parses");
        };
        assert_eq!(args.run.input, ["a", "b", "c"].map(PathBuf::from));
        assert_eq!(args.run.lateness, Some(TimeSpan::minutes(10)));
        assert_eq!((args.order, args.run.engine.driver), (Order::Arrival, DriverName::Auto));
    }

    #[test]
    fn wrong_usage_is_refused_with_exit_code_2() {
        for line in [
            "pelton run",
            "pelton run fraud",
            "pelton run fraud --input",
            "pelton run fraud --input a --shards 0",
            "pelton run fraud --input a --rate 0",
            "pelton run fraud --input a --order sideways",
            "pelton run fraud --input a --lateness soon",
            "pelton run fraud --input a --lateness 99999999999999d",
            "pelton generate transactions --count -1 --output -",
            "pelton generate transactions --count 5",
            "pelton nonsense",
            "pelton plan",
            "pelton plan nonsense",
            "pelton plan clicks --format png",
            "pelton expand",
            "pelton state",
            "pelton state ls",
            "pelton state show state --limit few",
            "pelton state export state --format xml -o f",
            "pelton state export state --format csv",
            "pelton state diff state",
            "pelton savepoint state",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}

//! The command line: what people type, checked as far as it can be without opening a file.
//!
//! Wrong usage ends with exit code 2 and clap's own words; what goes wrong later is a
//! [`ProgramError`](crate::ProgramError) and exit code 1.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use pelton::record::TimeSpan;

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
pub enum Command {
    /// Run a job.
    #[command(subcommand)]
    Run(Run),
    /// Make input for a job.
    #[command(subcommand)]
    Generate(Generate),
}

/// Which job.
#[derive(Debug, Subcommand)]
pub enum Run {
    /// Decide on card transactions: approve, review or decline, with the reasons.
    Fraud(FraudArgs),
    /// Count clicks per user.
    Clicks(ClicksArgs),
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
    /// CSV or NDJSON files, plain, .gz or .zst; a directory, a glob, or - for standard input
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub input: Vec<PathBuf>,
    /// Decisions, one JSON line a transaction; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// The twelve features of every transaction, as CSV
    #[arg(long, value_name = "FILE")]
    pub features: Option<PathBuf>,
    /// What was counted and measured, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Rows that can't be read, with file, line, reason and bytes
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// The rules and their thresholds, as TOML, instead of the compiled-in ones
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Rows that came too late (with --order event-time)
    #[arg(long, value_name = "FILE")]
    pub late: Option<PathBuf>,
    /// The latencies as a picture (with --rate)
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// Decide at once on what has arrived, or wait for the watermark
    #[arg(long, value_enum, default_value_t = Order::Arrival)]
    pub order: Order,
    /// How far behind the latest a row may be and still count (with --order event-time)
    #[arg(long, value_name = "TIME", value_parser = time_span, default_value = "10m")]
    pub lateness: TimeSpan,
    /// Take rows in by a schedule of so many a second, and measure latency from it
    #[arg(long, value_name = "PER SECOND")]
    pub rate: Option<NonZeroU64>,
    /// How the engine runs.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// The options of `pelton run clicks`.
#[derive(Debug, Clone, Args)]
pub struct ClicksArgs {
    /// Lines `user,page` without a header: files, a directory, a glob, or - for standard input
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub input: Vec<PathBuf>,
    /// Lines `user,count`; - is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Write every change of a count, and not only the counts at the end
    #[arg(long)]
    pub changes: bool,
    /// Lines that can't be read, with file, line, reason and bytes
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// What was counted and measured, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// How the engine runs.
    #[command(flatten)]
    pub engine: EngineArgs,
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
}

/// How the engine runs; the same for every job.
#[derive(Debug, Clone, Args)]
pub struct EngineArgs {
    /// How many shards [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub shards: Option<u16>,
    /// What turns the shards
    #[arg(long, value_enum, default_value_t = Driver::Auto)]
    pub driver: Driver,
    /// How a shard waits for work [default: balanced, or efficient with more shards than cores]
    #[arg(long, value_enum)]
    pub strategy: Option<Strategy>,
}

/// In which order a job takes its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// As it comes; nothing is late.
    Arrival,
    /// By event time, after the watermark has passed.
    EventTime,
}

/// What turns the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Driver {
    /// glommio where the system allows it, threads elsewhere.
    Auto,
    /// Plain pinned threads.
    Threads,
    /// glommio's executors, on io_uring.
    Glommio,
}

/// How a shard waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Strategy {
    /// Never sleep: the lowest latency, a whole core each.
    Spin,
    /// Look a few times, then sleep.
    Balanced,
    /// Sleep at once.
    Efficient,
}

/// Reads `10m`, `30s`, `500ms`, `2h`, `7d`, `250us`, or `0`.
fn time_span(text: &str) -> Result<TimeSpan, String> {
    let wrong = || "give a whole number with a unit, such as 500ms, 30s, 10m, 2h or 7d".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let unit_micros = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" | "min" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        "" if number == 0 => 0,
        _ => return Err(wrong()),
    };
    let micros = number.checked_mul(unit_micros);
    micros.map(TimeSpan::micros).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

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
             --rules rules.toml",
            "pelton run fraud --input a.csv --input b.csv --output - --order event-time \
             --lateness 10m --late late.ndjson --rate 100000 --strategy spin --driver glommio",
            "pelton run clicks --input clicks.csv --output counts.csv --shards 8 --changes",
            "pelton generate transactions --count 1000 --seed 7 --output -",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
        let Ok(Pelton { command: Some(Command::Run(Run::Fraud(args))) }) =
            parse("pelton run fraud --input a --input b c")
        else {
            panic!("parses");
        };
        assert_eq!(args.input, ["a", "b", "c"].map(PathBuf::from));
        assert_eq!(args.lateness, TimeSpan::minutes(10));
        assert_eq!((args.order, args.engine.driver), (Order::Arrival, Driver::Auto));
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
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn spans_of_time_have_a_unit() {
        for (text, span) in [
            ("10m", TimeSpan::minutes(10)),
            ("30s", TimeSpan::seconds(30)),
            ("500ms", TimeSpan::millis(500)),
            ("0", TimeSpan::ZERO),
            ("7d", TimeSpan::days(7)),
        ] {
            assert_eq!(time_span(text), Ok(span));
        }
        for text in ["", "10", "m", "-1s", "1.5h", "1 s"] {
            assert!(time_span(text).is_err(), "{text}");
        }
    }
}

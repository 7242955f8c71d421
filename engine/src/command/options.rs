//! The options that every job has: what people type, checked as far as it can be without opening
//! a file, and what the engine makes of it.

use std::io::IsTerminal;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::job::{Driver, Files, Settings, SourceOptions};
use crate::record::{Record, TimeSpan};
use crate::shard::park::WaitStrategy;
use crate::sink::{Csv, Json, NamedSink, RejectLines};
use crate::source::Format;

use super::error::CommandError;
use super::paths;
use super::report::Section;
use super::screen::{Finished, Watch};
use super::state_options::StateArgs;

/// Files in and out, time, and how the engine runs.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// CSV or NDJSON files, plain, .gz or .zst; a directory, a glob, or - for standard input
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub input: Vec<PathBuf>,
    /// Results, as NDJSON in .ndjson, .jsonl and .json, as CSV elsewhere; - is standard output, and
    /// DIR/ is a directory that gets a file with each checkpoint
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
    /// Rows that can't be read, with file, line, reason and bytes, as NDJSON
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// Rows that came too late (with --lateness)
    #[arg(long, value_name = "FILE")]
    pub late: Option<PathBuf>,
    /// Go by event time, and take rows that are so far behind the latest one of their file
    #[arg(long, value_name = "TIME", value_parser = time_span)]
    pub lateness: Option<TimeSpan>,
    /// What was counted and measured, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// The latencies as a picture (with --rate)
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// Take rows in by a schedule of so many a second, and measure latency from it
    #[arg(long, value_name = "PER SECOND")]
    pub rate: Option<NonZeroU64>,
    /// State that survives.
    #[command(flatten)]
    pub state: StateArgs,
    /// How the engine runs.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// The options of a job that [`pelton::main!`](crate::main) runs.
#[derive(Debug, Clone, Args)]
pub struct JobArgs {
    /// What every job has.
    #[command(flatten)]
    pub run: RunArgs,
    /// Write every change of a changelog, and not only its rows at the end
    #[arg(long)]
    pub changes: bool,
    /// CSV has no header line: columns are the fields in their order, in the input and the output
    #[arg(long)]
    pub no_header: bool,
}

/// How the engine runs.
#[derive(Debug, Clone, Args)]
pub struct EngineArgs {
    /// How many shards [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub shards: Option<u16>,
    /// What turns the shards
    #[arg(long, value_enum, default_value_t = DriverName::Auto)]
    pub driver: DriverName,
    /// How a shard waits for work [default: balanced, or efficient with more shards than cores]
    #[arg(long, value_enum)]
    pub strategy: Option<Strategy>,
}

/// What turns the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DriverName {
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

impl RunArgs {
    /// The inputs as a source.
    #[must_use]
    pub fn files(&self) -> Files {
        Files::new(self.input.iter().map(|path| path.to_string_lossy()))
    }

    /// Checks that no two outputs, and no output and input, are one file; `more` are outputs that
    /// only this job has.
    ///
    /// # Errors
    /// The first two that are.
    pub fn check_paths(&self, more: &[(&'static str, Option<&Path>)]) -> Result<(), CommandError> {
        let mut outputs = vec![
            ("--output", Some(self.output.as_path())),
            ("--rejects", self.rejects.as_deref()),
            ("--late", self.late.as_deref()),
            ("--report", self.report.as_deref()),
            ("--plot", self.plot.as_deref()),
        ];
        outputs.extend_from_slice(more);
        paths::check(&self.input, &outputs)
    }

    /// A source's options with the side outputs that were asked for.
    ///
    /// # Errors
    /// A side output's name asks for compression.
    pub fn source_options<R: Record>(&self) -> Result<SourceOptions<R>, CommandError> {
        let mut options = SourceOptions::new();
        if let Some(path) = &self.rejects {
            options = options.rejects(NamedSink::new(plain(path)?, RejectLines, "ndjson"));
        }
        if let Some(path) = &self.late {
            options = match format_of(plain(path)?) {
                Format::Csv => options.late(NamedSink::new(path, Csv::new(), "csv")),
                Format::Json => options.late(NamedSink::new(path, Json::new(), "ndjson")),
            };
        }
        Ok(options)
    }

    /// Where results go.
    ///
    /// # Errors
    /// The name asks for compression.
    pub fn output(&self) -> Result<&Path, CommandError> {
        plain(&self.output)
    }

    /// The engine's settings for the job of that name.
    ///
    /// # Errors
    /// The log of checkpoints can't be created.
    pub fn settings(&self, job: &str) -> Result<Settings, CommandError> {
        #[expect(clippy::cast_precision_loss, reason = "a rate of records a second")]
        let rate = self.rate.map(|rate| rate.get() as f64);
        let checkpoints = self.state.checkpoints(job)?;
        Ok(Settings { rate, checkpoints, ..self.engine.settings() })
    }

    /// What is shown meanwhile: nothing where the results come to the same terminal.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let silent = self.output == Path::new("-") && std::io::stdout().is_terminal();
        Watch { records_total: None, silent, restart: self.state.restart() }
    }

    /// Shows what a run came to, and writes the report and the plot that were asked for.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn show<S: Section>(
        &self,
        finished: &Finished<S>,
        title: &str,
    ) -> Result<(), CommandError> {
        finished.show(self.report.as_deref(), self.plot.as_deref(), title)
    }
}

impl EngineArgs {
    /// The engine's settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        if let Some(shards) = self.shards {
            settings.shard_count = shards;
        }
        settings.driver = match self.driver {
            DriverName::Auto => Driver::Auto,
            DriverName::Threads => Driver::Threads,
            DriverName::Glommio => Driver::Glommio,
        };
        settings.wait = self.strategy.map(|strategy| match strategy {
            Strategy::Spin => WaitStrategy::Spin,
            Strategy::Balanced => WaitStrategy::Balanced,
            Strategy::Efficient => WaitStrategy::Efficient,
        });
        settings
    }
}

/// The format that a result's name asks for.
pub(super) fn format_of(path: &Path) -> Format {
    Format::of_name(path.to_string_lossy().trim_end_matches('/'))
}

/// `path`, unless its name promises a compression that sinks don't do.
pub(super) fn plain(path: &Path) -> Result<&Path, CommandError> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Err(compressed(path, ".gz")),
        Some("zst") => Err(compressed(path, ".zst")),
        _ => Ok(path),
    }
}

fn compressed(path: &Path, extension: &'static str) -> CommandError {
    CommandError::Compressed { file: path.display().to_string(), extension }
}

/// The same as a span of real time, which is not 0.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match u64::try_from(time_span(text)?.0) {
        Ok(micros) if micros > 0 => Ok(Duration::from_micros(micros)),
        _ => Err("give a time above 0, such as 500ms, 1s or 1m".to_owned()),
    }
}

/// Reads `512MiB`, `2GiB`, `64KiB` or a number of bytes.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "give a number of bytes, such as 512MiB or 2GiB".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" | "K" => 10,
        "MiB" | "M" => 20,
        "GiB" | "G" => 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).filter(|&bytes| bytes > 0).ok_or_else(wrong)
}

/// Reads `10m`, `30s`, `500ms`, `2h`, `7d`, `250us`, or `0`.
///
/// # Errors
/// What to give instead.
pub fn time_span(text: &str) -> Result<TimeSpan, String> {
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
        for text in ["", "10", "m", "-1s", "1.5h", "1 s", "99999999999999d"] {
            assert!(time_span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_result_that_would_not_be_compressed_is_refused_by_name() {
        let error = plain(Path::new("out/counts.csv.gz")).unwrap_err().to_string();
        assert!(error.contains("out/counts.csv.gz") && error.contains("leave .gz off"), "{error}");
        assert_eq!(plain(Path::new("counts.csv")).unwrap(), Path::new("counts.csv"));
    }
}

//! The options of state that survives: where it is kept, how a job begins on it, and what happens
//! after a failure.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::checkpoint::Observer;
use crate::io::disk::FlushEngine;
use crate::job::{Begin, Checkpoints, Restart};

use super::error::CommandError;
use super::options::{bytes, duration};

/// Checkpoints and restarts.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "State")]
pub struct StateArgs {
    /// Keep state in this directory, and go on from what it holds; without it, state ends with the
    /// process
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// From one checkpoint to the next [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "state")]
    pub checkpoint_interval: Option<Duration>,
    /// Go on, and fail where there is nothing to go on from
    #[arg(long, requires = "state", conflicts_with = "fresh")]
    pub resume: bool,
    /// Begin anew, and discard the state that is there
    #[arg(long, requires = "state")]
    pub fresh: bool,
    /// Begin with the state of this savepoint
    #[arg(long, value_name = "DIR", requires = "state", conflicts_with_all = ["resume", "fresh"])]
    pub savepoint: Option<PathBuf>,
    /// Let state go that the job has no operator for any more
    #[arg(long, requires = "state")]
    pub drop_state: bool,
    /// After a failure: `never`, `fixed:3:1s` (attempts, delay) or `exponential:10:100ms:1m`
    /// (attempts in a row, first and longest delay)
    #[arg(long, value_name = "POLICY", value_parser = restart, requires = "state")]
    pub restart: Option<Restart>,
    /// Memory for state, such as 512MiB; what is more is read from its files
    #[arg(long, value_name = "BYTES", value_parser = bytes, requires = "state")]
    pub memory: Option<u64>,
    /// Write a line for each phase of each checkpoint: `published 7`
    #[arg(long, value_name = "FILE", requires = "state")]
    pub checkpoint_log: Option<PathBuf>,
    /// How state is flushed
    #[arg(long, value_enum, requires = "state")]
    pub flush: Option<FlushName>,
}

/// How state is flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FlushName {
    /// `io_uring` where the system allows it, plain writes elsewhere.
    Auto,
    /// `io_uring`, with registered buffers.
    Uring,
    /// Plain writes and syncs.
    Plain,
}

impl StateArgs {
    /// The checkpoints of the job `job`, where a directory is named.
    ///
    /// # Errors
    /// The log can't be created.
    pub fn checkpoints(&self, job: &str) -> Result<Option<Checkpoints>, CommandError> {
        let Some(directory) = &self.state else {
            return Ok(None);
        };
        let mut checkpoints = Checkpoints::new(directory).job(job);
        checkpoints.observer = self.checkpoint_log.as_deref().map(log_to).transpose()?;
        if let Some(interval) = self.checkpoint_interval {
            checkpoints.interval = interval;
        }
        checkpoints.begin = match (self.resume, self.fresh) {
            (true, _) => Begin::Resume,
            (_, true) => Begin::Fresh,
            _ => Begin::Either,
        };
        checkpoints.savepoint.clone_from(&self.savepoint);
        checkpoints.drop_state = self.drop_state;
        checkpoints.memory_bytes = self.memory;
        checkpoints.flush = match self.flush {
            None | Some(FlushName::Auto) => FlushEngine::Auto,
            Some(FlushName::Uring) => FlushEngine::Uring,
            Some(FlushName::Plain) => FlushEngine::Plain,
        };
        Ok(Some(checkpoints))
    }

    /// What happens after a failure.
    #[must_use]
    pub fn restart(&self) -> Restart {
        self.restart.unwrap_or_default()
    }
}

/// Writes each phase to the end of `path` at once, so that what a killed job was at can be seen.
fn log_to(path: &Path) -> Result<Observer, CommandError> {
    let file = File::options().append(true).create(true).open(path);
    let file = file.map_err(|source| CommandError::create(path, source))?;
    Ok(Arc::new(move |phase, epoch| {
        // A log that can't be written is no reason to end the job.
        let _ = (&file).write_all(format!("{} {epoch}\n", phase.name()).as_bytes());
    }))
}

/// Reads `never`, `fixed:3:1s` or `exponential:10:100ms:1m`; what is left out has a default.
fn restart(text: &str) -> Result<Restart, String> {
    let mut parts = text.split(':');
    let kind = parts.next().unwrap_or_default();
    let attempts = |part: Option<&str>, default: u32| match part {
        None => Ok(default),
        Some(part) => part.parse().map_err(|_| format!("`{part}` is not a number of attempts")),
    };
    let span = |part: Option<&str>, default: Duration| part.map_or(Ok(default), duration);
    let policy = match kind {
        "never" => Restart::Never,
        "fixed" => Restart::Fixed {
            attempts_max: attempts(parts.next(), 3)?,
            delay: span(parts.next(), Duration::from_secs(1))?,
        },
        "exponential" => Restart::Exponential {
            attempts_max: attempts(parts.next(), 10)?,
            first: span(parts.next(), Duration::from_millis(100))?,
            delay_max: span(parts.next(), Duration::from_secs(60))?,
        },
        _ => return Err("give never, fixed:3:1s or exponential:10:100ms:1m".to_owned()),
    };
    match parts.next() {
        None => Ok(policy),
        Some(rest) => {
            Err(format!("`{rest}` is too much: give fixed:3:1s or exponential:10:100ms:1m"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_with_their_defaults() {
        let second = Duration::from_secs(1);
        let fixed = |attempts_max, delay| Restart::Fixed { attempts_max, delay };
        assert_eq!(restart("never"), Ok(Restart::Never));
        assert_eq!(restart("fixed"), Ok(fixed(3, second)));
        assert_eq!(restart("fixed:5:250ms"), Ok(fixed(5, second / 4)));
        let doubled =
            Restart::Exponential { attempts_max: 2, first: second / 10, delay_max: second * 60 };
        assert_eq!(restart("exponential:2"), Ok(doubled));
        for text in ["", "always", "fixed:x", "fixed:1:soon", "fixed:1:1s:2s", "never:1"] {
            assert!(restart(text).is_err(), "{text}");
        }
    }
}

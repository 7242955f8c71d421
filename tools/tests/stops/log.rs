//! The checkpoint log of a program that runs: `begun 7`, `whole 7`, ... as they are written.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The phases in which an epoch is in flight, in their order.
pub(super) const INSIDE: [&str; 5] = ["begun", "whole", "flushed", "prepared", "published"];

/// When a process is stopped.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moment {
    /// When the log's last line says `phase`, after so many epochs of this run.
    Inside { phase: &'static str, after: u64 },
    /// So long after the run's start.
    After { ns: u64 },
}

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) phase: String,
    pub(super) epoch: u64,
    /// When the log was last read without it, so that it was written after that.
    pub(super) not_before_ns: u64,
}

/// The lines of one run: what the log held before is not of it.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: Option<File>,
    skip: usize,
    read: Vec<u8>,
    polled_ns: u64,
    pub(super) lines: Vec<Line>,
}

impl Log {
    /// The log at `path` from where it ends now.
    pub(super) fn from_end(path: &Path, now_ns: u64) -> Self {
        let skip = std::fs::read(path).map_or(0, |bytes| bytes.len());
        let (file, read, lines) = (None, Vec::new(), Vec::new());
        Self { path: path.to_owned(), file, skip, read, polled_ns: now_ns, lines }
    }

    /// Takes what was written since the last call.
    pub(super) fn poll(&mut self, now_ns: u64) {
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(mut file) => {
                    let mut before = vec![0; self.skip];
                    file.read_exact(&mut before).unwrap();
                    self.file = Some(file);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => return,
                Err(error) => panic!("{}: {error}", self.path.display()),
            }
        }
        self.file.as_mut().unwrap().read_to_end(&mut self.read).unwrap();
        while let Some(end) = self.read.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.read.drain(..=end).collect();
            let line = String::from_utf8(line).unwrap();
            let (phase, epoch) = line.trim_end().split_once(' ').unwrap();
            let (phase, epoch) = (phase.to_owned(), epoch.parse().unwrap());
            self.lines.push(Line { phase, epoch, not_before_ns: self.polled_ns });
        }
        self.polled_ns = now_ns;
    }

    pub(super) fn last_phase(&self) -> Option<&str> {
        self.lines.last().map(|line| line.phase.as_str())
    }

    pub(super) fn committed_count(&self) -> u64 {
        self.lines.iter().filter(|line| line.phase == "committed").count() as u64
    }

    /// The last epoch of which `phase` was told.
    pub(super) fn last(&self, phase: &str) -> Option<&Line> {
        self.lines.iter().rev().find(|line| line.phase == phase)
    }
}

/// The last epoch of which `phase` was ever told, in any run.
pub(super) fn last_ever(path: &Path, phase: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let epochs = text.lines().filter_map(|line| line.strip_prefix(phase)?.trim().parse().ok());
    epochs.max()
}

//! What a job says of its checkpoints: where, how often, and how it begins.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::checkpoint::Observer;
use crate::io::disk::{Disk, FlushEngine};

use super::limits;

/// How a job begins on its state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Begin {
    /// Goes on where there is state, begins anew where there is none.
    #[default]
    Either,
    /// Goes on; refused where there is nothing to go on from.
    Resume,
    /// Begins anew; state that is there is discarded.
    Fresh,
}

/// Checkpoints of a job: state survives the process.
#[derive(Clone)]
pub struct Checkpoints {
    /// The state directory; one job's alone.
    pub directory: PathBuf,
    /// The job's name: a directory of another job is refused.
    pub job: String,
    /// From the beginning of one checkpoint to that of the next.
    pub interval: Duration,
    /// How the job begins.
    pub begin: Begin,
    /// Begins with the state of a savepoint; the directory must hold none.
    pub savepoint: Option<PathBuf>,
    /// Whether state of operators that the job has no more may be dropped.
    pub drop_state: bool,
    /// How many checkpoints are kept.
    pub retained: usize,
    /// How long one may take.
    pub timeout: Duration,
    /// How many in a row may fail before the job does.
    pub failures_max: u32,
    /// How long a segment of a log is; a power of two from 64 KiB to 64 MiB.
    pub segment_bytes: u32,
    /// How much memory the logs of all shards may take; what is more is read from the files. A
    /// soft bound: what was written since the last checkpoint is always in memory.
    pub memory_bytes: Option<u64>,
    /// How bytes are flushed.
    pub flush: FlushEngine,
    /// Another disk than the machine's: for simulations.
    pub disk: Option<Arc<dyn Disk>>,
    /// Is told how far each checkpoint comes.
    pub observer: Option<Observer>,
}

impl std::fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoints")
            .field("directory", &self.directory)
            .field("job", &self.job)
            .field("interval", &self.interval)
            .field("begin", &self.begin)
            .finish_non_exhaustive()
    }
}

impl Checkpoints {
    /// Every second, into `directory`, going on where there is state.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            job: "job".to_owned(),
            interval: Duration::from_secs(1),
            begin: Begin::Either,
            savepoint: None,
            drop_state: false,
            retained: limits::CHECKPOINTS_RETAINED_DEFAULT,
            timeout: Duration::from_secs(600),
            failures_max: limits::CHECKPOINT_FAILURES_MAX_DEFAULT,
            segment_bytes: limits::SEGMENT_BYTES_DEFAULT,
            memory_bytes: None,
            flush: FlushEngine::Auto,
            disk: None,
            observer: None,
        }
    }

    /// Sets the job's name.
    #[must_use]
    pub fn job(mut self, name: impl Into<String>) -> Self {
        self.job = name.into();
        self
    }

    /// Sets the interval.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets how the job begins.
    #[must_use]
    pub fn begin(mut self, begin: Begin) -> Self {
        self.begin = begin;
        self
    }

    /// Begins with the state of a savepoint.
    #[must_use]
    pub fn savepoint(mut self, savepoint: impl Into<PathBuf>) -> Self {
        self.savepoint = Some(savepoint.into());
        self
    }

    /// Bounds the memory of the logs.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory_bytes = Some(bytes);
        self
    }
}

/// What happens after a job has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// The failure ends the run.
    #[default]
    Never,
    /// The job starts again from the last checkpoint, after this time.
    Fixed {
        /// How often in all, at most.
        attempts_max: u32,
        /// How long after each failure.
        delay: Duration,
    },
    /// The same, each time after twice as long, up to a bound; a run that has made checkpoints
    /// begins with the first delay again.
    Exponential {
        /// How often in a row, at most.
        attempts_max: u32,
        /// After the first failure.
        first: Duration,
        /// At most.
        delay_max: Duration,
    },
}

impl Restart {
    /// Whether a run that has made checkpoints begins the count of attempts again.
    #[must_use]
    pub fn forgives(self) -> bool {
        matches!(self, Self::Exponential { .. })
    }

    /// How long to wait before attempt `attempt` (from 1), or `None`: not again.
    #[must_use]
    pub fn delay(self, attempt: u32) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Fixed { attempts_max, delay } => (attempt <= attempts_max).then_some(delay),
            Self::Exponential { attempts_max, first, delay_max } => {
                (attempt <= attempts_max).then(|| {
                    first.saturating_mul(1 << attempt.saturating_sub(1).min(31)).min(delay_max)
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_fixed_or_double_up_to_a_bound() {
        let second = Duration::from_secs(1);
        assert_eq!(Restart::Never.delay(1), None);
        let fixed = Restart::Fixed { attempts_max: 2, delay: second };
        assert_eq!(
            [1, 2, 3].map(|attempt| fixed.delay(attempt)),
            [Some(second), Some(second), None]
        );
        let doubled =
            Restart::Exponential { attempts_max: 4, first: second, delay_max: second * 3 };
        let delays = [1, 2, 3, 4, 5].map(|attempt| doubled.delay(attempt));
        assert_eq!(
            delays,
            [Some(second), Some(second * 2), Some(second * 3), Some(second * 3), None]
        );
    }
}

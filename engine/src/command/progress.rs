//! What is seen while a job runs: a few lines on standard error, drawn again five times a second.
//!
//! Takes a [`Snapshot`] that the caller filled from the shards' counters; hands on text. Drawing is
//! a pure function; only [`Progress`] writes, and it decides by the time that it is given.
//!
//! Where standard error is no terminal, it writes a plain line every two seconds, so that a log
//! stays readable.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use crate::record::EventTime;

use super::human::{count, ns, seconds, short};

/// A terminal is drawn this often.
const TERMINAL_PERIOD_NS: u64 = 200_000_000;
/// A log gets a line this often.
const LOG_PERIOD_NS: u64 = 2_000_000_000;
/// More shards than this are summed up in one line.
const SHARD_LINES_MAX: usize = 16;
/// Longer lines are cut.
const COLUMNS_MAX: usize = 79;
/// The length of the bar of a shard.
const BAR_COLUMNS: usize = 24;

/// How a job stands at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    /// Nanoseconds since the job started.
    pub elapsed_ns: u64,
    /// Records read so far.
    pub records: u64,
    /// How many there will be, where that is known.
    pub records_total: Option<u64>,
    /// Records a second, lately.
    pub records_per_s: f64,
    /// The 99th percentile of latency, where it is measured.
    pub latency_ns_p99: Option<u64>,
    /// The job's watermark; `None` while a split is unopened or there is none.
    pub watermark: Option<EventTime>,
    /// Rows rejected so far.
    pub rejected: u64,
    /// Rows too late so far.
    pub late: u64,
    /// Records that each shard has handled.
    pub shard_records: Vec<u64>,
}

/// One line for a log.
fn line(snapshot: &Snapshot) -> String {
    figures(snapshot) + &standing(snapshot)
}

/// How much and how fast.
fn figures(snapshot: &Snapshot) -> String {
    let mut text = format!(
        "{:>8}  {} records",
        seconds(nanos_as_seconds(snapshot.elapsed_ns)),
        count(snapshot.records)
    );
    if let Some(share) = done(snapshot) {
        let _ = write!(text, " ({share:.0} %)");
    }
    let _ = write!(text, "  {}/s", short(snapshot.records_per_s));
    if let Some(p99) = snapshot.latency_ns_p99 {
        let _ = write!(text, "  p99 {}", ns(p99));
    }
    text
}

/// How far in event time, and what went aside; empty where there is nothing to say.
fn standing(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    if let Some(watermark) = shown(snapshot.watermark) {
        let _ = write!(text, "  watermark {watermark}");
    }
    for (number, what) in [(snapshot.rejected, "rejected"), (snapshot.late, "late")] {
        if number > 0 {
            let _ = write!(text, "  {} {what}", count(number));
        }
    }
    text
}

/// The lines for a terminal: the two halves of the line above, and one line for each shard.
fn lines(snapshot: &Snapshot) -> Vec<String> {
    let mut lines = vec![figures(snapshot), standing(snapshot)];
    let most = snapshot.shard_records.iter().copied().max().unwrap_or(0);
    if snapshot.shard_records.len() > SHARD_LINES_MAX {
        let least = snapshot.shard_records.iter().copied().min().unwrap_or(0);
        lines.push(format!(
            "  {} shards, from {} to {} records",
            snapshot.shard_records.len(),
            count(least),
            count(most)
        ));
        return lines;
    }
    for (shard, &records) in snapshot.shard_records.iter().enumerate() {
        let filled = bar(records, most);
        let bar = "#".repeat(filled) + &".".repeat(BAR_COLUMNS - filled);
        lines.push(format!("  shard {shard:<3} {bar} {}", count(records)));
    }
    lines
}

fn bar(records: u64, most: u64) -> usize {
    let columns = u128::from(records) * BAR_COLUMNS as u128 / u128::from(most.max(1));
    usize::try_from(columns).map_or(BAR_COLUMNS, |columns| columns.min(BAR_COLUMNS))
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn nanos_as_seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn done(snapshot: &Snapshot) -> Option<f64> {
    let total = snapshot.records_total.filter(|&total| total > 0)?;
    Some(snapshot.records as f64 * 100.0 / total as f64)
}

/// The watermark, unless it stands at one of its ends.
fn shown(watermark: Option<EventTime>) -> Option<EventTime> {
    watermark.filter(|&time| time > EventTime::MIN && time < EventTime::MAX)
}

/// Draws snapshots on standard error, not more often than a reader can follow.
#[derive(Debug)]
pub struct Progress<W = io::Stderr> {
    out: W,
    terminal: bool,
    /// When the last drawing was made.
    drawn_ns: Option<u64>,
    /// How many lines it had: they are written over.
    drawn_lines: usize,
}

impl Progress {
    /// Draws on standard error.
    #[must_use]
    pub fn stderr() -> Self {
        let terminal = io::stderr().is_terminal();
        Self::new(io::stderr(), terminal)
    }
}

impl<W: Write> Progress<W> {
    /// Draws on `out`; lines are written over only on a terminal.
    pub fn new(out: W, terminal: bool) -> Self {
        Self { out, terminal, drawn_ns: None, drawn_lines: 0 }
    }

    /// Whether it is time for the next drawing; ask before filling a snapshot.
    #[must_use]
    pub fn is_due(&self, elapsed_ns: u64) -> bool {
        let period_ns = if self.terminal { TERMINAL_PERIOD_NS } else { LOG_PERIOD_NS };
        self.drawn_ns.is_none_or(|drawn_ns| elapsed_ns.saturating_sub(drawn_ns) >= period_ns)
    }

    /// Draws `snapshot` where it is due. What can't be written is not missed: nobody is looking.
    pub fn draw(&mut self, snapshot: &Snapshot) {
        if self.is_due(snapshot.elapsed_ns) {
            self.draw_now(snapshot);
        }
    }

    /// Draws `snapshot` in any case: the last one of a run.
    pub fn draw_now(&mut self, snapshot: &Snapshot) {
        self.drawn_ns = Some(snapshot.elapsed_ns);
        let text = if self.terminal {
            let lines = lines(snapshot);
            let text = drawing(&lines, self.drawn_lines);
            self.drawn_lines = lines.len();
            text
        } else {
            line(snapshot) + "\n"
        };
        let written = self.out.write_all(text.as_bytes());
        let _ = written.and_then(|()| self.out.flush());
    }

    /// Takes the drawing off the terminal, to make room for the report.
    pub fn clear(&mut self) {
        if self.terminal && self.drawn_lines > 0 {
            let _ = write!(self.out, "\x1b[{}A\r\x1b[J", self.drawn_lines);
            self.drawn_lines = 0;
        }
    }
}

/// The bytes that put `lines` in the place of the `over` lines above the cursor: up, then each
/// line with what was behind it erased. Lines are cut to an 80-column terminal, as a
/// wrapped line would throw the count off.
fn drawing(lines: &[String], over: usize) -> String {
    let mut text = String::new();
    if over > 0 {
        let _ = write!(text, "\x1b[{over}A\r");
    }
    for line in lines {
        text.extend(line.chars().take(COLUMNS_MAX));
        text.push_str("\x1b[K\n");
    }
    if over > lines.len() {
        text.push_str("\x1b[J");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(elapsed_ns: u64) -> Snapshot {
        Snapshot {
            elapsed_ns,
            records: 1_234_567,
            records_total: Some(2_000_000),
            records_per_s: 823_045.0,
            latency_ns_p99: Some(12_340),
            watermark: Some(EventTime(1_522_540_831_000_000)),
            rejected: 0,
            late: 3,
            shard_records: vec![600_000, 300_000],
        }
    }

    #[test]
    fn a_snapshot_is_one_line_in_a_log() {
        assert_eq!(
            line(&snapshot(1_500_000_000)),
            "  1.50 s  1,234,567 records (62 %)  823 k/s  p99 12.3 us  \
             watermark 2018-04-01T00:00:31Z  3 late"
        );
        assert_eq!(line(&Snapshot::default()), "  0.00 s  0 records  0/s");
    }

    #[test]
    fn a_terminal_shows_every_shard() {
        let lines = lines(&snapshot(0));
        assert_eq!(lines.len(), 4);
        assert!(lines.iter().all(|line| line.len() <= COLUMNS_MAX));
        assert_eq!(lines[2], "  shard 0   ######################## 600,000");
        assert_eq!(lines[3], "  shard 1   ############............ 300,000");
    }

    #[test]
    fn many_shards_are_summed_up() {
        let mut many = snapshot(0);
        many.shard_records = (1..=100).collect();
        assert_eq!(lines(&many)[2], "  100 shards, from 1 to 100 records");
    }

    #[test]
    fn a_terminal_is_drawn_over_five_times_a_second_and_cleared_at_the_end() {
        let mut progress = Progress::new(Vec::new(), true);
        progress.draw(&snapshot(0));
        progress.draw(&snapshot(100_000_000));
        progress.draw(&snapshot(200_000_000));
        progress.clear();
        let text = String::from_utf8(progress.out).unwrap();
        assert_eq!(text.matches("1,234,567").count(), 2);
        assert_eq!(text.matches("\x1b[4A\r").count(), 2);
        assert!(text.ends_with("\x1b[J"));
    }

    #[test]
    fn a_log_gets_plain_lines() {
        let mut progress = Progress::new(Vec::new(), false);
        for tenth in 0..=40 {
            progress.draw(&snapshot(tenth * 100_000_000));
        }
        progress.clear();
        let text = String::from_utf8(progress.out).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(!text.contains('\x1b'));
    }
}

//! The report of a run: JSON for machines, a few aligned lines for people.
//!
//! Invariants
//! 1. The names of the fields are the product's interface (`report.json`) and stay.
//! 2. A figure that was not measured is `null` and never 0: latency without `--rate`, memory where
//!    the system doesn't tell.
//! 3. `records_in = accepted + rejected + late`.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::error::ProgramError;
use crate::fraud::quality::{FraudQuality, Quality};
use crate::human::{bytes, count, ns, seconds};

/// What `report.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Rows read.
    pub records_in: u64,
    /// Rows that went through the job.
    pub accepted: u64,
    /// Rows that came out.
    pub records_out: u64,
    /// Rows that could not be read.
    pub rejected: u64,
    /// Rows that came too late.
    pub late: u64,
    /// From the first read to the last output.
    pub wall_s: f64,
    /// Processor time of the whole process.
    pub cpu_s: f64,
    /// Rows a second of wall time.
    pub records_per_s: f64,
    /// The most memory that was resident; `null` where the system doesn't tell.
    pub rss_bytes_max: Option<u64>,
    /// From the intended arrival; `null` without `--rate`.
    pub latency_ns: Option<Latencies>,
    /// Rows a second that were taken in; `null` without `--rate`.
    pub achieved_rate: Option<f64>,
    /// The most rows that had arrived by the schedule and had not been taken in.
    pub backlog_max: Option<u64>,
    /// Records a second that were asked for; with `--rate`.
    #[serde(skip)]
    pub asked_rate: Option<f64>,
    /// For how long the machine itself stood still; `null` where it was not measured.
    pub hiccup_ns: Option<Hiccups>,
    /// Shards that ran.
    pub shards: u16,
    /// What turned them: `glommio` or `threads`.
    pub driver: String,
    /// Decisions against labels; absent where the input has no labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
}

/// Latencies to two places of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Latencies {
    /// Until the result was handed to the sink.
    pub handed: Percentiles,
    /// Until it could be seen from outside.
    pub visible: Percentiles,
}

/// A distribution in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Percentiles {
    /// Half were faster.
    pub p50: u64,
    /// 99 % were faster.
    pub p99: u64,
    /// 99.9 % were faster.
    pub p999: u64,
    /// 99.99 % were faster.
    pub p9999: u64,
    /// The slowest.
    pub max: u64,
}

/// The machine's own pauses, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Hiccups {
    /// 99 of 100 moments.
    pub p99: u64,
    /// 99.99 % were shorter.
    pub p9999: u64,
    /// The longest.
    pub max: u64,
}

impl Report {
    /// Whether no row vanished (invariant 3).
    #[must_use]
    pub fn adds_up(&self) -> bool {
        self.records_in == self.accepted + self.rejected + self.late
    }

    /// The JSON of `report.json`.
    ///
    /// # Panics
    /// Never: every field is a number, a text or a list of these.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("a report is plain values");
        json.push('\n');
        json
    }

    /// Writes the JSON to `path`; `-` is standard output.
    ///
    /// # Errors
    /// The file can't be created or written.
    pub fn write_json(&self, path: &Path) -> Result<(), ProgramError> {
        let mut file = crate::output::create(path)?;
        file.write_all(self.to_json().as_bytes())
            .and_then(|()| file.finish())
            .map_err(|source| ProgramError::write(path, source))
    }
}

/// The readable form: a few aligned lines.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |label: &str, text: String| writeln!(f, "  {label:<12}{text}");
        line(
            "records",
            format!(
                "{} in = {} accepted + {} rejected + {} late; {} out",
                count(self.records_in),
                count(self.accepted),
                count(self.rejected),
                count(self.late),
                count(self.records_out)
            ),
        )?;
        line(
            "time",
            format!(
                "{} wall, {} cpu on {} ({})",
                seconds(self.wall_s),
                seconds(self.cpu_s),
                plural(self.shards.into(), "shard"),
                self.driver
            ),
        )?;
        line("throughput", format!("{} records/s", whole(self.records_per_s)))?;
        if let Some(rss) = self.rss_bytes_max {
            line("memory", format!("{} at most", bytes(rss)))?;
        }
        if let Some(latency) = &self.latency_ns {
            line("latency", format!("{} until handed to the sink", latency.handed))?;
            line("", format!("{} until visible", latency.visible))?;
        }
        if let Some(hiccup) = &self.hiccup_ns {
            let (p9999, max) = (ns(hiccup.p9999), ns(hiccup.max));
            line("hiccups", format!("p99.99 {p9999}  max {max} of the machine itself"))?;
        }
        if let Some(rate) = self.achieved_rate {
            let backlog = self.backlog_max.unwrap_or(0);
            let (rate, backlog) = (whole(rate), plural(backlog, "record"));
            line("schedule", format!("{rate} records/s reached, backlog at most {backlog}"))?;
        }
        match &self.quality {
            Some(quality) => f.write_str(&quality_text(quality)),
            None => Ok(()),
        }
    }
}

/// A table: one line a scenario.
fn quality_text(quality: &Quality) -> String {
    let mut text = format!(
        "  {:<12}{} approved, {} reviewed, {} declined; {}\n",
        "decisions",
        count(quality.approved),
        count(quality.reviewed),
        count(quality.declined),
        plural(quality.false_positives, "false positive"),
    );
    let columns = ["frauds", "found", "precision", "recall", "saved", "lost"];
    let [a, b, c, d, e, g] = columns;
    let _ = writeln!(text, "  {:<12}{a:>8}{b:>8}{c:>11}{d:>9}{e:>14}{g:>14}", "fraud");
    let mut row = |label: &str, quality: &FraudQuality| {
        let percent = |share: Option<f64>| {
            share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0))
        };
        let _ = writeln!(
            text,
            "    {label:<10}{:>8}{:>8}{:>11}{:>9}{:>14}{:>14}",
            count(quality.frauds),
            count(quality.frauds_flagged),
            percent(quality.precision),
            percent(quality.recall),
            whole(quality.money_saved),
            whole(quality.money_lost)
        );
    };
    for scenario in &quality.scenarios {
        row(&format!("kind {}", scenario.scenario), &scenario.quality);
    }
    row("all", &quality.all);
    text
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999, p9999, max] =
            [self.p50, self.p99, self.p999, self.p9999, self.max].map(ns);
        write!(f, "p50 {p50}  p99 {p99}  p99.9 {p999}  p99.99 {p9999}  max {max}")
    }
}

fn plural(number: u64, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {noun}{s}", count(number))
}

/// A float as a whole number with separators.
fn whole(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and a negative figure is shown as 0"
    )]
    count(value.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fraud::quality::QualityTally;
    use crate::fraud::verdict::Decision;

    fn report() -> Report {
        let mut tally = QualityTally::default();
        tally.add(Decision::Decline, 1_234_500_000, Some(true), Some(1));
        tally.add(Decision::Approve, 1_000_000, Some(false), Some(0));
        let handed = Percentiles {
            p50: 900,
            p99: 12_300,
            p999: 45_000,
            p9999: 1_200_000,
            max: 2_000_000_000,
        };
        Report {
            records_in: 1_003,
            accepted: 1_000,
            records_out: 1_000,
            rejected: 2,
            late: 1,
            wall_s: 1.25,
            cpu_s: 2.5,
            records_per_s: 802.4,
            rss_bytes_max: Some(256 << 20),
            latency_ns: Some(Latencies { handed, visible: handed }),
            achieved_rate: Some(800.0),
            backlog_max: Some(3),
            asked_rate: Some(800.0),
            hiccup_ns: Some(Hiccups { p99: 9_000, p9999: 28_000, max: 1_100_000 }),
            shards: 2,
            driver: "threads".to_owned(),
            quality: tally.quality(),
        }
    }

    #[test]
    fn the_json_has_the_fields_of_the_interface() {
        let json: serde_json::Value = serde_json::from_str(&report().to_json()).unwrap();
        let fields: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = vec![
            "records_in",
            "accepted",
            "records_out",
            "rejected",
            "late",
            "wall_s",
            "cpu_s",
            "records_per_s",
            "rss_bytes_max",
            "latency_ns",
            "achieved_rate",
            "backlog_max",
            "hiccup_ns",
            "shards",
            "driver",
            "quality",
        ];
        expected.sort_unstable();
        let mut sorted = fields.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, expected);
        assert_eq!(json["latency_ns"]["visible"]["p9999"], 1_200_000);
        assert_eq!(json["hiccup_ns"]["max"], 1_100_000);
        assert!(report().adds_up());
    }

    #[test]
    fn what_was_not_measured_is_null() {
        let mut report = report();
        (report.latency_ns, report.achieved_rate, report.quality) = (None, None, None);
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert!(json["latency_ns"].is_null() && json["achieved_rate"].is_null());
        assert!(json.get("quality").is_none());
    }

    #[test]
    fn the_readable_form_is_aligned_and_in_human_units() {
        assert_eq!(
            report().to_string(),
            "  records     1,003 in = 1,000 accepted + 2 rejected + 1 late; 1,000 out
  time        1.25 s wall, 2.50 s cpu on 2 shards (threads)
  throughput  802 records/s
  memory      256 MiB at most
  latency     p50 900 ns  p99 12.3 us  p99.9 45.0 us  p99.99 1.20 ms  max 2.00 s until handed to the sink
              p50 900 ns  p99 12.3 us  p99.9 45.0 us  p99.99 1.20 ms  max 2.00 s until visible
  hiccups     p99.99 28.0 us  max 1.10 ms of the machine itself
  schedule    800 records/s reached, backlog at most 3 records
  decisions   1 approved, 0 reviewed, 1 declined; 0 false positives
  fraud         frauds   found  precision   recall         saved          lost
    kind 1           1       1    100.0 %  100.0 %         1,235             0
    all              1       1    100.0 %  100.0 %         1,235             0
"
        );
    }
}

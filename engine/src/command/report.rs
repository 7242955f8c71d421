//! The report of a run: JSON for machines, a few aligned lines for people.
//!
//! Invariants
//! 1. The names of the fields are the product's interface (`report.json`) and stay.
//! 2. A figure that was not measured is `null` and never 0: latency without `--rate`, memory where
//!    the system doesn't tell.
//! 3. `records_in = accepted + rejected + late`.

use std::fmt;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use super::error::CommandError;
use super::human::{bytes, count, ns, plural, seconds, whole};

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
    /// Checkpoints of this run; `null` without `--state`.
    pub checkpoints: Option<Checkpoints>,
    /// What loading state took, where the run went on from an earlier one.
    pub recovery_ms: Option<f64>,
    /// What the state's logs take at the end.
    pub state_bytes: u64,
    /// Live entries of state at the end.
    pub state_entries: u64,
}

/// The checkpoints of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Checkpoints {
    /// How many became durable.
    pub count: u64,
    /// What was written for all of them.
    pub bytes: u64,
    /// From the barrier to the durable manifest.
    pub duration_ms: Durations,
    /// The longest that a stage stood still for one.
    pub begin_ns_max: u64,
}

/// A distribution in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Durations {
    /// Half were faster.
    pub p50: f64,
    /// 99 % were faster.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

/// A job's own part of a report: fields beside the others in JSON, lines below them in text.
pub trait Section: Serialize + fmt::Display {}

impl<S: Serialize + fmt::Display> Section for S {}

/// No part of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Nothing {}

impl fmt::Display for Nothing {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
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

    /// Whether the schedule of `--rate` was met: either it was reached but for the end of the
    /// run, or what waited was never more than a small share of all.
    #[must_use]
    pub fn kept_up(&self) -> bool {
        let (Some(asked), Some(reached)) = (self.asked_rate, self.achieved_rate) else {
            return true;
        };
        let backlog_small = self.backlog_max.unwrap_or(0) <= self.records_in / 50;
        reached >= asked * 0.98 || backlog_small
    }

    /// The JSON of `report.json`, with the job's own part.
    ///
    /// # Panics
    /// Never: every field is a number, a text or a list of these.
    #[must_use]
    pub fn to_json(&self, section: &impl Section) -> String {
        let whole = Whole { report: self, section };
        let mut json = serde_json::to_string_pretty(&whole).expect("a report is plain values");
        json.push('\n');
        json
    }

    /// Writes the JSON to `path`; `-` is standard output.
    ///
    /// # Errors
    /// The file can't be created or written.
    pub fn write_json(&self, path: &Path, section: &impl Section) -> Result<(), CommandError> {
        let mut file = super::output::create(path)?;
        file.write_all(self.to_json(section).as_bytes())
            .and_then(|()| file.finish())
            .map_err(|source| CommandError::write(path, source))
    }

    fn state_text(&self) -> String {
        let entries = match self.state_entries {
            1 => "1 entry".to_owned(),
            many => format!("{} entries", count(many)),
        };
        let recovery = self.recovery_ms.map(|ms| format!("; loaded in {ms:.1} ms"));
        format!("{entries}, {} in logs{}", bytes(self.state_bytes), recovery.unwrap_or_default())
    }

    fn schedule_text(&self, asked: f64, reached: f64) -> String {
        let (asked, reached) = (whole(asked), whole(reached));
        let backlog = plural(self.backlog_max.unwrap_or(0), "record");
        if self.kept_up() {
            format!("kept up: asked {asked}/s, reached {reached}/s, backlog at most {backlog}")
        } else {
            format!(
                "could not keep up: asked {asked}/s, reached {reached}/s, backlog at most {backlog}"
            )
        }
    }
}

/// A report and the job's own part as one JSON object.
#[derive(Serialize)]
struct Whole<'r, S> {
    #[serde(flatten)]
    report: &'r Report,
    #[serde(flatten)]
    section: &'r S,
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
            let heads = ["p50", "p99", "p99.9", "p99.99", "max"];
            line("latency", heads.map(|head| format!("{head:>11}")).concat())?;
            line("  handed", latency.handed.to_string())?;
            line("  visible", latency.visible.to_string())?;
        }
        if let Some(hiccup) = &self.hiccup_ns {
            let (p9999, max) = (ns(hiccup.p9999), ns(hiccup.max));
            line("hiccups", format!("p99.99 {p9999}  max {max} of the machine itself"))?;
        }
        if let (Some(asked), Some(reached)) = (self.asked_rate, self.achieved_rate) {
            line("schedule", self.schedule_text(asked, reached))?;
        }
        if let Some(made) = &self.checkpoints {
            line("state", self.state_text())?;
            line("checkpoints", made.to_string())?;
        }
        Ok(())
    }
}

impl fmt::Display for Checkpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Durations { p50, p99, max } = self.duration_ms;
        write!(
            f,
            "{} durable, {} written; p50 {p50:.1} ms  p99 {p99:.1} ms  max {max:.1} ms; begun in {} \
             at most",
            count(self.count),
            bytes(self.bytes),
            ns(self.begin_ns_max)
        )
    }
}

/// A row of the table of latencies.
impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = [self.p50, self.p99, self.p999, self.p9999, self.max];
        f.write_str(&row.map(|value| format!("{:>11}", ns(value))).concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Cakes {
        cakes: u32,
    }

    impl fmt::Display for Cakes {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            writeln!(f, "  cakes       {}", self.cakes)
        }
    }

    fn report() -> Report {
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
            checkpoints: Some(Checkpoints {
                count: 12,
                bytes: 3 << 20,
                duration_ms: Durations { p50: 4.25, p99: 20.0, max: 21.5 },
                begin_ns_max: 7_300,
            }),
            recovery_ms: Some(12.34),
            state_bytes: 2 << 20,
            state_entries: 5_000,
        }
    }

    #[test]
    fn the_json_has_the_fields_of_the_interface() {
        let json: serde_json::Value =
            serde_json::from_str(&report().to_json(&Cakes { cakes: 7 })).unwrap();
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
            "checkpoints",
            "recovery_ms",
            "state_bytes",
            "state_entries",
            "cakes",
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
        (report.latency_ns, report.achieved_rate) = (None, None);
        let json = report.to_json(&Nothing {});
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(json["latency_ns"].is_null() && json["achieved_rate"].is_null());
        assert!(!report.to_string().contains("schedule"));
    }

    #[test]
    fn the_readable_form_is_aligned_and_in_human_units() {
        assert_eq!(
            report().to_string(),
            "  records     1,003 in = 1,000 accepted + 2 rejected + 1 late; 1,000 out
  time        1.25 s wall, 2.50 s cpu on 2 shards (threads)
  throughput  802 records/s
  memory      256 MiB at most
  latency             p50        p99      p99.9     p99.99        max
    handed         900 ns    12.3 us    45.0 us    1.20 ms     2.00 s
    visible        900 ns    12.3 us    45.0 us    1.20 ms     2.00 s
  hiccups     p99.99 28.0 us  max 1.10 ms of the machine itself
  schedule    kept up: asked 800/s, reached 800/s, backlog at most 3 records
  state       5,000 entries, 2.00 MiB in logs; loaded in 12.3 ms
  checkpoints 12 durable, 3.00 MiB written; p50 4.2 ms  p99 20.0 ms  max 21.5 ms; begun in 7.30 us at most
"
        );
    }

    #[test]
    fn a_run_that_cannot_keep_up_says_so() {
        let mut report = report();
        report.asked_rate = Some(100_000.0);
        report.achieved_rate = Some(80_000.0);
        report.backlog_max = Some(21);
        assert!(report.to_string().contains(
            "could not keep up: asked 100,000/s, reached 80,000/s, backlog at most 21 records\n"
        ));
        report.backlog_max = Some(20);
        assert!(report.kept_up(), "the end of a short run takes time, too");
    }
}

//! A job on the screen: starts it, draws its progress, and makes its report.

use std::path::Path;
use std::time::Duration;

use crate::job::{
    CheckpointReport, Job, JobError, JobReport, JobSnapshot, Restart, RunningJob, Settings,
    Supervisor, supervise,
};
use crate::metric::{Latency, LatencySummary};
use crate::record::EventTime;

use super::error::CommandError;
use super::human::whole;
use super::plot::{Curve, latency_svg};
use super::progress::{Progress, Snapshot};
use super::report::{
    Checkpoints, Durations, Hiccups, Latencies, Nothing, Percentiles, Report, Section,
};
use super::usage;

/// How often the screen is looked after; the progress draws itself less often.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a run came to, as it is shown and written.
#[derive(Debug)]
pub struct Finished<S = Nothing> {
    /// The report.
    pub report: Report,
    section: S,
    job: JobReport,
}

/// What is shown while a job runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Watch {
    /// How many records there will be, where that is known.
    pub records_total: Option<u64>,
    /// No progress.
    pub silent: bool,
    /// What happens after a failure.
    pub restart: Restart,
}

/// Runs the job that `make` makes to its end with its progress on the screen. After a failure it is
/// made and run again from its last checkpoint, as `watch.restart` says. Answers what `make` handed
/// on beside the job that came to its end, too.
///
/// # Errors
/// Whatever keeps the job from starting or ends it early, and the restarts are used up.
pub fn run<T, E: From<CommandError>>(
    make: impl FnMut() -> Result<(Job, T), E>,
    settings: Settings,
    watch: Watch,
) -> Result<(Finished, T), E> {
    let rate = settings.rate;
    let cpu_before_s = usage::cpu_s();
    let mut screen = Screen { rate, watch };
    let refused = |error| CommandError::from(error).into();
    let (job, beside) = supervise(settings, watch.restart, &mut screen, make, refused)?;
    let report = report(&job, rate, usage::cpu_s() - cpu_before_s);
    Ok((Finished { report, section: Nothing {}, job }, beside))
}

/// Shows a job while it runs.
struct Screen {
    rate: Option<f64>,
    watch: Watch,
}

impl Supervisor for Screen {
    fn watch(&mut self, running: &RunningJob) {
        tell_start(running, self.watch);
        let mut progress = Progress::stderr();
        let mut pace = Pace::default();
        while !running.wait(LOOK_EVERY) {
            if !self.watch.silent && progress.is_due(running.elapsed_ns()) {
                let (total, timed) = (self.watch.records_total, self.rate.is_some());
                progress.draw(&snapshot(running, total, timed, &mut pace));
            }
        }
        progress.clear();
    }

    fn failed(&mut self, error: &JobError, delay: Duration) {
        eprintln!("{error}; starting again in {delay:?}");
    }
}

/// What a person should know of the start, in a line each.
fn tell_start(running: &RunningJob, watch: Watch) {
    for warning in running.warnings() {
        eprintln!("note: {warning}");
    }
    let Some(checkpoints) = running.checkpoints() else {
        return;
    };
    for note in checkpoints.notes {
        eprintln!("note: {note}");
    }
    if let Some(epoch) = checkpoints.resumed.filter(|_| !watch.silent) {
        eprintln!("going on from epoch {epoch}");
    }
}

/// The records and the time at the last drawing.
#[derive(Debug, Default)]
struct Pace {
    records: u64,
    elapsed_ns: u64,
}

fn snapshot(
    running: &RunningJob,
    records_total: Option<u64>,
    timed: bool,
    pace: &mut Pace,
) -> Snapshot {
    let counts = running.snapshot();
    let records = records_here(&counts);
    let JobSnapshot { shards, total, elapsed_ns, .. } = counts;
    let since_ns = elapsed_ns.saturating_sub(pace.elapsed_ns);
    let records_per_s = per_second(records.saturating_sub(pace.records), since_ns);
    *pace = Pace { records, elapsed_ns };
    let highest = shards.iter().map(|shard| shard.watermark_micros).max();
    Snapshot {
        elapsed_ns,
        records: total.records_in,
        records_total,
        records_per_s,
        latency_ns_p99: timed.then(|| running.latencies().handed).and_then(p99),
        watermark: highest.map(EventTime).filter(|&time| time != EventTime::MIN),
        rejected: total.rejected,
        late: total.late,
        shard_records: shards.iter().map(|shard| shard.frames).collect(),
    }
}

/// `None` before the first record has come out.
fn p99(latency: Latency) -> Option<u64> {
    (!latency.is_empty()).then(|| latency.at(0.99))
}

/// Records of this run alone, without those of earlier ones: what time and rate are of.
fn records_here(counts: &JobSnapshot) -> u64 {
    counts.shards.iter().map(|shard| shard.records_in).sum()
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn per_second(records: u64, ns: u64) -> f64 {
    if ns == 0 { 0.0 } else { records as f64 * 1e9 / ns as f64 }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn report(job: &JobReport, rate: Option<f64>, cpu_s: f64) -> Report {
    let total = job.counts.total;
    let percentiles = |summary: LatencySummary| Percentiles {
        p50: summary.p50,
        p99: summary.p99,
        p999: summary.p999,
        p9999: summary.p9999,
        max: summary.max,
    };
    let latency_ns = rate.and_then(|_| {
        Some(Latencies {
            handed: percentiles(job.latencies.handed.summary()?),
            visible: percentiles(job.latencies.visible.summary()?),
        })
    });
    let records_per_s = per_second(records_here(&job.counts), job.counts.elapsed_ns);
    Report {
        records_in: total.records_in,
        accepted: total.accepted,
        records_out: job.counts.records_out,
        rejected: total.rejected,
        late: total.late,
        wall_s: job.counts.elapsed_ns as f64 / 1e9,
        cpu_s,
        records_per_s,
        rss_bytes_max: usage::rss_bytes_max(),
        latency_ns,
        achieved_rate: rate.map(|_| records_per_s),
        backlog_max: rate.map(|_| total.backlog_max),
        asked_rate: rate,
        hiccup_ns: job.hiccup.map(|hiccup| Hiccups {
            p99: hiccup.p99,
            p9999: hiccup.p9999,
            max: hiccup.max,
        }),
        shards: u16::try_from(job.shard_count).unwrap_or(u16::MAX),
        driver: job.driver.to_owned(),
        checkpoints: job.checkpoints.as_ref().map(checkpoints),
        recovery_ms: job
            .checkpoints
            .as_ref()
            .filter(|made| made.resumed.is_some())
            .map(|made| made.recovery_ns as f64 / 1e6),
        state_bytes: total.state_bytes,
        state_entries: total.state_entries,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn checkpoints(made: &CheckpointReport) -> Checkpoints {
    let at = |quantile| match made.stats.duration_ns.is_empty() {
        true => 0.0,
        false => made.stats.duration_ns.at(quantile) as f64 / 1e6,
    };
    Checkpoints {
        count: made.stats.count,
        bytes: made.stats.bytes,
        duration_ms: Durations { p50: at(0.5), p99: at(0.99), max: at(1.0) },
        begin_ns_max: made.stats.begin_ns_max,
    }
}

impl Finished {
    /// Adds the job's own part.
    #[must_use]
    pub fn with<S: Section>(self, section: S) -> Finished<S> {
        Finished { report: self.report, section, job: self.job }
    }
}

impl<S: Section> Finished<S> {
    /// Prints the readable report, and writes the JSON one and the plot where they are asked for.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn show(
        &self,
        json: Option<&Path>,
        plot: Option<&Path>,
        title: &str,
    ) -> Result<(), CommandError> {
        if let Some(path) = json {
            self.report.write_json(path, &self.section)?;
        }
        if let Some(path) = plot {
            self.write_plot(path, title)?;
        }
        eprint!("{}{}", self.report, self.section);
        Ok(())
    }

    fn write_plot(&self, path: &Path, title: &str) -> Result<(), CommandError> {
        let curves = [
            Curve { label: "handed to the sink", latency: &self.job.latencies.handed },
            Curve { label: "visible in the file", latency: &self.job.latencies.visible },
            Curve { label: "the machine itself", latency: self.job.hiccup_gaps.gaps() },
        ];
        let curves: Vec<Curve<'_>> =
            curves.into_iter().filter(|curve| !curve.latency.is_empty()).collect();
        let caption = format!(
            "{} on {} shards ({}), {} asked for, {} reached",
            super::human::count(self.report.records_in),
            self.report.shards,
            self.report.driver,
            self.report.asked_rate.map_or("no rate".to_owned(), |rate| whole(rate) + "/s"),
            whole(self.report.records_per_s) + "/s",
        );
        let svg = latency_svg(title, &caption, &curves);
        std::fs::write(path, svg).map_err(|source| CommandError::create(path, source))
    }
}

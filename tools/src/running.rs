//! A job on the screen: starts it, draws its progress, and makes its report.

use std::path::Path;
use std::time::Duration;

use pelton::job::{JobReport, JobSnapshot, RunningJob};
use pelton::metric::LatencySummary;
use pelton::shard::park::WaitStrategy;
use pelton::{Engine, EventTime, Job, Settings};

use crate::ProgramError;
use crate::cli::{Driver, EngineArgs, Strategy};
use crate::fraud::quality::Quality;
use crate::plot::{Curve, latency_svg};
use crate::progress::{Progress, Snapshot};
use crate::report::{Hiccups, Latencies, Percentiles, Report};
use crate::usage;

/// How often the screen is looked after; the progress draws itself less often.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The engine's settings from the command line.
#[must_use]
pub fn settings(args: &EngineArgs, rate: Option<f64>) -> Settings {
    let mut settings = Settings { rate, ..Settings::default() };
    if let Some(shards) = args.shards {
        settings.shard_count = shards;
    }
    settings.driver = match args.driver {
        Driver::Auto => pelton::Driver::Auto,
        Driver::Threads => pelton::Driver::Threads,
        Driver::Glommio => pelton::Driver::Glommio,
    };
    settings.wait = args.strategy.map(|strategy| match strategy {
        Strategy::Spin => WaitStrategy::Spin,
        Strategy::Balanced => WaitStrategy::Balanced,
        Strategy::Efficient => WaitStrategy::Efficient,
    });
    settings
}

/// What a run came to, as it is shown and written.
#[derive(Debug)]
pub struct Finished {
    /// The report, still without the job's own part.
    pub report: Report,
    job: JobReport,
}

/// Runs `job` to its end with its progress on the screen.
///
/// # Errors
/// Whatever keeps the job from starting or ends it early.
pub fn run(
    job: Job,
    settings: Settings,
    records_total: Option<u64>,
) -> Result<Finished, ProgramError> {
    let rate = settings.rate;
    let cpu_before_s = usage::cpu_s();
    let running = Engine::with(settings).start(job)?;
    let mut progress = Progress::stderr();
    let mut pace = Pace::default();
    while !running.wait(LOOK_EVERY) {
        if progress.is_due(running.elapsed_ns()) {
            progress.draw(&snapshot(&running, records_total, rate.is_some(), &mut pace));
        }
    }
    progress.clear();
    let job = running.join()?;
    let report = report(&job, rate, usage::cpu_s() - cpu_before_s);
    Ok(Finished { report, job })
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
    let JobSnapshot { shards, total, elapsed_ns, .. } = running.snapshot();
    let since_ns = elapsed_ns.saturating_sub(pace.elapsed_ns);
    let records_per_s = per_second(total.records_in.saturating_sub(pace.records), since_ns);
    *pace = Pace { records: total.records_in, elapsed_ns };
    let highest = shards.iter().map(|shard| shard.watermark_micros).max();
    Snapshot {
        elapsed_ns,
        records: total.records_in,
        records_total,
        records_per_s,
        latency_ns_p99: timed.then(|| running.latencies().handed.at(0.99)),
        watermark: highest.map(EventTime).filter(|&time| time != EventTime::MIN),
        rejected: total.rejected,
        late: total.late,
        shard_records: shards.iter().map(|shard| shard.frames).collect(),
    }
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
    let records_per_s = per_second(total.records_in, job.counts.elapsed_ns);
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
        quality: None,
    }
}

impl Finished {
    /// Adds the fraud job's part.
    #[must_use]
    pub fn with_quality(mut self, quality: Option<Quality>) -> Self {
        self.report.quality = quality;
        self
    }

    /// Prints the readable report, and writes the JSON one and the plot where they are asked for.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn show(
        &self,
        json: Option<&Path>,
        plot: Option<&Path>,
        title: &str,
    ) -> Result<(), ProgramError> {
        if let Some(path) = json {
            self.report.write_json(path)?;
        }
        if let Some(path) = plot {
            self.write_plot(path, title)?;
        }
        eprint!("{}", self.report);
        Ok(())
    }

    fn write_plot(&self, path: &Path, title: &str) -> Result<(), ProgramError> {
        let curves = [
            Curve { label: "handed to the sink", latency: &self.job.latencies.handed },
            Curve { label: "visible in the file", latency: &self.job.latencies.visible },
            Curve { label: "the machine itself", latency: self.job.hiccup_gaps.gaps() },
        ];
        let curves: Vec<Curve<'_>> =
            curves.into_iter().filter(|curve| !curve.latency.is_empty()).collect();
        let caption = format!(
            "{} on {} shards ({}), {} asked for, {} reached",
            crate::human::count(self.report.records_in),
            self.report.shards,
            self.report.driver,
            self.report.asked_rate.map_or("no rate".to_owned(), rate_text),
            rate_text(self.report.records_per_s),
        );
        let svg = latency_svg(title, &caption, &curves);
        std::fs::write(path, svg).map_err(|source| ProgramError::create(path, source))
    }
}

fn rate_text(per_second: f64) -> String {
    format!("{per_second:.0}/s")
}

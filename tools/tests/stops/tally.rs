//! What the stops have hit, as a table.

use std::collections::BTreeMap;
use std::fmt;

use super::case::Job;
use super::checks::Checked;
use super::log::INSIDE;
use super::program::{Hit, Options};

/// Counts of a campaign.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) seeds: u64,
    pub(crate) rounds: u64,
    /// Lines that were compared with the undisturbed run's.
    pub(crate) compared: u64,
    /// By job and phase.
    hits: BTreeMap<(&'static str, &'static str), u64>,
    /// By driver, way to flush, and shards.
    options: BTreeMap<String, u64>,
    replayed: Vec<u64>,
    within_two_intervals: u64,
}

impl Tally {
    pub(super) fn stop(&mut self, job: Job, hit: &Hit, checked: &Checked, options: Options) {
        *self.hits.entry((job.name(), hit.phase())).or_default() += 1;
        let Options { shards, driver, flush } = options;
        for option in [format!("{shards} shards"), driver.to_owned(), format!("flush {flush}")] {
            *self.options.entry(option).or_default() += 1;
        }
        if job == Job::Fraud {
            self.replayed.push(checked.replayed);
            self.within_two_intervals += u64::from(checked.replayed <= checked.two_intervals);
        }
    }

    /// How many stops count.
    pub(crate) fn stops(&self) -> u64 {
        self.hits.values().sum()
    }

    /// How many of them hit a checkpoint in flight.
    pub(crate) fn inside(&self) -> u64 {
        INSIDE.into_iter().map(|phase| self.at(phase)).sum()
    }

    fn at(&self, phase: &str) -> u64 {
        self.hits.iter().filter(|((_, hit), _)| *hit == phase).map(|(_, count)| count).sum()
    }

    /// Prints it. How many stops cost no more than two intervals' records is a figure and no check:
    /// where the disk is busy, checkpoints take longer than an interval, and each stop was held to
    /// the time that had passed since its own.
    pub(crate) fn show(&self, what: &str) {
        eprintln!("{what}: {self}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stops, inside) = (self.stops(), self.inside());
        writeln!(f, "{stops} stops in {} rounds of {} seeds", self.rounds, self.seeds)?;
        writeln!(f, "{inside} inside a checkpoint, by the last phase that was logged:")?;
        for phase in INSIDE.into_iter().chain(["between", "starting"]) {
            let of = |job| self.hits.get(&(job, phase)).copied().unwrap_or(0);
            let (fraud, clicks) = (of("fraud"), of("clicks"));
            writeln!(f, "  {phase:10} {:6}   fraud {fraud:6}   clicks {clicks:6}", fraud + clicks)?;
        }
        let options = self.options.iter().map(|(option, count)| format!("{option}: {count}"));
        writeln!(f, "runs that were stopped, {}", options.collect::<Vec<_>>().join(", "))?;
        let mut replayed = self.replayed.clone();
        replayed.sort_unstable();
        let at = |percent: usize| replayed.get(replayed.len().saturating_sub(1) * percent / 100);
        writeln!(
            f,
            "records replayed: p50 {}, p90 {}, max {}; within two intervals' records: {} of {}",
            at(50).unwrap_or(&0),
            at(90).unwrap_or(&0),
            at(100).unwrap_or(&0),
            self.within_two_intervals,
            replayed.len()
        )?;
        write!(f, "{} lines compared: 0 lost, 0 duplicate", self.compared)
    }
}

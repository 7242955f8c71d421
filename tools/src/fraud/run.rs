//! `pelton run fraud`, and the same on generated transactions.

use std::path::PathBuf;

use pelton::Job;
use pelton::command::{Finished, Watch, run as run_job};
use pelton::job::{Begin, Checkpoints, SourceOptions, Splits};
use pelton::record::{Decimal, EventTime, TimeSpan};
use pelton::sink::Both;
use pelton::source::GeneratorSplit;

use super::alerts::alerts;
use super::generator::{self, Transactions};
use super::job::{Order, fraud};
use super::outputs::{Total, alert_lines, card_features, decisions, features, quality};
use super::quality::QualityTally;
use super::records::Transaction;
use super::rules::Rules;
use super::rules_in_use::RulesInUse;
use super::rules_watch::{RulesWatch, WatchedRules};
use crate::ProgramError;
use crate::cli::{self, FraudArgs};
use crate::report::FraudSection;

/// How far behind a row may be with `--order event-time`, unless `--lateness` says so.
const LATENESS_DEFAULT: TimeSpan = TimeSpan::minutes(10);

/// Runs the fraud job on files.
///
/// # Errors
/// The rules, the inputs, the outputs, or the job.
pub fn run(args: FraudArgs) -> Result<(), ProgramError> {
    let settings = args.run.settings("fraud")?;
    let rules = RulesInUse::new(Rules::load(args.rules.as_deref())?);
    // A run that starts again after a failure goes on with the newest rules.
    let watch = args.rules.as_deref().map(|path| WatchedRules::new(path, rules.clone()));
    let watch = watch.map(RulesWatch::start);
    let (finished, tally) = run_job(|| plan_with(&args, &rules), settings, args.run.watch())?;
    drop(watch);
    let finished = finished.with(FraudSection { quality: tally.total().quality() });
    args.run.show(&finished, "Fraud decisions: latency from the intended arrival")?;
    Ok(())
}

/// The job that the command line asks for, and the tally of its decisions.
///
/// # Errors
/// The rules, or the outputs.
pub fn plan(args: &FraudArgs) -> Result<(Job, impl Total<QualityTally> + use<>), ProgramError> {
    plan_with(args, &RulesInUse::new(Rules::load(args.rules.as_deref())?))
}

/// As [`plan`], with rules that can be swapped.
///
/// # Errors
/// The outputs.
pub fn plan_with(
    args: &FraudArgs,
    rules: &RulesInUse,
) -> Result<(Job, impl Total<QualityTally> + use<>), ProgramError> {
    args.run.check_paths(&[
        ("--features", args.features.as_deref()),
        ("--card-features", args.card_features.as_deref()),
        ("--alerts", args.alerts.as_deref()),
    ])?;
    let job = Job::new();
    let mut options = args.run.source_options::<Transaction>()?;
    let order = match args.order {
        cli::Order::Arrival => Order::Arrival,
        cli::Order::EventTime => {
            options = options.lateness(args.run.lateness.unwrap_or(LATENESS_DEFAULT));
            Order::EventTime
        }
    };
    let transactions = job.source(args.run.files(), options);
    if let Some(path) = &args.alerts {
        alerts(transactions.clone(), rules.clone(), order).to(alert_lines(path));
    }
    let tally = quality(rules.used());
    let rows = Both(
        args.features.as_deref().map(features),
        args.card_features.as_deref().map(card_features),
    );
    let files = Both(decisions(args.run.output()?, rules.used()), rows);
    fraud(transactions, rules.clone(), order).to(Both(files, tally.clone()));
    Ok((job, tally))
}

/// What the generated run writes.
#[derive(Debug, Clone)]
pub struct GeneratedFiles {
    /// One decision a line.
    pub decisions: PathBuf,
    /// The report as JSON.
    pub report: PathBuf,
    /// The latencies as a picture.
    pub plot: PathBuf,
    /// The state directory.
    pub state: PathBuf,
}

/// Runs the fraud job on `count` generated transactions, which arrive at `rate` a second.
///
/// # Errors
/// The outputs, or the job.
pub fn run_generated(
    seed: u64,
    count: u64,
    rate: f64,
    files: &GeneratedFiles,
) -> Result<Finished<FraudSection>, ProgramError> {
    let rules = RulesInUse::new(Rules::load(None)?);
    let make = || {
        let job = Job::new();
        let mut generated = Transactions::new(seed, count);
        let split = GeneratorSplit::new("generated", move |_| generated.next().map(transaction));
        let transactions = job.source(Splits::new(vec![split]), SourceOptions::new());
        let decided = fraud(transactions, rules.clone(), Order::Arrival);
        let tally = quality(rules.used());
        decided.to(Both(decisions(&files.decisions, rules.used()), tally.clone()));
        Ok::<_, ProgramError>((job, tally))
    };
    // A demo begins anew each time.
    let checkpoints = Checkpoints::new(&files.state).job("fraud").begin(Begin::Fresh);
    let settings = pelton::Settings {
        rate: Some(rate),
        checkpoints: Some(checkpoints),
        ..pelton::Settings::default()
    };
    let watch = Watch { records_total: Some(count), ..Watch::default() };
    let (finished, tally) = run_job(make, settings, watch)?;
    Ok(finished.with(FraudSection { quality: tally.total().quality() }))
}

fn transaction(t: generator::GeneratedTransaction) -> Transaction {
    Transaction {
        transaction_id: t.transaction_id,
        time: EventTime(t.time_micros),
        customer_id: t.customer_id,
        terminal_id: t.terminal_id,
        amount: Decimal(t.amount_micros),
        fraud: Some(t.fraud),
        scenario: Some(t.scenario),
        latitude: None,
        longitude: None,
        declined: None,
        pending: None,
        confirms: None,
    }
}

//! `pelton run fraud`, and the same on generated transactions.

use std::path::PathBuf;
use std::sync::Arc;

use pelton::Job;
use pelton::command::{Finished, Watch, run as run_job};
use pelton::job::{Begin, Checkpoints, SourceOptions, Splits};
use pelton::record::{Decimal, EventTime, TimeSpan};
use pelton::sink::Both;
use pelton::source::GeneratorSplit;

use super::generator::{self, Transactions};
use super::job::{Order, Transaction, fraud};
use super::outputs::{Total, decisions, features, quality};
use super::quality::QualityTally;
use super::rules::Rules;
use super::verdict::CompiledRules;
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
    let (finished, tally) = run_job(|| plan(&args), settings, args.run.watch())?;
    let finished = finished.with(FraudSection { quality: tally.total().quality() });
    args.run.show(&finished, "Fraud decisions: latency from the intended arrival")?;
    Ok(())
}

/// The job that the command line asks for, and the tally of its decisions.
///
/// # Errors
/// The rules.
pub fn plan(args: &FraudArgs) -> Result<(Job, impl Total<QualityTally> + use<>), ProgramError> {
    args.run.check_paths(&[("--features", args.features.as_deref())])?;
    let rules = Arc::new(Rules::load(args.rules.as_deref())?);
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
    let decided = fraud(transactions, Arc::clone(&rules), order);
    let tally = quality(Arc::clone(&rules));
    let files = Both(decisions(args.run.output()?, rules), args.features.as_deref().map(features));
    decided.to(Both(files, tally.clone()));
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
    let rules: Arc<CompiledRules> = Arc::new(Rules::load(None)?);
    let make = || {
        let job = Job::new();
        let mut generated = Transactions::new(seed, count);
        let split = GeneratorSplit::new("generated", move |_| generated.next().map(transaction));
        let transactions = job.source(Splits::new(vec![split]), SourceOptions::new());
        let decided = fraud(transactions, Arc::clone(&rules), Order::Arrival);
        let tally = quality(Arc::clone(&rules));
        decided.to(Both(decisions(&files.decisions, Arc::clone(&rules)), tally.clone()));
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
    }
}

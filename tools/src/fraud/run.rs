//! `pelton run fraud`, and the same on generated transactions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pelton::Job;
use pelton::job::{Files, SourceOptions, Splits};
use pelton::record::{Decimal, EventTime};
use pelton::sink::{Both, FileSink, RejectLines};
use pelton::source::GeneratorSplit;

use super::generator::Transactions;
use super::job::{Order, Transaction, fraud};
use super::outputs::{Total, decisions, features, quality};
use super::rules::Rules;
use super::verdict::CompiledRules;
use crate::ProgramError;
use crate::cli::{self, FraudArgs};
use crate::paths;
use crate::running::{Finished, run as run_job, settings};

/// Runs the fraud job on files.
///
/// # Errors
/// The rules, the inputs, the outputs, or the job.
pub fn run(args: FraudArgs) -> Result<(), ProgramError> {
    paths::check(
        &args.input,
        &[
            ("--output", Some(&args.output)),
            ("--features", args.features.as_deref()),
            ("--rejects", args.rejects.as_deref()),
            ("--late", args.late.as_deref()),
            ("--report", args.report.as_deref()),
            ("--plot", args.plot.as_deref()),
        ],
    )?;
    let rules = Arc::new(Rules::load(args.rules.as_deref())?);
    let job = Job::new();
    let mut options = SourceOptions::<Transaction>::new();
    let order = match args.order {
        cli::Order::Arrival => Order::Arrival,
        cli::Order::EventTime => {
            options = options.lateness(args.lateness);
            Order::EventTime
        }
    };
    if let Some(path) = &args.rejects {
        options = options.rejects(FileSink::new(path, RejectLines));
    }
    if let Some(path) = &args.late {
        options = options.late(FileSink::json(path));
    }
    let inputs = args.input.iter().map(|path| path.to_string_lossy().into_owned());
    let transactions = job.source(Files::new(inputs), options);
    let outputs = Outputs { decisions: &args.output, features: args.features.as_deref() };
    let decided = fraud(transactions, Arc::clone(&rules), order);
    let tally = quality(Arc::clone(&rules));
    let files = Both(decisions(outputs.decisions, rules), outputs.features.map(features));
    decided.to(Both(files, tally.clone()));
    let rate = args.rate.map(rate_of);
    let finished = run_job(job, settings(&args.engine, rate), None)?;
    let title = "Fraud decisions: latency from the intended arrival";
    finished.with_quality(tally.total().quality()).show(
        args.report.as_deref(),
        args.plot.as_deref(),
        title,
    )
}

#[expect(clippy::cast_precision_loss, reason = "a rate of records a second")]
fn rate_of(rate: std::num::NonZeroU64) -> f64 {
    rate.get() as f64
}

/// Where the results go.
#[derive(Debug, Clone, Copy)]
struct Outputs<'o> {
    decisions: &'o Path,
    features: Option<&'o Path>,
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
) -> Result<Finished, ProgramError> {
    let rules: Arc<CompiledRules> = Arc::new(Rules::load(None)?);
    let job = Job::new();
    let mut generated = Transactions::new(seed, count);
    let split = GeneratorSplit::new("generated", move |_| {
        generated.next().map(|t| Transaction {
            transaction_id: t.transaction_id,
            time: EventTime(t.time_micros),
            customer_id: t.customer_id,
            terminal_id: t.terminal_id,
            amount: Decimal(t.amount_micros),
            fraud: Some(t.fraud),
            scenario: Some(t.scenario),
        })
    });
    let transactions = job.source(Splits::new(vec![split]), SourceOptions::new());
    let decided = fraud(transactions, Arc::clone(&rules), Order::Arrival);
    let tally = quality(Arc::clone(&rules));
    decided.to(Both(decisions(&files.decisions, rules), tally.clone()));
    let settings = pelton::Settings { rate: Some(rate), ..pelton::Settings::default() };
    let finished = run_job(job, settings, Some(count))?.with_quality(tally.total().quality());
    Ok(finished)
}

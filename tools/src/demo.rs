//! `pelton` without arguments: the fraud job on generated transactions, on a schedule.

use std::path::PathBuf;

use pelton::command::CommandError;
use pelton::command::human::{count, whole};

use crate::error::ProgramError;
use crate::fraud::{GeneratedFiles, run_generated};

/// Over three months' worth of cards, in ten seconds.
const COUNT: u64 = 1_000_000;
const RATE: f64 = 100_000.0;
const SEED: u64 = 1;
const FOLDER: &str = "pelton-out";

/// Runs the demo.
///
/// # Errors
/// The outputs, or the job.
pub fn run() -> Result<(), ProgramError> {
    let folder = PathBuf::from(FOLDER);
    std::fs::create_dir_all(&folder).map_err(|source| CommandError::create(&folder, source))?;
    let files = GeneratedFiles {
        decisions: folder.join("decisions.ndjson"),
        report: folder.join("report.json"),
        plot: folder.join("latency.svg"),
        state: folder.join("state"),
    };
    eprintln!(
        "pelton: fraud decisions on {} generated card transactions (seed {SEED}), {} a second; \
         5,000 customers, 10,000 terminals",
        count(COUNT),
        whole(RATE)
    );
    let finished = run_generated(SEED, COUNT, RATE, &files)?;
    let title = "Fraud decisions at 100,000/s: latency from the intended arrival";
    finished.show(Some(&files.report), Some(&files.plot), title)?;
    eprintln!("wrote");
    for (path, what) in [
        (&files.decisions, "one decision a line"),
        (&files.report, "these figures"),
        (&files.plot, "the latencies as a picture"),
        (&files.state, "the state: pelton state ls pelton-out/state"),
    ] {
        eprintln!("  {:<28}{what}", path.display());
    }
    Ok(())
}

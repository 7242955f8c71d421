//! The program `pelton`.

use std::process::ExitCode;

use clap::Parser;
use pelton_cli::cli::{Command, Generate, Pelton, Run};
use pelton_cli::{ProgramError, clicks, demo, fraud, generate};

fn main() -> ExitCode {
    // Wrong usage ends here, with exit code 2.
    let result = match Pelton::parse().command {
        None => demo::run(),
        Some(Command::Run(Run::Fraud(args))) => fraud::run(args),
        Some(Command::Run(Run::Clicks(args))) => clicks::run(args),
        Some(Command::Generate(Generate::Transactions(args))) => generate::run(&args),
    };
    match result {
        Ok(()) | Err(ProgramError::ReaderGone) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

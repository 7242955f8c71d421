//! The program `pelton`.

use std::process::ExitCode;

use clap::Parser;
use pelton_cli::cli::{Command, Generate, Pelton, Run};
use pelton_cli::{clicks, demo, fraud, generate, plans, state};

fn main() -> ExitCode {
    // Wrong usage ends here, with exit code 2.
    let result = match Pelton::parse().command {
        None => demo::run(),
        Some(Command::Run(Run::Fraud(args))) => fraud::run(args),
        Some(Command::Run(Run::Clicks(args))) => clicks::run(args),
        Some(Command::Plan(args)) => plans::plan(&args),
        Some(Command::Expand(args)) => plans::expand(&args),
        Some(Command::Generate(Generate::Transactions(args))) => generate::run(&args),
        Some(Command::State(command)) => state::run(&command),
        Some(Command::Savepoint(args)) => state::savepoint(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_reader_gone() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

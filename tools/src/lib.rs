//! The program `pelton` as a library, so that tests and benches run the very jobs that it runs.
//!
//! [`cli`] is what people type; [`fraud`] and [`clicks`] are the jobs, [`demo`] is what runs
//! without arguments. [`report`] and [`progress`] are what people see.

pub mod cli;
pub mod clicks;
pub mod demo;
pub mod digits;
pub mod error;
pub mod fraud;
pub mod generate;
pub mod human;
pub mod output;
pub mod paths;
pub mod plot;
pub mod progress;
pub mod report;
pub mod running;
pub mod usage;

pub use error::ProgramError;

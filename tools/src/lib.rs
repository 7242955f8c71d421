//! The program `pelton` as a library, so that tests and benches run the very jobs that it runs.
//!
//! [`cli`] is what people type; [`fraud`] and [`clicks`] are the jobs, [`demo`] is what runs
//! without arguments, [`state`] looks into state directories. What every program of jobs has is the engine's [`pelton::command`].

pub mod cli;
pub mod clicks;
pub mod demo;
pub mod digits;
pub mod error;
pub mod fraud;
pub mod generate;
#[cfg(feature = "parquet")]
mod parquet;
pub mod plans;
pub mod report;
pub mod state;

pub use error::ProgramError;

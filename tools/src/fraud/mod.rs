//! The fraud job: card transactions in, decisions with their reasons out.
//!
//! Its parts, in the order in which a transaction meets them: `generator` (where there is no
//! file), `rules` (what people write), `verdict` (the rules at work), `features` (what the rules
//! saw, as a row), `quality` (decisions against labels).

pub mod features;
pub mod generator;
pub mod job;
pub mod outputs;
pub mod quality;
pub mod rules;
mod run;
pub mod verdict;

pub use run::{GeneratedFiles, plan, run, run_generated};

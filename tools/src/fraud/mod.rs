//! The fraud job: card transactions in, decisions with their reasons out.
//!
//! Its parts, in the order in which a transaction meets them: `generator` (where there is no
//! file), `records`, `card` and `place` (what the card has just done), `rules` (what people write),
//! `rules_in_use` and `rules_watch` (changed while the job runs), `verdict` (the rules at work),
//! `features` (what the rules saw, as a row), `quality` (decisions against labels). Beside them `alerts`:
//! what takes several transactions to see.

pub mod alerts;
pub mod card;
pub mod features;
pub mod generator;
pub mod job;
pub mod outputs;
pub mod place;
pub mod quality;
pub mod records;
pub mod rules;
pub mod rules_in_use;
pub mod rules_watch;
mod run;
pub mod verdict;

pub use run::{GeneratedFiles, plan, plan_with, run, run_generated};

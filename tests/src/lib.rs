//! What the end-to-end tests share: oracles, which are slow and obviously right, and ways
//! to run a job that neither hang nor hide what they ran.

mod flows;
pub mod fraud_cards;
pub mod fraud_oracle;
pub mod inputs;
mod joins;
mod lookups;
pub mod oracle;
pub mod patterns;
mod rows;
pub mod runs;
mod shapes;
pub mod simulated;
mod windows;

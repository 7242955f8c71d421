//! Folds that answer nearly, in a few bytes: how many different values, and how they are spread.
//!
//! | fold | error | state, bytes |
//! |---|---|---|
//! | [`HyperLogLog<M>`](HyperLogLog) | standard error `1.04 / sqrt(M)`: 3.3 % for 1,024 | M |
//! | [`Quantiles<E, N>`](Quantiles) | each answer within E thousandths of the exact one | 8 N + 24 |
//! | [`Histogram<B, N>`](Histogram) | none: it counts | 8 N + 8 |
//!
//! A state is read and written whole with each record, so choose no more room than the answer needs.

mod histogram;
mod hyperloglog;
mod quantiles;

pub use histogram::{Bounds, Histogram};
pub use hyperloglog::{HyperLogLog, Registers};
pub use quantiles::{Bins, QuantileSketch, Quantiles};

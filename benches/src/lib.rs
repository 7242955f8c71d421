//! Benchmarks of the engine's steps, each beside a yardstick in the same run. The programs in
//! `benches/` print what the functions here measure; the tests run the same functions small.

pub mod aggregates;
pub mod chain;
pub mod decode;
pub mod exact;
pub mod flush;
pub mod fraud;
pub mod log;
pub mod patterns;
pub mod recovery;
pub mod ring;
pub mod scratch;
pub mod state;
pub mod windows;

//! Measurements of the engine, one module a step, each beside a yardstick in the same run.

pub mod decode;

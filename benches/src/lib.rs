//! Benchmarks, one file a step; each runs in a second in its small mode, as a test.

pub mod ring;

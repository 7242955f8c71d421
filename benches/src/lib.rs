//! Yardsticks and measurements. A figure is a ratio to a yardstick in the same run.

pub mod fraud;

//! Step: see ARCHITECTURE.md.

/// How a shard waits: parking, waking and the strategies.
pub mod park;

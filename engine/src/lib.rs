//! Pelton: a thread-per-core stream-processing engine. See the README for what it does today.
//!
//! The modules stand in the order in which a record walks through them.

// So that the macros' `::pelton` paths also hold inside this crate.
extern crate self as pelton;

pub use pelton_codegen::{job, record};
#[doc(hidden)]
pub use rkyv;

pub mod clock;
pub mod io;
pub mod metric;
pub mod record;

pub mod chain;
pub mod decode;
pub mod job;
pub mod ring;
pub mod route;
pub mod shard;
pub mod sink;
pub mod source;
pub mod state;

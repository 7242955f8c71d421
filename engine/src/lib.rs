//! Pelton: a thread-per-core stream-processing engine. See the README for what it does today.
//!
//! The modules stand in the order in which a record walks through them: first what every step
//! knows, then the nine steps, then the job that ties them together.

// So that the macros' `::pelton` paths also hold inside this crate.
extern crate self as pelton;

pub use pelton_codegen::{job, part, record, state};
#[doc(hidden)]
pub use rkyv;

pub mod clock;
pub mod io;
pub mod metric;
pub mod record;

pub mod source;

pub mod decode;

pub mod route;

pub mod ring;

pub mod shard;

pub mod chain;

pub mod state;

pub mod checkpoint;

pub mod sink;

pub mod job;

pub mod sim;

#[cfg(feature = "cli")]
pub mod command;

pub use job::{Changelog, Driver, Engine, Job, JobError, JobReport, RunningJob, Settings, Stream};
pub use record::{Decimal, EventTime, TimeSpan};

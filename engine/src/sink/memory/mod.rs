//! Sinks of the embedding program: results that stay in the process.

mod callback;
mod collect;
mod tally;

pub use callback::{CallbackShard, CallbackSink, callback};
pub use collect::{Collect, CollectShard, CollectSink, Collected};
pub use tally::{TallyShard, TallySink, tally};

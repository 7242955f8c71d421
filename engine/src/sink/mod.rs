//! Step 9, sink: from emitted items to bytes in files, off the shard's critical path.
//!
//! Takes the items that a chain emits; hands on output. Formatting happens in the shard's turn,
//! into a recycled buffer; whole buffers go to the one writer of the file (`io::FileWriter`).
//!
//! A sink is written twice: as a [`SinkFactory`], which the job holds, and as the [`Sink`] that it
//! opens for each shard. The chain's terminal is generic over the second, so a write is no
//! dynamic call.
//!
//! Invariants
//! 1. *Blocked is not taken*: a sink that answers [`Flow::Blocked`] has kept nothing of the item,
//!    and wakes its shard once it has room.
//! 2. `write` and `flush` never wait and never fail; what went wrong shows in `poll` or `end`.
//! 3. No line holds a wall-clock value.
//!
//! Why formatting on the shard and not on the writer's thread: the view borrows from the ring, so
//! a hand-over would copy it first, and the formatting of many shards would queue on one thread.

mod both;
pub mod contract;
mod directory;
mod file;
mod lines;
mod maybe;
mod memory;
mod meter;
mod named;
mod participant;
mod position;
mod reject;
mod row;
mod start;

use std::error::Error;

use crate::chain::Flow;
use crate::io::{OutputError, Wake};
use crate::record::{FrameHeader, Item};

pub use both::{Both, BothShard};
pub use directory::DirectorySink;
pub use file::{FileShard, FileSink};
pub use lines::Lines;
pub use memory::{
    CallbackShard, CallbackSink, Collect, CollectShard, CollectSink, Collected, TallyShard,
    TallySink, callback, tally,
};
pub use meter::Meter;
pub use named::NamedSink;
pub use participant::OutputParticipant;
pub(crate) use participant::participant;
pub use reject::RejectLines;
pub use row::{
    Csv, CsvRow, FormatFn, Json, JsonRow, RowFormat, RowKey, RowValue, format_fn, write_csv_text,
    write_fixed6, write_i64, write_json_text, write_ratio6, write_u64,
};
pub use start::{Guarantee, SinkStart};

/// The number of one checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// What a sink could not do.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A file or standard output.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// What the manifest holds for this output was not made by such an output.
    #[error(
        "the checkpoint's state of this output is {found}; resume the job with the outputs \
         that it had, or start afresh"
    )]
    State {
        /// What it is instead.
        found: &'static str,
    },
    /// A sink that the embedding program brought.
    #[error("sink {name}: {source}")]
    Custom {
        /// Which one.
        name: &'static str,
        /// What it said.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// One shard's end of an output.
pub trait Sink<I: Item>: Send + 'static {
    /// Takes one item, or refuses it for want of room (invariant 1).
    fn write(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow;

    /// A turn ends. Where it was `busy`, another is likely to follow, and a partial buffer may wait
    /// to fill up; where not, hand over what is buffered.
    fn flush(&mut self, _busy: bool) {}

    /// Takes completions; answers whether there were any. Called once a turn.
    ///
    /// # Errors
    /// What went wrong since the last call.
    fn poll(&mut self) -> Result<bool, SinkError> {
        Ok(false)
    }

    /// A barrier, in order with the items: all that was written belongs to `epoch` or before, and
    /// all that follows to a later one. Never waits and never fails.
    fn prepare(&mut self, _epoch: Epoch) {}

    /// There will be no more writes: hands over the rest, and answers whether all of it is
    /// written. Called again, after a wake, until it is.
    ///
    /// # Errors
    /// What went wrong since the last call.
    fn end(&mut self) -> Result<bool, SinkError> {
        Ok(true)
    }
}

/// What a shard hands to the sink that is opened for it.
pub struct SinkSeat {
    /// The shard's number.
    pub shard: u16,
    /// Wakes the shard.
    pub wake: Wake,
    /// Takes the latencies of what the sink took and of what became visible.
    pub meter: Meter,
}

/// An output as the job holds it: begun once, opened once for each shard, finished once.
///
/// An epoch of an output goes through `prepared`, until it answers, and then `commit` or `abort`;
/// one epoch at a time, on the thread of the checkpoints.
pub trait SinkFactory<I: Item>: Send + Sync + 'static {
    /// What it opens.
    type Sink: Sink<I>;

    /// Whether `begin` could go on from `start`, changing nothing: all outputs of a job are checked
    /// before the first is begun.
    ///
    /// # Errors
    /// What stands there is not what `start` goes on from.
    fn check(&self, _start: &SinkStart<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    /// Creates what must exist before the job starts, so that a wrong path fails at once; or goes
    /// on from `start.resume`: repeats that epoch's commit, and takes back all that came after.
    ///
    /// # Errors
    /// The output can't be created, or can't go on.
    fn begin(&self, _start: &SinkStart<'_>) -> Result<(), SinkError> {
        Ok(())
    }

    /// The sink of one shard; after `begin`.
    fn open(&self, seat: SinkSeat) -> Self::Sink;

    /// The output's state for `epoch`, durable, once every shard has prepared it or has ended;
    /// `None` before that. Asked again and again; may wait for the disk, never for a shard. Also
    /// asked right after `begin`, for the epoch that the job begins with: what the output is before its
    /// first item.
    ///
    /// # Errors
    /// What `epoch` holds can't be made durable.
    fn prepared(&self, _epoch: Epoch) -> Result<Option<Vec<u8>>, SinkError> {
        Ok(Some(Vec::new()))
    }

    /// The manifest of `epoch` is durable. Idempotent; `begin` repeats it on recovery.
    ///
    /// # Errors
    /// What `epoch` holds can't be made visible.
    fn commit(&self, _epoch: Epoch) -> Result<(), SinkError> {
        Ok(())
    }

    /// There will be no manifest of `epoch`; what it held belongs to the next one.
    fn abort(&self, _epoch: Epoch) {}

    /// After every shard's `end` has answered true, and with checkpoints after the last commit:
    /// flushes, and returns how many bytes were written. Not called where the job has failed;
    /// dropping the factory then gives up what is in flight, and waits for nobody.
    ///
    /// # Errors
    /// What went wrong and was not yet told.
    fn finish(&self) -> Result<u64, SinkError> {
        Ok(0)
    }

    /// What a reader of the output may rely on when the job has gone on after a crash.
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }
}

impl std::fmt::Debug for SinkSeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkSeat").field("shard", &self.shard).finish_non_exhaustive()
    }
}

//! Look-ups: an asynchronous call to something outside for each record.
//!
//! Takes records; hands on each with what a [`Lookup`] answered for it, or why it did not. A shard never
//! waits for a call: requests go to one thread beside the shards, where all calls of a job wait at once,
//! and answers come back through a queue and wake the shard.
//!
//! ```text
//!  shard                                        look-up thread (tokio, one a job)
//!  record -> entry in the log -> request ------> call, call, call ..
//!         <- entry gone, record + answer <------ answer
//! ```
//!
//! Invariants
//! 1. A record that waits for its answer is an entry of the log, its whole frame, so a checkpoint that is
//!    made meanwhile holds it, and a restart asks for it anew. The entry goes when the item has been
//!    taken. So each record leaves once, though it may be asked for more than once.
//! 2. At most `in_flight` records of a shard wait; then the stage takes no more input. What a restart
//!    finds beyond that (fewer shards, a lower bound) waits without a call.
//! 3. A watermark leaves behind all records that came before it, and before all that came behind it; a
//!    barrier overtakes what waits, as that is in the log. The end waits for every answer.
//! 4. Time-outs, retries and the cache are decided on the shard by the clock seam; the thread only runs
//!    calls. So the simulator runs all of it, and polls the calls itself.
//!
//! Why a task a call on one thread and not futures that the shard polls: a client of a store brings
//! sockets and timers that need its runtime, and a client that blocks would block the shard.
//!
//! | file | what |
//! |---|---|
//! | `options.rs` | what may be asked for, and what was counted |
//! | `calls.rs` | how calls run: on the thread, or in the simulator |
//! | `flight.rs` | who waits, and who may leave next |
//! | `cache.rs` | answers that are still good |
//! | `operator.rs` | all of it together |

mod cache;
mod calls;
mod flight;
mod operator;
mod options;

pub(crate) use calls::{CallRunner, Calls};
pub(crate) use operator::{LookupOperator, LookupSettings, WaitingKey, lookup_states};
pub use options::{LookupCache, LookupCounts, LookupMeters, LookupOptions, LookupProblem};

use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;

use crate::record::{Item, Record};

/// A call to something outside, and how a record asks for it.
///
/// One value serves all shards, so it is where a client or a pool of connections belongs. `call` runs on
/// a tokio runtime of one thread, with all drivers of it that the program's tokio has; a call that
/// blocks that thread holds up all others. Under the simulator the shard polls it, after a delay by the
/// seed: there it must need neither a runtime nor a thread.
pub trait Lookup: Send + Sync + 'static {
    /// The record that arrives.
    type In: Record;
    /// What is asked for; also what the cache knows an answer by.
    type Request: Clone + Eq + Hash + Send + 'static;
    /// What is answered.
    type Answer: Clone + Send + 'static;
    /// Why there was no answer.
    type Error: Send + 'static;

    /// What to ask for a record; pure.
    fn request(&self, view: <Self::In as Item>::View<'_>) -> Self::Request;

    /// Asks. A call may be made again for the same record: after a failure, after a time-out (the first
    /// one is dropped where it waits), and after a restart.
    fn call(
        &self,
        request: Self::Request,
    ) -> impl Future<Output = Result<Self::Answer, Self::Error>> + Send;

    /// Whether a call that failed so is worth another one.
    fn is_retryable(&self, _error: &Self::Error) -> bool {
        true
    }
}

/// Why a record has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupFailure<E> {
    /// No call answered in time.
    TimedOut {
        /// How many were made.
        attempts: u32,
    },
    /// The last call failed.
    Failed {
        /// What it said.
        error: E,
        /// How many were made.
        attempts: u32,
    },
}

/// A record and what was answered for it: closures see `(view, Result<&Answer, &LookupFailure>)`.
pub struct LookedUp<L>(PhantomData<fn() -> L>);

impl<L> fmt::Debug for LookedUp<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LookedUp").finish()
    }
}

/// What a look-up came to.
pub type Answered<L> = Result<<L as Lookup>::Answer, LookupFailure<<L as Lookup>::Error>>;

/// The same, as closures see it.
pub type AnsweredView<'a, L> =
    Result<&'a <L as Lookup>::Answer, &'a LookupFailure<<L as Lookup>::Error>>;

impl<L: Lookup> Item for LookedUp<L> {
    type View<'a> = (<L::In as Item>::View<'a>, AnsweredView<'a, L>);
}

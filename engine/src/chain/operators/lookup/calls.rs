//! How calls run: each a task of the job's look-up thread, or polled in the simulator's turn.
//!
//! Takes requests with a ticket; hands back answers with the ticket, in any order. A call that was
//! cancelled may still answer, so who holds the tickets knows which are void.
//!
//! Bounds: a shard has as many calls under way as its look-up lets it, and each answers once at most, so
//! the queue of answers holds those and what was cancelled since it was read last.

use std::any::Any;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::Lookup;
use super::flight::SlotIndex;
use crate::shard::Stall;

/// Where a job's calls run.
#[derive(Debug, Clone)]
pub(crate) enum CallRunner {
    /// On the job's look-up thread.
    Thread(Handle),
    /// In the turn of the shard, after delays by the seed.
    Simulated {
        /// The simulator's.
        seed: u64,
    },
}

/// One call, and who waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    /// No two calls of a shard's look-up have one number.
    pub(super) call: u64,
    pub(super) slot: SlotIndex,
}

type CallResult<L> = Result<<L as Lookup>::Answer, <L as Lookup>::Error>;

/// The calls of one shard's look-up.
pub(crate) enum Calls<L: Lookup> {
    Thread(ThreadCalls<L>),
    Simulated(SimulatedCalls<L>),
}

impl<L: Lookup> Calls<L> {
    /// `wake` wakes the shard.
    pub(crate) fn new(
        runner: &CallRunner,
        lookup: Arc<L>,
        shard: u16,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        match runner {
            CallRunner::Thread(handle) => {
                Self::Thread(ThreadCalls::new(handle.clone(), lookup, wake))
            }
            CallRunner::Simulated { seed } => Self::Simulated(SimulatedCalls {
                lookup,
                chance: Stall::new(*seed, shard),
                running: Vec::new(),
            }),
        }
    }

    pub(super) fn start(&mut self, ticket: Ticket, request: L::Request, now_ns: u64) {
        match self {
            Self::Thread(calls) => calls.start(ticket, request),
            Self::Simulated(calls) => calls.start(ticket, request, now_ns),
        }
    }

    /// Drops a call where it waits.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        match self {
            Self::Thread(calls) => {
                if let Some(task) = calls.running.remove(&ticket) {
                    task.abort();
                }
            }
            Self::Simulated(calls) => calls.running.retain(|call| call.ticket != ticket),
        }
    }

    /// The next answer that is there. A panic of a call goes on here.
    pub(super) fn next(&mut self, now_ns: u64) -> Option<(Ticket, CallResult<L>)> {
        match self {
            Self::Thread(calls) => calls.next(),
            Self::Simulated(calls) => calls.next(now_ns),
        }
    }

    /// When to ask for answers though nobody wakes the shard.
    pub(super) fn next_ns(&self) -> Option<u64> {
        match self {
            Self::Thread(_) => None,
            Self::Simulated(calls) => calls.running.iter().map(|call| call.at_ns).min(),
        }
    }
}

type Panic = Box<dyn Any + Send>;
type Reply<L> = (Ticket, Result<CallResult<L>, Panic>);

/// Calls that are tasks of the look-up thread.
pub(crate) struct ThreadCalls<L: Lookup> {
    handle: Handle,
    lookup: Arc<L>,
    wake: Arc<dyn Fn() + Send + Sync>,
    reply: Sender<Reply<L>>,
    replies: Receiver<Reply<L>>,
    running: BTreeMap<Ticket, AbortHandle>,
}

impl<L: Lookup> ThreadCalls<L> {
    fn new(handle: Handle, lookup: Arc<L>, wake: Arc<dyn Fn() + Send + Sync>) -> Self {
        let (reply, replies) = unbounded();
        Self { handle, lookup, wake, reply, replies, running: BTreeMap::new() }
    }

    fn start(&mut self, ticket: Ticket, request: L::Request) {
        let (lookup, wake) = (Arc::clone(&self.lookup), Arc::clone(&self.wake));
        let reply = self.reply.clone();
        let task = self.handle.spawn(async move {
            let answer = guarded(&*lookup, request).await;
            // Whoever asked may be gone: the job is ending.
            let _ = reply.send((ticket, answer));
            wake();
        });
        self.running.insert(ticket, task.abort_handle());
    }

    fn next(&mut self) -> Option<(Ticket, CallResult<L>)> {
        let (ticket, answer) = self.replies.try_recv().ok()?;
        self.running.remove(&ticket);
        Some((ticket, answer.unwrap_or_else(|panic| resume_unwind(panic))))
    }
}

impl<L: Lookup> Drop for ThreadCalls<L> {
    /// Nobody is left whom an answer could reach.
    fn drop(&mut self) {
        self.running.values().for_each(AbortHandle::abort);
    }
}

/// A call's answer, or its panic, which the shard that waits for it is to hear of.
async fn guarded<L: Lookup>(lookup: &L, request: L::Request) -> Result<CallResult<L>, Panic> {
    let mut call = pin!(async { lookup.call(request).await });
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// A simulated call takes up to this long.
const DELAY_NS_MAX: usize = 200_000;
/// One that is not ready then is asked again after so long.
const AGAIN_NS: u64 = 100_000;

/// Calls that are polled in the turn.
pub(crate) struct SimulatedCalls<L: Lookup> {
    lookup: Arc<L>,
    chance: Stall,
    running: Vec<SimulatedCall<L>>,
}

struct SimulatedCall<L: Lookup> {
    ticket: Ticket,
    at_ns: u64,
    call: Pin<Box<dyn Future<Output = CallResult<L>> + Send>>,
}

impl<L: Lookup> SimulatedCalls<L> {
    fn start(&mut self, ticket: Ticket, request: L::Request, now_ns: u64) {
        let lookup = Arc::clone(&self.lookup);
        let call = Box::pin(async move { lookup.call(request).await });
        let delay_ns = u64::try_from(self.chance.below(DELAY_NS_MAX)).unwrap_or_default();
        self.running.push(SimulatedCall { ticket, at_ns: now_ns + delay_ns, call });
    }

    fn next(&mut self, now_ns: u64) -> Option<(Ticket, CallResult<L>)> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for index in 0..self.running.len() {
            let call = &mut self.running[index];
            if call.at_ns > now_ns {
                continue;
            }
            if let Poll::Ready(answer) = call.call.as_mut().poll(&mut cx) {
                let ticket = call.ticket;
                self.running.swap_remove(index);
                return Some((ticket, answer));
            }
            call.at_ns = now_ns + AGAIN_NS;
        }
        None
    }
}

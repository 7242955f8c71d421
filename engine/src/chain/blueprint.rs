//! Blueprints: a nest of operators and its terminal before each shard builds its own copy.

use std::sync::Arc;

use crate::clock::Clock;
use crate::record::Item;
use crate::ring::Producer;
use crate::route::{RangeTable, ShardId};
use crate::shard::park::Waker;
use crate::sink::{Meter, SinkSeat};

use super::{Link, Push};

/// Builds the same push for every shard.
pub trait Blueprint<I: Item>: Send + Sync + 'static {
    /// What it builds.
    type Push: Push<I> + 'static;
    /// Builds one shard's copy. Runs on the control thread before the shard starts.
    fn build(&self, wiring: &mut Wiring<'_>) -> Self::Push;
    /// Says what it is, and then what its next is: the plan is read off the blueprints themselves.
    fn describe(&self, links: &mut Vec<Link>);
}

/// The number of an exchange in its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExchangeId(pub usize);

/// What one shard's terminals are connected to.
#[derive(Debug)]
pub struct Wiring<'w> {
    /// The shard that is being built.
    pub shard: ShardId,
    /// Who owns which slots.
    pub ranges: &'w Arc<RangeTable>,
    /// How each shard is woken.
    pub wakers: &'w [Waker],
    /// The engine's clock.
    pub clock: &'w Clock,
    /// By exchange: this shard's producers, one for each consuming shard.
    pub producers: &'w mut [Vec<Producer>],
    /// Whether records carry intended arrival times, so that latency means something.
    pub timed: bool,
}

impl Wiring<'_> {
    /// The producers of `exchange`, handed out once.
    #[must_use]
    pub fn take_producers(&mut self, exchange: ExchangeId) -> Vec<Producer> {
        std::mem::take(&mut self.producers[exchange.0])
    }

    /// What a sink is opened with that measures nothing.
    #[must_use]
    pub fn silent_seat(&self) -> SinkSeat {
        SinkSeat { shard: self.shard.0, wake: self.wake(), meter: Meter::silent() }
    }

    /// How this shard is woken, for threads that work for it.
    #[must_use]
    pub fn wake(&self) -> Arc<dyn Fn() + Send + Sync> {
        let waker = self.wakers[usize::from(self.shard.0)].clone();
        Arc::new(move || waker.wake())
    }
}

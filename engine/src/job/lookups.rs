//! Look-ups in a job: the operator, and the thread that their calls run on.
//!
//! The thread is begun with the first job that needs it and belongs to that job: it ends with it, and
//! calls that are under way then are dropped where they wait.

use std::marker::PhantomData;
use std::sync::Arc;
use std::thread::Builder;

use tokio::runtime::{Builder as RuntimeBuilder, Handle};
use tokio::sync::oneshot;

use crate::chain::operators::{
    Calls, LookedUp, Lookup, LookupOperator, LookupOptions, LookupSettings, WaitingKey,
    lookup_states, position_bytes, position_layout,
};
use crate::chain::{Blueprint, ByKey, ByPosition, ExchangeBlueprint, ExchangeId, KeyFn, Route};
use crate::record::{Frame, Key, Layout, Record};
use crate::shard::{Inputs, LookupBody, RingStage};
use crate::state::OperatorId;

use super::chain::Chain;
use super::error::JobError;
use super::graph::{Graph, Level, StageWiring};
use super::keyed::Keyed;
use super::operators::OperatorNames;
use super::stream::{Stream, next_level};

/// The thread that a job's calls run on. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct LookupThread {
    pub(super) handle: Handle,
    _ends_with: oneshot::Sender<()>,
}

impl LookupThread {
    pub(super) fn start() -> Result<Self, JobError> {
        let failed = |error: std::io::Error| JobError::Driver {
            driver: "look-up thread",
            reason: error.to_string(),
        };
        let runtime = RuntimeBuilder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (ends_with, ended) = oneshot::channel::<()>();
        let run = move || {
            // An error, as nobody ever sends: the job is gone.
            let _ = runtime.block_on(ended);
        };
        Builder::new().name("pelton-lookups".to_owned()).spawn(run).map_err(failed)?;
        Ok(Self { handle, _ends_with: ends_with })
    }
}

/// Records wait under the key of their stream.
#[derive(Debug)]
struct UnderKey<R, K, F>(F, PhantomData<fn() -> (R, K)>);

impl<R, K, F: Clone> Clone for UnderKey<R, K, F> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<R: Record, K: Key, F: KeyFn<R, K>> WaitingKey for UnderKey<R, K, F> {
    fn append(&self, frame: Frame<'_>, bytes: &mut Vec<u8>) {
        K::with_bytes(self.0.key(frame.view::<R>()), |key| bytes.extend_from_slice(key));
    }

    fn layout(&self) -> Layout {
        K::layout()
    }
}

/// Records wait under their ingress position.
#[derive(Debug, Clone, Copy)]
struct UnderPosition;

impl WaitingKey for UnderPosition {
    fn append(&self, frame: Frame<'_>, bytes: &mut Vec<u8>) {
        let header = frame.header();
        bytes.extend_from_slice(&position_bytes(header.position, header.ordinal));
    }

    fn layout(&self) -> Layout {
        position_layout()
    }
}

/// The root of a chain behind a look-up.
struct Looking<L, W> {
    graph: Graph,
    exchange: ExchangeId,
    level: Level,
    id: OperatorId,
    name: OperatorNames,
    lookup: Arc<L>,
    options: LookupOptions,
    key: W,
}

impl<L, W> std::fmt::Debug for Looking<L, W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Looking").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<L: Lookup, W: WaitingKey> Looking<L, W> {
    /// Puts a look-up behind an exchange.
    #[track_caller]
    fn new<C: Chain<Out = L::In>>(
        chain: C,
        route: impl Route<L::In>,
        asked: (L, LookupOptions),
        key: W,
    ) -> Self {
        let graph = chain.graph().clone();
        let exchange = graph.add_exchange();
        let level = next_level(chain.level());
        let (id, name) = graph.add_operator("lookup", std::iter::empty());
        chain.attach(ExchangeBlueprint { id: exchange, route });
        let (lookup, options) = asked;
        let problem = options.problem();
        graph.add_check(name, move |_| problem.map(Into::into));
        graph.needs_lookups();
        Self { graph, exchange, level, id, name, lookup: Arc::new(lookup), options, key }
    }
}

impl<L: Lookup, W: WaitingKey> Chain for Looking<L, W> {
    type Out = LookedUp<L>;

    fn attach<B: Blueprint<Self::Out>>(self, terminal: B) {
        let Self { graph, exchange, level, id, lookup, options, key, .. } = self;
        let layout = key.layout();
        let describe = move || lookup_states::<L::In>(id, layout.clone());
        let terminal = Arc::new(terminal);
        let built = Arc::clone(&terminal);
        graph.add_keyed_stage(level, id, &[exchange], &terminal, describe, move |stage| {
            let consumers = stage.take_consumers(exchange);
            let inputs = Inputs::new([consumers], stage.wiring.wakers);
            let push = built.build(&mut stage.wiring);
            let calls = calls(stage, &lookup);
            let (lookup, options) = (Arc::clone(&lookup), options.clone());
            let operator = LookupOperator::new(LookupSettings { id, lookup, options }, calls);
            let body = LookupBody::new(stage.name(id), operator, key.clone(), push);
            Box::new(RingStage::new(inputs, body, stage.take_start()))
        });
    }

    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn level(&self) -> Level {
        self.level
    }

    fn name_operator(&mut self, name: &str) {
        self.graph.name_operator(self.name, name);
    }

    fn emit_at_end(&mut self) {}
}

fn calls<L: Lookup>(stage: &StageWiring<'_>, lookup: &Arc<L>) -> Calls<L> {
    let runner = stage.calls.expect("a job with look-ups is started with what runs their calls");
    let shard = stage.wiring.shard.0;
    Calls::new(runner, Arc::clone(lookup), shard, stage.wiring.wake())
}

impl<R, K, C, F> Keyed<R, K, C, F>
where
    R: Record,
    K: Key,
    C: Chain<Out = R>,
    F: KeyFn<R, K>,
{
    /// Asks something outside for each record, on the shard of its key; see [`Lookup`]. What comes out is
    /// each record with its answer or why there is none, once, also after a failure.
    ///
    /// ```
    /// use pelton::chain::operators::{Lookup, LookupOptions};
    /// use pelton::{Engine, Job, Stream};
    ///
    /// #[pelton::record]
    /// struct Order {
    ///     item: String,
    ///     count: u64,
    /// }
    ///
    /// #[pelton::record]
    /// struct Bill {
    ///     item: String,
    ///     cents: u64,
    /// }
    ///
    /// struct Prices; // a client of a store, in earnest
    ///
    /// impl Lookup for Prices {
    ///     type In = Order;
    ///     type Request = String;
    ///     type Answer = u64;
    ///     type Error = String;
    ///
    ///     fn request(&self, order: OrderView<'_>) -> String {
    ///         order.item.to_owned()
    ///     }
    ///
    ///     async fn call(&self, item: String) -> Result<u64, String> {
    ///         match item.as_str() {
    ///             "tea" => Ok(250),
    ///             _ => Err(format!("nobody sells {item}")),
    ///         }
    ///     }
    /// }
    ///
    /// #[pelton::job]
    /// fn bills(orders: Stream<Order>) -> Stream<Bill> {
    ///     let priced = orders.key_by(|o| o.item).lookup(Prices, LookupOptions::new());
    ///     priced.map(|(o, price)| BillView {
    ///         item: o.item,
    ///         cents: price.map_or(0, |cents| cents * o.count),
    ///     })
    /// }
    ///
    /// let job = Job::new();
    /// let order = |item: &str, count| Order { item: item.to_owned(), count };
    /// let bills = bills(job.records(vec![order("tea", 3), order("ale", 1)])).collect();
    /// Engine::new().shards(2).run(job)?;
    /// let mut rows: Vec<u64> = bills.take_rows().into_iter().map(|bill| bill.cents).collect();
    /// rows.sort();
    /// assert_eq!(rows, [0, 750]);
    /// # Ok::<(), pelton::JobError>(())
    /// ```
    ///
    /// At most [`LookupOptions::in_flight`] records of a shard wait at a time; then the stage takes no more
    /// and its shard does other work. A record costs a task on the look-up thread, two system calls at
    /// most where the threads sleep, and an entry of the log (its frame) while it waits; one with a kept
    /// answer that need not wait behind others costs a look at the cache. A call that panics ends the
    /// job.
    #[track_caller]
    pub fn lookup<L: Lookup<In = R>>(
        self,
        lookup: L,
        options: LookupOptions,
    ) -> Stream<LookedUp<L>, impl Chain<Out = LookedUp<L>>> {
        let at = self.at();
        let (chain, key_fn) = self.into_parts();
        let route = ByKey::new(key_fn.clone()).chosen_at(at);
        let key = UnderKey(key_fn, PhantomData::<fn() -> (R, K)>);
        Stream::new(Looking::new(chain, route, (lookup, options), key))
    }
}

impl<R: Record, C: Chain<Out = R>> Stream<R, C> {
    /// As [`Keyed::lookup`], without a key: the records are spread evenly over all shards, and order is
    /// kept between two shards only.
    #[track_caller]
    pub fn lookup<L: Lookup<In = R>>(
        self,
        lookup: L,
        options: LookupOptions,
    ) -> Stream<LookedUp<L>, impl Chain<Out = LookedUp<L>>> {
        let chain = self.into_chain();
        Stream::new(Looking::new(chain, ByPosition, (lookup, options), UnderPosition))
    }
}

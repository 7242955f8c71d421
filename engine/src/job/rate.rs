//! Rate limits within a job.

use std::panic::Location;
use std::sync::Arc;

use crate::chain::{Blueprint, Bucket, LimitedBlueprint};
use crate::record::Item;

use super::chain::Chain;
use super::graph::{Graph, Level};
use super::stream::Stream;

/// A chain behind a rate limit.
#[derive(Debug)]
pub struct Limited<C> {
    chain: C,
    /// Absent where the job is refused for it.
    bucket: Option<Arc<Bucket>>,
    at: &'static Location<'static>,
}

impl<C: Chain> Chain for Limited<C> {
    type Out = C::Out;

    fn attach<B: Blueprint<C::Out>>(self, terminal: B) {
        let Self { chain, bucket, at } = self;
        match bucket {
            Some(bucket) => chain.attach(LimitedBlueprint { bucket, next: terminal, at }),
            None => chain.attach(terminal),
        }
    }

    fn graph(&self) -> &Graph {
        self.chain.graph()
    }

    fn level(&self) -> Level {
        self.chain.level()
    }

    fn name_operator(&mut self, name: &str) {
        self.chain.name_operator(name);
    }

    fn emit_at_end(&mut self) {
        self.chain.emit_at_end();
    }

    fn emit_retractions(&mut self) {
        self.chain.emit_retractions();
    }
}

/// A limit that lets nothing through, or everything.
#[derive(Debug, thiserror::Error)]
#[error(
    "{per_second} records a second with a burst of {burst}: the rate must be a positive number and the \
     burst at least 1"
)]
struct RateProblem {
    per_second: f64,
    burst: u32,
}

impl<I: Item, C: Chain<Out = I>> Stream<I, C> {
    /// Lets `per_second` items a second through, over all shards, and up to `burst` at once after a
    /// pause: to spare what stands behind, such as a store or an output.
    ///
    /// ```
    /// use pelton::{Engine, Job, Stream};
    ///
    /// #[pelton::record]
    /// struct Click {
    ///     user: u64,
    /// }
    ///
    /// #[pelton::job]
    /// fn gently(clicks: Stream<Click>) -> Stream<Click> {
    ///     clicks.filter(|click| click.user > 0).rate_limit(50_000.0, 10)
    /// }
    ///
    /// let job = Job::new();
    /// let clicks = gently(job.records((0..100).map(|user| Click { user }).collect())).collect();
    /// Engine::new().shards(1).run(job)?;
    /// assert_eq!(clicks.take_rows().len(), 99);
    /// # Ok::<(), pelton::JobError>(())
    /// ```
    ///
    /// What is too fast holds back the stage that the limit stands in, with all that this stage does: at a
    /// source also its other branches. The shard goes on with other stages, and nothing is buffered or
    /// lost. Barriers stay in order with records, so a checkpoint takes as long as the records in front of
    /// its barrier; rings that are short (`ring_bytes`) keep those few. An item costs a reading of the
    /// clock and an exchange of one word that all shards share. A restart begins with a full bucket.
    #[track_caller]
    pub fn rate_limit(self, per_second: f64, burst: u32) -> Stream<I, Limited<C>> {
        let (chain, at) = (self.into_chain(), Location::caller());
        let bucket = Bucket::new(per_second, burst).map(Arc::new);
        if bucket.is_none() {
            let problem = move || RateProblem { per_second, burst };
            chain.graph().refuse(format!("rate_limit at {at}"), problem);
        }
        Stream::new(Limited { chain, bucket, at })
    }
}

//! Chains while they are being built: from a root to the operator that was named last.
//!
//! A chain grows from its root outwards (`filter`, then `map`), but the loop body nests the other
//! way round: the filter holds the map, the map the terminal. So a chain is only taken apart when
//! its terminal is known: `attach` passes the terminal inwards, each operator wrapping it, and the
//! root registers the whole nest as a stage or a branch.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;

use crate::chain::operators::PairOperator;
use crate::chain::{
    Blueprint, ExchangeId, Filter, FlatMap, KeyFn, KeyedOperator, Map, Operator, Out, OutEach,
    Partition,
};
use crate::record::{Item, Record, Sided};
use crate::shard::{Inputs, KeyedBody, PairBody, RingStage};
use crate::state::OperatorId;

use super::graph::{Branches, Graph, Level};
use super::operators::OperatorNames;

/// A chain that ends in items of type `Out`.
pub trait Chain: Sized + 'static {
    /// What comes out of the chain.
    type Out: Item;
    /// Ends the chain with a terminal and registers it.
    fn attach<B: Blueprint<Self::Out>>(self, terminal: B);
    /// The job that the chain belongs to.
    fn graph(&self) -> &Graph;
    /// The level of the stage that the chain runs in.
    fn level(&self) -> Level;
    /// Names the source at the root; there may be none.
    fn name_source(&self, _name: &str) {}
    /// Names the stateful operator at the root; there may be none.
    fn name_operator(&mut self, name: &str);
    /// Lets the operator at the root emit its last values at the end, instead of every change.
    fn emit_at_end(&mut self);
    /// Lets the operator at the root say a row as it was before it says what became of it.
    fn emit_retractions(&mut self) {}
}

/// The root of a chain at a source or behind a fork. A clone is another branch.
pub struct Root<R: Record> {
    pub(super) graph: Graph,
    pub(super) branches: Branches<R>,
    pub(super) level: Level,
    /// The source's number, where it is at one.
    pub(super) source: Option<usize>,
}

impl<R: Record> Clone for Root<R> {
    fn clone(&self) -> Self {
        let Self { graph, branches, level, source } = self;
        let (graph, branches) = (graph.clone(), Arc::clone(branches));
        Self { graph, branches, level: *level, source: *source }
    }
}

impl<R: Record> std::fmt::Debug for Root<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Root").field("level", &self.level).finish_non_exhaustive()
    }
}

impl<R: Record> Chain for Root<R> {
    type Out = R;

    fn attach<B: Blueprint<R>>(self, terminal: B) {
        let mut branches = self.branches.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        branches.push(Box::new(terminal));
    }

    fn graph(&self) -> &Graph {
        &self.graph
    }

    fn level(&self) -> Level {
        self.level
    }

    fn name_source(&self, name: &str) {
        if let Some(source) = self.source {
            self.graph.name_source(source, name);
        }
    }

    fn name_operator(&mut self, _: &str) {}

    fn emit_at_end(&mut self) {}
}

/// Makes one shard's copy of a stateful operator.
pub trait OperatorBlueprint: Clone + Send + Sync + 'static {
    /// The operator.
    type Operator: KeyedOperator;
    /// Makes it.
    fn build(&self, id: OperatorId) -> Self::Operator;
    /// Lets it emit at the end only; operators that can't ignore it.
    fn emit_at_end(&mut self) {}
    /// Lets it say rows as they were; operators that keep no table can ignore it.
    fn emit_retractions(&mut self) {}
}

/// The root of a chain behind a keyed operator.
#[derive(Debug)]
pub struct Operated<O, F> {
    pub(super) graph: Graph,
    pub(super) exchange: ExchangeId,
    pub(super) level: Level,
    pub(super) id: OperatorId,
    pub(super) name: OperatorNames,
    pub(super) operator: O,
    pub(super) key_fn: F,
}

impl<O, F> Chain for Operated<O, F>
where
    O: OperatorBlueprint,
    F: KeyFn<<O::Operator as KeyedOperator>::In, <O::Operator as KeyedOperator>::Key>,
{
    type Out = <O::Operator as KeyedOperator>::Out;

    fn attach<B: Blueprint<Self::Out>>(self, terminal: B) {
        let Self { graph, exchange, level, id, operator, key_fn, .. } = self;
        let described = operator.clone();
        let describe = move || described.build(id).states();
        let terminal = Arc::new(terminal);
        let built = Arc::clone(&terminal);
        graph.add_keyed_stage(level, id, &[exchange], &terminal, describe, move |stage| {
            let consumers = stage.take_consumers(exchange);
            let inputs = Inputs::new([consumers], stage.wiring.wakers);
            let push = built.build(&mut stage.wiring);
            let name = stage.name(id);
            let body = KeyedBody::new(name, operator.build(id), key_fn.clone(), push);
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

    fn emit_at_end(&mut self) {
        self.operator.emit_at_end();
    }

    fn emit_retractions(&mut self) {
        self.operator.emit_retractions();
    }
}

/// The root of a chain behind an operator of two inputs, which `M` makes.
#[derive(Debug)]
pub struct PairOperated<M> {
    pub(super) graph: Graph,
    pub(super) exchanges: [ExchangeId; 2],
    pub(super) level: Level,
    pub(super) id: OperatorId,
    pub(super) name: OperatorNames,
    pub(super) make: M,
}

impl<Op, M> Chain for PairOperated<M>
where
    Op: PairOperator,
    M: Fn(OperatorId) -> Op + Clone + Send + Sync + 'static,
{
    type Out = Op::Out;

    fn attach<B: Blueprint<Self::Out>>(self, terminal: B) {
        let Self { graph, exchanges, level, id, make, .. } = self;
        let described = make.clone();
        let describe = move || described(id).states();
        let terminal = Arc::new(terminal);
        let built = Arc::clone(&terminal);
        graph.add_keyed_stage(level, id, &exchanges, &terminal, describe, move |stage| {
            let consumers = exchanges.map(|exchange| stage.take_consumers(exchange));
            let inputs = Inputs::new(consumers, stage.wiring.wakers);
            let push = built.build(&mut stage.wiring);
            let body = PairBody::new(stage.name(id), make(id), push);
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

/// A stateless operator at the end of a chain.
#[derive(Debug)]
pub struct Then<C, Kind, F> {
    chain: C,
    function: F,
    at: &'static Location<'static>,
    kind: PhantomData<fn() -> Kind>,
}

impl<C, Kind, F> Then<C, Kind, F> {
    /// The operator stands where the job calls whoever calls this.
    #[track_caller]
    pub(super) fn new(chain: C, function: F) -> Self {
        Self { chain, function, at: Location::caller(), kind: PhantomData }
    }
}

macro_rules! chain_then {
    ([$($generics:tt)*] $kind:ty, $out:ty, $($bound:tt)*) => {
        chain_then!(Chain; [$($generics)*] $kind, $out, $($bound)*);
    };
    ($chain:path; [$($generics:tt)*] $kind:ty, $out:ty, $($bound:tt)*) => {
        impl<C, F $($generics)*> Chain for Then<C, $kind, F>
        where
            C: $chain,
            F: $($bound)* + Clone + Send + Sync + 'static,
        {
            type Out = $out;
            fn attach<B: Blueprint<Self::Out>>(self, terminal: B) {
                let operator = Operator::<$kind, F, B>::new(self.function, terminal, self.at);
                self.chain.attach(operator);
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
    };
}

chain_then!([] Filter, C::Out, for<'a> Fn(<C::Out as Item>::View<'a>) -> bool);
chain_then!([, R: Record] Map<R>, R, for<'o, 'a> Fn(<C::Out as Item>::View<'a>, Out<'o, 'a, R>));
chain_then!(
    [, R: Record] FlatMap<R>, R, for<'o, 'a> Fn(<C::Out as Item>::View<'a>, OutEach<'o, 'a, R>)
);
chain_then!(
    Chain<Out = R>;
    [, R: Record] Partition, Sided<R, R>, for<'a> Fn(R::View<'a>) -> bool
);

//! Maps that read a reference table.

use std::marker::PhantomData;
use std::panic::Location;

use crate::chain::{Blueprint, Current, MapWithBlueprint, Out, Reference};
use crate::record::{Item, Record};

use super::chain::Chain;
use super::graph::{Graph, Level};
use super::stream::Stream;

/// A map with a reference table at the end of a chain.
#[derive(Debug)]
pub struct ThenWith<C, T, R, F> {
    chain: C,
    reference: Reference<T>,
    function: F,
    at: &'static Location<'static>,
    record: PhantomData<fn() -> R>,
}

impl<C, T, R, F> Chain for ThenWith<C, T, R, F>
where
    C: Chain,
    T: Send + Sync + 'static,
    R: Record,
    F: for<'o, 'a, 't> Fn(<C::Out as Item>::View<'a>, Current<'t, T>, Out<'o, 'a, R>)
        + Clone
        + Send
        + Sync
        + 'static,
{
    type Out = R;

    fn attach<B: Blueprint<R>>(self, terminal: B) {
        let Self { chain, reference, function, at, record } = self;
        chain.attach(MapWithBlueprint { reference, function, next: terminal, at, record });
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

impl<I: Item, C: Chain<Out = I>> Stream<I, C> {
    /// Makes one record of each item, or none, with a table that the program swaps while the job
    /// runs, such as rules: see [`Reference`]. An input sees one table, however often it is repeated.
    #[track_caller]
    pub fn map_with<T, R, F>(
        self,
        reference: &Reference<T>,
        make: F,
    ) -> Stream<R, ThenWith<C, T, R, F>>
    where
        T: Send + Sync + 'static,
        R: Record,
        F: for<'o, 'a, 't> Fn(I::View<'a>, Current<'t, T>, Out<'o, 'a, R>)
            + Clone
            + Send
            + Sync
            + 'static,
    {
        Stream::new(ThenWith {
            chain: self.into_chain(),
            reference: reference.clone(),
            function: make,
            at: Location::caller(),
            record: PhantomData,
        })
    }
}

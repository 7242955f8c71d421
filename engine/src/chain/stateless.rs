//! Stateless operators: filter, map, filter_map, flat_map and partition.
//!
//! Each is a struct around the next; nested, they are the loop body. `*Blueprint` is the same
//! nest before a shard has its own copy of it.

use std::marker::PhantomData;
use std::panic::Location;

use crate::record::{Emitted, FrameHeader, Item, Marker, Record, Sided, SidedView};

use super::blueprint::{Blueprint, Wiring};
use super::out::{Out, OutEach};
use super::plan::{Link, OperatorPlan, type_name};
use super::push::{Flow, Push, Terminal, TerminalError};

/// An operator around the next one: `next` takes what `function` lets through or makes.
#[derive(Debug)]
pub struct Operator<Kind, F, N> {
    function: F,
    next: N,
    /// Where the job calls it; for plans, and never read while it runs.
    at: &'static Location<'static>,
    kind: PhantomData<fn() -> Kind>,
}

/// Marks a filter.
#[derive(Debug)]
pub struct Filter;
/// Marks a map (or filter_map) to records of type `R`.
#[derive(Debug)]
pub struct Map<R>(PhantomData<fn() -> R>);
/// Marks a flat_map to records of type `R`.
#[derive(Debug)]
pub struct FlatMap<R>(PhantomData<fn() -> R>);
/// Marks a parting of records: some go on, the others to the side.
#[derive(Debug)]
pub struct Partition;

impl<Kind, F, N> Operator<Kind, F, N> {
    pub(crate) fn new(function: F, next: N, at: &'static Location<'static>) -> Self {
        Self { function, next, at, kind: PhantomData }
    }

    fn link(&self, kind: &str, out: Option<String>) -> Link {
        let at = self.at.into();
        Link::Operator(OperatorPlan { kind: kind.to_owned(), name: None, text: None, out, at })
    }
}

impl<Kind: 'static, F: Send, N: Terminal> Terminal for Operator<Kind, F, N> {
    #[inline(always)]
    fn begin(&mut self, repeated: bool) {
        self.next.begin(repeated);
    }
    fn marker(&mut self, marker: Marker) {
        self.next.marker(marker);
    }
    fn end_turn(&mut self) -> Result<bool, TerminalError> {
        self.next.end_turn()
    }
    fn is_drained(&self) -> bool {
        self.next.is_drained()
    }
    fn next_ns(&self) -> Option<u64> {
        self.next.next_ns()
    }
}

impl<I, F, N> Push<I> for Operator<Filter, F, N>
where
    I: Item,
    F: for<'a> Fn(I::View<'a>) -> bool + Send,
    N: Push<I>,
{
    #[inline(always)]
    fn push(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow {
        if (self.function)(view) { self.next.push(header, view) } else { Flow::Ready }
    }
}

impl<R, F, N> Push<R> for Operator<Partition, F, N>
where
    R: Record,
    F: for<'a> Fn(R::View<'a>) -> bool + Send,
    N: Push<Sided<R, R>>,
{
    #[inline(always)]
    fn push(&mut self, header: &FrameHeader, view: R::View<'_>) -> Flow {
        let sided =
            if (self.function)(view) { SidedView::Main(view) } else { SidedView::Side(view) };
        self.next.push(header, sided)
    }
}

#[inline(always)]
pub(super) fn push_emitted<R: Record>(
    next: &mut impl Push<R>,
    header: &FrameHeader,
    emitted: &Emitted<'_, R>,
) -> Flow {
    match emitted {
        Emitted::Nothing => Flow::Ready,
        Emitted::View(view) => next.push(header, *view),
        Emitted::Owned(record) => next.push(header, record.view()),
    }
}

impl<I, R, F, N> Push<I> for Operator<Map<R>, F, N>
where
    I: Item,
    R: Record,
    F: for<'o, 'a> Fn(I::View<'a>, Out<'o, 'a, R>) + Send,
    N: Push<R>,
{
    #[inline(always)]
    fn push(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow {
        let mut emitted = Emitted::Nothing;
        (self.function)(view, Out::new(&mut emitted));
        push_emitted(&mut self.next, header, &emitted)
    }
}

impl<I, R, F, N> Push<I> for Operator<FlatMap<R>, F, N>
where
    I: Item,
    R: Record,
    F: for<'o, 'a> Fn(I::View<'a>, OutEach<'o, 'a, R>) + Send,
    N: Push<R>,
{
    #[inline(always)]
    fn push(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow {
        let next = &mut self.next;
        let mut flow = Flow::Ready;
        let mut each = |emitted: Emitted<'_, R>| {
            flow = push_emitted(next, header, &emitted);
            flow
        };
        (self.function)(view, OutEach::new(&mut each));
        flow
    }
}

impl<I, F, B> Blueprint<I> for Operator<Filter, F, B>
where
    I: Item,
    F: for<'a> Fn(I::View<'a>) -> bool + Clone + Send + Sync + 'static,
    B: Blueprint<I>,
{
    type Push = Operator<Filter, F, B::Push>;
    fn build(&self, wiring: &mut Wiring<'_>) -> Self::Push {
        Operator::new(self.function.clone(), self.next.build(wiring), self.at)
    }
    fn describe(&self, links: &mut Vec<Link>) {
        links.push(self.link("filter", None));
        self.next.describe(links);
    }
}

impl<R, F, B> Blueprint<R> for Operator<Partition, F, B>
where
    R: Record,
    F: for<'a> Fn(R::View<'a>) -> bool + Clone + Send + Sync + 'static,
    B: Blueprint<Sided<R, R>>,
{
    type Push = Operator<Partition, F, B::Push>;
    fn build(&self, wiring: &mut Wiring<'_>) -> Self::Push {
        Operator::new(self.function.clone(), self.next.build(wiring), self.at)
    }
    fn describe(&self, links: &mut Vec<Link>) {
        links.push(self.link("split", None));
        self.next.describe(links);
    }
}

impl<I, R, F, B> Blueprint<I> for Operator<Map<R>, F, B>
where
    I: Item,
    R: Record,
    F: for<'o, 'a> Fn(I::View<'a>, Out<'o, 'a, R>) + Clone + Send + Sync + 'static,
    B: Blueprint<R>,
{
    type Push = Operator<Map<R>, F, B::Push>;
    fn build(&self, wiring: &mut Wiring<'_>) -> Self::Push {
        Operator::new(self.function.clone(), self.next.build(wiring), self.at)
    }
    fn describe(&self, links: &mut Vec<Link>) {
        links.push(self.link("map", Some(type_name::<R>())));
        self.next.describe(links);
    }
}

impl<I, R, F, B> Blueprint<I> for Operator<FlatMap<R>, F, B>
where
    I: Item,
    R: Record,
    F: for<'o, 'a> Fn(I::View<'a>, OutEach<'o, 'a, R>) + Clone + Send + Sync + 'static,
    B: Blueprint<R>,
{
    type Push = Operator<FlatMap<R>, F, B::Push>;
    fn build(&self, wiring: &mut Wiring<'_>) -> Self::Push {
        Operator::new(self.function.clone(), self.next.build(wiring), self.at)
    }
    fn describe(&self, links: &mut Vec<Link>) {
        links.push(self.link("flat_map", Some(type_name::<R>())));
        self.next.describe(links);
    }
}

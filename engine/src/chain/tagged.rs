//! Side outputs by tag: the terminal that parts what a process function emits to several streams.
//!
//! Takes [`Tagged`] items; hands those without a tag to the rest of the chain, and the others to the
//! branches of the stream that was asked for by their tag. What nobody asked for is dropped.
//!
//! Invariants
//! 1. A tagged item is a frame of the tag's own record: it is encoded by `emit_to`, whose tag says the
//!    type, and the type goes along, so that another tag of the same number never reads it.
//! 2. As with [`super::sided`], each part counts what it has accepted of an input for itself.
//!
//! Why frames and not views in an enum: there is any number of records' types, and what a function
//! emits waits encoded anyway.

use std::any::{Any, TypeId};
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use crate::record::{Frame, FrameHeader, Item, Marker, Record};

use super::blueprint::{Blueprint, Wiring};
use super::fanout::{BranchBlueprint, Fork, ForkBlueprint};
use super::plan::Link;
use super::push::{Flow, Push, Terminal, TerminalError};

/// Names a side output of a process function, and says what goes there:
/// `const ALARMS: SideTag<Alarm> = SideTag::new(0)`.
pub struct SideTag<S>(u16, PhantomData<fn() -> S>);

impl<S> fmt::Debug for SideTag<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SideTag({})", self.0)
    }
}

impl<S> Clone for SideTag<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for SideTag<S> {}

impl<S: Record> SideTag<S> {
    /// The side output with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number, PhantomData)
    }

    pub(crate) fn id(self) -> TagId {
        TagId { number: self.0, of: TypeId::of::<S>() }
    }
}

/// A tag without its type, which it remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagId {
    number: u16,
    of: TypeId,
}

/// Items with side outputs by tag: what a process function emits. See `Stream::with_sides`.
#[derive(Debug)]
pub struct Tagged<M>(PhantomData<fn() -> M>);

/// An item that goes on, or one of a side output.
#[derive(Debug, Clone, Copy)]
pub enum TaggedView<'a, M> {
    /// It goes on.
    Main(M),
    /// It goes to a side.
    Side(SideFrame<'a>),
}

/// An item of a side output.
#[derive(Debug, Clone, Copy)]
pub struct SideFrame<'a> {
    pub(crate) tag: TagId,
    pub(crate) frame: Frame<'a>,
}

impl<M: Item> Item for Tagged<M> {
    type View<'a> = TaggedView<'a, M::View<'a>>;
}

/// A side output on one shard.
trait Side: Terminal {
    fn push_frame(&mut self, header: &FrameHeader, frame: Frame<'_>) -> Flow;
}

impl<S: Record> Side for Fork<S> {
    fn push_frame(&mut self, header: &FrameHeader, frame: Frame<'_>) -> Flow {
        self.push(header, frame.view::<S>())
    }
}

/// The rest of the chain, and the batches of the side outputs.
pub(crate) struct PartTags<P> {
    main: P,
    sides: Vec<(TagId, Box<dyn Side>)>,
}

impl<P: Terminal> Terminal for PartTags<P> {
    #[inline(always)]
    fn begin(&mut self, repeated: bool) {
        self.main.begin(repeated);
        self.sides.iter_mut().for_each(|(_, side)| side.begin(repeated));
    }

    fn marker(&mut self, marker: Marker) {
        self.main.marker(marker);
        self.sides.iter_mut().for_each(|(_, side)| side.marker(marker));
    }

    fn end_turn(&mut self) -> Result<bool, TerminalError> {
        let mut moved = self.main.end_turn()?;
        for (_, side) in &mut self.sides {
            moved |= side.end_turn()?;
        }
        Ok(moved)
    }

    fn is_drained(&self) -> bool {
        self.main.is_drained() && self.sides.iter().all(|(_, side)| side.is_drained())
    }

    fn next_ns(&self) -> Option<u64> {
        let sides = self.sides.iter().filter_map(|(_, side)| side.next_ns());
        sides.chain(self.main.next_ns()).min()
    }
}

impl<M: Item, P: Push<M>> Push<Tagged<M>> for PartTags<P> {
    #[inline(always)]
    fn push(&mut self, header: &FrameHeader, view: TaggedView<'_, M::View<'_>>) -> Flow {
        match view {
            TaggedView::Main(view) => self.main.push(header, view),
            TaggedView::Side(SideFrame { tag, frame }) => {
                let side = self.sides.iter_mut().find(|(of, _)| of.number == tag.number);
                let Some((of, side)) = side else { return Flow::Ready };
                assert!(
                    *of == tag,
                    "side output {} is read as another record than what is emitted to it: two tags \
                     have one number",
                    tag.number
                );
                side.push_frame(header, frame)
            }
        }
    }
}

type Branches<S> = Arc<Mutex<Vec<Box<dyn BranchBlueprint<S>>>>>;

/// A side output before a shard has its own.
trait SideBlueprint: Send + Sync {
    fn build(&self, wiring: &mut Wiring<'_>) -> Box<dyn Side>;
    fn describe(&self, links: &mut Vec<Link>);
    /// The branches, whose type only the tag knows.
    fn branches(&self) -> &dyn Any;
}

impl<S: Record> SideBlueprint for Branches<S> {
    fn build(&self, wiring: &mut Wiring<'_>) -> Box<dyn Side> {
        Box::new(ForkBlueprint { branches: Arc::clone(self) }.build(wiring))
    }

    fn describe(&self, links: &mut Vec<Link>) {
        ForkBlueprint { branches: Arc::clone(self) }.describe(links);
    }

    fn branches(&self) -> &dyn Any {
        self
    }
}

type Asked = (TagId, Box<dyn SideBlueprint>);

/// The side outputs that were asked for; shared by the streams and the blueprint.
#[derive(Clone, Default)]
pub(crate) struct SideList(Arc<Mutex<Vec<Asked>>>);

impl SideList {
    /// The branches of a side output. Panics where its number is another one's: a bug in the job.
    pub(crate) fn branches<S: Record>(&self, tag: SideTag<S>) -> Branches<S> {
        let mut sides = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, side)) = sides.iter().find(|(of, _)| of.number == tag.0) {
            let branches = side.branches().downcast_ref::<Branches<S>>();
            return Arc::clone(branches.expect("no two side outputs have one number"));
        }
        let branches = Branches::<S>::default();
        sides.push((tag.id(), Box::new(Arc::clone(&branches))));
        branches
    }
}

/// The terminal before a shard has its own.
pub(crate) struct PartTagsBlueprint<B> {
    pub(crate) main: B,
    pub(crate) sides: SideList,
}

impl<M: Item, B: Blueprint<M>> Blueprint<Tagged<M>> for PartTagsBlueprint<B> {
    type Push = PartTags<B::Push>;

    fn build(&self, wiring: &mut Wiring<'_>) -> Self::Push {
        let main = self.main.build(wiring);
        let sides = self.sides.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sides = sides.iter().map(|(tag, side)| (*tag, side.build(wiring))).collect();
        PartTags { main, sides }
    }

    fn describe(&self, links: &mut Vec<Link>) {
        let mut main = Vec::new();
        self.main.describe(&mut main);
        let sides = self.sides.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A link parts two kinds: the first side from all that is left, and so on.
        for (_, side) in sides.iter().rev() {
            let mut links = Vec::new();
            side.describe(&mut links);
            main = vec![Link::Sides { main, side: links }];
        }
        links.append(&mut main);
    }
}

//! Step 6, chain: what a pattern's matches become.
//!
//! Takes matches and partial matches that have ended; hands on the records that the user's closures
//! make of them, as frames, which wait in an outbox until they are taken.

use std::collections::VecDeque;
use std::marker::PhantomData;

use super::matched::{MatchOut, Matched};
use crate::chain::operators::fold::Fold;
use crate::chain::operators::sorted::FrameBuffer;
use crate::record::{Frame, FrameHeader, Item, Record, Sided, SidedView};

/// The user's closures.
pub trait Selection<R: Record, A: Fold>: Send + 'static {
    /// What leaves.
    type Out: Item;
    /// Whether partial matches that have ended are of interest.
    const HAS_SIDE: bool;
    /// Makes a record of a match.
    fn select(&self, matched: &Matched<'_, R, A>, header: FrameHeader, outbox: &mut Outbox);
    /// Makes a record of a partial match.
    fn lose(&self, _matched: &Matched<'_, R, A>, _header: FrameHeader, _outbox: &mut Outbox) {}
    /// The item that a frame is.
    fn view(frame: Frame<'_>, is_side: bool) -> <Self::Out as Item>::View<'_>;
}

/// Frames that wait to be taken, the next to leave first; and emptied buffers.
#[derive(Debug, Default)]
pub struct Outbox {
    frames: VecDeque<(bool, FrameBuffer)>,
    spare: Vec<FrameBuffer>,
    emitted: u32,
}

impl Outbox {
    /// What follows comes of another event or timer.
    pub(super) fn begin(&mut self) {
        self.emitted = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn front(&self) -> Option<(bool, Frame<'_>)> {
        self.frames.front().map(|(is_side, buffer)| (*is_side, buffer.frame()))
    }

    pub(super) fn pop(&mut self) {
        self.spare.extend(self.frames.pop_front().map(|(_, buffer)| buffer));
    }

    fn push<O: Record>(
        &mut self,
        is_side: bool,
        header: FrameHeader,
        make: impl FnOnce(MatchOut<'_, O>),
    ) {
        let mut buffer = self.spare.pop().unwrap_or_default();
        let header = FrameHeader { ordinal: header.ordinal_of(self.emitted), ..header };
        let mut has_emitted = false;
        make(MatchOut::new(&mut buffer, header, &mut has_emitted));
        if has_emitted {
            self.emitted += 1;
            self.frames.push_back((is_side, buffer));
        } else {
            self.spare.push(buffer);
        }
    }
}

/// Matches alone.
#[derive(Debug, Clone)]
pub struct Matches<F, O> {
    select: F,
    out: PhantomData<fn() -> O>,
}

impl<F, O> Matches<F, O> {
    /// What `select` makes of matches.
    #[must_use]
    pub fn new(select: F) -> Self {
        Self { select, out: PhantomData }
    }
}

impl<R, A, F, O> Selection<R, A> for Matches<F, O>
where
    R: Record,
    A: Fold,
    O: Record,
    F: for<'m, 'o> Fn(&Matched<'m, R, A>, MatchOut<'o, O>) + Send + 'static,
{
    type Out = O;
    const HAS_SIDE: bool = false;

    fn select(&self, matched: &Matched<'_, R, A>, header: FrameHeader, outbox: &mut Outbox) {
        outbox.push(false, header, |out| (self.select)(matched, out));
    }

    fn view(frame: Frame<'_>, _: bool) -> O::View<'_> {
        frame.view::<O>()
    }
}

/// Matches, and beside them the partial matches that were given up.
#[derive(Debug, Clone)]
pub struct MatchesAndLost<F, G, O, T> {
    select: F,
    lose: G,
    out: PhantomData<fn() -> (O, T)>,
}

impl<F, G, O, T> MatchesAndLost<F, G, O, T> {
    /// What `select` makes of matches, and `lose` of what will be none.
    #[must_use]
    pub fn new(select: F, lose: G) -> Self {
        Self { select, lose, out: PhantomData }
    }
}

impl<R, A, F, G, O, T> Selection<R, A> for MatchesAndLost<F, G, O, T>
where
    R: Record,
    A: Fold,
    O: Record,
    T: Record,
    F: for<'m, 'o> Fn(&Matched<'m, R, A>, MatchOut<'o, O>) + Send + 'static,
    G: for<'m, 'o> Fn(&Matched<'m, R, A>, MatchOut<'o, T>) + Send + 'static,
{
    type Out = Sided<O, T>;
    const HAS_SIDE: bool = true;

    fn select(&self, matched: &Matched<'_, R, A>, header: FrameHeader, outbox: &mut Outbox) {
        outbox.push(false, header, |out| (self.select)(matched, out));
    }

    fn lose(&self, matched: &Matched<'_, R, A>, header: FrameHeader, outbox: &mut Outbox) {
        outbox.push(true, header, |out| (self.lose)(matched, out));
    }

    fn view(frame: Frame<'_>, is_side: bool) -> SidedView<O::View<'_>, T::View<'_>> {
        match is_side {
            false => SidedView::Main(frame.view::<O>()),
            true => SidedView::Side(frame.view::<T>()),
        }
    }
}

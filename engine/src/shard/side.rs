//! Side outputs of a source stage: rejected rows and late records, on their way to any sink.
//!
//! A source can't put back what it has read, so a side output takes what it is given, and says
//! beforehand whether there is room. What a sink refuses is kept, one item at most: these outputs
//! are rare, so a copy on refusal costs less than a promise of room from every sink.

use crate::chain::Flow;
use crate::record::{FrameHeader, Item, Record};
use crate::sink::{Epoch, Sink, SinkError};
use crate::source::{KeptReject, Reject, Rejected};

/// Takes items off the main path; behind a box, as it is rare.
pub(crate) trait SideOutput<I: Item>: Send {
    /// Whether one more item has room.
    fn has_room(&mut self) -> bool;
    /// Writes one item; there is room.
    fn write(&mut self, header: &FrameHeader, view: I::View<'_>);
    /// A barrier: all that was written belongs to `epoch` or before. Only after `has_room` has
    /// answered true: an item that was refused belongs to `epoch` too and must be in first.
    fn prepare(&mut self, epoch: Epoch);
    /// Moves what is written on.
    fn end_turn(&mut self) -> Result<bool, SinkError>;
    /// After the last item: whether all is written.
    fn end(&mut self) -> Result<bool, SinkError>;
}

/// An item that can be kept for a while.
pub(crate) trait Keep: Item {
    /// What is kept of it.
    type Kept: Send;
    fn keep(view: Self::View<'_>) -> Self::Kept;
    fn view(kept: &Self::Kept) -> Self::View<'_>;
}

impl<R: Record> Keep for R {
    type Kept = R;
    fn keep(view: R::View<'_>) -> R {
        R::to_record(view)
    }
    fn view(kept: &R) -> R::View<'_> {
        kept.view()
    }
}

impl Keep for Rejected {
    type Kept = KeptReject;
    fn keep(view: Reject<'_>) -> KeptReject {
        view.to_kept()
    }
    fn view(kept: &KeptReject) -> Reject<'_> {
        kept.view()
    }
}

/// A sink as a side output.
pub(crate) struct SideSink<I: Keep, S> {
    sink: S,
    refused: Option<(FrameHeader, I::Kept)>,
}

impl<I: Keep, S> SideSink<I, S> {
    pub(crate) fn new(sink: S) -> Self {
        Self { sink, refused: None }
    }
}

impl<I: Keep, S: Sink<I>> SideOutput<I> for SideSink<I, S> {
    fn has_room(&mut self) -> bool {
        if let Some((header, kept)) = &self.refused
            && self.sink.write(header, I::view(kept)) == Flow::Ready
        {
            self.refused = None;
        }
        self.refused.is_none()
    }

    fn write(&mut self, header: &FrameHeader, view: I::View<'_>) {
        if self.sink.write(header, view).is_blocked() {
            self.refused = Some((*header, I::keep(view)));
        }
    }

    fn prepare(&mut self, epoch: Epoch) {
        assert!(self.refused.is_none(), "a barrier passes once `has_room` has answered true");
        self.sink.prepare(epoch);
    }

    fn end_turn(&mut self) -> Result<bool, SinkError> {
        self.sink.flush(false);
        self.sink.poll()
    }

    fn end(&mut self) -> Result<bool, SinkError> {
        Ok(self.has_room() && self.sink.end()?)
    }
}

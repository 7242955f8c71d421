//! What leaves the operator of a process function: its records alone, or those of its side outputs, too.

use crate::chain::tagged::{SideFrame, TagId, Tagged, TaggedView};
use crate::record::{Frame, Item, Record};

/// Which of the two. `Out` is the function's record.
pub trait Leaving<Out: Record>: Send + 'static {
    /// What leaves.
    type Item: Item;
    /// Reads it off an emitted frame, which is of `Out` or, with a tag, of the tag's record.
    fn view(tag: Option<TagId>, frame: Frame<'_>) -> <Self::Item as Item>::View<'_>;
}

/// The function's own records; what it emits to side outputs is dropped before it is encoded.
#[derive(Debug)]
pub struct WithoutSides;

/// All that it emits.
#[derive(Debug)]
pub struct WithSides;

impl<Out: Record> Leaving<Out> for WithoutSides {
    type Item = Out;

    fn view(tag: Option<TagId>, frame: Frame<'_>) -> Out::View<'_> {
        debug_assert!(tag.is_none(), "nothing is emitted to a side output that nobody can ask for");
        frame.view::<Out>()
    }
}

impl<Out: Record> Leaving<Out> for WithSides {
    type Item = Tagged<Out>;

    fn view(tag: Option<TagId>, frame: Frame<'_>) -> TaggedView<'_, Out::View<'_>> {
        match tag {
            None => TaggedView::Main(frame.view::<Out>()),
            Some(tag) => TaggedView::Side(SideFrame { tag, frame }),
        }
    }
}

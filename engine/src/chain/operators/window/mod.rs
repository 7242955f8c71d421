//! Windows: a key's records by time, by count, or by their distance from each other.
//!
//! Takes records; hands on a row for each firing of a window, and to the side what came too late.
//!
//! | operator | windows | state a key | a record costs |
//! |---|---|---|---|
//! | [`SlicedWindows`] | tumbling, hopping, cumulating, of one length or many | an entry for each slice that windows share | one look-up |
//! | [`PaneWindows`] | the same, each said once | likewise | likewise |
//! | [`TriggeredWindows`] | any, with any trigger | one entry, a cell for each window | one look-up, O(windows of the key) |
//! | [`LastRecords`] | the last so many records, exactly | a log of them | one look-up, O(1) a window |
//!
//! [`AnyWindows`] is [`SlicedWindows`] where that is enough, and [`TriggeredWindows`] elsewhere.
//!
//! How much of it there is: a window lives until its end and the allowed lateness have passed.

mod calendar;
mod either;
mod grid;
mod last;
mod output;
mod sliced;
mod spec;
mod triggered;

pub use calendar::Zone;
pub use either::AnyWindows;
pub use last::LastRecords;
pub(crate) use last::counts_problem;
pub use output::{Timing, WindowOutput, WindowView};
pub use sliced::{PaneSpec, PaneWindows, SlicedWindows};
pub(super) use spec::listed;
pub use spec::{Mode, Rules, Window, WindowProblem};
pub use triggered::{
    AtEnd, Contents, Early, EveryRecords, Evict, Fire, Folded, Kept, OnClose, Place as WindowPlace,
    Trigger, TriggeredWindows, WindowStatus,
};

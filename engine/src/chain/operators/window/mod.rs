//! Windows: a key's records by time, by count, or by their distance from each other.
//!
//! Takes records; hands on a row for each firing of a window, and to the side what came too late.
//!
//! | operator | windows | state a key | a record costs |
//! |---|---|---|---|
//! | [`PaneWindows`] | tumbling, hopping | a slice for each stretch that windows share | one look-up |
//! | [`TriggeredWindows`] | any, with any trigger | one entry, a cell for each window | one look-up, O(windows of the key) |
//!
//! How much of it there is: a window lives until its end and the allowed lateness have passed.

mod calendar;
mod cells;
mod contents;
mod grid;
mod output;
mod pane;
mod spec;
mod trigger;
mod triggered;

pub use calendar::Zone;
pub use contents::{Contents, Evict, Folded, Kept, Place as WindowPlace};
pub use output::{Timing, WindowOutput, WindowView};
pub use pane::{PaneSpec, PaneWindows};
pub use spec::{Mode, Rules, Window, WindowProblem};
pub use trigger::{AtEnd, Early, EveryRecords, Fire, OnClose, Trigger, WindowStatus};
pub use triggered::TriggeredWindows;

//! Windows with a state of their own.
//!
//! Takes records and the time; hands on a row whenever a window's trigger says so. `cells.rs` is how
//! a key's windows lie in the store, `contents.rs` what they keep of records, `trigger.rs` when they
//! fire, `firing.rs` what they say then, `windows.rs` which windows a record is in, `passing.rs` what
//! time does to them, `operator.rs` the seam to the stage.

mod cells;
mod contents;
mod firing;
mod operator;
mod passing;
mod trigger;
mod windows;

pub use contents::{Contents, Evict, Folded, Kept, Place};
pub use trigger::{AtEnd, Early, EveryRecords, Fire, OnClose, Trigger, WindowStatus};
pub use windows::TriggeredWindows;

//! Windows over slices that they share.
//!
//! Takes records; hands on a row for each window when it ends, and for each record that is late for
//! it. `slices.rs` is the arithmetic, `windows.rs` the operator, `pane.rs` the same without a side.

mod pane;
mod slices;
mod windows;

pub use pane::{PaneSpec, PaneWindows};
pub use windows::SlicedWindows;

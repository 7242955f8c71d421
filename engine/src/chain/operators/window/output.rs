//! What windows emit: one row for each firing of a window, and what kind of firing it was.
//!
//! A row is known by (key, start, end). What became of an earlier row of the same window stands in
//! its kind: `Insert` for the first one, `UpdateAfter` for a later one, and, where rows are taken
//! back, `UpdateBefore` in front of it. A session that grows or meets another is a row of other
//! bounds, and so is a global window that grows; the earlier row goes as a `Delete`: an upsert by (key, start, end) then holds exactly
//! the windows that there are, which an `UpdateBefore` without its `UpdateAfter` would not do.

use std::marker::PhantomData;

use crate::record::{EventTime, Item, Key, RowKind};

/// One window of one key, with its aggregate.
#[derive(Debug)]
pub struct WindowOutput<K, V>(PhantomData<fn() -> (K, V)>);

/// When a window fired, by event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timing {
    /// Before the watermark had passed the window's end: more may come.
    Early,
    /// When the watermark passed the window's end.
    OnTime,
    /// For a record that came after that, within the allowed lateness.
    Late,
}

/// A window as closures see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowView<K, V> {
    /// The key.
    pub key: K,
    /// The first microsecond. Of a window without bounds in time: its first record's.
    pub start: EventTime,
    /// The first microsecond after it. Of a window without bounds in time: after its last record.
    pub end: EventTime,
    /// The aggregate.
    pub value: V,
    /// Whether the row is new, replaces an earlier one, or takes one back.
    pub kind: RowKind,
    /// When the window fired.
    pub timing: Timing,
    /// Which of the operator's lengths the window is of, from 0.
    pub length_index: u16,
}

impl<K: Key, V: Copy + 'static> Item for WindowOutput<K, V> {
    type View<'a> = WindowView<K::View<'a>, V>;
}

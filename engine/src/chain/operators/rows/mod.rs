//! Operators that look at a key's rows: which to keep, how they rank, what lies before and behind.
//!
//! | operator | for each record | work | state a key |
//! |---|---|---|---|
//! | [`FirstRows`] | itself, if it is the first of its key, or of its key in some time | O(1) | 0 or 16 bytes |
//! | [`LastRows`] | its key's newest row, as a changelog | O(1) | a frame |
//! | [`TopN`] | what it changes among the first N rows of its key, as a changelog | O(N) if it enters | N frames |
//! | [`RunningOver`] | itself, and a fold of all up to it | O(1) | the fold's state |
//! | [`BoundedOver`] | itself, and a fold of the last rows up to it | O(1) amortised | a state a row, also of keys that fell silent |
//! | [`Lag`] | itself, and a value of the k-th row before it | O(1) | k values |
//! | [`Lead`] | the k-th row before it, and a value of this one | O(1) | k frames |
//! | [`DistinctCount`] | how many different values its key has | O(1) | 8 bytes a key, and an entry a value |
//!
//! A key's rows are in the order in which records are applied: that of arrival, or behind
//! `in_time_order` that of (event time, rank). Behind one split both are the same on every run; with
//! several, ask for the order of time.
//!
//! All take streams that only grow: a record that takes another one back is a row like others.

mod distinct;
mod first;
mod lag;
mod last;
mod lead;
mod over;
mod over_last;
mod top_n;

pub use distinct::DistinctCount;
pub use first::FirstRows;
pub use lag::Lag;
pub use last::LastRows;
pub use lead::Lead;
pub use over::RunningOver;
pub use over_last::{BoundedOver, OverBound};
pub use top_n::{Ranks, TopN};

use std::marker::PhantomData;

use crate::record::{Item, Record, RowKind};

/// A row of a key's table, and what became of it.
#[derive(Debug)]
pub struct RankedRow<R>(PhantomData<fn() -> R>);

/// A row as closures see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankedRowView<V> {
    /// Insert, update or delete.
    pub kind: RowKind,
    /// Its rank in its key's table, from 1; 0 where ranks are left out.
    pub rank: u64,
    /// The row: the new one, except in `UpdateBefore` and `Delete`.
    pub row: V,
}

impl<R: Record> Item for RankedRow<R> {
    type View<'a> = RankedRowView<R::View<'a>>;
}

/// Why an operator over rows can't work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowsProblem {
    /// A span of time that is not positive.
    #[error("its {what} is {micros} us; it must be more than nothing")]
    NotPositive {
        /// What of it.
        what: &'static str,
        /// How long it is.
        micros: i64,
    },
    /// A number of rows that is zero.
    #[error("its {what} is 0 rows; name a number from 1 on")]
    NoRows {
        /// What of it.
        what: &'static str,
    },
    /// More rows than the entry of a key has room for.
    #[error(
        "its {what} is {rows} rows, and a key has room for {rows_max} of their size; name fewer, or \
         keep them as a list in a process function"
    )]
    TooMany {
        /// What of it.
        what: &'static str,
        /// How many they are.
        rows: u64,
        /// How many there may be.
        rows_max: u64,
    },
    /// It needs event time.
    #[error(
        "it needs event time, and {what}; give the record an `#[event_time]` field, and its source \
         `SourceOptions::lateness`"
    )]
    NoEventTime {
        /// What is missing.
        what: &'static str,
    },
}

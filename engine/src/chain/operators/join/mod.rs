//! Joins of two keyed streams, all over the same state: frames by key and time.
//!
//! | operator | pairs | unmatched rows leave |
//! |---|---|---|
//! | [`IntervalJoin`] | whose times are no further apart than two bounds | when no partner can come any more |
//! | [`RegularJoin`] | all of one key, as a changelog: with retractions | with retractions |
//! | [`WindowJoin`] | of one window, when it closes | with the pairs |
//! | [`AsOfJoin`] | a row with the version of the other side that held at its time | with the row |
//!
//! Which rows leave is the [`JoinKind`]: inner, outer to either or both sides, semi, anti.

mod as_of;
mod buckets;
mod interval;
mod kind;
mod ordered;
mod regular;
mod sides;
mod window;

pub use as_of::AsOfJoin;
pub use interval::{Interval, IntervalJoin};
pub use kind::{
    Anti, FullOuter, Inner, JoinKind, LeftOuter, MaybeBoth, MaybeLeft, MaybeRight, Pairs,
    RightOuter, Semi,
};
pub use ordered::SortedPair;
pub use regular::RegularJoin;
pub use window::WindowJoin;

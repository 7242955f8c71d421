//! Step 6, chain: the operators between two exchanges, fused into one loop body.
//!
//! Takes a `Frame` and its key's state; hands on state writes and emitted items, which a terminal
//! turns into frames for the next exchange, or into a sink's bytes.
//!
//! A stage's body is `operator -> chain -> terminal`: at most one stateful [`KeyedOperator`], then
//! stateless operators, then a terminal ([`Push`]). All three are generics, so the compiler sees
//! one loop: no dynamic call, no allocation, no encode between them.
//!
//! Invariants
//! 1. *Refused means repeated.* A terminal that has no room refuses the item and everything after
//!    it ([`Flow::Blocked`]); the body later runs the same input again, and the terminal skips as
//!    many items as it had accepted. So stateless closures must be pure, and no item is lost,
//!    doubled, or kept in an unbounded buffer: a `flat_map` of a million rows resumes where it
//!    stopped.
//! 2. *State changes once.* A stateful operator changes state in [`KeyedOperator::apply`], which
//!    runs once an input; what it emits is a pure function of the `Emission` that it returned.
//! 3. *A watermark passes only when nothing is due.* The body drains what is due first.
//!
//! Why a repeat with a cursor and not an outbox of encoded frames: the input still lies in the ring,
//! so nothing is copied, and the common case (room for everything) pays one comparison an item.

mod blueprint;
mod described;
mod exchange;
mod fanout;
mod operator;
pub mod operators;
mod out;
mod output;
mod plan;
mod push;
mod rate;
mod reference;
mod sided;
mod stateless;
mod tagged;

pub use blueprint::{Blueprint, ExchangeId, Wiring};
pub use described::{OperatorState, SHARED_KIND, StateLayout};
pub use exchange::{
    Broadcast, BroadcastBlueprint, ByKey, ByPosition, Exchange, ExchangeBlueprint, Local, Reads,
    Route,
};
pub(crate) use fanout::{BranchBlueprint, Fanout, ForkBlueprint, describe_branches};
pub use operator::{Due, KeyedOperator};
pub use out::{KeyFn, KeyOut, Out, OutEach};
pub(crate) use output::{OutputBlueprint, OutputMeters};
pub use plan::{CodePlace, Link, OperatorPlan, OutputPlan, RoutePlan, SentPlan, type_name};
pub use push::{Flow, Push, Terminal, TerminalError};
pub(crate) use rate::{Bucket, LimitedBlueprint};
pub(crate) use reference::MapWithBlueprint;
pub use reference::{Current, MapWith, Reference};
pub(crate) use sided::PartSidesBlueprint;
pub use stateless::{Filter, FlatMap, Map, Operator, Partition};
pub(crate) use tagged::{PartTagsBlueprint, SideList};
pub use tagged::{SideFrame, SideTag, Tagged, TaggedView};

pub use crate::job::Chain;

//! Step 6, chain: patterns at work.
//!
//! Takes a compiled pattern and events; hands on matches. `matcher.rs` is the operator; `turn.rs`
//! shows an event to the partial matches of its key, for each of which `decide.rs` decides; `run.rs`
//! and `events.rs` say how they lie in the state log; `matched.rs` and `selection.rs` hand what is
//! found to the job.

mod decide;
mod events;
mod matched;
mod matcher;
mod run;
mod selection;
mod turn;

pub use matched::{Ending, MatchOut, Matched};
pub(crate) use matcher::Compiled;
pub use matcher::PatternMatcher;
pub use selection::{Matches, MatchesAndLost, Outbox, Selection};

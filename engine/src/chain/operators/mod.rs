//! Operators with keyed state. Each keeps all of it in the `Store`; what it holds itself is rebuilt
//! from there.
//!
//! | operator | for each record | when time passes |
//! |---|---|---|
//! | [`Aggregate`] | the key's new value | final values, at the end |
//! | [`ExactWindows`] | what N sliding windows hold, exactly | |
//! | [`LastRecords`] | what the last N records of its key hold, exactly | |
//! | [`SlicedWindows`], [`PaneWindows`] | rows of windows that it is late for | rows of windows that have ended |
//! | [`TriggeredWindows`] | rows of windows that a trigger lets fire | rows of windows that have ended |
//! | [`FirstRows`], [`LastRows`], [`TopN`] | itself, or what it changed in a table of its key's rows | |
//! | [`RunningOver`], [`BoundedOver`], [`Lag`] | itself, with what earlier rows of its key say | |
//! | [`Lead`] | an earlier row, with what this one says | the rest, at the end |
//! | [`DistinctCount`] | the key's new count | final counts, at the end |
//! | [`Sorted`] | | what the wrapped operator says, in order of event time |
//! | [`Lookup`] | itself, with what something outside answered | the same, for answers that come later |
//! | [`PatternMatcher`] | matches of a [`Pattern`] that it completes | matches by absence; what has timed out |
//! | [`Process`] | whatever the user's function emits | the same, from its timers |
//! | [`MergeByPosition`] | both halves of a record that branched | |

mod aggregate;
mod exact;
mod exact_head;
mod exact_log;
mod fold;
mod join;
mod lookup;
mod merge;
mod pair;
mod pattern;
mod process;
mod process_context;
mod process_core;
mod process_list;
mod process_map;
mod process_out;
mod process_pair;
mod process_place;
mod process_states;
mod rows;
mod sorted;
mod window;

pub use aggregate::{Aggregate, AggregateEmission, Emit};
pub use exact::{ExactSpec, ExactWindows, Windowed};
pub use fold::{
    Average, Bins, Bounds, Collect, Collected, Count, CountSum, CountSumSquares, Decayed, Ewma,
    EwmaByTime, First, FirstByTime, Fold, Histogram, HyperLogLog, Invertible, KeepFirst, KeepLast,
    Largest, Last, LastByTime, Max, MeanState, Merge, Min, Moments, QuantileSketch, Quantiles,
    Ranked, Registers, Shared, Spread, Sum, WhenFull, ZScore,
};
pub use join::{
    Anti, AsOfJoin, FullOuter, Inner, Interval, IntervalJoin, JoinKind, LeftOuter, MaybeBoth,
    MaybeLeft, MaybeRight, Pairs, RegularJoin, RightOuter, Semi, SortedPair, WindowJoin,
};
pub use lookup::{
    Answered, AnsweredView, LookedUp, Lookup, LookupCache, LookupCounts, LookupFailure,
    LookupMeters, LookupOptions, LookupProblem,
};
pub(crate) use lookup::{
    CallRunner, Calls, LookupOperator, LookupSettings, WaitingKey, lookup_states,
};
pub(crate) use merge::merge_key_hash;
pub use merge::{Joined, MergeByPosition, MergeEmission};
pub(crate) use merge::{position_bytes, position_layout};
pub use pair::{PairOperator, Side};
pub(crate) use pattern::Compiled;
pub use pattern::{
    AfterMatch, Ending, MatchOut, Matched, Matches, MatchesAndLost, Outbox, OverBudget,
    PARTIALS_MAX, Pattern, PatternError, PatternMatcher, Piece, Selection, Step, Times, Unfolded,
};
pub use process::{Process, ProcessFunction};
pub use process_context::{ProcessContext, SharedContext};
pub use process_out::{WithSides, WithoutSides};
pub use process_pair::{BroadcastFunction, PairFunction, ProcessBroadcast, ProcessPair};
pub use process_states::{ListState, MapState, ReducingState, States, ValueState};
pub use rows::{
    BoundedOver, DistinctCount, FirstRows, Lag, LastRows, Lead, OverBound, RankedRow,
    RankedRowView, Ranks, RowsProblem, RunningOver, TopN,
};
pub use sorted::Sorted;
pub(crate) use window::counts_problem;
use window::listed;
pub use window::{
    AnyWindows, AtEnd, Contents, Early, EveryRecords, Evict, Fire, Folded, Kept, LastRecords, Mode,
    OnClose, PaneSpec, PaneWindows, Rules, SlicedWindows, Timing, Trigger, TriggeredWindows,
    Window, WindowOutput, WindowPlace, WindowProblem, WindowStatus, WindowView, Zone,
};

//! Step 6, chain: row patterns (complex event processing): sequences of events of one key, described
//! step by step.
//!
//! Takes a [`Pattern`] and the events of each key, in the order in which they are applied (of event
//! time behind `in_time_order`, else of arrival); hands on what is made of each [`Matched`].
//!
//! What a match is. A match is a way through the pattern and an event for each step on it, later ones
//! behind earlier ones, so that each event meets its step's condition, and between two events of the
//! match
//! 1. lies nothing, where the second is `next`; nothing that the second's step would have taken, where
//!    it is `followed_by`; anything, where it is `followed_by_any`. Between repetitions of one step
//!    that is said by `consecutive`, nothing, and `allow_combinations`;
//! 2. lies nothing that a `not_followed_by` between them names, and the first behind the first is none
//!    that a `not_next` names. The second event counts for both;
//! 3. lies nothing that a greedy step before the second could have taken in addition. The second
//!    event counts here too;
//! 4. lies nothing for which an `until` holds, where both are of the step that it ends.
//!
//! Each way through the pattern stands for itself: `a b? c` is found as `a c` beside `a b c`.
//!
//! Files: `language.rs` is what a job writes, of `parts.rs`; `condition.rs` is what steps ask; `check.rs` and
//! `compile.rs` make an automaton of it, which `matching/` runs.
//!
//! Where this differs from Flink's library: a `not` is looked for only between the two events that
//! it stands between (there, one that comes while the step before it may still repeat ends the match);
//! a greedy last step ends a match once (there, again with each event that it does not take); matches
//! are not held back under skip strategies; a partial match that has been emitted does not time out.

mod check;
mod compile;
mod condition;
mod language;
mod matching;
mod parts;

use std::sync::Arc;

use super::fold::Fold;
use crate::record::Record;

pub use check::PatternError;
pub use language::{Pattern, Unfolded};
pub(crate) use matching::Compiled;
pub use matching::{
    Ending, MatchOut, Matched, Matches, MatchesAndLost, Outbox, PatternMatcher, Selection,
};
pub use parts::{AfterMatch, OverBudget, PARTIALS_MAX, Piece, Step, Times};

/// What is wrong with a pattern, if anything is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    error: Option<PatternError>,
    /// Where it has a length of time: its first step.
    timed: Option<Step>,
}

impl Verdict {
    /// Why it can't work on a stream of whose event time that is missing, if anything is.
    pub(crate) fn problem(&self, missing: Option<&'static str>) -> Option<PatternError> {
        let untimed = |step| missing.map(|what| PatternError::NoEventTime { step, what });
        self.error.or_else(|| self.timed.and_then(untimed))
    }
}

impl<R: Record, A: Fold> Compiled<R, A> {
    /// Compiles a pattern. One that can't work becomes one that finds nothing.
    pub(crate) fn of(pattern: Pattern<R, A>) -> (Self, Verdict) {
        let (automaton, error) = match compile::Automaton::of(&pattern) {
            Ok(automaton) => (automaton, None),
            Err(error) => (compile::Automaton::empty(), Some(error)),
        };
        let settings = pattern.settings;
        let lengths = [settings.within, settings.within_previous];
        let [within, previous] = lengths.map(|length| match length {
            Some(length) => format!("{} us", length.0),
            None => "ever".to_owned(),
        });
        let first = pattern.elements.first().map(parts::Element::name);
        let timed = first.filter(|_| lengths.iter().any(Option::is_some));
        let identity = format!("{pattern}, within {within}, within previous {previous}");
        let compiled =
            Self { automaton: Arc::new(automaton), read: pattern.read, identity: identity.into() };
        (compiled, Verdict { error, timed })
    }
}

//! Step 6, chain: what a step of a pattern asks of an event.
//!
//! Takes an event's view, and what the partial match has taken so far; hands on yes or no.
//!
//! Why boxed: a pattern is data, put together at run time (loops, groups, alternatives), so its
//! closures have no place in a type. A call is dynamic; nothing is allocated for it. A condition of
//! the event alone is asked once an event, however many partial matches wait for it ([`Memo`]).

use std::fmt;
use std::sync::Arc;

use super::matching::Matched;
use crate::chain::operators::fold::Fold;
use crate::record::{Item, Record};

type OfEvent<R> = dyn for<'a> Fn(<R as Item>::View<'a>) -> bool + Send + Sync;
type SoFar<R, A> =
    dyn for<'a, 'm> Fn(<R as Item>::View<'a>, &Matched<'m, R, A>) -> bool + Send + Sync;

/// What a step asks of an event.
pub(super) enum Condition<R: Record, A: Fold> {
    /// Nothing: any event will do.
    Any,
    /// Something of the event alone.
    OfEvent(Arc<OfEvent<R>>),
    /// Something of the event and of what was taken before it.
    SoFar(Arc<SoFar<R, A>>),
    /// Both.
    And(Box<Self>, Box<Self>),
    /// At least one.
    Or(Box<Self>, Box<Self>),
}

impl<R: Record, A: Fold> Clone for Condition<R, A> {
    fn clone(&self) -> Self {
        match self {
            Self::Any => Self::Any,
            Self::OfEvent(ask) => Self::OfEvent(Arc::clone(ask)),
            Self::SoFar(ask) => Self::SoFar(Arc::clone(ask)),
            Self::And(left, right) => Self::And(left.clone(), right.clone()),
            Self::Or(left, right) => Self::Or(left.clone(), right.clone()),
        }
    }
}

impl<R: Record, A: Fold> fmt::Debug for Condition<R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::OfEvent(_) => f.write_str("of the event"),
            Self::SoFar(_) => f.write_str("so far"),
            Self::And(left, right) => write!(f, "({left:?} and {right:?})"),
            Self::Or(left, right) => write!(f, "({left:?} or {right:?})"),
        }
    }
}

impl<R: Record, A: Fold> Condition<R, A> {
    /// This one and another.
    pub(super) fn and(self, other: Self) -> Self {
        match self {
            Self::Any => other,
            _ => Self::And(Box::new(self), Box::new(other)),
        }
    }

    /// This one or another.
    pub(super) fn or(self, other: Self) -> Self {
        Self::Or(Box::new(self), Box::new(other))
    }

    /// Whether it looks at what was taken before.
    pub(super) fn looks_back(&self) -> bool {
        match self {
            Self::Any | Self::OfEvent(_) => false,
            Self::SoFar(_) => true,
            Self::And(left, right) | Self::Or(left, right) => {
                left.looks_back() || right.looks_back()
            }
        }
    }

    /// Whether the event meets it.
    pub(super) fn holds(&self, view: R::View<'_>, so_far: &Matched<'_, R, A>) -> bool {
        match self {
            Self::Any => true,
            Self::OfEvent(ask) => ask(view),
            Self::SoFar(ask) => ask(view, so_far),
            Self::And(left, right) => left.holds(view, so_far) && right.holds(view, so_far),
            Self::Or(left, right) => left.holds(view, so_far) || right.holds(view, so_far),
        }
    }
}

/// Which conditions of the event alone have been asked of the present event, and what they said:
/// a bit for each of the first 64.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memo {
    asked: u64,
    held: u64,
}

impl Memo {
    /// The answer of condition `number`, asked for by `ask` the first time.
    #[inline]
    pub(super) fn get(&mut self, number: u16, ask: impl FnOnce() -> bool) -> bool {
        let Some(bit) = 1_u64.checked_shl(u32::from(number)) else {
            return ask();
        };
        if self.asked & bit == 0 {
            self.asked |= bit;
            if ask() {
                self.held |= bit;
            }
        }
        self.held & bit != 0
    }
}

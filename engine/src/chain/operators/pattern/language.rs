//! Step 6, chain: patterns, as a job writes them.
//!
//! A [`Pattern`] is a sequence of *steps*. What comes behind a step says how near: [`Pattern::next`]
//! (the very next event of the key), [`Pattern::followed_by`] (the next event that the step would
//! take), [`Pattern::followed_by_any`] (any later one that it would take). A step may be repeated or
//! left out; a whole pattern may stand where a step does, and is a group then; [`Pattern::either`]
//! is one of several.
//!
//! ```
//! use pelton::chain::operators::{AfterMatch, Pattern};
//! use pelton::TimeSpan;
//!
//! #[pelton::record]
//! struct Payment {
//!     card: u64,
//!     cents: i64,
//! }
//!
//! // A test payment or two, and then a large one of more than a hundred times as much.
//! let pattern = Pattern::<Payment>::begin("test")
//!     .when(|p| p.cents < 200)
//!     .times(1..=2)
//!     .followed_by("large")
//!     .when_so_far(|p, so_far| so_far.first("test").is_some_and(|test| p.cents > 100 * test.cents))
//!     .within(TimeSpan::hours(1))
//!     .after_match(AfterMatch::SkipPastLastEvent);
//! # let _ = pattern;
//! ```
//!
//! Nothing is refused here: what can't work is found when the pattern is compiled
//! (`compile.rs`), and ends the job at its start with the operator's name.

use std::fmt;
use std::sync::Arc;

use super::condition::Condition;
use super::matching::Matched;
use super::parts::{
    AfterMatch, Contiguity, Element, OverBudget, Part, PatternSettings, Piece, Quantifier, Step,
    Times,
};
use crate::chain::operators::fold::Fold;
use crate::record::{Item, Record, TimeSpan};

/// A fold that folds nothing, for patterns without one.
#[derive(Debug)]
pub struct Unfolded;

impl Fold for Unfolded {
    type Input = ();
    type State = ();
    type Output = ();
    fn start() {}
    fn add((): (), (): ()) {}
    fn output((): ()) {}
}

pub(super) type ReadInput<R, I> =
    dyn for<'a> Fn(Step, <R as Item>::View<'a>) -> Option<I> + Send + Sync;

/// What to look for in the events of a key; see the head of the file, and
/// [`Keyed::detect`](crate::job::Keyed::detect). `A` is what it folds of the events that it takes.
pub struct Pattern<R: Record, A: Fold = Unfolded> {
    pub(super) elements: Vec<Element<R, A>>,
    pub(super) settings: PatternSettings,
    pub(super) read: Option<Arc<ReadInput<R, A::Input>>>,
    /// What was asked of something that can't do it.
    pub(super) misplaced: Vec<(Step, &'static str)>,
}

impl<R: Record> Pattern<R, Unfolded> {
    /// A pattern that begins with a step, or with a group.
    pub fn begin(first: impl Piece<R, Unfolded>) -> Self {
        first.into_pattern()
    }
}

impl<R: Record, A: Fold> Pattern<R, A> {
    /// As [`Pattern::begin`], of a pattern that folds what `read` makes of the events that it takes:
    /// each partial match carries its own state. Conditions and selections ask
    /// [`Matched::folded`].
    pub fn begin_folding<F>(first: impl Piece<R, A>, read: F) -> Self
    where
        F: for<'a> Fn(Step, R::View<'a>) -> Option<A::Input> + Send + Sync + 'static,
    {
        Self { read: Some(Arc::new(read)), ..first.into_pattern() }
    }

    /// As [`Pattern::begin`], for a group of a pattern that folds.
    pub fn group(first: impl Piece<R, A>) -> Self {
        first.into_pattern()
    }

    /// One of several patterns. They are tried independently of each other: how near one must be
    /// is asked of its own first step.
    pub fn either<const N: usize>(alternatives: [Self; N]) -> Self {
        Self::of(Part::Either(alternatives.into()))
    }

    pub(super) fn of(part: Part<R, A>) -> Self {
        // The first event of a match has none before it.
        let quantifier = Quantifier::default();
        Self {
            elements: vec![Element { contiguity: Contiguity::Any, part, quantifier }],
            settings: PatternSettings::default(),
            read: None,
            misplaced: Vec::new(),
        }
    }

    /// The next part: it takes the very next event of the key, or the match is none.
    #[must_use]
    pub fn next(self, piece: impl Piece<R, A>) -> Self {
        self.then(Contiguity::Strict, piece)
    }

    /// The next part: it takes the next event that it would take, whatever comes in between.
    #[must_use]
    pub fn followed_by(self, piece: impl Piece<R, A>) -> Self {
        self.then(Contiguity::Relaxed, piece)
    }

    /// The next part: it takes any later event that it would take, in a match for each.
    #[must_use]
    pub fn followed_by_any(self, piece: impl Piece<R, A>) -> Self {
        self.then(Contiguity::Any, piece)
    }

    /// The very next event must not be such a one. As the last step: a match is complete with the
    /// next event that is none, or once its time is over.
    #[must_use]
    pub fn not_next(self, name: impl Into<Step>) -> Self {
        self.without(Contiguity::Strict, name.into())
    }

    /// No such event may come before the next event of the match (nor may that be one). As the
    /// last step: a match is complete once its time is over ([`Pattern::within`]).
    #[must_use]
    pub fn not_followed_by(self, name: impl Into<Step>) -> Self {
        self.without(Contiguity::Relaxed, name.into())
    }

    fn then(mut self, contiguity: Contiguity, piece: impl Piece<R, A>) -> Self {
        let mut piece = piece.into_pattern();
        for element in &mut piece.elements {
            element.contiguity = contiguity;
        }
        self.elements.append(&mut piece.elements);
        self
    }

    fn without(mut self, contiguity: Contiguity, name: Step) -> Self {
        let part = Part::Not { name, condition: Condition::Any };
        self.elements.push(Element { contiguity, part, quantifier: Quantifier::default() });
        self
    }

    /// The last step takes events for which this holds. Of several conditions all must hold.
    #[must_use]
    pub fn when<F>(self, holds: F) -> Self
    where
        F: for<'a> Fn(R::View<'a>) -> bool + Send + Sync + 'static,
    {
        self.condition(Condition::OfEvent(Arc::new(holds)), Condition::and)
    }

    /// As [`Pattern::when`], of the event and what the match has taken before it.
    #[must_use]
    pub fn when_so_far<F>(self, holds: F) -> Self
    where
        F: for<'a, 'm> Fn(R::View<'a>, &Matched<'m, R, A>) -> bool + Send + Sync + 'static,
    {
        self.condition(Condition::SoFar(Arc::new(holds)), Condition::and)
    }

    /// The last step also takes events for which this holds, whatever its conditions so far say.
    #[must_use]
    pub fn or_when<F>(self, holds: F) -> Self
    where
        F: for<'a> Fn(R::View<'a>) -> bool + Send + Sync + 'static,
    {
        self.condition(Condition::OfEvent(Arc::new(holds)), Condition::or)
    }

    fn condition(
        mut self,
        more: Condition<R, A>,
        join: impl FnOnce(Condition<R, A>, Condition<R, A>) -> Condition<R, A>,
    ) -> Self {
        match self.elements.last_mut().map(|element| &mut element.part) {
            Some(Part::Step { condition, .. } | Part::Not { condition, .. }) => {
                let before = std::mem::replace(condition, Condition::Any);
                *condition = join(before, more);
            }
            _ => self.misplace("a condition belongs to a step: put it into the group"),
        }
        self
    }

    /// The last part is taken so often: `3`, `2..=4`, or `2..`. A match is found for each number of
    /// times that fits, unless the part is [`Pattern::greedy`].
    #[must_use]
    pub fn times(self, times: impl Times) -> Self {
        let (min, max) = times.bounds();
        self.quantify(|quantifier| (quantifier.min, quantifier.max) = (min, max))
    }

    /// The last part is taken at least once.
    #[must_use]
    pub fn one_or_more(self) -> Self {
        self.times(1..)
    }

    /// The last part may be left out.
    #[must_use]
    pub fn optional(self) -> Self {
        self.quantify(|quantifier| quantifier.optional = true)
    }

    /// The last step is taken as often as can be: the match does not go on while an event comes that
    /// the step could take.
    #[must_use]
    pub fn greedy(self) -> Self {
        self.quantify(|quantifier| quantifier.greedy = true)
    }

    /// Between the events of the last, repeated part there is no other.
    #[must_use]
    pub fn consecutive(self) -> Self {
        self.quantify(|quantifier| quantifier.inner = Contiguity::Strict)
    }

    /// The last, repeated part may leave out events that it would take.
    #[must_use]
    pub fn allow_combinations(self) -> Self {
        self.quantify(|quantifier| quantifier.inner = Contiguity::Any)
    }

    fn quantify(mut self, change: impl FnOnce(&mut Quantifier)) -> Self {
        match self.elements.last_mut() {
            Some(Element { part: Part::Not { .. }, .. }) | None => {
                self.misplace("what must not come is neither repeated nor left out");
            }
            Some(element) => change(&mut element.quantifier),
        }
        self
    }

    /// The last, repeated step takes no event for which this holds, and none behind it.
    #[must_use]
    pub fn until<F>(mut self, holds: F) -> Self
    where
        F: for<'a> Fn(R::View<'a>) -> bool + Send + Sync + 'static,
    {
        match self.elements.last_mut() {
            Some(Element { part: Part::Step { until, .. }, quantifier, .. })
                if quantifier.repeats() =>
            {
                *until = Some(Condition::OfEvent(Arc::new(holds)));
            }
            _ => {
                self.misplace("`until` ends a repeated step: call `one_or_more` or `times` before")
            }
        }
        self
    }

    /// All events of a match happen less than `span` after its first one.
    #[must_use]
    pub fn within(mut self, span: TimeSpan) -> Self {
        self.settings.within = Some(span);
        self
    }

    /// Each event of a match happens less than `span` after the one before it.
    #[must_use]
    pub fn within_previous(mut self, span: TimeSpan) -> Self {
        self.settings.within_previous = Some(span);
        self
    }

    /// Which matches go once one was found; none, where nothing is said.
    #[must_use]
    pub fn after_match(mut self, skip: AfterMatch) -> Self {
        self.settings.after_match = skip;
        self
    }

    /// How many partial matches a key may have (`PARTIALS_MAX` where nothing is said), and which
    /// ones go where there are more.
    #[must_use]
    pub fn budget(mut self, partials_max: usize, over: OverBudget) -> Self {
        (self.settings.partials_max, self.settings.over_budget) = (partials_max, over);
        self
    }

    fn misplace(&mut self, problem: &'static str) {
        let last = self.elements.last().map(Element::name);
        self.misplaced.push((last.unwrap_or(Step::new("")), problem));
    }
}

impl<R: Record, A: Fold> fmt::Debug for Pattern<R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

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
use std::ops::{RangeFrom, RangeInclusive};
use std::sync::Arc;

use super::condition::Condition;
use super::matched::Matched;
use crate::chain::operators::fold::Fold;
use crate::record::{Item, Record, TimeSpan};

/// The name of a step: `const SMALL: Step = Step::new("small")`, or the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step(&'static str);

impl Step {
    /// The step of this name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }
}

impl From<&'static str> for Step {
    fn from(name: &'static str) -> Self {
        Self(name)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How near an event must be to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contiguity {
    /// The very next event of the key.
    Strict,
    /// The next event that the step would take.
    Relaxed,
    /// Any later event that the step would take.
    Any,
}

/// Which matches go once one has been found. All of one event are looked at in the order of their
/// first events, the one with more events first; where they still tie, the one with earlier events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AfterMatch {
    /// None: all matches are emitted.
    #[default]
    NoSkip,
    /// Those that began with the same event.
    SkipToNext,
    /// Those that began at or before its last event: no event is in two matches.
    SkipPastLastEvent,
    /// Those that began before its first event of a step. Where the step took none, nothing goes.
    SkipToFirst(Step),
    /// Those that began before its last event of a step. Where the step took none, nothing goes.
    SkipToLast(Step),
}

/// What happens where a key has more partial matches than its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OverBudget {
    /// Those that began first go.
    #[default]
    DropOldest,
    /// What the present event would add is left out.
    RefuseNew,
}

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

/// What is said of a pattern as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PatternSettings {
    pub(super) within: Option<TimeSpan>,
    pub(super) within_previous: Option<TimeSpan>,
    pub(super) after_match: AfterMatch,
    pub(super) partials_max: usize,
    pub(super) over_budget: OverBudget,
}

impl Default for PatternSettings {
    fn default() -> Self {
        Self {
            within: None,
            within_previous: None,
            after_match: AfterMatch::NoSkip,
            partials_max: PARTIALS_MAX,
            over_budget: OverBudget::DropOldest,
        }
    }
}

/// How many partial matches a key may have where nothing else is said.
pub const PARTIALS_MAX: usize = 1 << 16;

/// A part of a sequence.
pub(super) struct Element<R: Record, A: Fold> {
    pub(super) contiguity: Contiguity,
    pub(super) part: Part<R, A>,
    pub(super) quantifier: Quantifier,
}

/// What stands at one place of a sequence.
pub(super) enum Part<R: Record, A: Fold> {
    Step {
        name: Step,
        condition: Condition<R, A>,
        until: Option<Condition<R, A>>,
    },
    /// Nothing like it may come between what stands before and behind it.
    Not {
        name: Step,
        condition: Condition<R, A>,
    },
    Either(Vec<Pattern<R, A>>),
}

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quantifier {
    pub(super) min: u32,
    /// As often as one likes, where it is none.
    pub(super) max: Option<u32>,
    pub(super) optional: bool,
    pub(super) greedy: bool,
    pub(super) inner: Contiguity,
}

impl Default for Quantifier {
    fn default() -> Self {
        let inner = Contiguity::Relaxed;
        Self { min: 1, max: Some(1), optional: false, greedy: false, inner }
    }
}

impl Quantifier {
    pub(super) fn repeats(&self) -> bool {
        self.max != Some(1)
    }
}

/// How often a step is taken: `3`, `2..=4` or `2..`.
pub trait Times {
    /// The least and the greatest number.
    fn bounds(self) -> (u32, Option<u32>);
}

impl Times for u32 {
    fn bounds(self) -> (u32, Option<u32>) {
        (self, Some(self))
    }
}

impl Times for RangeInclusive<u32> {
    fn bounds(self) -> (u32, Option<u32>) {
        (*self.start(), Some(*self.end()))
    }
}

impl Times for RangeFrom<u32> {
    fn bounds(self) -> (u32, Option<u32>) {
        (self.start, None)
    }
}

/// What may stand at a place of a pattern: the name of a step, or a whole pattern.
pub trait Piece<R: Record, A: Fold> {
    /// It as a pattern of its own.
    fn into_pattern(self) -> Pattern<R, A>;
}

impl<R: Record, A: Fold, S: Into<Step>> Piece<R, A> for S {
    fn into_pattern(self) -> Pattern<R, A> {
        let part = Part::Step { name: self.into(), condition: Condition::Any, until: None };
        Pattern::of(part)
    }
}

impl<R: Record, A: Fold> Piece<R, A> for Pattern<R, A> {
    fn into_pattern(self) -> Self {
        Self::of(Part::Either(vec![self]))
    }
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

    fn of(part: Part<R, A>) -> Self {
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
        join: fn(Condition<R, A>, Condition<R, A>) -> Condition<R, A>,
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

    /// How many partial matches a key may have ([`PARTIALS_MAX`] where nothing is said), and which
    /// ones go where there are more.
    #[must_use]
    pub fn budget(mut self, partials_max: usize, over: OverBudget) -> Self {
        (self.settings.partials_max, self.settings.over_budget) = (partials_max, over);
        self
    }

    fn misplace(&mut self, problem: &'static str) {
        let last = self.elements.last().map(Element::name);
        self.misplaced.push((last.unwrap_or(Step("")), problem));
    }
}

impl<R: Record, A: Fold> Element<R, A> {
    /// A name to find it by: its own, or that of its first step.
    pub(super) fn name(&self) -> Step {
        match &self.part {
            Part::Step { name, .. } | Part::Not { name, .. } => *name,
            Part::Either(patterns) => {
                let first = patterns.first().and_then(|pattern| pattern.elements.first());
                first.map_or(Step("a group"), Self::name)
            }
        }
    }
}

impl<R: Record, A: Fold> fmt::Debug for Pattern<R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The pattern's shape, as it stands in manifests: state of another shape is refused.
impl<R: Record, A: Fold> fmt::Display for Pattern<R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, element) in self.elements.iter().enumerate() {
            let between = match (index, &element.part, element.contiguity) {
                (0, ..) => "",
                (_, Part::Not { .. }, Contiguity::Strict) => " not next ",
                (_, Part::Not { .. }, _) => " not followed by ",
                (_, _, Contiguity::Strict) => " next ",
                (_, _, Contiguity::Relaxed) => " followed by ",
                (_, _, Contiguity::Any) => " followed by any ",
            };
            write!(f, "{between}{element}")?;
        }
        Ok(())
    }
}

impl<R: Record, A: Fold> fmt::Display for Element<R, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            Part::Step { name, until, .. } => {
                let until = if until.is_some() { " until" } else { "" };
                write!(f, "{name}{until}")?;
            }
            Part::Not { name, .. } => write!(f, "{name}")?,
            Part::Either(patterns) => {
                let texts: Vec<String> = patterns.iter().map(ToString::to_string).collect();
                write!(f, "({})", texts.join(" | "))?;
            }
        }
        let Quantifier { min, max, optional, greedy, inner } = self.quantifier;
        if self.quantifier.repeats() {
            let max = max.map_or_else(String::new, |max| max.to_string());
            write!(f, "{{{min},{max} {inner:?}}}")?;
        }
        let marks = [(optional, "?"), (greedy, "+")];
        marks.iter().filter(|(is_set, _)| *is_set).try_for_each(|(_, mark)| f.write_str(mark))
    }
}

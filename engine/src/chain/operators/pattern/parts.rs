//! Step 6, chain: what patterns are put together from.
//!
//! A pattern is a sequence of *elements*: a step, a group, or what must not come, each with how near it
//! is to what stands before it, and how often it is taken.

use std::fmt;
use std::ops::{RangeFrom, RangeInclusive};

use super::condition::Condition;
use super::language::Pattern;
use crate::chain::operators::fold::Fold;
use crate::record::{Record, TimeSpan};

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

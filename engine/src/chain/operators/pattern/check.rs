//! Step 6, chain: what is wrong with a pattern, found before the job starts.
//!
//! Takes a pattern; hands on the first reason for which it could never match, or never forget.
//! What shows itself only in the compiled form (an ending that nothing brings about) is found by
//! `compile.rs`, with the same error.

use super::condition::Condition;
use super::language::Pattern;
use super::parts::{AfterMatch, Contiguity, Element, Part, PatternSettings, Step};
use crate::chain::operators::fold::Fold;
use crate::record::Record;

/// Why a pattern can't work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A length of time that holds no event.
    #[error(
        "its `{setting}` is {found_micros} microseconds, in which nothing happens; make it longer"
    )]
    Length {
        /// Which one.
        setting: &'static str,
        /// How long it is.
        found_micros: i64,
    },
    /// Two steps have one name.
    #[error("two of its steps are called `{step}`; give each a name of its own")]
    DuplicateStep {
        /// The name.
        step: Step,
    },
    /// A match is skipped to a step that takes no event.
    #[error("it skips to step `{step}`, and has no such step; name one that takes events")]
    UnknownStep {
        /// The name.
        step: Step,
    },
    /// A step that is taken no times, or at most fewer times than at least.
    #[error(
        "step `{step}` is taken {min} to {max} times, which is never; leave it out, or call `optional`"
    )]
    Never {
        /// The step.
        step: Step,
        /// How often at least.
        min: u32,
        /// How often at most.
        max: u32,
    },
    /// Something was asked of a step that it can't do.
    #[error("at step `{step}`: {problem}")]
    Misplaced {
        /// The step, or the first one of the group.
        step: Step,
        /// What, and what to do.
        problem: &'static str,
    },
    /// A match of no events.
    #[error(
        "all of `{step}` may be left out, so it would match nothing at all; let one step be taken"
    )]
    Empty {
        /// The first step of what may be left out.
        step: Step,
    },
    /// A match that is complete only when the input ends.
    #[error(
        "nothing tells when it is over: it ends with `{step}`; give it `within`, or end it with a \
         step that takes an event"
    )]
    Endless {
        /// The last step.
        step: Step,
    },
    /// It has a length of time, and there is no event time.
    #[error(
        "the length of time of what begins with `{step}` needs event time, and {what}; give the record \
         an `#[event_time]` field, and its source `SourceOptions::lateness`"
    )]
    NoEventTime {
        /// The first step.
        step: Step,
        /// What is missing.
        what: &'static str,
    },
    /// More states than it may have.
    #[error("it has {found} {of}, and may have {expected_max}; make its repetitions shorter")]
    TooLarge {
        /// Of what.
        of: &'static str,
        /// How many.
        found: usize,
        /// How many at most.
        expected_max: usize,
    },
}

/// How many states a pattern may have: steps, times how often each is taken.
const STATES_MAX: usize = 4_096;

/// Looks for what can be seen without compiling.
pub(super) fn check<R: Record, A: Fold>(pattern: &Pattern<R, A>) -> Result<(), PatternError> {
    let mut names = Names::default();
    check_sequence(pattern, &mut names)?;
    let settings = pattern.settings;
    check_lengths(&settings)?;
    if settings.partials_max == 0 {
        let step = pattern.elements.first().map_or(Step::new(""), Element::name);
        let problem = "a budget of no partial matches finds none; make it larger";
        return Err(PatternError::Misplaced { step, problem });
    }
    let skips_to = match settings.after_match {
        AfterMatch::SkipToFirst(step) | AfterMatch::SkipToLast(step) => Some(step),
        _ => None,
    };
    match skips_to.filter(|step| !names.taking.contains(step)) {
        Some(step) => Err(PatternError::UnknownStep { step }),
        None => Ok(()),
    }
}

fn check_lengths(settings: &PatternSettings) -> Result<(), PatternError> {
    let lengths = [("within", settings.within), ("within_previous", settings.within_previous)];
    let bad = lengths.into_iter().find_map(|(setting, length)| {
        let found_micros = length.filter(|length| length.0 <= 0)?.0;
        Some(PatternError::Length { setting, found_micros })
    });
    bad.map_or(Ok(()), Err)
}

/// The names that were met.
#[derive(Debug, Default)]
struct Names {
    taking: Vec<Step>,
    all: Vec<Step>,
}

impl Names {
    fn add(&mut self, step: Step, takes: bool) -> Result<(), PatternError> {
        if self.all.contains(&step) {
            return Err(PatternError::DuplicateStep { step });
        }
        self.all.push(step);
        if takes {
            self.taking.push(step);
        }
        Ok(())
    }
}

fn check_sequence<R: Record, A: Fold>(
    pattern: &Pattern<R, A>,
    names: &mut Names,
) -> Result<usize, PatternError> {
    if let Some(&(step, problem)) = pattern.misplaced.first() {
        return Err(PatternError::Misplaced { step, problem });
    }
    let mut state_count = 0_usize;
    for element in &pattern.elements {
        state_count = state_count.saturating_add(check_element(element, names)?);
        if state_count > STATES_MAX {
            return Err(PatternError::TooLarge {
                of: "states",
                found: state_count,
                expected_max: STATES_MAX,
            });
        }
    }
    Ok(state_count)
}

/// Answers with how many states it takes, at most.
fn check_element<R: Record, A: Fold>(
    element: &Element<R, A>,
    names: &mut Names,
) -> Result<usize, PatternError> {
    let once = match &element.part {
        Part::Not { name, .. } => return names.add(*name, false).map(|()| 1),
        Part::Step { name, .. } => names.add(*name, true).map(|()| 1)?,
        Part::Either(patterns) => {
            check_group(element, patterns)?;
            let counts = patterns.iter().map(|pattern| check_sequence(pattern, names));
            counts.sum::<Result<usize, PatternError>>()?
        }
    };
    let (step, quantifier) = (element.name(), element.quantifier);
    let max = quantifier.max.unwrap_or(u32::MAX);
    if quantifier.min == 0 || max < quantifier.min {
        return Err(PatternError::Never { step, min: quantifier.min, max });
    }
    let problem = match quantifier {
        _ if quantifier.repeats() => None,
        _ if quantifier.inner != Contiguity::Relaxed => {
            Some("`consecutive` and `allow_combinations` are of repeated steps: call `times` too")
        }
        _ if quantifier.greedy && !quantifier.optional => {
            Some("`greedy` is of steps that are repeated or optional: call `times` too")
        }
        _ => None,
    };
    if let Some(problem) = problem {
        return Err(PatternError::Misplaced { step, problem });
    }
    // An endless one is its least number of times, and a loop.
    let times = quantifier.max.unwrap_or(quantifier.min.saturating_add(1));
    Ok(once.saturating_mul(usize::try_from(times).unwrap_or(usize::MAX)))
}

fn check_group<R: Record, A: Fold>(
    element: &Element<R, A>,
    patterns: &[Pattern<R, A>],
) -> Result<(), PatternError> {
    let ends_with_not = |pattern: &Pattern<R, A>| {
        matches!(pattern.elements.last(), Some(Element { part: Part::Not { .. }, .. }))
    };
    let has_settings = |pattern: &Pattern<R, A>| {
        pattern.settings != PatternSettings::default() || pattern.read.is_some()
    };
    let problem = if patterns.is_empty() {
        "a choice of no patterns never matches; give it one"
    } else if element.quantifier.greedy {
        "a group is not greedy: say `greedy` of its steps"
    } else if patterns.iter().any(ends_with_not) {
        "a group ends with what must not come: put that behind the group"
    } else if patterns.iter().any(has_settings) {
        "`within`, `after_match`, `budget` and folds are of the whole pattern, not of a group"
    } else {
        return Ok(());
    };
    Err(PatternError::Misplaced { step: element.name(), problem })
}

/// Whether a condition of the pattern asks what was taken before.
pub(super) fn looks_back<R: Record, A: Fold>(conditions: &[Condition<R, A>], number: u16) -> bool {
    conditions.get(usize::from(number)).is_some_and(Condition::looks_back)
}

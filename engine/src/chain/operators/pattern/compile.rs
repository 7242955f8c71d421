//! Step 6, chain: a pattern compiled to an automaton, once, when the job is built.
//!
//! Takes a [`Pattern`]; hands on an [`Automaton`]. A *state* stands behind each event that a match
//! can have taken, and holds all the *waits* that are open then: what may be taken next, how near
//! it must be, and what must not come before. What may be left out and what may be repeated thus
//! becomes more waits of one state, and no partial match is ever in two states.
//!
//! A sequence is compiled from its end: each part is given the waits that follow it, and answers
//! with those that lead into it.
//!
//! ```text
//!   a  b? next c+        (0) --a--> (1) --b--> (2) --c--> (3) --c--> (3)
//!                                    |  strict c           |  the end
//!                                    +-----------> (3)
//! ```
//!
//! Invariants
//! 1. A wait stands at most once in a state, at one bit; the end has bit [`END_BIT`].
//! 2. Of two waits, one may *guard* the other: where it could take an event, the other is over. It
//!    is how greedy steps are left, and both are always in one state.
//!
//! Why not the automaton of Flink (take, ignore and proceed edges between states): a partial match
//! there is in several states at once, and each of them ages and times out for itself.

use super::check::{PatternError, check, looks_back};
use super::condition::Condition;
use super::language::Pattern;
use super::parts::{Contiguity, Element, Part, PatternSettings, Quantifier, Step};
use crate::chain::operators::fold::Fold;
use crate::record::Record;

/// The bit that says that the partial match was a match itself, by an event behind it.
pub(super) const EMITTED_BIT: u32 = 61;
/// The bit of the end among a state's waits.
pub(super) const END_BIT: u32 = 62;
/// The bit that says that no event has come since the last one taken; only where that matters.
pub(super) const FRESH_BIT: u32 = 63;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Automaton<R: Record, A: Fold> {
    /// The first one is where matches begin.
    pub(super) states: Vec<State>,
    pub(super) conditions: Vec<Condition<R, A>>,
    /// The steps that take events; waits name them by number.
    pub(super) steps: Vec<Step>,
    pub(super) settings: PatternSettings,
}

/// What is open behind an event that was taken.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) waits: Vec<Wait>,
    /// The bits of all waits, the end and freshness too, as they are when the state is entered.
    pub(super) entered: u64,
    /// A match is complete as soon as the state is entered.
    pub(super) accepts: bool,
    /// A match is complete once this has held for long enough.
    pub(super) end: Option<End>,
    /// Whether a condition looks at what was taken before.
    pub(super) looks_back: bool,
}

/// An event that may be taken next.
#[derive(Debug, Clone)]
pub(super) struct Wait {
    pub(super) step: u16,
    pub(super) condition: u16,
    pub(super) until: Option<u16>,
    /// The step has taken events already: where `until` holds, it takes no more.
    pub(super) repeats: bool,
    pub(super) contiguity: Contiguity,
    pub(super) gap: Gap,
    pub(super) guards: u64,
    pub(super) target: u32,
}

/// The end of the pattern, where it needs time.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) gap: Gap,
    pub(super) guards: u64,
}

/// What must not come in between, as numbers of conditions.
#[derive(Debug, Clone, Default)]
pub(super) struct Gap {
    pub(super) never: Vec<u16>,
    pub(super) not_next: Vec<u16>,
}

impl Gap {
    fn is_empty(&self) -> bool {
        self.never.is_empty() && self.not_next.is_empty()
    }
}

/// A wait while its state is being made.
#[derive(Debug, Clone)]
struct Draft {
    id: u32,
    goal: Goal,
    gap: Gap,
    guards: Vec<u32>,
}

#[derive(Debug, Clone)]
enum Goal {
    Take {
        step: u16,
        condition: u16,
        until: Option<u16>,
        repeats: bool,
        near: Contiguity,
        target: u32,
    },
    End,
    /// What leads into a loop that is not compiled yet.
    Loop,
}

/// The numbers of a step, the same however often it is compiled.
#[derive(Debug, Clone, Copy)]
struct Known {
    step: u16,
    condition: u16,
    until: Option<u16>,
}

struct Compiler<R: Record, A: Fold> {
    states: Vec<Vec<Draft>>,
    conditions: Vec<Condition<R, A>>,
    steps: Vec<Step>,
    /// By name.
    known: Vec<(Step, Known)>,
    next_id: u32,
    error: Option<PatternError>,
}

impl<R: Record, A: Fold> Automaton<R, A> {
    /// Compiles a pattern.
    pub(super) fn of(pattern: &Pattern<R, A>) -> Result<Self, PatternError> {
        check(pattern)?;
        let mut compiler = Compiler {
            states: vec![Vec::new()],
            conditions: Vec::new(),
            steps: Vec::new(),
            known: Vec::new(),
            next_id: 0,
            error: None,
        };
        compiler.meet(&pattern.elements);
        let end = compiler.draft(Goal::End);
        let first = compiler.sequence(&pattern.elements, Contiguity::Any, vec![end]);
        compiler.states[0] = first;
        if let Some(error) = compiler.error {
            return Err(error);
        }
        let Compiler { states, conditions, steps, .. } = compiler;
        let states = states.iter().map(|drafts| State::of(drafts, &conditions));
        let states = states.collect::<Result<Vec<State>, PatternError>>()?;
        let automaton = Self { states, conditions, steps, settings: pattern.settings };
        automaton.check_ends(pattern)?;
        Ok(automaton)
    }

    /// One that matches nothing, in the place of one that was refused.
    pub(super) fn empty() -> Self {
        Self {
            states: vec![State::default()],
            conditions: Vec::new(),
            steps: Vec::new(),
            settings: PatternSettings::default(),
        }
    }

    fn check_ends(&self, pattern: &Pattern<R, A>) -> Result<(), PatternError> {
        let name = |element: Option<&Element<R, A>>| element.map_or(Step::new(""), Element::name);
        let start = &self.states[0];
        if start.accepts || start.end.is_some() {
            return Err(PatternError::Empty { step: name(pattern.elements.first()) });
        }
        let has_gap = |wait: &Wait| !wait.gap.is_empty();
        if let Some(wait) = start.waits.iter().find(|wait| has_gap(wait)) {
            let step = self.steps[usize::from(wait.step)];
            let problem = "it may be the first, and then there is nothing before it for an event \
                           to be kept away from: let what stands before be taken";
            return Err(PatternError::Misplaced { step, problem });
        }
        let PatternSettings { within, within_previous, .. } = self.settings;
        let is_endless = within.is_none()
            && within_previous.is_none()
            && self.states.iter().any(State::ends_by_time_alone);
        if is_endless {
            return Err(PatternError::Endless { step: name(pattern.elements.last()) });
        }
        Ok(())
    }
}

impl State {
    fn of<R: Record, A: Fold>(
        drafts: &[Draft],
        conditions: &[Condition<R, A>],
    ) -> Result<Self, PatternError> {
        let takes = |draft: &&Draft| matches!(draft.goal, Goal::Take { .. });
        let ids: Vec<u32> = drafts.iter().filter(takes).map(|draft| draft.id).collect();
        let expected_max = EMITTED_BIT as usize;
        if ids.len() > expected_max {
            let of = "ways on from one event";
            return Err(PatternError::TooLarge { of, found: ids.len(), expected_max });
        }
        let bits = |guards: &[u32]| {
            let of = |guard: &u32| ids.iter().position(|id| id == guard).map_or(0, |bit| 1 << bit);
            guards.iter().fold(0, |bits, guard| bits | of(guard))
        };
        let mut state = Self::default();
        if drafts.iter().any(|draft| !draft.gap.not_next.is_empty()) {
            state.entered |= 1 << FRESH_BIT;
        }
        for Draft { goal, gap, guards, .. } in drafts {
            let (gap, guards) = (gap.clone(), bits(guards));
            match *goal {
                Goal::Take { step, condition, until, repeats, near: contiguity, target } => {
                    state.entered |= 1 << state.waits.len();
                    let asked = [Some(condition), until].into_iter().flatten();
                    let gaps = gap.never.iter().chain(&gap.not_next).copied();
                    state.looks_back |=
                        asked.chain(gaps).any(|number| looks_back(conditions, number));
                    let wait =
                        Wait { step, condition, until, repeats, contiguity, gap, guards, target };
                    state.waits.push(wait);
                }
                Goal::End if gap.is_empty() && guards == 0 => state.accepts = true,
                Goal::End => {
                    state.entered |= 1 << END_BIT;
                    let mut gaps = gap.never.iter().chain(&gap.not_next);
                    state.looks_back |= gaps.any(|number| looks_back(conditions, *number));
                    state.end = Some(End { gap, guards });
                }
                Goal::Loop => unreachable!("every loop was closed when its body was compiled"),
            }
        }
        Ok(state)
    }

    /// Whether its end may need time to pass, and no event will do.
    fn ends_by_time_alone(&self) -> bool {
        self.end.as_ref().is_some_and(|end| {
            let lasts = |(index, wait): (usize, &Wait)| {
                end.guards >> index & 1 == 1
                    && wait.contiguity != Contiguity::Strict
                    && wait.until.is_none()
            };
            !end.gap.never.is_empty() || self.waits.iter().enumerate().any(lasts)
        })
    }
}

impl<R: Record, A: Fold> Compiler<R, A> {
    fn draft(&mut self, goal: Goal) -> Draft {
        self.next_id += 1;
        Draft { id: self.next_id, goal, gap: Gap::default(), guards: Vec::new() }
    }

    fn add_condition(&mut self, condition: &Condition<R, A>) -> u16 {
        self.conditions.push(condition.clone());
        u16::try_from(self.conditions.len() - 1).expect("no more conditions than states, by check")
    }

    /// The waits that lead into a sequence which `follow` follows. How near its first event must
    /// be is `head`.
    fn sequence(
        &mut self,
        elements: &[Element<R, A>],
        head: Contiguity,
        follow: Vec<Draft>,
    ) -> Vec<Draft> {
        let numbered = elements.iter().enumerate().rev();
        numbered.fold(follow, |follow, (index, element)| match &element.part {
            Part::Not { name, .. } => self.keep_away(*name, element.contiguity, follow),
            _ => {
                let near = if index == 0 { head } else { element.contiguity };
                self.quantified(element, near, follow)
            }
        })
    }

    fn keep_away(&mut self, name: Step, near: Contiguity, mut follow: Vec<Draft>) -> Vec<Draft> {
        let number = self.known(name).condition;
        for draft in &mut follow {
            match near {
                Contiguity::Strict => draft.gap.not_next.push(number),
                _ => draft.gap.never.push(number),
            }
        }
        follow
    }

    fn quantified(
        &mut self,
        element: &Element<R, A>,
        near: Contiguity,
        follow: Vec<Draft>,
    ) -> Vec<Draft> {
        let Quantifier { min, max, optional, greedy, inner } = element.quantifier;
        let or_follow = |again: &[Draft]| {
            let mut waits = again.to_vec();
            waits.extend(if greedy { guarded(&follow, again) } else { follow.clone() });
            waits
        };
        // What leads into one more time; from the last time to the first.
        let mut again = match max {
            Some(_) => Vec::new(),
            None => self.endless(element, or_follow),
        };
        for time in (1..=max.unwrap_or(min)).rev() {
            let behind = if time >= min { or_follow(&again) } else { again };
            let near = if time == 1 { near } else { inner };
            again = self.once(&element.part, near, time > 1, behind);
        }
        if optional { or_follow(&again) } else { again }
    }

    /// What leads into one more time of a part that is repeated without end.
    fn endless(
        &mut self,
        element: &Element<R, A>,
        or_follow: impl Fn(&[Draft]) -> Vec<Draft>,
    ) -> Vec<Draft> {
        let placeholder = self.draft(Goal::Loop);
        let id = placeholder.id;
        let body = or_follow(&[placeholder]);
        let mut again = self.once(&element.part, element.quantifier.inner, true, body);
        if let [only] = again.as_mut_slice() {
            // What the placeholder guards, the wait guards.
            only.id = id;
        }
        if again.iter().any(|draft| !matches!(draft.goal, Goal::Take { .. })) {
            // Its own placeholder: a repetition of nothing.
            self.error.get_or_insert(PatternError::Empty { step: element.name() });
            return Vec::new();
        }
        for drafts in &mut self.states {
            let Some(at) = drafts.iter().position(|draft| draft.id == id && draft.is_loop()) else {
                continue;
            };
            let placeholder = drafts.remove(at);
            let filled = again.iter().map(|draft| draft.in_place_of(&placeholder));
            drafts.splice(at..at, filled);
        }
        again
    }

    /// A part, taken once.
    fn once(
        &mut self,
        part: &Part<R, A>,
        near: Contiguity,
        repeats: bool,
        behind: Vec<Draft>,
    ) -> Vec<Draft> {
        match part {
            Part::Step { name, .. } => {
                let target = u32::try_from(self.states.len()).expect("few states, by check");
                self.states.push(behind);
                let Known { step, condition, until } = self.known(*name);
                vec![self.draft(Goal::Take { step, condition, until, repeats, near, target })]
            }
            Part::Either(patterns) => {
                let mut entry = Vec::new();
                for pattern in patterns {
                    let before = behind.iter().map(|draft| draft.id).collect::<Vec<u32>>();
                    let one = self.sequence(&pattern.elements, near, behind.clone());
                    if one.iter().any(|draft| before.contains(&draft.id)) {
                        let step = pattern.elements.first().map_or(Step::new(""), Element::name);
                        self.error.get_or_insert(PatternError::Empty { step });
                    }
                    entry.extend(one);
                }
                entry
            }
            Part::Not { .. } => unreachable!("what must not come is no part of its own"),
        }
    }

    /// Numbers steps and conditions in the order in which they stand.
    fn meet(&mut self, elements: &[Element<R, A>]) {
        for element in elements {
            match &element.part {
                Part::Step { name, condition, until } => {
                    self.meet_one(*name, condition, until.as_ref());
                    self.steps.push(*name);
                }
                Part::Not { name, condition } => self.meet_one(*name, condition, None),
                Part::Either(patterns) => {
                    patterns.iter().for_each(|pattern| self.meet(&pattern.elements));
                }
            }
        }
    }

    fn meet_one(
        &mut self,
        name: Step,
        condition: &Condition<R, A>,
        until: Option<&Condition<R, A>>,
    ) {
        let step = u16::try_from(self.steps.len()).expect("few steps, by check");
        let condition = self.add_condition(condition);
        let until = until.map(|until| self.add_condition(until));
        self.known.push((name, Known { step, condition, until }));
    }

    fn known(&self, name: Step) -> Known {
        let known = self.known.iter().find(|(known, _)| *known == name);
        known.expect("all steps were met before any was compiled").1
    }
}

impl Draft {
    fn is_loop(&self) -> bool {
        matches!(self.goal, Goal::Loop)
    }

    /// This wait where a placeholder stood.
    fn in_place_of(&self, placeholder: &Self) -> Self {
        let mut draft = self.clone();
        draft.gap.never.extend(&placeholder.gap.never);
        draft.gap.not_next.extend(&placeholder.gap.not_next);
        draft.guards.extend(&placeholder.guards);
        draft
    }
}

/// What follows a step that is taken as often as can be.
fn guarded(follow: &[Draft], by: &[Draft]) -> Vec<Draft> {
    let guards = |draft: &Draft| {
        let mut draft = draft.clone();
        draft.guards.extend(by.iter().map(|guard| guard.id));
        draft
    };
    follow.iter().map(guards).collect()
}

//! Patterns by their definition: every way through a pattern is written down, every choice of events
//! is tried on it, and what the definition forbids is looked for in the whole list.
//!
//! Nothing of the engine is used, and nothing is remembered from one event to the next: there is no
//! automaton, only a tree of all ways, as deep as there are events.

use std::collections::{BTreeMap, BTreeSet};

/// How near.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Near {
    Strict,
    Relaxed,
    Any,
}

/// What is asked of an event: a letter, and that its digit is no less than that of the event taken
/// before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) letters: &'static str,
    pub(crate) rising: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) min: usize,
    pub(crate) max: Option<usize>,
    pub(crate) optional: bool,
    pub(crate) greedy: bool,
    pub(crate) inner: Near,
}

#[derive(Debug, Clone)]
pub(crate) enum Part {
    Step { name: &'static str, ask: Ask, until: Option<Ask> },
    Not { name: &'static str, ask: Ask },
    Either(Vec<Vec<Element>>),
}

#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub(crate) near: Near,
    pub(crate) part: Part,
    pub(crate) times: Times,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    No,
    ToNext,
    PastLast,
    ToFirst(&'static str),
    ToLast(&'static str),
}

#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) elements: Vec<Element>,
    pub(crate) within: Option<i64>,
    pub(crate) within_previous: Option<i64>,
    pub(crate) skip: Skip,
}

/// An event: when, its letter and its digit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) time: i64,
    pub(crate) letter: char,
    pub(crate) digit: u32,
}

/// What could be taken at a place of a way.
#[derive(Debug, Clone)]
struct Slot {
    name: &'static str,
    ask: Ask,
    until: Option<Ask>,
    repeats: bool,
    near: Near,
}

/// What must not be between the event before and what follows.
#[derive(Debug, Clone, Default)]
struct Gap {
    never: Vec<Ask>,
    not_next: Vec<Ask>,
    /// What a greedy step could have taken in addition.
    guards: Vec<Slot>,
}

/// A way through a part: where it passes, what each place takes, and the gap behind it.
#[derive(Debug, Clone, Default)]
struct Way {
    places: Vec<(Vec<usize>, Slot, Gap)>,
    behind: Gap,
    is_cut: bool,
}

/// All ways as a tree.
#[derive(Debug, Default)]
struct Tree {
    next: BTreeMap<Vec<usize>, (Slot, Gap, Tree)>,
    end: Option<Gap>,
}

/// When something is known: before or at which event, and by which deadline.
type Moment = (usize, bool, i64);

#[derive(Debug)]
struct Candidate {
    moment: Moment,
    chosen: Vec<usize>,
    /// By the order of names in the pattern.
    steps: Vec<&'static str>,
    /// The time that completed it, where time did.
    absent_until: Option<i64>,
}

/// What an oracle says of one key's events, in order: positions of matches, with the time that
/// completed them where that did, and of what has timed out.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) found: Vec<(Vec<usize>, Option<i64>)>,
    pub(crate) lost: Vec<Vec<usize>>,
}

pub(crate) fn say(shape: &Shape, events: &[Seen]) -> Said {
    let ways = ways_of(&shape.elements, Near::Any, &[], taken_max(shape, events) + 1);
    let mut tree = Tree::default();
    ways.into_iter().for_each(|way| tree.add(way));
    let mut names = Vec::new();
    names_of(&shape.elements, &mut names);
    let mut oracle = Oracle { shape, events, names, candidates: Vec::new(), timed_out: Vec::new() };
    oracle.walk(&tree, &mut Vec::new(), &mut Vec::new());
    oracle.filter()
}

/// No match has more events than lie within the time that it may take.
fn taken_max(shape: &Shape, events: &[Seen]) -> usize {
    let Some(within) = shape.within else { return events.len() };
    let behind = |first: &Seen| {
        let is_near = |event: &&Seen| event.time >= first.time && event.time < first.time + within;
        events.iter().filter(is_near).count()
    };
    events.iter().map(behind).max().unwrap_or(0)
}

fn names_of(elements: &[Element], names: &mut Vec<&'static str>) {
    for element in elements {
        match &element.part {
            Part::Step { name, .. } => names.push(name),
            Part::Not { .. } => {}
            Part::Either(choices) => choices.iter().for_each(|choice| names_of(choice, names)),
        }
    }
}

/// All ways through a sequence, of at most so many places; longer ones are cut.
fn ways_of(elements: &[Element], head: Near, label: &[usize], places_max: usize) -> Vec<Way> {
    let mut ways = vec![Way::default()];
    for (index, element) in elements.iter().enumerate() {
        let near = if index == 0 { head } else { element.near };
        let label = [label, &[index]].concat();
        let more = ways_of_element(element, near, &label, places_max);
        ways = joined(&ways, &more, places_max);
    }
    ways
}

fn joined(ways: &[Way], more: &[Way], places_max: usize) -> Vec<Way> {
    let mut all = Vec::new();
    let mut cut = BTreeSet::new();
    let joined = ways.iter().flat_map(|way| {
        let more = if way.is_cut { &[][..] } else { more };
        let joined = more.iter().map(|next| way.then(next, places_max));
        way.is_cut.then(|| way.clone()).into_iter().chain(joined)
    });
    for way in joined {
        let labels = || way.places.iter().map(|(label, ..)| label.clone()).collect::<Vec<_>>();
        if !way.is_cut || cut.insert(labels()) {
            all.push(way);
        }
    }
    all
}

fn ways_of_element(element: &Element, near: Near, label: &[usize], places_max: usize) -> Vec<Way> {
    let Times { min, max, optional, greedy, inner } = element.times;
    let mut behind = Gap::default();
    if let Part::Not { ask, .. } = element.part {
        match element.near {
            Near::Strict => behind.not_next.push(ask),
            _ => behind.never.push(ask),
        }
        return vec![Way { behind, ..Way::default() }];
    }
    let slot = |near, repeats| match element.part {
        Part::Step { name, ask, until } => Some(Slot { name, ask, until, repeats, near }),
        _ => None,
    };
    let guard = |near, repeats| Gap {
        guards: slot(near, repeats).filter(|_| greedy).into_iter().collect(),
        ..Gap::default()
    };
    let mut all = Vec::new();
    if optional {
        all.push(Way { behind: guard(near, false), ..Way::default() });
    }
    let mut so_often = vec![Way::default()];
    for time in 1..=max.unwrap_or(places_max).min(places_max) {
        let near = if time == 1 { near } else { inner };
        let label = [label, &[time]].concat();
        let once = match &element.part {
            Part::Either(choices) => {
                let ways = choices.iter().enumerate().flat_map(|(index, choice)| {
                    ways_of(choice, near, &[&label[..], &[index]].concat(), places_max)
                });
                ways.collect()
            }
            _ => {
                let slot = slot(near, time > 1).expect("a step");
                vec![Way { places: vec![(label, slot, Gap::default())], ..Way::default() }]
            }
        };
        so_often = joined(&so_often, &once, places_max);
        if time >= min {
            let may_go_on = max.is_none_or(|max| time < max);
            let behind = if may_go_on { guard(inner, true) } else { Gap::default() };
            all.extend(
                so_often.iter().map(|way| Way { behind: way.behind.and(&behind), ..way.clone() }),
            );
        }
    }
    // Ways that need more times than there are places are cut ones.
    if max.unwrap_or(places_max) > places_max || min > places_max {
        all.extend(so_often.into_iter().map(|way| Way { is_cut: true, ..way }));
    }
    all
}

impl Gap {
    fn and(&self, other: &Self) -> Self {
        Self {
            never: [&self.never[..], &other.never].concat(),
            not_next: [&self.not_next[..], &other.not_next].concat(),
            guards: [&self.guards[..], &other.guards].concat(),
        }
    }

    fn is_empty(&self) -> bool {
        self.never.is_empty() && self.not_next.is_empty() && self.guards.is_empty()
    }
}

impl Way {
    fn then(&self, next: &Self, places_max: usize) -> Self {
        let mut way = self.clone();
        let mut places = next.places.clone();
        match places.first_mut() {
            None => way.behind = way.behind.and(&next.behind),
            Some((_, _, gap)) => {
                *gap = way.behind.and(gap);
                way.behind = next.behind.clone();
            }
        }
        way.places.append(&mut places);
        way.is_cut = next.is_cut || way.places.len() > places_max;
        way.places.truncate(places_max);
        way
    }
}

impl Tree {
    fn add(&mut self, way: Way) {
        let mut at = self;
        for (label, slot, gap) in way.places {
            at = &mut at.next.entry(label).or_insert((slot, gap, Self::default())).2;
        }
        if !way.is_cut {
            at.end = Some(way.behind);
        }
    }
}

impl Ask {
    fn holds(self, event: Seen, before: Option<Seen>) -> bool {
        self.letters.contains(event.letter)
            && (!self.rising || before.is_none_or(|before| event.digit >= before.digit))
    }
}

struct Oracle<'o> {
    shape: &'o Shape,
    events: &'o [Seen],
    names: Vec<&'static str>,
    candidates: Vec<Candidate>,
    timed_out: Vec<(Moment, Vec<usize>)>,
}

impl Oracle<'_> {
    fn walk(&mut self, tree: &Tree, chosen: &mut Vec<usize>, steps: &mut Vec<&'static str>) {
        if !chosen.is_empty() {
            self.ends(tree, chosen, steps);
        }
        let from = chosen.last().map_or(0, |last| last + 1);
        for (slot, gap, next) in tree.next.values() {
            for at in from..self.events.len() {
                if self.takes(slot, gap, chosen, at) {
                    chosen.push(at);
                    steps.push(slot.name);
                    self.walk(next, chosen, steps);
                    chosen.pop();
                    steps.pop();
                }
            }
        }
    }

    fn before(&self, chosen: &[usize]) -> Option<Seen> {
        chosen.last().map(|last| self.events[*last])
    }

    /// Whether the slot would take an event by itself, wherever that lies.
    fn would_take(&self, slot: &Slot, chosen: &[usize], at: usize) -> bool {
        let (event, before) = (self.events[at], self.before(chosen));
        !slot.until.is_some_and(|until| until.holds(event, before)) && slot.ask.holds(event, before)
    }

    /// Whether a slot is still open after everything up to `to`, excluded.
    fn is_open(&self, slot: &Slot, gap: &Gap, chosen: &[usize], to: usize) -> bool {
        let Some(last) = chosen.last() else { return true };
        let mut between = last + 1..to;
        let is_near = match slot.near {
            Near::Strict => between.is_empty(),
            Near::Relaxed => between.clone().all(|at| !self.would_take(slot, chosen, at)),
            Near::Any => true,
        };
        let before = self.before(chosen);
        let stopped = slot.until.is_some_and(|until| {
            slot.repeats && between.any(|at| until.holds(self.events[at], before))
        });
        is_near && !stopped && self.is_clear(gap, chosen, to)
    }

    /// Whether nothing forbidden lies before `to`.
    fn is_clear(&self, gap: &Gap, chosen: &[usize], to: usize) -> bool {
        let Some(last) = chosen.last() else { return true };
        let before = self.before(chosen);
        let holds = |ask: &Ask, at: usize| ask.holds(self.events[at], before);
        let never = (last + 1..to).any(|at| gap.never.iter().any(|ask| holds(ask, at)));
        let next = last + 1 < to && gap.not_next.iter().any(|ask| holds(ask, last + 1));
        let could = |guard: &Slot, at: usize| {
            self.would_take(guard, chosen, at) && self.is_guard_open(guard, chosen, at)
        };
        let greedy = (last + 1..to).any(|at| gap.guards.iter().any(|guard| could(guard, at)));
        !never && !next && !greedy
    }

    /// Whether a greedy step may still take the event at `at`.
    fn is_guard_open(&self, guard: &Slot, chosen: &[usize], at: usize) -> bool {
        let from = chosen.last().map_or(at, |last| last + 1);
        let before = self.before(chosen);
        let until =
            |at: usize| guard.until.is_some_and(|until| until.holds(self.events[at], before));
        let stopped = guard.repeats && (from..at).any(until);
        !stopped && (guard.near != Near::Strict || at == from)
    }

    fn takes(&self, slot: &Slot, gap: &Gap, chosen: &[usize], at: usize) -> bool {
        let guarded =
            chosen.is_empty() && gap.guards.iter().any(|guard| self.would_take(guard, chosen, at));
        self.is_open(slot, gap, chosen, at)
            && self.is_clear(gap, chosen, at + 1)
            && !guarded
            && self.would_take(slot, chosen, at)
            && self.deadline(chosen).is_none_or(|deadline| self.events[at].time < deadline)
    }

    fn deadline(&self, chosen: &[usize]) -> Option<i64> {
        let after = |at: Option<&usize>, span: Option<i64>| Some(self.events[*at?].time + span?);
        let whole = after(chosen.first(), self.shape.within);
        let previous = after(chosen.last(), self.shape.within_previous);
        whole.into_iter().chain(previous).min()
    }

    /// The first event that comes too late for what was chosen.
    fn too_late(&self, chosen: &[usize]) -> usize {
        let Some(deadline) = self.deadline(chosen) else { return self.events.len() };
        let late = self.events.iter().position(|event| event.time >= deadline);
        late.unwrap_or(self.events.len())
    }

    /// What comes of what was chosen, where nothing more is taken.
    fn ends(&mut self, tree: &Tree, chosen: &[usize], steps: &[&'static str]) {
        let last = *chosen.last().expect("something was chosen");
        let (to, deadline) = (self.too_late(chosen), self.deadline(chosen));
        let moment = (to, false, deadline.unwrap_or(i64::MAX));
        let mut is_match = false;
        if let Some(end) = &tree.end {
            let known = self.completed(end, chosen, last, to);
            let absent_until = Some(moment.2);
            let is_absent = known.is_none() && self.is_clear(end, chosen, to);
            let (moment, absent_until) = match known {
                Some(at) => ((at, true, 0), None),
                None => (moment, absent_until),
            };
            is_match = known.is_some() || is_absent;
            if is_match {
                let (chosen, steps) = (chosen.to_vec(), steps.to_vec());
                self.candidates.push(Candidate { moment, chosen, steps, absent_until });
            }
        }
        let is_open = |(slot, gap, _): &(Slot, Gap, Tree)| self.is_open(slot, gap, chosen, to);
        if !is_match && deadline.is_some() && tree.next.values().any(is_open) {
            self.timed_out.push((moment, chosen.to_vec()));
        }
    }

    /// The event by which it is known that the end has come.
    fn completed(&self, end: &Gap, chosen: &[usize], last: usize, to: usize) -> Option<usize> {
        if end.is_empty() {
            return Some(last);
        }
        let before = self.before(chosen);
        let is_over = |guard: &Slot, at: usize| {
            let until =
                |at: usize| guard.until.is_some_and(|until| until.holds(self.events[at], before));
            guard.near == Near::Strict || guard.repeats && (last + 1..=at).any(until)
        };
        (last + 1..to)
            .find(|&at| end.never.is_empty() && end.guards.iter().all(|guard| is_over(guard, at)))
            .filter(|at| self.is_clear(end, chosen, at + 1))
    }

    /// Lets go what the skip strategy lets go.
    fn filter(mut self) -> Said {
        let rank = |name: &&'static str| self.names.iter().position(|known| known == name);
        self.candidates.sort_by_cached_key(|candidate| {
            let Candidate { moment, chosen, steps, .. } = candidate;
            let ranks: Vec<_> = steps.iter().map(rank).collect();
            (*moment, chosen[0], usize::MAX - chosen.len(), chosen.clone(), ranks)
        });
        let mut said = Said::default();
        // From which moment on nothing is left that begins before which event.
        let mut skipped: Vec<(Moment, usize)> = Vec::new();
        for Candidate { moment, chosen, steps, absent_until } in self.candidates {
            if skipped.iter().any(|(_, below)| chosen[0] < *below) {
                continue;
            }
            let of = |name: &'static str| {
                let taken = chosen.iter().zip(&steps);
                taken.filter(move |(_, step)| **step == name).map(|(at, _)| *at)
            };
            let below = match self.shape.skip {
                Skip::No => 0,
                Skip::ToNext => chosen[0] + 1,
                Skip::PastLast => chosen[chosen.len() - 1] + 1,
                Skip::ToFirst(name) => of(name).next().unwrap_or(0),
                Skip::ToLast(name) => of(name).next_back().unwrap_or(0),
            };
            skipped.push((moment, below));
            said.found.push((chosen, absent_until));
        }
        for (moment, chosen) in self.timed_out {
            let is_skipped = |(at, below): &(Moment, usize)| *at <= moment && chosen[0] < *below;
            if !skipped.iter().any(is_skipped) {
                said.lost.push(chosen);
            }
        }
        said
    }
}

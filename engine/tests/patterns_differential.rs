//! Random patterns over random events, by shards and by watermarks, against their definition.
//!
//! `PELTON_PATTERN_JOBS=200000 cargo test --release -p pelton --test patterns_differential` runs
//! more; `PELTON_PATTERN_SEED=n` begins at another seed, which is what a failure names.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod patterns_common;

#[path = "patterns_common/oracle.rs"]
mod oracle;

use oracle::{Ask, Element, Near, Part, Said, Seen, Shape, Skip, Times};
use patterns_common::{Event, EventView, How, find_and_lose};
use pelton::chain::operators::{AfterMatch, Matched, Pattern, Step, Sum};
use pelton::sim::Chance;
use pelton::{EventTime, JobError, TimeSpan};

/// The fold is only there to be carried along: its sum is checked by a condition.
type P = Pattern<Event, Sum<i64>>;

const NAMES: [&str; 16] = [
    "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12", "s13", "s14",
    "s15",
];

const ONCE: Times =
    Times { min: 1, max: Some(1), optional: false, greedy: false, inner: Near::Relaxed };

/// Draws patterns.
struct Drawing {
    chance: Chance,
    names: std::slice::Iter<'static, &'static str>,
}

impl Drawing {
    fn ask(&mut self) -> Ask {
        let letters = *self.chance.pick(&["a", "b", "c", "ab", "bc", "abc"]);
        Ask { letters, rising: self.chance.one_in(6) }
    }

    fn near(&mut self) -> Near {
        *self.chance.pick(&[Near::Strict, Near::Relaxed, Near::Relaxed, Near::Any])
    }

    fn times(&mut self, is_step: bool, is_inner: bool) -> Times {
        let mut times = match self.chance.below(if is_inner { 4 } else { 6 }) {
            0 => Times { min: 2, max: Some(2), ..ONCE },
            4 => Times { min: 1, max: None, ..ONCE },
            5 => Times { min: 1 + index(self.chance.below(2)), max: Some(3), ..ONCE },
            _ => ONCE,
        };
        times.optional = self.chance.one_in(5);
        if times.max != Some(1) {
            times.inner = self.near();
        }
        times.greedy = is_step && self.chance.one_in(3) && (times.optional || times.max != Some(1));
        times
    }

    fn sequence(&mut self, length: u64, is_inner: bool) -> Vec<Element> {
        let mut elements = Vec::new();
        for place in 0..length {
            if place > 0 && self.chance.one_in(5) {
                let name = self.names.next().expect("names enough");
                let part = Part::Not { name, ask: self.ask() };
                let times = ONCE;
                let near = *self.chance.pick(&[Near::Strict, Near::Relaxed]);
                elements.push(Element { near, part, times });
            }
            elements.push(self.element(is_inner));
        }
        elements
    }

    fn element(&mut self, is_inner: bool) -> Element {
        let near = self.near();
        let is_step = is_inner || !self.chance.one_in(5);
        let times = self.times(is_step, is_inner);
        let part = if is_step {
            let repeats = times.max != Some(1);
            let until = (repeats && self.chance.one_in(4)).then(|| self.ask());
            Part::Step { name: self.names.next().expect("names enough"), ask: self.ask(), until }
        } else {
            let choices = 1 + self.chance.below(2);
            let choice = |_| {
                let length = 1 + self.chance.below(2);
                self.sequence(length, true)
            };
            Part::Either((0..choices).map(choice).collect())
        };
        Element { near, part, times }
    }

    fn shape(&mut self) -> Shape {
        let length = 1 + self.chance.below(3);
        let mut elements = self.sequence(length, false);
        if self.chance.one_in(6) {
            let name = self.names.next().expect("names enough");
            let part = Part::Not { name, ask: self.ask() };
            let near = *self.chance.pick(&[Near::Strict, Near::Relaxed]);
            elements.push(Element { near, part, times: ONCE });
        }
        let span = |chance: &mut Chance, most: u64| 1 + i64::try_from(chance.below(most)).unwrap();
        let within = (!self.chance.one_in(4)).then(|| span(&mut self.chance, 14));
        let within_previous = self.chance.one_in(4).then(|| span(&mut self.chance, 7));
        let name = NAMES[index(self.chance.below(3))];
        let skips =
            [Skip::No, Skip::ToNext, Skip::PastLast, Skip::ToFirst(name), Skip::ToLast(name)];
        let skip = if self.chance.one_in(2) { Skip::No } else { *self.chance.pick(&skips) };
        Shape { elements, within, within_previous, skip }
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("a small number")
}

fn digit(event: EventView<'_>) -> i64 {
    event.name[1..2].parse().expect("a digit")
}

fn meets(ask: Ask, event: EventView<'_>, so_far: &Matched<'_, Event, Sum<i64>>) -> bool {
    let sum: i64 = so_far.all().map(|(_, _, event)| digit(event)).sum();
    assert_eq!(so_far.folded(), sum, "the fold has what was taken");
    let before = so_far.all().last().map(|(_, _, event)| event);
    before.is_none_or(|before| digit(event) >= digit(before))
        && event.name.starts_with(|letter| ask.letters.contains(letter))
}

fn asked(pattern: P, ask: Ask) -> P {
    if ask.rising {
        pattern.when_so_far(move |event, so_far| meets(ask, event, so_far))
    } else {
        pattern.when(move |event| event.name.starts_with(|letter| ask.letters.contains(letter)))
    }
}

fn pattern_of(elements: &[Element], is_inner: bool) -> P {
    let mut pattern: Option<P> = None;
    for element in elements {
        let piece = match &element.part {
            Part::Step { name, ask, .. } => asked(P::group(*name), *ask),
            Part::Not { name, ask } => {
                let before = pattern.take().expect("a not is never the first");
                let not = match element.near {
                    Near::Strict => before.not_next(*name),
                    _ => before.not_followed_by(*name),
                };
                pattern = Some(asked(not, *ask));
                continue;
            }
            Part::Either(choices) => {
                let mut choices: Vec<P> =
                    choices.iter().map(|choice| pattern_of(choice, true)).collect();
                match choices.len() {
                    1 => P::group(choices.remove(0)),
                    _ => P::either([choices.remove(0), choices.remove(0)]),
                }
            }
        };
        pattern = Some(quantified(joined(pattern, element, piece, is_inner), element));
    }
    pattern.expect("a sequence has a part")
}

/// A step is written as a step, so that nothing is a group that need not be.
fn joined(before: Option<P>, element: &Element, piece: P, is_inner: bool) -> P {
    let near = element.near;
    match (before, &element.part) {
        (None, Part::Step { name, ask, .. }) if !is_inner => {
            let pattern = P::begin_folding(*name, |_, event: EventView<'_>| Some(digit(event)));
            asked(pattern, *ask)
        }
        (None, _) if !is_inner => {
            P::begin_folding(piece, |_, event: EventView<'_>| Some(digit(event)))
        }
        (None, _) => piece,
        (Some(before), Part::Step { name, ask, .. }) => {
            let pattern = match near {
                Near::Strict => before.next(*name),
                Near::Relaxed => before.followed_by(*name),
                Near::Any => before.followed_by_any(*name),
            };
            asked(pattern, *ask)
        }
        (Some(before), _) => match near {
            Near::Strict => before.next(piece),
            Near::Relaxed => before.followed_by(piece),
            Near::Any => before.followed_by_any(piece),
        },
    }
}

fn quantified(mut pattern: P, element: &Element) -> P {
    let Times { min, max, optional, greedy, inner } = element.times;
    let count = |number: usize| u32::try_from(number).expect("a small number");
    if max != Some(1) {
        pattern = match max {
            Some(max) if max == min => pattern.times(count(min)),
            Some(max) => pattern.times(count(min)..=count(max)),
            None => pattern.times(count(min)..),
        };
        pattern = match inner {
            Near::Strict => pattern.consecutive(),
            Near::Relaxed => pattern,
            Near::Any => pattern.allow_combinations(),
        };
    }
    if let Part::Step { until: Some(until), .. } = element.part {
        pattern = pattern
            .until(move |event| event.name.starts_with(|letter| until.letters.contains(letter)));
    }
    if optional {
        pattern = pattern.optional();
    }
    if greedy { pattern.greedy() } else { pattern }
}

/// `until` looks at the event alone.
fn plain_until(elements: &mut [Element]) {
    for element in elements {
        match &mut element.part {
            Part::Step { until: Some(until), .. } => until.rising = false,
            Part::Either(choices) => choices.iter_mut().for_each(|choice| plain_until(choice)),
            _ => {}
        }
    }
}

fn whole_pattern(shape: &Shape) -> P {
    let mut pattern = pattern_of(&shape.elements, false);
    if let Some(within) = shape.within {
        pattern = pattern.within(TimeSpan(within));
    }
    if let Some(within) = shape.within_previous {
        pattern = pattern.within_previous(TimeSpan(within));
    }
    pattern.after_match(match shape.skip {
        Skip::No => AfterMatch::NoSkip,
        Skip::ToNext => AfterMatch::SkipToNext,
        Skip::PastLast => AfterMatch::SkipPastLastEvent,
        Skip::ToFirst(name) => AfterMatch::SkipToFirst(Step::new(name)),
        Skip::ToLast(name) => AfterMatch::SkipToLast(Step::new(name)),
    })
}

/// Events of some keys, in the order of time, and what they are to the oracle.
fn draw_events(chance: &mut Chance, key_count: u64, most: u64) -> Vec<Vec<Event>> {
    let mut number = 0;
    let key = |key: u64| {
        let mut time = 0;
        let count = chance.below(most + 1);
        let events = (0..count).map(|_| {
            time += i64::try_from(chance.below(4)).expect("small");
            number += 1;
            let letter = *chance.pick(&['a', 'b', 'b', 'c', 'd']);
            let name = format!("{letter}{}n{number}", chance.below(4));
            Event { time: EventTime(time), key, number, name }
        });
        events.collect()
    };
    (0..key_count).map(key).collect()
}

fn seen(event: &Event) -> Seen {
    let mut name = event.name.chars();
    let letter = name.next().expect("a letter");
    let digit = name.next().and_then(|digit| digit.to_digit(10)).expect("a digit");
    Seen { time: event.time.0, letter, digit }
}

fn texts(shape: &Shape, keys: &[Vec<Event>]) -> [Vec<String>; 2] {
    let (mut found, mut lost) = (Vec::new(), Vec::new());
    for events in keys {
        let seen: Vec<Seen> = events.iter().map(seen).collect();
        let said: Said = oracle::say(shape, &seen);
        let text = |chosen: &[usize]| {
            chosen.iter().map(|at| events[*at].name.as_str()).collect::<Vec<_>>().join(" ")
        };
        found.extend(said.found.iter().map(|(chosen, until)| match until {
            None => text(chosen),
            Some(until) => format!("{} until {until}", text(chosen)),
        }));
        lost.extend(said.lost.iter().map(|chosen| text(chosen)));
    }
    found.sort_unstable();
    lost.sort_unstable();
    [found, lost]
}

/// One list, out of order by up to `lateness`.
fn mixed(chance: &mut Chance, keys: &[Vec<Event>], lateness: i64) -> Vec<Event> {
    let mut events: Vec<(i64, Event)> = keys
        .iter()
        .flatten()
        .map(|event| {
            let most = u64::try_from(lateness).expect("not negative") + 1;
            (event.time.0 + i64::try_from(chance.below(most)).expect("small"), event.clone())
        })
        .collect();
    events.sort_by_key(|(arrival, event)| (*arrival, event.number));
    events.into_iter().map(|(_, event)| event).collect()
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What was run and what came of it.
#[derive(Debug, Default)]
struct Tally {
    jobs: u64,
    found: usize,
    lost: usize,
}

/// Runs one random job, and compares.
fn run(seed: u64, shape: &Shape, keys: &[Vec<Event>], chance: &mut Chance, tally: &mut Tally) {
    let waits = !chance.one_in(3);
    let lateness = if waits { *chance.pick(&[0, 2, 9]) } else { 0 };
    let shards = u16::try_from(1 + chance.below(3)).expect("small");
    let how = How { shards, seed, lateness, waits };
    let events = mixed(chance, keys, lateness);
    let pattern = whole_pattern(shape);
    let text = pattern.to_string();
    let found = match find_and_lose(pattern, events, how) {
        Ok(found) => found,
        // Some of what is drawn can't work; `patterns_flink.rs` has what is refused.
        Err(JobError::Operator { .. }) => return,
        Err(error) => panic!("seed {seed}: {error}"),
    };
    let expected = texts(shape, keys);
    if found != expected {
        let name = |event: &Event| format!("{}@{}", event.name, event.time.0);
        let names: Vec<Vec<String>> =
            keys.iter().map(|key| key.iter().map(name).collect()).collect();
        panic!(
            "PELTON_PATTERN_SEED={seed}: {text}\nfound {found:?}\nexpected {expected:?}\n\
             in {names:?}\n{how:?}\n{shape:?}"
        );
    }
    tally.jobs += 1;
    tally.found += found[0].len();
    tally.lost += found[1].len();
}

fn draw_shape(seed: u64) -> (Shape, Chance) {
    let mut drawing = Drawing { chance: Chance::new(seed ^ 0x9a77), names: NAMES.iter() };
    let mut shape = drawing.shape();
    plain_until(&mut shape.elements);
    (shape, drawing.chance)
}

#[test]
fn differential_patterns_find_what_their_definition_says() {
    let (from, count) = (setting("PELTON_PATTERN_SEED", 0), setting("PELTON_PATTERN_JOBS", 1_500));
    let mut tally = Tally::default();
    for seed in from..from + count {
        let (shape, mut chance) = draw_shape(seed);
        let keys = draw_events(&mut chance, 4, 6);
        run(seed, &shape, &keys, &mut chance, &mut tally);
    }
    let Tally { jobs, found, lost } = tally;
    eprintln!("{jobs} random jobs, {found} matches, {lost} partial matches timed out");
    assert!(jobs * 2 > count, "most of what is drawn can work");
}

/// Long enough for events to go that are needed no more, in a time short enough for the oracle.
#[test]
fn differential_patterns_of_many_events_find_what_their_definition_says() {
    let from = setting("PELTON_PATTERN_SEED", 0);
    let count = setting("PELTON_PATTERN_JOBS", 1_500).div_ceil(10);
    let mut tally = Tally::default();
    for seed in from..from + count {
        let (mut shape, mut chance) = draw_shape(seed);
        shape.within = Some(2 + i64::try_from(chance.below(8)).expect("small"));
        let keys = draw_events(&mut chance, 2, 60);
        run(seed, &shape, &keys, &mut chance, &mut tally);
    }
    let Tally { jobs, found, lost } = tally;
    eprintln!("{jobs} random jobs, {found} matches, {lost} partial matches timed out");
    assert!(jobs * 2 > count, "most of what is drawn can work");
}

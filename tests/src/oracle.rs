//! What a random job must write: one thread, no state but maps, each shape as its definition says.
//!
//! Nothing of the engine is used but the types of events. A watermark exists only to say which
//! events are late: every window and timer is computed from the whole input at once.

use std::collections::BTreeMap;

use crate::simulated::{Case, Event, Params, Shape};
use crate::{flows, joins, lookups, patterns, rows, windows};

/// The lines of a job's outputs, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Its rows.
    pub rows: Vec<String>,
    /// The rows of its second output, where it has one.
    pub more: Vec<String>,
    /// The numbers of events that came too late.
    pub late: Vec<String>,
}

/// A row of the output, before it is a line.
pub(crate) type Line = (String, i64, i64, i64);

/// What `case` must write.
#[must_use]
pub fn run(case: &Case) -> Expected {
    let (mut on_time, mut late) = (Vec::new(), Vec::new());
    for split in &case.splits {
        judge(split, case, &mut on_time, &mut late);
    }
    let p = case.params;
    let found = match case.shape {
        Shape::Stateless => copies(&kept(&on_time, p), p).iter().map(plain).collect(),
        Shape::Counts | Shape::TwoOutputs => counts(&kept(&on_time, p)),
        Shape::SumsAtEnd => sums_at_end(&copies(&on_time, p)),
        Shape::SumChanges => sum_changes(&kept(&on_time, p)),
        Shape::Tumbling => tumbling(&copies(&on_time, p), p),
        Shape::Hopping => hopping(&kept(&on_time, p), p),
        Shape::Exact => exact(&kept(&on_time, p), p),
        Shape::Process | Shape::ProcessInOrder => by_hand(&kept(&on_time, p), p),
        Shape::Joined => joined(&copies(&kept(&on_time, p), p)),
        Shape::TwoStages => two_stages(&kept(&on_time, p)),
        Shape::IntervalJoin => joins::interval_lines(&on_time, p),
        Shape::WindowJoin => joins::window_lines(&on_time, p),
        Shape::AsOfJoin => joins::as_of_lines(&on_time),
        Shape::TableJoin => joins::table_lines(&on_time),
        Shape::Sessions => windows::session_lines(&kept(&on_time, p), p),
        Shape::LateSessions => windows::session_total_lines(&kept(&on_time, p), p),
        Shape::LateHopping => windows::hopping_sum_lines(&kept(&on_time, p), p),
        Shape::OnClose => tumbling(&copies(&on_time, p), p),
        Shape::CountWindows => windows::count_lines(&kept(&on_time, p), p),
        Shape::SlidingCounts => windows::sliding_lines(&kept(&on_time, p), p),
        Shape::Patterns => patterns::found_and_lost(&on_time, p)[0].clone(),
        Shape::Dedup => rows::dedup_lines(&on_time, p),
        Shape::KeepLast => rows::keep_last_lines(&on_time),
        Shape::TopN => rows::top_n_lines(&on_time, p),
        Shape::OverRange => rows::over_range_lines(&on_time, p),
        Shape::Lag => rows::away_lines(&on_time, false),
        Shape::Lead => rows::away_lines(&on_time, true),
        Shape::DistinctCount => rows::distinct_lines(&on_time, p),
        Shape::OrderedLookup => lookups::ordered_lines(&on_time),
        Shape::TaggedSides => flows::tagged_lines(&on_time)[0].clone(),
        Shape::RateLimits => counts(&copies(&kept(&on_time, p), p)),
        Shape::UnorderedLookup => tumbling(&lookups::tripled(&on_time), p),
    };
    let more = match case.shape {
        Shape::TwoOutputs => hopping(&kept(&on_time, p), p),
        Shape::Patterns => patterns::found_and_lost(&on_time, p)[1].clone(),
        Shape::TaggedSides => flows::tagged_lines(&on_time)[1].clone(),
        _ => Vec::new(),
    };
    late.sort_unstable();
    Expected { rows: lines(found), more: lines(more), late }
}

fn lines(rows: Vec<Line>) -> Vec<String> {
    let mut lines: Vec<String> = rows.into_iter().map(line).collect();
    lines.sort_unstable();
    lines
}

/// No name here needs quotes but those with a comma in them.
fn line((name, a, b, c): Line) -> String {
    let name = if name.contains(',') { format!("\"{name}\"") } else { name };
    format!("{name},{a},{b},{c}")
}

/// Late is what is at or before its own split's watermark: the highest time before it that was not
/// late, less the lateness, less one. What the job keeps though it is late is not late here.
fn judge(split: &[Event], case: &Case, on_time: &mut Vec<Event>, late: &mut Vec<String>) {
    let lateness = case.lateness_micros + case.params.kept;
    let mut highest: Option<i64> = None;
    for event in split {
        if highest.is_some_and(|highest| event.time.0 < highest - lateness) {
            late.push(event.number.to_string());
            continue;
        }
        highest = highest.max(Some(event.time.0));
        on_time.push(event.clone());
    }
}

fn kept(events: &[Event], p: Params) -> Vec<Event> {
    events.iter().filter(|event| event.amount % p.modulus != 0).cloned().collect()
}

/// Each event as often as its number says, with new numbers.
fn copies(events: &[Event], p: Params) -> Vec<Event> {
    let copies = |event: &Event| {
        let event = event.clone();
        (0..event.number % p.copies)
            .map(move |copy| Event { number: event.number * 4 + copy, ..event.clone() })
    };
    events.iter().flat_map(copies).collect()
}

fn plain(event: &Event) -> Line {
    (event.key.clone(), event.number.cast_signed(), event.amount, event.time.0)
}

pub(crate) fn by_key(events: &[Event]) -> BTreeMap<&str, Vec<&Event>> {
    let mut keys: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    events.iter().for_each(|event| keys.entry(&event.key).or_default().push(event));
    keys
}

fn counted(number: usize) -> i64 {
    i64::try_from(number).expect("a test has few events")
}

fn counts(events: &[Event]) -> Vec<Line> {
    let changes = |(key, events): (&str, Vec<&Event>)| {
        let key = key.to_owned();
        (1..=counted(events.len()))
            .map(move |count| (key.clone(), count, i64::from(count == 1), 0))
            .collect::<Vec<_>>()
    };
    by_key(events).into_iter().flat_map(changes).collect()
}

fn sums_at_end(events: &[Event]) -> Vec<Line> {
    let mut sums: BTreeMap<(&str, u64), i64> = BTreeMap::new();
    for event in events {
        *sums.entry((&event.key, event.bucket)).or_default() += event.amount;
    }
    let row =
        |((key, bucket), sum): ((&str, u64), i64)| (key.to_owned(), bucket.cast_signed(), sum, 0);
    sums.into_iter().map(row).collect()
}

fn sum_changes(events: &[Event]) -> Vec<Line> {
    let mut rows = Vec::new();
    for (key, events) in by_key(events) {
        let mut sum = 0;
        for (index, event) in events.iter().enumerate() {
            sum += event.amount;
            rows.push((key.to_owned(), sum, i64::from(index == 0), 0));
        }
    }
    rows
}

fn tumbling(events: &[Event], p: Params) -> Vec<Line> {
    let mut windows: BTreeMap<(&str, i64), i64> = BTreeMap::new();
    for event in events {
        let start = event.time.0.div_euclid(p.length) * p.length;
        *windows.entry((&event.key, start)).or_default() += event.amount;
    }
    let row =
        |((key, start), sum): ((&str, i64), i64)| (key.to_owned(), start, start + p.length, sum);
    windows.into_iter().map(row).collect()
}

fn hopping(events: &[Event], p: Params) -> Vec<Line> {
    let mut windows: BTreeMap<(&str, i64), i64> = BTreeMap::new();
    for event in events {
        let mut start = event.time.0.div_euclid(p.slide) * p.slide;
        while event.time.0 < start + p.length {
            *windows.entry((&event.key, start)).or_default() += 1;
            start -= p.slide;
        }
    }
    let row = |((key, start), count): ((&str, i64), i64)| {
        (key.to_owned(), start, start + p.length, count)
    };
    windows.into_iter().map(row).collect()
}

fn exact(events: &[Event], p: Params) -> Vec<Line> {
    let mut rows = Vec::new();
    for events in by_key(events).into_values() {
        for event in &events {
            let rank = |event: &Event| (event.time, event.number);
            let window = |length: i64| {
                let until = event.time.0 - p.delay;
                let inside = events.iter().filter(|other| {
                    let is_in = if p.delay == 0 {
                        rank(other) <= rank(event)
                    } else {
                        other.time.0 <= until
                    };
                    is_in && other.time.0 > until - length
                });
                inside.map(|other| 1_000_000 + other.amount).sum()
            };
            let number = event.number.cast_signed();
            rows.push((event.key.clone(), number, window(p.length), window(p.slide)));
        }
    }
    rows
}

fn by_hand(events: &[Event], p: Params) -> Vec<Line> {
    let mut rows = Vec::new();
    for (key, events) in by_key(events) {
        let mut row = |a, b, c| rows.push((key.to_owned(), a, b, c));
        let count = counted(events.len());
        (1..=count).filter(|seen| seen % 3 == 0).for_each(|seen| row(seen, 0, -1));
        row(count, events.iter().map(|event| event.amount).sum(), -2);
        let mut tally: BTreeMap<i64, i64> = BTreeMap::new();
        let mut windows: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for event in events {
            *tally.entry(event.amount.abs() % 5).or_default() += 1;
            let start = event.time.0.div_euclid(p.length) * p.length;
            let window = windows.entry(start + p.length - 1).or_default();
            *window = (window.0 + 1, window.1 + event.amount);
        }
        tally.into_iter().for_each(|(at, count)| row(at, count, -3));
        windows.into_iter().for_each(|(end, (count, sum))| row(count, sum, end));
    }
    rows
}

fn joined(events: &[Event]) -> Vec<Line> {
    let mut seen: BTreeMap<&str, i64> = BTreeMap::new();
    let row = |event: &'_ Event, seen: i64| {
        (event.key.clone(), seen, event.number.cast_signed(), event.amount)
    };
    let mut rows = Vec::new();
    for event in events {
        let seen = seen.entry(&event.key).or_default();
        *seen += 1;
        rows.push(row(event, *seen));
    }
    rows
}

fn two_stages(events: &[Event]) -> Vec<Line> {
    let mut counts: BTreeMap<i64, i64> = BTreeMap::new();
    for events in by_key(events).into_values() {
        for count in 1..=counted(events.len()) {
            *counts.entry(count % 7).or_default() += 1;
        }
    }
    counts.into_iter().map(|(rest, count)| (String::new(), rest, count, 0)).collect()
}

/// The first differences of two sorted lists.
pub(crate) fn differs(expected: &[String], found: &[String]) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    expected.iter().for_each(|line| *counts.entry(line).or_default() += 1);
    found.iter().for_each(|line| *counts.entry(line).or_default() -= 1);
    let of = |sign: i64| {
        let lines = counts.iter().filter(move |(_, count)| count.signum() == sign);
        lines.map(|(line, count)| format!("{count} x {line:.80?}")).take(4).collect::<Vec<_>>()
    };
    Err(format!(
        "{} lines of {}; missing {:?}; too many {:?}",
        found.len(),
        expected.len(),
        of(1),
        of(-1)
    ))
}

//! Windows among the random jobs: how they are built, and what they must write.

use std::collections::BTreeMap;

use pelton::Stream;
use pelton::chain::operators::{Sum, Window};
use pelton::record::{RowKind, TimeSpan};

use crate::oracle::{Line, by_key};
use crate::simulated::{Event, Params, Row, RowView};

#[pelton::job]
pub(crate) fn sessions(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .filter(move |e| e.amount % p.modulus != 0)
        .key_by(|e| e.key)
        .window(Window::session(TimeSpan::micros(p.slide)))
        .aggregate::<Sum<i64>, _>(|e| e.amount)
        .map(|w| RowView { name: w.key, a: w.start.0, b: w.end.0, c: w.value })
}

/// A row that does not hold any more counts against itself, so what is left is what holds.
#[pelton::job]
pub(crate) fn late_sessions(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .filter(move |e| e.amount % p.modulus != 0)
        .key_by(|e| e.key)
        .window(Window::session(TimeSpan::micros(p.slide)))
        .allowed_lateness(TimeSpan::micros(p.kept))
        .retracting()
        .aggregate::<Sum<i64>, _>(|e| e.amount)
        .named("late sessions")
        .map(|w| RowView {
            name: w.key,
            a: signed_row(w.kind, w.start.0),
            b: signed_row(w.kind, w.end.0 * 3),
            c: signed_row(w.kind, w.value * 7),
        })
        .key_by(|r| r.name)
        .aggregate::<Sum<i64>, _>(|r| r.a + r.b + r.c)
        .at_end()
        .changes()
        .map(|c| RowView { name: c.key, a: c.value, b: 0, c: 0 })
}

fn signed_row(kind: RowKind, number: i64) -> i64 {
    match kind {
        RowKind::Insert | RowKind::UpdateAfter => number,
        RowKind::UpdateBefore | RowKind::Delete => -number,
    }
}

#[pelton::job]
pub(crate) fn late_hopping(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .filter(move |e| e.amount % p.modulus != 0)
        .key_by(|e| e.key)
        .window(Window::hopping(TimeSpan::micros(p.length), TimeSpan::micros(p.slide)))
        .allowed_lateness(TimeSpan::micros(p.kept))
        .discarding()
        .aggregate::<Sum<i64>, _>(|e| e.amount)
        .named("late windows")
        .map(|w| RowView { name: w.key, a: w.start.0, b: w.end.0, c: w.value })
        .key_by(|r| (r.name, r.a, r.b))
        .aggregate::<Sum<i64>, _>(|r| r.c)
        .at_end()
        .changes()
        .map(|c| RowView { name: c.key.0, a: c.key.1, b: c.key.2, c: c.value })
}

#[pelton::job]
pub(crate) fn on_close(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .flat_map(move |e| (0..e.number % p.copies).map(move |_| e))
        .key_by(|e| e.key)
        .window(Window::tumbling(TimeSpan::micros(p.length)))
        .allowed_lateness(TimeSpan::micros(p.kept))
        .on_close_only()
        .aggregate::<Sum<i64>, _>(|e| e.amount)
        .map(|w| RowView { name: w.key, a: w.start.0, b: w.end.0, c: w.value })
}

#[pelton::job]
pub(crate) fn count_windows(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .filter(move |e| e.amount % p.modulus != 0)
        .key_by(|e| e.key)
        .count_window(p.copies)
        .aggregate::<Sum<i64>, _>(|e| e.amount)
        .map(|w| RowView { name: w.key, a: w.start.0, b: w.end.0, c: w.value })
}

#[pelton::job]
pub(crate) fn sliding_counts(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .filter(move |e| e.amount % p.modulus != 0)
        .key_by(|e| e.key)
        .sliding_count_window(p.modulus.unsigned_abs() * 9, p.copies)
        .aggregate::<Sum<i64>, _>(|e| e.amount)
        .map(|w| RowView { name: w.key, a: 0, b: 0, c: w.value })
}

/// Runs of a key's events that are less than a gap apart.
pub(crate) fn session_lines(events: &[Event], p: Params) -> Vec<Line> {
    let mut rows = Vec::new();
    for (key, mut events) in by_key(events) {
        events.sort_by_key(|event| event.time);
        for run in events.chunk_by(|event, next| next.time.0 - event.time.0 < p.slide) {
            let (start, last) = (run[0].time.0, run[run.len() - 1].time.0);
            let sum = run.iter().map(|event| event.amount).sum();
            rows.push((key.to_owned(), start, last + p.slide, sum));
        }
    }
    rows
}

pub(crate) fn session_total_lines(events: &[Event], p: Params) -> Vec<Line> {
    let mut totals: BTreeMap<String, i64> = BTreeMap::new();
    for (key, start, end, sum) in session_lines(events, p) {
        *totals.entry(key).or_default() += start + end * 3 + sum * 7;
    }
    totals.into_iter().map(|(key, total)| (key, total, 0, 0)).collect()
}

pub(crate) fn hopping_sum_lines(events: &[Event], p: Params) -> Vec<Line> {
    let mut windows: BTreeMap<(&str, i64), i64> = BTreeMap::new();
    for event in events {
        let mut start = event.time.0.div_euclid(p.slide) * p.slide;
        while event.time.0 < start + p.length {
            *windows.entry((&event.key, start)).or_default() += event.amount;
            start -= p.slide;
        }
    }
    let row =
        |((key, start), sum): ((&str, i64), i64)| (key.to_owned(), start, start + p.length, sum);
    windows.into_iter().map(row).collect()
}

pub(crate) fn count_lines(events: &[Event], p: Params) -> Vec<Line> {
    let count = usize::try_from(p.copies).expect("a small number");
    let mut rows = Vec::new();
    for (key, events) in by_key(events) {
        for run in events.chunks_exact(count) {
            let times = || run.iter().map(|event| event.time.0);
            let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
            let sum = run.iter().map(|event| event.amount).sum();
            rows.push((key.to_owned(), first, last + 1, sum));
        }
    }
    rows
}

pub(crate) fn sliding_lines(events: &[Event], p: Params) -> Vec<Line> {
    let small = |number: u64| usize::try_from(number).expect("a small number");
    let (count, slide) = (small(p.modulus.unsigned_abs() * 9), small(p.copies));
    let mut rows = Vec::new();
    for (key, events) in by_key(events) {
        for end in (slide..=events.len()).step_by(slide) {
            let held = &events[end.saturating_sub(count)..end];
            rows.push((key.to_owned(), 0, 0, held.iter().map(|event| event.amount).sum()));
        }
    }
    rows
}

//! Joins among the random jobs: how they are built, and what they must write.
//!
//! The events of one input with an even amount are the left stream, the others the right one.

use pelton::Stream;
use pelton::chain::operators::PaneSpec;
use pelton::record::{RowKind, TimeSpan};

use crate::oracle::Line;
use crate::simulated::{Event, EventView, Params, Row, RowView};

/// How far a right event may be from a left one.
fn bounds(p: Params) -> (i64, i64) {
    (-p.slide, p.length / 2)
}

fn row<'a>(left: Option<EventView<'a>>, right: Option<EventView<'a>>, c: i64) -> RowView<'a> {
    let number = |side: Option<EventView<'_>>| side.map_or(-1, |e| e.number.cast_signed());
    let name = left.or(right).map_or("", |event| event.key);
    RowView { name, a: number(left), b: number(right), c }
}

#[pelton::job]
pub(crate) fn interval_join(events: Stream<Event>, p: Params) -> Stream<Row> {
    let (lower, upper) = bounds(p);
    let left = events.filter(|e| e.amount % 2 == 0).key_by(|e| e.key);
    let right = events.filter(|e| e.amount % 2 != 0).key_by(|e| e.key);
    left.join(right)
        .full_outer()
        .between(TimeSpan::micros(lower), TimeSpan::micros(upper))
        .map(|(l, r)| row(l, r, 0))
}

#[pelton::job]
pub(crate) fn window_join(events: Stream<Event>, p: Params) -> Stream<Row> {
    let spec = PaneSpec::hopping(TimeSpan::micros(p.length), TimeSpan::micros(p.slide));
    let left = events.filter(|e| e.amount % 2 == 0).key_by(|e| e.key);
    let right = events.filter(|e| e.amount % 2 != 0).key_by(|e| e.key);
    left.join(right).left_outer().in_windows(spec).map(|(l, r)| row(Some(l), r, 0))
}

#[pelton::job]
pub(crate) fn as_of_join(events: Stream<Event>, _p: Params) -> Stream<Row> {
    let left = events.filter(|e| e.amount % 2 == 0).key_by(|e| e.key);
    let right = events.filter(|e| e.amount % 2 != 0).key_by(|e| e.key);
    left.join(right).left_outer().in_time_order().as_of().map(|(l, r)| row(Some(l), r, 0))
}

#[pelton::job]
pub(crate) fn table_join(events: Stream<Event>, _p: Params) -> Stream<Row> {
    let left = events.filter(|e| e.amount % 2 == 0).key_by(|e| e.key);
    let right = events.filter(|e| e.amount % 2 != 0).key_by(|e| e.key);
    left.join(right)
        .left_outer()
        .in_time_order()
        .all()
        .map(|c| row(Some(c.row.0), c.row.1, i64::from(c.kind == RowKind::Insert)))
}

fn line(left: Option<&Event>, right: Option<&Event>, c: i64) -> Line {
    let number = |side: Option<&Event>| side.map_or(-1, |event| event.number.cast_signed());
    let name = left.or(right).map_or(String::new(), |event| event.key.clone());
    (name, number(left), number(right), c)
}

fn sides(events: &[Event]) -> (Vec<&Event>, Vec<&Event>) {
    events.iter().partition(|event| event.amount % 2 == 0)
}

pub(crate) fn interval_lines(events: &[Event], p: Params) -> Vec<Line> {
    let (left, right) = sides(events);
    let (lower, upper) = bounds(p);
    let is_pair =
        |l: &Event, r: &Event| l.key == r.key && (lower..=upper).contains(&(r.time.0 - l.time.0));
    let mut lines = Vec::new();
    for l in &left {
        let partners = right.iter().filter(|r| is_pair(l, r));
        lines.extend(partners.map(|r| line(Some(l), Some(r), 0)));
    }
    let alone = left.iter().filter(|l| !right.iter().any(|r| is_pair(l, r)));
    lines.extend(alone.map(|l| line(Some(l), None, 0)));
    let alone = right.iter().filter(|r| !left.iter().any(|l| is_pair(l, r)));
    lines.extend(alone.map(|r| line(None, Some(r), 0)));
    lines
}

pub(crate) fn window_lines(events: &[Event], p: Params) -> Vec<Line> {
    let (left, right) = sides(events);
    let mut lines = Vec::new();
    for l in &left {
        let mut start = l.time.0.div_euclid(p.slide) * p.slide;
        while l.time.0 < start + p.length {
            let is_in =
                |r: &&&Event| r.key == l.key && start <= r.time.0 && r.time.0 < start + p.length;
            let partners: Vec<_> = right.iter().filter(is_in).collect();
            if partners.is_empty() {
                lines.push(line(Some(l), None, 0));
            }
            lines.extend(partners.into_iter().map(|r| line(Some(l), Some(r), 0)));
            start -= p.slide;
        }
    }
    lines
}

/// All events in the order in which a join in time order takes them: at one time the right ones first.
fn in_order(events: &[Event]) -> Vec<&Event> {
    let mut events: Vec<&Event> = events.iter().collect();
    events.sort_by_key(|event| (event.time, event.amount % 2 == 0));
    events
}

pub(crate) fn as_of_lines(events: &[Event]) -> Vec<Line> {
    let events = in_order(events);
    let lines = events.iter().enumerate().filter(|(_, event)| event.amount % 2 == 0);
    let lines = lines.map(|(index, l)| {
        let is_version = |event: &&&Event| event.amount % 2 != 0 && event.key == l.key;
        let version = events[..index].iter().rev().find(is_version);
        line(Some(l), version.copied(), 0)
    });
    lines.collect()
}

pub(crate) fn table_lines(events: &[Event]) -> Vec<Line> {
    let events = in_order(events);
    let mut lines = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let before = || events[..index].iter().filter(|other| other.key == event.key);
        let (left, right): (Vec<&Event>, Vec<&Event>) =
            before().partition(|other| other.amount % 2 == 0);
        if event.amount % 2 == 0 {
            let pairs = right.iter().map(|r| line(Some(event), Some(r), 1));
            lines.extend(pairs);
            if right.is_empty() {
                lines.push(line(Some(event), None, 1));
            }
            continue;
        }
        for l in left {
            if right.is_empty() {
                lines.push(line(Some(l), None, 0));
            }
            lines.push(line(Some(l), Some(event), 1));
        }
    }
    lines
}

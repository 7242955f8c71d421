//! Random jobs over a key's rows, and what they must write: dedup, tables of rows, folds over the last
//! rows, what lies before and behind. Each in order of time, so that splits don't matter.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use pelton::Stream;
use pelton::chain::operators::{Count, Max, Ranks};
use pelton::record::{RowKind, TimeSpan};

use crate::oracle::Line;
use crate::simulated::{Event, EventView, Params, Row, RowView};

const MISSING: i64 = -7_777;
const DISTANCE: u32 = 3;
const FIRST_ROWS: usize = 3;

#[pelton::job]
pub(crate) fn dedup(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .key_by(|e| e.key)
        .in_time_order(|e| e.number)
        .dedup_within(TimeSpan::micros(p.length))
        .map(|e| RowView { name: e.key, a: e.number.cast_signed(), b: e.amount, c: 0 })
}

pub(crate) fn dedup_lines(events: &[Event], p: Params) -> Vec<Line> {
    let mut lines = Vec::new();
    for rows in in_order(events).into_values() {
        let mut kept: Option<i64> = None;
        for row in rows {
            if kept.is_none_or(|kept| row.time.0 - kept >= p.length) {
                kept = Some(row.time.0);
                lines.push((row.key.clone(), row.number.cast_signed(), row.amount, 0));
            }
        }
    }
    lines
}

#[pelton::job]
pub(crate) fn keep_last(events: Stream<Event>, _: Params) -> Stream<Row> {
    events.key_by(|e| (e.bucket, e.key)).in_time_order(|e| e.number).keep_last_retracting().map(
        |c| RowView {
            name: c.row.key,
            a: c.row.number.cast_signed(),
            b: i64::from(c.kind as u8),
            c: 0,
        },
    )
}

pub(crate) fn keep_last_lines(events: &[Event]) -> Vec<Line> {
    let mut tables: BTreeMap<(u64, &str), Vec<&Event>> = BTreeMap::new();
    for rows in in_order(events).into_values() {
        rows.into_iter()
            .for_each(|row| tables.entry((row.bucket, &row.key)).or_default().push(row));
    }
    let line = |row: &Event, kind: RowKind| {
        (row.key.clone(), row.number.cast_signed(), i64::from(kind as u8), 0)
    };
    let mut lines = Vec::new();
    for rows in tables.into_values() {
        lines.push(line(rows[0], RowKind::Insert));
        for pair in rows.windows(2) {
            lines.push(line(pair[0], RowKind::UpdateBefore));
            lines.push(line(pair[1], RowKind::UpdateAfter));
        }
    }
    lines
}

#[pelton::job]
pub(crate) fn top_n(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .key_by(|e| e.key)
        .in_time_order(|e| e.number)
        .top_n_with::<FIRST_ROWS, _, _>(Ranks::Numbered { update_before: true }, move |e| {
            Reverse(e.amount % p.modulus)
        })
        .map(|c| RowView {
            name: c.row.key,
            a: c.row.number.cast_signed(),
            b: i64::from(c.kind as u8),
            c: c.rank.cast_signed(),
        })
}

/// Compares the first rows before and after each record, rank by rank.
pub(crate) fn top_n_lines(events: &[Event], p: Params) -> Vec<Line> {
    let mut lines = Vec::new();
    for rows in in_order(events).into_values() {
        let mut sorted: Vec<&Event> = Vec::new();
        for row in rows {
            let before: Vec<&Event> = sorted.iter().copied().take(FIRST_ROWS).collect();
            sorted.push(row);
            sorted.sort_by_key(|row| Reverse(row.amount % p.modulus));
            let mut line = |row: &Event, kind: RowKind, rank: i64| {
                let kind = i64::from(kind as u8);
                lines.push((row.key.clone(), row.number.cast_signed(), kind, rank));
            };
            for (at, after) in sorted.iter().take(FIRST_ROWS).enumerate() {
                let rank = i64::try_from(at + 1).expect("there are few ranks");
                match before.get(at) {
                    None => line(after, RowKind::Insert, rank),
                    Some(was) if was.number != after.number => {
                        line(was, RowKind::UpdateBefore, rank);
                        line(after, RowKind::UpdateAfter, rank);
                    }
                    Some(_) => {}
                }
            }
        }
    }
    lines
}

#[pelton::job]
pub(crate) fn over_range(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .key_by(|e| e.key)
        .in_time_order(|e| e.number)
        .over_range::<(Count, Max<i64>), _>(TimeSpan::micros(p.length), |e| ((), e.amount))
        .map(|(e, (count, greatest))| RowView {
            name: e.key,
            a: e.number.cast_signed(),
            b: count.cast_signed(),
            c: greatest.unwrap_or(MISSING),
        })
}

pub(crate) fn over_range_lines(events: &[Event], p: Params) -> Vec<Line> {
    let mut lines = Vec::new();
    for rows in in_order(events).into_values() {
        for (index, row) in rows.iter().enumerate() {
            let from = row.time.0 - p.length;
            let window = rows[..=index].iter().filter(|other| other.time.0 >= from);
            let amounts: Vec<i64> = window.map(|other| other.amount).collect();
            let count = i64::try_from(amounts.len()).expect("a test has few events");
            let greatest = amounts.into_iter().max().unwrap_or(MISSING);
            lines.push((row.key.clone(), row.number.cast_signed(), count, greatest));
        }
    }
    lines
}

#[pelton::job]
pub(crate) fn lag(events: Stream<Event>, _: Params) -> Stream<Row> {
    events
        .key_by(|e| e.key)
        .in_time_order(|e| e.number)
        .lag(DISTANCE, MISSING, |e| e.amount)
        .map(|(e, before)| RowView { name: e.key, a: e.number.cast_signed(), b: before, c: 0 })
}

#[pelton::job]
pub(crate) fn lead(events: Stream<Event>, _: Params) -> Stream<Row> {
    events
        .key_by(|e| e.key)
        .in_time_order(|e| e.number)
        .lead(DISTANCE, MISSING, |e| e.amount)
        .map(|(e, behind)| RowView { name: e.key, a: e.number.cast_signed(), b: behind, c: 0 })
}

/// Each row with the amount of the one `DISTANCE` before it, or behind it.
pub(crate) fn away_lines(events: &[Event], is_behind: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    for rows in in_order(events).into_values() {
        for (index, row) in rows.iter().enumerate() {
            let distance = DISTANCE as usize;
            let away = if is_behind { Some(index + distance) } else { index.checked_sub(distance) };
            let value = away.and_then(|away| rows.get(away)).map_or(MISSING, |row| row.amount);
            lines.push((row.key.clone(), row.number.cast_signed(), value, 0));
        }
    }
    lines
}

#[pelton::job]
pub(crate) fn distinct(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .map(move |e| EventView { amount: e.amount % (p.modulus * 10), ..e })
        .key_by(|e| (e.bucket, e.amount))
        .distinct_count(|e| e.key)
        .changes()
        .map(|c| RowView {
            name: "",
            a: c.key.0.cast_signed(),
            b: c.key.1,
            c: c.value.cast_signed(),
        })
}

pub(crate) fn distinct_lines(events: &[Event], p: Params) -> Vec<Line> {
    let mut keys: BTreeMap<(i64, i64), BTreeSet<&str>> = BTreeMap::new();
    for event in events {
        let key = (event.bucket.cast_signed(), event.amount % (p.modulus * 10));
        keys.entry(key).or_default().insert(&event.key);
    }
    let lines = |((bucket, amount), values): ((i64, i64), BTreeSet<&str>)| {
        let count = i64::try_from(values.len()).expect("a test has few events");
        (1..=count).map(move |count| (String::new(), bucket, amount, count))
    };
    keys.into_iter().flat_map(lines).collect()
}

/// A key's events by (time, number).
fn in_order(events: &[Event]) -> BTreeMap<&str, Vec<&Event>> {
    let mut keys: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    events.iter().for_each(|event| keys.entry(&event.key).or_default().push(event));
    keys.values_mut().for_each(|rows| rows.sort_by_key(|row| (row.time, row.number)));
    keys
}

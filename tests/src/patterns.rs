//! The pattern of the random jobs: a small amount, a larger one after it, and nothing of bucket 0
//! until the time is over; beside it the small ones that nothing larger came after.
//!
//! [`found_and_lost`] says what must come out, from the whole list of a key's events at once.

use std::collections::BTreeMap;

use pelton::chain::operators::{Count, MatchOut, Matched, Pattern};
use pelton::record::TimeSpan;
use pelton::{EventTime, Stream};

use crate::simulated::{Event, Params, Row, RowView};

/// A row of the output, before it is a line.
type Line = (String, i64, i64, i64);

fn is_small(amount: i64) -> bool {
    amount < -200
}

fn is_larger(amount: i64, small: i64) -> bool {
    amount > small.saturating_neg()
}

fn row(found: &Matched<'_, Event, Count>, out: MatchOut<'_, Row>) {
    let Some(small) = found.first("small") else { return };
    let larger = found.first("larger").map_or(0, |larger| larger.number.cast_signed());
    assert_eq!(
        found.folded(),
        found.all().count() as u64,
        "the fold has every event that was taken"
    );
    let EventTime(end) = found.end();
    out.emit(RowView { name: small.key, a: small.number.cast_signed(), b: larger, c: end });
}

/// What is found, and what is lost.
#[pelton::job]
pub fn patterns(events: Stream<Event>, p: Params) -> (Stream<Row>, Stream<Row>) {
    let pattern = Pattern::<Event, Count>::begin_folding("small", |_, _| Some(()))
        .when(|e| is_small(e.amount))
        .followed_by("larger")
        .when_so_far(|e, so_far| {
            so_far.first("small").is_some_and(|small| is_larger(e.amount, small.amount))
        })
        .not_followed_by("calm")
        .when(|e| e.bucket == 0)
        .within(TimeSpan::micros(p.length));
    let (found, lost) = events
        .key_by(|e| e.key)
        .in_time_order(|e| e.number)
        .detect_and_lose(pattern, row, row)
        .with_side();
    (found, lost)
}

/// What must be found, and what must be lost.
#[must_use]
pub fn found_and_lost(events: &[Event], p: Params) -> [Vec<Line>; 2] {
    let mut keys: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    events.iter().for_each(|event| keys.entry(&event.key).or_default().push(event));
    let (mut found, mut lost) = (Vec::new(), Vec::new());
    for mut events in keys.into_values() {
        events.sort_by_key(|event| (event.time, event.number));
        for (at, small) in events.iter().enumerate().filter(|(_, event)| is_small(event.amount)) {
            let end = small.time.0 + p.length;
            let behind = events[at + 1..].iter().filter(|event| event.time.0 < end);
            let mut behind = behind.skip_while(|event| !is_larger(event.amount, small.amount));
            let line = |b| (small.key.clone(), small.number.cast_signed(), b, end);
            match behind.next() {
                None => lost.push(line(0)),
                Some(larger) if behind.all(|event| event.bucket != 0) => {
                    found.push(line(larger.number.cast_signed()));
                }
                Some(_) => {}
            }
        }
    }
    [found, lost]
}

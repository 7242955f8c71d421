//! Random jobs with look-ups, and what they must write. The store answers most, and fails, is silent or
//! fails once for some, by what it is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pelton::Stream;
use pelton::chain::operators::{Lookup, LookupFailure, LookupOptions, PaneSpec, Sum};
use pelton::record::TimeSpan;

use crate::oracle::Line;
use crate::simulated::{Event, EventView, Params, Row, RowView};

const MISSING: i64 = -7_777;
const REFUSED: i64 = -1_000_000;
const SILENT: i64 = -2_000_000;
const RETRIES: u32 = 1;

/// What the store does, by the rest that an amount leaves.
fn behaviour(amount: i64) -> i64 {
    amount.rem_euclid(41)
}

/// What is made of an event: an answer, or why there is none with the number of calls.
fn expected(amount: i64) -> i64 {
    match behaviour(amount) {
        0 => REFUSED - 1,
        1 => SILENT - 1 - i64::from(RETRIES),
        _ => amount * 3,
    }
}

/// A store that triples amounts.
#[derive(Debug, Default)]
struct Triples {
    failed_once: Mutex<BTreeSet<u64>>,
}

impl Lookup for Triples {
    type In = Event;
    /// The amount, and the event's number where the call fails once.
    type Request = (i64, u64);
    type Answer = i64;
    /// Whether it is worth another call.
    type Error = bool;

    fn request(&self, event: EventView<'_>) -> (i64, u64) {
        let fails_once = (2..6).contains(&behaviour(event.amount));
        (event.amount, if fails_once { event.number } else { 0 })
    }

    async fn call(&self, (amount, number): (i64, u64)) -> Result<i64, bool> {
        let is_new = |number| {
            let mut failed_once = self.failed_once.lock().unwrap_or_else(PoisonError::into_inner);
            failed_once.insert(number)
        };
        match behaviour(amount) {
            0 => Err(false),
            1 => pending().await,
            2..6 if is_new(number) => Err(true),
            _ => Ok(amount * 3),
        }
    }

    fn is_retryable(&self, &is_worth: &bool) -> bool {
        is_worth
    }
}

/// More than a simulated call takes, or answers would come too late by chance.
const TIMEOUT: Duration = Duration::from_micros(300);

fn options(p: Params) -> LookupOptions {
    let in_flight = [1, 5, 40][usize::try_from(p.modulus).unwrap_or(0) % 3];
    let options = LookupOptions::new()
        .in_flight(in_flight)
        .timeout(TIMEOUT)
        .retries(RETRIES, Duration::from_micros(30));
    if p.copies == 2 { options.cache(9, Duration::from_millis(2)) } else { options }
}

fn told(answer: Result<&i64, &LookupFailure<bool>>) -> i64 {
    match answer {
        Ok(answer) => *answer,
        Err(LookupFailure::Failed { attempts, .. }) => REFUSED - i64::from(*attempts),
        Err(LookupFailure::TimedOut { attempts }) => SILENT - i64::from(*attempts),
    }
}

/// In order, so what lies before a row is what came before it.
#[pelton::job]
pub(crate) fn ordered(events: Stream<Event>, p: Params) -> Stream<Row> {
    let tripled = events.key_by(|e| e.key).lookup(Triples::default(), options(p).ordered());
    tripled
        .map(|(e, answer)| EventView { amount: told(answer), ..e })
        .key_by(|e| e.key)
        .lag(1, MISSING, |e| e.amount)
        .map(|(e, before)| RowView {
            name: e.key,
            a: e.number.cast_signed(),
            b: e.amount,
            c: before,
        })
}

pub(crate) fn ordered_lines(events: &[Event]) -> Vec<Line> {
    let mut before: BTreeMap<&str, i64> = BTreeMap::new();
    let line = |event: &'_ Event| (event.key.clone(), event.number.cast_signed());
    let mut lines = Vec::new();
    for event in events {
        let (name, number) = line(event);
        let amount = expected(event.amount);
        let last = before.insert(&event.key, amount).unwrap_or(MISSING);
        lines.push((name, number, amount, last));
    }
    lines
}

/// Out of order and without a key: a record that a watermark passed would miss its window.
#[pelton::job]
pub(crate) fn unordered(events: Stream<Event>, p: Params) -> Stream<Row> {
    let tripled = events.lookup(Triples::default(), options(p).unordered());
    tripled
        .map(|(e, answer)| EventView { amount: told(answer), ..e })
        .key_by(|e| e.key)
        .windows::<Sum<i64>, _>(PaneSpec::tumbling(TimeSpan::micros(p.length)), |e| e.amount)
        .map(|w| RowView { name: w.key, a: w.start.0, b: w.end.0, c: w.value })
}

/// The events with what they are looked up as.
pub(crate) fn tripled(events: &[Event]) -> Vec<Event> {
    let tripled = |event: &Event| Event { amount: expected(event.amount), ..event.clone() };
    events.iter().map(tripled).collect()
}

//! Step 6, chain: exact sliding windows, beside the same windows kept by hand.
//!
//! Records come in order of time, each key's as far apart as the case says. The yardstick knows
//! its keys as numbers from 0 and so needs no table: a `Vec` of per-key structs, each with one
//! `VecDeque` of events that all windows share, running sums, and an index a window.

use std::collections::VecDeque;
use std::fmt;

use pelton::chain::KeyedOperator;
use pelton::chain::operators::{CountSum, ExactSpec, ExactWindows};
use pelton::clock::Clock;
use pelton::record::{
    EventTime, FieldError, FieldSource, FrameHeader, FrameWriter, Item, Key, KeyHash, PayloadFull,
    Record, RecordLayout, RowWriter, Schema, TimeSpan,
};
use pelton::state::{OperatorId, Store, TOUCHED_MAX};

use crate::state::cpu_ns;

const WINDOWS: usize = 3;

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub struct ExactCase {
    /// How many keys there are.
    pub key_count: u64,
    /// How many records each of them gets, as a mean.
    pub key_records: u64,
    /// How far apart those are, as a mean.
    pub interval: TimeSpan,
    /// The windows.
    pub lengths: [TimeSpan; WINDOWS],
}

impl ExactCase {
    /// Card payments, five a day, over 90 days: windows of a day, of seven, and a longest one.
    #[must_use]
    pub fn payments(key_count: u64, longest: TimeSpan) -> Self {
        let lengths = [TimeSpan::days(1), TimeSpan::days(7), longest];
        let interval = TimeSpan(TimeSpan::days(1).0 / 5);
        Self { key_count, key_records: 450, interval, lengths }
    }

    /// Busy keys, 130 seconds between two of a key's records: three windows of one length.
    #[must_use]
    pub fn busy(key_count: u64, key_records: u64, length: TimeSpan) -> Self {
        let lengths = [length; WINDOWS];
        Self { key_count, key_records, interval: TimeSpan::seconds(130), lengths }
    }

    fn longest(&self) -> TimeSpan {
        self.lengths.into_iter().max().expect("there are windows")
    }
}

/// Nanoseconds a record.
#[derive(Debug, Clone, Copy)]
pub struct ExactCost {
    case: ExactCase,
    /// In the engine's operator, touched in batches.
    pub operator_ns: f64,
    /// In the engine's operator, each record by itself.
    pub untouched_ns: f64,
    /// By hand.
    pub by_hand_ns: f64,
    /// The store's bytes for each key at the end.
    pub store_bytes_per_key: f64,
}

impl fmt::Display for ExactCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| {:>8} | {:>9} | {:>7} | {:8.1} | {:6.1} | {:7.1} ({:3.0} %) | {:6.0} |",
            self.case.key_count,
            human(self.case.longest()),
            (self.case.longest().0 / self.case.interval.0).max(1),
            self.operator_ns,
            self.untouched_ns,
            self.by_hand_ns,
            100.0 * self.by_hand_ns / self.operator_ns,
            self.store_bytes_per_key,
        )
    }
}

fn human(span: TimeSpan) -> String {
    match span.0 / TimeSpan::minutes(1).0 {
        minutes if minutes < 60 => format!("{minutes} min"),
        minutes if minutes < 24 * 60 => format!("{} h", minutes / 60),
        minutes => format!("{} d", minutes / 24 / 60),
    }
}

/// The head of the table whose rows are [`ExactCost`]s.
pub const HEAD: &str = "\
| keys     | longest   | records | operator | single | by hand         | B/key  |
|----------|-----------|---------|----------|--------|-----------------|--------|";

/// Measures a case.
#[must_use]
pub fn exact_windows(case: ExactCase) -> ExactCost {
    let ExactCase { key_count, lengths, .. } = case;
    let clock = Clock::machine();
    let records = arrivals(&case);
    let mut sums = [0; 3];
    let mut bytes = 0;
    let mut ns = [f64::MAX; 3];
    for _ in 0..2 {
        for (way, batch) in [TOUCHED_MAX, 1].into_iter().enumerate() {
            let start = cpu_ns(&clock);
            (sums[way], bytes) = run_operator(&records, lengths, batch);
            ns[way] = ns[way].min(per_record(cpu_ns(&clock) - start, records.len()));
        }
        let start = cpu_ns(&clock);
        sums[2] = run_by_hand(&records, lengths, key_count);
        ns[2] = ns[2].min(per_record(cpu_ns(&clock) - start, records.len()));
    }
    assert!(sums.iter().all(|sum| *sum == sums[0]), "all ways answer the same");
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    let store_bytes_per_key = bytes as f64 / key_count as f64;
    let [operator_ns, untouched_ns, by_hand_ns] = ns;
    ExactCost { case, operator_ns, untouched_ns, by_hand_ns, store_bytes_per_key }
}

#[expect(clippy::cast_precision_loss, reason = "a mean for people")]
fn per_record(ns: u64, record_count: usize) -> f64 {
    ns as f64 / record_count as f64
}

#[derive(Debug, Clone, Copy)]
struct Arrival {
    hash: KeyHash,
    time: i64,
    key: u64,
    payment: Payment,
}

fn arrivals(case: &ExactCase) -> Vec<Arrival> {
    let key_count = case.key_count;
    let count = key_count * case.key_records;
    let step = case.interval.0 / i64::try_from(key_count).expect("few keys");
    let mut seed = 0x9876_5432_1fed_cba9_u64;
    (0..count)
        .zip(0_i64..)
        .map(|(order, number)| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let key = (seed >> 20) % key_count;
            let amount = i64::try_from(seed % 100_000).expect("small") * 10_000;
            let payment = Payment { order, amount };
            Arrival { hash: u64::hash(key), time: number * step, key, payment }
        })
        .collect()
}

/// A checksum of all answers, so that none is left out.
fn mixed(sum: u64, index: usize, count: u64, amounts: i64) -> u64 {
    let weight = index as u64 + 1;
    sum.wrapping_add(count.wrapping_add(amounts.cast_unsigned()).wrapping_mul(weight))
}

fn run_operator(records: &[Arrival], lengths: [TimeSpan; WINDOWS], batch: usize) -> (u64, u64) {
    let spec = ExactSpec { lengths, delay: TimeSpan::ZERO };
    let read = |payment: Payment| (payment.order, payment.amount);
    let mut operator =
        ExactWindows::<u64, Payment, CountSum, _, WINDOWS>::new(OperatorId(1), spec, read);
    let mut store = Store::new();
    let mut sum = 0;
    for records in records.chunks(batch) {
        if batch > 1 {
            let mut hashes = [KeyHash::default(); TOUCHED_MAX];
            for (hash, record) in hashes.iter_mut().zip(records) {
                *hash = record.hash;
            }
            operator.touch(&mut store, &hashes[..records.len()]);
        }
        for (index, record) in records.iter().enumerate() {
            store.turn_to(index);
            let header = FrameHeader {
                key_hash: record.hash,
                event_time: EventTime(record.time),
                ..FrameHeader::default()
            };
            let states = operator.apply(&mut store, &header, record.key, record.payment);
            for (index, state) in states.into_iter().flatten().enumerate() {
                let amounts = i64::try_from(state.sum).expect("small sums");
                sum = mixed(sum, index, state.count, amounts);
            }
        }
    }
    (sum, store.bytes())
}

#[derive(Debug, Clone, Default)]
struct KeyByHand {
    events: VecDeque<(i64, i64)>,
    windows: [WindowByHand; WINDOWS],
}

#[derive(Debug, Clone, Copy, Default)]
struct WindowByHand {
    oldest: usize,
    count: u64,
    sum: i64,
}

fn run_by_hand(records: &[Arrival], lengths: [TimeSpan; WINDOWS], key_count: u64) -> u64 {
    let key_count = usize::try_from(key_count).expect("64 bits");
    let mut keys = vec![KeyByHand::default(); key_count];
    let mut sum = 0;
    for record in records {
        let key = &mut keys[usize::try_from(record.key).expect("64 bits")];
        key.events.push_back((record.time, record.payment.amount));
        for (index, window) in key.windows.iter_mut().enumerate() {
            window.count += 1;
            window.sum += record.payment.amount;
            while key.events[window.oldest].0 <= record.time - lengths[index].0 {
                window.count -= 1;
                window.sum -= key.events[window.oldest].1;
                window.oldest += 1;
            }
            sum = mixed(sum, index, window.count, window.sum);
        }
        let expired = key.windows.iter().map(|window| window.oldest).min().unwrap_or(0);
        if expired > 0 {
            key.events.drain(..expired);
            for window in &mut key.windows {
                window.oldest -= expired;
            }
        }
    }
    sum
}

/// A payment; a record written by hand, which is its own view.
#[derive(Debug, Clone, Copy)]
pub struct Payment {
    order: u64,
    amount: i64,
}

impl Item for Payment {
    type View<'a> = Self;
}

impl Record for Payment {
    type Archived = rkyv::Archived<(u64, i64)>;
    const SCHEMA: Schema = Schema { name: "Payment", fields: &[], event_time_index: None };

    fn view(&self) -> Self {
        *self
    }
    fn view_archived(archived: &Self::Archived) -> Self {
        Self { order: archived.0.to_native(), amount: archived.1.to_native() }
    }
    fn to_record(view: Self) -> Self {
        view
    }
    fn event_time(_: Self) -> Option<EventTime> {
        None
    }
    fn payload_bytes_max(_: Self) -> usize {
        16
    }
    fn encode(_: Self, _: &mut FrameWriter<'_>) -> Result<(), PayloadFull> {
        Err(PayloadFull)
    }
    fn layout() -> RecordLayout {
        unreachable!("it is kept nowhere")
    }
    fn is_valid_payload(_: &[u8]) -> bool {
        false
    }
    fn decode<'a, S: FieldSource<'a>>(_: &S) -> Result<Self, FieldError> {
        unreachable!("payments are made here")
    }
    fn write_row<W: RowWriter>(_: Self, _: &mut W) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_and_the_yardstick_agree() {
        for case in [
            ExactCase::payments(50, TimeSpan::days(30)),
            ExactCase::busy(20, 1_000, TimeSpan::hours(1)),
            ExactCase::busy(5_000, 2, TimeSpan::minutes(1)),
        ] {
            assert!(exact_windows(case).operator_ns >= 0.0);
        }
    }
}

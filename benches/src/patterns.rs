//! Step 6, chain: a pattern, beside the same pattern kept by hand.
//!
//! A small payment, and behind it, within an hour, a large one of the same card: each small payment is
//! a match of its own. A tenth of all payments is small, and one in forty large, so a card has a few
//! partial matches at once. Records come in order of time. The yardstick knows its cards as numbers
//! from 0 and so needs no table: a `Vec` of queues of small payments, nothing of which is durable.

use std::collections::VecDeque;
use std::fmt;

use pelton::chain::operators::{MatchOut, Matched, Matches, Pattern, PatternMatcher};
use pelton::chain::{Due, KeyedOperator};
use pelton::clock::Clock;
use pelton::record::{EventTime, FrameHeader, Key, KeyHash, Record, TimeSpan};
use pelton::state::{OperatorId, Store, TOUCHED_MAX};

use crate::state::cpu_ns;

const WITHIN: TimeSpan = TimeSpan::hours(1);

/// A payment.
#[pelton::record]
pub struct Payment {
    card: u64,
    number: u64,
    cents: i64,
}

/// A small payment and the large one behind it.
#[pelton::record]
pub struct Pair {
    small: u64,
    large: u64,
}

/// Nanoseconds a record.
#[derive(Debug, Clone, Copy)]
pub struct PatternCost {
    /// How many cards there are.
    pub key_count: u64,
    /// How many matches a thousand records have.
    pub matches_per_thousand: f64,
    /// In the engine's operator.
    pub operator_ns: f64,
    /// By hand.
    pub by_hand_ns: f64,
    /// The store's bytes for each card at the end.
    pub store_bytes_per_key: f64,
}

impl fmt::Display for PatternCost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| {:>7} | {:7.1} | {:8.1} | {:7.1} ({:3.0} %) | {:6.0} |",
            self.key_count,
            self.matches_per_thousand,
            self.operator_ns,
            self.by_hand_ns,
            100.0 * self.by_hand_ns / self.operator_ns,
            self.store_bytes_per_key,
        )
    }
}

/// The head of the table whose rows are [`PatternCost`]s.
pub const HEAD: &str = "\
| keys    | matches | operator | by hand         | B/key  |
|---------|---------|----------|-----------------|--------|";

/// Measures the pattern over so many records; a card has one about every `apart`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "means for people")]
pub fn small_then_large(key_count: u64, record_count: u64, apart: TimeSpan) -> PatternCost {
    let clock = Clock::machine();
    let records = payments(key_count, record_count, apart);
    let mut ns = [f64::MAX; 2];
    let (mut sums, mut bytes, mut match_count) = ([0; 2], 0, 0);
    for _ in 0..2 {
        let start = cpu_ns(&clock);
        (sums[0], match_count, bytes) = run_operator(&records);
        ns[0] = ns[0].min((cpu_ns(&clock) - start) as f64);
        let start = cpu_ns(&clock);
        sums[1] = run_by_hand(&records, key_count);
        ns[1] = ns[1].min((cpu_ns(&clock) - start) as f64);
    }
    assert_eq!(sums[0], sums[1], "both ways answer the same");
    let count = record_count as f64;
    PatternCost {
        key_count,
        matches_per_thousand: 1_000.0 * match_count as f64 / count,
        operator_ns: ns[0] / count,
        by_hand_ns: ns[1] / count,
        store_bytes_per_key: bytes as f64 / key_count as f64,
    }
}

struct Arrival {
    hash: KeyHash,
    time: i64,
    payment: Payment,
}

fn payments(key_count: u64, record_count: u64, apart: TimeSpan) -> Vec<Arrival> {
    let step = apart.0 / i64::try_from(key_count).expect("few keys");
    let mut seed = 0x9876_5432_1fed_cba9_u64;
    (0..record_count)
        .zip(0_i64..)
        .map(|(number, order)| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let card = (seed >> 20) % key_count;
            let cents = match seed % 40 {
                0..4 => 100,
                4 => 100_000,
                _ => 5_000,
            };
            let payment = Payment { card, number, cents };
            Arrival { hash: u64::hash(card), time: order * step, payment }
        })
        .collect()
}

/// A checksum of all matches, in whatever order.
fn mixed(sum: u64, small: u64, large: u64) -> u64 {
    sum.wrapping_add((small ^ large << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn pattern() -> Pattern<Payment> {
    Pattern::<Payment>::begin("small")
        .when(|payment| payment.cents < 200)
        .followed_by("large")
        .when(|payment| payment.cents > 50_000)
        .within(WITHIN)
}

fn select(
    found: &Matched<'_, Payment, pelton::chain::operators::Unfolded>,
    out: MatchOut<'_, Pair>,
) {
    if let (Some(small), Some(large)) = (found.first("small"), found.last("large")) {
        out.emit(PairView { small: small.number, large: large.number });
    }
}

fn run_operator(records: &[Arrival]) -> (u64, u64, u64) {
    let selection = Matches::<_, Pair>::new(select);
    let mut operator =
        PatternMatcher::<u64, Payment, _, _>::compiled(OperatorId(1), pattern(), selection)
            .expect("the pattern can work");
    let mut store = Store::new();
    let (mut sum, mut match_count) = (0, 0);
    for records in records.chunks(TOUCHED_MAX) {
        let mut hashes = [KeyHash::default(); TOUCHED_MAX];
        for (hash, record) in hashes.iter_mut().zip(records) {
            *hash = record.hash;
        }
        operator.touch(&mut store, &hashes[..records.len()]);
        for (index, Arrival { hash, time, payment }) in records.iter().enumerate() {
            store.turn_to(index);
            let event_time = EventTime(*time);
            let header = FrameHeader { key_hash: *hash, event_time, ..FrameHeader::default() };
            operator.apply(&mut store, &header, payment.card, payment.view());
            let due = Due { watermark: event_time, ended: false };
            while operator.advance(&mut store, due) {
                let (_, pair) = operator.due(&store);
                sum = mixed(sum, pair.small, pair.large);
                match_count += 1;
                operator.done(&mut store);
            }
        }
    }
    (sum, match_count, store.bytes())
}

fn run_by_hand(records: &[Arrival], key_count: u64) -> u64 {
    let key_count = usize::try_from(key_count).expect("64 bits");
    let mut cards: Vec<VecDeque<(i64, u64)>> = vec![VecDeque::new(); key_count];
    let mut sum = 0;
    for Arrival { time, payment, .. } in records {
        let smalls = &mut cards[usize::try_from(payment.card).expect("64 bits")];
        while smalls.front().is_some_and(|(start, _)| start + WITHIN.0 <= *time) {
            smalls.pop_front();
        }
        if payment.cents < 200 {
            smalls.push_back((*time, payment.number));
        } else if payment.cents > 50_000 {
            for (_, small) in smalls.drain(..) {
                sum = mixed(sum, small, payment.number);
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_and_the_yardstick_agree() {
        let cost = small_then_large(50, 20_000, TimeSpan::minutes(4));
        assert!(cost.matches_per_thousand > 0.0);
    }
}

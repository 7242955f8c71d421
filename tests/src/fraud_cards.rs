//! What the fraud job says of a card's transactions one after the other, computed slowly and obviously:
//! the oracle of travel, of terminals in an hour, and of alerts.
//!
//! It shares no code with the engine or the job, and looks through all rows for each row. Rows that confirm
//! a transaction are none themselves.

use std::collections::BTreeSet;

const HOUR_MICROS: i64 = 3_600_000_000;
const DAY_MICROS: i64 = 24 * HOUR_MICROS;

/// An input row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CardRow {
    /// The second half of the order.
    pub transaction_id: u64,
    /// Microseconds UTC.
    pub time_micros: i64,
    /// Whose card.
    pub customer_id: u64,
    /// Where.
    pub terminal_id: u64,
    /// Millionths.
    pub amount_micros: i64,
    /// Millionths of a degree to the north, and to the east.
    pub place: Option<(i64, i64)>,
    /// Whether it was declined.
    pub declined: Option<bool>,
    /// Whether a confirmation was asked for.
    pub pending: Option<bool>,
    /// Which transaction it confirms.
    pub confirms: Option<u64>,
}

impl CardRow {
    fn is_transaction(&self) -> bool {
        self.confirms.is_none()
    }
}

/// What the rows just before one say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CardFeatures {
    /// Whose features.
    pub transaction_id: u64,
    /// Different terminals in the hour up to it.
    pub merchants_1h: usize,
    /// Metres and microseconds since the last place, where both are known.
    pub travel: Option<(f64, i64)>,
}

/// The features of all transactions of `rows`, which stand in the order in which they are applied. A row
/// that comes out of order sees of its hour what is less than an hour older than the newest.
#[must_use]
pub fn card_features(rows: &[CardRow]) -> Vec<CardFeatures> {
    let mut answers = Vec::new();
    for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.is_transaction()) {
        let own = |other: &&CardRow| other.customer_id == row.customer_id && other.is_transaction();
        let newest = rows[..=at].iter().filter(own).map(|other| other.time_micros).max();
        let mut terminals = BTreeSet::from([row.terminal_id]);
        for other in rows[..at].iter().filter(own) {
            let age = row.time_micros - other.time_micros;
            let kept = newest.is_some_and(|newest| newest - other.time_micros < HOUR_MICROS);
            if (0..HOUR_MICROS).contains(&age) && kept {
                terminals.insert(other.terminal_id);
            }
        }
        let before = rows[..at].iter().filter(own).rfind(|other| other.place.is_some());
        let travel = before.and_then(|before| {
            let metres = metres(before.place?, row.place?);
            Some((metres, (row.time_micros - before.time_micros).abs()))
        });
        let merchants_1h = terminals.len();
        answers.push(CardFeatures { transaction_id: row.transaction_id, merchants_1h, travel });
    }
    answers
}

/// The haversine formula, with the library's functions.
#[expect(clippy::cast_precision_loss, reason = "the nearest float is meant")]
fn metres(from: (i64, i64), to: (i64, i64)) -> f64 {
    let radians = |micros: i64| (micros as f64 / 1e6).to_radians();
    let up = ((radians(to.0) - radians(from.0)) / 2.0).sin();
    let across = ((radians(to.1) - radians(from.1)) / 2.0).sin();
    let square = up * up + radians(from.0).cos() * radians(to.0).cos() * across * across;
    2.0 * 6_371_008.8 * square.min(1.0).sqrt().asin()
}

/// What alerts are looked for with.
#[derive(Debug, Clone, Copy)]
pub struct Thresholds {
    /// The largest small amount, in millionths.
    pub small_to: i64,
    /// What is more is large.
    pub large_over: i64,
    /// How near the two are, in microseconds.
    pub small_within: i64,
    /// How many declines.
    pub declines: usize,
    /// How near the first and the approval are.
    pub declines_within: i64,
    /// When a confirmation is too late.
    pub unconfirmed_within: i64,
}

/// An alert: its kind, the customer, the transaction, the first one of it, and when.
pub type Alert = (&'static str, u64, u64, u64, i64);

/// All alerts of `rows`, which stand in order of time.
#[must_use]
pub fn alerts(rows: &[CardRow], thresholds: &Thresholds) -> Vec<Alert> {
    let customers: BTreeSet<u64> = rows.iter().map(|row| row.customer_id).collect();
    let mut found = Vec::new();
    for customer in customers {
        let own = rows.iter().filter(|row| row.customer_id == customer);
        let own: Vec<CardRow> = own.copied().collect();
        let transactions = own.iter().filter(|row| row.is_transaction());
        let transactions: Vec<CardRow> = transactions.copied().collect();
        small_then_large(&transactions, thresholds, &mut found);
        declines_then_approval(&transactions, thresholds, &mut found);
        unconfirmed(&own, thresholds, &mut found);
    }
    found
}

fn small_then_large(rows: &[CardRow], thresholds: &Thresholds, found: &mut Vec<Alert>) {
    let mut from = 0;
    for (at, large) in rows.iter().enumerate() {
        if large.amount_micros <= thresholds.large_over {
            continue;
        }
        let small = rows[from..at].iter().find(|small| {
            let age = large.time_micros - small.time_micros;
            small.amount_micros <= thresholds.small_to
                && age < thresholds.small_within
                && age < DAY_MICROS
        });
        if let Some(small) = small {
            let ids = (large.transaction_id, small.transaction_id);
            found.push(("small_then_large", large.customer_id, ids.0, ids.1, large.time_micros));
            from = at + 1;
        }
    }
}

fn declines_then_approval(rows: &[CardRow], thresholds: &Thresholds, found: &mut Vec<Alert>) {
    let known: Vec<&CardRow> = rows.iter().filter(|row| row.declined.is_some()).collect();
    for (at, approval) in known.iter().enumerate().filter(|(_, row)| row.declined == Some(false)) {
        let Some(first) = at.checked_sub(thresholds.declines) else {
            continue;
        };
        let declines = known[first..at].iter().all(|row| row.declined == Some(true));
        let first = known[first];
        let age = approval.time_micros - first.time_micros;
        if declines && age < thresholds.declines_within && age < DAY_MICROS {
            let ids = (approval.transaction_id, first.transaction_id);
            let time = approval.time_micros;
            found.push(("declines_then_approval", approval.customer_id, ids.0, ids.1, time));
        }
    }
}

fn unconfirmed(rows: &[CardRow], thresholds: &Thresholds, found: &mut Vec<Alert>) {
    for (at, pending) in rows.iter().enumerate() {
        if pending.pending != Some(true) || !pending.is_transaction() {
            continue;
        }
        let deadline = pending.time_micros + thresholds.unconfirmed_within;
        let confirmed = rows[at + 1..]
            .iter()
            .any(|row| row.confirms == Some(pending.transaction_id) && row.time_micros < deadline);
        if !confirmed {
            let id = pending.transaction_id;
            found.push(("unconfirmed", pending.customer_id, id, id, deadline));
        }
    }
}

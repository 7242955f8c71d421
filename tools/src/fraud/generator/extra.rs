//! Columns that a generated file has where they are asked for: places, and what became of a
//! transaction.
//!
//! Takes transactions; hands on what else is known of each, by draws of its own from the seed and its
//! number: the other columns are the same with and without these.
//!
//! - Places: a terminal stands where the population says, of which a side is one degree of 100 km, north
//!   and east of 48, 11. A quarter of the third kind of fraud happens on the other side of the earth.
//! - Outcomes: one in 33 is declined, every second of the third kind of fraud; one in 20 is pending, of
//!   which six in seven are confirmed by a row of their own, at most 40 minutes later.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::GeneratedTransaction;
use super::population::Population;
use super::random::{Random, mixed};

/// Which columns a file has beside the usual ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtraColumns {
    /// `latitude` and `longitude`.
    pub places: bool,
    /// `declined`, `pending` and `confirms`.
    pub outcomes: bool,
}

/// What else is known of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extra {
    /// Millionths of a degree to the north, and to the east.
    pub place: (i32, i32),
    /// Whether it was declined.
    pub declined: bool,
    /// Whether a confirmation was asked for.
    pub pending: bool,
    /// When it is confirmed, if it is.
    pub confirmed_at_micros: Option<i64>,
}

/// The row that confirms a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Confirmation {
    /// When; the first field, as they are put in order by it.
    pub time_micros: i64,
    /// Which.
    pub transaction_id: u64,
    /// Whose.
    pub customer_id: u64,
    /// Where.
    pub terminal_id: u64,
}

/// Told apart from the seed's other draws.
const STREAM: u64 = 0x6f75_7463_6f6d_6573;
const MICROS_A_SECOND: i64 = 1_000_000;
/// Millionths of a degree that a step on the population's square is.
const STEP: f64 = 10_000.0;
const CORNER: (i32, i32) = (48_000_000, 11_000_000);
const FAR_CORNER: (i32, i32) = (-37_000_000, 144_000_000);

/// Draws what else is known.
#[derive(Debug)]
pub(super) struct Extras {
    seed: u64,
    /// Those that are still to come, the next one on top.
    confirmations: BinaryHeap<Reverse<Confirmation>>,
}

impl Extras {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed: mixed(seed ^ STREAM), confirmations: BinaryHeap::new() }
    }

    /// What else is known of a transaction; its confirmation comes later.
    pub(super) fn of(&mut self, population: &Population, t: &GeneratedTransaction) -> Extra {
        let mut random = Random::new(self.seed, t.transaction_id);
        let is_taken_over = t.scenario == 3;
        let corner = if is_taken_over && random.below(4) == 0 { FAR_CORNER } else { CORNER };
        let terminal = u32::try_from(t.terminal_id).expect("the generator's own");
        let (x, y) = population.place(terminal);
        let place = (corner.0 + steps(y), corner.1 + steps(x));
        let declined = random.below(if is_taken_over { 2 } else { 33 }) == 0;
        let pending = !declined && random.below(20) == 0;
        let confirmed = pending && random.below(7) > 0;
        let delay = MICROS_A_SECOND * (1 + i64::from(random.below(40 * 60)));
        let confirmed_at_micros = confirmed.then_some(t.time_micros + delay);
        if let Some(time_micros) = confirmed_at_micros {
            let GeneratedTransaction { transaction_id, customer_id, terminal_id, .. } = *t;
            let confirmation =
                Confirmation { time_micros, transaction_id, customer_id, terminal_id };
            self.confirmations.push(Reverse(confirmation));
        }
        Extra { place, declined, pending, confirmed_at_micros }
    }

    /// The next confirmation before `time_micros`.
    pub(super) fn confirmation_before(&mut self, time_micros: i64) -> Option<Confirmation> {
        let Reverse(next) = *self.confirmations.peek()?;
        if next.time_micros >= time_micros {
            return None;
        }
        self.confirmations.pop().map(|Reverse(next)| next)
    }
}

fn steps(at: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "a million at most")]
    let steps = (at * STEP).round() as i32;
    steps
}

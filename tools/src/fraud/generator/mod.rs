//! The transaction generator: card transactions with three kinds of fraud in them, from a seed.
//!
//! Takes a seed and a count; hands on transactions in order of (time, transaction id), day by day,
//! so memory is bounded by one day however many are asked for.
//!
//! It follows the simulator of the *Reproducible Machine Learning for Credit Card Fraud Detection*
//! handbook: 5,000 customers, each with a place, an average amount, a spread of half of it and a
//! rate of 0 to 4 transactions a day; 10,000 terminals, of which a customer uses those near him;
//! times that cluster around noon; and three kinds of fraud:
//! 1. every amount over 220;
//! 2. two terminals a day are compromised: all of their transactions for 28 days;
//! 3. three customers a day are compromised: for 14 days, a third of their transactions, with
//!    amounts five-fold.
//!
//! Where several apply, the highest number is the label.
//!
//! Invariants
//! 1. The output is a pure function of seed and count, the same on every machine (`random.rs`),
//!    and a smaller count is a prefix of a larger one.
//! 2. Ids count up from 0, and times never go back.
//!
//! Each day draws from a stream of its own, seeded from seed and day.

mod csv;
mod extra;
mod population;
mod random;

pub use csv::{TransactionCsv, write_csv, write_csv_with};
pub use extra::{Confirmation, Extra, ExtraColumns};

use population::Population;
use random::Random;

/// Customers in the generated world.
pub const CUSTOMER_COUNT: u32 = 5_000;
/// Terminals in the generated world.
pub const TERMINAL_COUNT: u32 = 10_000;
/// The most transactions that can be asked for: some 2,850 years of them.
pub const TRANSACTION_COUNT_MAX: u64 = 10_000_000_000;

/// 2018-04-01T00:00:00Z, in days since 1970: where the handbook's data begins.
const FIRST_DAY: i64 = 17_622;
const SECONDS_A_DAY: i64 = 86_400;
/// Scenario 1: in cents.
const LARGE_CENTS: i64 = 22_000;
/// Scenario 2.
const TERMINALS_COMPROMISED_A_DAY: u32 = 2;
const TERMINAL_COMPROMISED_DAYS: u32 = 28;
/// Scenario 3.
const CUSTOMERS_COMPROMISED_A_DAY: u32 = 3;
const CUSTOMER_COMPROMISED_DAYS: u32 = 14;
const COMPROMISED_SHARE: u32 = 3;
const COMPROMISED_TIMES: i64 = 5;

/// One generated transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GeneratedTransaction {
    /// Counts up from 0.
    pub transaction_id: u64,
    /// Microseconds since 1970-01-01T00:00:00Z; whole seconds.
    pub time_micros: i64,
    /// Below [`CUSTOMER_COUNT`].
    pub customer_id: u64,
    /// Below [`TERMINAL_COUNT`].
    pub terminal_id: u64,
    /// The amount in millionths; whole cents.
    pub amount_micros: i64,
    /// Whether it is a fraud.
    pub fraud: bool,
    /// Which kind of fraud, 1 to 3; 0 for none.
    pub scenario: u8,
}

/// A transaction before its day is put in order.
#[derive(Debug, Clone, Copy)]
struct Draft {
    second: u32,
    customer: u32,
    terminal: u32,
    cents: i64,
    scenario: u8,
}

/// The transactions of a seed: an iterator.
#[derive(Debug)]
pub struct Transactions {
    population: Population,
    seed: u64,
    remaining: u64,
    next_id: u64,
    /// The day to draw next.
    next_day: u32,
    /// The first day on which a terminal, a customer is no longer compromised.
    terminal_until: Vec<u32>,
    customer_until: Vec<u32>,
    today: Vec<Draft>,
    /// Second and index into `today`, sorted.
    order: Vec<u64>,
    at: usize,
}

impl Transactions {
    /// The first `count` transactions of `seed`.
    #[must_use]
    pub fn new(seed: u64, count: u64) -> Self {
        Self {
            population: Population::new(seed, CUSTOMER_COUNT, TERMINAL_COUNT),
            seed,
            remaining: count.min(TRANSACTION_COUNT_MAX),
            next_id: 0,
            next_day: 0,
            terminal_until: vec![0; TERMINAL_COUNT as usize],
            customer_until: vec![0; CUSTOMER_COUNT as usize],
            today: Vec::new(),
            order: Vec::new(),
            at: 0,
        }
    }

    /// Who pays where.
    fn population(&self) -> &Population {
        &self.population
    }

    /// Draws a day: who is compromised from now on, then everyone's transactions, in order.
    fn draw_day(&mut self) {
        let day = self.next_day;
        self.next_day += 1;
        let mut random = Random::new(self.seed, u64::from(day));
        for _ in 0..TERMINALS_COMPROMISED_A_DAY {
            let terminal = random.below(self.population.terminal_count);
            self.terminal_until[terminal as usize] = day + TERMINAL_COMPROMISED_DAYS;
        }
        for _ in 0..CUSTOMERS_COMPROMISED_A_DAY {
            let customer = random.below(CUSTOMER_COUNT);
            self.customer_until[customer as usize] = day + CUSTOMER_COMPROMISED_DAYS;
        }
        self.today.clear();
        for (customer_id, customer) in (0_u32..).zip(&self.population.customers) {
            for _ in 0..random.poisson(customer.daily_mean, customer.daily_none) {
                let Some(second) = second_of_day(&mut random) else {
                    continue;
                };
                let terminal = self.population.terminal(customer, &mut random);
                let mut draft = Draft {
                    second,
                    customer: customer_id,
                    terminal,
                    cents: amount_cents(customer.mean_cents, &mut random),
                    scenario: 0,
                };
                if draft.cents > LARGE_CENTS {
                    draft.scenario = 1;
                }
                if self.terminal_until[terminal as usize] > day {
                    draft.scenario = 2;
                }
                if self.customer_until[customer_id as usize] > day
                    && random.below(COMPROMISED_SHARE) == 0
                {
                    draft.scenario = 3;
                    draft.cents *= COMPROMISED_TIMES;
                }
                self.today.push(draft);
            }
        }
        self.order.clear();
        let keys = (0_u64..).zip(&self.today);
        self.order.extend(keys.map(|(index, draft)| u64::from(draft.second) << 32 | index));
        self.order.sort_unstable();
        self.at = 0;
    }
}

impl Iterator for Transactions {
    type Item = GeneratedTransaction;

    #[inline]
    fn next(&mut self) -> Option<GeneratedTransaction> {
        if self.remaining == 0 {
            return None;
        }
        while self.at == self.order.len() {
            self.draw_day();
        }
        let index = usize::try_from(self.order[self.at] & 0xffff_ffff).ok()?;
        let draft = self.today[index];
        self.at += 1;
        self.remaining -= 1;
        let transaction_id = self.next_id;
        self.next_id += 1;
        let day = FIRST_DAY + i64::from(self.next_day) - 1;
        Some(GeneratedTransaction {
            transaction_id,
            time_micros: (day * SECONDS_A_DAY + i64::from(draft.second)) * 1_000_000,
            customer_id: draft.customer.into(),
            terminal_id: draft.terminal.into(),
            amount_micros: draft.cents * 10_000,
            fraud: draft.scenario != 0,
            scenario: draft.scenario,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let remaining = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        (remaining, Some(remaining))
    }
}

/// A time around noon; `None` where it falls outside of the day, as the handbook has it.
fn second_of_day(random: &mut Random) -> Option<u32> {
    let second = 43_200.0 + 20_000.0 * random.normal();
    if !(1.0..86_400.0).contains(&second) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded just above"
    )]
    Some(second as u32)
}

/// An amount around the customer's average; where that would be below 0, any up to twice it.
fn amount_cents(mean_cents: f64, random: &mut Random) -> i64 {
    let mut cents = mean_cents + mean_cents / 2.0 * random.normal();
    if cents < 0.0 {
        cents = random.between(0.0, 2.0 * mean_cents);
    }
    #[expect(clippy::cast_possible_truncation, reason = "at most four times the largest average")]
    let cents = cents.round() as i64;
    cents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_bytes_for_ever() {
        let mut bytes = Vec::new();
        write_csv(42, 10_000, &mut bytes).unwrap();
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let head = String::from_utf8_lossy(&bytes[..200]);
        assert_eq!(hash, 15_856_240_338_172_455_486, "FNV-1a of:\n{head}");
    }

    #[test]
    fn ids_count_up_and_times_never_go_back() {
        let mut before = i64::MIN;
        for (id, transaction) in (0_u64..).zip(Transactions::new(1, 50_000)) {
            assert_eq!(transaction.transaction_id, id);
            assert!(transaction.time_micros >= before);
            before = transaction.time_micros;
        }
    }

    #[test]
    fn a_smaller_count_is_a_prefix() {
        let long = Transactions::new(3, 20_000).take(12_345);
        assert!(long.eq(Transactions::new(3, 12_345)));
        assert!(!Transactions::new(3, 100).eq(Transactions::new(4, 100)));
    }

    #[test]
    fn ninety_days_look_like_the_handbooks() {
        let mut scenarios = [0_u32; 4];
        for transaction in Transactions::new(9, 872_000) {
            scenarios[usize::from(transaction.scenario)] += 1;
            assert_eq!(transaction.fraud, transaction.scenario != 0);
            assert!(transaction.amount_micros >= 0 && transaction.customer_id < 5_000);
            assert!(transaction.scenario != 1 || transaction.amount_micros > 220_000_000);
        }
        let days = Transactions::new(9, 872_000)
            .last()
            .map_or(0, |last| last.time_micros / 1_000_000 / SECONDS_A_DAY - FIRST_DAY);
        assert!((85..=97).contains(&days), "{days} days");
        let [_, large, terminal, customer] = scenarios;
        assert!((200..2_000).contains(&large), "{scenarios:?}");
        assert!((3_000..6_000).contains(&terminal), "{scenarios:?}");
        assert!((1_400..3_200).contains(&customer), "{scenarios:?}");
    }
}

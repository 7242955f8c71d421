//! The fraud job as a plan: two keyed halves that branch at the source and meet by position.
//!
//! ```text
//!                 /-> by customer -> exact windows -> customer's facts  \
//!  transactions -<                                                        >-> decision
//!                 \-> by terminal -> exact windows -> terminal's facts  /
//! ```
//!
//! Each half sees one split in its own order, so its windows are exact; a half hands on what its
//! windows say, and which of its own rules held, so sums too wide for a field never leave it.

use std::sync::Arc;

use pelton::chain::operators::{ExactSpec, Invertible};
use pelton::record::{Decimal, EventTime, TimeSpan};
use pelton::{Stream, job, record};

use super::verdict::{
    CompiledRules, Half, ReasonSet, RiskCounts, RuleInput, WindowSums, cents_squared,
};
use crate::digits::rounded_quotient;

/// One card transaction, as it comes in.
#[record]
pub struct Transaction {
    /// Ranks transactions of one time.
    pub transaction_id: u64,
    /// When it happened.
    #[event_time]
    pub time: EventTime,
    /// Who pays.
    pub customer_id: u64,
    /// Where.
    pub terminal_id: u64,
    /// How much.
    pub amount: Decimal,
    /// Whether it turned out to be a fraud, where that is known.
    pub fraud: Option<bool>,
    /// Which kind of fraud, where that is known.
    pub scenario: Option<u8>,
}

/// What the customer's windows say, and the transaction itself.
#[record]
pub struct CustomerFacts {
    /// The transaction's number.
    pub transaction_id: u64,
    /// How much.
    pub amount: Decimal,
    /// The label.
    pub fraud: Option<bool>,
    /// The label's kind.
    pub scenario: Option<u8>,
    /// Transactions in a day.
    pub count_1d: u64,
    /// Their average amount.
    pub avg_1d: Decimal,
    /// Transactions in 7 days.
    pub count_7d: u64,
    /// Their average amount.
    pub avg_7d: Decimal,
    /// Transactions in 30 days.
    pub count_30d: u64,
    /// Their average amount.
    pub avg_30d: Decimal,
    /// The rules about the customer and the amount that held.
    pub reasons: u32,
}

/// What the terminal's windows say.
#[record]
pub struct TerminalFacts {
    /// Transactions in a day.
    pub count_1d: u64,
    /// Frauds among them.
    pub frauds_1d: u64,
    /// Transactions in 7 days.
    pub count_7d: u64,
    /// Frauds among them.
    pub frauds_7d: u64,
    /// Transactions in 30 days.
    pub count_30d: u64,
    /// Frauds among them.
    pub frauds_30d: u64,
    /// The rules about the terminal that held.
    pub reasons: u32,
}

/// A transaction that is decided, with its twelve features.
#[record]
pub struct Decided {
    /// The transaction's number.
    pub transaction_id: u64,
    /// How much.
    pub amount: Decimal,
    /// The label.
    pub fraud: Option<bool>,
    /// The label's kind.
    pub scenario: Option<u8>,
    /// The customer's transactions in a day.
    pub customer_count_1d: u64,
    /// Their average amount.
    pub customer_avg_1d: Decimal,
    /// The customer's transactions in 7 days.
    pub customer_count_7d: u64,
    /// Their average amount.
    pub customer_avg_7d: Decimal,
    /// The customer's transactions in 30 days.
    pub customer_count_30d: u64,
    /// Their average amount.
    pub customer_avg_30d: Decimal,
    /// The terminal's transactions in a day that ended a week ago.
    pub terminal_count_1d: u64,
    /// Frauds among them.
    pub terminal_frauds_1d: u64,
    /// The same in 7 days.
    pub terminal_count_7d: u64,
    /// Frauds among them.
    pub terminal_frauds_7d: u64,
    /// The same in 30 days.
    pub terminal_count_30d: u64,
    /// Frauds among them.
    pub terminal_frauds_30d: u64,
    /// All rules that held: bit n is the rule n.
    pub reasons: u32,
}

/// Folds a customer's amounts.
#[derive(Debug)]
pub struct Spend;

impl Invertible for Spend {
    type Item = i64;
    type State = (u64, i128, i128);

    #[inline]
    fn add((count, sum_micros, sum_squares): &mut Self::State, amount_micros: i64) {
        *count += 1;
        *sum_micros += i128::from(amount_micros);
        *sum_squares += cents_squared(amount_micros);
    }

    #[inline]
    fn remove((count, sum_micros, sum_squares): &mut Self::State, amount_micros: i64) {
        *count -= 1;
        *sum_micros -= i128::from(amount_micros);
        *sum_squares -= cents_squared(amount_micros);
    }
}

/// Folds a terminal's labels.
#[derive(Debug)]
pub struct Risk;

impl Invertible for Risk {
    type Item = bool;
    type State = (u64, u64);

    #[inline]
    fn add((count, frauds): &mut Self::State, fraud: bool) {
        *count += 1;
        *frauds += u64::from(fraud);
    }

    #[inline]
    fn remove((count, frauds): &mut Self::State, fraud: bool) {
        *count -= 1;
        *frauds -= u64::from(fraud);
    }
}

/// A fraud is known a week later.
const LABEL_DELAY: TimeSpan = TimeSpan::days(7);
const WINDOWS: [TimeSpan; 3] = [TimeSpan::days(1), TimeSpan::days(7), TimeSpan::days(30)];

/// In which order the job applies transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they arrive.
    Arrival,
    /// By (time, transaction number), once the watermark has passed.
    EventTime,
}

/// The plan: every transaction becomes one decision.
#[job]
pub fn fraud(
    transactions: Stream<Transaction>,
    rules: Arc<CompiledRules>,
    order: Order,
) -> Stream<Decided> {
    let waits = order == Order::EventTime;
    let customer_rules = Arc::clone(&rules);
    let customers = transactions
        .key_by(|t| t.customer_id)
        .in_time_order_if(waits, |t| t.transaction_id)
        .exact_windows::<Spend, 3, _>(ExactSpec { lengths: WINDOWS, delay: TimeSpan::ZERO }, |t| {
            (t.transaction_id, t.amount.0)
        })
        .named("customer")
        .map(|(t, windows)| customer_facts(t, &windows, &customer_rules));
    let terminals = transactions
        .key_by(|t| t.terminal_id)
        .in_time_order_if(waits, |t| t.transaction_id)
        .exact_windows::<Risk, 3, _>(ExactSpec { lengths: WINDOWS, delay: LABEL_DELAY }, |t| {
            (t.transaction_id, t.fraud.unwrap_or(false))
        })
        .named("terminal")
        .map(|(_, windows)| terminal_facts(&windows, &rules));
    customers.join_by_position(terminals).named("decision").map(|(c, t)| decided(c, t))
}

#[inline]
fn customer_facts(
    transaction: TransactionView,
    windows: &[(u64, i128, i128); 3],
    rules: &CompiledRules,
) -> CustomerFactsView {
    let sums = |&(count, sum_micros, sum_squares): &(u64, i128, i128)| WindowSums {
        count,
        sum_micros,
        sum_squares,
    };
    let customer = [sums(&windows[0]), sums(&windows[1]), sums(&windows[2])];
    let input = RuleInput {
        amount_micros: transaction.amount.0,
        customer,
        terminal: [RiskCounts::default(); 3],
    };
    CustomerFactsView {
        transaction_id: transaction.transaction_id,
        amount: transaction.amount,
        fraud: transaction.fraud,
        scenario: transaction.scenario,
        count_1d: customer[0].count,
        avg_1d: average(&customer[0]),
        count_7d: customer[1].count,
        avg_7d: average(&customer[1]),
        count_30d: customer[2].count,
        avg_30d: average(&customer[2]),
        reasons: rules.held(&input, Half::Customer).0,
    }
}

#[inline]
fn average(window: &WindowSums) -> Decimal {
    let micros = rounded_quotient(window.sum_micros, window.count);
    Decimal(i64::try_from(micros).expect("an average is no larger than the largest amount"))
}

#[inline]
fn terminal_facts(windows: &[(u64, u64); 3], rules: &CompiledRules) -> TerminalFactsView {
    let counts = |&(count, frauds): &(u64, u64)| RiskCounts { count, frauds };
    let terminal = [counts(&windows[0]), counts(&windows[1]), counts(&windows[2])];
    let input = RuleInput { terminal, ..RuleInput::default() };
    TerminalFactsView {
        count_1d: terminal[0].count,
        frauds_1d: terminal[0].frauds,
        count_7d: terminal[1].count,
        frauds_7d: terminal[1].frauds,
        count_30d: terminal[2].count,
        frauds_30d: terminal[2].frauds,
        reasons: rules.held(&input, Half::Terminal).0,
    }
}

#[inline]
fn decided(customer: CustomerFactsView, terminal: TerminalFactsView) -> DecidedView {
    DecidedView {
        transaction_id: customer.transaction_id,
        amount: customer.amount,
        fraud: customer.fraud,
        scenario: customer.scenario,
        customer_count_1d: customer.count_1d,
        customer_avg_1d: customer.avg_1d,
        customer_count_7d: customer.count_7d,
        customer_avg_7d: customer.avg_7d,
        customer_count_30d: customer.count_30d,
        customer_avg_30d: customer.avg_30d,
        terminal_count_1d: terminal.count_1d,
        terminal_frauds_1d: terminal.frauds_1d,
        terminal_count_7d: terminal.count_7d,
        terminal_frauds_7d: terminal.frauds_7d,
        terminal_count_30d: terminal.count_30d,
        terminal_frauds_30d: terminal.frauds_30d,
        reasons: customer.reasons | terminal.reasons,
    }
}

impl DecidedView {
    /// The rules that held.
    #[must_use]
    pub fn reason_set(&self) -> ReasonSet {
        ReasonSet(self.reasons)
    }
}

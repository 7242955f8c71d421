//! The fraud job as a plan: two keyed halves that branch at the source and meet by position.
//!
//! ```text
//!                 /-> by customer -> card -> exact windows -> customer's facts  \
//!  transactions -<                                                                >-> rules -> decision
//!                 \-> by terminal ---------> exact windows -> terminal's facts  /
//! ```
//!
//! Each half sees one split in its own order, so its windows are exact.
//!
//! The rules are read where the halves have met, and nowhere before: a decision is made by one version
//! of them, and names it. No record that is under way holds a version, so a checkpoint holds none, and
//! a job that goes on judges with the rules that are there then. What it had taken in and not yet
//! committed may so be judged by newer rules than before the failure; every transaction still has one
//! decision in the output, and that says which rules made it. (Refused: a version stamped at the source,
//! before the branches. Both halves would use it too, but the batch would be copied for it, and old
//! versions would have to be kept with the state, for records that were under way.)

use pelton::chain::operators::{ExactSpec, Invertible};
use pelton::record::{Decimal, TimeSpan};
use pelton::{Stream, job};

use super::card::CardSteps;
use super::records::{
    CardTransactionView, CustomerFactsView, Decided, DecidedView, TerminalFactsView,
    TerminalTransactionView, Transaction,
};
use super::rules_in_use::{NumberedRules, RulesInUse};
use super::verdict::{RiskCounts, RuleInput, Travel, WindowSums, cents_squared};
use crate::digits::rounded_quotient;

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
    rules: RulesInUse,
    order: Order,
) -> Stream<Decided> {
    let waits = order == Order::EventTime;
    let customers = transactions
        .filter(|t| t.confirms.is_none())
        .key_by(|t| t.customer_id)
        .in_time_order_if(waits, |t| t.transaction_id)
        .process(CardSteps::default())
        .named("card")
        // Behind the card's stage they come in its order.
        .key_by(|t| t.customer_id)
        .exact_windows::<Spend, 3, _>(ExactSpec { lengths: WINDOWS, delay: TimeSpan::ZERO }, |t| {
            (t.transaction_id, t.amount.0)
        })
        .named("customer")
        .map(|(t, windows)| customer_facts(t, &windows));
    let terminals = transactions
        .filter(|t| t.confirms.is_none())
        .map(|t| TerminalTransactionView {
            transaction_id: t.transaction_id,
            terminal_id: t.terminal_id,
            fraud: t.fraud.unwrap_or(false),
        })
        .key_by(|t| t.terminal_id)
        .in_time_order_if(waits, |t| t.transaction_id)
        .exact_windows::<Risk, 3, _>(ExactSpec { lengths: WINDOWS, delay: LABEL_DELAY }, |t| {
            (t.transaction_id, t.fraud)
        })
        .named("terminal")
        .map(|(_, windows)| terminal_facts(&windows));
    customers
        .join_by_position(terminals)
        .named("decision")
        .map_with(rules.reference(), |(c, t), rules, out| out.emit(decided(c, t, &rules)))
}

#[inline]
fn customer_facts(
    transaction: CardTransactionView,
    windows: &[(u64, i128, i128); 3],
) -> CustomerFactsView {
    let [day, week, month] = windows;
    let (sum_30d_high, sum_30d_low) = halves(month.1);
    let (squares_30d_high, squares_30d_low) = halves(month.2);
    CustomerFactsView {
        transaction_id: transaction.transaction_id,
        amount: transaction.amount,
        fraud: transaction.fraud,
        scenario: transaction.scenario,
        count_1d: day.0,
        avg_1d: average(day),
        count_7d: week.0,
        avg_7d: average(week),
        count_30d: month.0,
        avg_30d: average(month),
        sum_30d_high,
        sum_30d_low,
        squares_30d_high,
        squares_30d_low,
        merchants_1h: transaction.merchants_1h,
        travel_metres: transaction.travel_metres,
        travel_micros: transaction.travel_micros,
    }
}

#[inline]
fn average(&(count, sum_micros, _): &(u64, i128, i128)) -> Decimal {
    let micros = rounded_quotient(sum_micros, count);
    Decimal(i64::try_from(micros).expect("an average is no larger than the largest amount"))
}

const HALF_BITS: u32 = 64;

#[inline]
fn halves(value: i128) -> (u64, u64) {
    let bits = value.cast_unsigned();
    let half = |bits: u128| u64::try_from(bits).expect("a half of 128 bits");
    (half(bits >> HALF_BITS), half(bits & u128::from(u64::MAX)))
}

#[inline]
fn whole(high: u64, low: u64) -> i128 {
    (u128::from(high) << HALF_BITS | u128::from(low)).cast_signed()
}

#[inline]
fn terminal_facts(windows: &[(u64, u64); 3]) -> TerminalFactsView {
    let [day, week, month] = windows;
    TerminalFactsView {
        count_1d: day.0,
        frauds_1d: day.1,
        count_7d: week.0,
        frauds_7d: week.1,
        count_30d: month.0,
        frauds_30d: month.1,
    }
}

/// What the rules see. They look at the sums of 30 days only.
#[inline]
fn rule_input(customer: &CustomerFactsView, terminal: &TerminalFactsView) -> RuleInput {
    let counted = |count| WindowSums { count, ..WindowSums::default() };
    let risk = |count, frauds| RiskCounts { count, frauds };
    RuleInput {
        amount_micros: customer.amount.0,
        customer: [
            counted(customer.count_1d),
            counted(customer.count_7d),
            WindowSums {
                count: customer.count_30d,
                sum_micros: whole(customer.sum_30d_high, customer.sum_30d_low),
                sum_squares: whole(customer.squares_30d_high, customer.squares_30d_low),
            },
        ],
        terminal: [
            risk(terminal.count_1d, terminal.frauds_1d),
            risk(terminal.count_7d, terminal.frauds_7d),
            risk(terminal.count_30d, terminal.frauds_30d),
        ],
        merchants_1h: customer.merchants_1h,
        travel: Travel { metres: customer.travel_metres, micros: customer.travel_micros },
    }
}

#[inline]
fn decided(
    customer: CustomerFactsView,
    terminal: TerminalFactsView,
    rules: &NumberedRules,
) -> DecidedView {
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
        merchants_1h: customer.merchants_1h,
        travel_metres: customer.travel_metres,
        travel_micros: customer.travel_micros,
        rules: rules.number(),
        reasons: rules.held(&rule_input(&customer, &terminal)).0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_sums_survive_their_halves() {
        for value in [0, 1, -1, i128::MIN, i128::MAX, i128::from(u64::MAX) + 1, -(1 << 70)] {
            let (high, low) = halves(value);
            assert_eq!(whole(high, low), value);
        }
    }
}

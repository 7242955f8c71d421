//! The rules at work: a transaction's sums in, a verdict with its reasons out.
//!
//! Takes a [`RuleInput`]; hands on a [`Verdict`]. Pure, without allocation, and the same to the
//! bit wherever it runs: sums are integers, and the few floats are made from them by `+ - * /` and
//! `sqrt`, which IEEE 754 fixes.
//!
//! Invariants
//! 1. A verdict depends on its `RuleInput` alone, so it is the same for every count of shards.
//! 2. Rule `n` is bit `n` of the reasons; there are at most 32 (`rules.rs` checks it).

use super::rules::{RULES_MAX, Thresholds};
use crate::digits::push_u64;

/// The lengths of the windows, in days.
pub const WINDOW_DAYS: [u32; 3] = [1, 7, 30];
/// Millionths of an amount in a cent.
const MICROS_A_CENT: i64 = 10_000;

/// A customer's transactions within one window, the present one included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowSums {
    /// How many.
    pub count: u64,
    /// The sum of their amounts, in millionths.
    pub sum_micros: i128,
    /// The sum of [`cents_squared`] of their amounts.
    pub sum_squares: i128,
}

/// A terminal's transactions within one window that ended seven days ago.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RiskCounts {
    /// How many.
    pub count: u64,
    /// How many of them were frauds.
    pub frauds: u64,
}

/// What the rules see of a transaction: its amount, and the windows of 1, 7 and 30 days.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleInput {
    /// The amount in millionths.
    pub amount_micros: i64,
    /// The customer's windows. They include the present transaction.
    pub customer: [WindowSums; 3],
    /// The terminal's windows.
    pub terminal: [RiskCounts; 3],
}

/// What happens to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// It goes through.
    Approve,
    /// A person looks at it.
    Review,
    /// It is refused.
    Decline,
}

/// The rules that held: bit `n` is the rule `n` of the [`CompiledRules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct ReasonSet(pub u32);

/// A decision with its score and its reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What happens.
    pub decision: Decision,
    /// The scores of the rules that held, added up.
    pub score: u32,
    /// Which rules held.
    pub reasons: ReasonSet,
}

/// Rules that have been checked, in the order in which they give their reasons.
#[derive(Debug, Clone)]
pub struct CompiledRules {
    thresholds: Thresholds,
    scores: Vec<u32>,
    /// The same by half, each with its index in `scores`: a half looks at no others.
    halves: [Vec<(usize, Test)>; 2],
    names: Vec<String>,
}

/// Which half of the job a rule looks at: each half decides its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// The transaction's amount and the customer's windows.
    Customer,
    /// The terminal's windows.
    Terminal,
}

/// When a rule holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    Amount { over_micros: i64 },
    CustomerSpend { deviations: f64, times: f64, count_min: u64 },
    TerminalRisk { window: usize, risk_min: f64, count_min: u64 },
    Velocity { count_min: u64, times: f64 },
}

/// The square of an amount in whole cents, for [`WindowSums::sum_squares`]; what a window adds
/// and later takes away must be this very number.
#[inline]
#[must_use]
pub fn cents_squared(amount_micros: i64) -> i128 {
    // Small amounts, which is all of them, stay in 64 bits.
    let half = MICROS_A_CENT / 2 * amount_micros.signum();
    let cents = amount_micros.saturating_add(half) / MICROS_A_CENT;
    match cents.checked_mul(cents) {
        Some(square) => square.into(),
        None => i128::from(cents) * i128::from(cents),
    }
}

impl Decision {
    /// As it stands in the output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Review => "review",
            Self::Decline => "decline",
        }
    }
}

impl Test {
    pub(super) fn amount(over: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "thresholds are below 1e12, checked by rules.rs; a larger one saturates"
        )]
        let over_micros = (over * 1e6).round() as i64;
        Self::Amount { over_micros }
    }

    pub(super) fn customer_spend(deviations: f64, times: f64, count_min: u32) -> Self {
        Self::CustomerSpend { deviations, times, count_min: count_min.max(1).into() }
    }

    /// `None` where no window of so many days is kept.
    pub(super) fn terminal_risk(days: u32, risk_min: f64, count_min: u32) -> Option<Self> {
        Some(Self::TerminalRisk {
            window: WINDOW_DAYS.iter().position(|&known| known == days)?,
            risk_min,
            count_min: count_min.max(1).into(),
        })
    }

    pub(super) fn velocity(count_min: u32, times: f64) -> Self {
        Self::Velocity { count_min: count_min.into(), times }
    }

    fn half(&self) -> Half {
        match self {
            Self::Amount { .. } | Self::CustomerSpend { .. } | Self::Velocity { .. } => {
                Half::Customer
            }
            Self::TerminalRisk { .. } => Half::Terminal,
        }
    }

    #[inline]
    fn holds(&self, input: &RuleInput) -> bool {
        match *self {
            Self::Amount { over_micros } => input.amount_micros > over_micros,
            Self::CustomerSpend { deviations, times, count_min } => {
                // The cheap half first: most transactions are near their average.
                let Some((average, earlier)) = earlier_average(input, count_min) else {
                    return false;
                };
                let cents = float(input.amount_micros.into()) / float(MICROS_A_CENT.into());
                cents >= times * average
                    && cents - average > deviations * spread(input, average, earlier)
            }
            Self::TerminalRisk { window, risk_min, count_min } => {
                let RiskCounts { count, frauds } = input.terminal[window];
                count >= count_min && float(frauds.into()) >= risk_min * float(count.into())
            }
            Self::Velocity { count_min, times } => {
                let [day, _, month] = &input.customer;
                day.count >= count_min
                    && float(day.count.into()) * 30.0 >= times * float(month.count.into())
            }
        }
    }
}

/// The average in cents of the customer's 30 days without the present transaction, and of how
/// many; `None` where these are fewer than `count_min`.
#[inline]
fn earlier_average(input: &RuleInput, count_min: u64) -> Option<(f64, f64)> {
    let month = &input.customer[2];
    let earlier = month.count.saturating_sub(1);
    if earlier < count_min {
        return None;
    }
    let sum_micros = month.sum_micros - i128::from(input.amount_micros);
    let earlier = float(earlier.into());
    Some((float(sum_micros) / float(MICROS_A_CENT.into()) / earlier, earlier))
}

/// The standard deviation in cents of the same transactions.
#[inline]
fn spread(input: &RuleInput, average: f64, earlier: f64) -> f64 {
    let squares = input.customer[2].sum_squares - cents_squared(input.amount_micros);
    // Amounts with parts of a cent can bring this below 0 by a rounding.
    (float(squares) / earlier - average * average).max(0.0).sqrt()
}

#[expect(clippy::cast_precision_loss, reason = "the nearest float is meant")]
#[inline]
fn float(value: i128) -> f64 {
    // 64 bits convert in one instruction, 128 take a call.
    match i64::try_from(value) {
        Ok(small) => small as f64,
        Err(_) => value as f64,
    }
}

impl CompiledRules {
    pub(super) fn new(thresholds: Thresholds) -> Self {
        Self { thresholds, scores: Vec::new(), halves: [Vec::new(), Vec::new()], names: Vec::new() }
    }

    pub(super) fn add(&mut self, name: String, score: u32, test: Test) {
        assert!(self.scores.len() < RULES_MAX, "invariant 2");
        self.halves[test.half() as usize].push((self.scores.len(), test));
        self.scores.push(score);
        self.names.push(name);
    }

    /// The names of the enabled rules: bit `n` of a [`ReasonSet`] is the `n`th.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The rules of one half that hold; the other half of `input` is not looked at.
    #[inline]
    #[must_use]
    pub fn held(&self, input: &RuleInput, half: Half) -> ReasonSet {
        let mut reasons = 0_u32;
        for (index, test) in &self.halves[half as usize] {
            reasons |= u32::from(test.holds(input)) << index;
        }
        ReasonSet(reasons)
    }

    /// The verdict that follows from the rules that hold.
    #[inline]
    #[must_use]
    pub fn decide(&self, reasons: ReasonSet) -> Verdict {
        let mut score = 0_u32;
        let mut left = reasons.0;
        while left != 0 {
            score += self.scores[left.trailing_zeros() as usize];
            left &= left - 1;
        }
        let decision = if score >= self.thresholds.decline {
            Decision::Decline
        } else if score >= self.thresholds.review {
            Decision::Review
        } else {
            Decision::Approve
        };
        Verdict { decision, score, reasons }
    }

    /// The verdict on a transaction, from both halves at once.
    #[inline]
    #[must_use]
    pub fn verdict(&self, input: &RuleInput) -> Verdict {
        let customer = self.held(input, Half::Customer);
        let terminal = self.held(input, Half::Terminal);
        self.decide(ReasonSet(customer.0 | terminal.0))
    }

    /// The names of the rules that held, in the rules' order.
    pub fn reasons(&self, reasons: ReasonSet) -> impl Iterator<Item = &str> {
        let held = move |index: usize| reasons.0 >> index & 1 == 1;
        let named = self.names().enumerate();
        named.filter_map(move |(index, name)| held(index).then_some(name))
    }

    /// Appends the decision's JSON line:
    /// `{"transaction_id":7,"decision":"review","score":60,"reasons":["customer_spend"]}`.
    #[inline]
    pub fn push_line(&self, transaction_id: u64, verdict: &Verdict, out: &mut Vec<u8>) {
        self.push_decision(transaction_id, verdict, out);
        out.push(b'\n');
    }

    /// As [`CompiledRules::push_line`], without the newline.
    #[inline]
    pub fn push_decision(&self, transaction_id: u64, verdict: &Verdict, out: &mut Vec<u8>) {
        // Names hold nothing that JSON would escape (`rules.rs` checks it).
        out.extend_from_slice(b"{\"transaction_id\":");
        push_u64(out, transaction_id);
        if verdict.decision == Decision::Approve && verdict.score == 0 && verdict.reasons.0 == 0 {
            // Nearly all: one copy.
            out.extend_from_slice(b",\"decision\":\"approve\",\"score\":0,\"reasons\":[]}");
            return;
        }
        out.extend_from_slice(b",\"decision\":\"");
        out.extend_from_slice(verdict.decision.name().as_bytes());
        out.extend_from_slice(b"\",\"score\":");
        push_u64(out, verdict.score.into());
        out.extend_from_slice(b",\"reasons\":[");
        let mut left = verdict.reasons.0;
        while left != 0 {
            let name = &self.names[left.trailing_zeros() as usize];
            left &= left - 1;
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.push(b'"');
            if left != 0 {
                out.push(b',');
            }
        }
        out.extend_from_slice(b"]}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::Rules;
    use super::*;

    /// A customer with the earlier `amounts` (in cents) who now pays `cents`.
    fn paying(amounts: &[i64], cents: i64) -> RuleInput {
        let mut month = WindowSums::default();
        for amount in amounts.iter().chain([&cents]) {
            month.count += 1;
            month.sum_micros += i128::from(amount * MICROS_A_CENT);
            month.sum_squares += cents_squared(amount * MICROS_A_CENT);
        }
        RuleInput {
            amount_micros: cents * MICROS_A_CENT,
            customer: [month; 3],
            terminal: [RiskCounts::default(); 3],
        }
    }

    fn verdict_line(input: &RuleInput) -> String {
        let rules = Rules::load(None).unwrap();
        let mut out = Vec::new();
        rules.push_line(7, &rules.verdict(input), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_ordinary_transaction_is_approved_without_reasons() {
        assert_eq!(
            verdict_line(&paying(&[5_000; 3], 5_100)),
            "{\"transaction_id\":7,\"decision\":\"approve\",\"score\":0,\"reasons\":[]}\n"
        );
    }

    #[test]
    fn the_limit_itself_is_not_over_the_limit() {
        assert!(verdict_line(&paying(&[], 22_000)).contains("approve"));
        assert!(verdict_line(&paying(&[], 22_001)).contains("[\"amount_over_limit\"]"));
    }

    #[test]
    fn five_fold_amounts_stand_out_from_the_customers_own() {
        let usual = [900, 1_100, 1_000, 1_500, 500, 1_000];
        assert!(verdict_line(&paying(&usual, 5_000)).contains("[\"customer_spend\"]"));
        assert!(verdict_line(&paying(&usual, 2_400)).contains("approve"));
        assert!(verdict_line(&paying(&usual[..4], 5_000)).contains("approve"));
    }

    #[test]
    fn a_terminal_with_known_frauds_is_named_by_window() {
        let mut input = paying(&[5_000; 3], 5_000);
        input.terminal[0] = RiskCounts { count: 1, frauds: 1 };
        input.terminal[1] = RiskCounts { count: 4, frauds: 2 };
        let line = verdict_line(&input);
        assert!(line.contains("\"decline\",\"score\":100,"), "{line}");
        assert!(line.contains("[\"terminal_risk_1d\",\"terminal_risk_7d\"]"));
    }

    #[test]
    fn many_in_a_day_count_against_the_own_rate() {
        let mut input = paying(&[5_000; 3], 5_000);
        input.customer[0].count = 10;
        // 120 like the four: the average stays.
        input.customer[2].count = 120;
        input.customer[2].sum_micros *= 30;
        input.customer[2].sum_squares *= 30;
        assert!(verdict_line(&input).contains("[\"velocity\"]"));
        input.customer[2].count = 121;
        assert!(verdict_line(&input).contains("\"reasons\":[]"));
    }

    #[test]
    fn amounts_of_any_magnitude_are_judged_without_overflow() {
        let rules = Rules::load(None).unwrap();
        for amount in [i64::MIN, i64::MAX, 0] {
            let mut input = paying(&[], 0);
            input.amount_micros = amount;
            for month in &mut input.customer {
                *month = WindowSums {
                    count: 10_000,
                    sum_micros: i128::from(amount) * 10_000,
                    sum_squares: cents_squared(amount) * 10_000,
                };
            }
            let over = amount == i64::MAX;
            assert_eq!(rules.verdict(&input).reasons.0 & 1 == 1, over);
        }
    }
}

//! The rules at work: a transaction's sums in, a verdict with its reasons out.
//!
//! Takes a [`RuleInput`]; hands on a [`Verdict`]. Pure, without allocation, and the same to the
//! bit wherever it runs: sums are integers, and the few floats are made from them by `+ - * /` and
//! `sqrt`, which IEEE 754 fixes.
//!
//! Invariants
//! 1. A verdict depends on its `RuleInput` and the rules alone, so it is the same for every count of
//!    shards.
//! 2. Rule `n` is bit `n` of the reasons; there are at most 32 (`rules.rs` checks it).
//! 3. A decision's line ends with the version of the rules that made it, a hash of their text.

use std::fmt;

use pelton::record::KeyHash;

use super::alerts::AlertRules;
use super::rules::{RULES_MAX, Thresholds, micros};
use crate::digits::push_u64;

/// The lengths of the windows, in days.
pub const WINDOW_DAYS: [u32; 3] = [1, 7, 30];
/// Millionths of an amount in a cent.
const MICROS_A_CENT: i64 = 10_000;
const MICROS_AN_HOUR: f64 = 3_600_000_000.0;

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

/// From the place of the card's transaction before this one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Travel {
    /// How far; 0 where one of the two has no place.
    pub metres: u32,
    /// In which time.
    pub micros: u64,
}

/// What the rules see of a transaction: its amount, the windows of 1, 7 and 30 days, and where its
/// card has just been.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleInput {
    /// The amount in millionths.
    pub amount_micros: i64,
    /// The customer's windows. They include the present transaction.
    pub customer: [WindowSums; 3],
    /// The terminal's windows.
    pub terminal: [RiskCounts; 3],
    /// The terminals that the card has paid at in an hour, this one included.
    pub merchants_1h: u32,
    /// From the place before.
    pub travel: Travel,
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

/// Which rules: a hash of their text, the same on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RulesVersion(pub u64);

/// Rules that have been checked, in the order in which they give their reasons.
#[derive(Debug, Clone)]
pub struct CompiledRules {
    version: RulesVersion,
    thresholds: Thresholds,
    scores: Vec<u32>,
    tests: Vec<Test>,
    names: Vec<String>,
    alerts: AlertRules,
    /// How the line of nearly all decisions goes on behind the number.
    approved: Vec<u8>,
    /// How the line of any decision ends.
    end: Vec<u8>,
}

/// When a rule holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    Amount { over_micros: i64 },
    CustomerSpend { deviations: f64, times: f64, count_min: u64 },
    TerminalRisk { window: usize, risk_min: f64, count_min: u64 },
    Velocity { count_min: u64, times: f64 },
    Merchants { count_min: u32 },
    ImpossibleTravel { kmh_over: f64, km_min: f64 },
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

impl fmt::Display for RulesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
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
        Self::Amount { over_micros: micros(over) }
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

    pub(super) fn merchants(count_min: u32) -> Self {
        Self::Merchants { count_min }
    }

    pub(super) fn impossible_travel(kmh_over: f64, km_min: f64) -> Self {
        Self::ImpossibleTravel { kmh_over, km_min }
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
            Self::Merchants { count_min } => input.merchants_1h >= count_min,
            Self::ImpossibleTravel { kmh_over, km_min } => {
                let Travel { metres, micros } = input.travel;
                // Two places at one moment are too far apart for any speed.
                let hours = float(micros.into()) / MICROS_AN_HOUR;
                let km = f64::from(metres) / 1_000.0;
                metres > 0 && km >= km_min && km > kmh_over * hours
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
    pub(super) fn new(text: &str, thresholds: Thresholds, alerts: AlertRules) -> Self {
        let KeyHash(hash) = KeyHash::of(text.as_bytes());
        let version = RulesVersion(hash);
        let end = format!("],\"rules\":\"{version}\"}}");
        let approved = format!(",\"decision\":\"approve\",\"score\":0,\"reasons\":[{end}");
        Self {
            version,
            thresholds,
            scores: Vec::new(),
            tests: Vec::new(),
            names: Vec::new(),
            alerts,
            approved: approved.into_bytes(),
            end: end.into_bytes(),
        }
    }

    pub(super) fn add(&mut self, name: String, score: u32, test: Test) {
        assert!(self.scores.len() < RULES_MAX, "invariant 2");
        self.tests.push(test);
        self.scores.push(score);
        self.names.push(name);
    }

    /// Which rules these are.
    #[must_use]
    pub fn version(&self) -> RulesVersion {
        self.version
    }

    /// What is looked for beside the decisions.
    #[inline]
    #[must_use]
    pub fn alerts(&self) -> &AlertRules {
        &self.alerts
    }

    /// The names of the enabled rules: bit `n` of a [`ReasonSet`] is the `n`th.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The rules that hold.
    #[inline]
    #[must_use]
    pub fn held(&self, input: &RuleInput) -> ReasonSet {
        let mut reasons = 0_u32;
        for (test, index) in self.tests.iter().zip(0..) {
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

    /// The verdict on a transaction.
    #[inline]
    #[must_use]
    pub fn verdict(&self, input: &RuleInput) -> Verdict {
        self.decide(self.held(input))
    }

    /// The names of the rules that held, in the rules' order.
    pub fn reasons(&self, reasons: ReasonSet) -> impl Iterator<Item = &str> {
        let held = move |index: usize| reasons.0 >> index & 1 == 1;
        let named = self.names().enumerate();
        named.filter_map(move |(index, name)| held(index).then_some(name))
    }

    /// Appends the decision's JSON line:
    /// `{"transaction_id":7,"decision":"review","score":60,"reasons":["customer_spend"],"rules":".."}`.
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
            out.extend_from_slice(&self.approved);
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
        out.extend_from_slice(&self.end);
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
            ..RuleInput::default()
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
        let version = Rules::load(None).unwrap().version();
        let begin = "{\"transaction_id\":7,\"decision\":\"approve\",\"score\":0,\"reasons\":[]";
        assert_eq!(
            verdict_line(&paying(&[5_000; 3], 5_100)),
            format!("{begin},\"rules\":\"{version}\"}}\n")
        );
        assert_eq!(version.to_string().len(), 16);
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
    fn many_terminals_in_an_hour_are_named() {
        let mut input = paying(&[5_000; 3], 5_000);
        input.merchants_1h = 4;
        assert!(verdict_line(&input).contains("\"reasons\":[]"));
        input.merchants_1h = 5;
        assert!(verdict_line(&input).contains("[\"merchants\"]"));
    }

    #[test]
    fn faster_than_an_aircraft_is_impossible_and_a_short_way_is_not() {
        let mut input = paying(&[5_000; 3], 5_000);
        let hour = 3_600_000_000;
        for (metres, micros, impossible) in [
            (900_000, hour, false),
            (900_001, hour, true),
            (99_999, 0, false),
            (100_000, 0, true),
            (0, 0, false),
            (20_000_000, 24 * hour, false),
            (u32::MAX, u64::MAX, false),
        ] {
            input.travel = Travel { metres, micros };
            let line = verdict_line(&input);
            assert_eq!(line.contains("[\"impossible_travel\"]"), impossible, "{metres} m, {line}");
        }
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

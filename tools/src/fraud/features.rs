//! The twelve features of a transaction as a row of `features.csv`.
//!
//! Takes the sums that the rules see too, so that the row and the verdict can't disagree; hands on
//! text. Averages and risks are quotients of integers, rounded half away from zero at the sixth
//! place: no float is involved, so the text is the same everywhere.

use super::verdict::{RiskCounts, RuleInput, WindowSums};
use crate::digits::{push_micros, push_u64, rounded_quotient};

/// The first line of `features.csv`.
pub const FEATURES_HEADER: &str = "transaction_id,\
customer_count_1d,customer_avg_1d,customer_count_7d,customer_avg_7d,\
customer_count_30d,customer_avg_30d,\
terminal_count_1d,terminal_risk_1d,terminal_count_7d,terminal_risk_7d,\
terminal_count_30d,terminal_risk_30d\n";

/// The twelve features of one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// The customer's windows: how many, and their average amount in millionths.
    pub customer: [(u64, i128); 3],
    /// The terminal's windows.
    pub terminal: [RiskCounts; 3],
}

impl Features {
    /// What the rules saw, as features.
    #[inline]
    #[must_use]
    pub fn of(input: &RuleInput) -> Self {
        let averaged =
            |window: &WindowSums| (window.count, rounded_quotient(window.sum_micros, window.count));
        let [day, week, month] = &input.customer;
        Self {
            customer: [averaged(day), averaged(week), averaged(month)],
            terminal: input.terminal,
        }
    }

    /// Appends the row of one transaction, without its newline.
    #[inline]
    pub fn push_row(&self, transaction_id: u64, out: &mut Vec<u8>) {
        push_u64(out, transaction_id);
        for (count, average_micros) in self.customer {
            out.push(b',');
            push_u64(out, count);
            out.push(b',');
            push_micros(out, average_micros);
        }
        for window in &self.terminal {
            out.push(b',');
            push_u64(out, window.count);
            if window.frauds == 0 {
                out.extend_from_slice(b",0.000000");
            } else {
                out.push(b',');
                let millionths = i128::from(window.frauds) * 1_000_000;
                push_micros(out, rounded_quotient(millionths, window.count));
            }
        }
    }
}

/// Appends the line of one transaction.
#[inline]
pub fn push_features(transaction_id: u64, input: &RuleInput, out: &mut Vec<u8>) {
    Features::of(input).push_row(transaction_id, out);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_columns_of_the_header() {
        let customer = WindowSums { count: 3, sum_micros: 100_000_000, sum_squares: 0 };
        let terminal = RiskCounts { count: 3, frauds: 2 };
        let input = RuleInput {
            amount_micros: 0,
            customer: [customer; 3],
            terminal: [RiskCounts::default(), terminal, terminal],
            ..RuleInput::default()
        };
        let mut out = Vec::new();
        push_features(9, &input, &mut out);
        let row = String::from_utf8(out).unwrap();
        assert_eq!(row, "9,3,33.333333,3,33.333333,3,33.333333,0,0.000000,3,0.666667,3,0.666667\n");
        assert_eq!(row.matches(',').count(), FEATURES_HEADER.matches(',').count());
    }
}

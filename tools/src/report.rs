//! The fraud job's own part of the report: decisions against labels.

use std::fmt::{self, Write as _};

use pelton::command::human::{count, plural, whole};
use serde::Serialize;

use crate::fraud::quality::{FraudQuality, Quality};

/// What the decisions were worth; nothing where the input has no labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FraudSection {
    /// Decisions against labels; absent where the input has no labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
}

impl fmt::Display for FraudSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.quality.as_ref().map_or(Ok(()), |quality| f.write_str(&quality_text(quality)))
    }
}

/// A table: one line a scenario.
fn quality_text(quality: &Quality) -> String {
    let mut text = format!(
        "  {:<12}{} approved, {} reviewed, {} declined; {}\n",
        "decisions",
        count(quality.approved),
        count(quality.reviewed),
        count(quality.declined),
        plural(quality.false_positives, "false positive"),
    );
    let columns = ["frauds", "found", "precision", "recall", "saved", "lost"];
    let [a, b, c, d, e, g] = columns;
    let _ = writeln!(text, "  {:<12}{a:>8}{b:>8}{c:>11}{d:>9}{e:>14}{g:>14}", "fraud");
    let mut row = |label: &str, quality: &FraudQuality| {
        let percent = |share: Option<f64>| {
            share.map_or("-".to_owned(), |share| format!("{:.1} %", share * 100.0))
        };
        let _ = writeln!(
            text,
            "    {label:<10}{:>8}{:>8}{:>11}{:>9}{:>14}{:>14}",
            count(quality.frauds),
            count(quality.frauds_flagged),
            percent(quality.precision),
            percent(quality.recall),
            whole(quality.money_saved),
            whole(quality.money_lost)
        );
    };
    for scenario in &quality.scenarios {
        row(&format!("kind {}", scenario.scenario), &scenario.quality);
    }
    row("all", &quality.all);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fraud::quality::QualityTally;
    use crate::fraud::verdict::Decision;

    #[test]
    fn the_table_is_aligned_and_in_human_units() {
        let mut tally = QualityTally::default();
        tally.add(Decision::Decline, 1_234_500_000, Some(true), Some(1));
        tally.add(Decision::Approve, 1_000_000, Some(false), Some(0));
        assert_eq!(
            FraudSection { quality: tally.quality() }.to_string(),
            "  decisions   1 approved, 0 reviewed, 1 declined; 0 false positives
  fraud         frauds   found  precision   recall         saved          lost
    kind 1           1       1    100.0 %  100.0 %         1,235             0
    all              1       1    100.0 %  100.0 %         1,235             0
"
        );
    }

    #[test]
    fn without_labels_there_is_no_quality() {
        let section = FraudSection { quality: None };
        assert_eq!(section.to_string(), "");
        assert_eq!(serde_json::to_string(&section).unwrap(), "{}");
    }
}

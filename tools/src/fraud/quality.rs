//! How good the decisions were, where the input says what was a fraud.
//!
//! Takes decisions with their labels, one by one on each shard; the shards' tallies are merged and
//! handed on as the report's [`Quality`]. Everything is counted in integers, so the result is the
//! same however the transactions were spread over shards.
//!
//! A transaction is *flagged* when it was not approved. A false positive belongs to no scenario;
//! a scenario's precision is therefore that of its own frauds against all false positives.

use std::collections::BTreeMap;

use serde::Serialize;

use super::verdict::Decision;

/// Decisions against labels, on one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QualityTally {
    decisions: [u64; 3],
    labelled: u64,
    false_positives: u64,
    all: Frauds,
    /// By the scenario's number; looked up for frauds only, which are few.
    scenarios: BTreeMap<u8, Frauds>,
}

/// Frauds of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Frauds {
    count: u64,
    flagged: u64,
    saved_micros: i128,
    lost_micros: i128,
}

/// The quality section of the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quality {
    /// Transactions with a label.
    pub labelled: u64,
    /// How many of all transactions were decided how.
    pub approved: u64,
    /// To be looked at by a person.
    pub reviewed: u64,
    /// Refused.
    pub declined: u64,
    /// Flagged transactions that were no frauds.
    pub false_positives: u64,
    /// All frauds together.
    #[serde(flatten)]
    pub all: FraudQuality,
    /// By scenario, in the order of their numbers; empty where the input names none.
    pub scenarios: Vec<ScenarioQuality>,
}

/// How well frauds were found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FraudQuality {
    /// How many there were.
    pub frauds: u64,
    /// How many of them were flagged.
    pub frauds_flagged: u64,
    /// Flagged frauds among all that was flagged; absent where nothing was.
    pub precision: Option<f64>,
    /// Flagged frauds among all frauds; absent where there were none.
    pub recall: Option<f64>,
    /// The amounts of the flagged frauds.
    pub money_saved: f64,
    /// The amounts of the others.
    pub money_lost: f64,
}

/// The same for one scenario.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ScenarioQuality {
    /// Its number in the input.
    pub scenario: u8,
    /// How well it was found.
    #[serde(flatten)]
    pub quality: FraudQuality,
}

impl QualityTally {
    /// Counts one decision. `fraud` is the transaction's label and `scenario` its kind of fraud
    /// (0 for none), each where the input has it.
    #[inline]
    pub fn add(
        &mut self,
        decision: Decision,
        amount_micros: i64,
        fraud: Option<bool>,
        scenario: Option<u8>,
    ) {
        self.decisions[decision as usize] += 1;
        let Some(fraud) = fraud else { return };
        self.labelled += 1;
        let flagged = decision != Decision::Approve;
        if fraud {
            self.add_fraud(flagged, amount_micros, scenario.unwrap_or(0));
        } else {
            self.false_positives += u64::from(flagged);
        }
    }

    #[cold]
    fn add_fraud(&mut self, flagged: bool, amount_micros: i64, scenario: u8) {
        self.all.add(flagged, amount_micros);
        if scenario != 0 {
            let frauds = self.scenarios.entry(scenario).or_default();
            frauds.add(flagged, amount_micros);
        }
    }

    /// Adds another shard's tally.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.decisions.iter_mut().zip(other.decisions) {
            *mine += theirs;
        }
        self.labelled += other.labelled;
        self.false_positives += other.false_positives;
        self.all.merge(&other.all);
        for (scenario, frauds) in &other.scenarios {
            self.scenarios.entry(*scenario).or_default().merge(frauds);
        }
    }

    /// The report's section; `None` where no transaction had a label.
    #[must_use]
    pub fn quality(&self) -> Option<Quality> {
        let [approved, reviewed, declined] = self.decisions;
        let scenarios = self.scenarios.iter();
        (self.labelled > 0).then(|| Quality {
            labelled: self.labelled,
            approved,
            reviewed,
            declined,
            false_positives: self.false_positives,
            all: self.all.quality(self.false_positives),
            scenarios: scenarios
                .map(|(&scenario, frauds)| ScenarioQuality {
                    scenario,
                    quality: frauds.quality(self.false_positives),
                })
                .collect(),
        })
    }
}

impl Frauds {
    fn add(&mut self, flagged: bool, amount_micros: i64) {
        self.count += 1;
        self.flagged += u64::from(flagged);
        let side = if flagged { &mut self.saved_micros } else { &mut self.lost_micros };
        *side += i128::from(amount_micros);
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.flagged += other.flagged;
        self.saved_micros += other.saved_micros;
        self.lost_micros += other.lost_micros;
    }

    fn quality(&self, false_positives: u64) -> FraudQuality {
        FraudQuality {
            frauds: self.count,
            frauds_flagged: self.flagged,
            precision: share(self.flagged, self.flagged + false_positives),
            recall: share(self.flagged, self.count),
            money_saved: money(self.saved_micros),
            money_lost: money(self.lost_micros),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share is shown to four places")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[expect(clippy::cast_precision_loss, reason = "cents are exact up to 90 millions of millions")]
fn money(micros: i128) -> f64 {
    (micros / 10_000) as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: [(Decision, i64, bool, u8); 6] = [
        (Decision::Approve, 10_000_000, false, 0),
        (Decision::Review, 20_000_000, false, 0),
        (Decision::Decline, 300_500_000, true, 1),
        (Decision::Review, 50_000_000, true, 2),
        (Decision::Approve, 70_000_000, true, 2),
        (Decision::Approve, 5_000_000, false, 0),
    ];

    #[test]
    fn shards_merge_to_the_tally_of_one() {
        let mut whole = QualityTally::default();
        let mut halves = [QualityTally::default(), QualityTally::default()];
        for (index, (decision, amount, fraud, scenario)) in CASES.into_iter().enumerate() {
            whole.add(decision, amount, Some(fraud), Some(scenario));
            halves[index % 2].add(decision, amount, Some(fraud), Some(scenario));
        }
        let [mut merged, other] = halves;
        merged.merge(&other);
        assert_eq!(merged, whole);

        let quality = whole.quality().unwrap();
        assert_eq!(quality.false_positives, 1);
        assert_eq!((quality.approved, quality.reviewed, quality.declined), (3, 2, 1));
        assert_eq!(quality.all.precision, Some(2.0 / 3.0));
        assert_eq!(quality.all.recall, Some(2.0 / 3.0));
        assert_eq!((quality.all.money_saved, quality.all.money_lost), (350.5, 70.0));
        let [large, terminal] = &quality.scenarios[..] else {
            panic!("two scenarios");
        };
        assert_eq!(large.quality.precision, Some(0.5));
        assert_eq!(terminal.quality.recall, Some(0.5));
        let json = serde_json::to_value(&quality).unwrap();
        assert_eq!(json["recall"], 2.0 / 3.0);
        assert_eq!(json["scenarios"][1]["scenario"], 2);
        assert_eq!(json["scenarios"][1]["money_saved"], 50.0);
    }

    #[test]
    fn without_labels_there_is_no_quality() {
        let mut tally = QualityTally::default();
        tally.add(Decision::Review, 1, None, None);
        assert_eq!(tally.quality(), None);
        tally.add(Decision::Review, 1, Some(true), None);
        assert!(tally.quality().unwrap().scenarios.is_empty());
    }
}

//! What the fraud job writes: decisions, features, and a tally against the labels.

use std::path::Path;

use pelton::record::{FrameHeader, Item};
use pelton::sink::{NamedSink, RowFormat, SinkFactory, tally};

use super::alerts::AlertLines;
use super::features::{FEATURES_HEADER, Features};
use super::quality::QualityTally;
use super::records::{Decided, DecidedView};
use super::rules_in_use::RulesUsed;
use super::verdict::RiskCounts;
use crate::digits::{push_micros, push_u64};

/// One JSON line a transaction: the decision, its score, its reasons, and whose they are.
#[derive(Debug, Clone)]
pub struct DecisionLines(RulesUsed);

impl DecisionLines {
    /// Lines with the reasons of these rules.
    #[must_use]
    pub fn new(rules: RulesUsed) -> Self {
        Self(rules)
    }
}

impl RowFormat<Decided> for DecisionLines {
    #[inline]
    fn write(&self, _: &FrameHeader, decided: DecidedView, out: &mut Vec<u8>) {
        let rules = self.0.get(decided.rules);
        let verdict = rules.decide(decided.reason_set());
        rules.push_decision(decided.transaction_id, &verdict, out);
    }
}

/// One CSV line a transaction: what the ones of its card just before it say.
#[derive(Debug, Clone, Copy)]
pub struct CardFeatureLines;

impl RowFormat<Decided> for CardFeatureLines {
    fn header(&self) -> Option<String> {
        Some("transaction_id,merchants_1h,travel_m,travel_s".to_owned())
    }

    #[inline]
    fn write(&self, _: &FrameHeader, d: DecidedView, out: &mut Vec<u8>) {
        push_u64(out, d.transaction_id);
        out.push(b',');
        push_u64(out, d.merchants_1h.into());
        out.push(b',');
        push_u64(out, d.travel_metres.into());
        out.push(b',');
        push_micros(out, d.travel_micros.into());
    }
}

/// One CSV line a transaction: its twelve features.
#[derive(Debug, Clone, Copy)]
pub struct FeatureLines;

impl RowFormat<Decided> for FeatureLines {
    fn header(&self) -> Option<String> {
        Some(FEATURES_HEADER.trim_end().to_owned())
    }

    #[inline]
    fn write(&self, _: &FrameHeader, d: DecidedView, out: &mut Vec<u8>) {
        let terminal = |count, frauds| RiskCounts { count, frauds };
        let features = Features {
            customer: [
                (d.customer_count_1d, d.customer_avg_1d.0.into()),
                (d.customer_count_7d, d.customer_avg_7d.0.into()),
                (d.customer_count_30d, d.customer_avg_30d.0.into()),
            ],
            terminal: [
                terminal(d.terminal_count_1d, d.terminal_frauds_1d),
                terminal(d.terminal_count_7d, d.terminal_frauds_7d),
                terminal(d.terminal_count_30d, d.terminal_frauds_30d),
            ],
        };
        features.push_row(d.transaction_id, out);
    }
}

/// The file, or directory, of decisions.
#[must_use]
pub fn decisions(path: &Path, rules: RulesUsed) -> NamedSink<DecisionLines> {
    NamedSink::new(path, DecisionLines::new(rules), "ndjson")
}

/// The file, or directory, of the cards' features.
#[must_use]
pub fn card_features(path: &Path) -> NamedSink<CardFeatureLines> {
    NamedSink::new(path, CardFeatureLines, "csv")
}

/// The file, or directory, of alerts.
#[must_use]
pub fn alert_lines(path: &Path) -> NamedSink<AlertLines> {
    NamedSink::new(path, AlertLines, "ndjson")
}

/// The file, or directory, of features.
#[must_use]
pub fn features(path: &Path) -> NamedSink<FeatureLines> {
    NamedSink::new(path, FeatureLines, "csv")
}

/// Adds decisions up against the labels; `total` of a clone gives the sum once the job has ended.
#[must_use]
pub fn quality(rules: RulesUsed) -> impl SinkFactory<Decided> + Total<QualityTally> + Clone {
    tally::<Decided, _, _, _>(
        QualityTally::default(),
        move |sum: &mut QualityTally, _: &FrameHeader, d: <Decided as Item>::View<'_>| {
            let verdict = rules.get(d.rules).decide(d.reason_set());
            sum.add(verdict.decision, d.amount.0, d.fraud, d.scenario);
        },
        |sum: &mut QualityTally, other: QualityTally| sum.merge(&other),
    )
}

/// A tally whose total can be asked for.
pub trait Total<T> {
    /// The total of the shards that have ended.
    fn total(&self) -> T;
}

impl<T, F, M> Total<T> for pelton::sink::TallySink<T, F, M>
where
    T: Clone,
{
    fn total(&self) -> T {
        pelton::sink::TallySink::total(self)
    }
}

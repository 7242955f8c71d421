//! What the fraud job writes: decisions, features, and a tally against the labels.

use std::path::Path;
use std::sync::Arc;

use pelton::record::{FrameHeader, Item};
use pelton::sink::{NamedSink, RowFormat, SinkFactory, tally};

use super::features::{FEATURES_HEADER, Features};
use super::job::{Decided, DecidedView};
use super::quality::QualityTally;
use super::verdict::{CompiledRules, RiskCounts};

/// One JSON line a transaction: the decision, its score and its reasons.
#[derive(Debug, Clone)]
pub struct DecisionLines(Arc<CompiledRules>);

impl RowFormat<Decided> for DecisionLines {
    #[inline]
    fn write(&self, _: &FrameHeader, decided: DecidedView, out: &mut Vec<u8>) {
        let verdict = self.0.decide(decided.reason_set());
        self.0.push_decision(decided.transaction_id, &verdict, out);
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
pub fn decisions(path: &Path, rules: Arc<CompiledRules>) -> NamedSink<DecisionLines> {
    NamedSink::new(path, DecisionLines(rules), "ndjson")
}

/// The file, or directory, of features.
#[must_use]
pub fn features(path: &Path) -> NamedSink<FeatureLines> {
    NamedSink::new(path, FeatureLines, "csv")
}

/// Adds decisions up against the labels; `total` of a clone gives the sum once the job has ended.
#[must_use]
pub fn quality(
    rules: Arc<CompiledRules>,
) -> impl SinkFactory<Decided> + Total<QualityTally> + Clone {
    tally::<Decided, _, _, _>(
        QualityTally::default(),
        move |sum: &mut QualityTally, _: &FrameHeader, d: <Decided as Item>::View<'_>| {
            let verdict = rules.decide(d.reason_set());
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

//! The plan of a job as data: sources, stages, exchanges and outputs, for people and programs.
//!
//! Takes a job that has been built; hands on a [`Plan`], which `pelton plan` draws.
//!
//! Invariants
//! 1. A plan is read off what would run: each stage and each chain describes itself.
//! 2. A job has one plan, whatever it is run with: nothing in it depends on shards or drivers.
//! 3. Stages stand in the order of their levels, and an exchange leads to a later one.
//!
//! Why data first and drawings of it: a plan is compared, searched and drawn elsewhere too.

mod assemble;
mod diagram;
mod dot;
mod draw;
mod layered;
mod mermaid;
mod svg;
mod text;

use serde::{Deserialize, Serialize};

pub use crate::chain::{CodePlace, Link, OperatorPlan, OutputPlan, RoutePlan, SentPlan};
pub(super) use assemble::of;
pub use draw::PlanFormat;

/// A job as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What is read.
    pub sources: Vec<SourcePlan>,
    /// What runs, by level.
    pub stages: Vec<StagePlan>,
    /// What leads from one stage to another.
    pub exchanges: Vec<ExchangePlan>,
    /// What is written: each also ends a chain of some stage.
    pub outputs: Vec<OutputPlan>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePlan {
    /// What the job calls its stream, where the macro saw it.
    pub name: Option<String>,
    /// The type of its records.
    pub record: String,
    /// The type that opens its splits.
    pub splits: String,
    /// The field that holds the event time.
    pub event_time: Option<String>,
    /// How far behind the latest a record may be; absent where records go by arrival.
    pub lateness_micros: Option<i64>,
}

/// A stage: a head, which is a source or a stateful operator, and the chain that is fused to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagePlan {
    /// How far it stands from the sources.
    pub level: u16,
    /// What is at its head.
    pub head: HeadPlan,
    /// What follows, in the order in which an item meets it.
    pub chain: Vec<Link>,
}

/// What is at the head of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadPlan {
    /// The source of that number.
    Source(usize),
    /// An operator that keeps state.
    Operator(StatefulPlan),
    /// Nothing: streams meet or spread there, by `union`, `rebalance` or `broadcast`.
    Passing(String),
}

/// An operator that keeps state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatefulPlan {
    /// Its stable name.
    pub name: String,
    /// What it is: `aggregate`, `exact_windows`, ...
    pub kind: String,
    /// Its argument as it is written, where the macro saw it.
    pub text: Option<String>,
    /// The type of what leaves it.
    pub out: String,
    /// What it keeps, its main state first.
    pub states: Vec<StatePlan>,
    /// Where it is called.
    pub at: CodePlace,
}

/// What is kept under one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatePlan {
    /// The name.
    pub name: String,
    /// The kind of operator that keeps it.
    pub kind: String,
    /// The settings that its values depend on; may be empty.
    pub identity: String,
    /// The layout of its keys.
    pub key: String,
    /// Its kinds of value.
    pub values: Vec<ValuePlan>,
}

/// One kind of value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValuePlan {
    /// What it is called.
    pub name: String,
    /// Its layout.
    pub layout: String,
}

/// What leads from one stage to another: a ring for each pair of shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangePlan {
    /// The stage that sends, as an index of the plan's stages.
    pub from: usize,
    /// The stage that reads.
    pub to: usize,
    /// What is sent, and where to.
    pub sent: SentPlan,
}

impl StagePlan {
    /// Every link of the chain and of its branches, in order.
    pub(super) fn links(&self) -> Vec<&Link> {
        let mut links = Vec::new();
        collect(&self.chain, &mut links);
        links
    }
}

fn collect<'p>(chain: &'p [Link], links: &mut Vec<&'p Link>) {
    for link in chain {
        links.push(link);
        for branch in link.branches() {
            collect(branch, links);
        }
    }
}

//! Step 6, chain: a chain as data, for plans that people and programs read.
//!
//! Takes what a nest of blueprints says of itself; hands on its links in the order in which an
//! item meets them. The last link of a chain is its terminal.
//!
//! Invariant: what is described is what is built. A blueprint describes itself and then its next,
//! so a plan can't tell of an operator that does not run, nor leave one out.
//!
//! Why not a list that streams keep while they are built: it would be a second truth beside the
//! nest, and every new operator could forget it.

use std::panic::Location;

use serde::{Deserialize, Serialize};

/// Where something stands in the text of the job's program.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CodePlace {
    /// The file, as the compiler was told of it.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

impl From<&Location<'_>> for CodePlace {
    fn from(at: &Location<'_>) -> Self {
        Self { file: at.file().to_owned(), line: at.line(), column: at.column() }
    }
}

impl std::fmt::Display for CodePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One link of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "link", rename_all = "snake_case")]
pub enum Link {
    /// A stateless operator, fused with its neighbours.
    Operator(OperatorPlan),
    /// The terminal that sends records to the shards that own them.
    Exchange(SentPlan),
    /// The terminal that hands items to a sink.
    Output(OutputPlan),
    /// The terminal that parts items of two kinds.
    Sides {
        /// The chain of those that go on.
        main: Vec<Link>,
        /// The chain of the others.
        side: Vec<Link>,
    },
    /// The terminal that keeps records in a batch, which each branch reads.
    Fork {
        /// The branches, each a chain.
        branches: Vec<Vec<Link>>,
    },
}

impl Link {
    /// The chains that begin at this terminal.
    #[must_use]
    pub fn branches(&self) -> Vec<&[Link]> {
        match self {
            Self::Operator(_) | Self::Exchange(_) | Self::Output(_) => Vec::new(),
            Self::Sides { main, side } => vec![main, side],
            Self::Fork { branches } => branches.iter().map(Vec::as_slice).collect(),
        }
    }
}

/// A stateless operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorPlan {
    /// What it is: `filter`, `map`, `flat_map`, ...
    pub kind: String,
    /// What the job binds its result to, where the macro saw it.
    pub name: Option<String>,
    /// Its argument as it is written, where the macro saw it.
    pub text: Option<String>,
    /// The type of what leaves it, where that is another than what enters.
    pub out: Option<String>,
    /// Where it is called.
    pub at: CodePlace,
}

/// What an exchange is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentPlan {
    /// The exchange's number.
    pub exchange: usize,
    /// Where records go.
    pub route: RoutePlan,
    /// The record's type.
    pub record: String,
    /// The fields that cross.
    pub fields: Vec<String>,
    /// Why fields cross that may not be read behind it; absent where only read ones do.
    pub whole_because: Option<String>,
}

/// How an exchange chooses a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutePlan {
    /// `by key`, `by position`, ...
    pub kind: String,
    /// The key's type.
    pub key: Option<String>,
    /// How the key is read, as it is written, where the macro saw it.
    pub text: Option<String>,
    /// Where the key is chosen.
    pub at: Option<CodePlace>,
}

impl RoutePlan {
    /// A route that needs no key.
    #[must_use]
    pub fn keyless(kind: &str) -> Self {
        Self { kind: kind.to_owned(), key: None, text: None, at: None }
    }
}

/// An output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPlan {
    /// Its number, in the job's order.
    pub number: usize,
    /// The type of its rows.
    pub row: String,
    /// The type of its sink.
    pub sink: String,
    /// What its reader may rely on after a crash.
    pub guarantee: String,
}

/// A type's name without the paths to it: `Change<String, u64>`.
#[must_use]
pub fn type_name<T: ?Sized>() -> String {
    let full = std::any::type_name::<T>();
    let mut short = String::with_capacity(full.len());
    let mut word_start = 0;
    let mut rest = full;
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        if next == ':' && rest.starts_with(':') {
            rest = &rest[1..];
            short.truncate(word_start);
            continue;
        }
        short.push(next);
        if !(next.is_alphanumeric() || next == '_') {
            word_start = short.len();
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Change;

    #[test]
    fn a_type_is_known_by_its_last_name() {
        assert_eq!(
            type_name::<Change<String, (u64, Vec<bool>)>>(),
            "Change<String, (u64, Vec<bool>)>"
        );
        assert_eq!(type_name::<str>(), "str");
        assert_eq!(type_name::<[Option<CodePlace>; 2]>(), "[Option<CodePlace>; 2]");
    }
}

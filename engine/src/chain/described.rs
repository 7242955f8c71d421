//! What operators say of the state that they keep, so that it can be listed, shown and converted
//! without them.

use std::ops::RangeInclusive;

use crate::record::{Frame, Layout, Recode, Record};
use crate::state::{LogOffset, OperatorId, StateError, Store};

/// All that is kept under one operator id.
#[derive(Debug, Clone)]
pub struct OperatorState {
    /// The id.
    pub id: OperatorId,
    /// What it is: `aggregate`, `exact_windows`, ...
    pub kind: &'static str,
    /// The settings that its values depend on, such as lengths of windows, as text. State of other
    /// settings is refused.
    pub identity: String,
    /// The layout of its keys.
    pub key: Layout,
    /// Its kinds of value; no two share a namespace.
    pub values: Vec<StateLayout>,
}

/// One kind of value that an operator keeps.
#[derive(Debug, Clone)]
pub struct StateLayout {
    /// What people call it.
    pub name: String,
    /// The namespaces that hold such values, and no others.
    pub namespaces: RangeInclusive<u64>,
    /// Their layout.
    pub layout: Layout,
    /// For frames: what makes the payload of today's record from the fields of an older one.
    pub recode: Option<Recode>,
}

impl StateLayout {
    /// Values of a fixed layout.
    #[must_use]
    pub fn new(name: &str, namespaces: RangeInclusive<u64>, layout: Layout) -> Self {
        Self { name: name.to_owned(), namespaces, layout, recode: None }
    }

    /// Whole frames of `R`.
    #[must_use]
    pub fn frames<R: Record>(name: &str, namespaces: RangeInclusive<u64>) -> Self {
        let recode: Recode = |fields| fields.payload::<R>();
        let layout = Layout::Frame(R::layout());
        Self { name: name.to_owned(), namespaces, layout, recode: Some(recode) }
    }
}

/// The frame that an entry holds, once it was found to be one of an `R`: it may come from a disk.
///
/// # Errors
/// It is none.
pub(super) fn verified<R: Record>(
    state: &Store,
    offset: LogOffset,
) -> Result<Frame<'_>, StateError> {
    let key = state.entry_key(offset);
    Frame::verified::<R>(state.value(offset)).ok_or(StateError::Record {
        operator: key.operator.0,
        offset: offset.0,
        record: R::SCHEMA.name,
    })
}

//! What operators say of the state that they keep, so that it can be listed, shown and converted
//! without them.

use std::ops::RangeInclusive;

use crate::record::{Frame, Layout, Recode, Record};
use crate::state::{OperatorId, StateError, Store};

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

/// The kind of state without a key, of which every shard has a copy: a rescale copies it to all.
pub const SHARED_KIND: &str = "shared";

/// One kind of value that an operator keeps.
#[derive(Debug, Clone)]
pub struct StateLayout {
    /// What people call it.
    pub name: String,
    /// The namespaces that hold such values, and no others.
    pub namespaces: RangeInclusive<u64>,
    /// Their layout.
    pub layout: Layout,
    /// Where the values are frames: what today's record knows of them.
    pub frames: Option<FrameCode>,
}

/// What a record's own code does with frames that come from a disk.
#[derive(Debug, Clone, Copy)]
pub struct FrameCode {
    /// The record's name.
    pub record: &'static str,
    /// Makes the payload of today's record from the fields of an older one.
    pub recode: Recode,
    /// Whether bytes are exactly one frame of the record: operators trust what passed this.
    pub is_valid: fn(&[u8]) -> bool,
}

impl StateLayout {
    /// Values of a fixed layout.
    #[must_use]
    pub fn new(name: &str, namespaces: RangeInclusive<u64>, layout: Layout) -> Self {
        Self { name: name.to_owned(), namespaces, layout, frames: None }
    }

    /// Whole frames of `R`.
    #[must_use]
    pub fn frames<R: Record>(name: &str, namespaces: RangeInclusive<u64>) -> Self {
        let frames = FrameCode {
            record: R::SCHEMA.name,
            recode: |fields| fields.payload::<R>(),
            is_valid: |bytes| Frame::verified::<R>(bytes).is_some(),
        };
        let layout = Layout::Frame(R::layout());
        Self { name: name.to_owned(), namespaces, layout, frames: Some(frames) }
    }
}

impl OperatorState {
    /// Looks at every frame that the operator keeps in a log that comes from a disk. Until then
    /// nothing is known of them but their checksums, and `Frame::view` trusts its bytes.
    ///
    /// # Errors
    /// An entry is no frame of its record.
    pub fn verify(&self, log: &Store) -> Result<(), StateError> {
        if self.values.iter().all(|value| value.frames.is_none()) {
            return Ok(());
        }
        for offset in log.iter_operator(self.id) {
            let namespace = log.namespace(offset);
            let value = self.values.iter().find(|value| value.namespaces.contains(&namespace));
            if let Some(FrameCode { record, is_valid, .. }) = value.and_then(|value| value.frames)
                && !is_valid(log.value(offset))
            {
                let (operator, offset) = (self.id.0, offset.0);
                return Err(StateError::Record { operator, offset, record });
            }
        }
        Ok(())
    }
}

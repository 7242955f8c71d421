//! Entries as people read them.
//!
//! Takes a checkpoint; hands on its entries one by one, by operator and slot, each with its key and
//! value as its manifest's layouts say. What a layout does not fit is shown as hexadecimal digits.

use std::path::Path;

use serde_json::{Value, json};

use super::error::StateCommandError;
use super::open::State;
use crate::checkpoint::{Manifest, OperatorManifest, StateManifest};
use crate::record::Layout;
use crate::state::{LogOffset, OperatorId, SlotCursor, Store};

/// An entry of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownEntry<'a> {
    /// The operator's name.
    pub operator: &'a str,
    /// What kind of value it is; `?` where the manifest does not say.
    pub state: &'a str,
    /// The slot of its key.
    pub slot: u16,
    /// The key.
    pub key: Value,
    /// The key as a person types it.
    pub key_text: String,
    /// Which of the key's values of that kind it is, where there can be several: a pane, a timer.
    pub place: Option<u64>,
    /// The value.
    pub value: Value,
}

/// One operator of a checkpoint, with its layouts read.
pub(super) struct Operator<'m> {
    pub(super) manifest: &'m OperatorManifest,
    pub(super) id: OperatorId,
    pub(super) key: Option<Layout>,
    states: Vec<(&'m StateManifest, Option<Layout>)>,
}

impl<'m> Operator<'m> {
    pub(super) fn of(manifest: &'m OperatorManifest) -> Self {
        let states = manifest.states.iter().map(|state| (state, state.layout.parse().ok()));
        Self {
            manifest,
            id: OperatorId(manifest.id),
            key: manifest.key.parse().ok(),
            states: states.collect(),
        }
    }

    /// What a value at `namespace` is: its kind, its layout, and its place among its kind.
    pub(super) fn state(&self, namespace: u64) -> (&'m str, Option<&Layout>, Option<u64>) {
        let mut states = self.states.iter();
        let holds = |state: &StateManifest| {
            (state.namespace_first..=state.namespace_last).contains(&namespace)
        };
        match states.find(|(state, _)| holds(state)) {
            Some((state, layout)) => {
                let is_alone = state.namespace_first == state.namespace_last;
                let place = (!is_alone).then(|| namespace - state.namespace_first);
                (&state.name, layout.as_ref(), place)
            }
            None => ("?", None, Some(namespace)),
        }
    }

    /// One entry as people read it.
    pub(super) fn shown(&self, store: &Store, offset: LogOffset) -> ShownEntry<'m> {
        let key = store.entry_key(offset);
        let (state, layout, place) = self.state(key.namespace);
        let text = self.key.as_ref().and_then(|layout| layout.key_text(key.key).ok());
        ShownEntry {
            operator: &self.manifest.name,
            state,
            slot: key.slot().0,
            key: value_of(self.key.as_ref(), key.key),
            key_text: text.unwrap_or_else(|| format!("0x{}", hex(key.key))),
            place,
            value: value_of(layout, store.value(offset)),
        }
    }
}

/// The operators of a manifest, by name; or the one that is asked for.
pub(super) fn operators<'m>(
    manifest: &'m Manifest,
    wanted: Option<&str>,
    path: &Path,
) -> Result<Vec<Operator<'m>>, StateCommandError> {
    let mut operators: Vec<Operator<'m>> = manifest.operators.iter().map(Operator::of).collect();
    operators.sort_by(|left, right| left.manifest.name.cmp(&right.manifest.name));
    let Some(wanted) = wanted else {
        return Ok(operators);
    };
    let names: Vec<&str> = operators.iter().map(|one| one.manifest.name.as_str()).collect();
    let known = if names.is_empty() { "no operators".to_owned() } else { names.join(", ") };
    operators.retain(|one| one.manifest.name == wanted);
    if operators.is_empty() {
        let (directory, operator) = (path.to_owned(), wanted.to_owned());
        return Err(StateCommandError::NoOperator { directory, operator, known });
    }
    Ok(operators)
}

/// Walks an operator's entries, shard after shard; `each` answers whether to go on.
pub(super) fn walk<'s>(
    state: &'s State,
    operator: &Operator<'_>,
    mut each: impl FnMut(&'s Store, LogOffset) -> Result<bool, StateCommandError>,
) -> Result<bool, StateCommandError> {
    let mut logs: Vec<_> = state.manifest.logs.iter().zip(&state.logs).collect();
    logs.sort_by_key(|(log, _)| log.shard);
    for (_, store) in logs {
        let mut cursor = SlotCursor::new(operator.id, None);
        while let Some(offset) = cursor.next(store) {
            if !each(store, offset)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Bytes as their layout says; as digits where there is none, or it does not fit.
pub(super) fn value_of(layout: Option<&Layout>, bytes: &[u8]) -> Value {
    let value = layout.and_then(|layout| layout.to_json(bytes).ok());
    value.unwrap_or_else(|| json!({ "hex": hex(bytes) }))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Text in one line: with control characters it becomes a JSON string.
pub(super) fn line(text: &str) -> String {
    if text.chars().any(char::is_control) { Value::from(text).to_string() } else { text.to_owned() }
}

impl ShownEntry<'_> {
    /// The entry's name in a line: `counts  state  ada`.
    pub(super) fn title(&self) -> String {
        let place = self.place.map_or_else(String::new, |place| format!("[{place}]"));
        let (operator, key) = (line(self.operator), line(&self.key_text));
        format!("{operator}\t{}{place}\t{key}", line(self.state))
    }

    pub(super) fn json(&self) -> Value {
        let mut object = json!({
            "operator": self.operator,
            "state": self.state,
            "slot": self.slot,
            "key": self.key,
        });
        if let Some(place) = self.place {
            object["place"] = place.into();
        }
        object["value"] = self.value.clone();
        object
    }
}

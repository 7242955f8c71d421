//! `state diff`: what differs between two checkpoints, operator by operator.
//!
//! Operators are matched by name and entries by key, kind of value and place, whatever the shards
//! and numbers of either side. Values are compared as the newer layout has them; offsets that
//! entries keep of others differ without anything having changed, and are left out.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use super::DiffArgs;
use super::entries::{Operator, ShownEntry, line, operators, value_of, walk};
use super::error::StateCommandError;
use super::open::{State, newest_state};
use crate::checkpoint::OperatorManifest;
use crate::command::output::{self, Output};
use crate::record::Layout;
use crate::state::{EntryKey, LogOffset, Store};

pub(super) fn run(args: &DiffArgs) -> Result<(), StateCommandError> {
    let (old, new) = (newest_state(&args.old)?, newest_state(&args.new)?);
    let old_operators = operators(&old.manifest, None, &args.old)?;
    let new_operators = operators(&new.manifest, None, &args.new)?;
    let names = |operators: &[Operator<'_>]| -> BTreeSet<String> {
        operators.iter().map(|operator| operator.manifest.name.clone()).collect()
    };
    let all = &names(&old_operators) | &names(&new_operators);
    let path = Path::new("-");
    let mut diff = Diff { out: output::create(path)?, path };
    let nothing = OperatorManifest::default();
    for name in all {
        let of = |operators| find(operators, &name);
        let (left, right) = (of(&old_operators), of(&new_operators));
        let missing = Operator::of(&nothing);
        let left = Side { state: &old, operator: left.unwrap_or(&missing), has: left.is_some() };
        let right = Side { state: &new, operator: right.unwrap_or(&missing), has: right.is_some() };
        diff.operator(&name, &left, &right)?;
    }
    diff.out.finish().map_err(StateCommandError::write(path))
}

fn find<'o, 'm>(operators: &'o [Operator<'m>], name: &str) -> Option<&'o Operator<'m>> {
    operators.iter().find(|operator| operator.manifest.name == name)
}

/// One operator of one of the checkpoints.
struct Side<'s, 'm> {
    state: &'s State,
    operator: &'s Operator<'m>,
    has: bool,
}

impl<'s> Side<'s, '_> {
    /// The entry at the place that `other` has its entry at.
    fn find(&self, other: &Side<'_, '_>, key: &EntryKey<'_>) -> Option<(&'s Store, LogOffset)> {
        let (kind, _, place) = other.operator.state(key.namespace);
        let namespace = self.namespace(kind, place)?;
        let key = EntryKey { operator: self.operator.id, namespace, ..*key };
        let mut logs = self.state.logs.iter();
        logs.find_map(|store| store.find(&key).map(|offset| (store, offset)))
    }

    /// Where values of a kind lie on this side.
    fn namespace(&self, kind: &str, place: Option<u64>) -> Option<u64> {
        if !self.has {
            return None;
        }
        if kind == "?" {
            return place;
        }
        let state = self.operator.manifest.states.iter().find(|state| state.name == kind)?;
        state.namespace_first.checked_add(place.unwrap_or(0))
    }

    fn walk(
        &self,
        each: impl FnMut(&'s Store, LogOffset) -> Result<bool, StateCommandError>,
    ) -> Result<(), StateCommandError> {
        if self.has {
            walk(self.state, self.operator, each)?;
        }
        Ok(())
    }
}

struct Diff<'p> {
    out: Output,
    path: &'p Path,
}

impl Diff<'_> {
    fn line(&mut self, text: &str) -> Result<(), StateCommandError> {
        writeln!(self.out, "{text}").map_err(StateCommandError::write(self.path))
    }

    /// The lines of one operator, and its sums.
    fn operator(
        &mut self,
        name: &str,
        old: &Side<'_, '_>,
        new: &Side<'_, '_>,
    ) -> Result<(), StateCommandError> {
        let (mut added, mut removed, mut changed) = (0_u64, 0_u64, 0_u64);
        old.walk(|store, offset| {
            if new.find(old, &store.entry_key(offset)).is_none() {
                removed += 1;
                self.entry('-', &old.operator.shown(store, offset))?;
            }
            Ok(true)
        })?;
        new.walk(|store, offset| {
            let key = store.entry_key(offset);
            let Some((old_store, old_offset)) = old.find(new, &key) else {
                added += 1;
                self.entry('+', &new.operator.shown(store, offset))?;
                return Ok(true);
            };
            let (_, layout, _) = new.operator.state(key.namespace);
            let (_, old_layout, _) = old.operator.state(old_store.namespace(old_offset));
            let (before, after) = (old_store.value(old_offset), store.value(offset));
            if !is_same((old_layout, before), (layout, after)) {
                changed += 1;
                let entry = new.operator.shown(store, offset);
                let before = line(&value_of(old_layout, before).to_string());
                let after = line(&entry.value.to_string());
                self.line(&format!("~\t{}\t{before}\t->\t{after}", entry.title()))?;
            }
            Ok(true)
        })?;
        self.line(&format!("{}: {added} added, {removed} removed, {changed} changed", line(name)))
    }

    fn entry(&mut self, mark: char, entry: &ShownEntry<'_>) -> Result<(), StateCommandError> {
        let value = line(&entry.value.to_string());
        self.line(&format!("{mark}\t{}\t{value}", entry.title()))
    }
}

type Typed<'a> = (Option<&'a Layout>, &'a [u8]);

/// Whether two values mean the same.
fn is_same((old_layout, old): Typed<'_>, (new_layout, new): Typed<'_>) -> bool {
    let (Some(old_layout), Some(new_layout)) = (old_layout, new_layout) else {
        return old == new;
    };
    if old_layout == new_layout && !new_layout.has_hint() {
        return old == new;
    }
    // As the new layout has it, without what only means something in one log.
    let carried = |from: &Layout, bytes: &[u8]| {
        let conversion = Layout::conversion(from, new_layout).ok()?.for_import();
        let mut carried = Vec::new();
        conversion.apply(bytes, &mut carried).ok()?;
        Some(carried)
    };
    match (carried(old_layout, old), carried(new_layout, new)) {
        (Some(old), Some(new)) => old == new,
        _ => value_of(Some(old_layout), old) == value_of(Some(new_layout), new),
    }
}

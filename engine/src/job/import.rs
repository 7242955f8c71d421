//! State of another shape: other shards, other fields, other numbers of operators.
//!
//! Takes logs as they were written, and the plan's operators; hands on new logs with the same
//! entries, each on the shard that owns its slot now, its value in its new layout.
//!
//! Invariants
//! 1. What can't be carried over is refused by operator and field before anything is imported.
//! 2. Every live entry is carried over exactly once, or belongs to state that may be dropped.
//! 3. Offsets that entries keep of others (hints) are void in the new logs, and set so.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::chain::{OperatorState, SHARED_KIND};
use crate::checkpoint::{Manifest, OperatorManifest, StateManifest};
use crate::record::{Conversion, Layout};
use crate::route::{KeyRange, RangeTable, ShardId};
use crate::state::{EntryKey, OperatorId, Store, StoreSettings};

use super::durability::lowest;
use super::error::{JobError, Misfit, RestoreError};
use super::restore::{LoadedLog, RestoredLog, StagePlan};

/// How the entries of each old operator become those of a new one.
#[derive(Debug, Default)]
pub(super) struct Rules {
    operators: Vec<OperatorRule>,
}

#[derive(Debug)]
struct OperatorRule {
    old: OperatorId,
    new: OperatorId,
    values: Vec<ValueRule>,
}

#[derive(Debug)]
struct ValueRule {
    namespaces: RangeInclusive<u64>,
    /// Where they begin now, and how they change; `None` where the value is dropped.
    kept: Option<(u64, Conversion)>,
}

impl Rules {
    /// The rules from a manifest's operators to the plan's, matched by name.
    ///
    /// # Errors
    /// Whatever can't be carried over, by operator and field.
    pub(super) fn between(
        manifest: &Manifest,
        stages: &[StagePlan],
        drop_state: bool,
    ) -> Result<Self, JobError> {
        let mut rules = Self::default();
        for old in &manifest.operators {
            let new = stages.iter().flat_map(|stage| stage.operators.iter().zip(&stage.states));
            let new = new.into_iter().find(|(described, _)| described.name == old.name);
            match new {
                Some((described, state)) => {
                    rules.operators.push(operator_rule(old, described, state, drop_state)?);
                }
                None if drop_state => {}
                None => return Err(misfit(old, Misfit::OperatorGone)),
            }
        }
        Ok(rules)
    }
}

fn misfit(operator: &OperatorManifest, misfit: Misfit) -> JobError {
    RestoreError::Misfit { operator: operator.name.clone(), misfit }.into()
}

fn operator_rule(
    old: &OperatorManifest,
    new: &OperatorManifest,
    state: &OperatorState,
    drop_state: bool,
) -> Result<OperatorRule, JobError> {
    let differ = |what: &'static str, found: &str, expected: &str| {
        let (found, expected) = (found.to_owned(), expected.to_owned());
        Err(misfit(old, Misfit::Differs { what, found, expected }))
    };
    if old.kind != new.kind {
        return differ("kind", &old.kind, &new.kind);
    }
    if old.identity != new.identity {
        return differ("setting", &old.identity, &new.identity);
    }
    if old.key != new.key {
        return differ("key", &old.key, &new.key);
    }
    let values = old.states.iter().map(|kept| value_rule(old, kept, state, drop_state));
    Ok(OperatorRule {
        old: OperatorId(old.id),
        new: state.id,
        values: values.collect::<Result<_, _>>()?,
    })
}

fn value_rule(
    operator: &OperatorManifest,
    old: &StateManifest,
    state: &OperatorState,
    drop_state: bool,
) -> Result<ValueRule, JobError> {
    let namespaces = old.namespace_first..=old.namespace_last;
    let Some(new) = state.values.iter().find(|value| value.name == old.name) else {
        if !drop_state {
            return Err(misfit(operator, Misfit::StateGone { state: old.name.clone() }));
        }
        return Ok(ValueRule { namespaces, kept: None });
    };
    let differs = || {
        let (found, expected) = (old.layout.clone(), new.layout.to_string());
        misfit(operator, Misfit::Differs { what: "layout", found, expected })
    };
    let found: Layout = old.layout.parse().map_err(|_| differs())?;
    let conversion = Layout::conversion(&found, &new.layout).map_err(|mismatch| {
        misfit(operator, Misfit::Field { state: old.name.clone(), mismatch })
    })?;
    let conversion = conversion.with_recode(new.frames.map(|frames| frames.recode)).for_import();
    Ok(ValueRule { namespaces, kept: Some((*new.namespaces.start(), conversion)) })
}

/// Makes the logs of all stages and shards from old ones, each on a thread of its own.
///
/// # Errors
/// An entry that is not what its layout says.
pub(super) fn import(
    logs: &[LoadedLog],
    rules: &Rules,
    stages: &[StagePlan],
    shard_count: u16,
    settings: &StoreSettings,
) -> Result<BTreeMap<(String, u16), RestoredLog>, RestoreError> {
    let ranges = RangeTable::even(shard_count);
    let targets = stages.iter().filter_map(|stage| Some((stage, stage.operator_name()?)));
    let targets: Vec<_> = targets
        .flat_map(|(stage, name)| (0..shard_count).map(move |shard| (stage, name, shard)))
        .collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = targets
            .into_iter()
            .map(|(stage, name, shard)| {
                let range = ranges.range(ShardId(shard));
                let work = move || import_stage(logs, rules, stage, range, settings);
                (name.to_owned(), shard, scope.spawn(work))
            })
            .collect();
        let joined = threads.into_iter().map(|(name, shard, thread)| {
            let log = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok(((name, shard), log))
        });
        joined.collect()
    })
}

fn import_stage(
    logs: &[LoadedLog],
    rules: &Rules,
    stage: &StagePlan,
    range: KeyRange,
    settings: &StoreSettings,
) -> Result<RestoredLog, RestoreError> {
    let mut store = Store::with_settings(settings);
    let mut watermarks = Vec::new();
    // Every shard's log has the same copy of what has no key: one is as good as any.
    let mut copied: Vec<OperatorId> = Vec::new();
    for log in logs {
        let wanted = |rule: &OperatorRule| stage.states.iter().any(|state| state.id == rule.new);
        let olds: Vec<&OperatorRule> = rules.operators.iter().filter(|rule| wanted(rule)).collect();
        let mut found = false;
        for rule in olds {
            let is_shared =
                stage.states.iter().any(|state| state.id == rule.new && state.kind == SHARED_KIND);
            if !is_shared {
                found |= import_operator(&log.store, &mut store, rule, range)?;
            } else if !copied.contains(&rule.new)
                && import_operator(&log.store, &mut store, rule, KeyRange::ALL)?
            {
                copied.push(rule.new);
            }
        }
        if found || Some(log.manifest.stage.as_str()) == stage.operator_name() {
            watermarks.push(log.manifest.watermark_micros);
        }
    }
    let watermark = lowest(watermarks.into_iter());
    Ok(RestoredLog { store, watermark, files: Vec::new() })
}

fn import_operator(
    from: &Store,
    into: &mut Store,
    rule: &OperatorRule,
    range: KeyRange,
) -> Result<bool, RestoreError> {
    let mut found = false;
    let mut value = Vec::new();
    for offset in from.iter_operator(rule.old) {
        let key = from.entry_key(offset);
        if !(range.first..range.end).contains(&key.slot().0) {
            continue;
        }
        found = true;
        let known = rule.values.iter().find(|value| value.namespaces.contains(&key.namespace));
        let Some(ValueRule { namespaces, kept }) = known else {
            let (operator, namespace) = (rule.old, key.namespace);
            return Err(RestoreError::StrayEntry { operator, namespace });
        };
        let Some((first, conversion)) = kept else {
            continue;
        };
        let old = from.value(offset);
        value.clear();
        let changed = conversion.apply(old, &mut value);
        changed.map_err(|cause| RestoreError::BadEntry { operator: rule.old, cause })?;
        let namespace = first + (key.namespace - namespaces.start());
        let key = EntryKey { operator: rule.new, namespace, ..key };
        if let Some((kind, _)) = from.expiry(offset) {
            into.insert_expiring(&key, value.len(), kind);
        }
        into.put(&key, &value);
    }
    Ok(found)
}

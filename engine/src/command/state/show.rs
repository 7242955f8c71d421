//! `state show`: a line for each entry.

use std::io::Write;
use std::path::Path;

use super::ShowArgs;
use super::entries::{Operator, line, operators, walk};
use super::error::StateCommandError;
use super::open::newest_state;
use crate::command::output;

pub(super) fn run(args: &ShowArgs) -> Result<(), StateCommandError> {
    let state = newest_state(&args.directory)?;
    let operators = operators(&state.manifest, args.operator.as_deref(), &args.directory)?;
    let keys = args.key.as_deref().map(|key| parse_key(key, &operators)).transpose()?;
    let path = Path::new("-");
    let write = StateCommandError::write(path);
    let mut out = output::create(path)?;
    let mut left = args.limit.unwrap_or(u64::MAX);
    for (number, operator) in operators.iter().enumerate() {
        let key = match &keys {
            None => None,
            Some(keys) => match &keys[number] {
                // Of another layout: it has no such key.
                None => continue,
                Some(key) => Some(key.as_slice()),
            },
        };
        walk(&state, operator, |store, offset| {
            if key.is_some_and(|key| key != store.key(offset)) {
                return Ok(true);
            }
            if left == 0 {
                return Ok(false);
            }
            left -= 1;
            let entry = operator.shown(store, offset);
            let written = if args.json {
                writeln!(out, "{}", entry.json())
            } else {
                writeln!(out, "{}\t{}", entry.title(), line(&entry.value.to_string()))
            };
            written.map_err(&write).map(|()| true)
        })?;
    }
    out.finish().map_err(&write)
}

/// The key's bytes for each operator that can have it.
fn parse_key(
    text: &str,
    operators: &[Operator<'_>],
) -> Result<Vec<Option<Vec<u8>>>, StateCommandError> {
    let parse =
        |operator: &Operator<'_>| operator.key.as_ref().and_then(|layout| layout.parse_key(text));
    let keys: Vec<_> = operators.iter().map(parse).collect();
    if keys.iter().all(Option::is_none) {
        let mut layouts: Vec<&str> =
            operators.iter().map(|operator| operator.manifest.key.as_str()).collect();
        layouts.sort_unstable();
        layouts.dedup();
        let (key, layouts) = (text.to_owned(), layouts.join(", "));
        return Err(StateCommandError::NoKey { key, layouts });
    }
    Ok(keys)
}

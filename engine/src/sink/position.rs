//! What a file or a directory keeps of itself in a manifest.
//!
//! ```text
//!   version u8 | kind u8 | length u64 | parts u32 | (number u64, length u64)* | path
//! ```
//!
//! Numbers are little-endian. The path is kept so that a job is not resumed onto another file.

use std::path::Path;

use super::{SinkError, SinkStart};
use crate::io::Durable;

const VERSION: u8 = 1;

/// What kind of output it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    File = 0,
    Stream = 1,
    Directory = 2,
}

pub(super) fn encode(kind: Kind, path: &Path, durable: &Durable) -> Vec<u8> {
    let part_count = u32::try_from(durable.parts.len()).expect("parts of a few epochs");
    let mut state = vec![VERSION, kind as u8];
    state.extend_from_slice(&durable.length_bytes.to_le_bytes());
    state.extend_from_slice(&part_count.to_le_bytes());
    for (number, length_bytes) in &durable.parts {
        state.extend_from_slice(&number.to_le_bytes());
        state.extend_from_slice(&length_bytes.to_le_bytes());
    }
    state.extend_from_slice(path.as_os_str().as_encoded_bytes());
    state
}

/// What the output of this kind and path goes on from; `None` where it begins anew.
pub(super) fn resumed(
    start: &SinkStart<'_>,
    kind: Kind,
    path: &Path,
) -> Result<Option<Durable>, SinkError> {
    let Some(state) = start.resume else { return Ok(None) };
    match decode(state, kind, path)? {
        Some(durable) => Ok(Some(durable)),
        None if start.from_savepoint => Ok(None),
        None => Err(SinkError::State { found: "that of an output at another path" }),
    }
}

/// `None` where it is the state of an output at another path.
fn decode(state: &[u8], kind: Kind, path: &Path) -> Result<Option<Durable>, SinkError> {
    let wrong = |found| SinkError::State { found };
    let (&[version, found_kind], rest) =
        state.split_first_chunk().ok_or(wrong("that of an output without a position"))?;
    if version != VERSION {
        return Err(wrong("of another version of Pelton"));
    }
    let (durable, found_path) = body(rest).ok_or(wrong("cut short"))?;
    if found_path != path.as_os_str().as_encoded_bytes() {
        return Ok(None);
    }
    if found_kind != kind as u8 {
        return Err(wrong("that of another kind of output"));
    }
    Ok(Some(durable))
}

fn body(state: &[u8]) -> Option<(Durable, &[u8])> {
    let (length_bytes, mut rest) = number(state)?;
    let part_count;
    (part_count, rest) = rest.split_first_chunk()?;
    let mut parts = Vec::new();
    for _ in 0..u32::from_le_bytes(*part_count) {
        let (name, part_bytes);
        (name, rest) = number(rest)?;
        (part_bytes, rest) = number(rest)?;
        parts.push((name, part_bytes));
    }
    Some((Durable { length_bytes, parts }, rest))
}

fn number(state: &[u8]) -> Option<(u64, &[u8])> {
    state.split_first_chunk().map(|(bytes, rest)| (u64::from_le_bytes(*bytes), rest))
}

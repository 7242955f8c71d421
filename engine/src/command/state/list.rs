//! `state ls`: a line for each checkpoint.

use std::io::Write;
use std::path::Path;

use super::DirectoryArgs;
use super::error::StateCommandError;
use super::open::open;
use crate::checkpoint::{ListedManifest, Manifest};
use crate::command::{human, output};
use crate::record::EventTime;

pub(super) fn run(args: &DirectoryArgs) -> Result<(), StateCommandError> {
    let directory = open(&args.directory)?;
    let mut listed = directory.manifests()?;
    // A job beside us has removed it since.
    listed.retain(|one| !matches!(&one.manifest, Err(error) if error.is_vanished()));
    if listed.is_empty() {
        // Says so where there are segments without a manifest.
        directory.newest()?;
        return Err(StateCommandError::Empty { directory: args.directory.clone() });
    }
    let path = Path::new("-");
    let write = StateCommandError::write(path);
    let mut out = output::create(path)?;
    let titles = ["epoch", "kind", "written", "shards", "operators", "entries", "bytes", "files"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(listed.iter().map(row));
    for line in aligned(&rows) {
        writeln!(out, "{line}").map_err(&write)?;
    }
    out.finish().map_err(&write)?;
    if listed.iter().all(|one| one.manifest.is_err()) {
        // Says why there is nothing to go on from.
        directory.newest()?;
    }
    Ok(())
}

fn row(listed: &ListedManifest) -> Vec<String> {
    match &listed.manifest {
        Ok(manifest) => columns(manifest),
        Err(error) => vec![listed.epoch.to_string(), format!("broken: {error}")],
    }
}

fn columns(manifest: &Manifest) -> Vec<String> {
    let kind = match (manifest.savepoint, manifest.ended) {
        (true, _) => "savepoint",
        (false, true) => "final",
        (false, false) => "checkpoint",
    };
    let segments = || manifest.logs.iter().flat_map(|log| &log.segments);
    let entries = manifest.logs.iter().map(|log| log.entry_count).sum();
    let bytes = segments().map(|segment| u64::from(segment.bytes)).sum();
    vec![
        manifest.epoch.to_string(),
        kind.to_owned(),
        EventTime(manifest.written_micros).to_string(),
        manifest.shard_count.to_string(),
        manifest.operators.len().to_string(),
        human::count(entries),
        human::bytes(bytes),
        segments().count().to_string(),
    ]
}

/// Columns as wide as their widest cell; a short row's last cell is as long as it likes.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| {
            let full = rows.iter().filter(|row| row.len() == rows[0].len());
            full.map(|row| row[column].len()).max().unwrap_or(0)
        })
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

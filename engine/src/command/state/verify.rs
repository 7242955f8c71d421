//! `state verify`: every checkpoint, every block, every entry.

use std::io::Write;
use std::path::Path;

use super::DirectoryArgs;
use super::error::StateCommandError;
use super::open::{load_log, open};
use crate::checkpoint::{ListedManifest, StateDirectory};
use crate::command::output;

pub(super) fn run(args: &DirectoryArgs) -> Result<(), StateCommandError> {
    let directory = open(&args.directory)?;
    let listed = directory.manifests()?;
    if listed.is_empty() {
        // Says so where there are segments without a manifest.
        directory.newest()?;
        return Err(StateCommandError::Empty { directory: args.directory.clone() });
    }
    let path = Path::new("-");
    let write = StateCommandError::write(path);
    let mut out = output::create(path)?;
    let (mut total, mut broken) = (0, 0);
    for one in listed {
        total += 1;
        let epoch = one.epoch;
        match verify(&directory, one) {
            Ok(what) => writeln!(out, "epoch {epoch}: whole; {what}"),
            Err(_) if !is_there(&directory, epoch)? => {
                total -= 1;
                writeln!(out, "epoch {epoch}: removed meanwhile")
            }
            Err(error) => {
                broken += 1;
                writeln!(out, "epoch {epoch}: broken: {error}")
            }
        }
        .map_err(&write)?;
    }
    out.finish().map_err(&write)?;
    if broken > 0 && broken == total {
        // Says why, where it takes no look at blocks.
        directory.newest()?;
    }
    if broken > 0 {
        let directory = args.directory.clone();
        return Err(StateCommandError::Broken { directory, broken, total });
    }
    Ok(())
}

/// Whether the job beside us still keeps a manifest.
fn is_there(directory: &StateDirectory, epoch: u64) -> Result<bool, StateCommandError> {
    Ok(directory.manifests()?.iter().any(|listed| listed.epoch == epoch))
}

fn verify(directory: &StateDirectory, listed: ListedManifest) -> Result<String, StateCommandError> {
    let manifest = listed.manifest?;
    let (mut entries, mut blocks, mut files) = (0, 0, 0);
    for log in &manifest.logs {
        entries += load_log(directory, log)?.entry_count();
        blocks += log.segments.iter().map(|segment| segment.checksums.len()).sum::<usize>();
        files += log.segments.len();
    }
    Ok(format!("{entries} entries, {blocks} blocks in {files} files"))
}

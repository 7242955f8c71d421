//! A folder as it is, to see whether somebody has changed it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use pelton::checkpoint::checksums;

/// What is known of a file or folder: mode, owner, and its bytes' checksums; of a folder when a
/// name of it changed last, so that what is made and removed again is seen, too.
type Known = (u32, u32, Vec<u64>, Option<(i64, i64)>);

/// All that is in `root`, and `root` itself; nothing where it is not there.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, Known> {
    let mut known = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(found) = path.symlink_metadata() else {
            continue;
        };
        let (bytes, changed) = if found.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            open.extend(entries.map(|entry| entry.unwrap().path()));
            (Vec::new(), Some((found.mtime(), found.mtime_nsec())))
        } else {
            (checksums(&fs::read(&path).unwrap()), None)
        };
        known.insert(path, (found.mode(), found.uid(), bytes, changed));
    }
    known
}

/// Nothing has changed since `before`.
#[track_caller]
pub(crate) fn unchanged(root: &Path, before: &BTreeMap<PathBuf, Known>) {
    let after = tree(root);
    let mut changed: BTreeSet<&PathBuf> = before.keys().chain(after.keys()).collect();
    changed.retain(|path| before.get(*path) != after.get(*path));
    assert!(changed.is_empty(), "{changed:?} changed");
}

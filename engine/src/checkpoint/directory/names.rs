//! Step 8, checkpoint: the names of a state directory's files.
//!
//! Takes names; hands on what they are. Whatever is not one of these is somebody else's, and is
//! neither read nor removed.
//!
//! ```text
//!   LOCK                              held by the job's process; its number is in it
//!   manifest-<epoch, 20 digits>       an epoch
//!   savepoint-<epoch, 20 digits>      an epoch that a person owns; alone in its directory
//!   .manifest-<...>.tmp               one that was not finished
//!   r<run>-l<log>-s<segment>.seg      bytes of a log
//! ```
//!
//! Why a savepoint's manifest has another name: a job must never take a savepoint for its own state,
//! which it would prune, and a name is seen before anything is read or locked.

/// The file that holds the lock.
pub(super) const LOCK: &str = "LOCK";
/// Made and removed to see whether the directory can be written.
pub(super) const PROBE: &str = ".manifest-probe.tmp";
const MANIFEST: &str = "manifest-";
const SAVEPOINT: &str = "savepoint-";

/// The name of a file for the bytes of a log, which one run of a job uses once.
#[must_use]
pub fn segment_file_name(run: u64, log: usize, segment: u64) -> String {
    format!("r{run}-l{log}-s{segment}.seg")
}

/// Whether [`segment_file_name`] could have made the name; never true of a path.
#[must_use]
pub(in crate::checkpoint) fn is_segment_file_name(name: &str) -> bool {
    let numbers = || {
        let (run, rest) = name.strip_prefix('r')?.split_once("-l")?;
        let (log, rest) = rest.split_once("-s")?;
        Some((run.parse().ok()?, log.parse().ok()?, rest.strip_suffix(".seg")?.parse().ok()?))
    };
    numbers().is_some_and(|(run, log, segment)| segment_file_name(run, log, segment) == name)
}

pub(super) fn manifest_file_name(epoch: u64, is_savepoint: bool) -> String {
    format!("{}{epoch:020}", if is_savepoint { SAVEPOINT } else { MANIFEST })
}

pub(super) fn unfinished_file_name(epoch: u64) -> String {
    format!(".{MANIFEST}{epoch:020}.tmp")
}

fn epoch_of(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    let is_ours = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_ours { digits.parse().ok() } else { None }
}

/// What is in a directory, by kind, each in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) has_lock: bool,
    /// Epochs and their files, oldest first.
    pub(super) manifests: Vec<(u64, String)>,
    /// The same for savepoints.
    pub(super) savepoints: Vec<(u64, String)>,
    pub(super) segments: Vec<String>,
    pub(super) unfinished: Vec<String>,
    /// The first name that is not ours.
    pub(super) foreign: Option<String>,
}

impl Listing {
    pub(super) fn of(names: Vec<String>) -> Self {
        let mut listing = Self::default();
        for name in names {
            if let Some(epoch) = epoch_of(&name, MANIFEST) {
                listing.manifests.push((epoch, name));
            } else if let Some(epoch) = epoch_of(&name, SAVEPOINT) {
                listing.savepoints.push((epoch, name));
            } else if is_segment_file_name(&name) {
                listing.segments.push(name);
            } else if name.starts_with(".manifest-") && name.ends_with(".tmp") {
                listing.unfinished.push(name);
            } else if name == LOCK {
                listing.has_lock = true;
            } else if listing.foreign.is_none() {
                listing.foreign = Some(name);
            }
        }
        listing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ours_only_as_we_write_them() {
        assert_eq!(segment_file_name(1, 22, 333), "r1-l22-s333.seg");
        for name in ["r0-l0-s0.seg", "r1-l22-s333.seg"] {
            assert!(is_segment_file_name(name), "{name}");
        }
        for name in [
            "",
            "r1-l2-s3",
            "r01-l2-s3.seg",
            "r+1-l2-s3.seg",
            "../r1-l2-s3.seg",
            "r1-l2-s3.seg/..",
            "r1-l2-s99999999999999999999.seg",
        ] {
            assert!(!is_segment_file_name(name), "{name}");
        }
        let names = ["LOCK", "manifest-00000000000000000007", "manifest-7", "r1-l2-s3.seg"];
        let listing = Listing::of(names.map(str::to_owned).to_vec());
        assert_eq!(listing.manifests, [(7, manifest_file_name(7, false))]);
        assert_eq!(listing.segments, ["r1-l2-s3.seg"]);
        assert_eq!(listing.foreign.as_deref(), Some("manifest-7"));
    }
}

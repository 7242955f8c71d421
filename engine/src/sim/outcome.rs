//! What came of a simulation, and the files that it left.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::world::OUTPUTS;
use crate::io::disk::SimDisk;

/// What came of a simulation.
#[derive(Clone)]
pub struct Outcome {
    /// The seed, with which it can be run again.
    pub seed: u64,
    /// Whether the job has come to its end.
    pub ended: bool,
    /// How often it was started.
    pub runs: u32,
    /// How often power was lost.
    pub crashes: u32,
    /// How many faults were met, crashes that were asked for among them.
    pub faults_hit: u32,
    /// How many epochs were committed, over all runs.
    pub epochs: u64,
    /// How many operations the disk has done.
    pub operations: u64,
    /// A hash over all operations of the disk: the same for the same simulation.
    pub trace: u64,
    /// Why runs ended early, the last one last.
    pub errors: Vec<String>,
    /// Those of them that only a bug of the engine or of the job explains: panics, standstills and
    /// runs that took too long.
    pub bugs: Vec<String>,
    pub(super) disk: SimDisk,
}

/// Without the disk, whose trace is long.
impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcome")
            .field("seed", &self.seed)
            .field("ended", &self.ended)
            .field("runs", &self.runs)
            .field("crashes", &self.crashes)
            .field("faults_hit", &self.faults_hit)
            .field("epochs", &self.epochs)
            .field("operations", &self.operations)
            .field("errors", &self.errors)
            .field("bugs", &self.bugs)
            .finish_non_exhaustive()
    }
}

impl Outcome {
    /// The disk, with power on: its trace, and the state directory `/state`.
    #[must_use]
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// Output files by name, without those that are hidden by a dot.
    #[must_use]
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let tree = self.disk.copy_tree().into_iter();
        let named = tree.filter_map(|(path, bytes)| {
            let inside = path.strip_prefix(OUTPUTS).ok()?.to_owned();
            let is_hidden = |name: &Path| name.to_string_lossy().starts_with('.');
            let hidden = inside.iter().any(|name| is_hidden(Path::new(name)));
            (!hidden).then_some((inside, bytes))
        });
        named.collect()
    }

    /// The lines of an output file, or of all files of an output directory, sorted. Bytes that are
    /// no text are shown as such.
    #[must_use]
    pub fn lines(&self, name: &str) -> Vec<String> {
        let files = self.files().into_iter().filter(|(path, _)| path.starts_with(name));
        let texts = files.map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned());
        let mut lines: Vec<String> =
            texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        lines.sort_unstable();
        lines
    }
}

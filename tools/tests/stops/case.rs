//! One seed's input and what it comes to, undisturbed.

use std::fs;
use std::path::{Path, PathBuf};

use super::program;
use pelton::sim::Chance;

/// Rows of an input; at as many a second, a run takes a second.
pub(super) const ROWS: u64 = 25_000;
/// From one checkpoint to the next.
pub(super) const INTERVAL_MS: u64 = 20;

/// Rules by which a few hundred alerts are found.
const RULES: &str = "[decision]\nreview = 50\ndecline = 100\n\
    [[merchants]]\nname = \"merchants\"\nscore = 50\ncount_min = 2\n\
    [[impossible_travel]]\nname = \"travel\"\nscore = 50\nkmh_over = 100\nkm_min = 1\n\
    [small_then_large]\nsmall_to = 20\nlarge_over = 60\nwithin = \"24h\"\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    Fraud,
    Clicks,
}

impl Job {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fraud => "fraud",
            Self::Clicks => "clicks",
        }
    }
}

/// An input and the results that it has.
pub(super) struct Case {
    pub(super) job: Job,
    seed: u64,
    command: &'static str,
    folder: tempfile::TempDir,
    input: Vec<u8>,
    /// The lines of each result, sorted.
    pub(super) expected: Vec<Vec<String>>,
    passed: bool,
}

/// Where one round's files are.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) input: PathBuf,
    pub(super) rules: PathBuf,
    pub(super) results: Vec<PathBuf>,
    pub(super) state: PathBuf,
    pub(super) log: PathBuf,
    pub(super) report: PathBuf,
    pub(super) told: PathBuf,
}

impl Case {
    pub(super) fn new(job: Job, seed: u64, command: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let input = match job {
            Job::Fraud => transactions(folder.path(), seed),
            Job::Clicks => clicks(seed),
        };
        let (expected, passed) = (Vec::new(), false);
        let mut case = Self { job, seed, command, folder, input, expected, passed };
        let places = case.places(case.folder.path().join("undisturbed"));
        case.begin(&places);
        program::undisturbed(&case, &places);
        case.expected = case.results(&places);
        let expected_lines = |lines: &Vec<String>| lines.len() as u64 >= 100;
        assert!(case.expected.iter().all(expected_lines), "an input with results");
        case
    }

    /// State and results in `ground`; what the test itself needs beside it, as a power cut may take
    /// the ground.
    pub(super) fn places(&self, ground: PathBuf) -> Places {
        let own = |name: &str| self.folder.path().join(name);
        let results = match self.job {
            Job::Fraud => {
                ["out.ndjson", "features.csv", "alerts.ndjson"].map(|name| ground.join(name)).into()
            }
            Job::Clicks => vec![ground.join("counts.csv")],
        };
        Places {
            input: own("in.csv"),
            rules: own("rules.toml"),
            results,
            state: ground.join("state"),
            log: own("checkpoints.log"),
            report: own("report.json"),
            told: own("told.txt"),
        }
    }

    /// A new copy of the input, and no log.
    pub(super) fn begin(&self, places: &Places) {
        fs::create_dir_all(places.state.parent().unwrap()).unwrap();
        fs::write(&places.input, &self.input).unwrap();
        fs::write(&places.rules, RULES).unwrap();
        let _ = fs::remove_file(&places.log);
    }

    /// The lines of each result, sorted: those of different shards stand in no order.
    pub(super) fn results(&self, places: &Places) -> Vec<Vec<String>> {
        let sorted = |path: &PathBuf| {
            let text = fs::read_to_string(path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        places.results.iter().map(sorted).collect()
    }

    /// The seed has shown what it had to.
    pub(super) fn passed(mut self) {
        self.passed = true;
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        if !self.passed {
            self.folder.disable_cleanup(true);
            let told = fs::read_to_string(self.folder.path().join("told.txt")).unwrap_or_default();
            eprintln!(
                "{told}\nseed {} has failed; its files: {}",
                self.seed,
                self.folder.path().display()
            );
            eprintln!(
                "again: {}",
                self.command.replace("SEED=SEED", &format!("SEED={}", self.seed))
            );
        }
    }
}

fn transactions(folder: &Path, seed: u64) -> Vec<u8> {
    let path = folder.join("generated.csv");
    program::generate(&path, ROWS, seed);
    fs::read(path).unwrap()
}

/// Lines `user,page`: some users click often, most now and then.
fn clicks(seed: u64) -> Vec<u8> {
    let mut chance = Chance::new(seed);
    let mut text = String::new();
    for _ in 0..ROWS {
        let most = 1 + chance.below(2_000);
        let user = chance.below(most);
        let page = *chance.pick(&["home", "shop", "cart", "about_us"]);
        text.push_str(&format!("user{user},{page}\n"));
    }
    text.into_bytes()
}

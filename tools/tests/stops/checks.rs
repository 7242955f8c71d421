//! What must hold after each stop, and at the end.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use pelton::checkpoint::{Manifest, StateDirectory};
use pelton::io::disk::{FlushEngine, RealDisk};
use pelton::source::byte_offset;
use serde_json::Value;

use super::case::{Case, INTERVAL_MS, Job, Places, ROWS};
use super::log::last_ever;
use super::program::Hit;

/// Nanoseconds of an interval.
const INTERVAL_NS: u64 = INTERVAL_MS * 1_000_000;

/// What a stop has shown.
#[derive(Debug)]
pub(super) struct Checked {
    /// Lines that the next run takes back and writes again.
    pub(super) replayed: u64,
    /// Records of two intervals.
    pub(super) two_intervals: u64,
    /// Rows that the newest manifest has.
    pub(super) accepted: u64,
}

/// Checks what a stopped run has left, and overwrites the input that no run may read again. `None`
/// where it had not come beyond epoch 0 and the first row: then the stop does not count. The run
/// had gone on from row `resumed_at`.
pub(super) fn after_stop(
    case: &Case,
    places: &Places,
    hit: &Hit,
    resumed_at: u64,
) -> Option<Checked> {
    let manifest = newest(&places.state, hit)?;
    let published = last_ever(&places.log, "published").unwrap_or(0);
    let begun = last_ever(&places.log, "begun").unwrap_or(0);
    let failed = last_ever(&places.log, "failed").unwrap_or(0);
    let epoch = manifest.epoch;
    assert!(epoch >= published, "epoch {published} was published, and {epoch} is the newest");
    assert!(epoch <= begun, "epoch {begun} was the last to begin, and {epoch} is there");
    assert!(begun <= epoch.max(failed) + 1, "epoch {begun} began, and only {epoch} is durable");
    if epoch == 0 {
        return None;
    }
    let [split] = manifest.splits.as_slice() else {
        panic!("one file is one split: {:?}", manifest.splits);
    };
    assert_eq!((split.rejected, split.late), (0, 0), "the input is good");
    let offset = byte_offset(&split.position).expect("a plain file");
    if offset == 0 {
        // It was faster than the first block of the input.
        return None;
    }
    junk(&places.input, offset);
    let replayed = match case.job {
        Job::Fraud => replayed(places, split.accepted),
        // What counts come to is written at the end.
        Job::Clicks => 0,
    };
    let two_intervals = ROWS * 2 * INTERVAL_MS / 1_000;
    let taken = split.accepted.saturating_sub(resumed_at);
    let allowed = allowed(epoch, taken, hit);
    // A run that was stopped before its first barrier may not have cut the results yet: what is
    // behind the epoch then is of the run before, and was held to that one's time.
    assert!(
        replayed <= allowed || hit.lines.is_empty(),
        "{replayed} records after epoch {epoch}, of at most {allowed}; two intervals have \
         {two_intervals}; it went on from row {resumed_at} and had {} by that epoch, {} ms after its \
         start",
        split.accepted,
        (hit.stopped_ns - hit.started_ns) / 1_000_000
    );
    Some(Checked { replayed, two_intervals, accepted: split.accepted })
}

/// The newest manifest, which is whole: only names that were synced stand for one.
fn newest(state: &Path, hit: &Hit) -> Option<Manifest> {
    let disk = Arc::new(RealDisk::new(FlushEngine::Plain).unwrap());
    let directory = match StateDirectory::open_read_only(disk, state) {
        Ok(directory) => directory,
        Err(error) => {
            assert!(hit.lines.is_empty(), "{error}");
            return None;
        }
    };
    let found = directory.newest().unwrap()?;
    assert!(found.fell_back.is_empty(), "broken: {:?}", found.fell_back);
    Some(found.manifest)
}

/// Nobody reads what lies before `offset`.
fn junk(input: &Path, offset: u64) {
    let junk = vec![b'#'; usize::try_from(offset).unwrap()];
    let file = File::options().write(true).open(input).unwrap();
    file.write_all_at(&junk, 0).unwrap();
}

/// How many lines stand behind those of the manifest, which are all there: one for each row, in
/// decisions and in features.
fn replayed(places: &Places, accepted: u64) -> u64 {
    let mut behind = 0;
    for (path, header) in places.results.iter().zip([0, 1]) {
        let bytes = fs::read(path).unwrap();
        let newlines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let lines = newlines.saturating_sub(header);
        let path = path.display();
        assert!(lines >= accepted, "{path} has {lines} lines of {accepted} that are committed");
        behind = behind.max(lines - accepted);
    }
    behind
}

/// How many records may have gone in since the barrier of `epoch`, the newest that is durable: two
/// intervals of the rate's, or as many as the time allows that has passed since, where checkpoints
/// took longer than an interval, and one interval's more. A run that was held up before that epoch
/// catches up behind it: all that had arrived since its start, less the `taken` that the epoch has.
fn allowed(epoch: u64, taken: u64, hit: &Hit) -> u64 {
    let begun = hit.lines.iter().find(|line| line.phase == "begun" && line.epoch == epoch);
    // An epoch of an earlier run: this one has begun after it.
    let since_ns = begun.map_or(hit.started_ns, |line| line.not_before_ns);
    let passed_ns = (hit.stopped_ns - since_ns).max(2 * INTERVAL_NS);
    let arrived = ROWS * (hit.stopped_ns - hit.started_ns) / 1_000_000_000;
    (ROWS * (passed_ns + INTERVAL_NS) / 1_000_000_000).max(arrived.saturating_sub(taken))
}

/// A job that was stopped has ended: no row is missing in its counts, no line in its results.
/// Answers how many lines were compared.
pub(super) fn at_end(case: &Case, places: &Places) -> u64 {
    let report: Value = serde_json::from_slice(&fs::read(&places.report).unwrap()).unwrap();
    let counts = ["records_in", "accepted", "rejected", "late"].map(|name| &report[name]);
    assert_eq!(counts, [ROWS, ROWS, 0, 0], "counters go on where they stood");
    if case.job == Job::Fraud {
        let alerts = case.expected[2].len() as u64;
        assert_eq!(report["records_out"], ROWS + alerts);
    }
    let reached = report["achieved_rate"].as_f64().unwrap();
    assert!(reached < ROWS as f64 * 1.5, "{reached}/s are not this run's records alone");
    results(case, places)
}

/// The results are those of the undisturbed run; answers how many lines were compared.
pub(super) fn results(case: &Case, places: &Places) -> u64 {
    let found = case.results(places);
    for ((expected, found), path) in case.expected.iter().zip(&found).zip(&places.results) {
        let (lost, doubled) = difference(expected, found);
        let path = path.display();
        assert!(
            lost.is_empty() && doubled.is_empty(),
            "{path}: {} lines are lost and {} are too many of {}: {:?} and {:?}",
            lost.len(),
            doubled.len(),
            expected.len(),
            &lost[..lost.len().min(3)],
            &doubled[..doubled.len().min(3)],
        );
    }
    found.iter().map(|lines| lines.len() as u64).sum()
}

/// What only the first and what only the second of two sorted lists has.
fn difference<'a>(expected: &'a [String], found: &'a [String]) -> (Vec<&'a str>, Vec<&'a str>) {
    let (mut lost, mut doubled) = (Vec::new(), Vec::new());
    let (mut left, mut right) = (expected.iter().peekable(), found.iter().peekable());
    loop {
        match (left.peek(), right.peek()) {
            (Some(a), Some(b)) if a == b => {
                left.next();
                right.next();
            }
            (Some(a), b) if b.is_none_or(|b| a < b) => {
                lost.push(a.as_str());
                left.next();
            }
            (_, Some(b)) => {
                doubled.push(b.as_str());
                right.next();
            }
            (None, None) => return (lost, doubled),
            (Some(_), None) => unreachable!("taken above"),
        }
    }
}

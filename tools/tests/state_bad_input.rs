//! The real program on state directories that are bad: of another job, version or user, half
//! deleted, read-only, full, in use, foreign or not there.
//!
//! Every refusal is one line and exit code 1, says what was found, what was expected and what to do,
//! and leaves the whole folder as it was: state, results, and names that were not there.
//!
//! What needs a mount or another user says why it is skipped where the test may not have them.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

#[path = "common/mounted.rs"]
mod mounted;
#[path = "common/program.rs"]
mod program;
#[path = "common/refusal.rs"]
mod refusal;
#[path = "common/tool.rs"]
mod tool;
#[path = "common/tree.rs"]
mod tree;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use mounted::Tmpfs;
use pelton::checkpoint::checksums;
use program::pelton;
use refusal::fails;
use tree::{tree, unchanged};

const ROWS: usize = 20_000;
/// Rows a second of a run that is to be stopped: it would take five seconds.
const SLOW: [&str; 2] = ["--rate", "4000"];
/// Of a log's first segment, which is made with its blocks.
const SEGMENT_BYTES: u64 = 16 << 20;
/// Nobody and somebody: users that are not root.
const USER: u32 = 65_534;
const OTHER_USER: u32 = 1_000;
/// What begins a run in every way that takes a state directory for the job's own.
const BEGINS: [&[&str]; 3] = [&[], &["--resume"], &["--fresh"]];

/// A folder with inputs, and what is made of them.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Other users pass through.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let place = Self { folder };
        let clicks: String = clicks().map(|(user, page)| format!("user{user},{page}\n")).collect();
        fs::write(place.path("clicks.csv"), clicks).unwrap();
        let transactions = "transaction_id,time,customer_id,terminal_id,amount\n\
                            1,2018-04-01T00:00:31Z,596,3156,57.16\n";
        fs::write(place.path("transactions.csv"), transactions).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, job: &str, input: &str, state: &Path) -> Command {
        let mut command = pelton(["run", job, "--driver", "threads", "--shards", "1", "--input"]);
        command.arg(self.path(input)).arg("--output").arg(self.path(job)).arg("--state").arg(state);
        command
    }

    fn clicks(&self, state: &Path, more: &[&str]) -> Command {
        let mut command = self.run("clicks", "clicks.csv", state);
        command.args(more);
        command
    }

    fn fraud(&self, state: &Path, more: &[&str]) -> Command {
        let mut command = self.run("fraud", "transactions.csv", state);
        command.args(more);
        command
    }

    /// A slow run with a checkpoint every 20 ms, of which there are some.
    fn begun(&self, state: &Path) -> Running {
        let log = self.path("log");
        let mut command = self.clicks(state, &SLOW);
        command.args(["--checkpoint-interval", "20ms", "--checkpoint-log"]).arg(&log);
        let mut running = Running::start(command);
        running.wait_until(|| fs::read_to_string(&log).unwrap_or_default().contains("committed 4"));
        running
    }

    /// What is left of a run that was killed.
    fn killed(&self) -> PathBuf {
        let state = self.path("state");
        drop(self.begun(&state));
        assert!(names(&state, "manifest-").len() > 1, "there are checkpoints");
        assert!(!names(&state, ".seg").is_empty(), "there are segments");
        state
    }

    /// The killed run is gone on with, and ends with what all clicks come to.
    #[track_caller]
    fn goes_on(&self, state: &Path, more: &[&str]) {
        succeeds(&self.clicks(state, more).output().unwrap());
        let text = fs::read_to_string(self.path("clicks")).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert!(lines == counted(), "{} lines", lines.len());
    }

    /// The command is refused with all of `words`, and changes nothing.
    #[track_caller]
    fn refuses(&self, mut command: Command, words: &[&str]) {
        let before = tree(self.folder.path());
        fails(&command.output().unwrap(), words);
        unchanged(self.folder.path(), &before);
    }

    /// Every command that looks into a state directory refuses this one.
    #[track_caller]
    fn tools_refuse(&self, directory: &Path, words: &[&str]) {
        for arguments in TOOLS {
            self.refuses(self.tool(arguments, directory), words);
        }
    }

    /// `DIR` in `arguments` is the directory, and `NEW` a name that is free.
    fn tool(&self, arguments: &[&str], directory: &Path) -> Command {
        let new = self.path("new");
        pelton(arguments.iter().map(|&argument| match argument {
            "DIR" => directory.as_os_str(),
            "NEW" => new.as_os_str(),
            argument => OsStr::new(argument),
        }))
    }
}

const TOOLS: [&[&str]; 6] = [
    &["state", "ls", "DIR"],
    &["state", "show", "DIR"],
    &["state", "verify", "DIR"],
    &["state", "export", "DIR", "--format", "csv", "-o", "NEW"],
    &["state", "diff", "DIR", "DIR"],
    &["savepoint", "DIR", "--to", "NEW"],
];

/// Some users click more often than others.
fn clicks() -> impl Iterator<Item = (usize, &'static str)> {
    let page = |row: usize| ["home", "shop", "about_us"][row * 31 % 7 % 3];
    (0..ROWS).map(move |row| (row * row % 1_237, page(row)))
}

/// The lines that all clicks come to.
fn counted() -> Vec<String> {
    let mut counts: BTreeMap<usize, u64> = BTreeMap::new();
    for (user, _) in clicks().filter(|(_, page)| *page != "about_us") {
        *counts.entry(user).or_default() += 1;
    }
    let mut lines: Vec<String> =
        counts.into_iter().map(|(user, count)| format!("user{user},{count}")).collect();
    lines.sort_unstable();
    lines
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The files of a directory whose names have `part` in them.
fn names(directory: &Path, part: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_str().unwrap().contains(part)).collect()
}

/// A run that is killed when it is dropped.
struct Running {
    child: Child,
}

impl Running {
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        Self { child: command.spawn().unwrap() }
    }

    fn wait_until(&mut self, is_so: impl Fn() -> bool) {
        for _ in 0..10_000 {
            if is_so() {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "the run is over");
            std::thread::park_timeout(Duration::from_millis(1));
        }
        panic!("the run hangs");
    }

    /// Waits for its end, which is a bad one.
    #[track_caller]
    fn fails(&mut self, words: &[&str]) {
        let mut stderr = Vec::new();
        self.child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
        let status = self.child.wait().unwrap();
        fails(&Output { status, stdout: Vec::new(), stderr }, words);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether tests run as root, which may mount and be another user.
fn is_root() -> bool {
    tempfile::tempdir().unwrap().path().metadata().unwrap().uid() == 0
}

/// Whether another user can run the program; says why where not.
fn may_run_as(user: u32) -> bool {
    if !is_root() {
        eprintln!("skipped: only root can be user {user}");
        return false;
    }
    let output = pelton(["--version"]).uid(user).gid(user).output();
    let can_run = output.as_ref().is_ok_and(|output| output.status.success());
    if !can_run {
        eprintln!("skipped: user {user} can't run the program: {output:?}");
    }
    can_run
}

/// The command as another user's.
fn by(user: u32, mut command: Command) -> Command {
    command.uid(user).gid(user);
    command
}

fn give(path: &Path, user: u32) {
    for entry in tree(path).into_keys() {
        chown(entry, Some(user), Some(user)).unwrap();
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn another_jobs_state_is_refused_however_the_job_begins() {
    let place = Place::new();
    let state = place.killed();
    let words = ["state", "of the job `clicks`", "this is `fraud`", "name another directory"];
    for begin in BEGINS {
        place.refuses(place.fraud(&state, begin), &words);
    }
    // Nobody has to have a lock for it.
    fs::remove_file(state.join("LOCK")).unwrap();
    place.refuses(place.fraud(&state, &["--resume"]), &words);
    place.goes_on(&state, &["--resume"]);
}

/// Changes the bytes of every manifest.
fn rewrite(state: &Path, change: impl Fn(&mut [u8])) {
    for path in names(state, "manifest-") {
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }
}

/// What another version's engine would write.
fn of_version_9(manifest: &mut [u8]) {
    manifest[8] = 9;
    let checksum = checksums(&manifest[..56])[0];
    manifest[56..64].copy_from_slice(&checksum.to_le_bytes());
}

#[test]
fn another_versions_state_is_refused_until_it_is_discarded() {
    let place = Place::new();
    let state = place.killed();
    let version = ["manifest-", "format version 9", "this engine reads 1", "use the engine that"];
    rewrite(&state, of_version_9);
    for begin in [&[][..], &["--resume"], &["--drop-state"]] {
        place.refuses(place.clicks(&state, begin), &version);
    }
    place.tools_refuse(&state, &version);
    // A version that nothing vouches for, and another magic, are damage like any other.
    let cases: [(usize, u8, &[&str]); 2] = [
        (8, 8, &["header has the checksum", "and says", "--fresh"]),
        (7, b'2', &["begins with \"PELTMAN2\", and \"PELTMAN1\"", "--fresh"]),
    ];
    for (at, byte, words) in cases {
        rewrite(&state, |bytes| bytes[at] = byte);
        for begin in [&[][..], &["--resume"]] {
            place.refuses(place.clicks(&state, begin), words);
        }
        place.tools_refuse(&state, words);
    }
    place.goes_on(&state, &["--fresh"]);
}

#[test]
fn half_of_a_state_is_refused_and_says_what_is_missing() {
    let place = Place::new();
    let state = place.killed();
    let words = ["no checkpoint in", ".seg: it is missing", "savepoint", "--fresh"];
    names(&state, ".seg").iter().for_each(|path| fs::remove_file(path).unwrap());
    for begin in [&[][..], &["--resume"]] {
        place.refuses(place.clicks(&state, begin), &words);
    }
    // A list of checkpoints is what manifests say of themselves.
    succeeds(&place.tool(TOOLS[0], &state).output().unwrap());
    for arguments in &TOOLS[1..] {
        place.refuses(place.tool(arguments, &state), &words);
    }

    let place = Place::new();
    let state = place.killed();
    let words = ["no checkpoint in", "segment files and no manifest", "savepoint", "--fresh"];
    names(&state, "manifest-").iter().for_each(|path| fs::remove_file(path).unwrap());
    for begin in [&[][..], &["--resume"]] {
        place.refuses(place.clicks(&state, begin), &words);
    }
    place.tools_refuse(&state, &words);
    place.goes_on(&state, &["--fresh"]);
}

#[test]
fn what_is_no_state_directory_is_refused_and_nothing_is_made() {
    let place = Place::new();
    let sources = place.path("sources");
    fs::create_dir_all(sources.join("src")).unwrap();
    fs::write(sources.join("Cargo.toml"), "[package]\n").unwrap();
    fs::write(sources.join("src/main.rs"), "fn main() {}\n").unwrap();
    let file = place.path("clicks.csv");
    let foreign = ["sources holds `Cargo.toml`", "nothing but a job's state was expected", "name "];
    let no_directory = ["clicks.csv", "Not a directory", "name a directory"];
    for begin in BEGINS {
        place.refuses(place.clicks(&sources, begin), &foreign);
        place.refuses(place.clicks(&file, begin), &no_directory);
        place.refuses(place.clicks(&file.join("below"), begin), &no_directory);
    }
    for absent in [place.path("absent"), place.path("absent/a/b")] {
        let words = ["there is no state in", "absent", "name the job's state directory"];
        place.refuses(place.clicks(&absent, &["--resume"]), &words);
        place.tools_refuse(&absent, &["there is no state in", "name a job's state directory"]);
    }
    place.tools_refuse(&sources, &foreign);
    place.tools_refuse(&file, &no_directory);
    // Nor where something else refuses the start.
    fs::remove_file(&file).unwrap();
    for begin in [&[][..], &["--fresh"]] {
        place.refuses(place.clicks(&place.path("absent"), begin), &["clicks.csv"]);
    }
}

#[test]
fn a_directory_in_use_names_its_process_which_is_not_disturbed() {
    let place = Place::new();
    let state = place.path("state");
    let hour = ["--checkpoint-interval", "1h"];
    // Longer than nine starts beside it take on a busy machine.
    let slowest = ["--rate", "500"];
    let mut first = Running::start(place.clicks(&state, &[hour, slowest].concat()));
    first.wait_until(|| state.join("manifest-00000000000000000000").exists());
    let process = format!("in use by process {};", first.child.id());
    let before = tree(&state);
    for begin in [&[][..], &["--resume"], &["--fresh"], &["--savepoint", "anywhere"]] {
        let words = ["state directory", &process, "stop that one, or name another directory"];
        fails(&place.clicks(&state, begin).output().unwrap(), &words);
        fails(&place.fraud(&state, begin).output().unwrap(), &words);
    }
    succeeds(&place.tool(&["state", "ls", "DIR"], &state).output().unwrap());
    unchanged(&state, &before);
    assert!(first.child.try_wait().unwrap().is_none(), "it goes on");
    // It is killed before its first checkpoint, and epoch 0 is gone on from.
    drop(first);
    place.goes_on(&state, &["--resume"]);
}

#[test]
fn a_savepoint_that_does_not_fit_is_refused_and_no_state_directory_is_made() {
    let place = Place::new();
    let (state, new, savepoint) = (place.killed(), place.path("new"), place.path("savepoint"));
    let savepoint_text = savepoint.to_str().unwrap();
    let begin = ["--savepoint", savepoint_text];
    let absent = ["there is no state in", savepoint_text, "a savepoint"];
    place.refuses(place.clicks(&new, &begin), &absent);
    fs::create_dir(&savepoint).unwrap();
    let empty = [savepoint_text, "holds no savepoint", "name the directory that"];
    place.refuses(place.clicks(&new, &begin), &empty);
    let note = savepoint.join("note.txt");
    fs::write(&note, "bring milk").unwrap();
    let foreign =
        [savepoint_text, "holds `note.txt`", "name a job's state directory or a savepoint"];
    place.refuses(place.clicks(&new, &begin), &foreign);
    let target = ["savepoint holds `note.txt`", "nothing was expected", "a new or an empty"];
    let to = ["savepoint", "DIR", "--to", savepoint_text];
    place.refuses(place.tool(&to, &state), &target);

    fs::remove_file(&note).unwrap();
    succeeds(&place.tool(&to, &state).output().unwrap());
    let other_job = ["of the job `clicks`", "this is `fraud`"];
    place.refuses(place.fraud(&new, &begin), &other_job);
    let over = ["state", "holds state already", "name a new directory, or leave the savepoint out"];
    place.refuses(place.clicks(&state, &begin), &over);
    let own = ["holds `savepoint-", "no savepoint was expected", "begin with it by --savepoint"];
    for begin in BEGINS {
        place.refuses(place.clicks(&savepoint, begin), &own);
    }
    place.goes_on(&new, &begin);

    fs::remove_dir_all(&new).unwrap();
    let manifest = names(&savepoint, "savepoint-0").remove(0);
    let mut bytes = fs::read(&manifest).unwrap();
    of_version_9(&mut bytes);
    fs::write(&manifest, bytes).unwrap();
    let version = ["savepoint-0", "format version 9", "use the engine that wrote it"];
    place.refuses(place.clicks(&new, &begin), &version);
    place.tools_refuse(&savepoint, &version);
    fs::remove_file(manifest).unwrap();
    place.refuses(place.clicks(&new, &begin), &["segment files and no manifest"]);
}

#[test]
fn another_users_state_is_refused() {
    if !may_run_as(USER) || !may_run_as(OTHER_USER) {
        return;
    }
    let place = Place::new();
    let state = place.killed();
    give(&state, OTHER_USER);
    let words = ["state", "Permission denied", "let this user read and write it, or name another"];
    // What a job makes is for its user alone; a directory that was opened since has files that are.
    for directory_mode in [0o700, 0o755, 0o777] {
        mode(&state, directory_mode);
        for begin in [&[][..], &["--resume"]] {
            place.refuses(by(USER, place.clicks(&state, begin)), &words);
        }
        for arguments in TOOLS {
            place.refuses(by(USER, place.tool(arguments, &state)), &words);
        }
    }
    place.refuses(by(USER, place.clicks(&state, &["--fresh"])), &words);
    // A folder that is not to be written gets no directory.
    place.refuses(by(USER, place.clicks(&place.path("new"), &[])), &["can't make", words[1]]);
    give(&state, 0);
    place.goes_on(&state, &["--resume"]);
}

#[test]
fn a_directory_that_its_user_may_not_write_is_refused() {
    // Root is not bound by permissions.
    let is_root = is_root();
    if is_root && !may_run_as(USER) {
        return;
    }
    let place = Place::new();
    let state = place.killed();
    if is_root {
        give(&state, USER);
        give(&place.path("clicks"), USER);
    }
    let run = |begin: &[&str]| {
        let command = place.clicks(&state, begin);
        if is_root { by(USER, command) } else { command }
    };
    mode(&state, 0o500);
    let words = ["can't write to", "state", "Permission denied", "let this user read and write it"];
    for begin in BEGINS {
        place.refuses(run(begin), &words);
    }
    mode(&state, 0o700);
    fs::remove_file(state.join("LOCK")).unwrap();
    mode(&state, 0o500);
    let lock = ["can't lock", "state/LOCK", words[2], words[3]];
    for begin in BEGINS {
        place.refuses(run(begin), &lock);
    }
    mode(&state, 0o700);
    succeeds(&run(&["--resume"]).output().unwrap());
}

/// A small filesystem in the place, where it may be mounted.
fn mounted(place: &Place, bytes: u64) -> Option<Tmpfs> {
    match Tmpfs::mount(&place.path("mounted"), bytes) {
        Ok(mounted) => Some(mounted),
        Err(reason) => {
            eprintln!("skipped: {reason}");
            None
        }
    }
}

#[test]
fn a_read_only_filesystem_is_refused_for_writing_and_can_be_read() {
    let place = Place::new();
    let Some(mounted) = mounted(&place, 4 * SEGMENT_BYTES) else {
        return;
    };
    let state = place.path("mounted/state");
    drop(place.begun(&state));
    let words = ["mounted", "Read-only file system", "name a directory that can be written"];
    mounted.change("ro");
    for begin in BEGINS {
        place.refuses(place.clicks(&state, begin), &words);
    }
    place.refuses(place.clicks(&place.path("mounted/new/state"), &[]), &words);
    let target = place.path("mounted/savepoint");
    let to = ["savepoint", "DIR", "--to", target.to_str().unwrap()];
    place.refuses(place.tool(&to, &state), &words);
    succeeds(&place.tool(&["state", "verify", "DIR"], &state).output().unwrap());
    mounted.change("rw");
    fs::remove_file(state.join("LOCK")).unwrap();
    mounted.change("ro");
    place.refuses(place.clicks(&state, &["--resume"]), &words);
    mounted.change("rw");
    place.goes_on(&state, &["--resume"]);
}

/// Fills the filesystem to its last byte.
fn fill(folder: &Path) {
    let mut ballast = fs::File::create(folder.join("ballast")).unwrap();
    for block in [vec![0; 64 << 10], vec![0; 1]] {
        while ballast.write_all(&block).is_ok() {}
    }
}

#[test]
fn a_full_disk_ends_a_start_with_a_word_and_room_is_all_that_it_takes() {
    let place = Place::new();
    let Some(mounted) = mounted(&place, 1 << 20) else {
        return;
    };
    let state = place.path("mounted/state");
    fill(&place.path("mounted"));
    let full = ["mounted/state", "No space left on device", "free some space"];
    for begin in [&[][..], &["--fresh"]] {
        fails(&place.clicks(&state, begin).output().unwrap(), &full);
    }
    fails(&place.clicks(&state, &["--resume"]).output().unwrap(), &["there is no state in"]);
    fs::remove_file(place.path("mounted/ballast")).unwrap();
    // There is room for a manifest now, and none for a segment.
    let often = ["--checkpoint-interval", "5ms"];
    let mut running = Running::start(place.clicks(&state, &[often, SLOW].concat()));
    running.fails(&[&full[..], &["checkpoints in a row have failed", "resume the job"]].concat());
    assert!(names(&state, ".seg").is_empty(), "what had no room is gone");
    mounted.change(&format!("size={}", 4 * SEGMENT_BYTES));
    place.goes_on(&state, &["--resume"]);
}

#[test]
fn a_disk_that_becomes_full_ends_the_job_which_goes_on_once_there_is_room() {
    let place = Place::new();
    let Some(mounted) = mounted(&place, SEGMENT_BYTES + (1 << 20)) else {
        return;
    };
    let state = place.path("mounted/state");
    let mut running = place.begun(&state);
    fill(&place.path("mounted"));
    let full = ["mounted/state", "No space left on device", "free some space"];
    running.fails(&full);
    let before = names(&state, "manifest-");
    assert!(!before.is_empty(), "its checkpoints are there");
    mounted.change(&format!("size={}", 4 * SEGMENT_BYTES));
    place.goes_on(&state, &["--resume"]);
}

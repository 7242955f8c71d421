//! Jobs whose newest epochs turn out to be broken: they go on from an older one, down to the one
//! that they began with, and each row is there once all the same.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pelton::checkpoint::{checksums, decode, encode};
use pelton::job::Checkpoints;
use pelton::record::EventTime;
use pelton::sink::{DirectorySink, FileSink, format_fn, write_u64};
use pelton::source::PushInput;
use pelton::{Driver, Engine, Job, RunningJob};

#[pelton::record]
struct Trade {
    user: u64,
    #[event_time]
    time: EventTime,
}

/// A time that is found again among the bytes of a log.
const TIME: EventTime = EventTime(0x0123_4567_89ab_cdef);

fn trade(user: u64) -> Trade {
    Trade { user, time: TIME }
}

/// Trades at once into a directory of parts; and in time order into counts, for which all of them
/// wait as state until the end.
fn job(output: &Path) -> (Job, PushInput<Trade>) {
    let job = Job::new();
    let (trades, input) = job.push::<Trade>(100);
    let users = format_fn::<Trade, _>(|_, trade, out: &mut Vec<u8>| write_u64(out, trade.user));
    trades.clone().filter(|_| true).to(DirectorySink::new(output.join("parts"), users));
    let ordered = trades.key_by(|trade, key| key.of(trade.user)).in_time_order(|trade| trade.user);
    ordered.count().named("counts").at_end().to(FileSink::csv(output.join("counts.csv")));
    (job, input)
}

fn start(output: &Path) -> (RunningJob, PushInput<Trade>) {
    let (job, input) = job(output);
    let mut checkpoints = Checkpoints::new(output.join("state"));
    checkpoints.interval = Duration::from_secs(3_600);
    checkpoints.segment_bytes = 64 << 10;
    let engine = Engine::new().shards(1).driver(Driver::Threads).checkpoints(checkpoints);
    (engine.start(job).unwrap(), input)
}

/// Pushes the trades of `users` and waits until all of them have passed the source.
fn push(running: &RunningJob, input: &PushInput<Trade>, users: std::ops::Range<u64>) {
    let wanted = users.end;
    users.for_each(|user| input.push(trade(user)).unwrap());
    while running.snapshot().total.accepted < wanted {
        std::thread::park_timeout(Duration::from_micros(100));
    }
}

fn manifests(output: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(output.join("state")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("manifest-"))
        .collect();
    found.sort_unstable();
    found
}

/// The users in the parts that are visible, and those that were counted.
fn rows(output: &Path) -> (Vec<u64>, Vec<u64>) {
    let first = |line: &str| line.split(',').next().unwrap().parse::<u64>().unwrap();
    let mut parts = Vec::new();
    for entry in fs::read_dir(output.join("parts")).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_string_lossy().starts_with('.') {
            parts.extend(fs::read_to_string(path).unwrap().lines().map(first));
        }
    }
    let counts = fs::read_to_string(output.join("counts.csv")).unwrap();
    let mut counts: Vec<u64> = counts.lines().map(first).collect();
    parts.sort_unstable();
    counts.sort_unstable();
    (parts, counts)
}

fn notes(running: &RunningJob) -> String {
    running.checkpoints().unwrap().notes.join("\n")
}

/// The job went on from epoch 0: it reads everything again and says it once.
fn goes_on_from_the_start(running: RunningJob, input: &PushInput<Trade>, output: &Path) {
    assert!(notes(&running).contains("going on from epoch 0"), "{}", notes(&running));
    assert_eq!(input.resumed_at(), 0);
    push(&running, input, 0..12);
    running.stop().unwrap();
    let all: Vec<u64> = (0..12).collect();
    assert_eq!(rows(output), (all.clone(), all));
}

#[test]
fn where_every_later_epoch_is_broken_a_job_goes_on_from_the_one_it_began_with() {
    let output = tempfile::tempdir().unwrap();
    let (running, input) = start(output.path());
    push(&running, &input, 0..10);
    assert_eq!(running.suspend().unwrap(), 1);
    drop(input);
    let [_, newest] = &manifests(output.path())[..] else { panic!("epochs 0 and 1") };
    fs::write(newest, b"PELTMAN1 and then nothing").unwrap();

    let (running, input) = start(output.path());
    goes_on_from_the_start(running, &input, output.path());
}

/// Makes the frame of the first trade in the newest epoch none of its record, and all checksums
/// right: what a bug of the engine that wrote it might have left.
fn break_a_frame(output: &Path) {
    let manifests = manifests(output);
    let path = manifests.last().unwrap();
    let mut manifest = decode(&fs::read(path).unwrap()).unwrap();
    let mut broken = 0;
    for segment in manifest.logs.iter_mut().flat_map(|log| &mut log.segments) {
        let file = output.join("state").join(&segment.file);
        let mut bytes = fs::read(&file).unwrap();
        let time = TIME.0.to_le_bytes();
        let Some(at) = bytes.windows(time.len()).position(|window| window == time) else {
            continue;
        };
        // The time stands at byte 16 of a frame, and its length at the start.
        bytes[at - 16] ^= 0x70;
        fs::write(&file, &bytes).unwrap();
        segment.checksums = checksums(&bytes[..segment.bytes as usize]);
        broken += 1;
    }
    assert_eq!(broken, 1, "one log has trades that wait");
    fs::write(path, encode(&manifest)).unwrap();
}

#[test]
fn a_frame_that_is_none_of_its_record_breaks_its_epoch_alone() {
    let output = tempfile::tempdir().unwrap();
    let (running, input) = start(output.path());
    push(&running, &input, 0..10);
    assert_eq!(running.suspend().unwrap(), 1);
    drop(input);
    break_a_frame(output.path());

    let (running, input) = start(output.path());
    assert!(notes(&running).contains("no whole frame of a `Trade`"), "{}", notes(&running));
    goes_on_from_the_start(running, &input, output.path());
}

//! Planted bugs are found: a comparison that nothing fails would say nothing.
//!
//! Each is found with the seed that is named here, and its report names the seed.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pelton::chain::operators::{ProcessContext, ProcessFunction};
use pelton::io::disk::{Disk, DiskFile, DiskLock, FlushWrite, SharedFile, SimDisk};
use pelton::job::{SourceOptions, Splits};
use pelton::record::TimeSpan;
use pelton::sim::{Outcome, Simulation, World};
use pelton::sink::{Csv, Epoch, FileSink, SinkError, SinkFactory, SinkSeat, SinkStart};
use pelton::source::VecSplit;
use pelton::{Job, Stream};
use pelton_tests::simulated::{Case, Event, EventView, Outputs, Row, RowView, Shape, verdict};

const SEED: u64 = 5;

fn case() -> Case {
    Case { outputs: Outputs::File, ..Case::of(Shape::Stateless, SEED, 800) }
}

fn simulation() -> Simulation {
    Simulation::new(SEED).interval(Duration::from_micros(100)).ring_bytes(2_048).stalls(60)
}

/// A disk that drops the bytes of one write to outputs or, at `flush`, of one flush, and says that
/// all is well.
#[derive(Debug)]
struct Lossy {
    inner: SimDisk,
    writes: Arc<AtomicU64>,
    flushes: Arc<AtomicU64>,
    lost_write: u64,
    lost_flush: u64,
}

#[derive(Debug)]
struct LossyFile {
    inner: SharedFile,
    writes: Arc<AtomicU64>,
    lost_write: u64,
}

impl Lossy {
    fn file(&self, path: &Path, inner: SharedFile) -> SharedFile {
        if !path.starts_with("/out") {
            return inner;
        }
        let writes = Arc::clone(&self.writes);
        Arc::new(LossyFile { inner, writes, lost_write: self.lost_write })
    }
}

impl DiskFile for LossyFile {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, bytes)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.writes.fetch_add(1, Ordering::Relaxed) == self.lost_write {
            return Ok(());
        }
        self.inner.write_at(offset, bytes)
    }
    fn len_bytes(&self) -> io::Result<u64> {
        self.inner.len_bytes()
    }
    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.inner.set_len(bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }
}

impl Disk for Lossy {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.inner.create_directory(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.inner.list(path)
    }
    fn create(&self, path: &Path, preallocated_bytes: u64) -> io::Result<SharedFile> {
        Ok(self.file(path, self.inner.create(path, preallocated_bytes)?))
    }
    fn open(&self, path: &Path, writable: bool) -> io::Result<SharedFile> {
        Ok(self.file(path, self.inner.open(path, writable)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_directory(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.inner.lock(path)
    }
    fn flush(&self, writes: &[FlushWrite<'_>]) -> io::Result<()> {
        if self.flushes.fetch_add(1, Ordering::Relaxed) == self.lost_flush {
            return Ok(());
        }
        self.inner.flush(writes)
    }
    fn flush_name(&self) -> &'static str {
        self.inner.flush_name()
    }
}

fn lossy(simulation: Simulation, lost_write: u64, lost_flush: u64) -> Simulation {
    let (writes, flushes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    simulation.through(move |inner| {
        let (writes, flushes) = (Arc::clone(&writes), Arc::clone(&flushes));
        Arc::new(Lossy { inner, writes, flushes, lost_write, lost_flush })
    })
}

#[test]
fn a_write_that_a_disk_drops_is_reported() {
    let case = case();
    let outcome = lossy(simulation(), u64::MAX, u64::MAX).run(|world| case.build(world));
    assert_eq!(verdict(&case, &outcome), Ok(()), "the wrapper alone changes nothing");
    let outcome = lossy(simulation(), 5, u64::MAX).run(|world| case.build(world));
    let what = verdict(&case, &outcome).unwrap_err();
    assert!(what.starts_with("rows of seed 5, Stateless"), "{what}");
    assert!(what.contains("missing [\""), "{what}");
}

/// Checksums notice at recovery what a flush has lost: the job goes on from an epoch before, or says
/// that it can't; its result is never wrong.
#[test]
fn a_flush_of_state_that_a_disk_drops_is_noticed_by_its_checksums() {
    let case = Case { outputs: Outputs::Both, ..Case::of(Shape::Counts, SEED, 800) };
    let undisturbed = simulation().run(|world| case.build(world));
    let (mut right, mut refused) = (0, 0);
    for lost_flush in 0..undisturbed.epochs {
        for crash in [1, 2, 3] {
            let simulation = simulation().crash_at(undisturbed.operations * crash / 4);
            let outcome = lossy(simulation, u64::MAX, lost_flush).run(|world| case.build(world));
            assert_eq!(outcome.bugs, Vec::<String>::new(), "{outcome:?}");
            match outcome.ended {
                true => assert_eq!(verdict(&case, &outcome), Ok(()), "{outcome:?}"),
                false => refused += 1,
            }
            right += u32::from(outcome.ended);
        }
    }
    eprintln!("a flush of state lost: {right} times the result is right, {refused} times refused");
    assert!(right > 0);
}

/// A file that goes on where it ends, and not where the epoch ended.
struct Forgetful(FileSink<Csv>, std::path::PathBuf);

impl SinkFactory<Row> for Forgetful {
    type Sink = <FileSink<Csv> as SinkFactory<Row>>::Sink;

    fn begin(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        let mut state = start.resume.map(<[u8]>::to_vec);
        if let Some(state) = &mut state {
            let found_bytes = start.disk.open(&self.1, false).and_then(|file| file.len_bytes());
            state[2..10].copy_from_slice(&found_bytes.unwrap_or(0).to_le_bytes());
        }
        SinkFactory::<Row>::begin(&self.0, &SinkStart { resume: state.as_deref(), ..*start })
    }
    fn open(&self, seat: SinkSeat) -> Self::Sink {
        SinkFactory::<Row>::open(&self.0, seat)
    }
    fn prepared(&self, epoch: Epoch) -> Result<Option<Vec<u8>>, SinkError> {
        SinkFactory::<Row>::prepared(&self.0, epoch)
    }
    fn finish(&self) -> Result<u64, SinkError> {
        SinkFactory::<Row>::finish(&self.0)
    }
}

/// Counts each key's events: rightly in the engine's state, or in a field of its own.
#[derive(Clone)]
struct Numbered {
    keeps_to_itself: bool,
    own: std::collections::BTreeMap<String, i64>,
}

const SEEN: pelton::chain::operators::ValueState<i64> =
    pelton::chain::operators::ValueState::new(0);

impl ProcessFunction for Numbered {
    type Key = String;
    type In = Event;
    type Out = Row;

    fn states(&self, states: &mut pelton::chain::operators::States) {
        states.value("seen", SEEN);
    }

    fn on_record(&mut self, context: &mut ProcessContext<'_, Row>, key: &str, _: EventView<'_>) {
        let own = self.own.entry(key.to_owned()).or_default();
        *own += 1;
        let seen = context.get(SEEN).unwrap_or(0) + 1;
        context.set(SEEN, seen);
        let a = if self.keeps_to_itself { *own } else { seen };
        context.emit(RowView { name: key, a, b: 0, c: 0 });
    }
}

#[pelton::job]
fn numbered(events: Stream<Event>, function: Numbered) -> Stream<Row> {
    events.key_by(|e| e.key).process(function)
}

fn counts(events: &[Event]) -> Vec<String> {
    let mut counts = std::collections::BTreeMap::new();
    let mut lines: Vec<String> = events
        .iter()
        .map(|event| {
            let count = counts.entry(&event.key).or_insert(0);
            *count += 1;
            let quote = if event.key.contains(',') { "\"" } else { "" };
            format!("{quote}{}{quote},{count},0,0", event.key)
        })
        .collect();
    lines.sort_unstable();
    lines
}

fn run_numbered(keeps_to_itself: bool, forgets: bool, crash_at: Option<u64>) -> (Outcome, bool) {
    let mut simulation = simulation();
    if let Some(at) = crash_at {
        simulation = simulation.crash_at(at);
    }
    let events = Case::of(Shape::SumChanges, SEED, 800).splits.remove(0);
    let outcome = simulation.run(|world: &World| {
        let job = Job::new();
        let split = world.stalled(VecSplit::new("events", events.clone()), 0);
        let options = SourceOptions::new().lateness(TimeSpan::days(1));
        let stream = job.source(Splits::new(vec![split]), options);
        let rows = numbered(stream, Numbered { keeps_to_itself, own: Default::default() });
        let path = world.path("rows");
        let file = FileSink::new(&path, Csv::new().header_line(false));
        if forgets {
            rows.to(Forgetful(file, path))
        } else {
            rows.to(file)
        }
        job
    });
    assert!(outcome.ended, "{outcome:?}");
    let is_right = outcome.lines("rows") == counts(&events);
    (outcome, is_right)
}

#[test]
fn a_file_that_is_not_cut_and_state_of_ones_own_are_found_and_only_by_crashes() {
    let (undisturbed, is_right) = run_numbered(false, false, None);
    assert!(is_right, "{undisturbed:?}");
    assert!(run_numbered(true, false, None).1, "without a crash nothing shows");
    assert!(run_numbered(false, true, None).1, "without a crash nothing shows");
    let (mut of_file, mut of_state, mut count) = (0, 0, 0);
    for at in (0..undisturbed.operations).step_by(5) {
        assert!(run_numbered(false, false, Some(at)).1, "crash at {at}");
        of_file += u64::from(!run_numbered(false, true, Some(at)).1);
        of_state += u64::from(!run_numbered(true, false, Some(at)).1);
        count += 1;
    }
    eprintln!(
        "{count} crashes: the uncut file is found by {of_file}, the lost state by {of_state}"
    );
    assert!(of_file > 0, "a file that is not cut goes unnoticed");
    assert!(of_state > count / 2, "state outside of the engine goes unnoticed");
}

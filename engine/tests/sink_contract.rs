//! Every output that says exactly once is held to the contract, and broken ones fail it.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use pelton::chain::Flow;
use pelton::io::WriterMode;
use pelton::io::disk::{Disk, FlushEngine, RealDisk, SimDisk};
use pelton::record::{Change, ChangeView, FrameHeader, RowKind};
use pelton::sink::contract::{self, ContractBroken, Shard, Subject};
use pelton::sink::{
    Both, CollectSink, Csv, DirectorySink, Epoch, FileSink, Guarantee, Sink, SinkError,
    SinkFactory, SinkSeat, SinkStart,
};

type Count = Change<String, u64>;

/// Where a subject's files are.
#[derive(Clone)]
enum Place {
    Real(Arc<RealDisk>, Arc<tempfile::TempDir>),
    Simulated(SimDisk),
}

impl Place {
    fn real() -> Self {
        let disk = RealDisk::new(FlushEngine::Plain).unwrap();
        Self::Real(Arc::new(disk), Arc::new(tempfile::tempdir().unwrap()))
    }

    fn disk(&self) -> Arc<dyn Disk> {
        match self {
            Self::Real(disk, _) => disk.clone(),
            Self::Simulated(disk) => Arc::new(disk.clone()),
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Real(_, dir) => dir.path().to_owned(),
            Self::Simulated(_) => PathBuf::from("/sim"),
        }
    }

    fn read(&self, path: &Path) -> String {
        let Ok(file) = self.disk().open(path, false) else { return String::new() };
        let mut bytes = vec![0; usize::try_from(file.len_bytes().unwrap()).unwrap()];
        file.read_at(0, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn clear(&mut self) {
        match self {
            Self::Real(..) => *self = Self::real(),
            Self::Simulated(disk) => {
                disk.restore(&BTreeMap::new());
                disk.create_directory(Path::new("/sim")).unwrap();
                disk.sync_directory(Path::new("/")).unwrap();
            }
        }
    }

    fn crash(&self) {
        if let Self::Simulated(disk) = self {
            disk.crash();
        }
    }
}

fn values(text: &str) -> Vec<u64> {
    let lines = text.lines().filter(|line| *line != "key,value");
    lines.map(|line| line.strip_prefix("k,").unwrap().parse().unwrap()).collect()
}

fn csv() -> Csv {
    Csv::new().named(&["key"], &["value"]).header_line(true)
}

fn file_rows(place: &Place) -> Vec<u64> {
    let text = place.read(&place.path().join("out.csv"));
    assert_eq!(text.matches("key,value").count(), 1, "{text}");
    values(&text)
}

fn directory_rows(place: &Place) -> Vec<u64> {
    let directory = place.path().join("out");
    let names = place.disk().list(&directory).unwrap_or_default();
    let visible = names.iter().filter(|name| !name.starts_with('.'));
    visible
        .flat_map(|name| {
            let text = place.read(&directory.join(name));
            assert!(text.starts_with("key,value\n"), "{text}");
            values(&text)
        })
        .collect()
}

/// A subject by its two functions.
struct Case<S> {
    place: Place,
    mode: WriterMode,
    hides: bool,
    make: fn(&Place, &CollectSink<Count>) -> S,
    read: fn(&Place, &mut Vec<u64>) -> Vec<u64>,
    collected: CollectSink<Count>,
    taken: Mutex<Vec<u64>>,
}

impl<S: SinkFactory<Count>> Subject for Case<S> {
    type Item = Count;
    type Factory = S;

    fn make(&mut self) -> S {
        (self.make)(&self.place, &self.collected)
    }

    fn write(&self, sink: &mut Shard<Self>, row: u64) -> Flow {
        let view = ChangeView { kind: RowKind::Insert, key: "k", value: row };
        sink.write(&FrameHeader::default(), view)
    }

    fn read(&self) -> Vec<u64> {
        let mut taken = self.taken.lock().unwrap();
        taken.extend(self.collected.take_rows().iter().map(|change| change.value));
        (self.read)(&self.place, &mut taken)
    }

    fn clear(&mut self) {
        self.place.clear();
        self.collected = CollectSink::new();
        self.taken.lock().unwrap().clear();
    }

    fn crash(&mut self) {
        self.place.crash();
    }

    fn disk(&self) -> Arc<dyn Disk> {
        self.place.disk()
    }

    fn mode(&self) -> WriterMode {
        self.mode
    }

    fn hides_uncommitted(&self) -> bool {
        self.hides
    }
}

fn case<S: SinkFactory<Count>>(
    place: Place,
    mode: WriterMode,
    hides: bool,
    make: fn(&Place, &CollectSink<Count>) -> S,
    read: fn(&Place, &mut Vec<u64>) -> Vec<u64>,
) -> Case<S> {
    let (collected, taken) = (CollectSink::new(), Mutex::default());
    Case { place, mode, hides, make, read, collected, taken }
}

/// On the machine's disk by both modes, and on 40 simulated ones that lose power at each crash.
fn holds<S: SinkFactory<Count>>(
    hides: bool,
    make: fn(&Place, &CollectSink<Count>) -> S,
    read: fn(&Place, &mut Vec<u64>) -> Vec<u64>,
) {
    for mode in [WriterMode::Thread, WriterMode::Inline] {
        contract::check(&mut case(Place::real(), mode, hides, make, read)).unwrap();
    }
    for seed in 0..40 {
        let place = Place::Simulated(SimDisk::new(seed));
        let answer = contract::check(&mut case(place, WriterMode::Inline, hides, make, read));
        answer.unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
}

fn file(place: &Place) -> FileSink<Csv> {
    FileSink::new(place.path().join("out.csv"), csv())
}

fn directory(place: &Place) -> DirectorySink<Csv> {
    DirectorySink::new(place.path().join("out"), csv()).extension("csv")
}

#[test]
fn a_file_holds_each_row_once() {
    holds(false, |place, _| file(place), |place, _| file_rows(place));
}

#[test]
fn a_directory_shows_each_row_once_and_only_when_committed() {
    holds(true, |place, _| directory(place), |place, _| directory_rows(place));
}

#[test]
fn collected_rows_are_readable_once_and_only_when_committed() {
    holds(true, |_, rows| rows.clone(), |_, taken| taken.clone());
}

#[test]
fn both_of_a_file_and_a_directory_hold_each_row_once() {
    holds(
        false,
        |place, _| Both(file(place), directory(place)),
        |place, _| {
            let (rows, mut shown) = (file_rows(place), directory_rows(place));
            shown.sort_unstable();
            if shown == {
                let mut rows = rows.clone();
                rows.sort_unstable();
                rows
            } {
                rows
            } else {
                vec![u64::MAX]
            }
        },
    );
}

#[test]
fn an_optional_file_holds_each_row_once() {
    holds(false, |place, _| Some(file(place)), |place, _| file_rows(place));
}

#[test]
fn the_weaker_guarantee_counts() {
    let place = Place::real();
    let both = Both(file(&place), FileSink::csv("-"));
    assert_eq!(SinkFactory::<Count>::guarantee(&both), Guarantee::AtLeastOnce);
    let both = Both(file(&place), directory(&place));
    assert_eq!(SinkFactory::<Count>::guarantee(&both), Guarantee::ExactlyOnce);
}

/// A directory that commits as soon as an epoch is prepared.
struct Hasty(DirectorySink<Csv>);

impl SinkFactory<Count> for Hasty {
    type Sink = <DirectorySink<Csv> as SinkFactory<Count>>::Sink;

    fn begin(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        SinkFactory::<Count>::begin(&self.0, start)
    }
    fn open(&self, seat: SinkSeat) -> Self::Sink {
        self.0.open(seat)
    }
    fn prepared(&self, epoch: Epoch) -> Result<Option<Vec<u8>>, SinkError> {
        let state = SinkFactory::<Count>::prepared(&self.0, epoch)?;
        if state.is_some() {
            SinkFactory::<Count>::commit(&self.0, epoch)?;
        }
        Ok(state)
    }
    fn finish(&self) -> Result<u64, SinkError> {
        SinkFactory::<Count>::finish(&self.0)
    }
}

/// A file that goes on where it ends, and not where the epoch ended.
struct Forgetful(FileSink<Csv>, PathBuf);

impl SinkFactory<Count> for Forgetful {
    type Sink = <FileSink<Csv> as SinkFactory<Count>>::Sink;

    fn begin(&self, start: &SinkStart<'_>) -> Result<(), SinkError> {
        let mut state = start.resume.map(<[u8]>::to_vec);
        if let Some(state) = &mut state {
            let file = start.disk.open(&self.1, false).unwrap();
            state[2..10].copy_from_slice(&file.len_bytes().unwrap().to_le_bytes());
        }
        SinkFactory::<Count>::begin(&self.0, &SinkStart { resume: state.as_deref(), ..*start })
    }
    fn open(&self, seat: SinkSeat) -> Self::Sink {
        self.0.open(seat)
    }
    fn prepared(&self, epoch: Epoch) -> Result<Option<Vec<u8>>, SinkError> {
        SinkFactory::<Count>::prepared(&self.0, epoch)
    }
}

#[test]
fn an_output_that_commits_too_early_breaks_the_contract() {
    let make = |place: &Place, _: &CollectSink<Count>| Hasty(directory(place));
    let mut hasty =
        case(Place::real(), WriterMode::Inline, true, make, |place, _| directory_rows(place));
    let broken = contract::check(&mut hasty).unwrap_err();
    assert!(matches!(broken, ContractBroken::Rows { .. }), "{broken}");
    assert!(broken.to_string().starts_with("an epoch aborted"), "{broken}");
}

#[test]
fn an_output_that_forgets_to_cut_its_file_breaks_the_contract() {
    let make = |place: &Place, _: &CollectSink<Count>| {
        Forgetful(file(place), place.path().join("out.csv"))
    };
    let mut forgetful =
        case(Place::real(), WriterMode::Inline, false, make, |place, _| file_rows(place));
    let broken = contract::check(&mut forgetful).unwrap_err();
    assert!(broken.to_string().starts_with("a crash between prepare and the manifest"), "{broken}");
}

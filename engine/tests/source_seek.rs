//! Step 1, source: splits go on where an earlier run stood.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod source_common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, unbounded};
use flate2::write::GzEncoder;
use pelton::io::{BlockReader, ReadSeek, ReaderMode};
use pelton::record::{Decimal, Record};
use pelton::source::{
    FileSettings, FileSplit, Format, GeneratorSplit, Next, ScriptedSplit, Split, SplitPath,
    VecSplit, push_source,
};
use proptest::prelude::*;
use source_common::{Payment, Row, drain};
use tempfile::TempDir;

fn position(split: &impl Split<Payment>) -> Vec<u8> {
    let mut bytes = Vec::new();
    split.position(&mut bytes);
    bytes
}

/// The offset in a file's position, where the picture in `source::file_position` has it.
fn offset(position: &[u8]) -> usize {
    let offset = u64::from_le_bytes(position[5..13].try_into().unwrap());
    usize::try_from(offset).unwrap()
}

fn settings(format: Format, row_bytes_max: usize) -> FileSettings {
    FileSettings { format: Some(format), row_bytes_max, ..FileSettings::default() }
}

fn split_of(
    raw: impl ReadSeek + 'static,
    block_bytes: usize,
    settings: FileSettings,
) -> FileSplit<Payment> {
    let raw = Box::new(raw);
    let reader = BlockReader::from_seek("x".to_owned(), raw, ReaderMode::Inline, block_bytes);
    FileSplit::new(reader, settings)
}

/// One answer of a split: a row, or `None` where it has nothing yet.
enum Said {
    Row(Row),
    Pending,
    Ended,
}

fn ask(split: &mut impl Split<Payment>) -> Said {
    Said::Row(match split.next() {
        Next::Record(view) => Row::Record(Payment::to_record(view)),
        Next::Rejected(reject) => {
            Row::Rejected(reject.line, reject.reason.to_string(), reject.bytes.to_vec())
        }
        Next::Failed(error) => Row::Failed(error.to_string()),
        Next::Pending => return Said::Pending,
        Next::Ended => return Said::Ended,
    })
}

/// The rows that are left, and the position before each and at the end.
fn walk(split: &mut FileSplit<Payment>) -> (Vec<Row>, Vec<Vec<u8>>) {
    let (mut rows, mut positions) = (Vec::new(), vec![position(split)]);
    while let Said::Row(row) = ask(split) {
        let is_last = matches!(row, Row::Failed(_));
        rows.push(row);
        if is_last {
            break;
        }
        positions.push(position(split));
    }
    (rows, positions)
}

/// Bytes that arrive one at a time, each when it is allowed to.
struct Gated {
    inner: Cursor<Vec<u8>>,
    permits: Receiver<()>,
}

impl Read for Gated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.permits.recv().map_err(io::Error::other)?;
        let length = buffer.len().min(1);
        self.inner.read(&mut buffer[..length])
    }
}

impl Seek for Gated {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Every position that a split takes while its bytes arrive one at a time, also within rows, with
/// how many rows it had handed out.
fn positions_on_the_way(bytes: &[u8], settings: FileSettings) -> BTreeMap<Vec<u8>, usize> {
    let (permit, permits) = unbounded();
    let raw = Box::new(Gated { inner: Cursor::new(bytes.to_vec()), permits });
    let mode = ReaderMode::Thread { wake: Arc::new(|| {}) };
    let mut split = FileSplit::new(BlockReader::from_seek("x".to_owned(), raw, mode, 1), settings);
    let (mut rows, mut positions) = (0, BTreeMap::new());
    loop {
        match ask(&mut split) {
            Said::Row(Row::Failed(_)) | Said::Ended => return positions,
            Said::Row(_) => rows += 1,
            Said::Pending => {
                permit.send(()).expect("the split holds its reader");
                std::thread::yield_now();
            }
        }
        positions.insert(position(&split), rows);
    }
}

/// What an input may be made of: rows of all kinds, and bytes that turn them into others.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &[&[u8]] = &[
        b"1,ada,2,0\n",
        b"7,bob,1,\r\n",
        b"3,\"a\nb\",4,1\n",
        b"3,\"a\"\"b\r\nc\",4,1\r\n",
        b"{\"id\":1,\"who\":\"ada\",\"amount\":2}\n",
        b"{\"id\":1}\n",
        b"\n",
        b"\r\n",
        b"  \n",
        b"\"open,1,2\n",
        b"4,\"shut\"text,1,2\n",
        b"a line that is far longer than forty bytes, so it is too long\n",
        b"\"",
        b",",
        b"\n",
        b"x",
        b"\r",
        b"\xef\xbb\xbf",
        b"\xef",
        b"\xff",
        // What a compressed file starts with: a row that does is no reason to decompress.
        b"\x1f\x8b,1,2,0\n",
        b"\x28\xb5\x2f\xfd\n",
    ];
    proptest::sample::select(pieces).prop_map(<[u8]>::to_vec)
}

const START_CSV: &[&[u8]] = &[
    b"",
    b"id,who,amount,fraud\n",
    b"\xef\xbb\xbfid,who,amount,fraud\r\n",
    b"\xef\xbb\xbf\n\n\"id\",who,amount\n",
    b"who,id,amount,fraud\n",
    b"\xef\xbb",
];

fn input() -> impl Strategy<Value = (Vec<u8>, FileSettings)> {
    let start = proptest::sample::select(START_CSV);
    let pieces = proptest::collection::vec(piece(), 0..16);
    (
        start,
        pieces,
        any::<bool>(),
        prop_oneof![3 => Just(Format::Csv), 1 => Just(Format::Json)],
        20..50_usize,
    )
        .prop_map(|(start, pieces, header, format, row_bytes_max)| {
            let mut settings = settings(format, row_bytes_max);
            settings.csv.header = header;
            ([start.to_vec(), pieces.concat()].concat(), settings)
        })
}

/// Bytes of which those before `offset` are gone. They look like a compressed file's.
fn junked(bytes: &[u8], offset: usize) -> Vec<u8> {
    let junk = b"\x1f\x8b\"\n\xef".iter().copied().cycle().take(offset);
    junk.chain(bytes[offset..].iter().copied()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rows_behind_any_row_are_the_same_when_resumed_over_junk(
        (bytes, settings) in input(),
        block_bytes in prop_oneof![1..8_usize, 8..200_usize],
        resumed_block_bytes in prop_oneof![1..8_usize, 8..200_usize],
    ) {
        let whole = Cursor::new(bytes.clone());
        let (rows, positions) = walk(&mut split_of(whole, block_bytes, settings));
        for (index, from) in positions.iter().enumerate() {
            let raw = Cursor::new(junked(&bytes, offset(from)));
            let mut split = split_of(raw, resumed_block_bytes, settings);
            prop_assert!(split.seek(from, index as u64).is_ok());
            let (resumed, resumed_positions) = walk(&mut split);
            prop_assert_eq!(&resumed, &rows[index..], "from row {}", index);
            // So a run that was resumed is resumed as well as any.
            prop_assert_eq!(&resumed_positions, &positions[index..], "from row {}", index);
        }
    }

    #[test]
    fn any_bytes_for_a_position_are_read_or_refused(
        (bytes, settings) in input(),
        garbage in proptest::collection::vec(any::<u8>(), 0..60),
        change in any::<(prop::sample::Index, prop::sample::Index, u8)>(),
    ) {
        let whole = Cursor::new(bytes);
        let (_, positions) = walk(&mut split_of(whole.clone(), 16, settings));
        let mut changed = change.0.get(&positions).clone();
        *change.1.get_mut(&mut changed) = change.2;
        let cut = &changed[..change.1.index(changed.len())];
        let headed = [&[1, 2][..], &garbage].concat();
        for position in [&garbage[..], &headed, &changed, cut] {
            let mut split = split_of(whole.clone(), 16, settings);
            if split.seek(position, 0).is_ok() {
                drain(&mut split);
            }
        }
        prop_assert!(split_of(whole, 16, settings).seek(cut, 0).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_position_within_a_row_that_is_still_arriving_is_as_good((bytes, settings) in input()) {
        let (rows, _) = walk(&mut split_of(Cursor::new(bytes.clone()), 100, settings));
        for (from, index) in positions_on_the_way(&bytes, settings) {
            let raw = Cursor::new(junked(&bytes, offset(&from)));
            let mut split = split_of(raw, 7, settings);
            prop_assert!(split.seek(&from, index as u64).is_ok());
            prop_assert_eq!(&position(&split), &from);
            prop_assert_eq!(&walk(&mut split).0, &rows[index..], "{:?}", from);
        }
    }

    #[test]
    fn compressed_inputs_are_skipped_to_the_row((bytes, settings) in input()) {
        for packed in [gzip(&bytes), zstd::encode_all(&bytes[..], 1).unwrap()] {
            let (rows, positions) = walk(&mut split_of(Cursor::new(packed.clone()), 9, settings));
            for (index, from) in positions.iter().enumerate() {
                let mut split = split_of(Cursor::new(packed.clone()), 5, settings);
                prop_assert!(split.seek(from, index as u64).is_ok());
                let (resumed, resumed_positions) = walk(&mut split);
                prop_assert_eq!(&resumed, &rows[index..]);
                prop_assert_eq!(&resumed_positions, &positions[index..]);
            }
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn csv_of(count: u64) -> String {
    let rows = (0..count).map(|id| format!("{id},customer {id},1,0\n"));
    "id,who,amount,fraud\n".to_owned() + &rows.collect::<String>()
}

/// The position behind `count` rows.
fn position_behind(split: &mut FileSplit<Payment>, count: usize) -> Vec<u8> {
    let mut taken = 0;
    while taken < count {
        taken += usize::from(matches!(ask(split), Said::Row(_)));
    }
    position(split)
}

fn open(path: &std::path::Path, mode: ReaderMode) -> FileSplit<Payment> {
    FileSplit::open(&SplitPath::new(path), FileSettings::default(), mode).unwrap()
}

fn threaded() -> ReaderMode {
    ReaderMode::Thread { wake: Arc::new(|| {}) }
}

#[test]
fn files_whose_beginning_was_overwritten_are_read_on_by_the_thread() {
    let directory = TempDir::new().unwrap();
    let text = csv_of(60_000);
    let path = directory.path().join("x.csv");
    fs::write(&path, &text).unwrap();
    let rows = drain(&mut open(&path, threaded()));
    assert_eq!(rows.len(), 60_000);
    for index in [0, 1, 12_345, 59_999, 60_000] {
        fs::write(&path, &text).unwrap();
        let from = position_behind(&mut open(&path, threaded()), index);
        fs::write(&path, junked(text.as_bytes(), offset(&from))).unwrap();
        let mut split = open(&path, threaded());
        split.seek(&from, index as u64).unwrap();
        assert!(drain(&mut split) == rows[index..], "from row {index}");
    }
}

/// The lowest byte that was read.
struct Watched {
    inner: Cursor<Vec<u8>>,
    lowest: Arc<AtomicU64>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lowest.fetch_min(self.inner.position(), Ordering::Relaxed);
        self.inner.read(buffer)
    }
}

impl Seek for Watched {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[test]
fn nothing_before_the_position_is_read() {
    let text = csv_of(100).into_bytes();
    let mut first = split_of(Cursor::new(text.clone()), 64, FileSettings::default());
    let from = position_behind(&mut first, 40);
    let lowest = Arc::new(AtomicU64::new(u64::MAX));
    let raw = Watched { inner: Cursor::new(text), lowest: lowest.clone() };
    let mut split = split_of(raw, 64, FileSettings::default());
    assert_eq!(lowest.load(Ordering::Relaxed), u64::MAX, "opening reads nothing");
    split.seek(&from, 40).unwrap();
    assert_eq!(lowest.load(Ordering::Relaxed), u64::MAX, "seeking reads nothing");
    assert_eq!(drain(&mut split).len(), 60);
    assert_eq!(lowest.load(Ordering::Relaxed), offset(&from) as u64);
}

#[test]
fn numbers_that_no_run_can_have_written_are_refused() {
    let text = csv_of(10);
    let split = || split_of(Cursor::new(text.clone()), 64, FileSettings::default());
    let from = position_behind(&mut split(), 5);
    split().seek(&from, 5).unwrap();
    // Offset, line and lines, where the picture in `source::file_position` has them.
    for at in [5, 13, 21] {
        let mut changed = from.clone();
        changed[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(split().seek(&changed, 5).is_err(), "the number at byte {at}");
    }
    let mut changed = from;
    changed[13..21].copy_from_slice(&0_u64.to_le_bytes());
    assert!(split().seek(&changed, 5).is_err(), "lines count from 1");
}

#[test]
fn what_can_not_be_resumed_says_why() {
    let directory = TempDir::new().unwrap();
    let refused = |path: &std::path::Path, from: &[u8]| {
        open(path, ReaderMode::Inline).seek(from, 5).unwrap_err().to_string()
    };
    let path = directory.path().join("x.csv");
    fs::write(&path, csv_of(10)).unwrap();
    let from = position_behind(&mut open(&path, ReaderMode::Inline), 5);
    assert_eq!(offset(&from), 105);
    fs::write(&path, "short").unwrap();
    let error = refused(&path, &from);
    let expected = "x.csv\" ends at byte 5, and reading goes on at byte 105; restore the whole";
    assert!(error.contains(expected), "{error}");

    assert!(refused(&path, b"").contains("damaged"));
    let other_version = [&[9], &from[1..]].concat();
    assert!(refused(&path, &other_version).contains("has format 9 where 1 is known"));
    let json = directory.path().join("x.ndjson");
    fs::write(&json, "").unwrap();
    assert!(refused(&json, &from).contains("another kind or format"));
    let mut split = FileSplit::<Payment>::open(
        &SplitPath::new("-"),
        settings(Format::Csv, 100),
        ReaderMode::Inline,
    )
    .unwrap();
    let error = split.seek(&from, 5).unwrap_err().to_string();
    assert!(error.contains("\"standard input\": standard input and pipes are read"), "{error}");

    let mut headless = settings(Format::Csv, 100);
    headless.csv.header = false;
    let error = split_of(Cursor::new(csv_of(10)), 64, headless).seek(&from, 5).unwrap_err();
    assert!(error.to_string().contains("with the header set otherwise"), "{error}");
}

#[test]
fn compressed_files_that_became_shorter_or_something_else_fail_at_the_first_row() {
    let mut split = split_of(Cursor::new(gzip(csv_of(10).as_bytes())), 64, FileSettings::default());
    let from = position_behind(&mut split, 5);
    let failure = |bytes: Vec<u8>| {
        let mut split = split_of(Cursor::new(bytes), 64, FileSettings::default());
        split.seek(&from, 5).unwrap();
        match drain(&mut split).pop() {
            Some(Row::Failed(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let error = failure(gzip(b"short"));
    assert!(error.contains("ends at byte 5, and reading goes on at byte 105"), "{error}");
    assert!(failure(csv_of(10).into_bytes()).contains("did when it was read before"));
    let packed = zstd::encode_all(csv_of(10).as_bytes(), 1).unwrap();
    assert!(failure(packed).contains("did when it was read before"));
    let mut cut = gzip(csv_of(10).as_bytes());
    cut.truncate(40);
    assert!(failure(cut).contains("is not whole gzip data"));
}

fn record(id: u64) -> Payment {
    Payment { id, who: format!("customer {id}"), amount: Decimal(1), fraud: None }
}

/// Reads `count` records of a split, and the rest with another one that goes on from there.
fn resumes<S: Split<Payment>>(make: impl Fn() -> S, all: u64) {
    let expected: Vec<Row> = drain(&mut make());
    assert_eq!(expected.len() as u64, all);
    for count in 0..=expected.len() {
        let mut first = make();
        let mut taken = 0;
        while taken < count {
            taken += usize::from(matches!(ask(&mut first), Said::Row(_)));
        }
        let from = position(&first);
        let mut second = make();
        second.seek(&from, count as u64).unwrap();
        assert_eq!(position(&second), from);
        assert_eq!(drain(&mut second), expected[count..]);
        assert!(make().seek(&from, count as u64 + 1).is_err(), "another row than the position's");
        assert!(make().seek(&from[..from.len() - 1], count as u64).is_err());
        assert!(make().seek(&[&from[..], &[0]].concat(), count as u64).is_err());
    }
    let mut ended = make();
    drain(&mut ended);
    drain(&mut ended);
    let mut again = make();
    again.seek(&position(&ended), all).unwrap();
    assert_eq!(drain(&mut again), []);
}

#[test]
fn splits_in_memory_go_on_behind_every_record() {
    let records = || (0..9).map(record).collect::<Vec<_>>();
    resumes(|| VecSplit::new("v", records()), 9);
    resumes(|| ScriptedSplit::new(VecSplit::new("v", records()), 7, 90), 9);
    let from = position(&{
        let mut split = VecSplit::new("v", records());
        drain(&mut split);
        split
    });
    let error = VecSplit::new("v", vec![record(0)]).seek(&from, 9).unwrap_err().to_string();
    let expected =
        "cannot resume input \"v\": it ends after 1 records, and the checkpoint covers 9; ";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_generator_that_carries_state_is_where_it_was() {
    let seeded = || {
        let mut state = 17_u64;
        GeneratorSplit::new("g", move |number| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (number < 8).then(|| record(state >> 33))
        })
    };
    resumes(seeded, 8);
    let mut split = seeded();
    drain(&mut split);
    let shorter = GeneratorSplit::new("g", |number| (number < 3).then(|| record(number)));
    let error = { shorter }.seek(&position(&split), 8).unwrap_err().to_string();
    assert!(error.contains("ends after 3 records, and the checkpoint covers 8"), "{error}");
}

#[test]
fn who_pushes_is_told_from_which_record_to_push_on() {
    let (input, mut split) = push_source::<Payment>("pushed", 10);
    assert_eq!(input.resumed_at(), 0);
    for id in 0..5 {
        input.push(record(id)).unwrap();
    }
    assert!(matches!(ask(&mut split), Said::Row(_)));
    assert!(matches!(ask(&mut split), Said::Row(_)));
    let from = position(&split);
    let (input, mut split) = push_source::<Payment>("pushed", 10);
    split.seek(&from, 2).unwrap();
    assert_eq!(input.clone().resumed_at(), 2);
    input.push(record(2)).unwrap();
    assert!(matches!(ask(&mut split), Said::Row(Row::Record(found)) if found == record(2)));
    assert!(matches!(ask(&mut split), Said::Pending));
    let (again, mut third) = push_source::<Payment>("pushed", 10);
    third.seek(&position(&split), 3).unwrap();
    assert_eq!(again.resumed_at(), 3);
}

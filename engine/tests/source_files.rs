//! Step 1, source: files, compression, directories and patterns.

mod source_common;
#[path = "source_common/text.rs"]
mod text;

use std::fs;
use std::io::Write;
use std::sync::Arc;

use crossbeam_channel::{bounded, unbounded};
use flate2::write::GzEncoder;
use pelton::io::{BlockPoll, BlockReader, ReaderMode, Wake};
use pelton::source::{FileSettings, FileSplit, SplitPath, expand};
use source_common::{Payment, Row, drain};
use tempfile::TempDir;
use text::{file, payment, rows};

fn csv_of(count: u64) -> String {
    let rows = (0..count).map(|id| format!("{id},customer {id},1,0\n"));
    "id,who,amount,fraud\n".to_owned() + &rows.collect::<String>()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("it works in a test");
    encoder.finish().expect("it works in a test")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("it works in a test")
}

fn read(directory: &TempDir, name: &str, bytes: &[u8], mode: ReaderMode) -> Vec<Row> {
    let path = directory.path().join(name);
    fs::write(&path, bytes).expect("it works in a test");
    let mut split =
        FileSplit::<Payment>::open(&SplitPath::new(path), FileSettings::default(), mode)
            .expect("it works in a test");
    drain(&mut split)
}

fn threaded() -> ReaderMode {
    ReaderMode::Thread { wake: Arc::new(|| {}) }
}

#[test]
fn plain_gzip_and_zstd_files_of_any_parts_read_the_same() {
    let directory = TempDir::new().unwrap();
    let text = csv_of(20_000);
    let expected = rows("x.csv", &text, FileSettings::default());
    assert_eq!(expected.len(), 20_000);
    let (head, tail) = text.as_bytes().split_at(100_001);
    let files = [
        ("x.csv", text.clone().into_bytes()),
        ("x.csv.gz", gzip(text.as_bytes())),
        ("members.csv.gz", [gzip(head), gzip(tail)].concat()),
        ("x.csv.zst", zstd(text.as_bytes())),
        ("frames.csv.zst", [zstd(head), zstd(tail)].concat()),
        ("told-by-its-bytes", gzip(text.as_bytes())),
    ];
    for (name, bytes) in files {
        assert_eq!(read(&directory, name, &bytes, ReaderMode::Inline), expected, "{name}");
        assert_eq!(read(&directory, name, &bytes, threaded()), expected, "{name}");
    }
}

#[test]
fn a_damaged_file_fails_with_its_name_and_offset_after_its_whole_rows() {
    let directory = TempDir::new().unwrap();
    let text = csv_of(50_000);
    for (name, bytes) in [("x.csv.gz", gzip(text.as_bytes())), ("x.csv.zst", zstd(text.as_bytes()))]
    {
        let compression = if name.ends_with("gz") { "gzip" } else { "zstd" };
        for cut in [10, bytes.len() / 2, bytes.len() - 1] {
            let all = read(&directory, name, &bytes[..cut], threaded());
            let Some(Row::Failed(error)) = all.last() else {
                panic!("{name} cut at {cut}: {:?}", all.last());
            };
            let expected = format!("{name}\" is not whole {compression} data near byte ");
            assert!(error.contains(&expected), "{error}");
        }
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 0x40;
        let all = read(&directory, name, &flipped, ReaderMode::Inline);
        // A zstd frame holds a checksum only where its writer asked for it.
        assert!(compression == "zstd" || matches!(all.last(), Some(Row::Failed(_))));
    }
    let all = read(&directory, "plain.csv.gz", text.as_bytes(), ReaderMode::Inline);
    assert!(matches!(&all[..], [Row::Failed(error)] if error.contains("though its name says so")));
}

#[test]
fn a_failure_and_the_end_are_said_again() {
    let mut damaged = gzip(csv_of(10).as_bytes());
    damaged.truncate(30);
    let mut split = file("x.csv.gz", &damaged, 64, FileSettings::default());
    assert!(matches!(drain(&mut split).last(), Some(Row::Failed(_))));
    assert!(matches!(&drain(&mut split)[..], [Row::Failed(_)]));
    let mut split = file("x.csv", csv_of(1).as_bytes(), 64, FileSettings::default());
    assert_eq!(drain(&mut split), [payment(0, "customer 0", 1, Some(0))]);
    assert_eq!(drain(&mut split), []);
}

#[test]
fn a_byte_order_mark_is_skipped_however_blocks_cut_it() {
    let marked = "\u{feff}".to_owned() + &csv_of(2);
    for block_bytes in 1..6 {
        let all =
            drain(&mut file("x.csv", marked.as_bytes(), block_bytes, FileSettings::default()));
        assert_eq!(all, rows("x.csv", &csv_of(2), FileSettings::default()));
    }
}

#[test]
fn the_thread_wakes_the_shard_and_ends_with_the_reader() {
    let (woken, wakes) = unbounded();
    let wake: Wake = Arc::new(move || woken.send(()).unwrap());
    let endless = Box::new(std::io::repeat(b'x'));
    let mode = ReaderMode::Thread { wake };
    let mut reader = BlockReader::from_read("endless".to_owned(), endless, mode, 10);
    for _ in 0..100 {
        let block = loop {
            match reader.poll() {
                BlockPoll::Ready(block) => break block,
                BlockPoll::Pending => wakes.recv().unwrap(),
                other => panic!("{other:?}"),
            }
        };
        assert!(!block.is_empty() && block.iter().all(|&byte| byte == b'x'));
        reader.recycle(block);
    }
    drop(reader);
    // The thread owns the only waker: its end closes the channel.
    while wakes.recv().is_ok() {}
}

#[test]
fn a_reader_that_is_ahead_waits_for_blocks_to_come_back() {
    struct Told(crossbeam_channel::Sender<()>);
    impl std::io::Read for Told {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.send(()).map_err(std::io::Error::other)?;
            buffer.fill(b'x');
            Ok(buffer.len())
        }
    }
    let (told, reads) = unbounded();
    let (woken, wakes) = bounded(100);
    let wake: Wake = Arc::new(move || woken.send(()).unwrap());
    let mode = ReaderMode::Thread { wake };
    let raw = Box::new(Told(told));
    let mut reader = BlockReader::from_read("fast".to_owned(), raw, mode, 1 << 20);
    assert_eq!(reads.len(), 0, "nothing is read before the first poll");
    assert!(matches!(reader.poll(), BlockPoll::Pending));
    for _ in 0..pelton::io::BLOCK_COUNT {
        wakes.recv().unwrap();
    }
    assert!(reads.len() <= pelton::io::BLOCK_COUNT + 1);
    drop(reader);
    while wakes.recv().is_ok() {}
    assert!(reads.len() <= pelton::io::BLOCK_COUNT + 1);
}

fn names(inputs: &[String]) -> Vec<String> {
    let splits = expand(inputs).expect("it works in a test");
    splits.iter().map(SplitPath::to_string).collect()
}

fn failure(input: &str) -> String {
    expand(&[input.to_owned()]).expect_err("it is no input").to_string()
}

#[test]
fn inputs_expand_to_splits_in_a_stable_order() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().display().to_string();
    for name in ["b.csv", "a.csv", ".hidden.csv", "c.ndjson", "star*.csv"] {
        fs::write(directory.path().join(name), "").unwrap();
    }
    fs::create_dir(directory.path().join("below")).unwrap();
    fs::write(directory.path().join("below/d.csv"), "").unwrap();
    let at = |name: &str| format!("{root}/{name}");
    let all = ["a.csv", "b.csv", "c.ndjson", "star*.csv"].map(at);
    assert_eq!(names(std::slice::from_ref(&root)), all);
    assert_eq!(names(&[at("?.csv")]), [at("a.csv"), at("b.csv")]);
    assert_eq!(names(&[at("*/d.*")]), [at("below/d.csv")]);
    assert_eq!(names(&[at("star*.csv"), "-".to_owned()]), [at("star*.csv"), "-".to_owned()]);
    assert_eq!(names(&[at("b.csv"), at("a.csv")]), [at("b.csv"), at("a.csv")]);
}

#[test]
fn what_can_not_be_found_is_named_with_what_to_do() {
    let directory = TempDir::new().unwrap();
    let root = directory.path().display().to_string();
    assert_eq!(
        failure("no/such.csv"),
        "cannot open input \"no/such.csv\": No such file or directory; \
         check the path and its permissions"
    );
    assert!(failure(&root).contains("holds no files"));
    assert!(failure(&format!("{root}/*.csv")).starts_with("no file matches \""));
    assert!(failure("no/such/[.csv").contains("is not a pattern"));
    let opened = BlockReader::open(directory.path(), ReaderMode::Inline).err().unwrap();
    assert!(opened.to_string().contains("is a directory"), "{opened}");
}

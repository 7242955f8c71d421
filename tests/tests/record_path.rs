//! One record's walk through the nine steps: read this first.
//!
//! A click comes in as a line of text and goes out as a line of text. In between it is a *frame*:
//! a header of 48 bytes and the record's rkyv payload, which is written once and never parsed
//! again. Each step below does by hand what the engine does for every record, and checks what the
//! next step is handed.

use std::io::Cursor;

use pelton::decode::CsvSettings;
use pelton::io::{BlockReader, ReaderMode};
use pelton::record::{
    FRAME_HEADER_BYTES, Frame, FrameHeader, IngressPosition, Key, KeyHash, Marker, frame_bytes,
    write_frame,
};
use pelton::ring::{RingSettings, ring};
use pelton::route::{RangeTable, ShardId};
use pelton::sink::{Csv, RowFormat};
use pelton::source::{FileSettings, FileSplit, Format, Next, Split};
use pelton::state::{EntryKey, OperatorId, Store};
use pelton::{Changelog, Driver, Engine, EventTime, Job, Stream};

/// The macro adds the frame's payload, the schema, and a *view*: `ClickView { user: &str, .. }`,
/// which is what closures see, whether the record was just decoded or lies in a ring.
#[pelton::record]
struct Click {
    #[event_time]
    time: EventTime,
    user: String,
    page: String,
}

/// The job that the click is part of: two stages, with an exchange at `key_by`.
#[pelton::job]
fn clicks_per_user(clicks: Stream<Click>) -> Changelog<String, u64> {
    clicks.filter(|c| c.page != "about_us").key_by(|c| c.user).count()
}

const FILE: &str = "time,user,page\n1970-01-01T00:00:07Z,ada,shop\n";

#[test]
fn one_record_walks_through_the_nine_steps() {
    // Step 1, source: a replay position becomes bytes. A split is an ordered run of rows; a file
    // is one split. A reader takes blocks off a disk or a pipe, on a helper thread in production.
    let bytes = Box::new(Cursor::new(FILE.as_bytes()));
    let reader = BlockReader::from_read("clicks.csv".to_owned(), bytes, ReaderMode::Inline, 4_096);
    let settings = FileSettings {
        format: Some(Format::Csv),
        csv: CsvSettings::default(),
        ..FileSettings::default()
    };
    let mut split: FileSplit<Click> = FileSplit::new(reader, settings);
    assert!(split.bounded(), "a file ends by itself, so it is never idle");

    // Step 2, decode: bytes become a view that borrows the block, or a reject with its reason.
    // Nothing is copied yet. The first row of split 0 is at position (0, 0), for ever: a replay
    // gives it the same one.
    let Next::Record(view) = split.next() else { panic!("the row is a record") };
    assert_eq!((view.time, view.user, view.page), (EventTime(7_000_000), "ada", "shop"));
    let header = FrameHeader {
        event_time: view.time,
        position: IngressPosition { split: 0, sequence: 0 },
        ..FrameHeader::default()
    };
    // The source's watermark follows the times it reads: with no lateness, everything before 7 s
    // has come once this record has.
    let watermark = Marker::Watermark { time: EventTime(6_999_999), idle: false };

    // Step 3, route: a frame gets the hash of its key, and with it the shard that owns the key.
    // The hash is stable across versions and machines; shards own ranges of its slots, so that
    // state can move by range later.
    let key_hash = <String as Key>::hash(view.user);
    assert_eq!(key_hash, KeyHash::of(b"ada"));
    let ranges = RangeTable::even(2);
    let owner = ranges.owner(key_hash);
    let range = ranges.range(owner);
    assert!((range.first..range.end).contains(&key_hash.slot().0));
    assert!(owner == ShardId(0) || owner == ShardId(1));

    // Step 4, ring: the frame is written once, straight into the memory that the owning shard
    // reads. There is one ring for each exchange and pair of shards, so each end has one user,
    // and a lock is never needed: `Producer` and `Consumer` can't be cloned or shared.
    let (mut producer, mut consumer) =
        ring(RingSettings { capacity_bytes: 1_024, marker_bytes: FRAME_HEADER_BYTES });
    let header = FrameHeader { key_hash, ..header };
    let bytes_max = <Click as pelton::record::Record>::payload_bytes_max(view);
    let room = producer.claim(frame_bytes(bytes_max)).unwrap();
    let written_bytes = write_frame::<Click>(&header, view, room);
    producer.commit(written_bytes);
    assert!(consumer.readable().is_empty(), "a batch becomes visible as one, when the turn ends");
    // Markers go the same way as records, so their order says what they are about.
    watermark.write(producer.claim_marker(FRAME_HEADER_BYTES).unwrap());
    producer.commit(FRAME_HEADER_BYTES);
    assert!(producer.publish());
    assert!(matches!(split.next(), Next::Ended), "the file's block may go: the ring has the bytes");

    // Step 5, shard: on the other core, one turn takes what its rings hold. A frame is read where
    // it lies; the view of its payload is a matter of adding offsets.
    let run = consumer.readable();
    let frame = Frame::new(run);
    assert_eq!((frame.header(), frame.frame_bytes()), (header, written_bytes));
    assert_eq!(frame.marker(), None, "a record comes first");
    let marker = Frame::new(&run[written_bytes..]);
    assert_eq!(marker.marker(), Some(watermark), "and then the watermark behind it");

    // Step 6, chain: the stage's operators run as one loop body over views. In the job this is
    // what the closures of `filter` and `key_by` do, and `count` behind them.
    let seen = frame.view::<Click>();
    assert!(seen.page != "about_us");
    let key = seen.user;

    // Step 7, state: what an operator knows of a key is an entry of bytes, by (operator, key,
    // namespace), changed field by field. The next issue appends these writes to a log on disk.
    let mut store = Store::new();
    let entry = EntryKey {
        operator: OperatorId(0),
        hash: frame.key_hash(),
        key: key.as_bytes(),
        namespace: 0,
    };
    let (offset, is_new) = store.find_or_insert(&entry, size_of::<u64>());
    assert!(is_new, "ada clicks for the first time");
    let offset = store.writable(offset);
    store.set(offset, 0, store.field::<u64>(offset, 0) + 1);
    let count = store.field::<u64>(store.find(&entry).unwrap(), 0);
    assert_eq!(count, 1);

    // Step 8, checkpoint: it comes with the next issue. Barriers walk and align already, in order
    // with the records (see `back_pressure.rs`); nothing is written when they have.

    // Step 9, sink: what left the chain is formatted on the shard, into a buffer that one writer
    // thread takes for the file.
    let row = UserCountView { user: key, count };
    let mut line = Vec::new();
    RowFormat::<UserCount>::write(&Csv::new(), &header, row, &mut line);
    assert_eq!(line, b"ada,1");

    // Only now is the shard done with both frames, and the room goes back to the producer. Sooner
    // would not compile: the row above still borrowed the name from the ring.
    consumer.advance(written_bytes + FRAME_HEADER_BYTES);
    consumer.release();
    assert!(consumer.readable().is_empty());
}

#[pelton::record]
struct UserCount {
    user: String,
    count: u64,
}

/// The same walk by the engine: the plan above, two shards, and a sink in memory. The header that
/// comes out shows the way that the record went.
#[test]
fn the_engine_walks_the_same_way() {
    let job = Job::new();
    let click = |time, user: &str, page: &str| Click {
        time: EventTime(time),
        user: user.to_owned(),
        page: page.to_owned(),
    };
    let clicks = job.records(vec![
        click(6_000_000, "bob", "about_us"),
        click(7_000_000, "ada", "shop"),
        click(8_000_000, "ada", "home"),
    ]);
    let counts = clicks_per_user(clicks).collect();
    let report = Engine::new().shards(2).driver(Driver::Simulator { seed: 1 }).run(job).unwrap();

    let mut rows = counts.take();
    assert_eq!(rows.len(), 2, "bob's click was filtered");
    let second = rows.pop().unwrap();
    let first = rows.pop().unwrap();
    assert_eq!((first.row.key.as_str(), first.row.value), ("ada", 1));
    assert_eq!((second.row.key.as_str(), second.row.value), ("ada", 2));
    // The position is the one that the source gave it: row 1 of split 0. The hash decided the
    // shard, and the event time came along.
    assert_eq!(first.header.position, IngressPosition { split: 0, sequence: 1 });
    assert_eq!(first.header.key_hash, KeyHash::of(b"ada"));
    assert_eq!(first.header.event_time, EventTime(7_000_000));
    // The frames were taken by the shard that owns ada, whichever shard read them.
    let ShardId(owner) = RangeTable::even(2).owner(KeyHash::of(b"ada"));
    let frames: Vec<u64> = report.counts.shards.iter().map(|shard| shard.frames).collect();
    assert_eq!(frames[usize::from(owner)], 2);
    assert_eq!(frames[1 - usize::from(owner)], 0);
    assert_eq!(report.counts.total.accepted, 3);
    assert_eq!(report.counts.records_out, 2);
}

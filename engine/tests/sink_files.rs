//! Outputs as files: whole lines, back-pressure, and failures that name the file.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::io::{Read, pipe};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use pelton::chain::Flow;
use pelton::clock::Clock;
use pelton::io::disk::{Disk, FlushEngine, RealDisk};
use pelton::io::{FileWriter, OutputError, PORT_BUFFERS_MAX, Wake, WriterMode, WriterStart};
use pelton::metric::latency_relay;
use pelton::record::{Change, ChangeView, FrameHeader, RowKind};
use pelton::sink::{
    Csv, FileShard, FileSink, Meter, RejectLines, Sink, SinkError, SinkFactory, SinkSeat,
    SinkStart, format_fn,
};
use pelton::source::{Reject, RejectReason, Rejected};

type Count = Change<String, u64>;

const MODES: [WriterMode; 2] = [WriterMode::Thread, WriterMode::Inline];

/// A wake that can be waited for.
fn wake() -> (Wake, Receiver<()>) {
    let (sender, receiver) = bounded(1);
    let wake = move || {
        // Full: a wake is pending already.
        let _ = sender.try_send(());
    };
    (Arc::new(wake), receiver)
}

fn seat(shard: u16, wake: Wake) -> SinkSeat {
    SinkSeat { shard, wake, meter: Meter::silent() }
}

type CsvShard = FileShard<Count, Csv>;

fn begin(sink: &FileSink<Csv>, mode: WriterMode) -> Result<(), SinkError> {
    let disk = real_disk();
    SinkFactory::<Count>::begin(sink, &SinkStart::fresh(&Clock::machine(), mode, &disk))
}

fn real_disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk::new(FlushEngine::Plain).unwrap())
}

fn open(sink: &FileSink<Csv>, seat: SinkSeat) -> CsvShard {
    sink.open(seat)
}

fn finish(sink: &FileSink<Csv>) -> Result<u64, SinkError> {
    SinkFactory::<Count>::finish(sink)
}

fn change(key: &str, value: u64) -> ChangeView<&str, u64> {
    ChangeView { kind: RowKind::Insert, key, value }
}

/// Ends a sink as a shard does: ask, and wait for the wake in between.
fn end(sink: &mut CsvShard, woken: &Receiver<()>) -> Result<(), SinkError> {
    while !sink.end()? {
        woken.recv().unwrap();
    }
    Ok(())
}

/// Writes one row as a shard does, waiting for the wake while it is refused.
fn write_row(
    sink: &mut CsvShard,
    woken: &Receiver<()>,
    key: &str,
    value: u64,
) -> Result<(), SinkError> {
    let header = FrameHeader::default();
    while sink.write(&header, change(key, value)).is_blocked() {
        if !sink.poll()? {
            woken.recv().unwrap();
        }
    }
    Ok(())
}

/// The path by which the write end of a pipe can be opened, as a shell's redirection would.
fn pipe_path(writer: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", writer.as_raw_fd()))
}

#[test]
fn lines_of_three_shards_stay_whole_and_in_their_own_order() {
    const ROWS: u64 = 40_000;
    let dir = tempfile::tempdir().unwrap();
    for mode in MODES {
        let path = dir.path().join("out.csv");
        let sink = FileSink::csv(&path);
        begin(&sink, mode).unwrap();
        std::thread::scope(|scope| {
            for shard in 0..3 {
                let (wake, woken) = wake();
                let mut sink = open(&sink, seat(shard, wake));
                scope.spawn(move || {
                    let key = format!("shard {shard}, \"{}\"", "x".repeat(usize::from(shard) * 40));
                    for value in 0..ROWS {
                        write_row(&mut sink, &woken, &key, value).unwrap();
                        if value % 997 == 0 {
                            sink.flush(false);
                        }
                    }
                    end(&mut sink, &woken).unwrap();
                });
            }
        });
        let bytes = finish(&sink).unwrap();
        assert_eq!(bytes, fs::metadata(&path).unwrap().len(), "{mode:?}");
        let mut next = [0; 3];
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(&path).unwrap();
        for row in reader.records() {
            let row = row.unwrap();
            let shard: usize = row[0][6..7].parse().unwrap();
            assert_eq!(row[1].parse::<u64>().unwrap(), next[shard]);
            next[shard] += 1;
        }
        assert_eq!(next, [ROWS; 3], "{mode:?}");
    }
}

#[test]
fn a_slow_reader_blocks_the_sink_and_its_memory_stays_bounded() {
    let (mut reader, writer) = pipe().unwrap();
    let sink = FileSink::csv(pipe_path(&writer));
    begin(&sink, WriterMode::Thread).unwrap();
    drop(writer);
    let (wake, woken) = wake();
    let mut shard = open(&sink, seat(0, wake));
    let header = FrameHeader::default();
    // Nobody reads yet: the port's buffers fill, and then the sink refuses.
    let mut rows = 0;
    let mut row_bytes = 0;
    while shard.write(&header, change("key", rows)) == Flow::Ready {
        row_bytes += format!("key,{rows}\n").len();
        rows += 1;
    }
    assert!(shard.write(&header, change("key", rows)).is_blocked());
    assert!(row_bytes <= PORT_BUFFERS_MAX * (256 * 1024 + 32), "{row_bytes}");
    // Now somebody does, and what was refused comes once and in order.
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    let total = rows + 100_000;
    for value in rows..total {
        write_row(&mut shard, &woken, "key", value).unwrap();
    }
    end(&mut shard, &woken).unwrap();
    finish(&sink).unwrap();
    let text = reading.join().unwrap();
    assert_eq!(text.lines().count() as u64, total);
    for (value, line) in text.lines().enumerate() {
        assert_eq!(line, format!("key,{value}"));
    }
}

#[test]
fn a_partial_buffer_goes_out_at_the_end_of_a_turn() {
    let (mut reader, writer) = pipe().unwrap();
    let sink = FileSink::csv(pipe_path(&writer));
    begin(&sink, WriterMode::Thread).unwrap();
    drop(writer);
    let (wake, woken) = wake();
    let mut shard = open(&sink, seat(0, wake));
    for value in 0..3 {
        write_row(&mut shard, &woken, "key", value).unwrap();
        shard.flush(false);
        let mut line = [0; 6];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(line, *format!("key,{value}\n").as_bytes());
        woken.recv().unwrap();
        assert!(shard.poll().unwrap());
    }
}

/// The first and the second error that a shard meets when it writes rows to `path` without end.
fn failures_at(path: &Path, mode: WriterMode, before: impl FnOnce()) -> (SinkError, SinkError) {
    let sink = FileSink::csv(path);
    begin(&sink, mode).unwrap();
    let (wake, woken) = wake();
    let mut shard = open(&sink, seat(0, wake));
    before();
    let first = loop {
        if let Err(error) = write_row(&mut shard, &woken, "key", 1) {
            break error;
        }
        shard.flush(false);
        if let Err(error) = shard.poll() {
            break error;
        }
    };
    let second = shard.poll().unwrap_err();
    let last = finish(&sink).unwrap_err();
    assert_eq!(second.to_string(), last.to_string());
    (first, second)
}

#[test]
fn a_full_disk_is_one_line_that_names_the_file_and_is_latched() {
    for mode in MODES {
        let (first, second) = failures_at(Path::new("/dev/full"), mode, || ());
        assert_eq!(
            first.to_string(),
            "can't write output /dev/full: the disk is full; free some space, or name another place"
        );
        let is_latched = matches!(second, SinkError::Output(OutputError::PreviousIo { .. }));
        assert!(is_latched, "{second}");
    }
}

#[test]
fn a_closed_pipe_is_one_line_that_names_it() {
    let (reader, writer) = pipe().unwrap();
    let path = pipe_path(&writer);
    let close = move || drop((reader, writer));
    let (first, _) = failures_at(&path, WriterMode::Thread, close);
    assert_eq!(
        first.to_string(),
        format!(
            "can't write output {}: its reader is gone; keep it reading until the job ends",
            path.display()
        )
    );
}

#[test]
fn an_output_that_can_not_be_created_fails_before_the_job_starts() {
    let dir = tempfile::tempdir().unwrap();
    let begin = |path: &Path| {
        let begun = begin(&FileSink::csv(path), WriterMode::Thread);
        begun.unwrap_err().to_string()
    };
    let at = dir.path().display();
    assert_eq!(
        begin(dir.path()),
        format!("can't create output {at}: it is a directory; name a file in it")
    );
    let missing = format!("{at}/missing");
    assert_eq!(
        begin(&dir.path().join("missing/out.csv")),
        format!(
            "can't create output {missing}/out.csv: there is no directory {missing}; create it first"
        )
    );
    fs::write(dir.path().join("file"), "").unwrap();
    let file = format!("{at}/file");
    assert_eq!(
        begin(&dir.path().join("file/out.csv")),
        format!(
            "can't create output {file}/out.csv: {file} is not a directory; name a file in one"
        )
    );
}

#[test]
fn a_header_that_is_refused_fails_before_the_job_starts() {
    let format = format_fn::<Count, _>(|_, _, _| ()).with_header("key,value");
    let sink = FileSink::new("/dev/full", format);
    let (clock, disk) = (Clock::machine(), real_disk());
    let start = SinkStart::fresh(&clock, WriterMode::Thread, &disk);
    let begun = SinkFactory::<Count>::begin(&sink, &start);
    assert!(begun.unwrap_err().to_string().contains("the disk is full"));
}

#[test]
fn a_row_longer_than_a_buffer_is_written_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.csv");
    let sink = FileSink::csv(&path);
    begin(&sink, WriterMode::Thread).unwrap();
    let (wake, woken) = wake();
    let mut shard = open(&sink, seat(0, wake));
    let long = "y".repeat(10_000_000);
    for value in 0..6 {
        write_row(&mut shard, &woken, &long, value).unwrap();
    }
    end(&mut shard, &woken).unwrap();
    let bytes = finish(&sink).unwrap();
    assert_eq!(bytes, 6 * 10_000_003);
}

#[test]
fn visible_is_measured_when_the_write_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::simulated();
    let sink = FileSink::csv(dir.path().join("out.csv"));
    let disk = real_disk();
    let start = SinkStart::fresh(&clock, WriterMode::Inline, &disk);
    SinkFactory::<Count>::begin(&sink, &start).unwrap();
    let (handed, mut handed_reader) = latency_relay();
    let (visible, mut visible_reader) = latency_relay();
    let seat = SinkSeat {
        shard: 0,
        wake: Arc::new(|| ()),
        meter: Meter::new(clock.clone(), handed, visible),
    };
    let mut shard = open(&sink, seat);
    let header = |arrival_ns| FrameHeader { arrival_ns, ..FrameHeader::default() };
    clock.advance(1_000);
    assert_eq!(shard.write(&header(600), change("a", 1)), Flow::Ready);
    assert_eq!(shard.write(&header(0), change("b", 1)), Flow::Ready);
    clock.advance(1_000);
    shard.flush(false);
    assert!(shard.poll().unwrap());
    drop(shard);
    let handed = handed_reader.read();
    assert_eq!((handed.count(), handed.max_ns()), (1, 400));
    let visible = visible_reader.read();
    assert_eq!((visible.count(), visible.max_ns()), (1, 1_400));
}

#[test]
fn rejects_keep_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rejects.ndjson");
    let output = FileSink::new(&path, RejectLines);
    let (clock, disk) = (Clock::machine(), real_disk());
    let start = SinkStart::fresh(&clock, WriterMode::Thread, &disk);
    SinkFactory::<Rejected>::begin(&output, &start).unwrap();
    let (wake, woken) = wake();
    let mut writer: FileShard<Rejected, _> = output.open(seat(0, wake));
    let rows: [&[u8]; 3] = [b"1,\"x\"\r", b"\xff\x00,1", b""];
    for (line, row) in (7..).zip(rows) {
        let reason = RejectReason::RowTooLong { bytes_max: 9 };
        let reject = Reject { name: "in \"1\".csv", line, reason, bytes: row };
        let flow = writer.write(&FrameHeader::default(), reject);
        assert_eq!(flow, Flow::Ready);
    }
    while !writer.end().unwrap() {
        woken.recv().unwrap();
    }
    SinkFactory::<Rejected>::finish(&output).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let reason = "row is longer than 9 bytes";
    let start = |line| format!(r#"{{"file":"in \"1\".csv","line":{line},"reason":"{reason}","#);
    let expected = [
        start(7) + r#""bytes":"1,\"x\"\r"}"#,
        start(8) + r#""bytes_hex":"ff002c31"}"#,
        start(9) + r#""bytes":""}"#,
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    let read: serde_json::Value = serde_json::from_str(&expected[0]).unwrap();
    assert_eq!(read["bytes"].as_str().map(str::as_bytes), Some(rows[0]));
}

#[test]
fn a_writer_that_is_given_up_does_not_wait_for_a_stuck_reader() {
    let (_reader, writer) = pipe().unwrap();
    let path = pipe_path(&writer);
    let clock = Clock::machine();
    let mut file = FileWriter::file(
        &path,
        &WriterStart {
            clock: &clock,
            mode: WriterMode::Thread,
            disk: &real_disk(),
            preamble: b"",
            marked: false,
            mark: 0,
            resumed_bytes: None,
        },
    )
    .unwrap();
    let mut port = file.port(Arc::new(|| ()));
    // More than a pipe holds, and nobody reads.
    let mut buffer = port.take().unwrap();
    buffer.bytes.resize(1 << 20, b'\n');
    port.submit(buffer);
    drop(file);
    assert!(!port.is_idle());
}

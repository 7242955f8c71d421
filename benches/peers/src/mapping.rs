//! Step 7, state: what a shard waits for its own writes, where its segments are shared mappings of
//! their files, and where they are memory that another thread flushes.
//!
//! One thread appends entries to segments and changes entries that it appended lately, at a fixed
//! rate, as a stage at the tail of its log does; each write is timed from when it was due. Another
//! thread makes what was appended durable ten times a second, as a checkpoint does.
//!
//! *private*: anonymous memory, huge pages asked for, faulted in ahead by the other thread, and
//! flushed through [`RealDisk`] to preallocated files. *shared*: the preallocated files mapped
//! shared and faulted in ahead likewise, flushed by `msync`. Both change an entry only while no
//! flush has begun since it was appended: what is frozen is never written, in either.
//!
//! Why both pre-fault: without, the first touch of a page would decide, and the log need not pay it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use memmap2::{MmapMut, MmapOptions};
use pelton::clock::Clock;
use pelton::io::disk::{Disk, FlushEngine, FlushWrite, RealDisk, SharedFile};
use pelton::io::mapping::{FrozenBytes, Region};
use pelton::metric::{Latency, LatencySummary};

const SEGMENT_BYTES: usize = 16 << 20;
const ENTRY_BYTES: usize = 112;
const BLOCK_BYTES: usize = 4_096;
/// Of so many writes one appends, the others change an entry in place.
const APPENDS_ONE_IN: u64 = 4;
const FLUSH_EVERY_NS: u64 = 100_000_000;

/// What a way of keeping segments costs the writer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriterLatency {
    /// Which way.
    way: &'static str,
    /// A write, from when it was due.
    latency: LatencySummary,
    /// How many flushes were made meanwhile.
    flush_count: u64,
    /// How many bytes they wrote.
    flushed_bytes: u64,
}

impl fmt::Display for WriterLatency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let us = |ns: u64| ns as f64 / 1e3;
        let LatencySummary { p50, p99, p999, p9999, max } = self.latency;
        write!(
            f,
            "| {:<8} | {:7.2} | {:7.2} | {:9.1} | {:9.1} | {:9.1} | {:7} | {:11} |",
            self.way,
            us(p50),
            us(p99),
            us(p999),
            us(p9999),
            us(max),
            self.flush_count,
            self.flushed_bytes >> 20,
        )
    }
}

/// The head of the table whose rows are [`WriterLatency`]s, in microseconds.
pub(crate) const HEAD: &str = "\
| segments | p50     | p99     | p99.9     | p99.99    | max       | flushes | flushed MiB |
|----------|---------|---------|-----------|-----------|-----------|---------|-------------|";

/// A segment that a writer fills.
trait Segment: Send + Sized {
    /// What the other thread is handed of it at a flush.
    type Part: Send;
    /// One that is faulted in.
    fn make(directory: &Path, number: u64) -> Self;
    fn bytes_mut(&mut self, from: usize) -> &mut [u8];
    /// The bytes from `from` to `to` are not changed any more.
    fn freeze(&mut self, from: usize, to: usize) -> Self::Part;
    /// Makes parts durable; answers how many bytes that were.
    fn flush(disk: &RealDisk, parts: Vec<Self::Part>) -> u64;
}

/// Memory of the process, and the file it goes to.
struct Private {
    region: Region,
    file: SharedFile,
}

impl Segment for Private {
    type Part = (SharedFile, FrozenBytes, usize);

    fn make(directory: &Path, number: u64) -> Self {
        let mut region = Region::zeroed(SEGMENT_BYTES);
        region.touch_pages();
        Self { region, file: file(&plain(), directory, number) }
    }

    fn bytes_mut(&mut self, from: usize) -> &mut [u8] {
        self.region.bytes_mut(from)
    }

    fn freeze(&mut self, from: usize, to: usize) -> Self::Part {
        let frozen = self.region.freeze(to).expect("memory of the process");
        (SharedFile::clone(&self.file), frozen, from)
    }

    fn flush(disk: &RealDisk, parts: Vec<Self::Part>) -> u64 {
        let writes: Vec<FlushWrite<'_>> = parts
            .iter()
            .map(|(file, bytes, from)| FlushWrite {
                file,
                offset: *from as u64,
                bytes: &bytes[*from..],
            })
            .collect();
        disk.flush(&writes).expect("a flush");
        writes.iter().map(|write| write.bytes.len() as u64).sum()
    }
}

/// The file's own pages.
struct Shared {
    mapping: MmapMut,
    file: File,
}

impl Segment for Shared {
    type Part = (MmapMut, usize, usize);

    fn make(directory: &Path, number: u64) -> Self {
        drop(file(&plain(), directory, number));
        let file = OpenOptions::new().read(true).write(true).open(path(directory, number));
        let file = file.expect("the file was made just now");
        let mut mapping = map(&file);
        for byte in mapping.iter_mut().step_by(BLOCK_BYTES) {
            *byte = std::hint::black_box(0);
        }
        Self { mapping, file }
    }

    fn bytes_mut(&mut self, from: usize) -> &mut [u8] {
        &mut self.mapping[from..]
    }

    fn freeze(&mut self, from: usize, to: usize) -> Self::Part {
        (map(&self.file), from, to)
    }

    fn flush(_: &RealDisk, parts: Vec<Self::Part>) -> u64 {
        let flush = |(mapping, from, to): &(MmapMut, usize, usize)| {
            mapping.flush_range(*from, to - from).expect("a flush");
            (to - from) as u64
        };
        parts.iter().map(flush).sum()
    }
}

fn plain() -> RealDisk {
    RealDisk::new(FlushEngine::Plain).expect("nothing is asked of the kernel")
}

fn path(directory: &Path, number: u64) -> std::path::PathBuf {
    directory.join(format!("segment-{number}"))
}

fn file(disk: &RealDisk, directory: &Path, number: u64) -> SharedFile {
    disk.create(&path(directory, number), SEGMENT_BYTES as u64).expect("room on the disk")
}

/// The whole file, shared with whoever else maps it.
fn map(file: &File) -> MmapMut {
    // SAFETY: the file is this benchmark's own: nobody cuts it, and the parts that two mappings of it
    // are used for do not overlap.
    #[expect(unsafe_code, reason = "the way that was refused, for measuring it")]
    let mapping = unsafe { MmapOptions::new().len(SEGMENT_BYTES).map_mut(file) };
    mapping.expect("address space")
}

/// What the other thread is told.
enum Order<S: Segment> {
    /// Make one more segment ready.
    Want,
    /// Make these durable.
    Flush(Vec<S::Part>),
}

/// The thread beside the writer.
fn serve<S: Segment>(
    directory: &Path,
    orders: &Receiver<Order<S>>,
    ready: &Sender<S>,
    flushed_bytes: &AtomicU64,
) {
    let disk = RealDisk::new(FlushEngine::Auto).expect("a way to flush");
    let mut number = 0;
    for order in orders {
        match order {
            Order::Want => {
                number += 1;
                // The writer may have ended.
                let _ = ready.send(S::make(directory, number));
            }
            Order::Flush(parts) => {
                flushed_bytes.fetch_add(S::flush(&disk, parts), Ordering::Relaxed);
            }
        }
    }
}

/// The writer's end of its log.
struct Writer<S: Segment> {
    segment: S,
    /// Where the next entry goes.
    tail: usize,
    /// Up to where it was handed out; what is behind may be changed in place.
    frozen: usize,
    parts: Vec<S::Part>,
    orders: Sender<Order<S>>,
    ready: Receiver<S>,
    random: u64,
}

impl<S: Segment> Writer<S> {
    fn write(&mut self, number: u64) {
        let entries = (self.tail - self.frozen) / ENTRY_BYTES;
        let at = if number.is_multiple_of(APPENDS_ONE_IN) || entries == 0 {
            if self.tail + ENTRY_BYTES > SEGMENT_BYTES {
                self.next_segment();
            }
            self.tail += ENTRY_BYTES;
            self.tail - ENTRY_BYTES
        } else {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            let entries = u64::try_from(entries).expect("a segment's entries");
            let entry = usize::try_from(self.random % entries).expect("a segment's entries");
            self.frozen + entry * ENTRY_BYTES
        };
        self.segment.bytes_mut(at)[..ENTRY_BYTES].fill(number.to_le_bytes()[0]);
    }

    fn next_segment(&mut self) {
        self.freeze(SEGMENT_BYTES);
        self.segment = self.ready.recv().expect("a segment that is ready");
        self.orders.send(Order::Want).expect("the thread beside");
        (self.tail, self.frozen) = (0, 0);
    }

    fn freeze(&mut self, to: usize) {
        if to > self.frozen {
            self.parts.push(self.segment.freeze(self.frozen, to));
            (self.frozen, self.tail) = (to, to);
        }
    }

    fn checkpoint(&mut self) {
        self.freeze(self.tail.next_multiple_of(BLOCK_BYTES).min(SEGMENT_BYTES));
        let parts = std::mem::take(&mut self.parts);
        self.orders.send(Order::Flush(parts)).expect("the thread beside");
    }
}

fn measure<S: Segment>(
    way: &'static str,
    directory: &Path,
    writes_a_second: u64,
    seconds: u64,
) -> WriterLatency {
    let clock = Clock::machine();
    let (orders, taken) = channel();
    let (made, ready) = channel();
    let flushed_bytes = AtomicU64::new(0);
    let (latency, flush_count) = std::thread::scope(|scope| {
        let flushed = &flushed_bytes;
        scope.spawn(move || serve::<S>(directory, &taken, &made, flushed));
        for _ in 0..3 {
            orders.send(Order::Want).expect("the thread beside");
        }
        let segment = ready.recv().expect("a segment that is ready");
        let mut writer = Writer {
            segment,
            tail: 0,
            frozen: 0,
            parts: Vec::new(),
            orders,
            ready,
            random: 0x9e37_79b9_7f4a_7c15,
        };
        let mut latency = Latency::new();
        let start_ns = clock.now_ns();
        let (mut flush_due_ns, mut flush_count) = (start_ns + FLUSH_EVERY_NS, 0);
        for number in 0..writes_a_second * seconds {
            let due_ns = start_ns + number * 1_000_000_000 / writes_a_second;
            let mut now_ns = clock.now_ns();
            while now_ns < due_ns {
                std::hint::spin_loop();
                now_ns = clock.now_ns();
            }
            if now_ns >= flush_due_ns {
                flush_due_ns += FLUSH_EVERY_NS;
                flush_count += 1;
                writer.checkpoint();
            }
            writer.write(number);
            latency.record(clock.now_ns().saturating_sub(due_ns));
        }
        drop(writer);
        (latency, flush_count)
    });
    WriterLatency {
        way,
        latency: latency.summary().unwrap_or_default(),
        flush_count,
        flushed_bytes: flushed_bytes.load(Ordering::Relaxed),
    }
}

/// Measures both ways in turn, `rounds` times, in a folder that is removed; panics where the disk can't
/// be written.
pub(crate) fn measure_in_turns(
    writes_a_second: u64,
    seconds: u64,
    rounds: u32,
    tell: impl Fn(&WriterLatency),
) {
    for _ in 0..rounds {
        for is_shared in [false, true] {
            let folder = tempfile::tempdir().expect("a directory");
            tell(&match is_shared {
                false => measure::<Private>("private", folder.path(), writes_a_second, seconds),
                true => measure::<Shared>("shared", folder.path(), writes_a_second, seconds),
            });
        }
    }
}

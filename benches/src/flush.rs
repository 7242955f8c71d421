//! Step 8, checkpoint: how fast a flush reaches the disk, beside the disk itself.
//!
//! Each way writes the same bytes over a preallocated file and makes them durable. The yardstick
//! is the disk's sequential bandwidth: writes of one MiB past the page cache, one after the other
//! by each of 1, 4 or 8 threads, whichever is best, and one fdatasync at the end. The ways take turns,
//! so that a disk whose speed drifts treats all alike; the best round of each counts.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use memmap2::MmapMut;
use pelton::clock::Clock;
use pelton::io::disk::{Disk, FlushEngine, FlushWrite, RealDisk, SharedFile};

/// As fcntl.h has it on the machines that we measure on; std has no name for it.
const O_DIRECT: i32 = if cfg!(target_arch = "aarch64") { 0o200_000 } else { 0o40_000 };
const YARDSTICK_BYTES: usize = 1 << 20;
const YARDSTICK_THREADS: [usize; 3] = [1, 4, 8];

/// Bytes a second.
#[derive(Debug, Clone)]
pub struct FlushRates {
    /// What one flush writes.
    pub bytes: usize,
    /// Over how many files.
    pub file_count: usize,
    /// How the first way flushes: `io_uring`, or `pwrite` where that is not allowed.
    pub name: &'static str,
    /// What it had to do without.
    pub note: Option<String>,
    /// That way.
    pub picked: f64,
    /// By pwrite and fdatasync.
    pub plain: f64,
    /// The disk itself; none where the file system takes no direct writes.
    pub disk: Option<f64>,
}

impl fmt::Display for FlushRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disk = self.disk.unwrap_or(f64::NAN);
        write!(
            f,
            "| {:>8.1} | {:>5} | {:<8} | {:>8.1} ({:>3.0} %) | {:>8.1} ({:>3.0} %) | {:>8.1} |",
            mib(self.bytes),
            self.file_count,
            self.name,
            self.picked / MIB,
            100.0 * self.picked / disk,
            self.plain / MIB,
            100.0 * self.plain / disk,
            disk / MIB,
        )
    }
}

const MIB: f64 = 1_048_576.0;

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mib(bytes: usize) -> f64 {
    bytes as f64 / MIB
}

/// The head of the table whose rows are [`FlushRates`].
pub const HEAD: &str = "\
| MiB      | files | way      | MiB/s            | pwrite           | disk     |
|----------|-------|----------|------------------|------------------|----------|";

/// Measures flushes of `bytes` over `file_count` files in `directory`, the best of `rounds`.
///
/// # Panics
/// Where the disk can't be written.
#[must_use]
pub fn flush_rates(directory: &Path, bytes: usize, file_count: usize, rounds: u32) -> FlushRates {
    let clock = Clock::machine();
    let picked = RealDisk::new(FlushEngine::Auto).expect("a way to flush");
    let plain = RealDisk::new(FlushEngine::Plain).expect("a way to flush");
    let source: Vec<u8> = (0..=u8::MAX).cycle().take(bytes / file_count).collect();
    let files: Vec<SharedFile> = (0..file_count)
        .map(|number| {
            let path = directory.join(format!("flush-{number}"));
            plain.create(&path, source.len() as u64).expect("room on the disk")
        })
        .collect();
    let run = |file| FlushWrite { file, offset: 0, bytes: &source };
    let writes: Vec<FlushWrite<'_>> = files.iter().map(run).collect();
    let rate = |act: &dyn Fn()| {
        let start = clock.now_ns();
        act();
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let seconds = (clock.now_ns() - start) as f64 / 1e9;
        mib(bytes) * MIB / seconds
    };
    let direct = Yardstick::new(&directory.join("yardstick"), bytes);
    // The first writes of a file also make its extents, so each way finds them made.
    plain.flush(&writes).expect("a flush");
    let mut rates = FlushRates {
        bytes,
        file_count,
        name: picked.flush_name(),
        note: picked.note(),
        picked: 0.0,
        plain: 0.0,
        disk: None,
    };
    for _ in 0..rounds {
        rates.picked = rates.picked.max(rate(&|| picked.flush(&writes).expect("a flush")));
        rates.plain = rates.plain.max(rate(&|| plain.flush(&writes).expect("a flush")));
        for (direct, threads) in
            direct.iter().flat_map(|direct| YARDSTICK_THREADS.map(|threads| (direct, threads)))
        {
            let disk = rate(&|| direct.write(threads));
            rates.disk = Some(rates.disk.unwrap_or(0.0).max(disk));
        }
    }
    rates
}

/// Sequential writes past the page cache.
struct Yardstick {
    file: File,
    bytes: usize,
    memory: MmapMut,
}

impl Yardstick {
    fn new(path: &Path, bytes: usize) -> Option<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).custom_flags(O_DIRECT);
        let file = options.open(path).ok()?;
        let mut memory = MmapMut::map_anon(YARDSTICK_BYTES).expect("memory");
        memory.fill(0x5a);
        let yardstick = Self { file, bytes, memory };
        // Some file systems open a file so and then refuse to write.
        yardstick.file.write_all_at(&yardstick.memory, 0).ok()?;
        yardstick.write(1);
        Some(yardstick)
    }

    fn write(&self, threads: usize) {
        let blocks = self.bytes.div_ceil(YARDSTICK_BYTES);
        std::thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || {
                    for block in (thread..blocks).step_by(threads) {
                        let offset = (block * YARDSTICK_BYTES) as u64;
                        self.file.write_all_at(&self.memory, offset).expect("a direct write");
                    }
                });
            }
        });
        self.file.sync_data().expect("a sync");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_flushes() {
        let directory = tempfile::tempdir().expect("a directory");
        let rates = flush_rates(directory.path(), 2 << 20, 2, 1);
        assert!(rates.picked > 0.0);
        assert!(rates.plain > 0.0);
        for number in 0..2 {
            let bytes = std::fs::read(directory.path().join(format!("flush-{number}")));
            let bytes = bytes.expect("the file");
            assert!(bytes.iter().zip((0..=u8::MAX).cycle()).all(|(&left, right)| left == right));
            assert_eq!(bytes.len(), 1 << 20);
        }
    }
}

//! The machine's own disk.
//!
//! Takes bytes and names; hands them to the kernel. How it flushes is decided once, in
//! [`RealDisk::new`], and told by [`RealDisk::note`].
//!
//! Invariants
//! 1. A file is latched by its first failed sync, or by a failed flush that it had a run in and
//!    was not yet synced for; never by a failed `write_at`, of which the caller knows.
//! 2. A file that is latched is neither written, cut nor synced.
//! 3. A directory that [`Disk::create_directory`] made is durable when the call returns, so that
//!    nobody above has to know which of them were there.
//!
//! Why names are not kept durable by every call: a checkpoint makes several, and syncs once.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use super::latch::Latch;
use super::uring::Flusher;
use super::{Disk, DiskFile, DiskLock, FlushWrite, SharedFile};

/// How [`RealDisk`] is to flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlushEngine {
    /// Through io_uring where the kernel lets us, else as `Plain`.
    #[default]
    Auto,
    /// Through io_uring, or not at all.
    Uring,
    /// By `pwrite` and `fdatasync`, one run after the other.
    Plain,
}

/// The disk of this machine.
#[derive(Debug)]
pub struct RealDisk {
    flusher: Option<Mutex<Flusher>>,
    note: Option<String>,
}

impl RealDisk {
    /// Picks how to flush.
    ///
    /// # Errors
    /// What the kernel says against io_uring, where [`FlushEngine::Uring`] insists on it.
    pub fn new(engine: FlushEngine) -> io::Result<Self> {
        let made = match engine {
            FlushEngine::Plain => return Ok(Self { flusher: None, note: None }),
            FlushEngine::Auto | FlushEngine::Uring => Flusher::new(),
        };
        match made {
            Ok(flusher) => {
                let note = flusher.note().map(str::to_owned);
                Ok(Self { flusher: Some(Mutex::new(flusher)), note })
            }
            Err(error) if engine == FlushEngine::Uring => Err(error),
            Err(error) => {
                let note = format!("flushes by pwrite: io_uring is not available ({error})");
                Ok(Self { flusher: None, note: Some(note) })
            }
        }
    }

    /// Why it flushes otherwise than it was asked to, or with less than it would like.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        self.note.clone()
    }
}

impl Disk for RealDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = path
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !path.is_dir())
            .collect();
        for path in missing.into_iter().rev() {
            match DirBuilder::new().mode(0o700).create(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
                answer => answer?,
            }
            self.sync_directory(directory_of(path))?;
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<std::fs::DirEntry>| {
            Ok(entry?.file_name().to_string_lossy().into_owned())
        };
        let mut names = std::fs::read_dir(path)?.map(name).collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    fn create(&self, path: &Path, preallocated_bytes: u64) -> io::Result<SharedFile> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(path)?;
        if let Err(error) = preallocate(&file, preallocated_bytes) {
            // Half of the blocks are no use to anyone, and the disk may be full because of them.
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        Ok(Arc::new(RealFile::new(file, path, true)))
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<SharedFile> {
        let file = OpenOptions::new().read(true).write(writable).open(path)?;
        if file.metadata()?.is_dir() {
            return Err(Errno::ISDIR.into());
        }
        Ok(Arc::new(RealFile::new(file, path, writable)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let directory = File::open(path)?;
        if !directory.metadata()?.is_dir() {
            return Err(Errno::NOTDIR.into());
        }
        directory.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path)?;
        let operation = FlockOperation::NonBlockingLockExclusive;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, operation))?;
        let mut lock = RealLock { file, before: None };
        let mut before = Vec::new();
        (&lock.file).read_to_end(&mut before)?;
        lock.before = Some(before);
        lock.say(std::process::id().to_string().as_bytes())?;
        Ok(Box::new(lock))
    }

    fn flush(&self, writes: &[FlushWrite<'_>]) -> io::Result<()> {
        check_runs(writes);
        // Before anything is written, so that a latched file does not take the others with it.
        let real = |run: &FlushWrite<'_>| as_real(run.file).map_or(Ok(()), |file| file.check());
        writes.iter().try_for_each(real)?;
        match &self.flusher {
            Some(flusher) => flush_by_ring(flusher, writes),
            None => flush_plainly(writes),
        }
    }

    fn flush_name(&self) -> &'static str {
        if self.flusher.is_some() { "io_uring" } else { "pwrite" }
    }
}

/// The directory that holds the name, `.` for a bare one.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

static ZEROES: [u8; 1 << 16] = [0; 1 << 16];

/// Makes the file that long, with its blocks there.
fn preallocate(file: &File, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    let allocated = rustix::io::retry_on_intr(|| {
        rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes)
    });
    match allocated {
        // Some file systems can't; then their blocks are there once they are written.
        Err(Errno::OPNOTSUPP) => {
            let mut offset = 0;
            while offset < bytes {
                let rest = usize::try_from(bytes - offset).unwrap_or(usize::MAX);
                let run = &ZEROES[..rest.min(ZEROES.len())];
                file.write_all_at(run, offset)?;
                offset += run.len() as u64;
            }
            Ok(())
        }
        answer => Ok(answer?),
    }
}

/// The alignment that [`FlushWrite`] asks for.
const FLUSH_ALIGNMENT_BYTES: u64 = 4_096;

/// Runs that are not aligned, or overlap, are the caller's bug.
pub(super) fn check_runs(writes: &[FlushWrite<'_>]) {
    let mut spans = Vec::with_capacity(writes.len());
    for write in writes {
        let len = write.bytes.len() as u64;
        assert_eq!(write.offset % FLUSH_ALIGNMENT_BYTES, 0, "a run starts at a block");
        assert_eq!(len % FLUSH_ALIGNMENT_BYTES, 0, "a run is whole blocks");
        spans.push((Arc::as_ptr(write.file).addr(), write.offset, write.offset + len));
    }
    spans.sort_unstable();
    let overlap = spans.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].2 > pair[1].1);
    assert_eq!(overlap, None, "the runs of a flush are apart");
}

/// The files of the runs, each once, in the order of their first run.
pub(super) fn files_of<'a>(writes: &[FlushWrite<'a>]) -> Vec<&'a SharedFile> {
    let mut files: Vec<&SharedFile> = Vec::new();
    for write in writes {
        if !files.iter().any(|file| Arc::ptr_eq(file, write.file)) {
            files.push(write.file);
        }
    }
    files
}

/// Sets the file's latch, where it is one of ours; another's keeps its own.
fn latch(file: &SharedFile) {
    if let Some(file) = as_real(file) {
        file.latch.set();
    }
}

/// The file, where it is one of ours.
fn as_real(file: &SharedFile) -> Option<&RealFile> {
    let file: &dyn std::any::Any = &**file;
    file.downcast_ref()
}

fn flush_plainly(writes: &[FlushWrite<'_>]) -> io::Result<()> {
    let files = files_of(writes);
    let mut synced = 0;
    let written = writes.iter().try_for_each(|run| run.file.write_at(run.offset, run.bytes));
    let answer = written.and_then(|()| {
        files.iter().try_for_each(|file| file.sync_data().inspect(|()| synced += 1))
    });
    if answer.is_err() {
        files[synced..].iter().for_each(|file| latch(file));
    }
    answer
}

fn flush_by_ring(flusher: &Mutex<Flusher>, writes: &[FlushWrite<'_>]) -> io::Result<()> {
    let shared = files_of(writes);
    let files: Vec<&RealFile> = shared.iter().filter_map(|file| as_real(file)).collect();
    if files.len() < shared.len() {
        // A file that wraps one of ours: its own calls are what counts.
        return flush_plainly(writes);
    }
    let targets: Vec<Target<'_>> = files.iter().map(|file| file.target()).collect();
    let index = |run: &FlushWrite<'_>| shared.iter().position(|file| Arc::ptr_eq(file, run.file));
    let runs: Vec<Run<'_>> = writes
        .iter()
        .map(|run| Run {
            file: index(run).expect("every run's file is listed"),
            offset: run.offset,
            bytes: run.bytes,
        })
        .collect();
    // Whoever panicked in here left requests in flight or none; the flusher knows.
    let flushed = flusher.lock().unwrap_or_else(PoisonError::into_inner).flush(&targets, &runs);
    let Some(error) = flushed.error else {
        assert!(flushed.is_synced.iter().all(|&is_synced| is_synced), "all is durable");
        return Ok(());
    };
    for (file, _) in files.iter().zip(&flushed.is_synced).filter(|(_, is_synced)| !**is_synced) {
        file.latch.set();
    }
    Err(error)
}

/// One file of a flush, for a ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) file: &'a File,
    /// The same file, opened for writing past the page cache.
    pub(super) direct: Option<&'a File>,
}

/// One run of a flush, for a ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    /// The index of its file.
    pub(super) file: usize,
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
}

/// What a ring made of a flush.
#[derive(Debug)]
pub(super) struct Flushed {
    /// Of each file, whether all of its runs are durable.
    pub(super) is_synced: Vec<bool>,
    pub(super) error: Option<io::Error>,
}

/// A file of [`RealDisk`].
#[derive(Debug)]
pub(super) struct RealFile {
    file: File,
    /// The same file past the page cache, once a flush has asked for it; none where the file
    /// system has no such thing.
    direct: OnceLock<Option<File>>,
    latch: Latch,
    is_writable: bool,
}

impl RealFile {
    fn new(file: File, path: &Path, is_writable: bool) -> Self {
        Self { file, direct: OnceLock::new(), latch: Latch::new(path), is_writable }
    }

    fn target(&self) -> Target<'_> {
        let direct = self.direct.get_or_init(|| open_direct(&self.file).ok());
        Target { file: &self.file, direct: direct.as_ref() }
    }

    /// Whether a flush may have runs in it.
    fn check(&self) -> io::Result<()> {
        self.latch.check()?;
        if self.is_writable { Ok(()) } else { Err(Errno::BADF.into()) }
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.latch.check()?;
        self.file.write_all_at(bytes, offset)
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.latch.check()?;
        self.file.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.latch.check()?;
        self.latch.guard(self.file.sync_data())
    }

    fn std_file(&self) -> Option<&File> {
        Some(&self.file)
    }
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_: &File) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Opens the file once more. By its descriptor: its name may be another's by now.
#[cfg(target_os = "linux")]
fn open_direct(file: &File) -> io::Result<File> {
    use rustix::fs::OFlags;

    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
    let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    let open = || rustix::fs::open(&path, flags, rustix::fs::Mode::empty());
    let direct = rustix::io::retry_on_intr(open)?;
    Ok(File::from(direct))
}

/// Holds the lock until it is dropped. It is let go by name and not by closing alone: a process that
/// is being spawned meanwhile holds a copy of the descriptor until it runs its program.
#[derive(Debug)]
struct RealLock {
    file: File,
    /// What the file said; none where what it says stays.
    before: Option<Vec<u8>>,
}

impl RealLock {
    /// Only the holder writes, so a loser reads either nothing or the winner's id.
    fn say(&self, bytes: &[u8]) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all_at(bytes, 0)
    }
}

impl DiskLock for RealLock {
    fn keep(&mut self) {
        self.before = None;
    }
}

impl Drop for RealLock {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Whatever it says is nobody's id once the lock is let go.
            let _ = self.say(before);
        }
        // What fails here is done by closing the file.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

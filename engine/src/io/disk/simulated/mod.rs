//! A disk in memory that loses what a real one may lose, by a seed.
//!
//! Takes the calls of [`Disk`]; hands on the same answers as the machine's disk, and crashes and
//! faults where it is told to.
//!
//! Invariants
//! 1. What was synced survives every crash. Of the rest each 512-byte sector, each file's length
//!    and each change of a name survives or not, independently, by the seed's chance. A rename is
//!    whole: the old name or the new one, never both or none.
//! 2. A handle to a file or a lock is of one generation. A loss of power begins the next, and every
//!    call on an older handle fails with [`PowerLost`].
//! 3. Every call but `len_bytes` is one operation; a flush is one for each run and one for each
//!    file's sync, and one more for each part that is finished or issued again.
//!
//! Why more is lost than by a file system that keeps its writes in order: code that survives this
//! survives them all.

mod pages;
mod state;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::io::Errno;

use self::pages::{Inode, SECTOR_BYTES};
use self::state::{Doing, InodeId, Random, State};
use super::latch::Latch;
use super::real::{check_runs, files_of};
use super::{Disk, DiskFile, DiskLock, FlushWrite, SharedFile};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Any operation fails with EIO and does nothing.
    Eio,
    /// An operation that changes something fails with ENOSPC and does nothing.
    Enospc,
    /// An operation that changes something fails with EROFS and does nothing.
    Erofs,
    /// A write does its first half; the rest is issued as the next operation. No caller sees it.
    ShortWrite,
    /// A write fails with EIO, and some of its sectors are written.
    TornWrite,
    /// One bit is wrong: of what a read answers, or of what a write stores.
    BitFlip,
    /// A sync answers well, and nothing became durable.
    LostSync,
    /// A part of a flush is cancelled, and issued again as the next operation. No caller sees it.
    Canceled,
    /// A file's sync fails with EIO and its data counts as clean: another sync would answer well,
    /// with the data lost. Only the latch stands between.
    FailedSync,
    /// Power is lost before the operation, and stays off until [`SimDisk::power_on`].
    CrashHere,
}

/// One fault: it meets the first operation from `at_operation` on that it can happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// As [`SimDisk::operations`] counts, from 0.
    pub at_operation: u64,
    /// What goes wrong.
    pub kind: FaultKind,
}

/// Power is off, or was since the handle was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the simulated disk lost power; open the file again after power is back")]
pub struct PowerLost;

impl From<PowerLost> for io::Error {
    fn from(lost: PowerLost) -> Self {
        Self::other(lost)
    }
}

/// A simulated disk. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl SimDisk {
    /// An empty disk whose chances are drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(seed))) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while it holds the simulated disk")
    }

    /// Adds a fault. Each happens once.
    pub fn add_fault(&self, fault: Fault) {
        let mut state = self.state();
        state.faults.push(fault);
        state.faults.sort_by_key(|fault| fault.at_operation);
    }

    /// How many operations there were.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The first 65,536 operations, with the faults that they met.
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        self.state().trace.clone()
    }

    /// A hash over the whole trace.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.state().trace_hash
    }

    /// How many bytes files may take, in whole pages of 4,096; `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity_bytes = bytes;
    }

    /// Power is lost and comes back: see the invariants.
    pub fn crash(&self) {
        let mut state = self.state();
        // A crash in the dark changes nothing more.
        if !state.is_off {
            state.crash();
        }
        state.is_off = false;
    }

    /// Whether a [`FaultKind::CrashHere`] has happened and power is still off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.state().is_off
    }

    /// Power comes back.
    pub fn power_on(&self) {
        self.state().is_off = false;
    }

    /// What a loss of power would leave now, as a disk of its own whose chances are drawn from
    /// `seed`; without faults, its operations counted from 0. This one is left as it is.
    #[must_use]
    pub fn durable_image(&self, seed: u64) -> Self {
        let mut state = self.state().clone();
        state.random = Random(seed);
        if !state.is_off {
            state.crash();
        }
        state.is_off = false;
        state.faults.clear();
        state.operations = 0;
        state.trace.clear();
        state.trace_hash = 0;
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// All files as readers see them now.
    #[must_use]
    pub fn copy_tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.state().copy_tree()
    }

    /// Replaces all files by these, durably, and begins a new generation with power on.
    pub fn restore(&self, tree: &BTreeMap<PathBuf, Vec<u8>>) {
        self.state().restore(tree);
    }

    /// Flips one bit (0 to 7) of a byte on the disk. No operation.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn corrupt(&self, path: &Path, offset: u64, bit: u8) -> io::Result<()> {
        self.raw(path, |state, id| state.inode_mut(id).corrupt(offset, bit))
    }

    /// Cuts a file on the disk, or lengthens it with zeroes. No operation.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.raw(path, |state, id| state.inode_mut(id).cut(bytes))
    }

    /// Removes a file from the disk. No operation.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn forget(&self, path: &Path) -> io::Result<()> {
        self.state().forget(path)
    }

    fn raw(&self, path: &Path, act: impl FnOnce(&mut State, InodeId)) -> io::Result<()> {
        let mut state = self.state();
        let id = state.find(path)?;
        act(&mut state, id);
        Ok(())
    }

    /// One operation that faults can only fail.
    fn operate<T>(
        &self,
        doing: Doing,
        (name, path): (&str, &Path),
        act: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.state();
        state.begin(doing, &format!("{name} {}", path.display()))?;
        act(&mut state)
    }

    fn file(&self, state: &State, inode: InodeId, path: &Path, is_writable: bool) -> SharedFile {
        Arc::new(SimFile {
            disk: self.clone(),
            inode,
            generation: state.generation,
            path: path.to_owned(),
            latch: Latch::new(path),
            is_writable,
        })
    }
}

impl Disk for SimDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let what = ("create_directory", path);
        self.operate(Doing::Change, what, |state| state.make_directory(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.operate(Doing::Look, ("list", path), |state| state.list(path))
    }

    fn create(&self, path: &Path, preallocated_bytes: u64) -> io::Result<SharedFile> {
        self.operate(Doing::Change, ("create", path), |state| {
            let id = state.find_or_make(path)?;
            state.inode_mut(id).set_len(0);
            if let Err(error) = state.check_room(preallocated_bytes.next_multiple_of(4_096)) {
                state.remove(path)?;
                return Err(error);
            }
            state.inode_mut(id).preallocate(preallocated_bytes);
            Ok(self.file(state, id, path, true))
        })
    }

    fn open(&self, path: &Path, writable: bool) -> io::Result<SharedFile> {
        self.operate(Doing::Look, ("open", path), |state| {
            let id = state.find(path)?;
            Ok(self.file(state, id, path, writable))
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let name = format!("rename {} to", from.display());
        self.operate(Doing::Change, (&name, to), |state| state.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.operate(Doing::Change, ("remove", path), |state| state.remove(path))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let fault = state.begin(Doing::SyncNames, &format!("sync_directory {}", path.display()))?;
        state.list(path)?;
        if fault != Some(FaultKind::LostSync) {
            state.sync_directory(path);
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>> {
        self.operate(Doing::Change, ("lock", path), |state| {
            let id = state.find_or_make(path)?;
            if !state.locked.insert(id) {
                return Err(Errno::WOULDBLOCK.into());
            }
            let pages = &state.inode(id).seen;
            let mut before = vec![0; usize::try_from(pages.len_bytes).expect("it is in memory")];
            pages.read(0, &mut before);
            say(state.inode_mut(id), std::process::id().to_string().as_bytes());
            let (disk, generation) = (self.clone(), state.generation);
            let lock: Box<dyn DiskLock> =
                Box::new(SimLock { disk, inode: id, generation, before: Some(before) });
            Ok(lock)
        })
    }

    fn flush(&self, writes: &[FlushWrite<'_>]) -> io::Result<()> {
        check_runs(writes);
        writes.iter().try_for_each(|run| as_simulated(run.file).map_or(Ok(()), SimFile::check))?;
        let files = files_of(writes);
        let mut synced = 0;
        let written = writes.iter().try_for_each(|run| match as_simulated(run.file) {
            Some(file) => file.write(Doing::FlushWrite, run.offset, run.bytes),
            None => run.file.write_at(run.offset, run.bytes),
        });
        let answer = written.and_then(|()| {
            files.iter().try_for_each(|file| {
                let answer = match as_simulated(file) {
                    Some(file) => file.sync(Doing::FlushSync),
                    None => file.sync_data(),
                };
                answer.inspect(|()| synced += 1)
            })
        });
        if answer.is_err() {
            let lost = files[synced..].iter().filter_map(|file| as_simulated(file));
            lost.for_each(|file| file.latch.set());
        }
        answer
    }

    fn flush_name(&self) -> &'static str {
        "simulated"
    }
}

/// The file, where it is a simulated one.
fn as_simulated(file: &SharedFile) -> Option<&SimFile> {
    let file: &dyn std::any::Any = &**file;
    file.downcast_ref()
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: InodeId,
    generation: u64,
    path: PathBuf,
    latch: Latch,
    is_writable: bool,
}

impl SimFile {
    /// The disk, where this handle is of its generation.
    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        let is_dead = state.is_off || state.generation != self.generation;
        if is_dead { Err(PowerLost.into()) } else { Ok(state) }
    }

    /// Whether the file may be changed.
    fn check(&self) -> io::Result<()> {
        self.latch.check()?;
        if self.is_writable { Ok(()) } else { Err(Errno::BADF.into()) }
    }

    fn what(&self, name: &str, offset: u64, len: usize) -> String {
        format!("{name} {} {offset}+{len}", self.path.display())
    }

    /// Writes all, in as many operations as it takes.
    fn write(&self, doing: Doing, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        loop {
            let written = self.write_part(doing, offset, bytes)?;
            bytes = &bytes[written..];
            offset += written as u64;
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    /// One operation: how many of the bytes were written.
    fn write_part(&self, doing: Doing, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state()?;
        let fault = state.begin(doing, &self.what("write", offset, bytes.len()))?;
        state.check_room(state.inode(self.inode).needed_bytes(offset, bytes.len()))?;
        match fault {
            Some(FaultKind::Canceled) => return Ok(0),
            Some(FaultKind::ShortWrite) if bytes.len() > 1 => {
                let half = bytes.len() / 2;
                state.inode_mut(self.inode).write(offset, &bytes[..half]);
                return Ok(half);
            }
            Some(FaultKind::TornWrite) => {
                self.tear(&mut state, offset, bytes);
                return Err(Errno::IO.into());
            }
            _ => state.inode_mut(self.inode).write(offset, bytes),
        }
        if fault == Some(FaultKind::BitFlip) && !bytes.is_empty() {
            let (at, bit) = flipped(&mut state.random, bytes.len());
            state.inode_mut(self.inode).seen.flip(offset + at, bit);
        }
        Ok(bytes.len())
    }

    /// Writes some of the sectors that the bytes touch.
    fn tear(&self, state: &mut State, offset: u64, bytes: &[u8]) {
        let (mut at, end) = (offset, offset + bytes.len() as u64);
        while at < end {
            let to = end.min((at / SECTOR_BYTES + 1) * SECTOR_BYTES);
            let index = |at: u64| usize::try_from(at - offset).expect("within the bytes");
            if state.random.coin() {
                state.inode_mut(self.inode).write(at, &bytes[index(at)..index(to)]);
            }
            at = to;
        }
    }

    /// Syncs; a part of a flush that is cancelled is issued again.
    fn sync(&self, doing: Doing) -> io::Result<()> {
        self.latch.check()?;
        while !self.latch.guard(self.sync_once(doing))? {}
        Ok(())
    }

    /// One operation: whether it was done, or cancelled.
    fn sync_once(&self, doing: Doing) -> io::Result<bool> {
        let mut state = self.state()?;
        let fault = state.begin(doing, &format!("sync {}", self.path.display()))?;
        match fault {
            Some(FaultKind::Canceled) => return Ok(false),
            Some(FaultKind::LostSync) => {}
            Some(FaultKind::FailedSync) => {
                state.inode_mut(self.inode).lose();
                return Err(Errno::IO.into());
            }
            _ => state.inode_mut(self.inode).sync(),
        }
        Ok(true)
    }
}

/// Which bit of `len` bytes a [`FaultKind::BitFlip`] takes.
fn flipped(random: &mut Random, len: usize) -> (u64, u8) {
    let at = random.below(len as u64);
    (at, u8::try_from(random.below(8)).expect("one of eight bits"))
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut state = self.state()?;
        let fault = state.begin(Doing::Read, &self.what("read", offset, bytes.len()))?;
        let pages = &state.inode(self.inode).seen;
        if offset.saturating_add(bytes.len() as u64) > pages.len_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        pages.read(offset, bytes);
        if fault == Some(FaultKind::BitFlip) && !bytes.is_empty() {
            let (at, bit) = flipped(&mut state.random, bytes.len());
            bytes[usize::try_from(at).expect("within the bytes")] ^= 1 << bit;
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write(Doing::Write, offset, bytes)
    }

    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.state()?.inode(self.inode).seen.len_bytes)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.check()?;
        let mut state = self.state()?;
        state.begin(Doing::Change, &format!("set_len {} {bytes}", self.path.display()))?;
        state.inode_mut(self.inode).set_len(bytes);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(Doing::Sync)
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    inode: InodeId,
    generation: u64,
    /// What the file said; none where what it says stays.
    before: Option<Vec<u8>>,
}

/// Makes a lock's file say `bytes`.
fn say(inode: &mut Inode, bytes: &[u8]) {
    inode.set_len(0);
    inode.write(0, bytes);
}

impl DiskLock for SimLock {
    fn keep(&mut self) {
        self.before = None;
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        // A lock of before a crash is gone with it, and may be another's now.
        if state.generation == self.generation {
            if let Some(before) = &self.before {
                say(state.inode_mut(self.inode), before);
            }
            state.locked.remove(&self.inode);
        }
    }
}

//! What all handles of a simulated disk share: names, operations, faults and chance.
//!
//! Takes one operation at a time; counts it, lets a fault have it, writes it into the trace.
//!
//! Invariants
//! 1. The same seed, faults and calls give the same answers and the same trace: nothing here asks
//!    a clock, a thread or a hasher.
//! 2. No file has two names: a change that survives a crash takes the file's other names away.
//! 3. While power is off, every operation fails and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::pages::Inode;
use super::{Fault, FaultKind, PowerLost};

/// Lines of the trace that are kept; its hash covers all.
pub(super) const TRACE_LINES_MAX: usize = 65_536;

/// Splitmix64: small, seeded, and good enough for coins.
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn coin(&mut self) -> bool {
        self.next() >> 63 == 1
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InodeId(u64);

/// What an operation is, as far as faults care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Read,
    Write,
    /// A run of a flush.
    FlushWrite,
    Sync,
    /// The sync of a flush.
    FlushSync,
    /// A directory's sync.
    SyncNames,
    /// Anything else that changes something.
    Change,
    /// Anything else that does not.
    Look,
}

/// A change of names that is not durable yet.
#[derive(Debug, Clone)]
struct NameChange {
    inode: InodeId,
    from: Option<PathBuf>,
    to: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) random: Random,
    pub(super) generation: u64,
    pub(super) is_off: bool,
    pub(super) operations: u64,
    pub(super) faults: Vec<Fault>,
    pub(super) trace: Vec<String>,
    pub(super) trace_hash: u64,
    pub(super) capacity_bytes: Option<u64>,
    pub(super) locked: BTreeSet<InodeId>,
    inodes: BTreeMap<InodeId, Inode>,
    next_inode: u64,
    names: BTreeMap<PathBuf, InodeId>,
    durable_names: BTreeMap<PathBuf, InodeId>,
    unsynced_names: Vec<NameChange>,
    directories: BTreeSet<PathBuf>,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            generation: 0,
            is_off: false,
            operations: 0,
            faults: Vec::new(),
            trace: Vec::new(),
            trace_hash: 0,
            capacity_bytes: None,
            locked: BTreeSet::new(),
            inodes: BTreeMap::new(),
            next_inode: 0,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            directories: BTreeSet::new(),
        }
    }

    /// Counts an operation and answers the fault that it meets, if it is one that the caller has
    /// to act out.
    pub(super) fn begin(&mut self, doing: Doing, what: &str) -> io::Result<Option<FaultKind>> {
        if self.is_off {
            return Err(PowerLost.into());
        }
        let operation = self.operations;
        self.operations += 1;
        let due = |fault: &Fault| fault.at_operation <= operation && applies(fault.kind, doing);
        let fault = self.faults.iter().position(due).map(|index| self.faults.remove(index).kind);
        self.note(format_args!("{operation} {what}"), fault);
        match fault {
            Some(FaultKind::Eio) => Err(Errno::IO.into()),
            Some(FaultKind::Enospc) => Err(Errno::NOSPC.into()),
            Some(FaultKind::Erofs) => Err(Errno::ROFS.into()),
            Some(FaultKind::CrashHere) => {
                self.crash();
                self.is_off = true;
                Err(PowerLost.into())
            }
            fault => Ok(fault),
        }
    }

    fn note(&mut self, what: std::fmt::Arguments<'_>, fault: Option<FaultKind>) {
        let line = match fault {
            Some(fault) => format!("{what}: {fault:?}"),
            None => what.to_string(),
        };
        self.trace_hash = xxh3_64_with_seed(line.as_bytes(), self.trace_hash);
        if self.trace.len() < TRACE_LINES_MAX {
            self.trace.push(line);
        }
    }

    pub(super) fn crash(&mut self) {
        let generation = self.generation + 1;
        self.note(format_args!("power lost, generation {generation}"), None);
        self.generation = generation;
        for change in std::mem::take(&mut self.unsynced_names) {
            if self.random.coin() {
                apply(&mut self.durable_names, &change);
            }
        }
        self.names = self.durable_names.clone();
        let kept: BTreeSet<InodeId> = self.names.values().copied().collect();
        self.inodes.retain(|id, _| kept.contains(id));
        for inode in self.inodes.values_mut() {
            inode.crash(&mut self.random);
        }
        self.locked.clear();
    }

    pub(super) fn inode(&self, id: InodeId) -> &Inode {
        self.inodes.get(&id).expect("files of this generation are kept")
    }

    pub(super) fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        self.inodes.get_mut(&id).expect("files of this generation are kept")
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<InodeId> {
        if self.is_directory(path) {
            return Err(Errno::ISDIR.into());
        }
        self.names.get(path).copied().ok_or_else(|| Errno::NOENT.into())
    }

    pub(super) fn is_directory(&self, path: &Path) -> bool {
        let is_root = path.parent().is_none() || path.as_os_str() == ".";
        is_root || self.directories.contains(path)
    }

    fn check_place(&self, path: &Path) -> io::Result<()> {
        if self.is_directory(path) {
            return Err(Errno::ISDIR.into());
        }
        match path.parent() {
            Some(parent) if self.is_directory(parent) => Ok(()),
            _ => Err(Errno::NOENT.into()),
        }
    }

    /// The file at `path`, made where it is missing.
    pub(super) fn find_or_make(&mut self, path: &Path) -> io::Result<InodeId> {
        self.check_place(path)?;
        if let Some(&id) = self.names.get(path) {
            return Ok(id);
        }
        let id = self.make(path, Inode::default());
        let change = NameChange { inode: id, from: None, to: Some(path.to_owned()) };
        self.unsynced_names.push(change);
        Ok(id)
    }

    fn make(&mut self, path: &Path, inode: Inode) -> InodeId {
        let id = InodeId(self.next_inode);
        self.next_inode += 1;
        self.inodes.insert(id, inode);
        self.names.insert(path.to_owned(), id);
        id
    }

    pub(super) fn make_directory(&mut self, path: &Path) -> io::Result<()> {
        let above: Vec<&Path> = path.ancestors().filter(|path| !self.is_directory(path)).collect();
        if above.iter().any(|path| self.names.contains_key(*path)) {
            return Err(Errno::NOTDIR.into());
        }
        let above: Vec<PathBuf> = above.into_iter().map(Path::to_owned).collect();
        self.directories.extend(above);
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        if self.names.contains_key(path) {
            return Err(Errno::NOTDIR.into());
        }
        if !self.is_directory(path) {
            return Err(Errno::NOENT.into());
        }
        let all = self.names.keys().chain(&self.directories);
        let inside = all.filter(|name| name.parent() == Some(path));
        let mut names: Vec<String> = inside
            .filter_map(|name| Some(name.file_name()?.to_string_lossy().into_owned()))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.find(from)?;
        self.check_place(to)?;
        if from != to {
            let change = NameChange { inode, from: Some(from.to_owned()), to: Some(to.to_owned()) };
            self.change(change);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.find(path)?;
        self.change(NameChange { inode, from: Some(path.to_owned()), to: None });
        Ok(())
    }

    fn change(&mut self, change: NameChange) {
        apply(&mut self.names, &change);
        self.unsynced_names.push(change);
    }

    pub(super) fn sync_directory(&mut self, path: &Path) {
        let is_inside = |name: &Option<PathBuf>| {
            name.as_ref().and_then(|name| name.parent()).is_some_and(|parent| parent == path)
        };
        for change in std::mem::take(&mut self.unsynced_names) {
            if is_inside(&change.from) || is_inside(&change.to) {
                apply(&mut self.durable_names, &change);
            } else {
                self.unsynced_names.push(change);
            }
        }
    }

    /// `Enospc` where `more_bytes` don't fit.
    pub(super) fn check_room(&self, more_bytes: u64) -> io::Result<()> {
        let Some(capacity_bytes) = self.capacity_bytes.filter(|_| more_bytes > 0) else {
            return Ok(());
        };
        let files = self.names.values().map(|&id| self.inode(id).allocated_bytes());
        let fits = files.sum::<u64>() + more_bytes <= capacity_bytes;
        if fits { Ok(()) } else { Err(Errno::NOSPC.into()) }
    }

    /// Removes a file at once and for good.
    pub(super) fn forget(&mut self, path: &Path) -> io::Result<()> {
        let id = self.find(path)?;
        self.names.remove(path);
        self.durable_names.retain(|_, other| *other != id);
        self.unsynced_names.retain(|change| change.inode != id);
        Ok(())
    }

    pub(super) fn copy_tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let copy = |(path, id): (&PathBuf, &InodeId)| {
            let pages = &self.inode(*id).seen;
            let len = usize::try_from(pages.len_bytes).expect("a file that fits into memory");
            let mut bytes = vec![0; len];
            pages.read(0, &mut bytes);
            (path.clone(), bytes)
        };
        self.names.iter().map(copy).collect()
    }

    /// Replaces all files, durably. Directories stay, and those that files need are made.
    pub(super) fn restore(&mut self, tree: &BTreeMap<PathBuf, Vec<u8>>) {
        self.names.clear();
        self.unsynced_names.clear();
        for (path, bytes) in tree {
            let above = path.ancestors().skip(1).map(Path::to_owned);
            self.directories.extend(above.filter(|path| path.parent().is_some()));
            self.make(path, Inode::settled(bytes));
        }
        self.durable_names = self.names.clone();
        self.generation += 1;
        self.is_off = false;
        self.locked.clear();
    }
}

/// Applies a change that is durable or seen; see invariant 2.
fn apply(names: &mut BTreeMap<PathBuf, InodeId>, change: &NameChange) {
    names.retain(|_, id| *id != change.inode);
    if let Some(to) = &change.to {
        names.insert(to.clone(), change.inode);
    }
}

fn applies(kind: FaultKind, doing: Doing) -> bool {
    let is_write = matches!(doing, Doing::Write | Doing::FlushWrite);
    let is_sync = matches!(doing, Doing::Sync | Doing::FlushSync);
    match kind {
        FaultKind::Eio | FaultKind::CrashHere => true,
        FaultKind::Enospc | FaultKind::Erofs => !matches!(doing, Doing::Read | Doing::Look),
        FaultKind::ShortWrite | FaultKind::TornWrite => is_write,
        FaultKind::BitFlip => is_write || doing == Doing::Read,
        FaultKind::LostSync => is_sync || doing == Doing::SyncNames,
        FaultKind::FailedSync => is_sync,
        FaultKind::Canceled => matches!(doing, Doing::FlushWrite | Doing::FlushSync),
    }
}

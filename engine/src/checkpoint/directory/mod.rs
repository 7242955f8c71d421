//! Step 8, checkpoint: the state directory.
//!
//! Takes manifests that are to become real, and hands on the newest one that is whole, with the
//! bytes of the segments that it names. `names.rs` says which files there are.
//!
//! Invariants
//! 1. One process writes to a directory: whoever has the lock. Tools read it without.
//! 2. A directory that is refused is left as it is, by [`StateDirectory::open`] and by whoever drops
//!    it before [`StateDirectory::claim`], which is the first to change anything. Where the lock's
//!    file or all of the directory is missing, `claim` makes it, and holds what is there against
//!    what was opened.
//! 3. A manifest is written under another name, synced, renamed, and its name synced: a name
//!    `manifest-...` never stands for half of one, and a name that is durable was published.
//! 4. Removing goes from the manifest to what it names, durably in between, and only once a newer
//!    manifest is durable. Names that are not ours are never removed.
//! 5. A file that is *broken* is passed over for an older one. A disk that *refuses* is an error, as
//!    the bytes may be there the next time, and input for an older epoch may not.
//!
//! Why no file with the job's name: each manifest has it, and one fact in two places can differ.

mod blocks;
mod claim;
mod error;
mod names;
mod prune;
mod savepoint;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use blocks::{checksums, extend_checksums};
pub use error::{Damage, DirectoryError};
pub use names::segment_file_name;

pub(super) use error::advice;
pub(super) use names::is_segment_file_name;

use self::names::{Listing, manifest_file_name, unfinished_file_name};
use super::manifest::{
    CHECKSUM_BLOCK_BYTES, Manifest, ManifestError, SegmentManifest, decode, encode,
};
use crate::io::disk::{Disk, DiskLock, SharedFile};

/// How much of a segment is read at once; whole blocks.
const READ_BYTES: usize = CHECKSUM_BLOCK_BYTES * 16;
/// What to do where there is nothing to read.
const READERS_ADVICE: &str = "name a job's state directory or a savepoint";

/// What a job expects of its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// No state; refused where there is some.
    New,
    /// None that matters: it is there until [`StateDirectory::clear`].
    Fresh,
    /// State; refused where there is none.
    Resume,
    /// Either.
    Either,
}

/// The newest manifest that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The manifest.
    pub manifest: Manifest,
    /// Newer ones that are not, newest first: the file, and what is wrong with it.
    pub fell_back: Vec<(String, String)>,
}

/// A manifest of a directory, whole or not.
#[derive(Debug)]
pub struct ListedManifest {
    /// Its file.
    pub file: String,
    /// By its name.
    pub epoch: u64,
    /// What it says.
    pub manifest: Result<Manifest, DirectoryError>,
}

/// A state directory that is open.
#[derive(Debug)]
pub struct StateDirectory {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// None where it is only read, and until [`StateDirectory::claim`] where its file was missing.
    lock: Option<Box<dyn DiskLock>>,
    /// What was there when it was opened, where the lock was not to be had yet.
    seen: Option<Listing>,
    is_claimed: bool,
    /// Epochs that turned out to be broken, and why.
    broken: BTreeMap<u64, String>,
    /// A sync of the directory failed: final, as for a file.
    is_undecided: bool,
}

impl StateDirectory {
    /// Opens a directory that a job is to write to, once it is claimed; takes its lock where that
    /// changes nothing.
    ///
    /// # Errors
    /// It is not what `mode` expects, or another process's, or can't be read or written.
    pub fn open(disk: Arc<dyn Disk>, path: &Path, mode: OpenMode) -> Result<Self, DirectoryError> {
        let mut directory = Self::unlocked(disk, path);
        let listing = match directory.list() {
            // What is not there is as good as empty.
            Err(error) if error.is_vanished() => Listing::default(),
            listing => listing?,
        };
        directory.check(&listing, mode)?;
        if !listing.has_lock {
            directory.seen = Some(listing);
            return Ok(directory);
        }
        directory.lock = Some(directory.take_lock()?);
        // What was listed before the lock may be another process's last act.
        directory.check(&directory.list()?, mode)?;
        Ok(directory)
    }

    /// Opens a directory to read from, without its lock, beside a job that may be running.
    ///
    /// # Errors
    /// It is no state directory, or can't be read.
    pub fn open_read_only(disk: Arc<dyn Disk>, path: &Path) -> Result<Self, DirectoryError> {
        let directory = Self::unlocked(disk, path);
        match directory.list() {
            Ok(listing) => directory.check_foreign(&listing, READERS_ADVICE)?,
            Err(error) if error.is_vanished() => {
                return Err(directory.absent(READERS_ADVICE));
            }
            Err(error) => return Err(error),
        }
        Ok(directory)
    }

    fn unlocked(disk: Arc<dyn Disk>, path: &Path) -> Self {
        let path = path.to_owned();
        let (lock, seen, is_claimed) = (None, None, false);
        let (broken, is_undecided) = (BTreeMap::new(), false);
        Self { disk, path, lock, seen, is_claimed, broken, is_undecided }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where one of its files is; the directory itself for an empty name.
    #[must_use]
    pub fn path_of(&self, file: &str) -> PathBuf {
        if file.is_empty() { self.path.clone() } else { self.path.join(file) }
    }

    /// The disk that it is on.
    #[must_use]
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    fn list(&self) -> Result<Listing, DirectoryError> {
        match self.disk.list(&self.path) {
            Ok(names) => Ok(Listing::of(names)),
            // It was missing when it was opened, and is until it is claimed.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && self.seen.as_ref().is_some_and(|seen| *seen == Listing::default()) =>
            {
                Ok(Listing::default())
            }
            Err(error) => Err(DirectoryError::io("list", &self.path)(error)),
        }
    }

    /// Whether the directory is ours at all: a manifest, or nothing but names of ours.
    fn check_foreign(&self, listing: &Listing, advice: &'static str) -> Result<(), DirectoryError> {
        match &listing.foreign {
            Some(file) if listing.manifests.is_empty() && listing.savepoints.is_empty() => {
                Err(self.not_empty(file, "nothing but a job's state", advice))
            }
            _ => Ok(()),
        }
    }

    fn absent(&self, advice: &'static str) -> DirectoryError {
        DirectoryError::Absent { directory: self.path.clone(), advice }
    }

    fn not_empty(
        &self,
        file: &str,
        expected: &'static str,
        advice: &'static str,
    ) -> DirectoryError {
        let (directory, file) = (self.path.clone(), file.to_owned());
        DirectoryError::NotEmpty { directory, file, expected, advice }
    }

    /// Whether the directory is what a job expects.
    fn check(&self, listing: &Listing, mode: OpenMode) -> Result<(), DirectoryError> {
        let advice = match mode {
            OpenMode::Resume => "name the job's state directory",
            OpenMode::New | OpenMode::Fresh | OpenMode::Either => {
                "name a new or an empty directory"
            }
        };
        self.check_foreign(listing, advice)?;
        if let Some((_, file)) = listing.savepoints.first() {
            let expected = "a job's own state and no savepoint";
            let advice = "begin with it by --savepoint, and name another directory with --state";
            return Err(self.not_empty(file, expected, advice));
        }
        let newest = listing.manifests.last().map(|(epoch, _)| *epoch);
        let directory = self.path.clone();
        match (mode, newest) {
            (OpenMode::New, Some(epoch)) => Err(DirectoryError::Occupied { directory, epoch }),
            (OpenMode::Fresh, _) | (OpenMode::Resume | OpenMode::Either, Some(_)) => Ok(()),
            _ if !listing.segments.is_empty() => Err(self.headless(listing)),
            (OpenMode::Resume, None) => {
                Err(self.absent("name the job's state directory, or begin anew without --resume"))
            }
            (OpenMode::New | OpenMode::Either, None) => Ok(()),
        }
    }

    /// Segments without a manifest: somebody has removed half of it.
    fn headless(&self, listing: &Listing) -> DirectoryError {
        let reasons = format!("{} segment files and no manifest", listing.segments.len());
        DirectoryError::NoneWhole { directory: self.path.clone(), reasons }
    }

    /// The newest manifest that is whole, as far as it can be told without reading segments;
    /// `None` where there is no manifest at all.
    ///
    /// # Errors
    /// None is whole; one is of another format version; the disk refuses.
    pub fn newest(&self) -> Result<Option<Found>, DirectoryError> {
        let listing = self.list()?;
        let mut fell_back = Vec::new();
        let epochs = listing.manifests.iter().chain(&listing.savepoints);
        for (epoch, file) in epochs.rev() {
            let reason = match self.whole(*epoch, file) {
                Ok(manifest) => return Ok(Some(Found { manifest, fell_back })),
                Err(Refusal::Broken(reason)) => reason,
                Err(Refusal::Error(error)) => return Err(error),
            };
            fell_back.push((file.clone(), reason));
        }
        if fell_back.is_empty() && listing.segments.is_empty() {
            return Ok(None);
        }
        if fell_back.is_empty() {
            return Err(self.headless(&listing));
        }
        let reasons: Vec<String> =
            fell_back.iter().map(|(file, reason)| format!("{file}: {reason}")).collect();
        let reasons = reasons.join(", ");
        Err(DirectoryError::NoneWhole { directory: self.path.clone(), reasons })
    }

    /// A manifest whose files are there and long enough.
    fn whole(&self, epoch: u64, file: &str) -> Result<Manifest, Refusal> {
        if let Some(reason) = self.broken.get(&epoch) {
            return Err(Refusal::Broken(reason.clone()));
        }
        let manifest = self.read(epoch, file).map_err(|error| match error {
            DirectoryError::Broken { damage: Damage::Manifest(other), .. }
                if !matches!(other, ManifestError::Version { .. }) =>
            {
                Refusal::Broken(other.to_string())
            }
            DirectoryError::Broken { damage: damage @ Damage::Epoch { .. }, .. } => {
                Refusal::Broken(damage.to_string())
            }
            error => Refusal::Error(error),
        })?;
        for segment in manifest.logs.iter().flat_map(|log| &log.segments) {
            self.open_segment(segment).map_err(|error| match error {
                DirectoryError::Broken { damage, .. } => {
                    Refusal::Broken(format!("its segment {}: {damage}", segment.file))
                }
                error => Refusal::Error(error),
            })?;
        }
        Ok(manifest)
    }

    /// Reads one manifest.
    fn read(&self, epoch: u64, file: &str) -> Result<Manifest, DirectoryError> {
        let path = self.path_of(file);
        let read = || {
            let file = self.disk.open(&path, false)?;
            let len = usize::try_from(file.len_bytes()?).map_err(io::Error::other)?;
            let mut bytes = vec![0; len];
            file.read_at(0, &mut bytes)?;
            Ok(bytes)
        };
        let bytes: Vec<u8> = read().map_err(DirectoryError::io("read", &path))?;
        let broken = |damage| DirectoryError::Broken { path: path.clone(), damage };
        let manifest = decode(&bytes).map_err(|error| broken(Damage::Manifest(error)))?;
        if manifest.epoch != epoch {
            return Err(broken(Damage::Epoch { found: manifest.epoch, expected: epoch }));
        }
        Ok(manifest)
    }

    /// All manifests, oldest first, each as it can be read by itself: their segments are not
    /// looked at.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn manifests(&self) -> Result<Vec<ListedManifest>, DirectoryError> {
        let listing = self.list()?;
        let listed =
            listing.savepoints.into_iter().chain(listing.manifests).map(|(epoch, file)| {
                let manifest = self.read(epoch, &file);
                ListedManifest { file, epoch, manifest }
            });
        Ok(listed.collect())
    }

    /// Notes that what a manifest names is broken: [`StateDirectory::newest`] passes it over.
    ///
    /// # Errors
    /// No other one is whole.
    pub fn mark_broken(&mut self, epoch: u64, reason: String) -> Result<(), DirectoryError> {
        // A reason goes into one line.
        let reason = reason.lines().next().unwrap_or("it is broken").to_owned();
        self.broken.insert(epoch, reason);
        self.newest().map(|_| ())
    }

    /// Makes a manifest durable; answers how long it is. All that it names is durable already.
    ///
    /// # Errors
    /// It was not published; or [`DirectoryError::Undecided`]: it may have been.
    ///
    /// # Panics
    /// The directory was not claimed.
    pub fn publish(&mut self, manifest: &Manifest) -> Result<u64, DirectoryError> {
        assert!(self.is_claimed, "whoever publishes has claimed the directory");
        let bytes = self.write_manifest(manifest)?;
        self.broken.remove(&manifest.epoch);
        Ok(bytes)
    }

    fn write_manifest(&mut self, manifest: &Manifest) -> Result<u64, DirectoryError> {
        self.check_decided()?;
        let bytes = encode(manifest);
        let unfinished = self.path_of(&unfinished_file_name(manifest.epoch));
        let path = self.path_of(&manifest_file_name(manifest.epoch, manifest.savepoint));
        let write = || {
            let file = self.disk.create(&unfinished, bytes.len() as u64)?;
            file.write_at(0, &bytes)?;
            file.sync_data()?;
            self.disk.rename(&unfinished, &path)
        };
        if let Err(source) = write() {
            // It has another name than a manifest: nothing depends on its going.
            let _ = self.disk.remove(&unfinished);
            return Err(DirectoryError::Io { doing: "write", path, source });
        }
        self.sync_names(&path)?;
        Ok(bytes.len() as u64)
    }

    fn check_decided(&self) -> Result<(), DirectoryError> {
        if self.is_undecided {
            let source = io::Error::other("an earlier sync of the directory failed");
            return Err(DirectoryError::Undecided { path: self.path.clone(), source });
        }
        Ok(())
    }

    /// Makes the names of files durable that were made for the next manifest.
    ///
    /// # Errors
    /// [`DirectoryError::Undecided`]: nothing may be published any more.
    pub fn sync_new_names(&mut self) -> Result<(), DirectoryError> {
        self.check_decided()?;
        self.sync_names(&self.path.clone())
    }

    /// Makes names durable. A failure is final: the kernel may answer well the next time, with the
    /// names lost.
    fn sync_names(&mut self, changed: &Path) -> Result<(), DirectoryError> {
        self.disk.sync_directory(&self.path).map_err(|source| {
            self.is_undecided = true;
            DirectoryError::Undecided { path: changed.to_owned(), source }
        })
    }

    /// Opens a segment's file, if it is there and long enough.
    fn open_segment(&self, segment: &SegmentManifest) -> Result<SharedFile, DirectoryError> {
        let path = self.path_of(&segment.file);
        let opened = self.disk.open(&path, false).and_then(|file| Ok((file.len_bytes()?, file)));
        let expected = u64::from(segment.bytes);
        let damage = match opened {
            Ok((found, file)) if found >= expected => return Ok(file),
            Ok((found, _)) => Damage::Short { found, expected },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Damage::Missing,
            Err(source) => return Err(DirectoryError::Io { doing: "open", path, source }),
        };
        Err(DirectoryError::Broken { path, damage })
    }

    /// Fills the front of `into` with the segment's bytes, each block compared to its checksum;
    /// answers its file, open for reading.
    ///
    /// # Errors
    /// It is missing, short, or a block is not what it was; the disk refuses.
    ///
    /// # Panics
    /// `into` is shorter than the segment.
    pub fn load_segment(
        &self,
        segment: &SegmentManifest,
        into: &mut [u8],
    ) -> Result<SharedFile, DirectoryError> {
        let file = self.open_segment(segment)?;
        let len = usize::try_from(segment.bytes).expect("a segment fits into memory");
        assert!(into.len() >= len, "room for {len} bytes of {}", segment.file);
        let path = self.path_of(&segment.file);
        for (part, index) in into[..len].chunks_mut(READ_BYTES).zip(0..) {
            let offset = index * READ_BYTES;
            let read = file.read_at(offset as u64, part);
            read.map_err(DirectoryError::io("read", &path))?;
            let verified = blocks::verify(part, &segment.checksums, offset / CHECKSUM_BLOCK_BYTES);
            verified.map_err(|damage| DirectoryError::Broken { path: path.clone(), damage })?;
        }
        Ok(file)
    }
}

/// Why a manifest is not the one.
enum Refusal {
    /// An older one is the answer.
    Broken(String),
    /// There is no answer.
    Error(DirectoryError),
}

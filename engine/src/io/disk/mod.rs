//! The disk, as state and outputs see it: a seam, so that the simulator runs the code that ships.
//!
//! Takes bytes and names; hands on durability, or an error that says what was not done. Knows
//! nothing of records, epochs or manifests.
//!
//! Invariants
//! 1. What [`Disk::flush`] and [`DiskFile::sync_data`] answered `Ok` for survives a loss of power.
//!    Nothing else does: not bytes that were written, not a name that was made or changed before
//!    [`Disk::sync_directory`].
//! 2. A sync that failed is final for its file: every later write or sync of it fails too, with
//!    [`is_latched`] true. A kernel may report success the next time with the data lost.
//! 3. Short writes, interrupted calls and cancelled parts of a linked chain are finished or
//!    reported here; nobody above sees them.
//! 4. Directories are made with mode 0700, files with 0600.
//!
//! Why a trait object and not a type parameter: every call is a system call or a copy of many
//! kilobytes, off the record's path; a parameter would run through the whole engine.

#[cfg(target_os = "linux")]
mod flow;
mod latch;
mod real;
mod simulated;
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "hands the kernel memory to write from")]
mod uring;
#[cfg(not(target_os = "linux"))]
#[path = "no_uring.rs"]
mod uring;

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use latch::{Latched, is_latched};
pub use real::{FlushEngine, RealDisk};
pub use simulated::{Fault, FaultKind, PowerLost, SimDisk};

/// A file that is open for reading and writing at any offset.
pub trait DiskFile: Any + Send + Sync + Debug {
    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` where the file is shorter; what the system says.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// What the system says; some of the bytes may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// How long the file is.
    ///
    /// # Errors
    /// What the system says.
    fn len_bytes(&self) -> io::Result<u64>;
    /// Cuts the file, or lengthens it with zeroes.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// Makes all that was written durable (invariant 1); the length too.
    ///
    /// # Errors
    /// What the system says, now and for ever (invariant 2).
    fn sync_data(&self) -> io::Result<()>;
    /// The real file, where there is one: for mapping.
    fn std_file(&self) -> Option<&std::fs::File> {
        None
    }
}

/// A file as it is shared.
pub type SharedFile = Arc<dyn DiskFile>;

/// One run of bytes of a [`Disk::flush`]. Runs of one flush never overlap: they are written in any
/// order.
#[derive(Debug, Clone, Copy)]
pub struct FlushWrite<'a> {
    /// Where to.
    pub file: &'a SharedFile,
    /// A multiple of 4,096.
    pub offset: u64,
    /// A multiple of 4,096 long.
    pub bytes: &'a [u8],
}

/// What a held lock is. Dropping it lets go, and its file says again what it said before, unless
/// [`DiskLock::keep`] was called.
pub trait DiskLock: Send + Sync + Debug {
    /// The file says who had the lock after that was let go, too.
    fn keep(&mut self);
}

/// Files by path.
pub trait Disk: Send + Sync + Debug {
    /// Makes a directory and those above it, durably. Fine where it is there.
    ///
    /// # Errors
    /// What the system says.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, sorted; `NotFound` where there is none.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Makes a file afresh, or cuts one that is there, with room for `preallocated_bytes`: the
    /// file is that long and its blocks are there, so writing within never meets a full disk.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, path: &Path, preallocated_bytes: u64) -> io::Result<SharedFile>;
    /// Opens a file that is there; `writable` or for reading only.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, path: &Path, writable: bool) -> io::Result<SharedFile>;
    /// Gives a file another name, replacing what had it.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes names in a directory durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Takes the lock on the file at `path`, which is made where it is missing; `WouldBlock`
    /// where another process, or another holder in this one, has it. The file holds the
    /// holder's process id in decimal digits.
    ///
    /// # Errors
    /// What the system says.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DiskLock>>;
    /// Writes all runs and makes them and their files durable; many at once where the disk can.
    ///
    /// # Errors
    /// The first failure. The files of runs that may be lost are latched (invariant 2).
    fn flush(&self, writes: &[FlushWrite<'_>]) -> io::Result<()>;
    /// How it flushes, for reports: `io_uring`, `pwrite` or `simulated`.
    fn flush_name(&self) -> &'static str;
}

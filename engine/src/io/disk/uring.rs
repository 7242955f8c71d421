//! Flushes through io_uring: many writes in flight, past the page cache, synced file by file.
//!
//! Takes files and runs; hands them to the kernel from buffers of its own, and answers when all
//! requests are back. What a result leads to is decided by [`Flow`].
//!
//! Invariants
//! 1. A buffer that a request in flight reads is not in `free`, so nobody writes to it.
//! 2. Every request that was pushed is counted in `in_flight` until its completion is taken. The
//!    buffers are unmapped only at 0; a flusher that is dropped before leaks them.
//! 3. Descriptors of requests in flight are open: the files outlive the call, and the call ends
//!    only at 0 or with an error after which the flusher refuses to go on.
//! 4. Between pushes and the call that submits them there is room in the queue: a round pushes at
//!    most a write and a sync a buffer, and a sync a file.
//!
//! Why bytes are copied: the caller's memory is neither registered nor aligned, and a copy costs a
//! tenth of what the disk takes. Why direct: the page cache would copy once more, and write when
//! it likes. Why fsync is linked only behind a file's last write: linking all of them would put
//! one behind the other, and the disk would idle.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, Fixed, FsyncFlags};
use io_uring::{IoUring, opcode};
use memmap2::MmapMut;
use rustix::io::Errno;

use super::flow::{Flow, Part};
use super::real::{Flushed, Run, Target};

/// What one request writes at most.
const BUFFER_BYTES: usize = 512 << 10;
const BUFFER_COUNT: u16 = 8;
/// Files that are flushed at one time.
const FILES_MAX: usize = 32;
const QUEUE_ENTRIES: u32 = 64;
const _: () = assert!(2 * BUFFER_COUNT as usize + FILES_MAX <= QUEUE_ENTRIES as usize);
/// How often the kernel may refuse to take requests, none having completed in between.
const REFUSED_MAX: u32 = 1_000;

/// An earlier flush ended with requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an earlier flush left io_uring with requests in flight; restart from the last manifest")]
pub(super) struct RingLost;

/// What a request was, as its completion tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Write { part: usize, buffer: u16, is_direct: bool },
    Sync { file: usize },
}

const SYNC_BIT: u64 = 1 << 63;
const DIRECT_BIT: u64 = 1 << 62;

impl Request {
    /// Bit 63: a sync; bit 62: written directly; bits 40 to 55: the buffer; below: the index.
    fn to_bits(self) -> u64 {
        match self {
            Self::Write { part, buffer, is_direct } => {
                let direct = if is_direct { DIRECT_BIT } else { 0 };
                direct | u64::from(buffer) << 40 | part as u64
            }
            Self::Sync { file } => SYNC_BIT | file as u64,
        }
    }

    fn from_bits(bits: u64) -> Self {
        let index = usize::try_from(bits & ((1 << 40) - 1)).expect("an index of this process");
        if bits & SYNC_BIT != 0 {
            return Self::Sync { file: index };
        }
        let buffer = u16::try_from(bits >> 40 & 0xffff).expect("16 bits");
        Self::Write { part: index, buffer, is_direct: bits & DIRECT_BIT != 0 }
    }
}

/// A ring with its buffers.
pub(super) struct Flusher {
    ring: IoUring,
    buffers: Vec<MmapMut>,
    free: Vec<u16>,
    in_flight: usize,
    has_fixed_buffers: bool,
    has_fixed_files: bool,
    note: Option<String>,
}

impl std::fmt::Debug for Flusher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flusher").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

impl Flusher {
    /// Makes a ring and proves that it turns: some sandboxes allow the one and not the other.
    pub(super) fn new() -> io::Result<Self> {
        let ring = IoUring::new(QUEUE_ENTRIES)?;
        let buffers = (0..BUFFER_COUNT).map(|_| MmapMut::map_anon(BUFFER_BYTES));
        let mut flusher = Self {
            ring,
            buffers: buffers.collect::<io::Result<_>>()?,
            free: (0..BUFFER_COUNT).collect(),
            in_flight: 0,
            has_fixed_buffers: false,
            has_fixed_files: false,
            note: None,
        };
        flusher.push(&opcode::Nop::new().build());
        flusher.enter()?;
        while flusher.ring.completion().next().is_some() {
            flusher.in_flight -= 1;
        }
        flusher.register();
        Ok(flusher)
    }

    /// What it has to do without.
    pub(super) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Registers what it can; all of it is a matter of speed alone.
    fn register(&mut self) {
        let mut missed = Vec::new();
        match self.register_buffers() {
            Ok(()) => self.has_fixed_buffers = true,
            Err(error) => {
                missed.push(format!("buffers ({error}; raise the limit of locked memory)"))
            }
        }
        let slots = u32::try_from(2 * FILES_MAX).expect("a small number");
        match self.ring.submitter().register_files_sparse(slots) {
            Ok(()) => self.has_fixed_files = true,
            Err(error) => missed.push(format!("files ({error})")),
        }
        if !missed.is_empty() {
            self.note = Some(format!("io_uring without registered {}", missed.join(" and ")));
        }
    }

    fn register_buffers(&self) -> io::Result<()> {
        let vectors: Vec<libc::iovec> = self
            .buffers
            .iter()
            .map(|buffer| libc::iovec {
                iov_base: buffer.as_ptr().cast_mut().cast(),
                iov_len: buffer.len(),
            })
            .collect();
        // SAFETY: the buffers stay mapped for as long as the ring has requests in flight
        // (invariant 2), and nobody writes to one that is in use (invariant 1).
        unsafe { self.ring.submitter().register_buffers(&vectors) }
    }

    /// Writes and syncs all. Files after the first [`FILES_MAX`] wait for those before.
    pub(super) fn flush(&mut self, targets: &[Target<'_>], runs: &[Run<'_>]) -> Flushed {
        let mut flushed = Flushed { is_synced: Vec::new(), error: None };
        for (number, targets) in targets.chunks(FILES_MAX).enumerate() {
            let first = number * FILES_MAX;
            let group: Vec<Run<'_>> = runs
                .iter()
                .filter(|run| (first..first + targets.len()).contains(&run.file))
                .map(|run| Run { file: run.file - first, ..*run })
                .collect();
            let mut flow = Flow::new(
                targets.iter().map(|target| target.direct.is_some()),
                group.iter().map(|run| (run.file, run.bytes.len())),
                BUFFER_BYTES,
            );
            let answer = self.flush_group(&mut flow, targets, &group);
            let error = answer.err().or_else(|| flow.first_error().map(io::Error::from));
            flushed.is_synced.extend((0..targets.len()).map(|file| flow.is_synced(file)));
            if error.is_some() {
                flushed.error = error;
                break;
            }
        }
        let file_count = targets.len();
        flushed.is_synced.resize(file_count, false);
        flushed
    }

    fn flush_group(
        &mut self,
        flow: &mut Flow,
        targets: &[Target<'_>],
        runs: &[Run<'_>],
    ) -> io::Result<()> {
        if self.in_flight > 0 {
            return Err(io::Error::other(RingLost));
        }
        let is_fixed = self.place_files(targets);
        let files = Files { targets, is_fixed };
        let answer = self.turn(flow, &files, runs);
        if self.has_fixed_files {
            // A file that stays registered stays open: removed, it would still take its room.
            let none = vec![-1; 2 * targets.len()];
            self.has_fixed_files = self.ring.submitter().register_files_update(0, &none).is_ok();
        }
        answer
    }

    /// Puts the files into the table: file i at 2i, and for direct writes at 2i + 1.
    fn place_files(&self, targets: &[Target<'_>]) -> bool {
        let descriptor = |file: Option<&File>| file.map_or(-1, AsRawFd::as_raw_fd);
        let descriptors: Vec<RawFd> = targets
            .iter()
            .flat_map(|target| [target.file.as_raw_fd(), descriptor(target.direct)])
            .collect();
        let count = self.has_fixed_files.then(|| {
            self.ring.submitter().register_files_update(0, &descriptors).unwrap_or_default()
        });
        count == Some(descriptors.len())
    }

    fn turn(&mut self, flow: &mut Flow, files: &Files<'_>, runs: &[Run<'_>]) -> io::Result<()> {
        loop {
            self.issue(flow, files, runs);
            if self.in_flight == 0 {
                return Ok(());
            }
            self.enter()?;
            self.take_completions(flow);
        }
    }

    fn issue(&mut self, flow: &mut Flow, files: &Files<'_>, runs: &[Run<'_>]) {
        while let Some(buffer) = self.free.pop() {
            let Some((index, part)) = flow.next_write() else {
                self.free.push(buffer);
                break;
            };
            let is_direct = flow.is_direct(part.file);
            let bits = Request::Write { part: index, buffer, is_direct }.to_bits();
            let write = self.write(files, &runs[part.run], part, (buffer, is_direct));
            let write = write.user_data(bits);
            if flow.links_sync(part) {
                self.push(&write.flags(Flags::IO_LINK));
                self.push(&files.sync(part.file));
            } else {
                self.push(&write);
            }
        }
        while let Some(file) = flow.next_sync() {
            self.push(&files.sync(file));
        }
    }

    /// Copies the part into the buffer, and makes the request that writes it.
    fn write(
        &mut self,
        files: &Files<'_>,
        run: &Run<'_>,
        part: Part,
        (buffer, is_direct): (u16, bool),
    ) -> Entry {
        let bytes = &run.bytes[part.from..part.to];
        let memory = &mut self.buffers[usize::from(buffer)][..bytes.len()];
        memory.copy_from_slice(bytes);
        let (start, len) = (memory.as_ptr(), u32::try_from(bytes.len()).expect("one buffer"));
        let offset = run.offset + part.from as u64;
        let (slot, descriptor) = files.place(part.file, is_direct);
        match (self.has_fixed_buffers, files.is_fixed) {
            (true, true) => {
                opcode::WriteFixed::new(slot, start, len, buffer).offset(offset).build()
            }
            (true, false) => {
                opcode::WriteFixed::new(descriptor, start, len, buffer).offset(offset).build()
            }
            (false, true) => opcode::Write::new(slot, start, len).offset(offset).build(),
            (false, false) => opcode::Write::new(descriptor, start, len).offset(offset).build(),
        }
    }

    fn push(&mut self, entry: &Entry) {
        self.in_flight += 1;
        // SAFETY: the entry reads a buffer that is out of `free` (invariant 1) and stays mapped
        // (invariant 2), of a file that is open (invariant 3), or nothing at all.
        let pushed = unsafe { self.ring.submission().push(entry) };
        pushed.expect("there is room in the queue (invariant 4)");
    }

    /// Submits what was pushed, and waits until something has completed.
    fn enter(&mut self) -> io::Result<()> {
        let mut refused = 0;
        loop {
            let Err(error) = self.ring.submit_and_wait(1) else {
                return Ok(());
            };
            let is_passing = [Errno::INTR, Errno::AGAIN, Errno::BUSY]
                .iter()
                .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
            refused += 1;
            if !is_passing || refused > REFUSED_MAX {
                return Err(error);
            }
            if !self.ring.completion().is_empty() {
                return Ok(());
            }
        }
    }

    fn take_completions(&mut self, flow: &mut Flow) {
        for completion in self.ring.completion() {
            self.in_flight -= 1;
            match Request::from_bits(completion.user_data()) {
                Request::Write { part, buffer, is_direct } => {
                    self.free.push(buffer);
                    flow.write_completed(part, completion.result(), is_direct);
                }
                Request::Sync { file } => flow.sync_completed(file, completion.result()),
            }
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        if self.in_flight > 0 {
            // The kernel may still read them.
            std::mem::take(&mut self.buffers).into_iter().for_each(std::mem::forget);
        }
    }
}

/// The files of a group, as requests name them.
#[derive(Debug)]
struct Files<'a> {
    targets: &'a [Target<'a>],
    is_fixed: bool,
}

impl Files<'_> {
    fn place(&self, file: usize, is_direct: bool) -> (Fixed, Fd) {
        let target = &self.targets[file];
        let slot = u32::try_from(2 * file).expect("a small number") + u32::from(is_direct);
        let direct = target.direct.filter(|_| is_direct);
        (Fixed(slot), Fd(direct.unwrap_or(target.file).as_raw_fd()))
    }

    /// Through the descriptor that everybody else writes to: it is the one that was open when an
    /// earlier write was lost, and hears of it.
    fn sync(&self, file: usize) -> Entry {
        let (slot, descriptor) = self.place(file, false);
        let entry = match self.is_fixed {
            true => opcode::Fsync::new(slot).flags(FsyncFlags::DATASYNC).build(),
            false => opcode::Fsync::new(descriptor).flags(FsyncFlags::DATASYNC).build(),
        };
        entry.user_data(Request::Sync { file }.to_bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_known_by_its_bits() {
        for request in [
            Request::Write { part: 0, buffer: 0, is_direct: false },
            Request::Write { part: 1 << 39, buffer: 7, is_direct: true },
            Request::Sync { file: 31 },
        ] {
            assert_eq!(Request::from_bits(request.to_bits()), request);
        }
    }
}

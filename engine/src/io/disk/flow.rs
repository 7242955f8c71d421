//! What a flush through a ring does next, decided without a ring.
//!
//! Takes runs, then the results of what was issued; hands on parts to write and files to sync.
//!
//! Invariants
//! 1. A file counts as synced only by a sync that was issued after its last byte was written, or
//!    that was linked behind the write of it.
//! 2. Whatever was issued is in flight until its result is told, also where its file has failed.
//! 3. A failed sync is never issued again; a cancelled one was never begun, and is.
//! 4. A part that makes no way is issued at most [`AGAIN_MAX`] times more.
//!
//! Why apart: short writes and cancelled syncs hardly ever happen, so only a test shows what they
//! lead to.

use std::collections::VecDeque;

use rustix::io::Errno;

/// How often a file's requests may come back undone before that is an error.
pub(super) const AGAIN_MAX: u32 = 64;

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WriteNext {
    Done,
    /// The part from here on is still to be written.
    Rest(usize),
    Again(Errno),
    /// The file system takes no direct writes after all.
    Buffered,
    Failed(Errno),
}

/// Reads a write's result, `len` bytes being asked for; the rest starts at a whole block, since a
/// direct write must.
fn after_write(result: i32, len: usize, is_direct: bool) -> WriteNext {
    let Ok(written) = usize::try_from(result) else {
        return match Errno::from_raw_os_error(-result) {
            Errno::INVAL if is_direct => WriteNext::Buffered,
            errno if is_passing(errno) => WriteNext::Again(errno),
            errno => WriteNext::Failed(errno),
        };
    };
    assert!(written <= len, "the kernel writes no more than it was asked to");
    match written {
        written if written == len => WriteNext::Done,
        written if written < 4_096 => WriteNext::Again(Errno::IO),
        written => WriteNext::Rest(written / 4_096 * 4_096),
    }
}

/// Nothing was done, and nothing is wrong.
fn is_passing(errno: Errno) -> bool {
    matches!(errno, Errno::INTR | Errno::AGAIN | Errno::CANCELED)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    /// To be issued once all parts are written.
    Due,
    InFlight {
        /// A part turned out to be unfinished since.
        is_stale: bool,
    },
    Done,
}

/// Some bytes of a run, as many as one request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// The index of its file.
    pub(super) file: usize,
    /// The index of its run.
    pub(super) run: usize,
    /// Where in the run it starts.
    pub(super) from: usize,
    /// Where in the run it ends.
    pub(super) to: usize,
}

#[derive(Debug)]
struct FileFlow {
    open_parts: usize,
    sync: Sync,
    again: u32,
    is_direct: bool,
    error: Option<Errno>,
}

/// A flush under way.
#[derive(Debug)]
pub(super) struct Flow {
    parts: Vec<Part>,
    ready: VecDeque<usize>,
    files: Vec<FileFlow>,
    first_error: Option<Errno>,
}

impl Flow {
    /// Cuts runs, each the index of its file and its length, into parts of `part_bytes`.
    /// `direct_files` says of each file whether it is written directly.
    pub(super) fn new(
        direct_files: impl IntoIterator<Item = bool>,
        runs: impl IntoIterator<Item = (usize, usize)>,
        part_bytes: usize,
    ) -> Self {
        let new = |is_direct| FileFlow {
            open_parts: 0,
            sync: Sync::Due,
            again: 0,
            is_direct,
            error: None,
        };
        let mut files: Vec<FileFlow> = direct_files.into_iter().map(new).collect();
        let mut parts = Vec::new();
        for (run, (file, len)) in runs.into_iter().enumerate() {
            for from in (0..len).step_by(part_bytes) {
                parts.push(Part { file, run, from, to: len.min(from + part_bytes) });
                files[file].open_parts += 1;
            }
        }
        Self { ready: (0..parts.len()).collect(), parts, files, first_error: None }
    }

    /// The next part to issue, by its index.
    pub(super) fn next_write(&mut self) -> Option<(usize, Part)> {
        loop {
            let index = self.ready.pop_front()?;
            let part = self.parts[index];
            if self.files[part.file].error.is_none() {
                return Some((index, part));
            }
        }
    }

    /// Whether the sync of the part's file is to be linked behind the part, which is so where it
    /// is all that is left to write. Then it counts as issued.
    pub(super) fn links_sync(&mut self, part: Part) -> bool {
        let file = &mut self.files[part.file];
        let links = file.open_parts == 1 && file.sync == Sync::Due;
        if links {
            file.sync = Sync::InFlight { is_stale: false };
        }
        links
    }

    /// The next file whose sync is to be issued.
    pub(super) fn next_sync(&mut self) -> Option<usize> {
        let is_due = |file: &FileFlow| {
            file.sync == Sync::Due && file.open_parts == 0 && file.error.is_none()
        };
        let index = self.files.iter().position(is_due)?;
        self.files[index].sync = Sync::InFlight { is_stale: false };
        Some(index)
    }

    pub(super) fn is_direct(&self, file: usize) -> bool {
        self.files[file].is_direct
    }

    /// `was_direct`: how the part was issued.
    pub(super) fn write_completed(&mut self, index: usize, result: i32, was_direct: bool) {
        let part = &mut self.parts[index];
        let number = part.file;
        let file = &mut self.files[number];
        match after_write(result, part.to - part.from, was_direct) {
            WriteNext::Done => return file.open_parts -= 1,
            WriteNext::Failed(errno) => return self.fail(number, errno),
            WriteNext::Buffered => file.is_direct = false,
            WriteNext::Rest(written) => {
                part.from += written;
                file.again = 0;
            }
            WriteNext::Again(errno) => {
                file.again += 1;
                if file.again > AGAIN_MAX {
                    return self.fail(number, errno);
                }
            }
        }
        if let Sync::InFlight { is_stale } = &mut file.sync {
            *is_stale = true;
        }
        self.ready.push_front(index);
    }

    pub(super) fn sync_completed(&mut self, number: usize, result: i32) {
        let file = &mut self.files[number];
        let Sync::InFlight { is_stale } = file.sync else {
            unreachable!("a sync completes once for each time it was issued");
        };
        file.sync = Sync::Due;
        if result >= 0 {
            // What was written after it began is not covered by it.
            if !is_stale && file.error.is_none() {
                file.sync = Sync::Done;
            }
            return;
        }
        let errno = Errno::from_raw_os_error(-result);
        file.again += 1;
        if !is_passing(errno) || file.again > AGAIN_MAX {
            self.fail(number, errno);
        }
    }

    fn fail(&mut self, file: usize, errno: Errno) {
        self.files[file].error.get_or_insert(errno);
        self.first_error.get_or_insert(errno);
    }

    pub(super) fn first_error(&self) -> Option<Errno> {
        self.first_error
    }

    pub(super) fn is_synced(&self, file: usize) -> bool {
        self.files[file].sync == Sync::Done
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EIO: i32 = 5;
    const EINTR: i32 = 4;
    const EINVAL: i32 = 22;
    const ECANCELED: i32 = 125;

    fn one_part() -> (Flow, usize, Part) {
        let mut flow = Flow::new([true], [(0, 16_384)], 1 << 20);
        let (index, part) = flow.next_write().unwrap();
        (flow, index, part)
    }

    #[test]
    fn the_last_part_of_a_file_takes_its_sync_along() {
        let (mut flow, index, part) = one_part();
        assert!(flow.links_sync(part));
        flow.write_completed(index, 16_384, true);
        assert_eq!(flow.next_sync(), None);
        assert!(!flow.is_synced(0));
        flow.sync_completed(0, 0);
        assert!(flow.is_synced(0));
    }

    #[test]
    fn a_short_write_goes_on_at_a_whole_block_and_its_sync_is_issued_anew() {
        let (mut flow, index, part) = one_part();
        assert!(flow.links_sync(part));
        flow.write_completed(index, 5_000, true);
        flow.sync_completed(0, -ECANCELED);
        assert_eq!(flow.next_sync(), None, "not before the rest is written");
        let (index, rest) = flow.next_write().unwrap();
        assert_eq!((rest.from, rest.to), (4_096, 16_384));
        flow.write_completed(index, 12_288, true);
        assert_eq!(flow.next_sync(), Some(0));
        flow.sync_completed(0, -EINTR);
        assert_eq!(flow.next_sync(), Some(0));
        flow.sync_completed(0, 0);
        assert!(flow.is_synced(0));
        assert_eq!(flow.first_error(), None);
    }

    #[test]
    fn a_sync_that_ran_in_spite_of_a_short_write_does_not_count() {
        let (mut flow, index, part) = one_part();
        assert!(flow.links_sync(part));
        flow.write_completed(index, 8_192, true);
        let (index, _) = flow.next_write().unwrap();
        flow.write_completed(index, 8_192, true);
        flow.sync_completed(0, 0);
        assert!(!flow.is_synced(0));
        assert_eq!(flow.next_sync(), Some(0));
    }

    #[test]
    fn a_failed_sync_is_not_issued_again() {
        let (mut flow, index, _) = one_part();
        flow.write_completed(index, 16_384, true);
        assert_eq!(flow.next_sync(), Some(0));
        flow.sync_completed(0, -EIO);
        assert_eq!(flow.next_sync(), None);
        assert!(!flow.is_synced(0));
        assert_eq!(flow.first_error(), Some(Errno::IO));
    }

    #[test]
    fn a_file_that_takes_no_direct_writes_is_written_through_the_cache() {
        let (mut flow, index, _) = one_part();
        flow.write_completed(index, -EINVAL, true);
        assert!(!flow.is_direct(0));
        let (index, _) = flow.next_write().unwrap();
        flow.write_completed(index, -EINVAL, false);
        assert_eq!(flow.next_write(), None);
        assert_eq!(flow.first_error(), Some(Errno::INVAL));
    }

    #[test]
    fn what_is_never_done_fails_at_last() {
        let (mut flow, mut index, _) = one_part();
        for _ in 0..AGAIN_MAX {
            flow.write_completed(index, -EINTR, true);
            index = flow.next_write().unwrap().0;
        }
        flow.write_completed(index, -EINTR, true);
        assert_eq!(flow.next_write(), None);
        assert_eq!(flow.first_error(), Some(Errno::INTR));
    }

    #[test]
    fn a_failed_file_leaves_the_others_alone() {
        let mut flow = Flow::new([true, true], [(0, 8_192), (1, 4_096)], 4_096);
        let (first, _) = flow.next_write().unwrap();
        flow.write_completed(first, -EIO, true);
        let (other, part) = flow.next_write().unwrap();
        assert_eq!(part.file, 1, "the second part of the failed file is not written");
        flow.write_completed(other, 4_096, true);
        assert_eq!(flow.next_sync(), Some(1));
        flow.sync_completed(1, 0);
        assert_eq!([flow.is_synced(0), flow.is_synced(1)], [false, true]);
        assert_eq!(flow.next_sync(), None);
    }

    /// What a model of a kernel has in flight.
    #[derive(Debug)]
    enum Request {
        Write { index: usize, part: Part, is_linked: bool },
        Sync { file: usize },
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        /// A kernel that writes short, interrupts and cancels, in any order of completion.
        #[test]
        fn every_byte_is_written_before_the_sync_that_counts(
            lens in prop::collection::vec((0..4_usize, 1..40_usize), 1..12),
            chances in prop::collection::vec(0..100_u32, 2_000),
        ) {
            let runs: Vec<(usize, usize)> =
                lens.iter().map(|&(file, blocks)| (file, blocks * 4_096)).collect();
            let mut flow = Flow::new([true; 4], runs.iter().copied(), 16_384);
            let mut written: Vec<Vec<bool>> =
                lens.iter().map(|&(_, blocks)| vec![false; blocks]).collect();
            let mut chance = chances.into_iter().chain(std::iter::repeat(99));
            let mut draw = || chance.next().expect("endless");
            let mut flight: Vec<Request> = Vec::new();
            loop {
                while flight.len() < 8 {
                    let Some((index, part)) = flow.next_write() else { break };
                    let is_linked = flow.links_sync(part);
                    flight.push(Request::Write { index, part, is_linked });
                }
                while let Some(file) = flow.next_sync() {
                    flight.push(Request::Sync { file });
                }
                if flight.is_empty() {
                    break;
                }
                let at = draw() as usize % flight.len();
                match flight.swap_remove(at) {
                    Request::Write { index, part, is_linked } => {
                        let len = part.to - part.from;
                        let result = match draw() {
                            0..5 => -EINTR,
                            5..20 => i32::try_from(len / 3).unwrap(),
                            _ => i32::try_from(len).unwrap(),
                        };
                        let done = usize::try_from(result.max(0)).unwrap() / 4_096;
                        written[part.run][part.from / 4_096..][..done].fill(true);
                        flow.write_completed(index, result, true);
                        if is_linked && usize::try_from(result) == Ok(len) {
                            flight.push(Request::Sync { file: part.file });
                        } else if is_linked {
                            flow.sync_completed(part.file, -ECANCELED);
                        }
                    }
                    Request::Sync { file } => {
                        let result = if draw() < 10 { -EINTR } else { 0 };
                        flow.sync_completed(file, result);
                        if result == 0 && flow.is_synced(file) {
                            for (run, written) in written.iter().enumerate() {
                                prop_assert!(runs[run].0 != file || written.iter().all(|&is| is));
                            }
                        }
                    }
                }
            }
            prop_assert!((0..4).all(|file| flow.is_synced(file)));
        }
    }
}

//! The open end of an output: bytes of all ports, in one order, cut at marks.
//!
//! Takes the orders of all ports, each port's in its own order; hands on bytes in a file, and at
//! each mark how long the file is then. A mark is a number that every port passes; what a mark
//! means is the business of whoever asks for it.
//!
//! Invariants
//! 1. *Aligned*: what a port submitted after a mark is written once every port has passed that mark
//!    or ended. So the bytes up to a mark's length are exactly what was submitted before it.
//! 2. An ended port has passed every mark.
//! 3. A file is written at the length that is tracked here, so that nothing of an earlier run
//!    that lies behind it is ever left in the middle.
//!
//! Why held back and not written with a table of who wrote what: the file would have to be
//! rewritten on recovery; a mark takes as long as the slowest shard, which it waits for anyway.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::disk::SharedFile;
use super::latch::{Latch, lock};
use super::output_error::{OutputError, Problem};
use super::parts::{Part, Parts};
use super::port::{PortReturn, WriteBuffer, Written};
use crate::clock::Clock;

/// What a port asks for.
#[derive(Debug)]
pub(super) enum Request {
    Write(WriteBuffer, Arc<PortReturn>),
    /// All before it belongs to this mark.
    Pass(u64),
    /// There is no more.
    End,
}

/// Where the bytes go.
#[derive(Debug)]
pub(super) enum Target {
    File(SharedFile),
    /// A pipe or a device.
    Stream(File),
    Standard(io::Stdout),
    Parts(Parts),
}

/// What was noted at marks, for whoever makes them durable.
#[derive(Debug, Default)]
pub(super) struct Marks {
    lengths_bytes: BTreeMap<u64, u64>,
    /// How long the output is, once every port has ended.
    ended_bytes: Option<u64>,
    /// Whole parts that are not yet renamed.
    pub(super) closed: Vec<Part>,
}

impl Marks {
    /// How long the output was at `mark`, once that is known; forgets the marks before it.
    pub(super) fn length_at(&mut self, mark: u64) -> Option<u64> {
        self.lengths_bytes = self.lengths_bytes.split_off(&mark);
        self.lengths_bytes.get(&mark).copied().or(self.ended_bytes)
    }
}

/// One port as the output sees it.
#[derive(Debug)]
struct Line {
    /// The last mark that it passed; the highest number once it has ended.
    passed: u64,
    held: VecDeque<Request>,
}

/// The open output.
#[derive(Debug)]
pub(super) struct Output {
    target: Target,
    /// What the file holds.
    length_bytes: u64,
    lines: Vec<Line>,
    /// The mark that every port has passed.
    aligned: u64,
    first_mark: u64,
    marks: Arc<Mutex<Marks>>,
    clock: Clock,
    /// Whether a port is woken for every buffer, or for those only that were held.
    wakes_always: bool,
}

impl Output {
    pub(super) fn new(
        target: Target,
        (mark, length_bytes): (u64, u64),
        clock: Clock,
        wakes_always: bool,
    ) -> Self {
        Self {
            target,
            length_bytes,
            lines: Vec::new(),
            aligned: mark,
            first_mark: mark,
            marks: Arc::default(),
            clock,
            wakes_always,
        }
    }

    pub(super) fn marks(&self) -> Arc<Mutex<Marks>> {
        Arc::clone(&self.marks)
    }

    /// Writes what stands before all lines, and notes the mark that the output starts from.
    pub(super) fn start(&mut self, preamble: &[u8], latch: &Latch) {
        self.write(preamble, latch);
        lock(&self.marks).lengths_bytes.insert(self.aligned, self.length_bytes);
    }

    /// One more port; before any port's first request.
    pub(super) fn add_line(&mut self) {
        self.lines.push(Line { passed: self.first_mark, held: VecDeque::new() });
    }

    /// Does what a port asks for, or keeps it for later (invariant 1).
    pub(super) fn take(&mut self, port: usize, request: Request, latch: &Latch) {
        let line = &mut self.lines[port];
        if line.passed > self.aligned {
            line.held.push_back(request);
            return;
        }
        self.apply(port, request, self.wakes_always, latch);
        self.align(latch);
    }

    fn apply(&mut self, port: usize, request: Request, wakes: bool, latch: &Latch) {
        match request {
            Request::Write(buffer, to) => {
                self.write(&buffer.bytes, latch);
                to.give_back(Written { buffer, written_ns: self.clock.now_ns() }, wakes);
            }
            Request::Pass(mark) => self.lines[port].passed = mark,
            Request::End => self.lines[port].passed = u64::MAX,
        }
    }

    fn align(&mut self, latch: &Latch) {
        while let Some(passed) = self.lines.iter().map(|line| line.passed).min()
            && passed > self.aligned
        {
            self.note(passed);
            for port in 0..self.lines.len() {
                while self.lines[port].passed <= self.aligned
                    && let Some(request) = self.lines[port].held.pop_front()
                {
                    self.apply(port, request, true, latch);
                }
            }
        }
    }

    fn note(&mut self, passed: u64) {
        let mut marks = lock(&self.marks);
        if let Target::Parts(parts) = &mut self.target {
            marks.closed.extend(parts.close());
            parts.number = passed.saturating_add(1);
        }
        if passed == u64::MAX {
            marks.ended_bytes = Some(self.length_bytes);
        } else {
            marks.lengths_bytes.insert(passed, self.length_bytes);
        }
        self.aligned = passed;
    }

    /// Writes all of `bytes`, unless something failed before; a failure is latched.
    fn write(&mut self, bytes: &[u8], latch: &Latch) {
        if latch.has_failed() || bytes.is_empty() {
            return;
        }
        let result = match &mut self.target {
            Target::File(file) => file.write_at(self.length_bytes, bytes),
            Target::Stream(file) => file.write_all(bytes),
            Target::Standard(stdout) => stdout.write_all(bytes).and_then(|()| stdout.flush()),
            Target::Parts(parts) => parts.write(bytes),
        };
        match result {
            Ok(()) => self.length_bytes += bytes.len() as u64,
            Err(error) => {
                latch.fail(|path| OutputError::Write { path, problem: Problem::of_write(&error) })
            }
        }
    }

    /// Flushes a file to the device; answers how much it holds.
    pub(super) fn finish(&mut self, latch: &Latch) -> u64 {
        if let Target::Parts(parts) = &mut self.target {
            lock(&self.marks).closed.extend(parts.close());
        }
        if let Target::File(file) = &self.target
            && !latch.has_failed()
            && let Err(error) = file.sync_data()
        {
            latch.fail(|path| OutputError::Flush { path, problem: Problem::of_write(&error) });
        }
        self.length_bytes
    }
}

/// Whether `path` is a pipe or a device of the machine: no disk has those.
pub(super) fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
        || std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

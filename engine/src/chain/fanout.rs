//! Where one stream goes several ways: a batch of frames that each branch reads for itself.
//!
//! A source's decoded records stand in such a batch, and so do a derived stream's after `fork`.
//! Each branch is a fused loop of its own; the dynamic call is one a batch and branch, not one a
//! record.
//!
//! Invariant: the batch is cleared only when every branch has read all of it.

use rkyv::util::AlignedVec;

use crate::record::{
    Frame, FrameHeader, IngressPosition, Marker, Record, frame_bytes, write_frame,
};

use super::blueprint::{Blueprint, Wiring};
use super::plan::Link;
use super::push::{Flow, Push, Terminal, TerminalError, keep_marker};

/// How many bytes of frames a batch takes before its branches must read it: half a level-1 data
/// cache, so that what was just decoded is still near when the branches read it.
const BATCH_BYTES: usize = 24 << 10;

/// One way that a stream goes.
trait Branch: Send {
    /// Reads `frames` from where it stopped; `Ready` when it has read them all.
    fn run(&mut self, frames: &[u8]) -> Flow;
    /// The batch was cleared.
    fn rewind(&mut self);
    /// How far it has read.
    fn at(&self) -> usize;
    fn terminal(&mut self) -> &mut dyn Terminal;
    fn is_drained(&self) -> bool;
    fn next_ns(&self) -> Option<u64>;
}

struct Pipe<R, P> {
    push: P,
    at: usize,
    repeated: bool,
    record: std::marker::PhantomData<fn() -> R>,
}

impl<R: Record, P: Push<R>> Branch for Pipe<R, P> {
    fn run(&mut self, frames: &[u8]) -> Flow {
        while self.at < frames.len() {
            let frame = Frame::new(&frames[self.at..]);
            self.push.begin(self.repeated);
            if self.push.push_frame(frame).is_blocked() {
                self.repeated = true;
                return Flow::Blocked;
            }
            self.repeated = false;
            self.at += frame.frame_bytes();
        }
        Flow::Ready
    }

    fn rewind(&mut self) {
        self.at = 0;
    }

    fn at(&self) -> usize {
        self.at
    }

    fn terminal(&mut self) -> &mut dyn Terminal {
        &mut self.push
    }

    fn is_drained(&self) -> bool {
        self.push.is_drained()
    }

    fn next_ns(&self) -> Option<u64> {
        self.push.next_ns()
    }
}

/// Builds one branch for a shard.
pub(crate) trait BranchBlueprint<R: Record>: Send + Sync {
    #[expect(private_interfaces, reason = "a branch is opaque outside of this file")]
    fn build_branch(&self, wiring: &mut Wiring<'_>) -> Box<dyn Branch>;
    fn describe_branch(&self, links: &mut Vec<Link>);
}

/// What branches one batch has, as links: a single one goes on as it is.
pub(crate) fn describe_branches<R: Record>(
    branches: &[Box<dyn BranchBlueprint<R>>],
    links: &mut Vec<Link>,
) {
    if let [only] = branches {
        only.describe_branch(links);
        return;
    }
    let described = branches.iter().map(|branch| {
        let mut links = Vec::new();
        branch.describe_branch(&mut links);
        links
    });
    links.push(Link::Fork { branches: described.collect() });
}

impl<R: Record, B: Blueprint<R>> BranchBlueprint<R> for B {
    #[expect(private_interfaces, reason = "a branch is opaque outside of this file")]
    fn build_branch(&self, wiring: &mut Wiring<'_>) -> Box<dyn Branch> {
        let push = self.build(wiring);
        Box::new(Pipe {
            push,
            at: 0,
            repeated: false,
            record: std::marker::PhantomData::<fn() -> R>,
        })
    }

    fn describe_branch(&self, links: &mut Vec<Link>) {
        self.describe(links);
    }
}

/// A batch of frames and the branches that read it.
pub(crate) struct Fanout<R> {
    frames: AlignedVec<16>,
    filled_bytes: usize,
    branches: Vec<Box<dyn Branch>>,
    /// The branch that is reading.
    reading: Option<usize>,
    record: std::marker::PhantomData<fn() -> R>,
}

impl<R: Record> Fanout<R> {
    pub(crate) fn build(
        blueprints: &[Box<dyn BranchBlueprint<R>>],
        wiring: &mut Wiring<'_>,
    ) -> Self {
        let mut frames = AlignedVec::new();
        frames.resize(BATCH_BYTES, 0);
        Self {
            frames,
            filled_bytes: 0,
            branches: blueprints.iter().map(|branch| branch.build_branch(wiring)).collect(),
            reading: None,
            record: std::marker::PhantomData,
        }
    }

    /// Adds a record, or answers `false` where the batch has no room for it. A record that is
    /// larger than the whole batch makes it grow.
    #[inline(always)]
    pub(crate) fn append(&mut self, header: &FrameHeader, view: R::View<'_>) -> bool {
        let has_room = self.has_room(frame_bytes(R::payload_bytes_max(view)));
        if has_room {
            self.append_growing(header, view);
        }
        has_room
    }

    /// Adds a record; the batch grows for one that has no room.
    #[inline(always)]
    pub(crate) fn append_growing(&mut self, header: &FrameHeader, view: R::View<'_>) {
        let needed_bytes = frame_bytes(R::payload_bytes_max(view));
        if self.frames.len() - self.filled_bytes < needed_bytes {
            self.grow(needed_bytes);
        }
        self.filled_bytes += write_frame::<R>(header, view, &mut self.frames[self.filled_bytes..]);
    }

    #[cold]
    fn grow(&mut self, needed_bytes: usize) {
        self.frames.resize(self.filled_bytes + needed_bytes, 0);
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.filled_bytes == 0
    }

    /// Whether one more record of `bytes` surely fits, or the batch is empty.
    #[inline(always)]
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.filled_bytes == 0 || self.filled_bytes + bytes <= BATCH_BYTES
    }

    /// Lets every branch read; `Ready` when the batch is empty again.
    pub(crate) fn drain(&mut self) -> Flow {
        let mut flow = Flow::Ready;
        for (index, branch) in self.branches.iter_mut().enumerate() {
            self.reading = Some(index);
            if branch.run(&self.frames[..self.filled_bytes]).is_blocked() {
                flow = Flow::Blocked;
            }
        }
        self.reading = None;
        if flow == Flow::Ready {
            self.filled_bytes = 0;
            if self.frames.len() > BATCH_BYTES {
                // A long record made it grow; the memory is given back with the record.
                self.frames.resize(BATCH_BYTES, 0);
                self.frames.shrink_to_fit();
            }
            for branch in &mut self.branches {
                branch.rewind();
            }
        }
        flow
    }

    /// The record that a branch is reading, for the message of a panic in its closures.
    pub(crate) fn serving(&self) -> Option<IngressPosition> {
        let at = self.branches[self.reading?].at();
        (at < self.filled_bytes).then(|| Frame::new(&self.frames[at..]).position())
    }

    /// Passes a marker on; the batch must be empty.
    pub(crate) fn marker(&mut self, marker: Marker) {
        assert!(self.is_empty(), "a marker leaves after the records before it");
        for branch in &mut self.branches {
            branch.terminal().marker(marker);
        }
    }

    pub(crate) fn end_turn(&mut self) -> Result<bool, TerminalError> {
        let mut moved = false;
        for branch in &mut self.branches {
            moved |= branch.terminal().end_turn()?;
        }
        Ok(moved)
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.is_empty() && self.branches.iter().all(|branch| branch.is_drained())
    }

    /// When the first branch may go on that only time holds up.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.branches.iter().filter_map(|branch| branch.next_ns()).min()
    }
}

/// The terminal behind `fork`: a fanout within a stage.
pub(crate) struct Fork<R: Record> {
    fanout: Fanout<R>,
    waiting_markers: Vec<Marker>,
    accepted: u32,
    seen: u32,
}

impl<R: Record> Fork<R> {
    pub(crate) fn new(fanout: Fanout<R>) -> Self {
        Self { fanout, waiting_markers: Vec::new(), accepted: 0, seen: 0 }
    }

    fn send_markers(&mut self) -> bool {
        if !self.waiting_markers.is_empty() && self.fanout.drain() == Flow::Ready {
            for marker in self.waiting_markers.drain(..) {
                self.fanout.marker(marker);
            }
        }
        self.waiting_markers.is_empty()
    }
}

impl<R: Record> Terminal for Fork<R> {
    fn begin(&mut self, repeated: bool) {
        self.seen = 0;
        if !repeated {
            self.accepted = 0;
        }
    }

    fn marker(&mut self, marker: Marker) {
        keep_marker(&mut self.waiting_markers, marker);
        self.send_markers();
    }

    fn end_turn(&mut self) -> Result<bool, TerminalError> {
        // What is refused here stays in the batch and is tried again next turn.
        let _ = self.fanout.drain();
        self.send_markers();
        self.fanout.end_turn()
    }

    fn is_drained(&self) -> bool {
        self.waiting_markers.is_empty() && self.fanout.is_drained()
    }

    fn next_ns(&self) -> Option<u64> {
        self.fanout.next_ns()
    }
}

impl<R: Record> Push<R> for Fork<R> {
    fn push(&mut self, header: &FrameHeader, view: R::View<'_>) -> Flow {
        if self.seen < self.accepted {
            self.seen += 1;
            return Flow::Ready;
        }
        if !self.send_markers() {
            return Flow::Blocked;
        }
        let header = FrameHeader { ordinal: header.ordinal_of(self.seen), ..*header };
        if !self.fanout.append(&header, view)
            && (self.fanout.drain().is_blocked() || !self.fanout.append(&header, view))
        {
            return Flow::Blocked;
        }
        self.seen += 1;
        self.accepted = self.seen;
        Flow::Ready
    }
}

/// The fork before a shard has its own.
pub(crate) struct ForkBlueprint<R: Record> {
    pub(crate) branches: std::sync::Arc<std::sync::Mutex<Vec<Box<dyn BranchBlueprint<R>>>>>,
}

impl<R: Record> Blueprint<R> for ForkBlueprint<R> {
    type Push = Fork<R>;
    fn build(&self, wiring: &mut Wiring<'_>) -> Fork<R> {
        let branches = self.branches.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Fork::new(Fanout::build(&branches, wiring))
    }

    fn describe(&self, links: &mut Vec<Link>) {
        let branches = self.branches.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        describe_branches(&branches, links);
    }
}

//! The seam between fused operators: each pushes items into the next.

use crate::record::{Frame, FrameHeader, Item, Marker, Record};

/// Whether an item or a marker was taken.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Taken (or dropped on purpose, as a filter does).
    Ready,
    /// Refused for want of room: stop, and run the same input again later.
    Blocked,
}

impl Flow {
    /// Whether the item was refused.
    #[inline(always)]
    #[must_use]
    pub fn is_blocked(self) -> bool {
        self == Self::Blocked
    }
}

/// What a terminal does beside taking items; operators hand these calls on to it.
pub trait Terminal: Send {
    /// One input begins; `repeated` when it was refused before, so that the terminal skips what
    /// it had accepted of it.
    fn begin(&mut self, repeated: bool);
    /// Takes a marker, after every item pushed before it. Never refused: a terminal without room
    /// keeps it, and refuses items that must come after it.
    fn marker(&mut self, marker: Marker);
    /// A turn ends: what was accepted becomes visible. Answers whether anything moved.
    fn end_turn(&mut self) -> Result<bool, TerminalError>;
    /// Whether every marker has left, the end among them.
    fn is_drained(&self) -> bool;
    /// When what was refused may be taken, where time alone decides that, by the engine's clock.
    fn next_ns(&self) -> Option<u64> {
        None
    }
}

/// Takes items: the next operator of a chain, or the terminal of a stage.
pub trait Push<I: Item>: Terminal {
    /// Takes one item, or refuses it (invariant 1 of this folder).
    fn push(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow;

    /// Takes one frame as it lies; a terminal that writes frames copies the bytes.
    #[inline(always)]
    fn push_frame(&mut self, frame: Frame<'_>) -> Flow
    where
        I: Record,
    {
        self.push(&frame.header(), frame.view::<I>())
    }
}

/// Why a terminal can't go on; it ends the job.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// The sink failed.
    #[error(transparent)]
    Sink(#[from] crate::sink::SinkError),
    /// A record that the job made is longer than its rings take.
    #[error(
        "a record of {found_bytes} bytes does not fit a ring, which takes {expected_bytes_max} at \
         once; make records smaller or set a larger ring_bytes"
    )]
    TooLarge {
        /// How long it is, its header included.
        found_bytes: usize,
        /// What a ring takes.
        expected_bytes_max: usize,
    },
    /// The consuming shard is gone.
    #[error("shard {shard} stopped taking records")]
    RingClosed {
        /// The shard that is gone.
        shard: u16,
    },
}

/// Keeps a marker that has no room yet. Adjacent watermarks merge, so few ever wait.
pub(super) fn keep_marker(waiting: &mut Vec<Marker>, marker: Marker) {
    match (waiting.last_mut(), marker) {
        (Some(last @ Marker::Watermark { .. }), Marker::Watermark { .. }) => *last = marker,
        _ => waiting.push(marker),
    }
}

//! What exact windows keep for a key besides its events.
//!
//! Byte layout of the head entry (namespace 0), little endian:
//!
//! ```text
//! 0       8      16          24          32     40       48       56            64
//! | first | next | newest    | newest    | next | next   | next   | next add    | N windows ...
//! | event | event| time 8    | order 8   | to   | to add | event  | chunk hint 8|
//! |   8   |  8   |           |           | add 8| time 8 | hint 8 |             |
//!
//! window:  | oldest event 8 | its chunk's hint 8 | its time 8 | its item ... | state ... |
//! ```
//!
//! Events are numbered in log order. A window holds the events `oldest .. next to add`. The copy of
//! the oldest event says whether it leaves and what leaves with it, so a window looks into a chunk
//! once for each event that leaves, for the one behind it.

use crate::record::{Fixed, Layout};
use crate::state::LogOffset;

/// One window of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<I, S> {
    /// The number of the oldest event that it holds.
    pub(super) oldest: u64,
    /// Where its chunk lies.
    pub(super) hint: LogOffset,
    /// Its time; void where the window is empty.
    pub(super) oldest_time: i64,
    /// Its item; likewise.
    pub(super) oldest_item: I,
    /// The aggregate.
    pub(super) state: S,
}

/// A key's cursors and running states.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<I, S, const N: usize> {
    /// The first event that is kept.
    pub(super) first: u64,
    /// The number that the next event gets.
    pub(super) next: u64,
    /// The time and order of the newest record, kept when its event is gone.
    pub(super) newest: (i64, u64),
    /// The first event that is not in the windows yet, for want of the delay.
    pub(super) to_add: u64,
    /// Its time; void where there is none.
    pub(super) to_add_time: i64,
    /// Where the chunk of the next event lies.
    pub(super) next_hint: LogOffset,
    /// Where the chunk of the next event to add lies.
    pub(super) to_add_hint: LogOffset,
    pub(super) windows: [Window<I, S>; N],
}

// Each cuts its bytes to length first, so that the checks of all fields are one.

impl<I: Fixed, S: Fixed> Fixed for Window<I, S> {
    const BYTES: usize = 24 + I::BYTES + S::BYTES;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        let bytes = &bytes[..Self::BYTES];
        let (oldest, hint, oldest_time, oldest_item, state) = Fixed::read(bytes);
        Self { oldest, hint, oldest_time, oldest_item, state }
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        let bytes = &mut bytes[..Self::BYTES];
        (self.oldest, self.hint, self.oldest_time, self.oldest_item, self.state).write(bytes);
    }
    fn layout() -> Layout {
        Layout::fields([
            ("oldest", u64::layout()),
            ("hint", LogOffset::layout()),
            ("oldest_time", Layout::Time),
            ("oldest_item", I::layout()),
            ("state", S::layout()),
        ])
    }
}

impl<I: Fixed, S: Fixed, const N: usize> Fixed for Head<I, S, N> {
    const BYTES: usize = 64 + Window::<I, S>::BYTES * N;
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        let bytes = &bytes[..Self::BYTES];
        let (first, next, newest) = Fixed::read(bytes);
        let (to_add, to_add_time, next_hint, to_add_hint) = Fixed::read(&bytes[32..]);
        let windows = Fixed::read(&bytes[64..]);
        Self { first, next, newest, to_add, to_add_time, next_hint, to_add_hint, windows }
    }
    #[inline(always)]
    fn write(self, bytes: &mut [u8]) {
        let bytes = &mut bytes[..Self::BYTES];
        (self.first, self.next, self.newest).write(bytes);
        let Self { to_add, to_add_time, next_hint, to_add_hint, .. } = self;
        (to_add, to_add_time, next_hint, to_add_hint).write(&mut bytes[32..]);
        self.windows.write(&mut bytes[64..]);
    }
    fn layout() -> Layout {
        Layout::fields([
            ("first", u64::layout()),
            ("next", u64::layout()),
            ("newest_time", Layout::Time),
            ("newest_order", u64::layout()),
            ("to_add", u64::layout()),
            ("to_add_time", Layout::Time),
            ("next_hint", LogOffset::layout()),
            ("to_add_hint", LogOffset::layout()),
            ("windows", <[Window<I, S>; N]>::layout()),
        ])
    }
}

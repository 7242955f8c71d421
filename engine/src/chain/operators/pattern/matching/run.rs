//! Step 6, chain: the partial matches of a key, as they lie in the state log.
//!
//! Takes what the automaton decides; hands on runs, one for each partial match.
//!
//! Byte layout of a key's head (namespace 0) and of each run in it:
//!
//! ```text
//! head: | armed 8 | next event 8 | newest 8 | kept 4 | kept then 4 | runs 4 | room for runs ...
//! run:  | state 4 | taken 4 | open 8 | first event 8 | start 8 | last 8 | deadline 8 |
//!       | tip's event 8 | tip's place 4 | fold's state |
//! ```
//!
//! Invariants
//! 1. Runs stand in the order of their first events, those of one event in the order in which they
//!    were made: so what a skip strategy or a budget lets go is at one end.
//! 2. A head has at least one run, and goes with the last one; so do all events of its key.
//! 3. Room for runs is a power of two, so a head is made anew once for every doubling.
//!
//! Why in one entry: each event is shown to every run of its key anyway, and one look-up finds them
//! all; keys without a partial match have no entry.

use super::super::compile::{EMITTED_BIT, END_BIT, FRESH_BIT, State};
use crate::record::{EventTime, Fixed, Layout};
use crate::state::{EntryKey, LogOffset, Store};

/// An event in its place behind another: number of the event, and which of its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tip {
    pub(super) number: u64,
    pub(super) place: u32,
}

impl Tip {
    /// Before the first event.
    pub(super) const NONE: Self = Self { number: u64::MAX, place: 0 };
}

/// One partial match.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<S> {
    pub(super) state: u32,
    /// How many events it has taken.
    pub(super) taken: u32,
    /// The bits of the waits that are open still; see [`State::entered`].
    pub(super) open: u64,
    /// The number of its first event.
    pub(super) first: u64,
    pub(super) start: EventTime,
    pub(super) last: EventTime,
    /// The first moment that is too late; [`EventTime::MAX`] where there is none.
    pub(super) deadline: EventTime,
    pub(super) tip: Tip,
    pub(super) folded: S,
}

const FOLDED_AT: usize = 60;

impl<S: Fixed> Fixed for Run<S> {
    const BYTES: usize = FOLDED_AT + S::BYTES;

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self {
            state: u32::read(bytes),
            taken: u32::read(&bytes[4..]),
            open: u64::read(&bytes[8..]),
            first: u64::read(&bytes[16..]),
            start: EventTime::read(&bytes[24..]),
            last: EventTime::read(&bytes[32..]),
            deadline: EventTime::read(&bytes[40..]),
            tip: Tip { number: u64::read(&bytes[48..]), place: u32::read(&bytes[56..]) },
            folded: S::read(&bytes[FOLDED_AT..]),
        }
    }

    #[inline]
    fn write(self, bytes: &mut [u8]) {
        self.state.write(bytes);
        self.taken.write(&mut bytes[4..]);
        self.open.write(&mut bytes[8..]);
        self.first.write(&mut bytes[16..]);
        self.start.write(&mut bytes[24..]);
        self.last.write(&mut bytes[32..]);
        self.deadline.write(&mut bytes[40..]);
        self.tip.number.write(&mut bytes[48..]);
        self.tip.place.write(&mut bytes[56..]);
        self.folded.write(&mut bytes[FOLDED_AT..]);
    }

    fn layout() -> Layout {
        let number = <u64 as Fixed>::layout;
        let small = <u32 as Fixed>::layout;
        Layout::fields([
            ("state", small()),
            ("taken", small()),
            ("open", number()),
            ("first", number()),
            ("start", EventTime::layout()),
            ("last", EventTime::layout()),
            ("deadline", EventTime::layout()),
            ("tip", number()),
            ("place", small()),
            ("folded", S::layout()),
        ])
    }
}

impl<S: Copy> Run<S> {
    /// Whether time alone completes it.
    pub(super) fn awaits_end(&self) -> bool {
        self.open >> END_BIT & 1 == 1
    }

    /// When it wants to be looked at, where it does; [`EventTime::MAX`] is the end of the input.
    pub(super) fn alarm(&self) -> Option<EventTime> {
        (self.deadline < EventTime::MAX || self.awaits_end()).then_some(self.deadline)
    }

    /// Whether an event may be taken yet, or the end may come.
    pub(super) fn is_open(&self) -> bool {
        self.open & !(1 << FRESH_BIT | 1 << EMITTED_BIT) != 0
    }

    /// Whether it was emitted already, and only waits to grow.
    pub(super) fn was_emitted(&self, states: &[State]) -> bool {
        states[self.state as usize].accepts || self.open >> EMITTED_BIT & 1 == 1
    }
}

/// What is known of a key beside its runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// The time of its place in the heap of timers; [`EventTime::MIN`] where it has none.
    pub(super) armed: EventTime,
    /// The number of the next event that is kept.
    pub(super) next_event: u64,
    /// The number of the newest event that is kept, and one; 0 where there is none.
    pub(super) newest: u64,
    /// How many events are kept, and how many were when the last unneeded ones went.
    pub(super) kept: u32,
    pub(super) kept_then: u32,
    run_count: u32,
}

const RUNS_AT: usize = 36;

impl Default for Head {
    fn default() -> Self {
        let armed = EventTime::MIN;
        Self { armed, next_event: 0, newest: 0, kept: 0, kept_then: 0, run_count: 0 }
    }
}

impl Fixed for Head {
    const BYTES: usize = RUNS_AT;

    #[inline]
    fn read(bytes: &[u8]) -> Self {
        Self {
            armed: EventTime::read(bytes),
            next_event: u64::read(&bytes[8..]),
            newest: u64::read(&bytes[16..]),
            kept: u32::read(&bytes[24..]),
            kept_then: u32::read(&bytes[28..]),
            run_count: u32::read(&bytes[32..]),
        }
    }

    #[inline]
    fn write(self, bytes: &mut [u8]) {
        self.armed.write(bytes);
        self.next_event.write(&mut bytes[8..]);
        self.newest.write(&mut bytes[16..]);
        self.kept.write(&mut bytes[24..]);
        self.kept_then.write(&mut bytes[28..]);
        self.run_count.write(&mut bytes[32..]);
    }

    fn layout() -> Layout {
        unreachable!("a head stands before its runs: see `layout`")
    }
}

/// The layout of a head with its runs.
pub(super) fn layout<S: Fixed>() -> Layout {
    let number = <u64 as Fixed>::layout;
    let small = <u32 as Fixed>::layout;
    Layout::fields([
        ("armed", EventTime::layout()),
        ("next_event", number()),
        ("newest", number()),
        ("kept", small()),
        ("kept_then", small()),
        ("run_count", small()),
        ("runs", Layout::Repeated(Box::new(Run::<S>::layout()))),
    ])
}

impl Head {
    /// Reads a head, and its runs into `runs`.
    #[inline]
    pub(super) fn load<S: Fixed>(value: &[u8], runs: &mut Vec<Run<S>>) -> Self {
        let head = Self::read(value);
        let bytes = value[RUNS_AT..].chunks_exact(Run::<S>::BYTES);
        runs.extend(bytes.take(head.run_count as usize).map(Run::read));
        head
    }

    /// Writes a head and its runs, of which there is at least one; `at` is where the head lies.
    pub(super) fn store<S: Fixed>(
        mut self,
        state: &mut Store,
        key: &EntryKey<'_>,
        at: Option<LogOffset>,
        runs: &[Run<S>],
    ) {
        self.run_count = u32::try_from(runs.len()).expect("a budget is below 2^32");
        let room = runs.len().next_power_of_two();
        let value_bytes = RUNS_AT + room * Run::<S>::BYTES;
        let fits = |offset: &LogOffset| {
            let found = state.value(*offset).len();
            found == value_bytes || found == RUNS_AT + 2 * room * Run::<S>::BYTES
        };
        let offset = match at.filter(fits) {
            Some(offset) => state.writable(offset),
            None => {
                if let Some(offset) = at {
                    state.delete_at(offset);
                }
                state.insert(key, value_bytes)
            }
        };
        state.set(offset, 0, self);
        for (index, run) in runs.iter().enumerate() {
            state.set(offset, RUNS_AT + index * Run::<S>::BYTES, *run);
        }
    }
}

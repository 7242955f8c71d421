//! Windows with a state of their own: sessions, global windows, and all that fire when a trigger
//! says so.
//!
//! Takes records; hands on a row for each firing, and to the side what came after the allowed
//! lateness. All windows of a key stand in one entry (`cells.rs`).
//!
//! ```text
//!   record --> its windows --> contents --> trigger --> rows --+--> out
//!   time   --> windows that are due ------> trigger --> rows --+
//! ```
//!
//! Invariants
//! 1. A window's life: open until the watermark reaches its last microsecond; then it takes late
//!    records for the allowed lateness; then it is gone, and so is all that it kept.
//! 2. A record is late, and goes to the side, if each window that it belongs to is gone. For a
//!    session that is the session which it would join, merged.
//! 3. Each entry's `due` stands in the heap with the key's hash, likewise its `wall due`. Both may be
//!    earlier than what they stand for (a session that grew), never later. Two keys may share an
//!    item; one without an entry that is due means nothing. What is due only at the end of the input
//!    stands in no heap until that has come: then one walk over the entries puts it there.
//! 4. What happens by time goes in the order (time, key's hash), whatever came in one watermark.
//! 5. Rows wait here only between an input and the next: no marker passes before they have left.
//!    They are all of one key.
//!
//! Why a window that was late from the start fires at once: its end has passed, so nothing else
//! would ever make it fire.
//!
//! Why a session is [first, last + gap) and one that comes exactly `gap` later begins the next:
//! where the watermark closes the first just then, it has to be two, and what a job says must not
//! depend on the watermark's steps. (Flink's `TimeWindow.intersects` joins the two if the first has
//! not been closed by then.)
//!
//! Why the end of the input is nothing to wait for in the heap: a window by count opens and goes
//! with every few records, and each opening would leave an item that nothing takes out before the
//! end, which may never come.
//!
//! Why earlier rows of sessions that merge, and of global windows that grow, are taken back at once and not with the next firing: from
//! that record on they are known to be wrong, and nothing has to be kept of them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::marker::PhantomData;

use super::super::output::Timing;
use super::super::spec::{Assigner, Rules, Window};
use super::cells::{CHANGED, Cell, Cells, ENDED, HAS_ROW};
use super::contents::{Contents, Place};
use super::trigger::{Trigger, WindowStatus};
use crate::chain::operators::fold::{Fold, Merge};
use crate::record::{EventTime, FrameHeader, KeyHash, Record, RowKind};
use crate::state::OperatorId;

/// A row that waits to leave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<S> {
    pub(super) header: FrameHeader,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) timing: Timing,
    pub(super) length_index: u16,
    pub(super) value: S,
}

pub(super) type CellOf<C, T, V> =
    Cell<<C as Contents<V>>::State, <T as Trigger>::State, <V as Fold>::State>;
pub(super) type CellsOf<C, T, V> =
    Cells<<C as Contents<V>>::State, <T as Trigger>::State, <V as Fold>::State>;

/// Windows of any kind, with a trigger. `C` says how they keep their records, `F` reads the fold's
/// input from one.
pub struct TriggeredWindows<K, I, V, T, C, F>
where
    V: Merge,
    T: Trigger,
    C: Contents<V>,
{
    pub(super) operator: OperatorId,
    pub(super) window: Window,
    pub(super) assigner: Assigner,
    pub(super) is_global: bool,
    pub(super) rules: Rules,
    pub(super) trigger: T,
    pub(super) contents: C,
    pub(super) read: F,
    pub(super) watermark: EventTime,
    pub(super) wall_micros: i64,
    pub(super) timers: BinaryHeap<Reverse<(i64, KeyHash)>>,
    pub(super) wall_timers: BinaryHeap<Reverse<(i64, KeyHash)>>,
    pub(super) windows: CellsOf<C, T, V>,
    pub(super) rows: VecDeque<Row<V::State>>,
    /// The key of the rows that wait, and of the windows that are worked on.
    pub(super) key: Vec<u8>,
    /// The windows of the record that is put into them.
    pub(super) bounds: Vec<Bounds>,
    pub(super) late_count: u64,
    kinds: PhantomData<fn() -> (K, I)>,
}

impl<K, I, V, T, C, F> fmt::Debug for TriggeredWindows<K, I, V, T, C, F>
where
    V: Merge,
    T: Trigger,
    C: Contents<V>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operator, window, watermark, .. } = self;
        write!(f, "TriggeredWindows({operator:?}, {window:?}, {watermark:?})")
    }
}

/// A window's start, end, and which of the lengths it is of.
pub(super) type Bounds = (i64, i64, u16);

/// What happens to a window by event time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    /// Its trigger's timer.
    Timer,
    /// It ends.
    End,
    /// It goes.
    Expiry,
}

/// What makes a window fire: a record, or the time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cause<'h> {
    Record(&'h FrameHeader),
    Time(KeyHash),
}

impl<K, I, V, T, C, F> TriggeredWindows<K, I, V, T, C, F>
where
    I: Record,
    V: Merge,
    T: Trigger,
    C: Contents<V>,
    F: for<'a> Fn(I::View<'a>) -> V::Input,
{
    /// Windows over what `read` makes of each record.
    ///
    /// The windows and rules must be without a problem: see [`Window`].
    pub fn new(
        operator: OperatorId,
        window: &Window,
        rules: Rules,
        trigger: T,
        contents: C,
        read: F,
    ) -> Self {
        assert_eq!(window.problem().or_else(|| rules.problem()), None, "the job was validated");
        Self {
            operator,
            window: window.clone(),
            assigner: window.assigner(),
            is_global: !window.needs_event_time(),
            rules,
            trigger,
            contents,
            read,
            watermark: EventTime::MIN,
            wall_micros: 0,
            timers: BinaryHeap::new(),
            wall_timers: BinaryHeap::new(),
            windows: Cells::new(),
            rows: VecDeque::new(),
            key: Vec::new(),
            bounds: Vec::new(),
            late_count: 0,
            kinds: PhantomData,
        }
    }

    /// How many items stand in the heaps of what is due by event time and by the wall clock: for
    /// tests.
    #[must_use]
    pub fn timer_count(&self) -> usize {
        self.timers.len() + self.wall_timers.len()
    }

    /// When a window that ends at `end` has ended.
    pub(super) fn last_of(&self, end: i64) -> i64 {
        if self.is_global { i64::MAX } else { end.saturating_sub(1) }
    }

    /// When a window that ends at `end` is gone.
    pub(super) fn expiry_of(&self, end: i64) -> i64 {
        self.last_of(end).saturating_add(self.rules.lateness.0)
    }

    fn has_ended(&self, end: i64) -> bool {
        self.watermark != EventTime::MIN && self.last_of(end) <= self.watermark.0
    }

    fn is_gone(&self, end: i64) -> bool {
        self.watermark != EventTime::MIN && self.expiry_of(end) <= self.watermark.0
    }

    /// Puts a record into its windows; answers whether it came too late for all of them.
    #[inline(always)]
    pub(super) fn record(
        &mut self,
        place: &mut Place<'_, '_>,
        header: &FrameHeader,
        input: V::Input,
    ) -> bool {
        let at = place.store.find(&place.key);
        self.windows.load(place.store, at);
        let time = header.event_time.0;
        let (mut found, mut taken) = (0, 0);
        match &self.assigner {
            Assigner::Session { gap } => {
                let end = time.saturating_add(*gap);
                found = 1;
                taken = usize::from(self.join(place, (time, end), header, input));
            }
            Assigner::Global => {
                let bounds = match self.windows.cells.first() {
                    Some(cell) => (cell.start.min(time), cell.end.max(time.saturating_add(1)), 0),
                    None => (time, time.saturating_add(1), 0),
                };
                self.widen(bounds, header);
                (found, taken) = (1, 1);
                self.enter(place, bounds, header, input);
            }
            assigner => {
                let mut bounds = std::mem::take(&mut self.bounds);
                bounds.clear();
                assigner.each(time, |start, end, length_index| {
                    bounds.push((start, end, length_index));
                });
                for bounds in &bounds {
                    found += 1;
                    if !self.is_gone(bounds.1) {
                        taken += 1;
                        self.enter(place, *bounds, header, input);
                    }
                }
                self.bounds = bounds;
            }
        }
        if taken > 0 {
            self.save(place, header.key_hash);
        }
        found > 0 && taken == 0
    }

    /// Puts a record into one window, which is made where there is none.
    fn enter(
        &mut self,
        place: &mut Place<'_, '_>,
        (start, end, length_index): Bounds,
        header: &FrameHeader,
        input: V::Input,
    ) {
        let index = match self.windows.place_of(start, end, length_index) {
            Ok(index) => index,
            Err(index) => {
                self.open(index, (start, end, length_index));
                index
            }
        };
        self.add(place, index, header, input);
    }

    fn open(&mut self, index: usize, (start, end, length_index): Bounds) {
        let cell = Cell {
            start,
            end,
            record_count: 0,
            row_count: 0,
            length_index,
            flags: if self.has_ended(end) { ENDED } else { 0 },
            contents: self.contents.start(&mut self.windows.head.list_next),
            trigger: self.trigger.start(),
            row: V::start(),
        };
        self.windows.insert(index, cell);
    }

    /// Puts a record into its session, which may join several; answers whether it was in time.
    fn join(
        &mut self,
        place: &mut Place<'_, '_>,
        (mut start, mut end): (i64, i64),
        header: &FrameHeader,
        input: V::Input,
    ) -> bool {
        // No time is past the last one, so an end there is inclusive. Sessions are apart, so those that the record's own one meets stand next to each other.
        let cells = &self.windows.cells;
        let first = cells
            .iter()
            .position(|cell| cell.end > start || cell.end == i64::MAX)
            .unwrap_or(cells.len());
        let met =
            cells[first..].iter().take_while(|cell| cell.start < end || end == i64::MAX).count();
        for cell in &cells[first..first + met] {
            (start, end) = (start.min(cell.start), end.max(cell.end));
        }
        if self.is_gone(end) {
            return false;
        }
        if met == 0 {
            self.open(first, (start, end, 0));
        } else {
            self.merge(place, first, met, (start, end), header);
        }
        self.add(place, first, header, input);
        true
    }

    /// Gives the global window, where there is one, its new bounds.
    fn widen(&mut self, (start, end, _): Bounds, header: &FrameHeader) {
        if !self.windows.cells.is_empty() {
            self.outgrow(0, (start, end), header);
            let cell = &mut self.windows.cells[0];
            (cell.start, cell.end) = (start, end);
        }
    }

    /// Takes back the row of a window that gets other bounds: it is known by the old ones.
    fn outgrow(&mut self, index: usize, bounds: (i64, i64), header: &FrameHeader) {
        let cell = &self.windows.cells[index];
        if (cell.start, cell.end) != bounds {
            let timing = if cell.has(ENDED) { Timing::Late } else { Timing::Early };
            self.take_back(index, RowKind::Delete, timing, Cause::Record(header));
            self.windows.cells[index].set(HAS_ROW, false);
        }
    }

    /// Makes one session of `met` sessions that stand next to each other.
    fn merge(
        &mut self,
        place: &mut Place<'_, '_>,
        first: usize,
        met: usize,
        (start, end): (i64, i64),
        header: &FrameHeader,
    ) {
        for index in first..first + met {
            self.outgrow(index, (start, end), header);
        }
        for _ in 1..met {
            let later = self.windows.remove(first + 1);
            let cell = &mut self.windows.cells[first];
            self.contents.merge(place, &mut cell.contents, later.contents);
            cell.trigger = self.trigger.merge(cell.trigger, later.trigger);
            cell.record_count += later.record_count;
            cell.row_count += later.row_count;
            cell.set(CHANGED, cell.has(CHANGED) || later.has(CHANGED));
            // The one that has the merged bounds already keeps its row.
            if later.has(HAS_ROW) {
                (cell.row, cell.flags) = (later.row, cell.flags | HAS_ROW);
            }
        }
        let has_ended = self.has_ended(end);
        let cell = &mut self.windows.cells[first];
        (cell.start, cell.end) = (start, end);
        cell.set(ENDED, has_ended);
    }

    /// Adds a record to a window, and asks the trigger.
    #[inline(always)]
    fn add(
        &mut self,
        place: &mut Place<'_, '_>,
        index: usize,
        header: &FrameHeader,
        input: V::Input,
    ) {
        let (watermark, wall_micros) = (self.watermark, self.wall_micros);
        let time = header.event_time;
        self.windows.touch(index);
        let cell = &mut self.windows.cells[index];
        self.contents.add(place, &mut cell.contents, time.0, input);
        cell.record_count += 1;
        cell.set(CHANGED, true);
        let status = status_of(cell, watermark, wall_micros);
        let (fire, timing) = if cell.has(ENDED) {
            (self.trigger.on_late(&mut cell.trigger, &status, time), Timing::Late)
        } else {
            (self.trigger.on_record(&mut cell.trigger, &status, time), Timing::Early)
        };
        self.fire(place, index, fire, timing, Cause::Record(header));
    }
}

pub(super) fn status_of<C, T, S>(
    cell: &Cell<C, T, S>,
    watermark: EventTime,
    wall_micros: i64,
) -> WindowStatus {
    WindowStatus {
        start: EventTime(cell.start),
        end: EventTime(cell.end),
        record_count: cell.record_count,
        watermark,
        wall_micros,
    }
}

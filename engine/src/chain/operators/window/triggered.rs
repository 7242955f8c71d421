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
//!    item; one without an entry that is due means nothing.
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
//! Why earlier rows of sessions that merge are taken back at once and not with the next firing: from
//! that record on they are known to be wrong, and nothing has to be kept of them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::marker::PhantomData;

use super::cells::{CHANGED, Cell, Cells, DUE_AT, ENDED, HAS_ROW, WALL_DUE_AT};
use super::contents::{Contents, Place};
use super::output::{Timing, WindowOutput, WindowView};
use super::spec::{Assigner, Mode, Rules, Window, listed};
use super::trigger::{Fire, Trigger, WindowStatus};
use crate::chain::operators::fold::{Fold, Merge};
use crate::chain::{Due, KeyedOperator, OperatorState, StateLayout};
use crate::record::{
    EventTime, FrameHeader, Item, Key, KeyHash, Record, RowKind, Sided, SidedView,
};
use crate::state::{EntryKey, LogOffset, OperatorId, Store};

/// A row that waits to leave.
#[derive(Debug, Clone, Copy)]
struct Row<S> {
    header: FrameHeader,
    start: i64,
    end: i64,
    timing: Timing,
    length_index: u16,
    value: S,
}

type CellOf<C, T, V> = Cell<<C as Contents<V>>::State, <T as Trigger>::State, <V as Fold>::State>;
type CellsOf<C, T, V> = Cells<<C as Contents<V>>::State, <T as Trigger>::State, <V as Fold>::State>;

/// Windows of any kind, with a trigger. `C` says how they keep their records, `F` reads the fold's
/// input from one.
pub struct TriggeredWindows<K, I, V, T, C, F>
where
    V: Merge,
    T: Trigger,
    C: Contents<V>,
{
    operator: OperatorId,
    window: Window,
    assigner: Assigner,
    is_global: bool,
    rules: Rules,
    trigger: T,
    contents: C,
    read: F,
    watermark: EventTime,
    wall_micros: i64,
    timers: BinaryHeap<Reverse<(i64, KeyHash)>>,
    wall_timers: BinaryHeap<Reverse<(i64, KeyHash)>>,
    windows: CellsOf<C, T, V>,
    rows: VecDeque<Row<V::State>>,
    /// The key of the rows that wait, and of the windows that are worked on.
    key: Vec<u8>,
    /// The windows of the record that is put into them.
    bounds: Vec<Bounds>,
    late_count: u64,
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
type Bounds = (i64, i64, u16);

/// What happens to a window by event time.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// Its trigger's timer.
    Timer,
    /// It ends.
    End,
    /// It goes.
    Expiry,
}

/// What makes a window fire: a record, or the time.
#[derive(Debug, Clone, Copy)]
enum Cause<'h> {
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

    /// When a window that ends at `end` has ended.
    fn last_of(&self, end: i64) -> i64 {
        if self.is_global { i64::MAX } else { end.saturating_sub(1) }
    }

    /// When a window that ends at `end` is gone.
    fn expiry_of(&self, end: i64) -> i64 {
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
    fn record(&mut self, place: &mut Place<'_, '_>, header: &FrameHeader, input: V::Input) -> bool {
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
                if let Some(cell) = self.windows.cells.first_mut() {
                    (cell.start, cell.end) = (bounds.0, bounds.1);
                }
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
        // Sessions are apart, so those that the record's own one meets stand next to each other.
        let cells = &self.windows.cells;
        let first = cells.iter().position(|cell| cell.end > start).unwrap_or(cells.len());
        let met = cells[first..].iter().take_while(|cell| cell.start < end).count();
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
            let cell = &self.windows.cells[index];
            if (cell.start, cell.end) != (start, end) {
                let timing = if cell.has(ENDED) { Timing::Late } else { Timing::Early };
                self.take_back(index, RowKind::Delete, timing, Cause::Record(header));
                self.windows.cells[index].set(HAS_ROW, false);
            }
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

    /// Does to a window what the trigger has decided.
    #[inline(always)]
    fn fire(
        &mut self,
        place: &mut Place<'_, '_>,
        index: usize,
        fire: Fire,
        timing: Timing,
        cause: Cause<'_>,
    ) {
        match fire {
            Fire::Wait => return,
            Fire::Emit => self.emit(place, index, timing, cause),
            Fire::EmitAndPurge => {
                self.emit(place, index, timing, cause);
                self.purge(place, index);
            }
            Fire::Purge => self.purge(place, index),
        }
        self.windows.touch(index);
    }

    /// Forgets what a window holds. Its next row is a new one.
    fn purge(&mut self, place: &mut Place<'_, '_>, index: usize) {
        let cell = &mut self.windows.cells[index];
        self.contents.clear(place, &mut cell.contents);
        cell.record_count = 0;
        cell.flags &= ENDED;
    }

    fn emit(&mut self, place: &mut Place<'_, '_>, index: usize, timing: Timing, cause: Cause<'_>) {
        let cell = &mut self.windows.cells[index];
        // What was purged, or has all been said, is no row of its own.
        let is_empty = cell.record_count == 0;
        if is_empty || (self.rules.mode == Mode::Discarding && !cell.has(CHANGED)) {
            return;
        }
        let value = self.contents.value(place, &mut cell.contents);
        let kind = match self.rules.mode {
            Mode::Discarding => {
                self.contents.clear(place, &mut cell.contents);
                RowKind::Insert
            }
            Mode::Accumulating | Mode::Retracting if cell.has(HAS_ROW) => RowKind::UpdateAfter,
            Mode::Accumulating | Mode::Retracting => RowKind::Insert,
        };
        self.take_back(index, RowKind::UpdateBefore, timing, cause);
        let cell = &mut self.windows.cells[index];
        cell.row = value;
        cell.set(HAS_ROW, true);
        cell.set(CHANGED, false);
        self.push_row(index, kind, timing, value, cause);
    }

    /// Takes back the row that stands, where rows are taken back and there is one.
    fn take_back(&mut self, index: usize, kind: RowKind, timing: Timing, cause: Cause<'_>) {
        let cell = &self.windows.cells[index];
        if self.rules.mode == Mode::Retracting && cell.has(HAS_ROW) {
            let row = cell.row;
            self.push_row(index, kind, timing, row, cause);
        }
    }

    fn push_row(
        &mut self,
        index: usize,
        kind: RowKind,
        timing: Timing,
        value: V::State,
        cause: Cause<'_>,
    ) {
        let cell = &mut self.windows.cells[index];
        let last = EventTime(cell.end.saturating_sub(1));
        // Each row has a position and an ordinal that no other one has.
        let header = match cause {
            Cause::Record(header) => {
                let number = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
                FrameHeader { event_time: last, ordinal: header.ordinal_of(number), ..*header }
            }
            Cause::Time(hash) => {
                let header = FrameHeader::at_time(hash, last);
                let number = cell.row_count << 10 | u32::from(cell.length_index) & 0x3ff;
                FrameHeader { ordinal: header.ordinal_of(number), ..header }
            }
        };
        cell.row_count = cell.row_count.wrapping_add(1);
        let (start, end, length_index) = (cell.start, cell.end, cell.length_index);
        let header = FrameHeader { kind, ..header };
        self.rows.push_back(Row { header, start, end, timing, length_index, value });
    }

    /// What happens to a window next by event time, and when.
    fn next_of(&self, cell: &CellOf<C, T, V>) -> (i64, Next) {
        if cell.has(ENDED) {
            return (self.expiry_of(cell.end), Next::Expiry);
        }
        let last = self.last_of(cell.end);
        match self.trigger.event_timer(&cell.trigger) {
            Some(timer) if timer.0 < last => (timer.0, Next::Timer),
            _ => (last, Next::End),
        }
    }

    /// Lets everything happen to the loaded windows that is due at or before `until`.
    fn pass(&mut self, place: &mut Place<'_, '_>, until: i64) {
        let cause = Cause::Time(place.key.hash);
        let mut index = 0;
        while index < self.windows.cells.len() {
            let (at, next) = self.next_of(&self.windows.cells[index]);
            if at > until {
                index += 1;
                continue;
            }
            self.windows.touch(index);
            let cell = &mut self.windows.cells[index];
            let status = status_of(cell, self.watermark, self.wall_micros);
            match next {
                Next::Timer => {
                    let fire = self.trigger.on_event_timer(&mut cell.trigger, &status);
                    let again = self.trigger.event_timer(&cell.trigger);
                    assert!(again.is_none_or(|again| again.0 > at), "a trigger's timer moves on");
                    self.fire(place, index, fire, Timing::Early, cause);
                }
                Next::End => {
                    cell.set(ENDED, true);
                    let fire = self.trigger.on_end(&mut cell.trigger, &status);
                    self.fire(place, index, fire, Timing::OnTime, cause);
                }
                Next::Expiry => {
                    let fire = self.trigger.on_expiry(&mut cell.trigger, &status);
                    self.fire(place, index, fire, Timing::OnTime, cause);
                    let mut cell = self.windows.remove(index);
                    self.contents.clear(place, &mut cell.contents);
                }
            }
        }
    }

    /// The same by the wall clock.
    fn pass_wall(&mut self, place: &mut Place<'_, '_>) {
        for index in 0..self.windows.cells.len() {
            let cell = &mut self.windows.cells[index];
            let timer = self.trigger.wall_timer(&cell.trigger).filter(|_| !cell.has(ENDED));
            if timer.is_none_or(|at| at > self.wall_micros) {
                continue;
            }
            self.windows.touch(index);
            let cell = &mut self.windows.cells[index];
            let status = status_of(cell, self.watermark, self.wall_micros);
            let fire = self.trigger.on_wall_timer(&mut cell.trigger, &status);
            self.fire(place, index, fire, Timing::Early, Cause::Time(place.key.hash));
        }
    }

    /// Writes the loaded windows back, and sees to it that they are looked at in time.
    #[inline(always)]
    fn save(&mut self, place: &mut Place<'_, '_>, hash: KeyHash) {
        if self.is_global {
            self.drop_purged();
        }
        let (mut due, mut wall_due) = (i64::MAX, i64::MAX);
        for cell in &self.windows.cells {
            due = due.min(self.next_of(cell).0);
            if let Some(at) = self.trigger.wall_timer(&cell.trigger).filter(|_| !cell.has(ENDED)) {
                wall_due = wall_due.min(at);
            }
        }
        let is_unscheduled = self.windows.is_unscheduled && !self.windows.cells.is_empty();
        let head = &mut self.windows.head;
        if due < head.due || is_unscheduled {
            head.due = due;
            self.timers.push(Reverse((due, hash)));
        }
        if wall_due < head.wall_due {
            head.wall_due = wall_due;
            self.wall_timers.push(Reverse((wall_due, hash)));
        }
        self.windows.save(place.store, &place.key);
    }

    /// A global window that holds nothing is as good as none.
    fn drop_purged(&mut self) {
        if self.windows.cells.first().is_some_and(|cell| cell.record_count == 0) {
            self.windows.remove(0);
        }
    }

    /// Works on the windows of the entry at `offset`.
    fn work(
        &mut self,
        store: &mut Store,
        offset: LogOffset,
        work: impl FnOnce(&mut Self, &mut Place<'_, '_>),
    ) {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.extend_from_slice(store.key(offset));
        let hash = store.hash(offset);
        let entry = EntryKey { operator: self.operator, hash, key: &key, namespace: 0 };
        self.windows.load(store, Some(offset));
        let mut place = Place { store, key: entry };
        work(self, &mut place);
        self.save(&mut place, hash);
        self.key = key;
    }

    /// Lets the earliest thing happen that is due; answers whether there was one.
    fn pass_next(&mut self, store: &mut Store) -> bool {
        let Some(&Reverse((at, hash))) = self.timers.peek() else {
            return false;
        };
        if at > self.watermark.0 {
            return false;
        }
        let due = |offset: &LogOffset| store.field::<i64>(*offset, DUE_AT) <= at;
        let Some(offset) = store.candidates(self.operator, hash, 0).find(due) else {
            self.timers.pop();
            return true;
        };
        self.work(store, offset, |windows, place| {
            windows.pass(place, at);
            // It is set anew, to when something is due really.
            windows.windows.head.due = i64::MAX;
            windows.windows.is_unscheduled = true;
        });
        true
    }

    /// The same by the wall clock.
    fn pass_next_wall(&mut self, store: &mut Store) -> bool {
        let Some(&Reverse((at, hash))) = self.wall_timers.peek() else {
            return false;
        };
        if at > self.wall_micros {
            return false;
        }
        let due = |offset: &LogOffset| store.field::<i64>(*offset, WALL_DUE_AT) <= at;
        let Some(offset) = store.candidates(self.operator, hash, 0).find(due) else {
            self.wall_timers.pop();
            return true;
        };
        self.work(store, offset, |windows, place| {
            windows.pass_wall(place);
            windows.windows.head.wall_due = i64::MAX;
        });
        true
    }
}

fn status_of<C, T, S>(
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

impl<K, I, V, T, C, F> KeyedOperator for TriggeredWindows<K, I, V, T, C, F>
where
    K: Key,
    I: Record,
    V: Merge,
    T: Trigger,
    C: Contents<V>,
    F: for<'a> Fn(I::View<'a>) -> V::Input + Send + 'static,
{
    type Key = K;
    type In = I;
    type Out = Sided<WindowOutput<K, V::Output>, I>;
    /// The record came too late.
    type Emission = ();

    const HAS_DUE: bool = true;

    fn touch(&self, state: &Store, hashes: &[KeyHash]) {
        state.touch(self.operator, hashes);
    }

    fn dropped_count(&self) -> u64 {
        self.late_count
    }

    fn states(&self) -> Vec<OperatorState> {
        let parts = [
            self.window.identity(),
            self.rules.identity(),
            self.trigger.identity(),
            self.contents.identity(),
        ];
        let windows = CellOf::<C, T, V>::entry_layout(C::layout());
        let windows = StateLayout::new("windows", 0..=0, windows);
        vec![OperatorState {
            id: self.operator,
            kind: "triggered_windows",
            identity: listed(&parts),
            key: K::layout(),
            values: std::iter::once(windows).chain(C::more_states()).collect(),
        }]
    }

    /// Makes the heaps anew from the store.
    fn rebuild(&mut self, state: &Store, watermark: EventTime) {
        self.watermark = watermark;
        (self.timers.clear(), self.wall_timers.clear());
        for offset in state.iter_operator(self.operator) {
            if state.namespace(offset) != 0 {
                continue;
            }
            let hash = state.hash(offset);
            self.timers.push(Reverse((state.field(offset, DUE_AT), hash)));
            let wall_due: i64 = state.field(offset, WALL_DUE_AT);
            if wall_due != i64::MAX {
                self.wall_timers.push(Reverse((wall_due, hash)));
            }
        }
    }

    fn tick(&mut self, wall_micros: i64) {
        self.wall_micros = wall_micros;
    }

    fn next_wall_micros(&self) -> Option<i64> {
        self.wall_timers.peek().map(|Reverse((at, _))| *at)
    }

    #[inline(always)]
    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        view: I::View<'_>,
    ) -> Option<()> {
        let input = (self.read)(view);
        K::with_bytes(key, |bytes| {
            let (operator, hash) = (self.operator, header.key_hash);
            let key = EntryKey { operator, hash, key: bytes, namespace: 0 };
            let is_late = self.record(&mut Place { store: state, key }, header, input);
            self.late_count += u64::from(is_late);
            if !self.rows.is_empty() {
                self.key.clear();
                self.key.extend_from_slice(bytes);
            }
            is_late.then_some(())
        })
    }

    fn output<'a>(
        &self,
        (): (),
        _: K::View<'a>,
        view: I::View<'a>,
    ) -> <Self::Out as Item>::View<'a> {
        SidedView::Side(view)
    }

    fn advance(&mut self, state: &mut Store, due: Due) -> bool {
        while self.rows.is_empty() {
            self.watermark = self.watermark.max(due.watermark);
            if !self.pass_next_wall(state) && !self.pass_next(state) {
                return false;
            }
        }
        true
    }

    fn due<'s>(&'s self, _: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
        let row = self.rows.front().expect("asked only after `advance` answered `true`");
        let view = WindowView {
            key: K::from_bytes(&self.key),
            start: EventTime(row.start),
            end: EventTime(row.end),
            value: V::output(row.value),
            kind: row.header.kind,
            timing: row.timing,
            length_index: row.length_index,
        };
        (row.header, SidedView::Main(view))
    }

    fn done(&mut self, _: &mut Store) {
        self.rows.pop_front();
    }
}

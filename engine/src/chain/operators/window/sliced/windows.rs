//! Tumbling, hopping and cumulating windows over slices that they share.
//!
//! Takes records; hands on a row for each window when the watermark passes its end, and one for each
//! late record after that; to the side what came after the allowed lateness. A record is folded into
//! one slice (`slices.rs`), however many windows, of however many lengths, hold it; a window merges
//! its slices when it fires.
//!
//! A slice's entry (namespace: the slice's number) is the fold's state, and nothing else.
//!
//! Invariants
//! 1. Each slice has, for each length, its next window that has not ended in the heap, as the
//!    window's end and the key's hash. The heap is a set: equal items count once, and two keys with
//!    one hash share theirs. It holds no offsets, as the log moves entries.
//! 2. A window that has ended has said what it holds: when it ended, or with each late record since.
//!    So it has a row if it has a slice.
//! 3. A slice goes when the last window that holds it is gone: its end, plus the allowed lateness.
//! 4. Rows wait here only between an input and the next. Entries do not move meanwhile, so they may
//!    name theirs by its offset.
//!
//! A record costs one look-up and O(lengths); a firing one look-up for each slice of the window; a
//! late record two firings of each window that holds it. State: an entry for each slice of a key.
//!
//! Why slices and not a state for each window: a record of an hour that moves on by the second is in
//! 3,600 windows. Why they are merged anew for each window: folds have no inverse.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::marker::PhantomData;

use super::super::grid::to_time;
use super::super::output::{Timing, WindowOutput, WindowView};
use super::super::spec::{Mode, Rules, Window, listed};
use super::slices::{Slices, slice_namespace, slice_number};
use crate::chain::operators::fold::Merge;
use crate::chain::{Due, KeyedOperator, OperatorState, StateLayout};
use crate::record::{
    EventTime, Fixed, FrameHeader, Item, Key, KeyHash, Record, RowKind, Sided, SidedView,
};
use crate::state::{EntryKey, LogOffset, OperatorId, Store};

/// The last microsecond of a window, a key's hash, which length it is of, and its end in slices.
type Ending = Reverse<(i128, KeyHash, u16, i128)>;
/// When a slice goes, its key's hash, and its number.
type Expiry = Reverse<(i128, KeyHash, u64)>;

/// A row that waits to leave.
#[derive(Debug, Clone, Copy)]
struct Row<S> {
    header: FrameHeader,
    /// A slice of its key.
    slice: LogOffset,
    start: i128,
    end: i128,
    timing: Timing,
    length_index: u16,
    value: S,
}

/// A window that a late record is in, and what it held before.
#[derive(Debug, Clone, Copy)]
struct LateWindow<S> {
    length_index: u16,
    end: i128,
    before: Option<S>,
}

/// Windows over slices. `F` reads the fold's input from a record.
pub struct SlicedWindows<K, I, V: Merge, F> {
    operator: OperatorId,
    window: Window,
    slices: Slices,
    rules: Rules,
    read: F,
    watermark: EventTime,
    endings: BinaryHeap<Ending>,
    expiries: BinaryHeap<Expiry>,
    rows: VecDeque<Row<V::State>>,
    late_windows: Vec<LateWindow<V::State>>,
    late_count: u64,
    kinds: PhantomData<fn() -> (K, I)>,
}

impl<K, I, V: Merge, F> fmt::Debug for SlicedWindows<K, I, V, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operator, window, watermark, .. } = self;
        write!(f, "SlicedWindows({operator:?}, {window:?}, {watermark:?})")
    }
}

impl<K, I, V, F> SlicedWindows<K, I, V, F>
where
    I: Record,
    V: Merge,
    F: for<'a> Fn(I::View<'a>) -> V::Input,
{
    /// Whether a firing has more slices to look up than the windows should be cut into.
    pub(in super::super) fn has_too_many_slices(&self) -> bool {
        self.slices.are_too_many()
    }

    /// Windows over what `read` makes of each record; `None` for windows that have no slices, as
    /// sessions.
    ///
    /// The windows and rules must be without a problem: see [`Window`].
    pub fn new(operator: OperatorId, window: &Window, rules: Rules, read: F) -> Option<Self> {
        assert_eq!(window.problem().or_else(|| rules.problem()), None, "the job was validated");
        Some(Self {
            operator,
            window: window.clone(),
            slices: Slices::of(window)?,
            rules,
            read,
            watermark: EventTime::MIN,
            endings: BinaryHeap::new(),
            expiries: BinaryHeap::new(),
            rows: VecDeque::new(),
            late_windows: Vec::new(),
            late_count: 0,
            kinds: PhantomData,
        })
    }

    /// When a window that ends at `end` is gone.
    fn expiry_of(&self, end: i128) -> i128 {
        self.slices.last_before(end) + i128::from(self.rules.lateness.0)
    }

    fn is_past(&self, micros: i128) -> bool {
        self.watermark != EventTime::MIN && micros <= i128::from(self.watermark.0)
    }

    /// The end of the last window of any length that holds the slice; none, if it lies in a gap.
    fn last_end_with(&self, slice: i128) -> Option<i128> {
        self.slices.families.iter().filter_map(|family| family.last_end_with(slice)).max()
    }

    /// Sees to it that a slice's windows fire, and that it goes in the end.
    fn schedule(&mut self, hash: KeyHash, slice: i128, namespace: u64) {
        let closed = self.slices.closed_to(self.watermark);
        for (family, length_index) in self.slices.families.iter().zip(0..) {
            let (Some(first), Some(last)) =
                (family.first_end_with(slice), family.last_end_with(slice))
            else {
                continue;
            };
            let end = if first > closed { first } else { family.end_after(closed) };
            if end <= last {
                let at = self.slices.last_before(end);
                self.endings.push(Reverse((at, hash, length_index, end)));
            }
        }
        if let Some(last) = self.last_end_with(slice) {
            self.expiries.push(Reverse((self.expiry_of(last), hash, namespace)));
        }
    }

    /// What a key's window holds, if it has a slice.
    fn merged(
        &self,
        state: &Store,
        key: &EntryKey<'_>,
        length_index: u16,
        end: i128,
    ) -> Option<V::State> {
        let start = self.slices.families[usize::from(length_index)].start_of(end);
        let slices = (start..end).filter_map(|number| {
            let namespace = slice_namespace(number)?;
            state.find(&EntryKey { namespace, ..*key })
        });
        slices.map(|slice| state.field(slice, 0)).reduce(V::merge)
    }

    /// Notes the windows of a late record that have ended and are not gone, before it is added.
    #[cold]
    fn note_late(&mut self, state: &Store, key: &EntryKey<'_>, slice: i128) {
        let closed = self.slices.closed_to(self.watermark);
        for index in 0..self.slices.families.len() {
            let family = self.slices.families[index];
            let (Some(mut end), Some(last)) =
                (family.first_end_with(slice), family.last_end_with(slice))
            else {
                continue;
            };
            while end <= last.min(closed) {
                if !self.is_past(self.expiry_of(end)) {
                    let length_index = u16::try_from(index).expect("there are few lengths");
                    let before = self.merged(state, key, length_index, end);
                    self.late_windows.push(LateWindow { length_index, end, before });
                }
                end = family.end_after(end);
            }
        }
    }

    /// Fires the windows that were noted, now that the record was added.
    #[cold]
    fn fire_late(
        &mut self,
        state: &Store,
        offset: LogOffset,
        header: &FrameHeader,
        input: V::Input,
    ) {
        let key = state.entry_key(offset);
        let windows = std::mem::take(&mut self.late_windows);
        for LateWindow { length_index, end, before } in &windows {
            let (length_index, end) = (*length_index, *end);
            let (kind, value) = if self.rules.mode == Mode::Discarding {
                (RowKind::Insert, V::add(V::start(), input))
            } else {
                let merged = self.merged(state, &key, length_index, end);
                let value = merged.expect("the record's own slice is there");
                let kind = if before.is_some() { RowKind::UpdateAfter } else { RowKind::Insert };
                (kind, value)
            };
            if let (Mode::Retracting, Some(before)) = (self.rules.mode, *before) {
                self.push_late(header, offset, RowKind::UpdateBefore, (length_index, end), before);
            }
            self.push_late(header, offset, kind, (length_index, end), value);
        }
        self.late_windows = windows;
        self.late_windows.clear();
    }

    fn push_late(
        &mut self,
        header: &FrameHeader,
        slice: LogOffset,
        kind: RowKind,
        (length_index, end): (u16, i128),
        value: V::State,
    ) {
        let number = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let event_time = EventTime(to_time(self.slices.last_before(end)));
        let header =
            FrameHeader { kind, event_time, ordinal: header.ordinal_of(number), ..*header };
        let start = self.slices.families[usize::from(length_index)].start_of(end);
        let timing = Timing::Late;
        self.rows.push_back(Row { header, slice, start, end, timing, length_index, value });
    }

    /// Fires the next window that has ended, for all keys of its hash; its next one takes its place.
    fn end_next(&mut self, state: &Store) {
        let Some(item) = self.endings.pop() else {
            return;
        };
        while self.endings.peek() == Some(&item) {
            self.endings.pop();
        }
        let Reverse((last, hash, length_index, end)) = item;
        let family = self.slices.families[usize::from(length_index)];
        let start = family.start_of(end);
        let event_time = EventTime(to_time(last));
        let header = FrameHeader::at_time(hash, event_time);
        let header = FrameHeader { ordinal: header.ordinal_of(length_index.into()), ..header };
        let timing = Timing::OnTime;
        let mut highest = None;
        for number in start..end {
            let Some(namespace) = slice_namespace(number) else {
                continue;
            };
            for slice in state.candidates(self.operator, hash, namespace) {
                highest = Some(number);
                let value = state.field(slice, 0);
                // One row for each key of this hash, which is nearly always one.
                let key = state.key(slice);
                match self.rows.iter_mut().find(|row| state.key(row.slice) == key) {
                    Some(row) => row.value = V::merge(row.value, value),
                    None => {
                        let row = Row { header, slice, start, end, timing, length_index, value };
                        self.rows.push_back(row);
                    }
                }
            }
        }
        let next = family.end_after(end);
        if highest.is_some_and(|highest| family.start_of(next) <= highest) {
            let at = self.slices.last_before(next);
            self.endings.push(Reverse((at, hash, length_index, next)));
        }
    }

    /// Lets go of the slices that are due next.
    fn expire_next(&mut self, state: &mut Store) {
        let Some(Reverse((_, hash, namespace))) = self.expiries.pop() else {
            return;
        };
        loop {
            let slice = state.candidates(self.operator, hash, namespace).next();
            let Some(slice) = slice else {
                return;
            };
            state.delete_at(slice);
        }
    }
}

impl<K, I, V, F> KeyedOperator for SlicedWindows<K, I, V, F>
where
    K: Key,
    I: Record,
    V: Merge,
    F: for<'a> Fn(I::View<'a>) -> V::Input + Send + 'static,
{
    type Key = K;
    type In = I;
    type Out = Sided<WindowOutput<K, V::Output>, I>;
    /// The record came too late.
    type Emission = ();

    const HAS_DUE: bool = true;

    fn dropped_count(&self) -> u64 {
        self.late_count
    }

    fn states(&self) -> Vec<OperatorState> {
        vec![OperatorState {
            id: self.operator,
            kind: "sliced_windows",
            identity: listed(&[self.window.identity(), self.rules.identity(), V::identity()]),
            key: K::layout(),
            values: vec![StateLayout::new("slices", 0..=u64::MAX, V::State::layout())],
        }]
    }

    /// Makes the heaps anew from the store.
    fn rebuild(&mut self, state: &Store, watermark: EventTime) {
        self.watermark = watermark;
        self.endings.clear();
        self.expiries.clear();
        for offset in state.iter_operator(self.operator) {
            let namespace = state.namespace(offset);
            self.schedule(state.hash(offset), slice_number(namespace), namespace);
        }
    }

    #[inline(always)]
    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        view: I::View<'_>,
    ) -> Option<()> {
        let slice = self.slices.slice_of(header.event_time);
        // Whatever holds a moment after the watermark ends after it.
        let may_be_late = header.event_time <= self.watermark && self.watermark != EventTime::MIN;
        if may_be_late || self.slices.has_gaps {
            let last = self.last_end_with(slice)?;
            if self.is_past(self.expiry_of(last)) {
                self.late_count += 1;
                return Some(());
            }
        }
        let namespace = slice_namespace(slice).expect("a slice of a time has a number");
        let (operator, hash) = (self.operator, header.key_hash);
        let (offset, added) = K::with_bytes(key, |bytes| {
            let key = EntryKey { operator, hash, key: bytes, namespace };
            if may_be_late {
                self.note_late(state, &key, slice);
            }
            state.find_or_insert(&key, V::State::BYTES)
        });
        let offset = state.writable(offset);
        let input = (self.read)(view);
        let before = if added { V::start() } else { state.field(offset, 0) };
        state.set(offset, 0, V::add(before, input));
        if added {
            self.schedule(hash, slice, namespace);
        }
        if !self.late_windows.is_empty() {
            self.fire_late(state, offset, header, input);
        }
        None
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
            let is_due = |at: i128| due.ended || at <= i128::from(self.watermark.0);
            let ending = self.endings.peek().map(|Reverse((at, ..))| *at);
            let expiry = self.expiries.peek().map(|Reverse((at, ..))| *at);
            match (ending, expiry) {
                // A window says what it holds before its slices go.
                (Some(ending), _) if expiry.is_none_or(|at| ending <= at) && is_due(ending) => {
                    self.end_next(state);
                }
                (_, Some(expiry)) if is_due(expiry) => self.expire_next(state),
                _ => return false,
            }
        }
        true
    }

    fn due<'s>(&'s self, state: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
        let row = self.rows.front().expect("asked only after `advance` answered `true`");
        let view = WindowView {
            key: K::from_bytes(state.key(row.slice)),
            start: self.slices.time_of(row.start),
            end: self.slices.time_of(row.end),
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

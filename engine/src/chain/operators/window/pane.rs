//! Tumbling and hopping windows: one row for each key and window, when the watermark closes it.
//!
//! Takes records; hands on windows in the order (end, key's hash), each once the watermark has
//! reached the window's last microsecond. Windows start at `offset + n * slide` and end, excluded,
//! `length` later.
//!
//! A record is folded into one *slice*, however many windows share it: slices are as long as the
//! greatest common divisor of length and slide, and a window merges its own when it fires.
//!
//! ```text
//!   slices   | a | b | c | d |       length 2 slices, slide 1:  [a b] [b c] [c d]
//! ```
//!
//! Byte layout of a slice's entry (namespace: the slice's number): `| fired to 16 | fold's state |`,
//! where `fired to` is the end, in slices, of the last window that the slice was in when it fired.
//!
//! Invariants
//! 1. Each slice has its place in the heap, at the end of its next window that has not fired; when
//!    there is none left, the slice goes. The heap is a set: equal items count once and go together,
//!    and the slices of two keys with one hash share theirs. It holds no offsets, as the log moves
//!    entries.
//! 2. The first slice of a window to come up fires it and marks all slices of the window, so the
//!    others pass it over. An item stays until all its slices have fired.
//! 3. A window at or before the watermark never changes: a record that belongs to no later one is
//!    counted as late, and dropped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::marker::PhantomData;

use super::output::{Timing, WindowOutput, WindowView};
use crate::chain::operators::fold::Merge;
use crate::chain::{Due, KeyedOperator, OperatorState, StateLayout};
use crate::record::{
    EventTime, Fixed, FrameHeader, Item, Key, KeyHash, Layout, Record, RowKind, TimeSpan,
};
use crate::state::{EntryKey, LogOffset, OperatorId, Store};

/// Where windows lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaneSpec {
    /// How long a window is.
    pub length: TimeSpan,
    /// How far apart windows start; no more than the length, so that each record has a window.
    pub slide: TimeSpan,
    /// Where window 0 starts, from 1970 on.
    pub offset: TimeSpan,
}

impl PaneSpec {
    /// Windows that follow each other.
    #[must_use]
    pub fn tumbling(length: TimeSpan) -> Self {
        Self { length, slide: length, offset: TimeSpan::ZERO }
    }

    /// Windows that overlap.
    #[must_use]
    pub fn hopping(length: TimeSpan, slide: TimeSpan) -> Self {
        Self { length, slide, offset: TimeSpan::ZERO }
    }
}

/// Times cut into slices, and windows counted in them. Wider than times, so nothing saturates.
#[derive(Debug, Clone, Copy)]
struct Slices {
    slice_micros: i128,
    /// Where slice 0 starts.
    origin: i128,
    window_slices: i128,
    slide_slices: i128,
    /// The end of window 0, in slices.
    first_end: i128,
}

/// A place in the heap: the end of a window in slices, the key's hash, and a slice of it.
type Pending = Reverse<(i128, KeyHash, u64)>;

/// A window that fires: the slice that fired it, its end and its merged state.
#[derive(Debug, Clone, Copy)]
struct Firing<S> {
    slice: LogOffset,
    end: i128,
    state: S,
}

/// Tumbling or hopping windows. `F` reads the fold's input from a record.
#[derive(Debug)]
pub struct PaneWindows<K, I, V: Merge, F> {
    operator: OperatorId,
    slices: Slices,
    read: F,
    watermark: EventTime,
    heap: BinaryHeap<Pending>,
    firing: Option<Firing<V::State>>,
    late_count: u64,
    kinds: PhantomData<fn() -> (K, I)>,
}

const STATE_AT: usize = <i128 as Fixed>::BYTES;

impl<K, I, V, F> PaneWindows<K, I, V, F>
where
    I: Record,
    V: Merge,
    F: for<'a> Fn(I::View<'a>) -> V::Input,
{
    /// Windows over what `read` makes of each record.
    ///
    /// Panics where slide or length are not positive, or the slide is longer: a bug in the job.
    pub fn new(operator: OperatorId, spec: PaneSpec, read: F) -> Self {
        Self {
            operator,
            slices: Slices::new(spec),
            read,
            watermark: EventTime::MIN,
            heap: BinaryHeap::new(),
            firing: None,
            late_count: 0,
            kinds: PhantomData,
        }
    }

    /// The end of the first window with this slice that the watermark has not closed.
    fn first_open_end(&self, slice: u64) -> i128 {
        let closed = self.slices.closed_to(self.watermark);
        let first = self.slices.first_end_with(slice_number(slice));
        if first > closed { first } else { self.slices.end_after(closed) }
    }

    /// Takes the next item, all of whose slices have fired, and sets them up for their next window,
    /// or lets them go (invariant 1).
    fn pass_on(&mut self, state: &mut Store) {
        let Some(item) = self.heap.pop() else {
            return;
        };
        while self.heap.peek() == Some(&item) {
            self.heap.pop();
        }
        let Reverse((end, hash, number)) = item;
        let next_end = end + self.slices.slide_slices;
        let slice = |state: &Store| state.candidates(self.operator, hash, number).next();
        if self.slices.start_of(next_end) > slice_number(number) {
            while let Some(offset) = slice(state) {
                state.delete_at(offset);
            }
        } else if slice(state).is_some() {
            self.heap.push(Reverse((next_end, hash, number)));
        }
    }

    /// The slices of a key that a window has.
    fn slices_of<'s>(
        &self,
        state: &'s Store,
        end: i128,
        slice: LogOffset,
    ) -> impl Iterator<Item = LogOffset> + use<'s, K, I, V, F> {
        let key = state.entry_key(slice);
        (self.slices.start_of(end)..end).filter_map(move |number| {
            let namespace = slice_namespace(number)?;
            state.find(&EntryKey { namespace, ..key })
        })
    }
}

impl<K, I, V, F> KeyedOperator for PaneWindows<K, I, V, F>
where
    K: Key,
    I: Record,
    V: Merge,
    F: for<'a> Fn(I::View<'a>) -> V::Input + Send + 'static,
{
    type Key = K;
    type In = I;
    type Out = WindowOutput<K, V::Output>;
    type Emission = ();

    const HAS_DUE: bool = true;

    fn dropped_count(&self) -> u64 {
        self.late_count
    }

    fn states(&self) -> Vec<OperatorState> {
        let Slices { slice_micros, origin, window_slices, slide_slices, first_end } = self.slices;
        let [length, slide, offset] =
            [window_slices, slide_slices, first_end - window_slices].map(|n| n * slice_micros);
        let slice = [("fired_to", i128::layout()), ("value", V::State::layout())];
        vec![OperatorState {
            id: self.operator,
            kind: "pane_windows",
            identity: format!(
                "length {length} us, slide {slide} us, offset {} us",
                offset + origin
            ),
            key: K::layout(),
            values: vec![StateLayout::new("slices", 0..=u64::MAX, Layout::fields(slice))],
        }]
    }

    /// Makes the heap anew from the store.
    fn rebuild(&mut self, state: &Store, watermark: EventTime) {
        self.watermark = watermark;
        self.heap.clear();
        for offset in state.iter_operator(self.operator) {
            let slice = state.namespace(offset);
            let fired_to: i128 = state.field(offset, 0);
            let end = self.slices.end_after(fired_to).max(self.first_open_end(slice));
            self.heap.push(Reverse((end, state.hash(offset), slice)));
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
        if self.slices.last_end_with(slice) <= self.slices.closed_to(self.watermark) {
            self.late_count += 1;
            return None;
        }
        let namespace = slice_namespace(slice).expect("a slice of a time has a number");
        let (offset, added) = K::with_bytes(key, |bytes| {
            let (operator, hash) = (self.operator, header.key_hash);
            let key = EntryKey { operator, hash, key: bytes, namespace };
            state.find_or_insert(&key, STATE_AT + V::State::BYTES)
        });
        let offset = state.writable(offset);
        let before = if added { V::start() } else { state.field(offset, STATE_AT) };
        state.set(offset, STATE_AT, V::add(before, (self.read)(view)));
        if added {
            state.set(offset, 0, i128::MIN / 2);
            let end = self.first_open_end(namespace);
            self.heap.push(Reverse((end, header.key_hash, namespace)));
        }
        None
    }

    fn output<'a>(&self, (): (), _: K::View<'a>, _: I::View<'a>) -> <Self::Out as Item>::View<'a> {
        unreachable!("a record emits nothing; windows do")
    }

    fn advance(&mut self, state: &mut Store, due: Due) -> bool {
        self.watermark = self.watermark.max(due.watermark);
        let closed = self.slices.closed_to(self.watermark);
        while self.firing.is_none() {
            let next = self.heap.peek();
            let Some(&Reverse((end, hash, number))) =
                next.filter(|Reverse((end, ..))| due.ended || *end <= closed)
            else {
                return false;
            };
            let unfired = state
                .candidates(self.operator, hash, number)
                .find(|&slice| state.field::<i128>(slice, 0) < end);
            let Some(slice) = unfired else {
                self.pass_on(state);
                continue;
            };
            let states = self.slices_of(state, end, slice);
            let merged = states
                .fold(V::start(), |merged, slice| V::merge(merged, state.field(slice, STATE_AT)));
            self.firing = Some(Firing { slice, end, state: merged });
        }
        true
    }

    fn due<'s>(&'s self, state: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
        let firing = self.firing.expect("asked only after `advance` answered `true`");
        let end = self.slices.time_of(firing.end);
        let header = FrameHeader::at_time(state.hash(firing.slice), end - TimeSpan::micros(1));
        let view = WindowView {
            key: K::from_bytes(state.key(firing.slice)),
            start: self.slices.time_of(self.slices.start_of(firing.end)),
            end,
            value: V::output(firing.state),
            kind: RowKind::Insert,
            timing: Timing::OnTime,
            length_index: 0,
        };
        (header, view)
    }

    fn done(&mut self, state: &mut Store) {
        let Some(Firing { mut slice, end, .. }) = self.firing.take() else {
            return;
        };
        let first = self.slices.start_of(end);
        for number in first..end {
            let Some(namespace) = slice_namespace(number) else {
                continue;
            };
            let key = EntryKey { namespace, ..state.entry_key(slice) };
            if let Some(found) = state.find(&key) {
                let offset = state.writable(found);
                state.set(offset, 0, end);
                // The slice that fired may itself have moved.
                slice = if found == slice { offset } else { slice };
            }
        }
    }
}

impl Slices {
    fn new(spec: PaneSpec) -> Self {
        let (length, slide) = (i128::from(spec.length.0), i128::from(spec.slide.0));
        assert!(slide > 0, "windows move on");
        assert!(length >= slide, "a record in a gap between windows would vanish");
        let slice_micros = greatest_common_divisor(length, slide);
        let offset = i128::from(spec.offset.0);
        let origin = offset.rem_euclid(slice_micros);
        let window_slices = length / slice_micros;
        Self {
            slice_micros,
            origin,
            window_slices,
            slide_slices: slide / slice_micros,
            first_end: (offset - origin) / slice_micros + window_slices,
        }
    }

    fn slice_of(&self, time: EventTime) -> i128 {
        (i128::from(time.0) - self.origin).div_euclid(self.slice_micros)
    }

    /// Where slice `number` starts, or the nearest time that there is.
    fn time_of(&self, number: i128) -> EventTime {
        let micros = self.origin + number * self.slice_micros;
        let micros = micros.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        EventTime(i64::try_from(micros).expect("clamped to a time"))
    }

    /// Up to which slice, excluded, all time has passed.
    fn closed_to(&self, watermark: EventTime) -> i128 {
        if watermark == EventTime::MIN {
            return i128::MIN / 2;
        }
        if watermark == EventTime::MAX {
            return i128::MAX / 2;
        }
        (i128::from(watermark.0) + 1 - self.origin).div_euclid(self.slice_micros)
    }

    fn start_of(&self, end: i128) -> i128 {
        end - self.window_slices
    }

    /// The end of the first window that ends after `end`.
    fn end_after(&self, end: i128) -> i128 {
        let passed = (end - self.first_end).div_euclid(self.slide_slices);
        self.first_end + (passed + 1) * self.slide_slices
    }

    /// The end of the first window with this slice.
    fn first_end_with(&self, slice: i128) -> i128 {
        self.end_after(slice)
    }

    /// The end of the last window with this slice: that which starts at it, or nearest before it.
    fn last_end_with(&self, slice: i128) -> i128 {
        self.end_after(slice + self.window_slices) - self.slide_slices
    }
}

fn greatest_common_divisor(mut left: i128, mut right: i128) -> i128 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

/// Every time's slice fits: there are no more slices than microseconds.
fn slice_namespace(number: i128) -> Option<u64> {
    i64::try_from(number).ok().map(i64::cast_unsigned)
}

fn slice_number(namespace: u64) -> i128 {
    i128::from(namespace.cast_signed())
}

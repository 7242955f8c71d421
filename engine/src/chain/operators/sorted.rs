//! Puts another operator's input into the order of event time.
//!
//! Takes records in any order; hands on what the wrapped operator makes of them in the order of
//! (time, order), each once the watermark has passed its time. Equals go in the order of arrival.
//!
//! Invariants
//! 1. A record waits as an entry: its whole frame under its key, the namespace its arrival number.
//!    The heap only says in which order to read the entries, by hash and number, as the log moves
//!    them; [`Sorted::rebuild`] makes it anew. A number is unique for its key.
//! 2. When a record is applied its entry goes, and a copy of its frame stays here until the item has
//!    been taken. No barrier passes in between, as an item is due.
//! 3. The wrapped operator's own time never overtakes a waiting record: it is told the watermark, but
//!    no more than just before the next record's time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rkyv::ser::Serializer;
use rkyv::ser::writer::Buffer;

use crate::chain::{Due, KeyedOperator, OperatorState, StateLayout};
use crate::record::{
    EventTime, Frame, FrameHeader, Item, Key, KeyHash, Record, RowKind, frame_bytes,
};
use crate::record::{FRAME_ALIGN, FRAME_HEADER_BYTES, TimeSpan};
use crate::state::{EntryKey, OperatorId, Store};

/// Time, order, arrival number, and the key's hash.
type Waiting = Reverse<(EventTime, u64, u64, KeyHash)>;

/// `Op`, with its input in the order of (time, order). `F` reads a record's order.
#[derive(Debug)]
pub struct Sorted<Op: KeyedOperator, F> {
    operator: OperatorId,
    inner: Op,
    order: F,
    waits: bool,
    heap: BinaryHeap<Waiting>,
    next_number: u64,
    ready: Ready<Op::Emission>,
    frame: FrameBuffer,
    key: Vec<u8>,
}

/// What `advance` has made ready.
#[derive(Debug, Clone, Copy)]
enum Ready<E> {
    Nothing,
    /// The emission of the frame that is in the buffer.
    Applied(E),
    /// What the wrapped operator has due by itself.
    Inner,
}

impl<Op, F> Sorted<Op, F>
where
    Op: KeyedOperator,
    F: for<'a> Fn(<Op::In as Item>::View<'a>) -> u64,
{
    /// Wraps `inner`; `operator` is the buffer's own id. `order` ranks records of one time.
    pub fn new(operator: OperatorId, inner: Op, order: F) -> Self {
        Self {
            operator,
            inner,
            order,
            waits: true,
            heap: BinaryHeap::new(),
            next_number: 0,
            ready: Ready::Nothing,
            frame: FrameBuffer::default(),
            key: Vec::new(),
        }
    }

    /// Whether records wait for the watermark at all; where not, this passes them to the wrapped
    /// operator as they arrive.
    #[must_use]
    pub fn waiting(mut self, waits: bool) -> Self {
        self.waits = waits;
        self
    }

    /// How many records wait.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        self.heap.len()
    }

    /// Applies the least waiting record.
    fn apply_next(&mut self, state: &mut Store) -> Option<Op::Emission> {
        let Reverse((time, order, number, hash)) = self.heap.pop()?;
        // Two keys with one hash may have one number, where their shards became one.
        let mut waiting = state.candidates(self.operator, hash, number);
        let offset = waiting.find(|&offset| {
            let frame = Frame::new(state.value(offset));
            frame.header().event_time == time && (self.order)(frame.view::<Op::In>()) == order
        });
        drop(waiting);
        let offset = offset.expect("a record waits as an entry until it is applied");
        self.frame.copy(state.value(offset));
        self.key.clear();
        self.key.extend_from_slice(state.key(offset));
        state.delete_at(offset);
        let frame = self.frame.frame();
        let key = Op::Key::from_bytes(&self.key);
        self.inner.apply(state, &frame.header(), key, frame.view::<Op::In>())
    }
}

impl<Op, F> KeyedOperator for Sorted<Op, F>
where
    Op: KeyedOperator,
    F: for<'a> Fn(<Op::In as Item>::View<'a>) -> u64 + Send + 'static,
{
    type Key = Op::Key;
    type In = Op::In;
    type Out = Op::Out;
    type Emission = Op::Emission;

    const HAS_DUE: bool = true;

    fn dropped_count(&self) -> u64 {
        self.inner.dropped_count()
    }

    fn states(&self) -> Vec<OperatorState> {
        let mut states = self.inner.states();
        states.push(OperatorState {
            id: self.operator,
            kind: "sorted",
            identity: String::new(),
            key: Op::Key::layout(),
            values: vec![StateLayout::frames::<Op::In>("waiting", 0..=u64::MAX)],
        });
        states
    }

    /// Makes the heap anew from the store, and what the wrapped operator has.
    fn rebuild(&mut self, state: &Store, watermark: EventTime) {
        self.heap.clear();
        for offset in state.iter_operator(self.operator) {
            // Verified when the log was loaded.
            let frame = Frame::new(state.value(offset));
            let order = (self.order)(frame.view::<Op::In>());
            let number = state.namespace(offset);
            self.next_number = self.next_number.max(number.saturating_add(1));
            let header = frame.header();
            self.heap.push(Reverse((header.event_time, order, number, state.hash(offset))));
        }
        self.inner.rebuild(state, watermark);
    }

    fn tick(&mut self, wall_micros: i64) {
        self.inner.tick(wall_micros);
    }

    fn next_wall_micros(&self) -> Option<i64> {
        self.inner.next_wall_micros()
    }

    fn touch(&self, state: &mut Store, hashes: &[KeyHash]) {
        if !self.waits {
            self.inner.touch(state, hashes);
        }
    }

    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: <Op::Key as Key>::View<'_>,
        view: <Op::In as Item>::View<'_>,
    ) -> Option<Op::Emission> {
        if !self.waits {
            return self.inner.apply(state, header, key, view);
        }
        let number = self.next_number;
        self.next_number += 1;
        // No due item is being read: the body drains before the next input.
        self.frame.encode::<Op::In>(header, view);
        Op::Key::with_bytes(key, |bytes| {
            let (operator, hash) = (self.operator, header.key_hash);
            let key = EntryKey { operator, hash, key: bytes, namespace: number };
            state.put(&key, self.frame.bytes());
        });
        let order = (self.order)(view);
        self.heap.push(Reverse((header.event_time, order, number, header.key_hash)));
        None
    }

    fn kind(&self, emission: &Op::Emission) -> Option<RowKind> {
        self.inner.kind(emission)
    }

    fn output<'a>(
        &self,
        emission: Op::Emission,
        key: <Op::Key as Key>::View<'a>,
        view: <Op::In as Item>::View<'a>,
    ) -> <Op::Out as Item>::View<'a> {
        self.inner.output(emission, key, view)
    }

    fn advance(&mut self, state: &mut Store, due: Due) -> bool {
        while let Ready::Nothing = self.ready {
            let next_time = self.heap.peek().map(|Reverse((time, ..))| *time);
            let inner_due = match next_time {
                Some(time) => Due { watermark: due.watermark.min(just_before(time)), ended: false },
                None => due,
            };
            if Op::HAS_DUE && self.inner.advance(state, inner_due) {
                self.ready = Ready::Inner;
            } else if next_time.is_some_and(|time| due.ended || time <= due.watermark) {
                if let Some(emission) = self.apply_next(state) {
                    self.ready = Ready::Applied(emission);
                }
            } else {
                return false;
            }
        }
        true
    }

    fn due<'s>(&'s self, state: &'s Store) -> (FrameHeader, <Op::Out as Item>::View<'s>) {
        match self.ready {
            Ready::Applied(emission) => {
                let frame = self.frame.frame();
                let key = Op::Key::from_bytes(&self.key);
                let view = frame.view::<Op::In>();
                let mut header = frame.header();
                header.kind = self.inner.kind(&emission).unwrap_or(header.kind);
                (header, self.inner.output(emission, key, view))
            }
            Ready::Inner => self.inner.due(state),
            Ready::Nothing => unreachable!("asked only after `advance` answered `true`"),
        }
    }

    fn done(&mut self, state: &mut Store) {
        if let Ready::Inner = self.ready {
            self.inner.done(state);
        }
        self.ready = Ready::Nothing;
    }
}

fn just_before(time: EventTime) -> EventTime {
    time - TimeSpan::micros(1)
}

/// Holds one frame on an 8-byte boundary.
#[derive(Debug, Default)]
pub(super) struct FrameBuffer {
    bytes: Vec<u8>,
    start: usize,
    frame_bytes: usize,
}

impl FrameBuffer {
    /// Makes room for a frame of up to `frame_bytes`, all zeroes.
    fn room(&mut self, frame_bytes: usize) -> &mut [u8] {
        self.bytes.clear();
        self.bytes.resize(frame_bytes + FRAME_ALIGN, 0);
        self.start = self.bytes.as_ptr().align_offset(FRAME_ALIGN);
        self.frame_bytes = frame_bytes;
        &mut self.bytes[self.start..self.start + frame_bytes]
    }

    /// Takes a copy of a frame's bytes.
    pub(super) fn copy(&mut self, frame: &[u8]) {
        self.room(frame.len()).copy_from_slice(frame);
    }

    /// Writes a record's frame.
    pub(super) fn encode<R: Record>(&mut self, header: &FrameHeader, view: R::View<'_>) {
        let room = self.room(frame_bytes(R::payload_bytes_max(view)));
        let payload = &mut room[FRAME_HEADER_BYTES..];
        let mut writer = Serializer::new(Buffer::from(payload), (), ());
        R::encode(view, &mut writer).expect("the record said how much room it takes at most");
        let payload_bytes = writer.into_writer().len();
        header.write(payload_bytes, room);
        self.frame_bytes = frame_bytes(payload_bytes);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.frame_bytes]
    }

    pub(super) fn frame(&self) -> Frame<'_> {
        Frame::new(self.bytes())
    }
}

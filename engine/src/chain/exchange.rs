//! The terminal that sends frames to the shards that own their keys.
//!
//! Takes items; hands on frames in rings, one ring for each consuming shard. The record's rkyv
//! bytes are written in place into the claimed room; a record that passes unchanged is copied as
//! it lies.
//!
//! Invariants
//! 1. Markers leave in order with items: while a marker waits for room, so do later items for the
//!    same shard. Adjacent watermarks merge, so at most a watermark, a barrier, another watermark
//!    and the end ever wait.
//! 2. `accepted` counts the items of the present input that lie in rings already; a repeated run
//!    skips as many.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::record::{
    FRAME_HEADER_BYTES, Frame, FrameHeader, Item, Key, KeyHash, Marker, Record, frame_bytes,
    write_frame,
};
use crate::ring::{ClaimRefused, Producer};
use crate::route::{RangeTable, ShardId};
use crate::shard::park::Waker;

use super::blueprint::{Blueprint, ExchangeId, Wiring};
use super::operators::merge_key_hash;
use super::out::KeyFn;
use super::push::{Flow, Push, Terminal, TerminalError, keep_marker};

/// Where a record goes.
pub trait Route<I: Item>: Clone + Send + Sync + 'static {
    /// The hash whose slot decides.
    fn hash(&self, header: &FrameHeader, view: I::View<'_>) -> KeyHash;
}

/// By the record's key.
#[derive(Debug)]
pub struct ByKey<K, F> {
    /// Reads the key.
    pub key_fn: F,
    key: PhantomData<fn() -> K>,
}

impl<K, F: Clone> Clone for ByKey<K, F> {
    fn clone(&self) -> Self {
        Self { key_fn: self.key_fn.clone(), key: PhantomData }
    }
}

impl<K, F> ByKey<K, F> {
    pub(crate) fn new(key_fn: F) -> Self {
        Self { key_fn, key: PhantomData }
    }
}

impl<I: Item, K: Key, F: KeyFn<I, K>> Route<I> for ByKey<K, F> {
    #[inline(always)]
    fn hash(&self, _: &FrameHeader, view: I::View<'_>) -> KeyHash {
        K::hash(self.key_fn.key(view))
    }
}

/// By ingress position: what branched from one record meets again.
#[derive(Debug, Clone, Copy)]
pub struct ByPosition;

impl<I: Item> Route<I> for ByPosition {
    #[inline(always)]
    fn hash(&self, header: &FrameHeader, _: I::View<'_>) -> KeyHash {
        merge_key_hash(header.position, header.ordinal)
    }
}

/// The exchange before a shard has its ends of the rings.
#[derive(Debug)]
pub struct ExchangeBlueprint<Rt> {
    /// Which exchange.
    pub id: ExchangeId,
    /// Where records go.
    pub route: Rt,
}

impl<R: Record, Rt: Route<R>> Blueprint<R> for ExchangeBlueprint<Rt> {
    type Push = Exchange<Rt>;
    fn build(&self, wiring: &mut Wiring<'_>) -> Exchange<Rt> {
        let producers = wiring.take_producers(self.id);
        assert_eq!(producers.len(), wiring.wakers.len(), "an exchange has one ring a shard");
        let targets = producers.into_iter().zip(wiring.wakers);
        Exchange {
            route: self.route.clone(),
            ranges: Arc::clone(wiring.ranges),
            targets: targets.map(|(producer, waker)| Target::new(producer, waker)).collect(),
            accepted: 0,
            seen: 0,
        }
    }
}

/// The terminal itself; one a shard and exchange.
#[derive(Debug)]
pub struct Exchange<Rt> {
    route: Rt,
    ranges: Arc<RangeTable>,
    targets: Vec<Target>,
    accepted: u32,
    seen: u32,
}

#[derive(Debug)]
struct Target {
    producer: Producer,
    waker: Waker,
    waiting_markers: Vec<Marker>,
    closed: bool,
    /// A record that will never fit: the job ends with this turn.
    too_large: Option<(usize, usize)>,
}

impl Target {
    fn new(producer: Producer, waker: &Waker) -> Self {
        Self {
            producer,
            waker: waker.clone(),
            waiting_markers: Vec::new(),
            closed: false,
            too_large: None,
        }
    }

    fn marker(&mut self, marker: Marker) {
        keep_marker(&mut self.waiting_markers, marker);
        self.send_markers();
    }

    /// Sends what waits, as far as there is room; whether nothing waits any more.
    #[cold]
    fn send_markers(&mut self) -> bool {
        let mut sent = 0;
        for marker in &self.waiting_markers {
            match self.producer.claim_marker(FRAME_HEADER_BYTES) {
                Ok(frame) => marker.write(frame),
                Err(ClaimRefused::Closed) => {
                    self.closed = true;
                    break;
                }
                Err(_) => break,
            }
            self.producer.commit(FRAME_HEADER_BYTES);
            sent += 1;
        }
        self.waiting_markers.drain(..sent);
        self.waiting_markers.is_empty()
    }

    #[inline(always)]
    fn claim(&mut self, frame_bytes_max: usize) -> Option<&mut [u8]> {
        if !self.waiting_markers.is_empty() && !self.send_markers() {
            return None;
        }
        match self.producer.claim(frame_bytes_max) {
            Ok(frame) => Some(frame),
            Err(ClaimRefused::Full { .. }) => None,
            Err(ClaimRefused::Closed) => {
                self.closed = true;
                None
            }
            Err(ClaimRefused::TooLarge { wanted_bytes, bytes_max }) => {
                self.too_large = Some((wanted_bytes, bytes_max));
                None
            }
        }
    }
}

impl<Rt> Exchange<Rt> {
    #[inline(always)]
    fn is_repeat(&mut self) -> bool {
        let repeat = self.seen < self.accepted;
        self.seen += u32::from(repeat);
        repeat
    }

    #[inline(always)]
    fn count(&mut self) -> Flow {
        self.seen += 1;
        self.accepted = self.seen;
        Flow::Ready
    }

    /// An item's number among all that one record became.
    #[inline(always)]
    fn ordinal(&self, header: &FrameHeader) -> u32 {
        header.ordinal_of(self.seen)
    }
}

impl<Rt: Send> Terminal for Exchange<Rt> {
    #[inline(always)]
    fn begin(&mut self, repeated: bool) {
        self.seen = 0;
        if !repeated {
            self.accepted = 0;
        }
    }

    fn marker(&mut self, marker: Marker) {
        for target in &mut self.targets {
            target.marker(marker);
        }
    }

    fn end_turn(&mut self) -> Result<bool, TerminalError> {
        let mut moved = false;
        for (shard, target) in (0..).zip(&mut self.targets) {
            if !target.waiting_markers.is_empty() {
                target.send_markers();
            }
            if target.producer.publish() {
                moved = true;
                target.waker.wake();
            }
            if let Some((found_bytes, expected_bytes_max)) = target.too_large {
                return Err(TerminalError::TooLarge { found_bytes, expected_bytes_max });
            }
            if target.closed {
                return Err(TerminalError::RingClosed { shard });
            }
        }
        Ok(moved)
    }

    fn is_drained(&self) -> bool {
        self.targets.iter().all(|target| target.waiting_markers.is_empty())
    }
}

impl<R: Record, Rt: Route<R>> Push<R> for Exchange<Rt> {
    #[inline(always)]
    fn push(&mut self, header: &FrameHeader, view: R::View<'_>) -> Flow {
        if self.is_repeat() {
            return Flow::Ready;
        }
        let key_hash = self.route.hash(header, view);
        let header = FrameHeader { key_hash, ordinal: self.ordinal(header), ..*header };
        let ShardId(owner) = self.ranges.owner(key_hash);
        let target = &mut self.targets[usize::from(owner)];
        let Some(room) = target.claim(frame_bytes(R::payload_bytes_max(view))) else {
            return Flow::Blocked;
        };
        let written_bytes = write_frame::<R>(&header, view, room);
        target.producer.commit(written_bytes);
        self.count()
    }

    #[inline(always)]
    fn push_frame(&mut self, frame: Frame<'_>) -> Flow {
        if self.is_repeat() {
            return Flow::Ready;
        }
        let header = frame.header();
        let key_hash = self.route.hash(&header, frame.view::<R>());
        let header = FrameHeader { key_hash, ordinal: self.ordinal(&header), ..header };
        let ShardId(owner) = self.ranges.owner(key_hash);
        let target = &mut self.targets[usize::from(owner)];
        let bytes = frame.bytes();
        let Some(room) = target.claim(bytes.len()) else {
            return Flow::Blocked;
        };
        room[FRAME_HEADER_BYTES..bytes.len()].copy_from_slice(&bytes[FRAME_HEADER_BYTES..]);
        header.write(frame.payload().len(), room);
        target.producer.commit(bytes.len());
        self.count()
    }
}

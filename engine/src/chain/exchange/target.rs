//! One producer's end of an exchange: the ring to one shard, its markers, and who reads it.

use crate::record::{
    FRAME_HEADER_BYTES, Frame, FrameHeader, Marker, Record, frame_bytes, write_frame,
};
use crate::ring::{ClaimRefused, Producer};
use crate::shard::park::Waker;

use super::super::blueprint::{ExchangeId, Wiring};
use super::super::push::{Flow, TerminalError, keep_marker};

/// One shard's end of one exchange.
#[derive(Debug)]
pub(super) struct Target {
    producer: Producer,
    waker: Waker,
    waiting_markers: Vec<Marker>,
    closed: bool,
    /// A record that will never fit: the job ends with this turn.
    too_large: Option<(usize, usize)>,
}

impl Target {
    /// The ends of the rings to every shard.
    pub(super) fn of_exchange(exchange: ExchangeId, wiring: &mut Wiring<'_>) -> Vec<Self> {
        let producers = wiring.take_producers(exchange);
        assert_eq!(producers.len(), wiring.wakers.len(), "an exchange has one ring a shard");
        let targets = producers.into_iter().zip(wiring.wakers);
        targets.map(|(producer, waker)| Self::new(producer, waker)).collect()
    }

    fn new(producer: Producer, waker: &Waker) -> Self {
        Self {
            producer,
            waker: waker.clone(),
            waiting_markers: Vec::new(),
            closed: false,
            too_large: None,
        }
    }

    /// Sends a marker, or keeps it until there is room.
    pub(super) fn marker(&mut self, marker: Marker) {
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

    /// Writes a record's frame into the ring, or refuses it.
    #[inline(always)]
    pub(super) fn send<R: Record>(&mut self, header: &FrameHeader, view: R::View<'_>) -> Flow {
        let Some(room) = self.claim(frame_bytes(R::payload_bytes_max(view))) else {
            return Flow::Blocked;
        };
        let written_bytes = write_frame::<R>(header, view, room);
        self.producer.commit(written_bytes);
        Flow::Ready
    }

    /// Copies a frame as it lies, under another header, or refuses it.
    #[inline(always)]
    pub(super) fn send_frame(&mut self, header: &FrameHeader, frame: Frame<'_>) -> Flow {
        let bytes = frame.bytes();
        let Some(room) = self.claim(bytes.len()) else {
            return Flow::Blocked;
        };
        room[FRAME_HEADER_BYTES..bytes.len()].copy_from_slice(&bytes[FRAME_HEADER_BYTES..]);
        header.write(frame.payload().len(), room);
        self.producer.commit(bytes.len());
        Flow::Ready
    }

    /// Whether no marker waits.
    pub(super) fn is_drained(&self) -> bool {
        self.waiting_markers.is_empty()
    }
}

/// A turn ends: publishes what was written, wakes who reads it, and says what can't go on.
pub(super) fn end_targets(targets: &mut [Target]) -> Result<bool, TerminalError> {
    let mut moved = false;
    for (shard, target) in (0..).zip(targets) {
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

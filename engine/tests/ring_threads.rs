//! Step 4, ring: two real threads and millions of frames of random length; each frame carries its
//! number and a checksum.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

use std::thread;

use pelton::ring::{ClaimRefused, Consumer, Producer, RingSettings, ring};
use pelton::shard::park::{Parker, Waker, parking};

const HEADER_BYTES: usize = 16;
const MARKER_BYTES: usize = 32;

/// A small generator; the seed stands in each test.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

fn checksum(number: u64, content: &[u8]) -> u32 {
    let sum = content.chunks_exact(8).fold(number ^ 0x9e37_79b9_7f4a_7c15, |sum, word| {
        let word = u64::from_le_bytes(*word.first_chunk().unwrap());
        (sum.rotate_left(5) ^ word).wrapping_mul(0x0000_0100_0000_01b3)
    });
    u32::try_from(sum >> 32).unwrap()
}

fn fill(frame: &mut [u8], number: u64) {
    let (header, content) = frame.split_at_mut(HEADER_BYTES);
    for (index, word) in content.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&number.wrapping_mul(index as u64 + 1).to_le_bytes());
    }
    let frame_bytes = u32::try_from(HEADER_BYTES + content.len()).unwrap();
    header[..4].copy_from_slice(&frame_bytes.to_le_bytes());
    header[4..8].copy_from_slice(&checksum(number, content).to_le_bytes());
    header[8..].copy_from_slice(&number.to_le_bytes());
}

fn check(frame: &[u8], number: u64) {
    let (header, content) = frame.split_at(HEADER_BYTES);
    assert_eq!(header[8..], number.to_le_bytes(), "frames come in order, each once");
    assert_eq!(header[4..8], checksum(number, content).to_le_bytes(), "frame {number} is whole");
}

/// Sends `frame_count` frames and closes; some of them as markers, batches of random length.
fn produce(mut producer: Producer, frame_count: u64, mut chance: Chance, wake: &Waker) {
    let words_max = (producer.frame_bytes_max() - HEADER_BYTES) / 8;
    let mut publish_in = 1;
    for number in 0..frame_count {
        let is_marker = chance.below(64) == 0;
        let frame_bytes = if is_marker {
            MARKER_BYTES
        } else {
            HEADER_BYTES + 8 * chance.below(words_max.min(32) + 1)
        };
        loop {
            let claim = if is_marker {
                producer.claim_marker(frame_bytes)
            } else {
                producer.claim(frame_bytes)
            };
            match claim {
                Ok(frame) => break fill(&mut frame[..frame_bytes], number),
                Err(ClaimRefused::Full { .. }) => {
                    producer.publish();
                    wake.wake();
                    thread::yield_now();
                }
                Err(refused) => panic!("{refused}"),
            }
        }
        producer.commit(frame_bytes);
        publish_in -= 1;
        if publish_in == 0 {
            producer.publish();
            wake.wake();
            publish_in = 1 + chance.below(20);
        }
    }
    producer.publish();
    drop(producer);
    wake.wake();
}

/// Reads until the ring is closed; parks where there is nothing, if it may.
fn consume(mut consumer: Consumer, parker: Option<Parker>, mut chance: Chance) -> u64 {
    let mut number = 0;
    while !consumer.is_closed() {
        let mut budget = 1 + chance.below(40);
        loop {
            let run = consumer.readable();
            if run.is_empty() || budget == 0 {
                break;
            }
            let frame_bytes = u32::from_le_bytes(*run.first_chunk().unwrap()) as usize;
            check(&run[..frame_bytes], number);
            consumer.advance(frame_bytes);
            number += 1;
            budget -= 1;
        }
        consumer.release();
        match &parker {
            _ if budget == 0 => {}
            None => thread::yield_now(),
            Some(parker) => {
                parker.prepare();
                if consumer.readable().is_empty() && !consumer.is_closed() {
                    parker.park_timeout(None);
                } else {
                    parker.cancel();
                }
            }
        }
    }
    number
}

fn run(settings: RingSettings, frame_count: u64, parks: bool, seed: u64) {
    let (producer, consumer) = ring(settings);
    let (parker, waker) = parking();
    let writer = thread::spawn(move || produce(producer, frame_count, Chance(seed), &waker));
    let read_count = consume(consumer, parks.then_some(parker), Chance(seed + 1));
    writer.join().unwrap();
    assert_eq!(read_count, frame_count, "seed {seed}");
}

#[test]
fn millions_of_frames_cross_a_large_ring() {
    let settings = RingSettings { capacity_bytes: 1 << 20, marker_bytes: MARKER_BYTES };
    run(settings, 4_000_000, false, 11);
}

#[test]
fn a_million_frames_cross_a_ring_that_wraps_every_few() {
    let settings = RingSettings { capacity_bytes: 1 << 10, marker_bytes: MARKER_BYTES };
    run(settings, 1_000_000, false, 12);
}

#[test]
fn frames_cross_a_ring_of_two_frames_without_loss() {
    run(RingSettings::for_frames(64, 2, MARKER_BYTES), 300_000, false, 13);
}

#[test]
fn a_consumer_that_parks_misses_no_batch() {
    run(RingSettings::for_frames(64, 2, MARKER_BYTES), 50_000, true, 14);
    run(RingSettings { capacity_bytes: 1 << 16, marker_bytes: MARKER_BYTES }, 500_000, true, 15);
}

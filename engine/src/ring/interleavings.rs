//! Step 4, ring: every interleaving of the two ends, and of a shard that parks with one that
//! wakes it, by loom.
//!
//! Takes rings with two frames of room, so that each run wraps and pads; hands on nothing.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};

use loom::model::Builder;
use loom::thread;

use super::{ClaimRefused, Consumer, Producer, RingSettings, ring};
use crate::shard::park::parking;

const FRAME_BYTES: usize = 48;
const MARKER_BYTES: usize = 8;

/// Two frames of 48 bytes and three markers of 8: 152 bytes of data and markers do not fit one lap
/// of 128, so the third frame always pads and wraps.
fn two_frames() -> (Producer, Consumer) {
    ring(RingSettings { capacity_bytes: 128, marker_bytes: MARKER_BYTES })
}

/// Loom explores all interleavings with at most this many switches away from a thread that could
/// have run on; more do not find more in rings of this length, and take hours.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn fill(frame: &mut [u8], bytes: usize, content: u8) {
    frame[..bytes].fill(content);
    frame[..4].copy_from_slice(&u32::try_from(bytes).expect("short").to_le_bytes());
}

/// Sends one frame, yielding while it is refused. False where nobody reads it.
fn send(producer: &mut Producer, content: u8) -> bool {
    loop {
        match producer.claim(FRAME_BYTES) {
            Ok(frame) => fill(frame, FRAME_BYTES, content),
            Err(ClaimRefused::Closed) => return false,
            Err(ClaimRefused::Full { .. }) => {
                thread::yield_now();
                continue;
            }
            Err(refused) => panic!("{refused}"),
        }
        producer.commit(FRAME_BYTES);
        return true;
    }
}

/// Takes all frames of the run that is there, and gives back their content.
fn take_run(consumer: &mut Consumer) -> Vec<u8> {
    let mut contents = Vec::new();
    let mut run = consumer.readable();
    let run_bytes = run.len();
    while let Some((length, _)) = run.split_first_chunk() {
        let (frame, rest) = run.split_at(u32::from_le_bytes(*length) as usize);
        let content = frame[4];
        assert!(frame[4..].iter().all(|byte| *byte == content), "torn frame");
        contents.push(content);
        run = rest;
    }
    consumer.advance(run_bytes);
    consumer.release();
    contents
}

fn take_until_closed(consumer: &mut Consumer) -> Vec<u8> {
    let mut contents = Vec::new();
    while !consumer.is_closed() {
        let taken = take_run(consumer);
        if taken.is_empty() {
            thread::yield_now();
        }
        contents.extend(taken);
    }
    contents
}

/// The smallest executor: polls when it is woken, and only then.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

#[test]
fn frames_arrive_whole_and_in_order_over_the_end_of_the_ring() {
    explore(|| {
        let (mut producer, mut consumer) = two_frames();
        let writer = thread::spawn(move || {
            for content in 1..=4 {
                assert!(send(&mut producer, content));
                producer.publish();
            }
        });
        assert_eq!(take_until_closed(&mut consumer), [1, 2, 3, 4]);
        writer.join().expect("the writer ends");
    });
}

#[test]
fn a_batch_becomes_visible_as_one() {
    explore(|| {
        let (mut producer, mut consumer) = two_frames();
        let writer = thread::spawn(move || {
            assert!(send(&mut producer, 1) && send(&mut producer, 2));
            assert!(producer.publish() && !producer.publish());
        });
        let taken = take_run(&mut consumer);
        assert!(taken.is_empty() || taken == [1, 2]);
        writer.join().expect("the writer ends");
    });
}

#[test]
fn markers_pass_while_data_is_refused() {
    explore(|| {
        let (mut producer, mut consumer) = two_frames();
        let writer = thread::spawn(move || {
            assert!(send(&mut producer, 1) && send(&mut producer, 2));
            for content in 3..=5 {
                let marker = producer.claim_marker(MARKER_BYTES).expect("the reserve is kept");
                fill(marker, MARKER_BYTES, content);
                producer.commit(MARKER_BYTES);
                producer.publish();
            }
            assert!(send(&mut producer, 6));
            producer.publish();
        });
        assert_eq!(take_until_closed(&mut consumer), [1, 2, 3, 4, 5, 6]);
        writer.join().expect("the writer ends");
    });
}

#[test]
fn what_was_published_before_the_producer_went_is_still_read() {
    explore(|| {
        let (mut producer, mut consumer) = two_frames();
        let writer = thread::spawn(move || {
            assert!(send(&mut producer, 1));
            producer.publish();
            assert!(send(&mut producer, 2));
            // Committed but never published: it never happened.
        });
        assert_eq!(take_until_closed(&mut consumer), [1]);
        writer.join().expect("the writer ends");
    });
}

#[test]
fn a_producer_whose_consumer_is_gone_is_refused_and_does_not_wait() {
    explore(|| {
        let (mut producer, mut consumer) = two_frames();
        let reader = thread::spawn(move || {
            take_run(&mut consumer);
        });
        let mut content = 1;
        while send(&mut producer, content) {
            producer.publish();
            content += 1;
        }
        assert!(producer.is_closed());
        reader.join().expect("the reader ends");
    });
}

#[test]
fn a_shard_that_parks_is_woken_by_each_batch() {
    explore(|| {
        let (mut producer, mut consumer) = two_frames();
        let (parker, waker) = parking();
        let writer = thread::spawn(move || {
            for content in 1..=2 {
                assert!(send(&mut producer, content));
                producer.publish();
                waker.wake();
            }
            drop(producer);
            waker.wake();
        });
        let mut contents = Vec::new();
        loop {
            contents.extend(take_run(&mut consumer));
            parker.prepare();
            if consumer.is_closed() {
                break;
            }
            if consumer.readable().is_empty() {
                parker.park_timeout(None);
            } else {
                parker.cancel();
            }
        }
        assert_eq!(contents, [1, 2]);
        writer.join().expect("the writer ends");
    });
}

#[test]
fn a_future_that_parks_is_woken_by_another_core() {
    explore(|| {
        let (mut producer, mut consumer) = two_frames();
        let (parker, waker) = parking();
        let writer = thread::spawn(move || {
            assert!(send(&mut producer, 1));
            producer.publish();
            waker.wake();
        });
        let contents = block_on(async move {
            loop {
                let contents = take_run(&mut consumer);
                if !contents.is_empty() {
                    return contents;
                }
                parker.prepare();
                if consumer.readable().is_empty() {
                    poll_fn(|cx| parker.poll_park(cx)).await;
                } else {
                    parker.cancel();
                }
            }
        });
        assert_eq!(contents, [1]);
        writer.join().expect("the writer ends");
    });
}

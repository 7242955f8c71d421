//! Step 4, ring: one thread holds both ends and compares them with a queue of byte vectors.
#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

use std::collections::VecDeque;

use pelton::ring::{ClaimRefused, Consumer, Producer, RING_ALIGN, RingSettings, ring};
use proptest::prelude::*;

const MARKER_BYTES: usize = 32;

fn frame(bytes: usize, content: u8) -> Vec<u8> {
    let mut frame = vec![content; bytes];
    frame[..4].copy_from_slice(&u32::try_from(bytes).unwrap().to_le_bytes());
    frame
}

fn send(producer: &mut Producer, bytes: usize, content: u8) -> Result<(), ClaimRefused> {
    let claim = producer.claim(bytes)?;
    assert!(claim.len() >= bytes && claim.as_ptr().addr().is_multiple_of(RING_ALIGN));
    claim[..bytes].copy_from_slice(&frame(bytes, content));
    producer.commit(bytes);
    Ok(())
}

fn send_marker(producer: &mut Producer, content: u8) -> Result<(), ClaimRefused> {
    let claim = producer.claim_marker(MARKER_BYTES)?;
    claim.copy_from_slice(&frame(MARKER_BYTES, content));
    producer.commit(MARKER_BYTES);
    Ok(())
}

fn first_frame(run: &[u8]) -> &[u8] {
    let length = u32::from_le_bytes(*run.first_chunk().unwrap());
    &run[..length as usize]
}

fn take(consumer: &mut Consumer) -> Option<Vec<u8>> {
    let run = consumer.readable();
    assert!(run.as_ptr().addr().is_multiple_of(RING_ALIGN));
    if run.is_empty() {
        return None;
    }
    let frame = first_frame(run).to_vec();
    consumer.advance(frame.len());
    Some(frame)
}

#[derive(Debug, Clone)]
enum Step {
    /// Claims `spare` bytes more than the frame needs.
    Send {
        frame_words: usize,
        spare_bytes: usize,
    },
    /// Claims a run and commits some frames of one length to it.
    SendRun {
        frame_words: usize,
        frames_max: usize,
    },
    /// Claims and thinks better of it.
    Abandon {
        frame_words: usize,
    },
    Marker,
    Publish,
    Take {
        frames: usize,
    },
    Release,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..40_usize, 0..64_usize)
            .prop_map(|(frame_words, spare_bytes)| Step::Send { frame_words, spare_bytes }),
        2 => (1..20_usize, 1..9_usize)
            .prop_map(|(frame_words, frames_max)| Step::SendRun { frame_words, frames_max }),
        1 => (1..40_usize).prop_map(|frame_words| Step::Abandon { frame_words }),
        1 => Just(Step::Marker),
        4 => Just(Step::Publish),
        5 => (1..6_usize).prop_map(|frames| Step::Take { frames }),
        4 => Just(Step::Release),
    ]
}

proptest! {
    #[test]
    fn a_ring_is_a_queue_of_frames(
        capacity_bytes in prop_oneof![Just(256_usize), Just(512), Just(1024)],
        steps in prop::collection::vec(step(), 1..400),
    ) {
        let settings = RingSettings { capacity_bytes, marker_bytes: MARKER_BYTES };
        let (mut producer, mut consumer) = ring(settings);
        let mut committed = VecDeque::new();
        let mut published = VecDeque::new();
        let mut content = 0_u8;
        for step in steps {
            content = content.wrapping_add(1);
            match step {
                Step::Send { frame_words, spare_bytes } => {
                    let bytes = frame_words * RING_ALIGN;
                    match producer.claim(bytes + spare_bytes) {
                        Ok(claim) => {
                            claim[..bytes].copy_from_slice(&frame(bytes, content));
                            producer.commit(bytes);
                            committed.push_back(frame(bytes, content));
                        }
                        Err(ClaimRefused::TooLarge { .. }) => {
                            prop_assert!(bytes + spare_bytes > producer.frame_bytes_max());
                        }
                        Err(ClaimRefused::Full { .. }) => {
                            prop_assert!(bytes + spare_bytes <= producer.frame_bytes_max());
                        }
                        Err(ClaimRefused::Closed) => prop_assert!(false, "both ends live"),
                    }
                }
                Step::SendRun { frame_words, frames_max } => {
                    let bytes = frame_words * RING_ALIGN;
                    let Ok(run) = producer.claim_run(bytes) else { continue };
                    prop_assert!(run.len() >= bytes);
                    let frame_count = frames_max.min(run.len() / bytes);
                    for claim in run.chunks_exact_mut(bytes).take(frame_count) {
                        claim.copy_from_slice(&frame(bytes, content));
                        committed.push_back(frame(bytes, content));
                    }
                    producer.commit(frame_count * bytes);
                }
                Step::Abandon { frame_words } => drop(producer.claim(frame_words * RING_ALIGN)),
                Step::Marker => {
                    if send_marker(&mut producer, content).is_ok() {
                        committed.push_back(frame(MARKER_BYTES, content));
                    }
                }
                Step::Publish => {
                    prop_assert_eq!(producer.publish(), !committed.is_empty());
                    published.append(&mut committed);
                }
                Step::Take { frames } => {
                    for _ in 0..frames {
                        prop_assert_eq!(take(&mut consumer), published.pop_front());
                    }
                }
                Step::Release => consumer.release(),
            }
        }
        producer.publish();
        published.append(&mut committed);
        drop(producer);
        while let Some(expected) = published.pop_front() {
            prop_assert!(!consumer.is_closed());
            prop_assert_eq!(take(&mut consumer), Some(expected));
        }
        prop_assert!(consumer.is_closed());
    }

    #[test]
    fn a_drained_ring_takes_its_longest_frame_and_a_full_one_three_markers(
        capacity_bytes in prop_oneof![Just(256_usize), Just(512), Just(4096)],
        frames_words in prop::collection::vec(1..64_usize, 1..60),
    ) {
        let settings = RingSettings { capacity_bytes, marker_bytes: MARKER_BYTES };
        let (mut producer, mut consumer) = ring(settings);
        for frame_words in frames_words {
            // Filling the ring with frames of one length brings it to ever other places in a lap.
            while send(&mut producer, frame_words * RING_ALIGN, 1).is_ok() {}
            for _ in 0..3 {
                prop_assert_eq!(send_marker(&mut producer, 2), Ok(()));
            }
            producer.publish();
            while take(&mut consumer).is_some() {}
            consumer.release();
            prop_assert_eq!(producer.free_bytes(), capacity_bytes);
            prop_assert_eq!(send(&mut producer, settings.frame_bytes_max(), 3), Ok(()));
            producer.publish();
            while take(&mut consumer).is_some() {}
            consumer.release();
        }
    }
}

#[test]
fn a_ring_for_two_frames_takes_two_at_every_place_in_a_lap() {
    let (frame_bytes, settings) = (64, RingSettings::for_frames(64, 2, MARKER_BYTES));
    for lead_words in 1..64 {
        let (mut producer, mut consumer) = ring(settings);
        for _ in 0..lead_words {
            send(&mut producer, RING_ALIGN, 0).unwrap();
            producer.publish();
            take(&mut consumer).unwrap();
            consumer.release();
        }
        send(&mut producer, frame_bytes, 1).unwrap();
        send(&mut producer, frame_bytes, 2).unwrap();
    }
}

#[test]
fn a_full_ring_says_what_is_missing_and_takes_markers_all_the_same() {
    let (mut producer, mut consumer) =
        ring(RingSettings { capacity_bytes: 256, marker_bytes: MARKER_BYTES });
    send(&mut producer, 64, 1).unwrap();
    send(&mut producer, 64, 2).unwrap();
    let full = ClaimRefused::Full { wanted_bytes: 64, free_bytes: 128 };
    assert_eq!(send(&mut producer, 64, 3), Err(full));
    for content in 4..7 {
        send_marker(&mut producer, content).unwrap();
    }
    let full = ClaimRefused::Full { wanted_bytes: 8, free_bytes: 32 };
    assert_eq!(send(&mut producer, 8, 7), Err(full));
    producer.publish();
    let contents: Vec<u8> = std::iter::from_fn(|| take(&mut consumer)).map(|f| f[4]).collect();
    assert_eq!(contents, [1, 2, 4, 5, 6]);
    assert_eq!(send(&mut producer, 8, 7), Err(full), "taken, but not yet released");
    consumer.release();
    assert_eq!(send(&mut producer, 8, 7), Ok(()));
}

#[test]
fn a_frame_that_would_never_fit_is_told_from_one_that_has_to_wait() {
    let (mut producer, _consumer) =
        ring(RingSettings { capacity_bytes: 256, marker_bytes: MARKER_BYTES });
    let bytes_max = producer.frame_bytes_max();
    let wanted_bytes = bytes_max + 1;
    let too_large = ClaimRefused::TooLarge { wanted_bytes, bytes_max };
    assert_eq!(producer.claim(wanted_bytes), Err(too_large));
    assert!(matches!(producer.claim(usize::MAX), Err(ClaimRefused::TooLarge { .. })));
    assert!(matches!(producer.claim_marker(40), Err(ClaimRefused::TooLarge { .. })));
    assert!(producer.claim(bytes_max).is_ok());
}

#[test]
fn nothing_is_seen_before_it_is_published() {
    let (mut producer, mut consumer) =
        ring(RingSettings { capacity_bytes: 256, marker_bytes: MARKER_BYTES });
    assert!(!producer.publish());
    send(&mut producer, 16, 1).unwrap();
    assert_eq!(take(&mut consumer), None);
    assert!(producer.publish());
    send(&mut producer, 16, 2).unwrap();
    drop(producer);
    assert!(!consumer.is_closed());
    assert_eq!(take(&mut consumer), Some(frame(16, 1)));
    assert!(consumer.is_closed());
}

#[test]
fn a_producer_learns_that_its_consumer_is_gone_when_the_ring_is_full() {
    let (mut producer, consumer) =
        ring(RingSettings { capacity_bytes: 256, marker_bytes: MARKER_BYTES });
    assert!(!producer.is_closed());
    drop(consumer);
    let refused = (0..10).find_map(|_| send(&mut producer, 64, 1).err());
    assert_eq!(refused, Some(ClaimRefused::Closed));
    assert!(producer.is_closed());
}

#[test]
fn a_run_leaves_the_markers_their_room() {
    let (mut producer, _consumer) =
        ring(RingSettings { capacity_bytes: 256, marker_bytes: MARKER_BYTES });
    let run = producer.claim_run(16).unwrap();
    let run_bytes = run.len();
    run.copy_from_slice(&frame(run_bytes, 1));
    producer.commit(run_bytes);
    assert!(producer.claim(8).is_err());
    for content in 2..5 {
        send_marker(&mut producer, content).unwrap();
    }
}

#[test]
fn what_is_not_the_producers_is_not_committed_and_only_what_is_readable_is_taken() {
    let settings = RingSettings { capacity_bytes: 256, marker_bytes: MARKER_BYTES };
    let overrun = std::panic::catch_unwind(|| {
        let (mut producer, _consumer) = ring(settings);
        producer.claim(16).unwrap();
        producer.commit(256);
    });
    assert!(overrun.is_err());
    let unclaimed_marker = std::panic::catch_unwind(|| {
        let (mut producer, _consumer) = ring(settings);
        while send(&mut producer, 8, 1).is_ok() {}
        producer.commit(8);
    });
    assert!(unclaimed_marker.is_err());
    let overread = std::panic::catch_unwind(|| {
        let (_producer, mut consumer) = ring(settings);
        consumer.advance(8);
    });
    assert!(overread.is_err());
}

//! Records alone: a bid is encoded into a batch of frames and read in place from it.
//!
//! `cargo bench -p pelton-benches --bench record` prints M records/s, the best of 15 passes over
//! 4,096 records that stay in the cache, so that the code is measured and not the memory. Beside
//! each figure stands its yardstick from the same run: rkyv alone, without views and frames.

use std::hint::black_box;
use std::io::{self, Write};

use pelton::clock::Clock;
use pelton::record::{FRAME_HEADER_BYTES, Frame, FrameHeader, FrameWriter, Record};
use pelton::rkyv;
use pelton::rkyv::rancor::{Error, Failure};
use pelton::rkyv::ser::Positional;
use pelton::rkyv::ser::writer::Buffer;
use pelton::rkyv::util::AlignedVec;

/// Nexmark's bid; its payload has 96 bytes. One type for each figure, as a job has one place
/// where a record is encoded: with two, LLVM keeps a function of its own and calls it.
macro_rules! bid {
    ($name:ident) => {
        #[pelton::record]
        struct $name {
            auction: u64,
            bidder: u64,
            price: u64,
            time: i64,
            channel: String,
            url: String,
            extra: String,
        }

        impl $name {
            fn all() -> Vec<Self> {
                let bid = |index: u64| Self {
                    auction: index,
                    bidder: index * 7,
                    price: index * 13,
                    time: 1_000_000,
                    channel: "Google".to_owned(),
                    url: format!("https://auction/{index:06}"),
                    extra: "more text..".to_owned(),
                };
                (0..RECORD_COUNT as u64).map(bid).collect()
            }
        }
    };
}

bid!(Bid);
bid!(OwnedBid);
bid!(FramedBid);

/// A record without text: a payload of 32 bytes.
#[pelton::record]
struct Numbers {
    auction: u64,
    bidder: u64,
    price: u64,
    time: i64,
}

const RECORD_COUNT: usize = 4_096;
/// Frames stand at a fixed distance, so that no read waits for the length of the one before.
const SLOT_BYTES: usize = 192;
const PASS_COUNT: usize = 15;

type Batch = AlignedVec<64>;

fn numbers() -> Vec<Numbers> {
    let numbers =
        |index: u64| Numbers { auction: index, bidder: index * 7, price: index * 13, time: 1 };
    (0..RECORD_COUNT as u64).map(numbers).collect()
}

fn batch() -> Batch {
    let mut batch = Batch::new();
    batch.resize(RECORD_COUNT * SLOT_BYTES, 0);
    batch
}

fn writer(payload: &mut [u8]) -> FrameWriter<'_> {
    FrameWriter::new(Buffer::from(payload), (), ())
}

fn written(writer: FrameWriter<'_>) -> usize {
    writer.into_writer().pos()
}

/// Encodes whole frames from views; the last payload's length.
fn encode_frames<R: Record>(records: &[R], batch: &mut Batch) -> usize {
    let mut payload_bytes = 0;
    for (record, slot) in records.iter().zip(batch.chunks_exact_mut(SLOT_BYTES)) {
        let mut writer = writer(&mut slot[FRAME_HEADER_BYTES..]);
        R::encode(record.view(), &mut writer).expect("a slot has room for a record");
        payload_bytes = written(writer);
        FrameHeader::default().write(payload_bytes, slot);
    }
    payload_bytes
}

/// Encodes payloads from views.
fn encode_payloads<R: Record>(records: &[R], batch: &mut Batch) {
    for (record, slot) in records.iter().zip(batch.chunks_exact_mut(SLOT_BYTES)) {
        let mut writer = writer(&mut slot[FRAME_HEADER_BYTES..]);
        R::encode(record.view(), &mut writer).expect("a slot has room for a record");
    }
}

/// M records/s in the best pass; `run` handles every record `rounds` times.
fn best(clock: &Clock, rounds: u32, mut run: impl FnMut()) -> f64 {
    let mut pass = || {
        let start_ns = clock.now_ns();
        for _ in 0..rounds {
            run();
        }
        (clock.now_ns() - start_ns).max(1)
    };
    let best_ns = (0..PASS_COUNT).map(|_| pass()).min().expect("there are passes");
    let records = u64::from(rounds) * RECORD_COUNT as u64;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = records as f64 * 1e3 / best_ns as f64;
    rate
}

fn archived<R: Record>(batch: &Batch) -> Vec<&R::Archived>
where
    R::Archived: for<'a> rkyv::bytecheck::CheckBytes<rkyv::api::high::HighValidator<'a, Error>>,
{
    let slots = batch.chunks_exact(SLOT_BYTES);
    let payloads = slots.map(|slot| Frame::new(slot).payload());
    payloads
        .map(|payload| rkyv::access::<R::Archived, Error>(payload).expect("we wrote it"))
        .collect()
}

fn main() -> io::Result<()> {
    // `cargo test` runs benches with `--test`, `cargo bench` with `--bench`.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { 400 } else { 1 };
    let clock = Clock::machine();
    let mut out = io::stdout().lock();
    let mut show = |name: &str, rate: f64| writeln!(out, "{name:<44} {rate:>8.1} M/s");

    let mut frames = batch();
    let records = OwnedBid::all();
    show(
        "bid: rkyv of the owned struct (yardstick)",
        best(&clock, rounds, || {
            for (record, slot) in
                black_box(&records).iter().zip(frames.chunks_exact_mut(SLOT_BYTES))
            {
                let mut writer = writer(&mut slot[FRAME_HEADER_BYTES..]);
                rkyv::api::serialize_using::<_, Failure>(record, &mut writer)
                    .expect("there is room");
            }
        }),
    )?;
    let records = Bid::all();
    show(
        "bid: Record::encode of its view",
        best(&clock, rounds, || {
            encode_payloads(black_box(&records), &mut frames);
        }),
    )?;
    let records = FramedBid::all();
    let mut payload_bytes = 0;
    show(
        "bid: encode and frame header",
        best(&clock, rounds, || {
            payload_bytes = encode_frames(black_box(&records), &mut frames);
        }),
    )?;
    assert_eq!(payload_bytes, 96, "the figures are for a bid of 96 bytes");
    let roots = archived::<FramedBid>(&frames);
    show(
        "bid: rkyv's archived fields (yardstick)",
        best(&clock, rounds, || {
            let sum = black_box(&roots).iter().fold(0, |sum: u64, root| {
                sum.wrapping_add(root.price.to_native()).wrapping_add(root.auction.to_native())
            });
            black_box(sum);
        }),
    )?;
    show(
        "bid: Record::view_archived",
        best(&clock, rounds, || {
            let sum = black_box(&roots).iter().fold(0, |sum: u64, root| {
                let view = FramedBid::view_archived(root);
                sum.wrapping_add(view.price).wrapping_add(view.auction)
            });
            black_box(sum);
        }),
    )?;
    show(
        "bid: Frame::view",
        best(&clock, rounds, || {
            let slots = black_box(&frames).chunks_exact(SLOT_BYTES);
            let sum = slots.fold(0, |sum: u64, slot| {
                let view = Frame::new(slot).view::<FramedBid>();
                sum.wrapping_add(view.price).wrapping_add(view.auction)
            });
            black_box(sum);
        }),
    )?;
    show(
        "bid: Frame::view and a text's length",
        best(&clock, rounds, || {
            let slots = black_box(&frames).chunks_exact(SLOT_BYTES);
            let sum = slots.fold(0, |sum: u64, slot| {
                let view = Frame::new(slot).view::<FramedBid>();
                sum.wrapping_add(view.price).wrapping_add(view.url.len() as u64)
            });
            black_box(sum);
        }),
    )?;

    let records = numbers();
    let mut frames = batch();
    show(
        "numbers: Record::encode of its view",
        best(&clock, rounds, || {
            encode_payloads(black_box(&records), &mut frames);
        }),
    )?;
    show(
        "numbers: encode and frame header",
        best(&clock, rounds, || {
            encode_frames(black_box(&records), &mut frames);
        }),
    )
}

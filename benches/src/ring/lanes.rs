//! The lanes: what carries 64-byte messages from one core to another. Each writes the message in
//! place where the library can, and reads two words of each where it lies.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;
use pelton::ring::{Consumer, Producer, RingSettings, ring};

use super::{BATCH, MESSAGE_BYTES, MESSAGES_MAX, Wait, until};

pub(super) trait Lane {
    const NAME: &'static str;
    const TAKES_SINGLES: bool = true;
    const TAKES_BATCHES: bool = true;
    fn pair() -> (impl Send, impl Receive);
}

pub(super) trait Send: std::marker::Send {
    /// Sends the messages `first..first + batch`, visible at once if there is room; spins where
    /// there is not. `batch` is 1 or [`BATCH`].
    fn send(&mut self, first: u64, batch: usize);
}

pub(super) trait Receive: std::marker::Send {
    /// Takes what is there: how many, and the sum of their numbers.
    fn take(&mut self) -> (u64, u64);
}

/// A message as a library of slots sees it; on its own cache line, as a frame of that length is.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Message([u64; 8]);
const _: () = assert!(size_of::<Message>() == MESSAGE_BYTES);

impl Message {
    #[inline(always)]
    fn new(number: u64) -> Self {
        Self([MESSAGE_BYTES as u64, number, 2, 3, 4, 5, 6, number])
    }
    /// Written in place, as a frame with its length first.
    #[inline(always)]
    fn write(self, frame: &mut [u8]) {
        let frame: &mut [u8; MESSAGE_BYTES] = frame.first_chunk_mut().expect("what was claimed");
        for (word, bytes) in self.0.iter().zip(frame.chunks_exact_mut(8)) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
    }
    /// The number, made of words from both ends.
    #[inline(always)]
    fn number(&self) -> u64 {
        self.0[7] & self.0[1]
    }
}

/// The ring, batches written as runs: one claim for as many frames as fit in one piece.
pub(super) struct Pelton;
/// The ring, each frame of a batch claimed by itself, as an exchange to many shards does.
pub(super) struct PeltonFrames;
pub(super) struct RunSender(Producer);

const SETTINGS: RingSettings =
    RingSettings { capacity_bytes: MESSAGES_MAX * MESSAGE_BYTES, marker_bytes: 32 };

impl Lane for Pelton {
    const NAME: &'static str = "pelton";
    fn pair() -> (impl Send, impl Receive) {
        let (producer, consumer) = ring(SETTINGS);
        (RunSender(producer), consumer)
    }
}

impl Lane for PeltonFrames {
    const NAME: &'static str = "pelton, frame by frame";
    const TAKES_SINGLES: bool = false;
    fn pair() -> (impl Send, impl Receive) {
        ring(SETTINGS)
    }
}

impl Send for Producer {
    #[inline(always)]
    fn send(&mut self, first: u64, batch: usize) {
        for number in first..first + batch as u64 {
            let mut wait = Wait::default();
            let frame = loop {
                match self.claim(MESSAGE_BYTES) {
                    Ok(frame) => break frame,
                    Err(_) => {
                        self.publish();
                        wait.turn();
                    }
                }
            };
            Message::new(number).write(frame);
            self.commit(MESSAGE_BYTES);
        }
        self.publish();
    }
}

impl Send for RunSender {
    #[inline(always)]
    fn send(&mut self, first: u64, batch: usize) {
        if batch == 1 {
            return self.0.send(first, 1);
        }
        let (mut number, end) = (first, first + batch as u64);
        let mut wait = Wait::default();
        while number < end {
            if let Ok(run) = self.0.claim_run(MESSAGE_BYTES) {
                let started = number;
                for (frame, next) in run.chunks_exact_mut(MESSAGE_BYTES).zip(number..end) {
                    Message::new(next).write(frame);
                    number = next + 1;
                }
                let frame_count = usize::try_from(number - started).expect("a batch is short");
                self.0.commit(frame_count * MESSAGE_BYTES);
            } else {
                self.0.publish();
                wait.turn();
            }
        }
        self.0.publish();
    }
}

impl Receive for Consumer {
    #[inline(always)]
    fn take(&mut self) -> (u64, u64) {
        let (mut count, mut sum) = (0, 0_u64);
        let mut rest = self.readable();
        let run_bytes = rest.len();
        while let Some((length, _)) = rest.split_first_chunk() {
            sum = sum.wrapping_add(word(rest, 7) & word(rest, 1));
            count += 1;
            rest = &rest[u32::from_le_bytes(*length) as usize..];
        }
        if run_bytes > 0 {
            self.advance(run_bytes);
            self.release();
        }
        (count, sum)
    }
}

#[inline(always)]
fn word(frame: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(*frame[index * 8..].first_chunk().expect("a frame of eight words"))
}

/// rtrb as it is meant for single messages.
pub(super) struct Rtrb;

impl Lane for Rtrb {
    const NAME: &'static str = "rtrb";
    const TAKES_BATCHES: bool = false;
    fn pair() -> (impl Send, impl Receive) {
        rtrb::RingBuffer::<Message>::new(MESSAGES_MAX)
    }
}

impl Send for rtrb::Producer<Message> {
    #[inline(always)]
    fn send(&mut self, first: u64, _batch: usize) {
        until(|| self.push(Message::new(first)).is_ok());
    }
}

impl Receive for rtrb::Consumer<Message> {
    #[inline(always)]
    fn take(&mut self) -> (u64, u64) {
        match self.pop() {
            Ok(message) => (1, message.number()),
            Err(_) => (0, 0),
        }
    }
}

/// rtrb with chunks: batches written in place, and all that is there read in place.
pub(super) struct RtrbChunks;
pub(super) struct ChunkSender(rtrb::Producer<Message>);
pub(super) struct ChunkReceiver(rtrb::Consumer<Message>);

impl Lane for RtrbChunks {
    const NAME: &'static str = "rtrb, chunks";
    fn pair() -> (impl Send, impl Receive) {
        let (sender, receiver) = rtrb::RingBuffer::new(MESSAGES_MAX);
        (ChunkSender(sender), ChunkReceiver(receiver))
    }
}

impl Send for ChunkSender {
    #[inline(always)]
    fn send(&mut self, first: u64, batch: usize) {
        if batch == 1 {
            return self.0.send(first, 1);
        }
        let mut wait = Wait::default();
        loop {
            if let Ok(chunk) = self.0.write_chunk_uninit(batch) {
                chunk.fill_from_iter((first..first + batch as u64).map(Message::new));
                return;
            }
            wait.turn();
        }
    }
}

impl Receive for ChunkReceiver {
    #[inline(always)]
    fn take(&mut self) -> (u64, u64) {
        let count = self.0.slots();
        let Ok(chunk) = self.0.read_chunk(count) else {
            return (0, 0);
        };
        let (first, second) = chunk.as_slices();
        let sum = first.iter().chain(second).map(Message::number).fold(0, u64::wrapping_add);
        chunk.commit_all();
        (count as u64, sum)
    }
}

/// crossbeam's bounded queue, which any number of threads may use.
pub(super) struct CrossbeamQueue;

impl Lane for CrossbeamQueue {
    const NAME: &'static str = "crossbeam ArrayQueue";
    const TAKES_BATCHES: bool = false;
    fn pair() -> (impl Send, impl Receive) {
        let queue = Arc::new(ArrayQueue::<Message>::new(MESSAGES_MAX));
        (Arc::clone(&queue), queue)
    }
}

impl Send for Arc<ArrayQueue<Message>> {
    #[inline(always)]
    fn send(&mut self, first: u64, _batch: usize) {
        until(|| self.push(Message::new(first)).is_ok());
    }
}

impl Receive for Arc<ArrayQueue<Message>> {
    #[inline(always)]
    fn take(&mut self) -> (u64, u64) {
        self.pop().map_or((0, 0), |message| (1, message.number()))
    }
}

/// The limit: the same lines over and over, handed across in fixed blocks with one flag each. No
/// lengths, no room to look for, nothing to wrap; what is left is the lines' way between cores.
pub(super) struct Blocks;
const BLOCKS: usize = MESSAGES_MAX / BATCH;

#[derive(Default)]
#[repr(C, align(64))]
struct Words([AtomicU64; 8]);

struct Block {
    /// The batch that it holds, counted from 1; 0 where it was read.
    batch: CachePadded<AtomicU64>,
    lines: Vec<Words>,
}

pub(super) struct BlockEnd {
    blocks: Arc<Vec<Block>>,
    next: usize,
}

impl Lane for Blocks {
    const NAME: &'static str = "blocks";
    const TAKES_SINGLES: bool = false;
    fn pair() -> (impl Send, impl Receive) {
        let block = || Block {
            batch: CachePadded::new(AtomicU64::new(0)),
            lines: (0..BATCH).map(|_| Default::default()).collect(),
        };
        let blocks = Arc::new((0..BLOCKS).map(|_| block()).collect::<Vec<_>>());
        (BlockEnd { blocks: Arc::clone(&blocks), next: 0 }, BlockEnd { blocks, next: 0 })
    }
}

impl Send for BlockEnd {
    fn send(&mut self, first: u64, _batch: usize) {
        let block = &self.blocks[self.next % BLOCKS];
        until(|| block.batch.load(Ordering::Acquire) == 0);
        for (number, words) in (first..).zip(&block.lines) {
            for (to, from) in words.0.iter().zip(Message::new(number).0) {
                to.store(from, Ordering::Relaxed);
            }
        }
        block.batch.store(first + 1, Ordering::Release);
        self.next += 1;
    }
}

impl Receive for BlockEnd {
    fn take(&mut self) -> (u64, u64) {
        let block = &self.blocks[self.next % BLOCKS];
        if block.batch.load(Ordering::Acquire) == 0 {
            return (0, 0);
        }
        let number = |Words(words): &Words| {
            words[7].load(Ordering::Relaxed) & words[1].load(Ordering::Relaxed)
        };
        let sum = block.lines.iter().map(number).fold(0, u64::wrapping_add);
        block.batch.store(0, Ordering::Release);
        self.next += 1;
        (BATCH as u64, sum)
    }
}

/// One word that goes back and forth.
#[derive(Default)]
pub(super) struct Line(CachePadded<AtomicU64>);

impl Line {
    /// Says `turn` and waits for the answer.
    pub(super) fn ask(&self, turn: u64) {
        self.0.store(turn, Ordering::Release);
        until(|| self.0.load(Ordering::Acquire) == turn + 1);
    }
    /// Waits for `turn` and answers it.
    pub(super) fn answer(&self, turn: u64) {
        until(|| self.0.load(Ordering::Acquire) == turn);
        self.0.store(turn + 1, Ordering::Release);
    }
}

//! Step 1, source: reads one file or pipe in blocks, on a thread of its own or in place.
//!
//! Takes a path; hands on [`Block`]s of decompressed bytes, in order.
//!
//! ```text
//!    reader thread                                shard's turn
//!    read, decompress --- full blocks (bounded) ---> poll
//!          ^                                          |
//!          +------------- empty blocks <--- recycle --+
//! ```
//!
//! Invariants
//! 1. [`BLOCK_COUNT`] blocks of [`BLOCK_BYTES`] exist for an open file; no channel can overflow.
//! 2. The thread's last word is `Ended` or `Failed`; it ends at its next block once the reader is
//!    dropped, because both channels are then closed.
//! 3. `wake` is called after each word of the thread, so that a parked shard continues.
//!
//! Why a thread and not io_uring: decompression has to run somewhere, it costs more than the copy
//! out of the page cache, and the same thread serves where io_uring is forbidden. Why a thread for
//! each file and not a pool: a slow pipe must not hold back a file; the number of open splits is
//! bounded by the job.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};

use super::ReadError;
use super::compression::{Compression, Decompressed, Raw};

/// How many bytes a block holds.
pub const BLOCK_BYTES: usize = 256 << 10;
/// How many blocks there are for one open file.
pub const BLOCK_COUNT: usize = 4;

/// Wakes a parked shard. Cheap where the shard is not parked.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Who does the reading.
#[derive(Clone)]
pub enum ReaderMode {
    /// A helper thread, which calls `wake` after each block.
    Thread {
        /// Wakes the shard that polls.
        wake: Wake,
    },
    /// Whoever polls: for the simulator and for tests.
    Inline,
}

/// A run of bytes, as they were read.
#[derive(Debug, Default)]
pub struct Block {
    bytes: Vec<u8>,
    filled_bytes: usize,
}

impl Block {
    /// A block that holds `bytes`; it can be recycled like any other.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        let filled_bytes = bytes.len();
        Self { bytes, filled_bytes }
    }
}

impl Deref for Block {
    type Target = [u8];
    #[inline(always)]
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.filled_bytes]
    }
}

/// What a poll found.
#[derive(Debug)]
pub enum BlockPoll {
    /// The next block, never empty.
    Ready(Block),
    /// Nothing yet; `wake` will be called.
    Pending,
    /// The whole input has been handed out.
    Ended,
    /// It can't be read on.
    Failed(ReadError),
}

/// Reads one file or pipe.
pub struct BlockReader {
    name: String,
    block_bytes: usize,
    worker: Worker,
    last_word: Option<Result<(), ReadError>>,
}

enum Worker {
    Inline { filler: Box<Filler>, empty: Vec<Vec<u8>> },
    Thread { full: Receiver<Word>, empty: Sender<Vec<u8>> },
}

/// What the thread says.
enum Word {
    Block(Block),
    Ended,
    Failed(ReadError),
}

impl BlockReader {
    /// Opens `path`, or standard input where it is `-`.
    ///
    /// # Errors
    /// The file can't be opened. What its bytes hold comes out of [`BlockReader::poll`].
    pub fn open(path: &Path, mode: ReaderMode) -> Result<Self, ReadError> {
        let name = path.display().to_string();
        if name == "-" {
            let name = "standard input".to_owned();
            return Self::from_read(name, Box::new(io::stdin()), mode, BLOCK_BYTES);
        }
        let cause = |cause| ReadError::Open { name: name.clone(), cause: Arc::new(cause) };
        let file = File::open(path).map_err(cause)?;
        let kind = file.metadata().map_err(cause)?.file_type();
        if kind.is_dir() {
            return Err(ReadError::NotAFile { name });
        }
        let mut reader = Filler::new(name.clone(), Box::new(file), BLOCK_BYTES);
        reader.fills_up = kind.is_file();
        Self::start(name, reader, mode)
    }

    /// Reads from `raw`, which is called `name` in errors, in blocks of `block_bytes` at most.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn from_read(
        name: String,
        raw: Box<dyn Read + Send>,
        mode: ReaderMode,
        block_bytes: usize,
    ) -> Result<Self, ReadError> {
        Self::start(name.clone(), Filler::new(name, raw, block_bytes), mode)
    }

    fn start(name: String, mut filler: Filler, mode: ReaderMode) -> Result<Self, ReadError> {
        let block_bytes = filler.block_bytes;
        let worker = match mode {
            ReaderMode::Inline => Worker::Inline { filler: Box::new(filler), empty: Vec::new() },
            ReaderMode::Thread { wake } => {
                let (full_sender, full) = bounded(BLOCK_COUNT + 1);
                let (empty, empty_receiver) = bounded(BLOCK_COUNT);
                for _ in 0..BLOCK_COUNT {
                    empty
                        .send(Vec::new())
                        .expect("invariant 1: the channel has room for every block");
                }
                std::thread::Builder::new()
                    .name("pelton-read".to_owned())
                    .spawn(move || filler.run(&empty_receiver, &full_sender, &wake))
                    .map_err(|cause| ReadError::Open {
                        name: name.clone(),
                        cause: Arc::new(cause),
                    })?;
                Worker::Thread { full, empty }
            }
        };
        Ok(Self { name, block_bytes, worker, last_word: None })
    }

    /// What errors call the input.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next block, if it is there.
    ///
    /// # Panics
    /// The reader thread panicked: a bug.
    pub fn poll(&mut self) -> BlockPoll {
        match &self.last_word {
            None => {}
            Some(Ok(())) => return BlockPoll::Ended,
            Some(Err(error)) => return BlockPoll::Failed(error.clone()),
        }
        let word = match &mut self.worker {
            Worker::Inline { filler, empty } => filler.fill(empty.pop().unwrap_or_default()),
            Worker::Thread { full, .. } => match full.try_recv() {
                Ok(word) => word,
                Err(TryRecvError::Empty) => return BlockPoll::Pending,
                Err(TryRecvError::Disconnected) => {
                    panic!("invariant 2: the reader of {} is gone without a word", self.name)
                }
            },
        };
        match word {
            Word::Block(block) => BlockPoll::Ready(block),
            Word::Ended => {
                self.last_word = Some(Ok(()));
                BlockPoll::Ended
            }
            Word::Failed(error) => {
                self.last_word = Some(Err(error.clone()));
                BlockPoll::Failed(error)
            }
        }
    }

    /// Gives a block back, to be filled again. A block that is not one of the reader's is dropped.
    pub fn recycle(&mut self, block: Block) {
        if block.bytes.len() != self.block_bytes {
            return;
        }
        match &mut self.worker {
            Worker::Inline { empty, .. } if empty.is_empty() => empty.push(block.bytes),
            Worker::Inline { .. } => {}
            // A closed channel: the thread has read everything and needs no more blocks.
            Worker::Thread { empty, .. } => drop(empty.try_send(block.bytes)),
        }
    }
}

/// Fills blocks: the part that blocks.
struct Filler {
    name: String,
    raw: Option<Raw>,
    input: Option<Decompressed>,
    block_bytes: usize,
    /// Whether to wait until a block is full: right for files, wrong for pipes.
    fills_up: bool,
    /// Met after bytes that were good; the next fill says it.
    failed: Option<io::Error>,
}

impl Filler {
    fn new(name: String, raw: Raw, block_bytes: usize) -> Self {
        assert!(block_bytes > 0, "a block holds at least one byte");
        Self { name, raw: Some(raw), input: None, block_bytes, fills_up: false, failed: None }
    }

    fn run(&mut self, empty: &Receiver<Vec<u8>>, full: &Sender<Word>, wake: &Wake) {
        while let Ok(buffer) = empty.recv() {
            let word = self.fill(buffer);
            let is_last = !matches!(word, Word::Block(_));
            let reader_is_gone = full.send(word).is_err();
            if reader_is_gone {
                return;
            }
            wake();
            if is_last {
                return;
            }
        }
    }

    fn fill(&mut self, mut bytes: Vec<u8>) -> Word {
        if let Some(raw) = self.raw.take() {
            match Decompressed::new(raw) {
                Ok(input) => self.input = Some(input),
                Err(cause) => return Word::Failed(self.failure(cause)),
            }
            if let Some(failed) = self.broken_promise() {
                return Word::Failed(failed);
            }
        }
        if let Some(cause) = self.failed.take() {
            return Word::Failed(self.failure(cause));
        }
        bytes.resize(self.block_bytes, 0);
        match self.read_block(&mut bytes) {
            Ok(0) => self.last_word(),
            Ok(filled_bytes) => Word::Block(Block { bytes, filled_bytes }),
            Err(cause) => Word::Failed(self.failure(cause)),
        }
    }

    fn read_block(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let input =
            self.input.as_mut().expect("fill opened the input, and asks no more after a failure");
        let mut filled_bytes = 0;
        while filled_bytes < bytes.len() {
            match input.read(&mut bytes[filled_bytes..]) {
                Ok(0) => break,
                Ok(count) => filled_bytes += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if filled_bytes > 0 => {
                    self.failed = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            }
            if !self.fills_up {
                break;
            }
        }
        Ok(filled_bytes)
    }

    /// A name like `x.csv.gz` over bytes that are not compressed (invariant 2 of this folder).
    fn broken_promise(&self) -> Option<ReadError> {
        let promised = Compression::of_name(&self.name)?;
        let found = self.input.as_ref().and_then(Decompressed::compression);
        let cause = io::Error::other("its bytes do not start like it, though its name says so");
        found.is_none().then(|| ReadError::Corrupt {
            name: self.name.clone(),
            compression: promised,
            offset: 0,
            cause: Arc::new(cause),
        })
    }

    /// At the end of the bytes: whether it is one that the name and the compression allow.
    fn last_word(&mut self) -> Word {
        let input = self.input.as_mut().expect("a block was read from it");
        let found = input.compression();
        if found.is_some() && input.has_rest().unwrap_or(false) {
            let cause = io::Error::other("there are other bytes behind its end");
            return Word::Failed(self.failure(cause));
        }
        Word::Ended
    }

    fn failure(&self, cause: io::Error) -> ReadError {
        let name = self.name.clone();
        let cause = Arc::new(cause);
        let offset = self.input.as_ref().map_or(0, Decompressed::offset);
        match self.input.as_ref().and_then(Decompressed::compression) {
            Some(compression) if cause.raw_os_error().is_none() => {
                ReadError::Corrupt { name, compression, offset, cause }
            }
            _ => ReadError::Read { name, offset, cause },
        }
    }
}

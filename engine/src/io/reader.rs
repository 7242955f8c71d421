//! Step 1, source: reads one file or pipe in blocks, on a thread of its own or in place.
//!
//! Takes a path, and maybe where to go on in it; hands on [`Block`]s of decompressed bytes, in order.
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
//! 4. Nothing is read, and no thread started, before the first `poll`: so `seek` can still choose
//!    the place. Of a plain file no byte before that place is ever read.
//!
//! Why a thread and not io_uring: decompression has to run somewhere, it costs more than the copy
//! out of the page cache, and the same thread serves where io_uring is forbidden. Why a thread for
//! each file and not a pool: a slow pipe must not hold back a file; the number of open splits is
//! bounded by the job.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
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

/// How the bytes of an input lie there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not known before the first block was read.
    Unknown,
    /// As they are.
    Plain,
    /// Compressed.
    Compressed(Compression),
}

/// What can be read again from any place.
pub trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// Reads one file or pipe.
pub struct BlockReader {
    name: String,
    block_bytes: usize,
    encoding: Encoding,
    worker: Worker,
    last_word: Option<Result<(), ReadError>>,
}

enum Worker {
    /// A thread that the first poll starts (invariant 4); `None` once it could not be started.
    Waiting {
        filler: Option<Box<Filler>>,
        wake: Wake,
    },
    Inline {
        filler: Box<Filler>,
        empty: Vec<Vec<u8>>,
    },
    Thread {
        full: Receiver<Word>,
        empty: Sender<Vec<u8>>,
    },
}

/// What the thread says.
enum Word {
    Block(Block, Encoding),
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
            return Ok(Self::from_read(name, Box::new(io::stdin()), mode, BLOCK_BYTES));
        }
        let cause = |cause| ReadError::Open { name: name.clone(), cause: Arc::new(cause) };
        let file = File::open(path).map_err(cause)?;
        let kind = file.metadata().map_err(cause)?.file_type();
        if kind.is_dir() {
            return Err(ReadError::NotAFile { name });
        }
        Ok(match kind.is_file() {
            true => Self::from_seek(name, Box::new(file), mode, BLOCK_BYTES),
            false => Self::from_read(name, Box::new(file), mode, BLOCK_BYTES),
        })
    }

    /// Reads from `raw`, which is called `name` in errors, in blocks of `block_bytes` at most.
    /// It is read once, as a pipe would be: [`BlockReader::seek`] refuses.
    #[must_use]
    pub fn from_read(
        name: String,
        raw: Box<dyn Read + Send>,
        mode: ReaderMode,
        block_bytes: usize,
    ) -> Self {
        Self::new(Filler::new(name, Input::Once(raw), block_bytes), mode)
    }

    /// Reads from `raw` as from a file, in blocks of `block_bytes`.
    #[must_use]
    pub fn from_seek(
        name: String,
        raw: Box<dyn ReadSeek>,
        mode: ReaderMode,
        block_bytes: usize,
    ) -> Self {
        Self::new(Filler::new(name, Input::Replayable(raw), block_bytes), mode)
    }

    fn new(filler: Filler, mode: ReaderMode) -> Self {
        let (name, block_bytes) = (filler.name.clone(), filler.block_bytes);
        let filler = Box::new(filler);
        let worker = match mode {
            ReaderMode::Inline => Worker::Inline { filler, empty: Vec::new() },
            ReaderMode::Thread { wake } => Worker::Waiting { filler: Some(filler), wake },
        };
        Self { name, block_bytes, encoding: Encoding::Unknown, worker, last_word: None }
    }

    /// Goes on at byte `offset` of the decompressed bytes, which lay there as `encoding` says when
    /// that was met. Compressed bytes can only be read from their start: they are decompressed up
    /// to the offset and dropped, where the reading is done, so a file that is too short for it
    /// comes out of [`BlockReader::poll`].
    ///
    /// # Errors
    /// It can't be read again, or is shorter than that.
    ///
    /// # Panics
    /// Something was read before: a bug of the caller.
    pub fn seek(&mut self, offset: u64, encoding: Encoding) -> Result<(), ReadError> {
        let filler = match &mut self.worker {
            Worker::Waiting { filler: Some(filler), .. } | Worker::Inline { filler, .. } => filler,
            _ => panic!("the reader of {} has begun before it was told where", self.name),
        };
        filler.seek(offset, encoding)?;
        self.encoding = encoding;
        Ok(())
    }

    /// How the bytes lie there, as far as that has been met.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
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
            Worker::Waiting { filler, wake } => {
                let filler = filler.take().expect("that it could not be started was latched");
                match start_thread(filler, wake.clone()) {
                    Ok(worker) => {
                        self.worker = worker;
                        return BlockPoll::Pending;
                    }
                    Err(error) => Word::Failed(error),
                }
            }
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
            Word::Block(block, encoding) => {
                self.encoding = encoding;
                BlockPoll::Ready(block)
            }
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
            Worker::Inline { .. } | Worker::Waiting { .. } => {}
            // A closed channel: the thread has read everything and needs no more blocks.
            Worker::Thread { empty, .. } => drop(empty.try_send(block.bytes)),
        }
    }
}

fn start_thread(mut filler: Box<Filler>, wake: Wake) -> Result<Worker, ReadError> {
    let name = filler.name.clone();
    let (full_sender, full) = bounded(BLOCK_COUNT + 1);
    let (empty, empty_receiver) = bounded(BLOCK_COUNT);
    for _ in 0..BLOCK_COUNT {
        empty.send(Vec::new()).expect("invariant 1: the channel has room for every block");
    }
    std::thread::Builder::new()
        .name("pelton-read".to_owned())
        .spawn(move || filler.run(&empty_receiver, &full_sender, &wake))
        .map_err(|cause| ReadError::Open { name, cause: Arc::new(cause) })?;
    Ok(Worker::Thread { full, empty })
}

/// What is read.
enum Input {
    /// A pipe.
    Once(Raw),
    /// A file.
    Replayable(Box<dyn ReadSeek>),
}

/// Fills blocks: the part that blocks.
struct Filler {
    name: String,
    /// Taken when the first block is read.
    raw: Option<Input>,
    /// Where the first block starts, and how the bytes lie there.
    begin: (u64, Encoding),
    input: Option<Decompressed>,
    block_bytes: usize,
    /// Whether to wait until a block is full: right for files, wrong for pipes.
    fills_up: bool,
    /// Met after bytes that were good; the next fill says it.
    failed: Option<io::Error>,
}

impl Filler {
    fn new(name: String, raw: Input, block_bytes: usize) -> Self {
        assert!(block_bytes > 0, "a block holds at least one byte");
        let fills_up = matches!(raw, Input::Replayable(_));
        let begin = (0, Encoding::Unknown);
        Self { name, raw: Some(raw), begin, input: None, block_bytes, fills_up, failed: None }
    }

    fn seek(&mut self, offset: u64, encoding: Encoding) -> Result<(), ReadError> {
        let raw = match &mut self.raw {
            Some(Input::Replayable(raw)) => raw,
            Some(Input::Once(_)) => {
                return Err(ReadError::NotReplayable { name: self.name.clone() });
            }
            None => panic!("{} was read before it was told where", self.name),
        };
        if encoding == Encoding::Plain {
            let failed =
                |cause| ReadError::Read { name: self.name.clone(), offset, cause: Arc::new(cause) };
            let found_bytes = raw.seek(SeekFrom::End(0)).map_err(failed)?;
            if found_bytes < offset {
                return Err(self.too_short(offset, found_bytes));
            }
            raw.seek(SeekFrom::Start(offset)).map_err(failed)?;
        }
        self.begin = (offset, encoding);
        Ok(())
    }

    fn run(&mut self, empty: &Receiver<Vec<u8>>, full: &Sender<Word>, wake: &Wake) {
        while let Ok(buffer) = empty.recv() {
            let word = self.fill(buffer);
            let is_last = !matches!(word, Word::Block(..));
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
        bytes.resize(self.block_bytes, 0);
        if let Some(raw) = self.raw.take()
            && let Err(error) = self.begin(raw, &mut bytes)
        {
            return Word::Failed(error);
        }
        if let Some(cause) = self.failed.take() {
            return Word::Failed(self.failure(cause));
        }
        match self.read_block(&mut bytes) {
            Ok(0) => self.last_word(),
            Ok(filled_bytes) => Word::Block(Block { bytes, filled_bytes }, self.encoding()),
            Err(cause) => Word::Failed(self.failure(cause)),
        }
    }

    /// Opens the input, and comes to where the first block starts; `scratch` is a block's bytes.
    fn begin(&mut self, raw: Input, scratch: &mut [u8]) -> Result<(), ReadError> {
        let raw: Raw = match raw {
            Input::Once(raw) => raw,
            Input::Replayable(raw) => Box::new(raw),
        };
        let (offset, encoding) = self.begin;
        if encoding == Encoding::Plain {
            self.input = Some(Decompressed::plain_at(raw, offset));
            return Ok(());
        }
        self.input = Some(Decompressed::new(raw).map_err(|cause| self.failure(cause))?);
        if let Some(error) = self.broken_promise() {
            return Err(error);
        }
        match encoding {
            Encoding::Compressed(_) => self.skip(offset, scratch),
            _ => Ok(()),
        }
    }

    /// Drops the decompressed bytes up to `offset`.
    fn skip(&mut self, offset: u64, scratch: &mut [u8]) -> Result<(), ReadError> {
        let mut skipped = 0;
        while skipped < offset {
            let rest = usize::try_from(offset - skipped).unwrap_or(usize::MAX);
            let length = rest.min(scratch.len());
            let count = self
                .read_block(&mut scratch[..length])
                .and_then(|count| self.failed.take().map_or(Ok(count), Err))
                .map_err(|cause| self.failure(cause))?;
            if count == 0 {
                return Err(self.too_short(offset, skipped));
            }
            skipped += count as u64;
        }
        Ok(())
    }

    fn too_short(&self, expected_bytes_min: u64, found_bytes: u64) -> ReadError {
        ReadError::TooShort { name: self.name.clone(), expected_bytes_min, found_bytes }
    }

    fn encoding(&self) -> Encoding {
        match self.input.as_ref().and_then(Decompressed::compression) {
            Some(compression) => Encoding::Compressed(compression),
            None => Encoding::Plain,
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

    /// A name like `x.csv.gz` over bytes that are not compressed (invariant 2 of this folder), or
    /// a file that was compressed when it was read before.
    fn broken_promise(&self) -> Option<ReadError> {
        let found = self.input.as_ref().and_then(Decompressed::compression);
        let (promised, is_kept, by) = match self.begin.1 {
            Encoding::Compressed(promised) => {
                (promised, found == Some(promised), "they did when it was read before")
            }
            _ => (Compression::of_name(&self.name)?, found.is_some(), "its name says so"),
        };
        let cause = io::Error::other(format!("its bytes do not start like it, though {by}"));
        (!is_kept).then(|| ReadError::Corrupt {
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

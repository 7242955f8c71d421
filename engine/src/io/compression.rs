//! Decompression: one `Read` over plain, gzip and zstd bytes that knows how far it came.

use std::fmt;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952, one member or several.
    Gzip,
    /// RFC 8878, one frame or several.
    Zstd,
}

impl Compression {
    /// What a file's name promises.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1 {
            "gz" => Some(Self::Gzip),
            "zst" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// What the first four bytes say (or fewer, where there are no more).
    #[must_use]
    pub fn of_bytes(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Self::Zstd),
            _ => None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Where bytes come from: a file, a pipe, or memory.
pub(super) type Raw = Box<dyn Read + Send>;

type Counted = BufReader<Counting<Chain<Cursor<Vec<u8>>, Raw>>>;

/// Counts the bytes that went through.
#[derive(Debug)]
pub(super) struct Counting<R> {
    inner: R,
    read_bytes: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read_bytes += count as u64;
        Ok(count)
    }
}

/// The decompressed bytes of an input.
pub(super) enum Decompressed {
    Plain(Counted),
    Gzip(Box<MultiGzDecoder<Counted>>),
    Zstd(Box<zstd::Decoder<'static, Counted>>),
}

impl Decompressed {
    /// Looks at the first bytes of `raw` and decides by them.
    pub(super) fn new(mut raw: Raw) -> io::Result<Self> {
        let mut head = Vec::new();
        (&mut raw).take(4).read_to_end(&mut head)?;
        let compression = Compression::of_bytes(&head);
        let counted = BufReader::with_capacity(
            READ_BYTES,
            Counting { inner: Cursor::new(head).chain(raw), read_bytes: 0 },
        );
        Ok(match compression {
            None => Self::Plain(counted),
            Some(Compression::Gzip) => Self::Gzip(Box::new(MultiGzDecoder::new(counted))),
            Some(Compression::Zstd) => Self::Zstd(Box::new(zstd::Decoder::with_buffer(counted)?)),
        })
    }

    /// Takes `raw`, which stands at byte `offset` of its file, for what it is: its first bytes
    /// may look like anything, and those before it may be gone.
    pub(super) fn plain_at(raw: Raw, offset: u64) -> Self {
        let inner = Cursor::new(Vec::new()).chain(raw);
        let counting = Counting { inner, read_bytes: offset };
        Self::Plain(BufReader::with_capacity(READ_BYTES, counting))
    }

    pub(super) fn compression(&self) -> Option<Compression> {
        match self {
            Self::Plain(_) => None,
            Self::Gzip(_) => Some(Compression::Gzip),
            Self::Zstd(_) => Some(Compression::Zstd),
        }
    }

    /// How many bytes of the file as it lies there have been used up.
    pub(super) fn offset(&self) -> u64 {
        let counted = match self {
            Self::Plain(counted) => counted,
            Self::Gzip(gzip) => gzip.get_ref(),
            Self::Zstd(zstd) => zstd.get_ref(),
        };
        counted.get_ref().read_bytes - counted.buffer().len() as u64
    }

    /// Whether compressed bytes are left behind the point where the decompressor says "the end".
    pub(super) fn has_rest(&mut self) -> io::Result<bool> {
        let counted = match self {
            Self::Plain(counted) => counted,
            Self::Gzip(gzip) => gzip.get_mut(),
            Self::Zstd(zstd) => zstd.get_mut(),
        };
        Ok(!counted.fill_buf()?.is_empty())
    }
}

/// How much is read from a compressed file at once. Plain bytes go to the block directly.
const READ_BYTES: usize = 64 << 10;

impl Read for Decompressed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(plain) => plain.read(buffer),
            Self::Gzip(gzip) => gzip.read(buffer),
            Self::Zstd(zstd) => zstd.read(buffer),
        }
    }
}

//! Output files by their names: `-` is standard output, `.zst` and `.gz` compress.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use zstd::stream::write::Encoder as ZstdEncoder;

use super::error::CommandError;

/// zstd's fastest ordinary level: the generator is quicker than any other.
const ZSTD_LEVEL: i32 = 1;

/// An output; [`Output::finish`] must be called, or the end of a compressed file is missing.
pub struct Output(Kind);

enum Kind {
    Plain(BufWriter<Box<dyn Write>>),
    Gzip(GzEncoder<Box<dyn Write>>),
    Zstd(ZstdEncoder<'static, Box<dyn Write>>),
}

/// Creates the output at `path`, or takes standard output for `-`.
///
/// # Errors
/// The file can't be created.
pub fn create(path: &Path) -> Result<Output, CommandError> {
    let out: Box<dyn Write> = if path == Path::new("-") {
        Box::new(io::stdout())
    } else {
        let file = File::create(path).map_err(|source| CommandError::create(path, source))?;
        Box::new(file)
    };
    let kind = match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Kind::Gzip(GzEncoder::new(out, Compression::fast())),
        Some("zst") => Kind::Zstd(
            ZstdEncoder::new(out, ZSTD_LEVEL)
                .map_err(|source| CommandError::write(path, source))?,
        ),
        _ => Kind::Plain(BufWriter::with_capacity(1 << 16, out)),
    };
    Ok(Output(kind))
}

impl Output {
    /// Writes what is held back and the end of a compressed stream.
    ///
    /// # Errors
    /// Whatever the file answers.
    pub fn finish(self) -> io::Result<()> {
        match self.0 {
            Kind::Plain(mut out) => out.flush(),
            Kind::Gzip(out) => out.finish()?.flush(),
            Kind::Zstd(out) => out.finish()?.flush(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Plain(out) => out.write(bytes),
            Kind::Gzip(out) => out.write(bytes),
            Kind::Zstd(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Plain(out) => out.flush(),
            Kind::Gzip(out) => out.flush(),
            Kind::Zstd(out) => out.flush(),
        }
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::Plain(_) => "Output(plain)",
            Kind::Gzip(_) => "Output(gzip)",
            Kind::Zstd(_) => "Output(zstd)",
        })
    }
}

//! A directory of part files: each is written under a hidden name, and renamed once it is final.
//!
//! ```text
//!   .part-00000000000000000007.tmp  ->  part-00000000000000000007.csv
//! ```
//!
//! Takes bytes and marks; hands on one file for the bytes between two marks, none where there
//! were none. A part is numbered one past the mark before it, so numbers rise and none is used
//! twice; parts up to a mark are those with numbers up to it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, SharedFile};
use super::writer::{WriterMode, create_file};

/// Where parts are, and what they are called.
#[derive(Debug, Clone)]
pub struct PartNames {
    /// The directory.
    pub directory: PathBuf,
    /// What the names end in, without the dot.
    pub extension: String,
}

/// A name in the directory that is a part's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartName {
    /// Not yet final.
    Pending(u64),
    /// Readers may have it.
    Visible(u64),
}

impl PartNames {
    /// The path of a part that is not yet final.
    #[must_use]
    pub fn pending(&self, number: u64) -> PathBuf {
        self.directory.join(format!(".part-{number:020}.tmp"))
    }

    /// The path of a part that is.
    #[must_use]
    pub fn visible(&self, number: u64) -> PathBuf {
        self.directory.join(format!("part-{number:020}.{}", self.extension))
    }

    /// The parts that are there.
    ///
    /// # Errors
    /// The directory can't be read; `NotFound` where there is none.
    pub fn list(&self, disk: &dyn Disk) -> io::Result<Vec<PartName>> {
        Ok(disk.list(&self.directory)?.iter().filter_map(|name| self.parse(name)).collect())
    }

    fn parse(&self, name: &str) -> Option<PartName> {
        let digits = |name: &str| {
            (name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit()))
                .then(|| name.parse().ok())
                .flatten()
        };
        if let Some(rest) = name.strip_prefix(".part-") {
            return digits(rest.strip_suffix(".tmp")?).map(PartName::Pending);
        }
        let rest = name.strip_prefix("part-")?.strip_suffix(self.extension.as_str())?;
        digits(rest.strip_suffix('.')?).map(PartName::Visible)
    }

    /// Makes a part final; fine where it is already.
    ///
    /// # Errors
    /// What the disk says.
    pub fn reveal(&self, disk: &dyn Disk, number: u64) -> io::Result<()> {
        match disk.rename(&self.pending(number), &self.visible(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                disk.open(&self.visible(number), false).map(|_| ())
            }
            answer => answer,
        }
    }
}

/// A whole part.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) number: u64,
    pub(super) length_bytes: u64,
    pub(super) file: SharedFile,
}

/// The parts that are being written.
#[derive(Debug)]
pub(super) struct Parts {
    names: PartNames,
    disk: Arc<dyn Disk>,
    mode: WriterMode,
    /// What each part starts with.
    preamble: Vec<u8>,
    /// What the next part is called.
    pub(super) number: u64,
    current: Option<Part>,
}

impl Parts {
    pub(super) fn new(
        names: PartNames,
        disk: &Arc<dyn Disk>,
        mode: WriterMode,
        preamble: &[u8],
        number: u64,
    ) -> Self {
        let (disk, preamble) = (Arc::clone(disk), preamble.to_owned());
        Self { names, disk, mode, preamble, number, current: None }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut part = match self.current.take() {
            Some(part) => part,
            None => self.create()?,
        };
        part.file.write_at(part.length_bytes, bytes)?;
        part.length_bytes += bytes.len() as u64;
        self.current = Some(part);
        Ok(())
    }

    fn create(&self) -> io::Result<Part> {
        let path: &Path = &self.names.pending(self.number);
        let file = create_file(self.disk.as_ref(), path, self.mode)?;
        file.write_at(0, &self.preamble)?;
        Ok(Part { number: self.number, length_bytes: self.preamble.len() as u64, file })
    }

    pub(super) fn close(&mut self) -> Option<Part> {
        self.current.take()
    }
}

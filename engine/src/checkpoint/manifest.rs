//! Step 8, checkpoint: the list that makes an epoch real.
//!
//! Takes what every stage, source and sink said at a barrier; hands on bytes that say of
//! themselves whether they are whole.
//!
//! ```text
//!    0  magic, "PELTMAN1"                                   8
//!    8  format version                                      4
//!   12  zeroes                                              4
//!   16  how many bytes the payload has                      8
//!   24  XXH3-64 of the payload                              8
//!   32  zeroes                                             24
//!   56  XXH3-64 of the 56 bytes before                      8
//!   64  payload: the manifest as rkyv archives it        the rest
//! ```
//! Numbers are little endian.
//!
//! Invariants
//! 1. The first 64 bytes are the same in every format version, so that another one can be named.
//! 2. No byte of the payload is looked at before its checksum was compared, and none is trusted
//!    before rkyv has checked it. [`decode`] never panics.
//! 3. A decoded manifest names segment files by plain names, with a checksum for each block.
//!
//! Layouts of keys and values stand here as text (see `record::Layout`), so that a directory can
//! be read without the job that made it.

use rkyv::rancor::{Error as ArchiveError, Failure};
use rkyv::util::AlignedVec;
use xxhash_rust::xxh3::xxh3_64;

use super::directory::is_segment_file_name;

/// The layout of manifests and segments. Another number is refused by name.
pub const FORMAT_VERSION: u32 = 1;
/// Checksums are of so many bytes of a segment each; the last one of what is left.
pub const CHECKSUM_BLOCK_BYTES: usize = 64 << 10;

/// One epoch of a job.
#[derive(
    Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
pub struct Manifest {
    /// The epoch: 0 before the first record.
    pub epoch: u64,
    /// Which start of the job made it, from 1; part of the names of segment files.
    pub run: u64,
    /// The job's name.
    pub job: String,
    /// The version of the engine that wrote it.
    pub engine_version: String,
    /// When it was written, in microseconds since 1970.
    pub written_micros: i64,
    /// Whether the job's input had ended: there is nothing to resume.
    pub ended: bool,
    /// Whether a person asked for it and owns it.
    pub savepoint: bool,
    /// How many slots keys are cut into.
    pub slot_count: u16,
    /// How many shards wrote it.
    pub shard_count: u16,
    /// Operators with state.
    pub operators: Vec<OperatorManifest>,
    /// One log for each shard and keyed stage.
    pub logs: Vec<LogManifest>,
    /// Where each split stood.
    pub splits: Vec<SplitManifest>,
    /// What each output had prepared, in the job's order.
    pub sinks: Vec<SinkManifest>,
    /// Rows dropped by operators as too late for anything.
    pub dropped: u64,
}

/// An operator's state, as a reader without the job needs to know it.
#[derive(
    Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
pub struct OperatorManifest {
    /// The stable name; ties state to operators across versions of a job.
    pub name: String,
    /// The number that its entries carry in this manifest's logs.
    pub id: u16,
    /// What it is: `aggregate`, `exact_windows`, ...
    pub kind: String,
    /// Settings that state depends on, such as window lengths, as text. A change is refused.
    pub identity: String,
    /// The key's layout.
    pub key: String,
    /// The layouts of its values.
    pub states: Vec<StateManifest>,
}

/// One kind of value that an operator keeps.
#[derive(
    Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
pub struct StateManifest {
    /// What people call it.
    pub name: String,
    /// The first namespace that holds such values.
    pub namespace_first: u64,
    /// The last one.
    pub namespace_last: u64,
    /// The value's layout.
    pub layout: String,
}

/// The log of one shard and keyed stage.
#[derive(
    Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
pub struct LogManifest {
    /// The stage, by the name of the operator at its head.
    pub stage: String,
    /// The shard.
    pub shard: u16,
    /// The stage's watermark at the barrier, in microseconds.
    pub watermark_micros: i64,
    /// How many live entries it holds.
    pub entry_count: u64,
    /// How many bytes they take.
    pub live_bytes: u64,
    /// Its segments, oldest first.
    pub segments: Vec<SegmentManifest>,
}

/// One file of a log.
#[derive(
    Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
pub struct SegmentManifest {
    /// Its name in the directory.
    pub file: String,
    /// Its place in the log's address space.
    pub number: u32,
    /// How long a segment of this log is at most; a power of two.
    pub segment_bytes: u32,
    /// How many of its bytes belong to the epoch.
    pub bytes: u32,
    /// XXH3-64 of each [`CHECKSUM_BLOCK_BYTES`] of them.
    pub checksums: Vec<u64>,
}

/// Where a split stood at the barrier.
#[derive(
    Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
pub struct SplitManifest {
    /// Which of the job's sources, from 0.
    pub source: u32,
    /// The split's name, by which it is found again.
    pub name: String,
    /// Its number among all splits of the job: part of a record's position.
    pub number: u32,
    /// The sequence of the next row.
    pub sequence: u64,
    /// What the split needs to go on from there; its own bytes.
    pub position: Vec<u8>,
    /// Its watermark, in microseconds.
    pub watermark_micros: i64,
    /// The highest time that was seen, in microseconds.
    pub highest_micros: i64,
    /// Whether it was at its end.
    pub ended: bool,
    /// Rows that went into the job.
    pub accepted: u64,
    /// Rows that could not be read.
    pub rejected: u64,
    /// Rows that came too late.
    pub late: u64,
}

/// What an output had prepared.
#[derive(
    Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
pub struct SinkManifest {
    /// Which output, by place and kind: `output 0`, `rejects 0`, `late 0`.
    pub name: String,
    /// Its own bytes.
    pub state: Vec<u8>,
    /// How many items it had taken.
    pub records_out: u64,
}

/// What a manifest begins with.
const MAGIC: [u8; 8] = *b"PELTMAN1";
/// How long the part is that is drawn above.
const HEADER_BYTES: usize = 64;
const HEADER_HASHED_BYTES: usize = 56;

/// Why bytes are no manifest that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It does not begin like one, or is too short to.
    #[error(
        "it is no manifest: it begins with \"{}\", and \"PELTMAN1\" was expected",
        found.escape_ascii()
    )]
    Magic {
        /// The first bytes.
        found: Vec<u8>,
    },
    /// Its header changed.
    #[error("its header has the checksum {found:016x}, and says {expected:016x}")]
    HeaderChecksum {
        /// Of what is there.
        found: u64,
        /// What it says.
        expected: u64,
    },
    /// Another engine wrote it.
    #[error(
        "it has format version {found}, and this engine reads {expected}; use the engine that \
         wrote it, or begin anew with --fresh"
    )]
    Version {
        /// Its version.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// It is cut, or longer than it was.
    #[error("it is {found} bytes long, and {expected} were expected")]
    Length {
        /// How long it is.
        found: u64,
        /// How long it says it is; a header's length where that is not whole.
        expected: u64,
    },
    /// Its payload changed.
    #[error("its payload has the checksum {found:016x}, and its header says {expected:016x}")]
    Checksum {
        /// Of what is there.
        found: u64,
        /// What the header says.
        expected: u64,
    },
    /// The payload is whole, and rkyv can't read it.
    #[error(
        "its checksums are right, and its payload is no manifest; use the engine that wrote it"
    )]
    Malformed,
    /// A segment is described in a way that no engine does.
    #[error("its segment {file:?} has {what} {found}, and {expected} was expected")]
    Segment {
        /// The segment's file.
        file: String,
        /// What of it.
        what: &'static str,
        /// As it is.
        found: u64,
        /// As it has to be.
        expected: u64,
    },
}

/// The bytes of a manifest's file.
///
/// # Panics
/// The manifest would take more than 2 GiB.
#[must_use]
pub fn encode(manifest: &Manifest) -> Vec<u8> {
    let payload: AlignedVec = rkyv::to_bytes::<ArchiveError>(manifest)
        .expect("a manifest is shorter than what rkyv's offsets can reach");
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    bytes[24..32].copy_from_slice(&xxh3_64(&payload).to_le_bytes());
    let header = xxh3_64(&bytes[..HEADER_HASHED_BYTES]);
    bytes[HEADER_HASHED_BYTES..].copy_from_slice(&header.to_le_bytes());
    bytes.extend_from_slice(&payload);
    bytes
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// What is not as it was written, or of another version.
pub fn decode(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let payload = payload_of(bytes)?;
    // rkyv reads in place and wants its alignment, which bytes of a file don't have.
    let mut aligned: AlignedVec = AlignedVec::with_capacity(payload.len());
    aligned.extend_from_slice(payload);
    let manifest: Manifest =
        rkyv::from_bytes::<Manifest, Failure>(&aligned).map_err(|_| ManifestError::Malformed)?;
    for segment in manifest.logs.iter().flat_map(|log| &log.segments) {
        check_segment(segment)?;
    }
    Ok(manifest)
}

/// The payload, once header and checksums were compared.
fn payload_of(bytes: &[u8]) -> Result<&[u8], ManifestError> {
    if !bytes.starts_with(&MAGIC) {
        let found = bytes[..bytes.len().min(MAGIC.len())].to_vec();
        return Err(ManifestError::Magic { found });
    }
    let Some((header, payload)) = bytes.split_at_checked(HEADER_BYTES) else {
        let (found, expected) = (bytes.len() as u64, HEADER_BYTES as u64);
        return Err(ManifestError::Length { found, expected });
    };
    let (found, expected) = (xxh3_64(&header[..HEADER_HASHED_BYTES]), number(header, 56));
    if found != expected {
        return Err(ManifestError::HeaderChecksum { found, expected });
    }
    let found = u32::from_le_bytes(header[8..12].try_into().expect("four bytes"));
    if found != FORMAT_VERSION {
        return Err(ManifestError::Version { found, expected: FORMAT_VERSION });
    }
    let (found, expected) = (payload.len() as u64, number(header, 16));
    if found != expected {
        let header = HEADER_BYTES as u64;
        let (found, expected) = (found + header, expected.saturating_add(header));
        return Err(ManifestError::Length { found, expected });
    }
    let (found, expected) = (xxh3_64(payload), number(header, 24));
    if found != expected {
        return Err(ManifestError::Checksum { found, expected });
    }
    Ok(payload)
}

fn number(header: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes"))
}

/// Holds invariant 3. A name that is no segment's could lead out of the directory.
fn check_segment(segment: &SegmentManifest) -> Result<(), ManifestError> {
    let wrong = |what, found, expected| {
        Err(ManifestError::Segment { file: segment.file.clone(), what, found, expected })
    };
    if !is_segment_file_name(&segment.file) {
        return wrong("bytes of a name that is no segment's", segment.file.len() as u64, 0);
    }
    let bytes = u64::from(segment.bytes);
    if segment.bytes > segment.segment_bytes {
        return wrong("bytes", bytes, segment.segment_bytes.into());
    }
    let expected = bytes.div_ceil(CHECKSUM_BLOCK_BYTES as u64);
    let found = segment.checksums.len() as u64;
    if found != expected {
        return wrong("checksums", found, expected);
    }
    Ok(())
}

#[cfg(test)]
mod tests;

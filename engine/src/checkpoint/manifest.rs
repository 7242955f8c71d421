//! Step 8, checkpoint: the list that makes an epoch real.
//!
//! Takes what every stage, source and sink said at a barrier; hands on bytes that say of
//! themselves whether they are whole.
//!
//! Layouts of keys and values stand here as text (see `record::Layout`), so that a directory can
//! be read without the job that made it.

/// The layout of manifests and segments. Another number is refused by name.
pub const FORMAT_VERSION: u32 = 1;
/// Checksums are of so many bytes of a segment each; the last one of what is left.
pub const CHECKSUM_BLOCK_BYTES: usize = 64 << 10;

/// One epoch of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct SinkManifest {
    /// Which output, by place and kind: `output 0`, `rejects 0`, `late 0`.
    pub name: String,
    /// Its own bytes.
    pub state: Vec<u8>,
    /// How many items it had taken.
    pub records_out: u64,
}

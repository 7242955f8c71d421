//! Every bound of the engine, in one place.

/// Shards of one job.
pub const SHARD_COUNT_MAX: u16 = 256;
/// Room of one ring by default. Large enough for a turn's batch to every shard, small enough that
/// the rings of a few shards stay in the last-level cache.
pub const RING_BYTES_DEFAULT: usize = 256 << 10;
/// The smallest ring that may be asked for: two small records and the markers.
pub const RING_BYTES_MIN: usize = 512;
/// Splits that one source reads at once.
pub const SPLITS_OPEN_MAX: usize = 1_024;
/// How long an unbounded split may be silent before it stops holding the watermark.
pub const IDLE_AFTER_NS_DEFAULT: u64 = 10_000_000_000;
/// Checkpoints that a state directory keeps.
pub const CHECKPOINTS_RETAINED_DEFAULT: usize = 3;
/// Checkpoints in a row that may fail before the job does.
pub const CHECKPOINT_FAILURES_MAX_DEFAULT: u32 = 3;
/// How long a segment of a state log is.
pub const SEGMENT_BYTES_DEFAULT: u32 = 16 << 20;
/// The shortest and the longest segment that may be asked for.
pub const SEGMENT_BYTES_MIN: u32 = 64 << 10;
/// See [`SEGMENT_BYTES_MIN`].
pub const SEGMENT_BYTES_MAX: u32 = 64 << 20;

//! A shard's counters: written by the shard once a turn, read by the control thread by copy.
//!
//! Takes a [`ShardCount`] that the shard keeps in plain memory; hands on a copy of it. A copy that
//! is read while the shard publishes may mix two turns; after the shard has ended it is exact.
//!
//! Why stores of whole values and not additions: the shard is the only writer, and a store costs
//! no locked instruction.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident: $number:ty, $atomic:ty;)*) => {
        /// What one shard has done so far. `records_in = accepted + rejected + late` at the end
        /// of every turn.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct ShardCount {
            $($(#[$doc])* pub $name: $number,)*
        }

        #[derive(Debug, Default)]
        struct Published {
            $($name: $atomic,)*
        }

        impl Published {
            fn store(&self, count: &ShardCount) {
                // Relaxed, here and below: each value stands alone, see the module's doc.
                $(self.$name.store(count.$name, Ordering::Relaxed);)*
            }

            fn load(&self) -> ShardCount {
                ShardCount { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Rows read, whatever became of them.
    records_in: u64, AtomicU64;
    /// Rows that went into the job.
    accepted: u64, AtomicU64;
    /// Rows that could not be read as a record.
    rejected: u64, AtomicU64;
    /// Records that came after their watermark.
    late: u64, AtomicU64;
    /// Records that an operator dropped, as all that they belong to had closed.
    dropped: u64, AtomicU64;
    /// The most records at any time that had arrived by the schedule and had to wait.
    backlog_max: u64, AtomicU64;
    /// Frames that the shard's stages behind exchanges have taken.
    frames: u64, AtomicU64;
    /// Turns.
    turns: u64, AtomicU64;
    /// Turns that found nothing to do.
    idle_turns: u64, AtomicU64;
    /// Times that the shard parked.
    parks: u64, AtomicU64;
    /// Live entries of the shard's state.
    state_entries: u64, AtomicU64;
    /// What their logs take, with what is dead and not yet compacted.
    state_bytes: u64, AtomicU64;
    /// The last epoch whose barrier every stage of the shard has passed on.
    epoch: u64, AtomicU64;
    /// The shard's watermark, in microseconds of event time.
    watermark_micros: i64, AtomicI64;
}

/// The published counters of one shard, on cache lines of their own.
#[derive(Debug)]
pub struct ShardCounters(CachePadded<Published>);

impl Default for ShardCounters {
    fn default() -> Self {
        Self::new()
    }
}

impl ShardCounters {
    /// All zero, and the watermark where it is before the first record: at minus infinity.
    #[must_use]
    pub fn new() -> Self {
        let counters = Self(CachePadded::default());
        counters.publish(&ShardCount { watermark_micros: i64::MIN, ..ShardCount::default() });
        counters
    }

    /// Publishes the shard's count; once a turn, by the shard alone.
    #[inline]
    pub fn publish(&self, count: &ShardCount) {
        self.0.store(count);
    }

    /// A copy.
    #[must_use]
    pub fn read(&self) -> ShardCount {
        self.0.load()
    }
}

impl ShardCount {
    /// The sum over all shards; the watermark and the epoch are the lowest. Nothing of no shards.
    #[must_use]
    pub fn total(counts: impl IntoIterator<Item = Self>) -> Self {
        counts.into_iter().reduce(Self::plus).unwrap_or_default()
    }

    /// The same with what earlier runs of the job have counted.
    #[must_use]
    pub fn after(self, base: &Self) -> Self {
        Self {
            records_in: self.records_in + base.records_in,
            accepted: self.accepted + base.accepted,
            rejected: self.rejected + base.rejected,
            late: self.late + base.late,
            dropped: self.dropped + base.dropped,
            ..self
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            records_in: self.records_in + other.records_in,
            accepted: self.accepted + other.accepted,
            rejected: self.rejected + other.rejected,
            late: self.late + other.late,
            dropped: self.dropped + other.dropped,
            backlog_max: self.backlog_max + other.backlog_max,
            frames: self.frames + other.frames,
            turns: self.turns + other.turns,
            idle_turns: self.idle_turns + other.idle_turns,
            parks: self.parks + other.parks,
            state_entries: self.state_entries + other.state_entries,
            state_bytes: self.state_bytes + other.state_bytes,
            epoch: self.epoch.min(other.epoch),
            watermark_micros: self.watermark_micros.min(other.watermark_micros),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_read_and_summed() {
        let counters = ShardCounters::new();
        assert_eq!(counters.read().watermark_micros, i64::MIN);
        let count = ShardCount {
            records_in: 3,
            accepted: 2,
            late: 1,
            watermark_micros: 7,
            ..ShardCount::default()
        };
        counters.publish(&count);
        assert_eq!(counters.read(), count);
        let total = ShardCount::total([count, counters.read()]);
        assert_eq!((total.records_in, total.watermark_micros), (6, 7));
    }
}

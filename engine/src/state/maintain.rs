//! Keeps the log short: compaction of its oldest segments, and the sweep of expired entries.
//!
//! Takes a budget of bytes to look at, so that a turn's share is bounded; changes no entry's
//! value, but moves entries, so nobody may hold an offset across it (a hint may be held).
//!
//! Invariants
//! 1. Only a segment that is wholly frozen is compacted; what is behind `compacted_to` in the
//!    oldest one is dead.
//! 2. A tomb in the oldest segment hides nothing: what it hid is older, so it goes with its segment.
//! 3. An expired entry goes as any other, with a tomb where frozen bytes know of it: a log that is
//!    recovered holds exactly what it held.
//!
//! Why first in, first out, and not the emptiest segment first: tombs may go only when all older
//! segments have gone. The price: entries that never change are copied round the log, once for
//! each time as many bytes die.

use super::{ExpiryClock, ExpiryKind, LogOffset, Store, TOUCHED_MAX};
use crate::io::mapping::Region;

/// A log may be twice its live bytes and so many segments long.
const SPARE_SEGMENTS: u64 = 3;
/// How long a round waits, by either clock: after its first entry expired, and after the last round
/// began where entries have come since. So many go in one round.
const ROUND_DELAY_MICROS: i64 = 1_000_000;
/// How many regions wait for somebody to drop them elsewhere.
const RETIRED_MAX: usize = 4;

/// How far maintenance has come.
#[derive(Debug, Default)]
pub(super) struct Maintenance {
    compacted_to: u64,
    /// Where the sweep stands, if one is under way.
    sweep_at: Option<u64>,
    /// Whether there may be entries that the last round did not see.
    is_unseen: bool,
    /// When the last round began.
    began: Option<ExpiryClock>,
    /// When the next entry that the round has left expires, by each clock.
    next_event: Option<i64>,
    next_wall: Option<i64>,
}

impl Maintenance {
    /// An entry that expires was added.
    pub(super) fn note_expiring(&mut self) {
        self.is_unseen = true;
    }

    fn round_is_due(&self, now: ExpiryClock) -> bool {
        let has_passed = |kind, at: Option<i64>| {
            at.is_some_and(|at| now.has_passed(kind, at.saturating_add(ROUND_DELAY_MICROS)))
        };
        let (began_event, began_wall) =
            self.began.map(|began| (began.event.0, began.wall_micros)).unzip();
        let is_rested = self.began.is_none()
            || has_passed(ExpiryKind::Event, began_event)
            || has_passed(ExpiryKind::Wall, began_wall);
        (self.is_unseen && is_rested)
            || has_passed(ExpiryKind::Event, self.next_event)
            || has_passed(ExpiryKind::Wall, self.next_wall)
    }

    fn note_kept(&mut self, kind: ExpiryKind, at: i64) {
        let next = match kind {
            ExpiryKind::Event => &mut self.next_event,
            ExpiryKind::Wall => &mut self.next_wall,
        };
        *next = Some(next.map_or(at, |next| next.min(at)));
    }
}

impl Store {
    /// Compacts the log and deletes expired entries, looking at about `budget_bytes` of it. Says
    /// whether there is more to do at once. Nobody may hold an offset across it.
    ///
    /// Where the log has grown past what one budget a turn keeps up with (three, four, ... times its
    /// live bytes), as many budgets are spent, eight at most: a stage that changes a frozen entry
    /// with every frame makes more dead rooms a turn than one budget passes.
    pub fn maintain(&mut self, now: ExpiryClock, budget_bytes: u64) -> bool {
        let mut left = budget_bytes * self.pressure();
        while self.compaction_is_due() && left > 0 {
            self.compact(now, &mut left);
        }
        if self.maintenance.sweep_at.is_none() && self.maintenance.round_is_due(now) {
            self.maintenance.sweep_at = Some(0);
            self.maintenance.began = Some(now);
            self.maintenance.is_unseen = false;
            (self.maintenance.next_event, self.maintenance.next_wall) = (None, None);
        }
        if left > 0 {
            self.sweep(now, left);
        }
        self.compaction_is_due() || self.maintenance.sweep_at.is_some()
    }

    /// How many budgets a call may spend.
    fn pressure(&self) -> u64 {
        let spare_bytes = SPARE_SEGMENTS * self.arena.segment_bytes();
        let fit = self.arena.live_bytes() + spare_bytes;
        (self.arena.log_bytes() / fit.max(1)).saturating_sub(1).clamp(1, 8)
    }

    fn compaction_is_due(&self) -> bool {
        let spare_bytes = SPARE_SEGMENTS * self.arena.segment_bytes();
        self.arena.oldest_is_final()
            && self.arena.log_bytes() > 2 * self.arena.live_bytes() + spare_bytes
    }

    /// Moves what lives in the oldest segment to the tail, and drops the segment at its end.
    fn compact(&mut self, now: ExpiryClock, left: &mut u64) {
        let end = self.arena.base() + self.arena.segment_bytes();
        let mut is_over = false;
        while !is_over {
            if *left == 0 {
                return;
            }
            let mut live = [LogOffset::NONE; TOUCHED_MAX];
            let count;
            (count, is_over) = self.find_live(end, left, &mut live);
            for &offset in &live[..count] {
                if self.is_expired(offset, now) {
                    self.delete_at(offset);
                } else {
                    let _ = self.thaw(offset);
                }
            }
        }
        self.maintenance.compacted_to = end;
        let region = self.arena.drop_oldest();
        self.retire(region);
    }

    /// Finds the next live entries before `end`, and brings their index slots nearer, all at once;
    /// answers how many there are, and whether `end` was reached.
    fn find_live(
        &mut self,
        end: u64,
        left: &mut u64,
        live: &mut [LogOffset; TOUCHED_MAX],
    ) -> (usize, bool) {
        let (mut count, mut words) = (0, 0);
        while count < TOUCHED_MAX && *left > 0 {
            let next = self.arena.next_room(self.maintenance.compacted_to);
            let Some(offset) = next.filter(|offset| offset.0 < end) else {
                std::hint::black_box(words);
                return (count, true);
            };
            let entry = self.arena.entry(offset);
            let room_bytes = entry.room_bytes() as u64;
            self.maintenance.compacted_to = offset.0 + room_bytes;
            // A dead entry costs a look at its header.
            let mut cost = 64.min(room_bytes);
            if entry.is_live() && !self.arena.is_dead(offset) {
                cost = room_bytes;
                words ^= self.index.home(entry.index_hash());
                live[count] = offset;
                count += 1;
            }
            *left = left.saturating_sub(cost);
        }
        std::hint::black_box(words);
        (count, false)
    }

    fn retire(&mut self, region: Region) {
        if self.retired.len() < RETIRED_MAX {
            self.retired.push(region);
        }
    }

    /// Goes on with the round that is under way, if one is.
    fn sweep(&mut self, now: ExpiryClock, mut left: u64) {
        while let Some(position) = self.maintenance.sweep_at {
            if left == 0 {
                return;
            }
            let next = self.arena.next_room(position);
            self.maintenance.sweep_at = next.map(|offset| self.sweep_room(now, offset, &mut left));
        }
    }

    /// Looks at one room, or passes over a segment where nothing expires; answers with where to go
    /// on.
    fn sweep_room(&mut self, now: ExpiryClock, offset: LogOffset, left: &mut u64) -> u64 {
        if !self.arena.may_expire(offset.0) {
            let segment_bytes = self.arena.segment_bytes();
            return (offset.0 / segment_bytes + 1) * segment_bytes;
        }
        let entry = self.arena.entry(offset);
        let next = offset.0 + entry.room_bytes() as u64;
        *left = left.saturating_sub(64.min(entry.room_bytes() as u64));
        if entry.is_live()
            && !self.arena.is_dead(offset)
            && let Some((kind, at)) = self.expiry(offset)
        {
            if now.has_passed(kind, at) {
                self.delete_at(offset);
            } else if at != i64::MAX {
                self.maintenance.note_kept(kind, at);
            }
        }
        next
    }
}

//! Rate limits: an operator that refuses items which come too fast.
//!
//! Takes items; hands on the same, so many a second at most, and some more at once after a pause. What is
//! refused is repeated, as where a ring is full: the stage takes no more input until its next turn, which
//! it asks for at the moment when the next item may go.
//!
//! Invariants
//! 1. One bucket serves all shards of the job, so the limit is that of the job and not a shard's.
//! 2. An item is paid for once: what was paid for and then refused further on is not paid for again.
//!
//! Why one number and not a count of tokens: the bucket is the moment at which it would be full (the
//! "generic cell rate algorithm"), so taking from it is one exchange of one word, and no refill runs.

use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Clock;
use crate::record::{FrameHeader, Item, Marker};

use super::blueprint::{Blueprint, Wiring};
use super::plan::{Link, OperatorPlan};
use super::push::{Flow, Push, Terminal, TerminalError};

/// A bucket counts in sixteenths of a nanosecond: exact for a million a second to a part in 16,000, and
/// for 36 years.
const PARTS_A_NS: u64 = 16;
const PARTS_A_SECOND: f64 = 16e9;

/// What all shards take from.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// When the bucket is full again, in parts on the engine's clock.
    full_at: AtomicU64,
    /// How long one item fills.
    item_parts: u64,
    /// How much of the bucket may be missing before an item is taken.
    missing_parts_max: u64,
}

impl Bucket {
    /// A full bucket, or `None` where it could never be used: a rate that is no positive number, or a
    /// burst of nothing.
    pub(crate) fn new(per_second: f64, burst: u32) -> Option<Self> {
        if !(per_second.is_finite() && per_second > 0.0 && burst > 0) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "saturates: slower than 36 years an item"
        )]
        #[expect(clippy::cast_sign_loss, reason = "a quotient of two positive numbers")]
        let item_parts = ((PARTS_A_SECOND / per_second).ceil() as u64).max(1);
        let missing_parts_max = item_parts.saturating_mul(u64::from(burst - 1));
        Some(Self { full_at: AtomicU64::new(0), item_parts, missing_parts_max })
    }

    /// Takes one item's worth, or answers when there is one.
    fn take(&self, now_ns: u64) -> Result<(), u64> {
        let now = now_ns.saturating_mul(PARTS_A_NS);
        // Relaxed, all: the number alone is what is shared.
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let missing_from = full_at.saturating_sub(self.missing_parts_max);
            if missing_from > now {
                return Err(missing_from.div_ceil(PARTS_A_NS));
            }
            let next = full_at.max(now).saturating_add(self.item_parts);
            let (relaxed, found) = (Ordering::Relaxed, full_at);
            match self.full_at.compare_exchange_weak(found, next, relaxed, relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => full_at = other,
            }
        }
    }
}

/// A limit in front of the next operator.
pub(crate) struct Limited<I, N> {
    bucket: Arc<Bucket>,
    clock: Clock,
    next: N,
    /// How many items of the present input were paid for, and how many were seen in this attempt.
    paid: u32,
    seen: u32,
    /// When the item that was refused may go.
    until_ns: Option<u64>,
    item: PhantomData<fn() -> I>,
}

impl<I: Item, N: Terminal> Terminal for Limited<I, N> {
    #[inline(always)]
    fn begin(&mut self, repeated: bool) {
        self.seen = 0;
        if !repeated {
            self.paid = 0;
        }
        self.until_ns = None;
        self.next.begin(repeated);
    }

    fn marker(&mut self, marker: Marker) {
        self.next.marker(marker);
    }

    fn end_turn(&mut self) -> Result<bool, TerminalError> {
        self.next.end_turn()
    }

    fn is_drained(&self) -> bool {
        self.next.is_drained()
    }

    fn next_ns(&self) -> Option<u64> {
        self.until_ns.into_iter().chain(self.next.next_ns()).min()
    }
}

impl<I: Item, N: Push<I>> Push<I> for Limited<I, N> {
    fn push(&mut self, header: &FrameHeader, view: I::View<'_>) -> Flow {
        if self.seen == self.paid {
            if let Err(until_ns) = self.bucket.take(self.clock.now_ns()) {
                self.until_ns = Some(until_ns);
                return Flow::Blocked;
            }
            self.paid += 1;
        }
        self.seen += 1;
        self.next.push(header, view)
    }
}

/// A limit before a shard has its own.
pub(crate) struct LimitedBlueprint<B> {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) next: B,
    pub(crate) at: &'static Location<'static>,
}

impl<I: Item, B: Blueprint<I>> Blueprint<I> for LimitedBlueprint<B> {
    type Push = Limited<I, B::Push>;

    fn build(&self, wiring: &mut Wiring<'_>) -> Self::Push {
        Limited {
            bucket: Arc::clone(&self.bucket),
            clock: wiring.clock.clone(),
            next: self.next.build(wiring),
            paid: 0,
            seen: 0,
            until_ns: None,
            item: PhantomData,
        }
    }

    fn describe(&self, links: &mut Vec<Link>) {
        links.push(Link::Operator(OperatorPlan {
            kind: "rate_limit".to_owned(),
            name: None,
            text: None,
            out: None,
            at: self.at.into(),
        }));
        self.next.describe(links);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI_NS: u64 = 1_000_000;

    #[test]
    fn a_burst_goes_at_once_and_then_one_at_a_time() {
        let bucket = Bucket::new(1_000.0, 3).unwrap();
        let mut at = 5 * MILLI_NS;
        let taken: Vec<u64> = (0..6)
            .map(|_| {
                while let Err(until_ns) = bucket.take(at) {
                    assert!(until_ns > at, "the next one is later");
                    at = until_ns;
                }
                at / MILLI_NS
            })
            .collect();
        assert_eq!(taken, [5, 5, 5, 6, 7, 8]);
    }

    #[test]
    fn a_pause_fills_the_bucket_and_no_more_than_that() {
        let bucket = Bucket::new(1_000.0, 2).unwrap();
        let taken = |at| (0..5).filter(|_| bucket.take(at).is_ok()).count();
        assert_eq!([0, MILLI_NS, 900 * MILLI_NS].map(taken), [2, 1, 2]);
    }

    #[test]
    fn no_stretch_of_time_has_more_than_the_rate_and_a_burst() {
        let (rate, burst) = (700_000.0, 10);
        let bucket = Bucket::new(rate, burst).unwrap();
        let taken = (0..3_000_000_u64).step_by(97).filter(|&at| bucket.take(at).is_ok()).count();
        assert!((2_100..=2_110).contains(&taken), "{taken} in 3 ms");
    }

    #[test]
    fn what_could_never_be_used_is_none() {
        for (per_second, burst) in
            [(0.0, 1), (-1.0, 1), (f64::NAN, 1), (f64::INFINITY, 1), (1.0, 0)]
        {
            assert!(Bucket::new(per_second, burst).is_none(), "{per_second} {burst}");
        }
    }
}

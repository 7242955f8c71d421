//! The terminal that sends frames to the shards that own their keys.
//!
//! Takes items; hands on frames in rings, one ring for each consuming shard. The record's rkyv
//! bytes are written in place into the claimed room; a record that passes unchanged is copied as
//! it lies.
//!
//! Invariants
//! 1. Markers leave in order with items: while a marker waits for room, so do later items for the
//!    same shard. Adjacent watermarks merge, so at most a watermark, a barrier, another watermark
//!    and the end ever wait.
//! 2. `accepted` counts the items of the present input that lie in rings already; a repeated run
//!    skips as many.

mod broadcast;
mod reads;
mod route;
mod target;

use std::sync::Arc;

use crate::record::{Frame, FrameHeader, Marker, Record};
use crate::route::{RangeTable, ShardId};

use super::blueprint::{Blueprint, ExchangeId, Wiring};
use super::plan::{Link, RoutePlan, SentPlan, type_name};
use super::push::{Flow, Push, Terminal, TerminalError};

pub use broadcast::{Broadcast, BroadcastBlueprint};
pub use reads::Reads;
pub use route::{ByKey, ByPosition, Local, Route};
use target::{Target, end_targets};

/// The exchange before a shard has its ends of the rings.
#[derive(Debug)]
pub struct ExchangeBlueprint<Rt> {
    /// Which exchange.
    pub id: ExchangeId,
    /// Where records go.
    pub route: Rt,
}

impl<R: Record, Rt: Route<R>> Blueprint<R> for ExchangeBlueprint<Rt> {
    type Push = Exchange<Rt>;
    fn build(&self, wiring: &mut Wiring<'_>) -> Exchange<Rt> {
        Exchange {
            route: self.route.at(wiring.shard),
            kept: self.route.reads().kept::<R>(),
            ranges: Arc::clone(wiring.ranges),
            targets: Target::of_exchange(self.id, wiring),
            accepted: 0,
            seen: 0,
        }
    }

    fn describe(&self, links: &mut Vec<Link>) {
        links.push(sent::<R>(self.id, self.route.describe(), &self.route.reads()));
    }
}

/// What crosses an exchange.
fn sent<R: Record>(ExchangeId(exchange): ExchangeId, route: RoutePlan, reads: &Reads) -> Link {
    let (fields, whole_because) = reads.describe::<R>();
    let record = type_name::<R>();
    Link::Exchange(SentPlan { exchange, route, record, fields, whole_because })
}

/// The terminal itself; one a shard and exchange.
#[derive(Debug)]
pub struct Exchange<Rt> {
    route: Rt,
    /// The record's fields that cross: see [`Record::narrowed`].
    kept: u64,
    ranges: Arc<RangeTable>,
    targets: Vec<Target>,
    accepted: u32,
    seen: u32,
}

impl<Rt> Exchange<Rt> {
    #[inline(always)]
    fn is_repeat(&mut self) -> bool {
        let repeat = self.seen < self.accepted;
        self.seen += u32::from(repeat);
        repeat
    }

    /// Whether some text of the records stays behind.
    #[inline(always)]
    fn is_narrow<R: Record>(&self) -> bool {
        R::TEXTS & !self.kept != 0
    }

    #[inline(always)]
    fn count(&mut self) -> Flow {
        self.seen += 1;
        self.accepted = self.seen;
        Flow::Ready
    }

    /// An item's number among all that one record became.
    #[inline(always)]
    fn ordinal(&self, header: &FrameHeader) -> u32 {
        header.ordinal_of(self.seen)
    }
}

impl<Rt: Send> Terminal for Exchange<Rt> {
    #[inline(always)]
    fn begin(&mut self, repeated: bool) {
        self.seen = 0;
        if !repeated {
            self.accepted = 0;
        }
    }

    fn marker(&mut self, marker: Marker) {
        for target in &mut self.targets {
            target.marker(marker);
        }
    }

    fn end_turn(&mut self) -> Result<bool, TerminalError> {
        end_targets(&mut self.targets)
    }

    fn is_drained(&self) -> bool {
        self.targets.iter().all(Target::is_drained)
    }
}

impl<R: Record, Rt: Route<R>> Push<R> for Exchange<Rt> {
    #[inline(always)]
    fn push(&mut self, header: &FrameHeader, view: R::View<'_>) -> Flow {
        if self.is_repeat() {
            return Flow::Ready;
        }
        let (key_hash, ShardId(shard)) = self.route.target(header, view, &self.ranges);
        let header = FrameHeader { key_hash, ordinal: self.ordinal(header), ..*header };
        let view = if self.is_narrow::<R>() { R::narrowed(view, self.kept) } else { view };
        if self.targets[usize::from(shard)].send::<R>(&header, view).is_blocked() {
            return Flow::Blocked;
        }
        self.count()
    }

    #[inline(always)]
    fn push_frame(&mut self, frame: Frame<'_>) -> Flow {
        if self.is_narrow::<R>() {
            return self.push(&frame.header(), frame.view::<R>());
        }
        if self.is_repeat() {
            return Flow::Ready;
        }
        let header = frame.header();
        let view = frame.view::<R>();
        let (key_hash, ShardId(shard)) = self.route.target(&header, view, &self.ranges);
        let header = FrameHeader { key_hash, ordinal: self.ordinal(&header), ..header };
        if self.targets[usize::from(shard)].send_frame(&header, frame).is_blocked() {
            return Flow::Blocked;
        }
        self.count()
    }
}

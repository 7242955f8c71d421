//! The terminal that sends every record to every shard.
//!
//! Takes items; hands on a copy of each to each shard, in one order.
//!
//! Invariant: `accepted` counts copies of the present input, so an item that found room in some of
//! the rings goes on with the next ring when it is repeated.

use crate::record::{Frame, FrameHeader, Marker, Record};

use super::super::blueprint::{Blueprint, ExchangeId, Wiring};
use super::super::plan::{Link, RoutePlan};
use super::super::push::{Flow, Push, Terminal, TerminalError};
use super::reads::Reads;
use super::target::{Target, end_targets};

/// The broadcast before a shard has its ends of the rings.
#[derive(Debug)]
pub struct BroadcastBlueprint {
    /// Which exchange.
    pub id: ExchangeId,
}

impl<R: Record> Blueprint<R> for BroadcastBlueprint {
    type Push = Broadcast;
    fn build(&self, wiring: &mut Wiring<'_>) -> Broadcast {
        Broadcast { targets: Target::of_exchange(self.id, wiring), accepted: 0, seen: 0, items: 0 }
    }

    fn describe(&self, links: &mut Vec<Link>) {
        let reads = Reads::whole("they go on as they are");
        links.push(super::sent::<R>(self.id, RoutePlan::keyless("to every shard"), &reads));
    }
}

/// The terminal itself; one a shard and exchange.
#[derive(Debug)]
pub struct Broadcast {
    targets: Vec<Target>,
    /// Copies of the present input that lie in rings.
    accepted: u32,
    /// Copies of it that this run has come to.
    seen: u32,
    /// Items of it that this run has come to.
    items: u32,
}

impl Broadcast {
    /// Sends one item to every shard that does not have it yet.
    fn send(
        &mut self,
        header: &FrameHeader,
        mut send: impl FnMut(&mut Target, &FrameHeader) -> Flow,
    ) -> Flow {
        let header = FrameHeader { ordinal: header.ordinal_of(self.items), ..*header };
        for target in &mut self.targets {
            if self.seen == self.accepted {
                if send(target, &header).is_blocked() {
                    return Flow::Blocked;
                }
                self.accepted += 1;
            }
            self.seen += 1;
        }
        self.items += 1;
        Flow::Ready
    }
}

impl Terminal for Broadcast {
    fn begin(&mut self, repeated: bool) {
        (self.seen, self.items) = (0, 0);
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

impl<R: Record> Push<R> for Broadcast {
    fn push(&mut self, header: &FrameHeader, view: R::View<'_>) -> Flow {
        self.send(header, |target, header| target.send::<R>(header, view))
    }

    fn push_frame(&mut self, frame: Frame<'_>) -> Flow {
        self.send(&frame.header(), |target, header| target.send_frame(header, frame))
    }
}

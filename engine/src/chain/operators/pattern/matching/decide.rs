//! Step 6, chain: what one event does to one partial match.
//!
//! Takes a state, which of its waits are open, and the answers of conditions; hands on which waits
//! take the event and which stay open. A pure function: everything else only executes it.

use super::super::compile::{EMITTED_BIT, END_BIT, FRESH_BIT, Gap, State};
use super::super::parts::Contiguity;

/// What an event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Decision {
    /// The waits that take it.
    pub(super) takes: u64,
    /// What is open behind it.
    pub(super) open: u64,
    /// What was taken before it is a match by now.
    pub(super) completes: bool,
}

impl State {
    /// Decides. `holds` answers whether the event meets a condition.
    #[inline]
    pub(super) fn decide(&self, open: u64, mut holds: impl FnMut(u16) -> bool) -> Decision {
        let fresh = open >> FRESH_BIT & 1 == 1;
        let (mut takes, mut left) = (0, open & 1 << EMITTED_BIT);
        for (index, wait) in self.waits.iter().enumerate() {
            let bit = 1 << index;
            if open & bit == 0 || wait.gap.is_broken(fresh, &mut holds) {
                continue;
            }
            let stopped = wait.until.is_some_and(&mut holds);
            if stopped && wait.repeats {
                continue;
            }
            let taken = !stopped && holds(wait.condition);
            if taken {
                takes |= bit;
            }
            let stays = match wait.contiguity {
                Contiguity::Strict => false,
                Contiguity::Relaxed => !taken,
                Contiguity::Any => true,
            };
            if stays {
                left |= bit;
            }
        }
        let over = self.guarded_by(takes);
        let (taken, left) = (takes & !over, left & !over);
        self.decide_end(
            open,
            fresh,
            takes,
            Decision { takes: taken, open: left, completes: false },
            holds,
        )
    }

    /// The waits that are over, as those that guard them could take the event.
    #[inline]
    fn guarded_by(&self, takes: u64) -> u64 {
        if takes == 0 {
            return 0;
        }
        let over = self.waits.iter().enumerate().filter(|(_, wait)| wait.guards & takes != 0);
        over.fold(0, |over, (index, _)| over | 1 << index)
    }

    #[inline]
    fn decide_end(
        &self,
        open: u64,
        fresh: bool,
        takes: u64,
        mut decision: Decision,
        mut holds: impl FnMut(u16) -> bool,
    ) -> Decision {
        let Some(end) = self.end.as_ref().filter(|_| open >> END_BIT & 1 == 1) else {
            return decision;
        };
        if end.guards & takes == 0 && !end.gap.is_broken(fresh, &mut holds) {
            // What guarded it is over, and nothing that may come can undo it.
            decision.completes = end.gap.never.is_empty() && end.guards & decision.open == 0;
            decision.open |= 1 << if decision.completes { EMITTED_BIT } else { END_BIT };
        }
        decision
    }
}

impl Gap {
    #[inline]
    fn is_broken(&self, fresh: bool, holds: &mut impl FnMut(u16) -> bool) -> bool {
        self.never.iter().any(|number| holds(*number))
            || (fresh && self.not_next.iter().any(|number| holds(*number)))
    }
}

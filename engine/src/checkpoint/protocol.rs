//! Step 8, checkpoint: when an epoch begins, is whole, or is given up. Pure decisions.
//!
//! Takes the time and who has said what; hands on what to do next. The coordinator does it.
//!
//! Invariants
//! 1. One epoch is in flight; the next begins an interval after the last one began, or at once where
//!    somebody asked for it, but never before the last one is over.
//! 2. An epoch is whole when every seat has said its part of it, or its last part.
//! 3. Once every seat has said its last part, one more epoch is made of these: the final one.

/// How the protocol is paced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// From the beginning of one epoch to that of the next.
    pub(super) interval_ns: u64,
    /// How long an epoch may take.
    pub(super) timeout_ns: u64,
    /// How many epochs in a row may fail.
    pub(super) failures_max: u32,
}

/// What the coordinator is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing before this time.
    WaitUntil(u64),
    /// Send the barrier of this epoch.
    Begin(u64),
    /// The epoch in flight is whole: make it durable.
    Complete(u64),
    /// The epoch in flight has taken too long.
    TimeOut(u64),
    /// Every seat has ended: make the final epoch of their last parts.
    CompleteFinal(u64),
}

/// The epoch in flight, and what came before.
#[derive(Debug)]
pub(super) struct Protocol {
    pace: Pace,
    /// The last epoch that was begun.
    epoch: u64,
    in_flight_since_ns: Option<u64>,
    due_ns: u64,
    failures: u32,
    /// After a failure, nothing begins before this time.
    retry_ns: u64,
}

/// How long the protocol rests after a failure, so that a disk that is full for a moment does not use
/// up all attempts in that moment.
const RETRY_AFTER_NS: u64 = 1_000_000_000;

impl Protocol {
    /// Goes on after `epoch`.
    pub(super) fn new(pace: Pace, epoch: u64, now_ns: u64) -> Self {
        let due_ns = now_ns.saturating_add(pace.interval_ns);
        Self { pace, epoch, in_flight_since_ns: None, due_ns, failures: 0, retry_ns: 0 }
    }

    /// The epoch in flight.
    pub(super) fn in_flight(&self) -> Option<u64> {
        self.in_flight_since_ns.map(|_| self.epoch)
    }

    /// What to do now: `whole` says whether every seat has said its part of the epoch in flight,
    /// `all_ended` whether every seat has said its last.
    pub(super) fn decide(&self, now_ns: u64, asked: bool, whole: bool, all_ended: bool) -> Step {
        match self.in_flight_since_ns {
            // Also where it is whole: an output may never prepare.
            Some(since_ns) if now_ns >= since_ns.saturating_add(self.pace.timeout_ns) => {
                Step::TimeOut(self.epoch)
            }
            Some(_) if whole => Step::Complete(self.epoch),
            Some(since_ns) => Step::WaitUntil(since_ns.saturating_add(self.pace.timeout_ns)),
            None if now_ns < self.retry_ns => Step::WaitUntil(self.retry_ns),
            None if all_ended => Step::CompleteFinal(self.epoch + 1),
            None if asked || now_ns >= self.due_ns => Step::Begin(self.epoch + 1),
            None => Step::WaitUntil(self.due_ns),
        }
    }

    /// An epoch begins.
    pub(super) fn begun(&mut self, epoch: u64, now_ns: u64) {
        debug_assert!(epoch > self.epoch && self.in_flight_since_ns.is_none(), "invariant 1");
        self.epoch = epoch;
        self.in_flight_since_ns = Some(now_ns);
        self.due_ns = now_ns.saturating_add(self.pace.interval_ns);
    }

    /// The epoch in flight is durable; answers how long it took.
    pub(super) fn completed(&mut self, now_ns: u64) -> u64 {
        self.failures = 0;
        self.in_flight_since_ns.take().map_or(0, |since_ns| now_ns.saturating_sub(since_ns))
    }

    /// The epoch in flight is given up; answers whether the job may go on.
    pub(super) fn failed(&mut self, now_ns: u64) -> bool {
        self.in_flight_since_ns = None;
        self.failures += 1;
        self.retry_ns = now_ns.saturating_add(RETRY_AFTER_NS.min(self.pace.interval_ns));
        self.failures <= self.pace.failures_max
    }

    /// How many epochs in a row have failed.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { interval_ns: 100, timeout_ns: 1_000, failures_max: 1 };

    #[test]
    fn an_epoch_begins_an_interval_after_the_last_one_began() {
        let mut protocol = Protocol::new(PACE, 7, 0);
        assert_eq!(protocol.decide(99, false, false, false), Step::WaitUntil(100));
        assert_eq!(protocol.decide(100, false, false, false), Step::Begin(8));
        protocol.begun(8, 100);
        assert_eq!(protocol.decide(150, true, false, false), Step::WaitUntil(1_100));
        assert_eq!(protocol.decide(150, false, true, false), Step::Complete(8));
        assert_eq!(protocol.completed(160), 60);
        assert_eq!(protocol.decide(160, false, false, false), Step::WaitUntil(200));
        assert_eq!(protocol.decide(160, true, false, false), Step::Begin(9));
    }

    #[test]
    fn an_epoch_that_takes_too_long_is_given_up_and_only_so_many_may() {
        let mut protocol = Protocol::new(PACE, 0, 0);
        protocol.begun(1, 100);
        assert_eq!(protocol.decide(1_100, false, false, false), Step::TimeOut(1));
        assert_eq!(protocol.decide(1_100, false, true, false), Step::TimeOut(1), "outputs, too");
        assert!(protocol.failed(1_100));
        for (asked, all_ended) in [(true, false), (false, true)] {
            assert_eq!(protocol.decide(1_199, asked, true, all_ended), Step::WaitUntil(1_200));
        }
        assert_eq!(protocol.decide(1_200, true, false, false), Step::Begin(2));
        protocol.begun(2, 1_200);
        assert!(!protocol.failed(1_300));
        assert_eq!(protocol.failures(), 2);
    }

    #[test]
    fn when_all_have_ended_the_epoch_in_flight_is_finished_and_then_the_final_one_made() {
        let mut protocol = Protocol::new(PACE, 0, 0);
        protocol.begun(1, 100);
        assert_eq!(protocol.decide(110, false, true, true), Step::Complete(1));
        protocol.completed(120);
        assert_eq!(protocol.decide(120, false, true, true), Step::CompleteFinal(2));
    }
}

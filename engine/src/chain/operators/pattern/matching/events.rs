//! Step 6, chain: the events of a key that its partial matches have taken.
//!
//! Takes events and how they follow each other; hands on the path of a match.
//!
//! An event is kept once, as its whole frame, however many partial matches have taken it; beside it
//! stand its *nodes*, one for each way in which a match came to it. So matches that begin alike
//! share what they have in common.
//!
//! ```text
//! namespace | kind 8 bits | number 56 bits |     kind 0: the key's head (`run.rs`)
//!                                                kind 1: an event's frame
//!                                                kind 2: its nodes
//! nodes:    | older 8 | node: ( before's event 8 | before's place 4 | step 4 ) ... |
//! ```
//!
//! Invariants
//! 1. Events are numbered in the order in which they are kept; a node's `before` has a lower number.
//! 2. `older` links each event that is kept to the one kept before it, so all can be found.
//! 3. What no run leads to any more goes once as many events have been kept since the last time as
//!    there were then: so there are never more than about twice as many as are needed, and an event
//!    costs a bounded number of look-ups in the mean.
//!
//! Why not counts of references: each event taken would change the entry of the one before it.

use std::collections::BTreeSet;

use super::matched::Taken;
use super::run::{Head, Run, Tip};
use crate::chain::StateLayout;
use crate::record::{Fixed, KeyHash, Layout, Record};
use crate::state::{EntryKey, LogOffset, OperatorId, Store};

const KIND_FRAME: u64 = 1;
const KIND_NODES: u64 = 2;
const NUMBER_BITS: u32 = 56;
const NUMBER_MAX: u64 = (1 << NUMBER_BITS) - 1;

/// A node: what a match took before this event, and the step that took this one.
type Node = (u64, u32, u32);

const NODE_BYTES: usize = <Node as Fixed>::BYTES;
const NODES_AT: usize = 8;

/// Fewer events than this are kept whether they are needed or not.
const KEPT_MIN: u32 = 8;

/// The key whose events these are.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyOf<'k> {
    pub(super) operator: OperatorId,
    pub(super) hash: KeyHash,
    pub(super) key: &'k [u8],
}

impl<'k> KeyOf<'k> {
    fn entry(&self, kind: u64, number: u64) -> EntryKey<'k> {
        assert!(number <= NUMBER_MAX, "a key has fewer than 2^56 events");
        let namespace = kind << NUMBER_BITS | number;
        EntryKey { operator: self.operator, hash: self.hash, key: self.key, namespace }
    }

    /// The entry of its head.
    pub(super) fn head(&self) -> EntryKey<'k> {
        self.entry(0, 0)
    }

    /// Keeps the event with the head's next number.
    pub(super) fn keep(
        &self,
        state: &mut Store,
        head: &mut Head,
        frame: &[u8],
        nodes: &[(Tip, u16)],
    ) {
        let number = head.next_event;
        state.put(&self.entry(KIND_FRAME, number), frame);
        let bytes = NODES_AT + nodes.len() * NODE_BYTES;
        let at = state.insert(&self.entry(KIND_NODES, number), bytes);
        state.set(at, 0, head.newest);
        for (index, (before, step)) in nodes.iter().enumerate() {
            let node: Node = (before.number, before.place, u32::from(*step));
            state.set(at, NODES_AT + index * NODE_BYTES, node);
        }
        head.newest = number + 1;
        head.next_event = number + 1;
        head.kept += 1;
    }

    /// The events that lead to `tip`, appended to `path` in order.
    pub(super) fn path(&self, state: &Store, tip: Tip, path: &mut Vec<Taken>) {
        let from = path.len();
        let mut at = tip;
        while at != Tip::NONE {
            let (before, step) = self.node(state, at);
            let frame = state.find(&self.entry(KIND_FRAME, at.number));
            let frame = frame.expect("an event is kept while a run leads to it");
            path.push(Taken { step, number: at.number, frame });
            at = before;
        }
        path[from..].reverse();
    }

    fn node(&self, state: &Store, tip: Tip) -> (Tip, u16) {
        let at = state.find(&self.entry(KIND_NODES, tip.number));
        let at = at.expect("an event is kept while a run leads to it");
        let (number, place, step): Node =
            state.field(at, NODES_AT + tip.place as usize * NODE_BYTES);
        (Tip { number, place }, u16::try_from(step).expect("written from a u16"))
    }

    /// Forgets all events.
    pub(super) fn forget_all(&self, state: &mut Store, head: &Head) {
        let mut newest = head.newest;
        while let Some(number) = newest.checked_sub(1) {
            newest = self.forget(state, number);
        }
    }

    /// Forgets an event; answers with the one before it, and one.
    fn forget(&self, state: &mut Store, number: u64) -> u64 {
        let at = state.find(&self.entry(KIND_NODES, number)).expect("every event has nodes");
        let older = state.field(at, 0);
        state.delete_at(at);
        state.delete(&self.entry(KIND_FRAME, number));
        older
    }

    /// Forgets events that no run leads to, where it is time (invariant 3).
    pub(super) fn sweep<S: Copy>(&self, state: &mut Store, head: &mut Head, runs: &[Run<S>]) {
        if head.kept < head.kept_then.saturating_mul(2).saturating_add(KEPT_MIN) {
            return;
        }
        let needed = self.needed(state, runs);
        let (mut newer, mut next) = (None, head.newest);
        while let Some(number) = next.checked_sub(1) {
            if needed.contains(&number) {
                newer = Some(number);
                let at = state.find(&self.entry(KIND_NODES, number));
                next = state.field(at.expect("every event has nodes"), 0);
                continue;
            }
            next = self.forget(state, number);
            head.kept -= 1;
            match newer {
                None => head.newest = next,
                Some(newer) => {
                    let at = state.find(&self.entry(KIND_NODES, newer));
                    let at = state.writable(at.expect("every event has nodes"));
                    state.set(at, 0, next);
                }
            }
        }
        head.kept_then = head.kept;
    }

    fn needed<S: Copy>(&self, state: &Store, runs: &[Run<S>]) -> BTreeSet<u64> {
        let (mut nodes, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        for run in runs {
            let mut at = run.tip;
            while at != Tip::NONE && nodes.insert(at) {
                numbers.insert(at.number);
                at = self.node(state, at).0;
            }
        }
        numbers
    }
}

/// What is kept beside heads.
pub(super) fn layouts<R: Record>() -> [StateLayout; 2] {
    let range = |kind: u64| kind << NUMBER_BITS..=(kind << NUMBER_BITS | NUMBER_MAX);
    let node = Layout::fields([
        ("before", <u64 as Fixed>::layout()),
        ("place", <u32 as Fixed>::layout()),
        ("step", <u32 as Fixed>::layout()),
    ]);
    let nodes = Layout::fields([
        ("older", <u64 as Fixed>::layout()),
        ("nodes", Layout::Repeated(Box::new(node))),
    ]);
    [
        StateLayout::frames::<R>("events", range(KIND_FRAME)),
        StateLayout::new("nodes", range(KIND_NODES), nodes),
    ]
}

/// The place of an event that is being looked at, and is not kept yet.
pub(super) fn present(step: u16, number: u64) -> Taken {
    Taken { step, number, frame: LogOffset::NONE }
}

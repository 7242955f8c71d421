//! Step 6, chain: one event, shown to all partial matches of its key.
//!
//! Takes an event; hands on the runs that there are behind it, and those that are matches by now.
//!
//! Nothing is written here. The event has the number that it will have if it is kept, and its nodes
//! are in [`Turn::nodes`] until then.

use std::marker::PhantomData;
use std::sync::Arc;

use super::super::compile::{Automaton, FRESH_BIT, Wait};
use super::super::condition::Memo;
use super::super::language::ReadInput;
use super::decide::Decision;
use super::events::{KeyOf, present};
use super::matched::{Ending, Matched, Span, Taken};
use super::run::{Head, Run, Tip};
use crate::chain::operators::fold::Fold;
use crate::chain::operators::sorted::FrameBuffer;
use crate::record::{EventTime, FrameHeader, Item, Record, TimeSpan};
use crate::state::{LogOffset, Store};

/// What is at hand while a key's runs are looked at. All buffers are used again.
#[derive(Debug)]
pub(super) struct Turn<S> {
    pub(super) head: Head,
    /// Where the head lies, if the key has one.
    pub(super) at: Option<LogOffset>,
    pub(super) runs: Vec<Run<S>>,
    before: Vec<Run<S>>,
    /// The ways in which the event was taken: behind what, and by which step.
    pub(super) nodes: Vec<(Tip, u16)>,
    pub(super) completed: Vec<Run<S>>,
    pub(super) path: Vec<Taken>,
    pub(super) frame: FrameBuffer,
    memo: Memo,
    /// Whether the runs are others than those that were loaded.
    pub(super) changed: bool,
}

impl<S> Default for Turn<S> {
    fn default() -> Self {
        Self {
            head: Head::default(),
            at: None,
            runs: Vec::new(),
            before: Vec::new(),
            nodes: Vec::new(),
            completed: Vec::new(),
            path: Vec::new(),
            frame: FrameBuffer::default(),
            memo: Memo::default(),
            changed: false,
        }
    }
}

/// The event that is looked at.
pub(super) struct Look<'l, 'v, R: Record> {
    pub(super) state: &'l Store,
    pub(super) key: KeyOf<'l>,
    pub(super) header: &'l FrameHeader,
    pub(super) view: <R as Item>::View<'v>,
}

impl<S: crate::record::Fixed> Turn<S> {
    /// Loads a key's head and runs.
    pub(super) fn load(&mut self, state: &Store, at: Option<LogOffset>) {
        self.runs.clear();
        self.nodes.clear();
        self.completed.clear();
        self.changed = false;
        self.memo = Memo::default();
        self.at = at;
        self.head = at.map_or_else(Head::default, |at| Head::load(state.value(at), &mut self.runs));
    }

    /// Whether a run or a match has taken the event.
    pub(super) fn is_taken(&self) -> bool {
        let number = self.head.next_event;
        self.runs.iter().chain(&self.completed).any(|run| run.tip.number == number)
    }

    /// Makes `path` what leads to `tip`.
    pub(super) fn trace(&mut self, state: &Store, key: &KeyOf<'_>, tip: Tip) {
        let Self { path, nodes, head, .. } = self;
        path.clear();
        trace(state, key, head, nodes, tip, path);
    }

    /// The events that lead to `tip`, and the steps that took them: for comparing.
    pub(super) fn order_of(
        &self,
        state: &Store,
        key: &KeyOf<'_>,
        tip: Tip,
    ) -> (Vec<u64>, Vec<u16>) {
        let mut path = Vec::new();
        trace(state, key, &self.head, &self.nodes, tip, &mut path);
        path.into_iter().map(|taken| (taken.number, taken.step)).unzip()
    }
}

fn trace(
    state: &Store,
    key: &KeyOf<'_>,
    head: &Head,
    nodes: &[(Tip, u16)],
    tip: Tip,
    path: &mut Vec<Taken>,
) {
    if tip.number != head.next_event {
        return key.path(state, tip, path);
    }
    let (before, step) = nodes[tip.place as usize];
    key.path(state, before, path);
    path.push(present(step, tip.number));
}

impl<R: Record, A: Fold> Automaton<R, A> {
    /// Whether the event changes anything; where that is not told quickly, it may. Runs that are
    /// open alike are decided together, and conditions of the event alone are not asked again.
    pub(super) fn moves(&self, turn: &mut Turn<A::State>, look: &Look<'_, '_, R>) -> bool {
        let mut still = None;
        for index in 0..turn.runs.len() {
            let run = turn.runs[index];
            if still == Some((run.state, run.open)) {
                continue;
            }
            if self.states[run.state as usize].looks_back {
                return true;
            }
            let Decision { takes, open, completes } = self.decide(turn, look, Some(&run));
            if takes != 0 || open != run.open || completes {
                return true;
            }
            still = Some((run.state, run.open));
        }
        self.decide(turn, look, None).takes != 0
    }

    /// Shows the event to all runs, and lets it begin new ones.
    pub(super) fn advance(
        &self,
        turn: &mut Turn<A::State>,
        look: &Look<'_, '_, R>,
        read: Option<&Arc<ReadInput<R, A::Input>>>,
    ) {
        let Turn { runs, before, .. } = turn;
        std::mem::swap(runs, before);
        runs.clear();
        for index in 0..turn.before.len() {
            let run = turn.before[index];
            let decision = self.decide(turn, look, Some(&run));
            turn.changed |= decision.open != run.open;
            if decision.completes {
                turn.completed.push(run);
            }
            let left = Run { open: decision.open & !(1 << FRESH_BIT), ..run };
            if left.is_open() {
                turn.runs.push(left);
            }
            self.take_all(turn, look, read, decision.takes, Some(&run));
        }
        let decision = self.decide(turn, look, None);
        self.take_all(turn, look, read, decision.takes, None);
    }

    fn decide(
        &self,
        turn: &mut Turn<A::State>,
        look: &Look<'_, '_, R>,
        run: Option<&Run<A::State>>,
    ) -> Decision {
        let state = &self.states[run.map_or(0, |run| run.state as usize)];
        let Turn { path, memo, .. } = turn;
        path.clear();
        if let (true, Some(run)) = (state.looks_back, run) {
            look.key.path(look.state, run.tip, path);
        }
        let time = look.header.event_time;
        let so_far = Matched {
            store: look.state,
            path,
            current: None,
            steps: &self.steps,
            span: Span {
                start: run.map_or(time, |run| run.start),
                end: run.map_or(time, |run| run.last),
                folded: run.map_or_else(A::start, |run| run.folded),
                ending: Ending::Open,
            },
            kinds: PhantomData,
        };
        let open = run.map_or(state.entered, |run| run.open);
        state.decide(open, |number| {
            let condition = &self.conditions[usize::from(number)];
            if condition.looks_back() {
                condition.holds(look.view, &so_far)
            } else {
                memo.get(number, || condition.holds(look.view, &so_far))
            }
        })
    }

    fn take_all(
        &self,
        turn: &mut Turn<A::State>,
        look: &Look<'_, '_, R>,
        read: Option<&Arc<ReadInput<R, A::Input>>>,
        mut takes: u64,
        run: Option<&Run<A::State>>,
    ) {
        let state = &self.states[run.map_or(0, |run| run.state as usize)];
        while takes != 0 {
            let wait = &state.waits[takes.trailing_zeros() as usize];
            takes &= takes - 1;
            self.take(turn, look, read, wait, run);
        }
    }

    /// Lets a wait take the event.
    fn take(
        &self,
        turn: &mut Turn<A::State>,
        look: &Look<'_, '_, R>,
        read: Option<&Arc<ReadInput<R, A::Input>>>,
        wait: &Wait,
        run: Option<&Run<A::State>>,
    ) {
        let (number, time) = (turn.head.next_event, look.header.event_time);
        let place = u32::try_from(turn.nodes.len()).expect("fewer nodes than a budget has runs");
        turn.nodes.push((run.map_or(Tip::NONE, |run| run.tip), wait.step));
        let before = run.map_or_else(A::start, |run| run.folded);
        let input = read.and_then(|read| read(self.steps[usize::from(wait.step)], look.view));
        let start = run.map_or(time, |run| run.start);
        let state = &self.states[wait.target as usize];
        let taken = Run {
            state: wait.target,
            taken: run.map_or(1, |run| run.taken + 1),
            open: state.entered,
            first: run.map_or(number, |run| run.first),
            start,
            last: time,
            deadline: self.deadline(start, time),
            tip: Tip { number, place },
            folded: input.map_or(before, |input| A::add(before, input)),
        };
        if state.accepts {
            turn.completed.push(taken);
        }
        if taken.is_open() {
            turn.runs.push(taken);
            turn.changed = true;
        }
    }

    fn deadline(&self, start: EventTime, last: EventTime) -> EventTime {
        let after = |time: EventTime, span: Option<TimeSpan>| {
            span.map_or(EventTime::MAX, |span| time.saturating_add(span))
        };
        let settings = &self.settings;
        after(start, settings.within).min(after(last, settings.within_previous))
    }
}

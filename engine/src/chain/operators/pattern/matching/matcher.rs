//! Step 6, chain: finds a pattern in the events of each key.
//!
//! Takes events; hands on what the selection makes of matches, and of partial matches that will be
//! none. Matches of one event leave in the order of their first events.
//!
//! For each event: one look-up of the key's head, and a decision for each partial match of the key;
//! each step's condition is asked once. An event that is taken is written once, with a look-up for
//! its frame and one for its nodes. Keys without a partial match keep nothing.
//!
//! Invariants
//! 1. A match is emitted by the event that completes it, or by the time at which it is complete.
//!    What it lets go by the skip strategy goes at that moment, before any later event.
//! 2. A run whose deadline is at or before an event's time is over before the event is looked at.
//! 3. A key with an alarm has one place in the heap of timers, at or before its first alarm, and
//!    that time is in its head. Places hold no offsets, as the log moves entries; a place that no head
//!    knows any more is dropped when its time comes. [`PatternMatcher::rebuild`] makes the heap anew.
//!    A run that waits for the end of the input has no place, which would stay until then: at the
//!    end, all heads are walked.
//! 4. What was emitted waits in the outbox, and no input, watermark or barrier passes before it has
//!    left.
//!
//! After "Efficient Pattern Matching over Event Streams" (Agrawal et al., SIGMOD 2008) in that
//! matches share the events that they have in common. Matches are not held back for a partial match
//! that began earlier, as Flink's are under a skip strategy: without a bound on time, that could be
//! for ever.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::super::check::PatternError;
use super::super::compile::Automaton;
use super::super::language::{Pattern, ReadInput};
use super::super::parts::{AfterMatch, OverBudget, Step};
use super::events::{KeyOf, layouts};
use super::matched::{Ending, Matched, Span};
use super::run::{Head, Run, layout};
use super::selection::{Outbox, Selection};
use super::turn::{Look, Turn};
use crate::chain::operators::fold::Fold;
use crate::chain::{Due, KeyedOperator, OperatorState, StateLayout};
use crate::record::{EventTime, Fixed, FrameHeader, Item, Key, KeyHash, Record, TimeSpan};
use crate::state::{LogOffset, OperatorId, SlotCursor, Store};

/// A pattern, compiled: what each shard's matcher is made from.
pub(crate) struct Compiled<R: Record, A: Fold> {
    pub(in super::super) automaton: Arc<Automaton<R, A>>,
    pub(in super::super) read: Option<Arc<ReadInput<R, A::Input>>>,
    pub(in super::super) identity: Arc<str>,
}

impl<R: Record, A: Fold> Clone for Compiled<R, A> {
    fn clone(&self) -> Self {
        Self {
            automaton: Arc::clone(&self.automaton),
            read: self.read.clone(),
            identity: Arc::clone(&self.identity),
        }
    }
}

/// Finds a pattern; see the head of the file.
pub struct PatternMatcher<K, R: Record, A: Fold, S> {
    operator: OperatorId,
    pattern: Compiled<R, A>,
    selection: S,
    timers: BinaryHeap<Reverse<(EventTime, KeyHash)>>,
    /// The keys whose runs have not been told of the end of the input.
    ends: SlotCursor,
    outbox: Outbox,
    turn: Turn<A::State>,
    key: Vec<u8>,
    over_budget_count: u64,
    kinds: PhantomData<fn() -> K>,
}

impl<K, R: Record, A: Fold, S> fmt::Debug for PatternMatcher<K, R, A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PatternMatcher({:?}, {})", self.operator, self.pattern.identity)
    }
}

impl<K, R, A, S> PatternMatcher<K, R, A, S>
where
    K: Key,
    R: Record,
    A: Fold,
    S: Selection<R, A>,
{
    /// Finds `pattern`; what is found becomes what `selection` says.
    pub(crate) fn new(operator: OperatorId, pattern: Compiled<R, A>, selection: S) -> Self {
        Self {
            operator,
            pattern,
            selection,
            timers: BinaryHeap::new(),
            ends: SlotCursor::new(operator, None),
            outbox: Outbox::default(),
            turn: Turn::default(),
            key: Vec::new(),
            over_budget_count: 0,
            kinds: PhantomData,
        }
    }

    /// Compiles `pattern`, and finds it.
    ///
    /// # Errors
    /// The pattern can't work.
    pub fn compiled(
        operator: OperatorId,
        pattern: Pattern<R, A>,
        selection: S,
    ) -> Result<Self, PatternError> {
        let (pattern, verdict) = Compiled::of(pattern);
        match verdict.problem(None) {
            Some(error) => Err(error),
            None => Ok(Self::new(operator, pattern, selection)),
        }
    }

    /// How many partial matches went, or were not begun, for want of budget.
    #[must_use]
    pub fn over_budget_count(&self) -> u64 {
        self.over_budget_count
    }

    /// How many places the heap of timers has.
    #[must_use]
    pub fn timer_count(&self) -> usize {
        self.timers.len()
    }

    fn on_event(
        &mut self,
        state: &mut Store,
        key: KeyOf<'_>,
        header: &FrameHeader,
        view: R::View<'_>,
    ) {
        self.turn.load(state, state.find(&key.head()));
        self.expire(state, &key, header.event_time);
        let look = Look { state, key, header, view };
        // Most events of most patterns take nothing, and end nothing.
        if !self.pattern.automaton.moves(&mut self.turn, &look) {
            return self.save(state, &key);
        }
        self.pattern.automaton.advance(&mut self.turn, &look, self.pattern.read.as_ref());
        if self.turn.is_taken() {
            self.turn.frame.encode::<R>(header, view);
        }
        self.outbox.begin();
        self.settle(state, &key, *header, Ending::Completed);
        self.keep_budget(state, &key, *header);
        self.save(state, &key);
    }

    /// Ends the runs whose deadline is at or before `limit`, the first deadline first.
    fn expire(&mut self, state: &Store, key: &KeyOf<'_>, limit: EventTime) {
        loop {
            let alarms = self.turn.runs.iter().filter_map(Run::alarm);
            let Some(deadline) = alarms.min().filter(|deadline| *deadline <= limit) else {
                return;
            };
            self.turn.changed = true;
            self.outbox.begin();
            let Turn { runs, completed, .. } = &mut self.turn;
            let is_over = |run: &Run<A::State>| run.alarm() == Some(deadline);
            let ended = runs.iter().filter(|run| is_over(run) && run.awaits_end());
            completed.extend(ended.map(|run| Run { last: deadline, ..*run }));
            let header = FrameHeader::at_time(key.hash, deadline);
            self.settle(state, key, header, Ending::Absence);
            for index in 0..self.turn.runs.len() {
                let run = self.turn.runs[index];
                if is_over(&run) && !run.awaits_end() {
                    self.lose(state, key, header, run, Ending::TimedOut);
                }
            }
            self.turn.runs.retain(|run| !is_over(run));
        }
    }

    /// Emits what is complete, and lets go what that skips.
    fn settle(&mut self, state: &Store, key: &KeyOf<'_>, header: FrameHeader, ending: Ending) {
        let skip = self.pattern.automaton.settings.after_match;
        let mut completed = std::mem::take(&mut self.turn.completed);
        if skip != AfterMatch::NoSkip && completed.len() > 1 {
            completed.sort_by(|left, right| {
                let order = (left.first, Reverse(left.taken));
                order.cmp(&(right.first, Reverse(right.taken))).then_with(|| {
                    let path = |run: &Run<A::State>| self.turn.order_of(state, key, run.tip);
                    path(left).cmp(&path(right))
                })
            });
        }
        let mut below = 0;
        for run in &completed {
            if run.first >= below {
                self.emit(state, key, header, *run, ending);
                below = below.max(self.skipped_below(skip, run.first));
            }
        }
        completed.clear();
        self.turn.completed = completed;
        let count = self.turn.runs.len();
        self.turn.runs.retain(|run| run.first >= below);
        self.turn.changed |= self.turn.runs.len() != count;
    }

    /// Before which event all that has begun goes, for the match whose path is at hand.
    fn skipped_below(&self, skip: AfterMatch, first: u64) -> u64 {
        let step = |step: Step| {
            let steps = &self.pattern.automaton.steps;
            let of = move |taken: u16| steps[usize::from(taken)] == step;
            self.turn.path.iter().filter(move |taken| of(taken.step)).map(|taken| taken.number)
        };
        match skip {
            AfterMatch::NoSkip => 0,
            AfterMatch::SkipToNext => first + 1,
            AfterMatch::SkipPastLastEvent => {
                self.turn.path.last().map_or(0, |taken| taken.number + 1)
            }
            AfterMatch::SkipToFirst(name) => step(name).next().unwrap_or(0),
            AfterMatch::SkipToLast(name) => step(name).next_back().unwrap_or(0),
        }
    }

    /// Lets runs go, or does not begin them, where the key has more than it may.
    fn keep_budget(&mut self, state: &Store, key: &KeyOf<'_>, header: FrameHeader) {
        let settings = self.pattern.automaton.settings;
        while self.turn.runs.len() > settings.partials_max {
            let present = self.turn.head.next_event;
            let is_new = |run: &Run<A::State>| run.tip.number == present;
            // After a restart with a smaller budget, there may be too many that are not new.
            let newest = self.turn.runs.len() - 1;
            let index = match settings.over_budget {
                OverBudget::DropOldest => 0,
                OverBudget::RefuseNew => self.turn.runs.iter().rposition(is_new).unwrap_or(newest),
            };
            let run = self.turn.runs.remove(index);
            self.turn.changed = true;
            self.over_budget_count += 1;
            self.lose(state, key, header, run, Ending::OverBudget);
        }
    }

    fn lose(
        &mut self,
        state: &Store,
        key: &KeyOf<'_>,
        header: FrameHeader,
        run: Run<A::State>,
        ending: Ending,
    ) {
        if S::HAS_SIDE && !run.was_emitted(&self.pattern.automaton.states) {
            let last = if ending == Ending::TimedOut { run.deadline } else { run.last };
            self.emit(state, key, header, Run { last, ..run }, ending);
        }
    }

    /// Hands a match, or a partial one, to the selection. Its path is at hand behind it.
    fn emit(
        &mut self,
        state: &Store,
        key: &KeyOf<'_>,
        header: FrameHeader,
        run: Run<A::State>,
        ending: Ending,
    ) {
        self.turn.trace(state, key, run.tip);
        let Turn { path, frame, .. } = &self.turn;
        let is_present = |taken: &super::matched::Taken| taken.frame == LogOffset::NONE;
        let matched = Matched {
            store: state,
            path,
            current: path.last().filter(|taken| is_present(taken)).map(|_| frame.frame()),
            steps: &self.pattern.automaton.steps,
            span: Span { start: run.start, end: run.last, folded: run.folded, ending },
            kinds: PhantomData,
        };
        match ending {
            Ending::Completed | Ending::Absence | Ending::Open => {
                self.selection.select(&matched, header, &mut self.outbox);
            }
            Ending::TimedOut | Ending::OverBudget => {
                self.selection.lose(&matched, header, &mut self.outbox);
            }
        }
    }

    /// Writes the runs back, where they are others now.
    fn save(&mut self, state: &mut Store, key: &KeyOf<'_>) {
        let Turn { head, at, runs, nodes, frame, changed, .. } = &mut self.turn;
        if !*changed {
            return;
        }
        if runs.is_empty() {
            if let Some(at) = *at {
                key.forget_all(state, head);
                state.delete_at(at);
            }
            return;
        }
        let present = head.next_event;
        if runs.iter().any(|run| run.tip.number == present) {
            key.keep(state, head, frame.bytes(), nodes);
        }
        key.sweep(state, head, runs);
        let alarm = runs.iter().filter_map(Run::alarm).min();
        if let Some(alarm) = alarm.filter(|alarm| *alarm < EventTime::MAX)
            && (head.armed == EventTime::MIN || alarm < head.armed)
        {
            head.armed = alarm;
            self.timers.push(Reverse((alarm, key.hash)));
        }
        head.store(state, &key.head(), *at, runs);
    }

    /// Looks at the first timer; says whether it was due.
    fn fire(&mut self, state: &mut Store, due: Due) -> bool {
        let Some(&Reverse((time, hash))) = self.timers.peek() else {
            return due.ended && self.end_next(state);
        };
        if !due.ended && time - TimeSpan::micros(1) > due.watermark {
            return false;
        }
        let armed = |at: &LogOffset| state.field::<EventTime>(*at, 0) == time;
        let Some(at) = state.candidates(self.operator, hash, 0).find(armed) else {
            self.timers.pop();
            return true;
        };
        self.end_runs(state, at, time);
        true
    }

    /// Ends the runs of the head at `at` whose deadline is at or before `limit`.
    fn end_runs(&mut self, state: &mut Store, at: LogOffset, limit: EventTime) {
        let mut bytes = std::mem::take(&mut self.key);
        bytes.clear();
        bytes.extend_from_slice(state.key(at));
        let key = KeyOf { operator: self.operator, hash: state.hash(at), key: &bytes };
        self.turn.load(state, Some(at));
        if self.turn.head.armed > EventTime::MIN {
            self.turn.head.armed = EventTime::MIN;
            self.turn.changed = true;
        }
        self.expire(state, &key, limit);
        self.save(state, &key);
        self.key = bytes;
    }

    /// Goes on to the next key, now that the input has ended, and ends what waits for that alone;
    /// says whether there was a key. An earlier run may have done so: then nothing waits any more.
    fn end_next(&mut self, state: &mut Store) -> bool {
        if !self.pattern.automaton.states.iter().any(|state| state.end.is_some()) {
            return false;
        }
        while let Some(at) = self.ends.next(state) {
            if state.namespace(at) == 0 {
                self.end_runs(state, at, EventTime::MAX);
                return true;
            }
        }
        false
    }
}

impl<K, R, A, S> KeyedOperator for PatternMatcher<K, R, A, S>
where
    K: Key,
    R: Record,
    A: Fold,
    S: Selection<R, A>,
{
    type Key = K;
    type In = R;
    type Out = S::Out;
    type Emission = ();

    const HAS_DUE: bool = true;

    fn touch(&self, state: &mut Store, hashes: &[KeyHash]) {
        state.touch(self.operator, hashes);
    }

    fn states(&self) -> Vec<OperatorState> {
        let [events, nodes] = layouts::<R>();
        vec![OperatorState {
            id: self.operator,
            kind: "pattern",
            identity: self.pattern.identity.to_string(),
            key: K::layout(),
            values: vec![
                StateLayout::new("partial_matches", 0..=0, layout::<A::State>()),
                events,
                nodes,
            ],
        }]
    }

    fn rebuild(&mut self, state: &Store, _: EventTime) {
        let heads = state.iter_operator(self.operator).filter(|at| state.namespace(*at) == 0);
        let places = heads.map(|at| (Head::read(state.value(at)).armed, state.hash(at)));
        let is_armed = |armed| EventTime::MIN < armed && armed < EventTime::MAX;
        self.timers = places.filter(|(armed, _)| is_armed(*armed)).map(Reverse).collect();
    }

    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        view: R::View<'_>,
    ) -> Option<()> {
        let (operator, hash) = (self.operator, header.key_hash);
        K::with_bytes(key, |key| {
            self.on_event(state, KeyOf { operator, hash, key }, header, view);
        });
        None
    }

    fn output<'a>(&self, (): (), _: K::View<'a>, _: R::View<'a>) -> <Self::Out as Item>::View<'a> {
        unreachable!("what is found is due, not an emission")
    }

    fn advance(&mut self, state: &mut Store, due: Due) -> bool {
        while self.outbox.is_empty() {
            if !self.fire(state, due) {
                return false;
            }
        }
        true
    }

    fn due<'s>(&'s self, _: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
        let (is_side, frame) =
            self.outbox.front().expect("asked only after `advance` answered `true`");
        (frame.header(), S::view(frame, is_side))
    }

    fn done(&mut self, _: &mut Store) {
        self.outbox.pop();
    }
}

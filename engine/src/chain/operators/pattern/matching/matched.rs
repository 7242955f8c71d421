//! Step 6, chain: a match, or what there is of one, as conditions and selections see it.
//!
//! Takes the path of a match through the pattern; hands on its events, read where they lie in the
//! state log. Looking a step's events up walks the path: its length is what it costs.

use std::marker::PhantomData;

use super::super::language::Unfolded;
use super::super::parts::Step;
use crate::chain::operators::fold::Fold;
use crate::chain::operators::sorted::FrameBuffer;
use crate::record::{EventTime, Frame, FrameHeader, Record};
use crate::state::{LogOffset, Store};

/// Why a match, or a partial one, is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is asked about by a condition, and goes on.
    Open,
    /// An event completed it.
    Completed,
    /// Time completed it: what was to stay away has stayed away.
    Absence,
    /// Its time was over before it was complete.
    TimedOut,
    /// Its key had more partial matches than its budget allows.
    OverBudget,
}

/// One event on the way through the pattern. `NONE` is the event that is being looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) step: u16,
    pub(super) number: u64,
    pub(super) frame: LogOffset,
}

/// What all events of a match have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<S> {
    pub(super) start: EventTime,
    pub(super) end: EventTime,
    pub(super) folded: S,
    pub(super) ending: Ending,
}

/// A match, or the part of one that there is: the events taken, by step, in order.
#[derive(Debug)]
pub struct Matched<'m, R: Record, A: Fold = Unfolded> {
    pub(super) store: &'m Store,
    pub(super) path: &'m [Taken],
    pub(super) current: Option<Frame<'m>>,
    pub(super) steps: &'m [Step],
    pub(super) span: Span<A::State>,
    pub(super) kinds: PhantomData<fn() -> R>,
}

impl<'m, R: Record, A: Fold> Matched<'m, R, A> {
    /// The events that a step has taken, in order.
    ///
    /// Panics where the pattern has no such step: a bug in the job.
    pub fn events(&self, step: impl Into<Step>) -> impl Iterator<Item = R::View<'m>> {
        let step = self.number_of(step.into());
        let taken = self.path.iter().filter(move |taken| taken.step == step);
        taken.map(|taken| self.frame(taken).view::<R>())
    }

    /// The first event of a step, where there is one.
    #[must_use]
    pub fn first(&self, step: impl Into<Step>) -> Option<R::View<'m>> {
        self.events(step).next()
    }

    /// The last event of a step, where there is one.
    #[must_use]
    pub fn last(&self, step: impl Into<Step>) -> Option<R::View<'m>> {
        let step = self.number_of(step.into());
        let taken = self.path.iter().rev().find(|taken| taken.step == step)?;
        Some(self.frame(taken).view::<R>())
    }

    /// How many events a step has taken.
    #[must_use]
    pub fn count(&self, step: impl Into<Step>) -> usize {
        let step = self.number_of(step.into());
        self.path.iter().filter(|taken| taken.step == step).count()
    }

    /// All events in order, each with its step and header.
    pub fn all(&self) -> impl Iterator<Item = (Step, FrameHeader, R::View<'m>)> {
        self.path.iter().map(|taken| {
            let frame = self.frame(taken);
            (self.steps[usize::from(taken.step)], frame.header(), frame.view::<R>())
        })
    }

    /// When its first event happened. Of no event yet: the time of the one that is asked about.
    #[must_use]
    pub fn start(&self) -> EventTime {
        self.span.start
    }

    /// When its last event happened; where time ended it, the first moment that is too late.
    #[must_use]
    pub fn end(&self) -> EventTime {
        self.span.end
    }

    /// What the pattern's fold makes of the events taken.
    #[must_use]
    pub fn folded(&self) -> A::Output {
        A::output(self.span.folded)
    }

    /// Why it is handed out.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.span.ending
    }

    fn number_of(&self, step: Step) -> u16 {
        let number = self.steps.iter().position(|known| *known == step);
        let number = number.unwrap_or_else(|| panic!("the pattern has no step `{step}`"));
        u16::try_from(number).expect("a pattern has few steps")
    }

    fn frame(&self, taken: &Taken) -> Frame<'m> {
        match self.current {
            Some(frame) if taken.frame == LogOffset::NONE => frame,
            _ => Frame::new(self.store.value(taken.frame)),
        }
    }
}

/// Takes the record that is made of a match; one, or none.
#[derive(Debug)]
pub struct MatchOut<'o, O> {
    buffer: &'o mut FrameBuffer,
    header: FrameHeader,
    emitted: &'o mut bool,
    out: PhantomData<fn(O)>,
}

impl<'o, O: Record> MatchOut<'o, O> {
    pub(super) fn new(
        buffer: &'o mut FrameBuffer,
        header: FrameHeader,
        emitted: &'o mut bool,
    ) -> Self {
        Self { buffer, header, emitted, out: PhantomData }
    }

    /// Emits the record.
    pub fn emit(self, view: O::View<'_>) {
        self.buffer.encode::<O>(&self.header, view);
        *self.emitted = true;
    }
}

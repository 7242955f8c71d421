//! Windows over slices where they can be, with a state of their own where they have to.
//!
//! Which of the two it is follows from what was asked for: slices are for windows whose bounds follow
//! from the clock, that fire when they end and for late records only, and that keep no records, where a window
//! is of no more slices than a firing can look up (`slices.rs`). Both
//! say the same of such windows; a test holds them to it.

use super::output::WindowOutput;
use super::sliced::SlicedWindows;
use super::spec::{Rules, Window};
use super::triggered::{Contents, Trigger, TriggeredWindows};
use crate::chain::operators::fold::Merge;
use crate::chain::{Due, KeyedOperator, OperatorState};
use crate::record::{EventTime, FrameHeader, Item, Key, KeyHash, Record, Sided};
use crate::state::{OperatorId, Store};

/// Windows of any kind, over slices if possible.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one a shard, and it does not move")]
pub enum AnyWindows<K, I, V, T, C, F>
where
    V: Merge,
    T: Trigger,
    C: Contents<V>,
{
    /// Over slices.
    Sliced(SlicedWindows<K, I, V, F>),
    /// With a state for each window.
    Triggered(TriggeredWindows<K, I, V, T, C, F>),
}

impl<K, I, V, T, C, F> AnyWindows<K, I, V, T, C, F>
where
    I: Record,
    V: Merge,
    T: Trigger,
    C: Contents<V>,
    F: for<'a> Fn(I::View<'a>) -> V::Input + Clone,
{
    /// Windows over what `read` makes of each record.
    ///
    /// The windows and rules must be without a problem: see [`Window`].
    pub fn new(
        operator: OperatorId,
        window: &Window,
        rules: Rules,
        trigger: T,
        contents: C,
        read: F,
    ) -> Self {
        if T::AT_END_ONLY
            && C::IS_FOLDED
            && let Some(sliced) = SlicedWindows::new(operator, window, rules, read.clone())
            && !sliced.has_too_many_slices()
        {
            return Self::Sliced(sliced);
        }
        Self::Triggered(TriggeredWindows::new(operator, window, rules, trigger, contents, read))
    }
}

macro_rules! either {
    ($windows:expr, $inner:ident => $call:expr) => {
        match $windows {
            Self::Sliced($inner) => $call,
            Self::Triggered($inner) => $call,
        }
    };
}

impl<K, I, V, T, C, F> KeyedOperator for AnyWindows<K, I, V, T, C, F>
where
    K: Key,
    I: Record,
    V: Merge,
    T: Trigger,
    C: Contents<V>,
    F: for<'a> Fn(I::View<'a>) -> V::Input + Send + 'static,
{
    type Key = K;
    type In = I;
    type Out = Sided<WindowOutput<K, V::Output>, I>;
    type Emission = ();

    const HAS_DUE: bool = true;

    fn touch(&self, state: &mut Store, hashes: &[KeyHash]) {
        either!(self, windows => windows.touch(state, hashes));
    }

    fn dropped_count(&self) -> u64 {
        either!(self, windows => windows.dropped_count())
    }

    fn states(&self) -> Vec<OperatorState> {
        either!(self, windows => windows.states())
    }

    fn rebuild(&mut self, state: &Store, watermark: EventTime) {
        either!(self, windows => windows.rebuild(state, watermark));
    }

    fn tick(&mut self, wall_micros: i64) {
        either!(self, windows => windows.tick(wall_micros));
    }

    fn next_wall_micros(&self) -> Option<i64> {
        either!(self, windows => windows.next_wall_micros())
    }

    #[inline(always)]
    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        view: I::View<'_>,
    ) -> Option<()> {
        either!(self, windows => windows.apply(state, header, key, view))
    }

    fn output<'a>(
        &self,
        late: (),
        key: K::View<'a>,
        view: I::View<'a>,
    ) -> <Self::Out as Item>::View<'a> {
        either!(self, windows => windows.output(late, key, view))
    }

    fn advance(&mut self, state: &mut Store, due: Due) -> bool {
        either!(self, windows => windows.advance(state, due))
    }

    fn due<'s>(&'s self, state: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
        either!(self, windows => windows.due(state))
    }

    fn done(&mut self, state: &mut Store) {
        either!(self, windows => windows.done(state));
    }
}

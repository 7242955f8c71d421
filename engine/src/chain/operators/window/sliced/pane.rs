//! Tumbling and hopping windows that say each window once, and drop what comes after that.
//!
//! Takes records; hands on windows in the order (end, key's hash), each once the watermark has
//! reached the window's last microsecond. It is [`SlicedWindows`] without the side: a record that
//! belongs to no later window is counted as late, and dropped.

use super::super::output::WindowOutput;
use super::super::spec::{Rules, Window};
use super::windows::SlicedWindows;
use crate::chain::operators::fold::Merge;
use crate::chain::{Due, KeyedOperator, OperatorState};
use crate::record::{EventTime, FrameHeader, Item, Key, Record, SidedView, TimeSpan};
use crate::state::{OperatorId, Store};

/// Where windows lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaneSpec {
    /// How long a window is.
    pub length: TimeSpan,
    /// How far apart windows start; no more than the length, so that each record has a window.
    pub slide: TimeSpan,
    /// Where window 0 starts, from 1970 on.
    pub offset: TimeSpan,
}

impl PaneSpec {
    /// Windows that follow each other.
    #[must_use]
    pub fn tumbling(length: TimeSpan) -> Self {
        Self { length, slide: length, offset: TimeSpan::ZERO }
    }

    /// Windows that overlap.
    #[must_use]
    pub fn hopping(length: TimeSpan, slide: TimeSpan) -> Self {
        Self { length, slide, offset: TimeSpan::ZERO }
    }

    /// The same windows.
    #[must_use]
    pub fn window(self) -> Window {
        Window::hopping(self.length, self.slide).offset(self.offset)
    }
}

/// Tumbling or hopping windows. `F` reads the fold's input from a record.
#[derive(Debug)]
pub struct PaneWindows<K, I, V: Merge, F>(SlicedWindows<K, I, V, F>);

impl<K, I, V, F> PaneWindows<K, I, V, F>
where
    I: Record,
    V: Merge,
    F: for<'a> Fn(I::View<'a>) -> V::Input,
{
    /// Windows over what `read` makes of each record.
    ///
    /// Panics where slide or length are not positive, or the slide is longer: a bug in the job.
    pub fn new(operator: OperatorId, spec: PaneSpec, read: F) -> Self {
        let windows = SlicedWindows::new(operator, &spec.window(), Rules::default(), read);
        Self(windows.expect("hopping windows have slices"))
    }
}

impl<K, I, V, F> KeyedOperator for PaneWindows<K, I, V, F>
where
    K: Key,
    I: Record,
    V: Merge,
    F: for<'a> Fn(I::View<'a>) -> V::Input + Send + 'static,
{
    type Key = K;
    type In = I;
    type Out = WindowOutput<K, V::Output>;
    type Emission = ();

    const HAS_DUE: bool = true;

    fn dropped_count(&self) -> u64 {
        self.0.dropped_count()
    }

    fn states(&self) -> Vec<OperatorState> {
        self.0.states()
    }

    fn rebuild(&mut self, state: &Store, watermark: EventTime) {
        self.0.rebuild(state, watermark);
    }

    #[inline(always)]
    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        view: I::View<'_>,
    ) -> Option<()> {
        // What came too late is counted there.
        let _ = self.0.apply(state, header, key, view);
        None
    }

    fn output<'a>(&self, (): (), _: K::View<'a>, _: I::View<'a>) -> <Self::Out as Item>::View<'a> {
        unreachable!("a record emits nothing; windows do")
    }

    fn advance(&mut self, state: &mut Store, due: Due) -> bool {
        self.0.advance(state, due)
    }

    fn due<'s>(&'s self, state: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
        match self.0.due(state) {
            (header, SidedView::Main(window)) => (header, window),
            (_, SidedView::Side(_)) => unreachable!("what is due is a window"),
        }
    }

    fn done(&mut self, state: &mut Store) {
        self.0.done(state);
    }
}

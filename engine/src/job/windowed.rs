//! Windowed streams: which windows, when they fire, what is late, and at last what they hold.
//!
//! Takes a keyed stream and a [`Window`]; hands on the stream of rows that an aggregate makes.

use std::marker::PhantomData;

use crate::chain::Chain;
use crate::chain::KeyFn;
use crate::chain::operators::{
    AnyWindows, AtEnd, Contents, Count, Early, EveryRecords, Evict, Fold, Folded, Invertible, Kept,
    LastRecords, Merge, Mode, OnClose, Rules, Trigger, Window, WindowOutput, WindowProblem,
    Windowed, counts_problem,
};
use crate::record::{Fixed, Key, Record, Sided, TimeSpan};

use super::graph::SourceTime;
use super::keyed::{ArrivalOrder, Keyed, Order};
use super::stream::Stream;

/// A row of a window, or on the side a record that came too late for all of its windows.
pub type OrLate<K, V, R> = Sided<WindowOutput<K, <V as Fold>::Output>, R>;

/// A keyed stream that is put into windows. `T` decides when they fire, `X` says how they keep their
/// records.
///
/// ```
/// use pelton::chain::operators::{Sum, Window};
/// use pelton::job::SourceOptions;
/// use pelton::{EventTime, Stream, TimeSpan};
///
/// #[pelton::record]
/// struct Click {
///     #[event_time]
///     time: EventTime,
///     user: u64,
///     amount: i64,
/// }
///
/// #[pelton::record]
/// struct Visit {
///     user: u64,
///     spent: i64,
/// }
///
/// #[pelton::job]
/// fn visits(clicks: Stream<Click>) -> Stream<Visit> {
///     clicks
///         .key_by(|click| click.user)
///         .window(Window::session(TimeSpan::minutes(30)))
///         .allowed_lateness(TimeSpan::hours(1))
///         .retracting()
///         .aggregate::<Sum<i64>, _>(|click| click.amount)
///         .map(|visit| VisitView { user: visit.key, spent: visit.value })
/// }
/// ```
#[derive(Debug)]
#[must_use = "a windowed stream does nothing until it is aggregated"]
pub struct WindowedStream<R, K, C, F, O = ArrivalOrder, T = AtEnd, X = Folded> {
    keyed: Keyed<R, K, C, F, O>,
    window: Window,
    rules: Rules,
    trigger: T,
    contents: X,
    record: PhantomData<fn() -> (R, K)>,
}

impl<R, K, C, F, O> Keyed<R, K, C, F, O>
where
    R: Record,
    K: Key,
    C: Chain<Out = R>,
    F: KeyFn<R, K>,
    O: Order<R>,
{
    /// Puts the records into windows.
    pub fn window(self, window: Window) -> WindowedStream<R, K, C, F, O> {
        WindowedStream::new(self, window, AtEnd, Folded)
    }

    /// Puts each `count` records of a key into a window, in the order in which they come. What is
    /// left over at the end of the input is no window.
    pub fn count_window(self, count: u64) -> WindowedStream<R, K, C, F, O, EveryRecords> {
        let trigger = EveryRecords::purging(count);
        WindowedStream::new(self, Window::global(), trigger, Folded)
    }

    /// With every `slide` records of a key, a window of the last `count` of them, exactly; of fewer
    /// at first. It keeps them, and a firing costs O(`count`).
    pub fn sliding_count_window(
        self,
        count: u64,
        slide: u64,
    ) -> WindowedStream<R, K, C, F, O, EveryRecords, Evict> {
        let trigger = EveryRecords::keeping(slide);
        WindowedStream::new(self, Window::global(), trigger, Evict::Count(count))
    }
}

impl<R, K, C, F, O> Keyed<R, K, C, F, O>
where
    R: Record,
    K: Key,
    C: Chain<Out = R>,
    F: KeyFn<R, K>,
    O: Order<R>,
{
    /// For each record, what the last `counts[i]` records of its key hold, itself included; see
    /// [`LastRecords`]. In order of arrival, or of time behind `in_time_order`.
    pub fn last_records<V, const N: usize, G>(
        self,
        counts: [u64; N],
        read: G,
    ) -> Stream<Windowed<R, V, N>, impl Chain<Out = Windowed<R, V, N>>>
    where
        V: Invertible,
        [V::State; N]: Fixed,
        G: for<'a> Fn(R::View<'a>) -> V::Item + Clone + Send + Sync + 'static,
    {
        let root = self.operate("last_records", &[], move |id, _| {
            LastRecords::<K, R, V, G, N>::new(id, counts, read.clone())
        });
        root.graph.add_check(root.name, move |_| counts_problem(&counts).map(Into::into));
        Stream::new(root)
    }
}

impl<R, K, C, F, O, T, X> WindowedStream<R, K, C, F, O, T, X> {
    fn new(keyed: Keyed<R, K, C, F, O>, window: Window, trigger: T, contents: X) -> Self {
        let rules = Rules::default();
        Self { keyed, window, rules, trigger, contents, record: PhantomData }
    }

    fn with<T2, X2>(
        self,
        make: impl FnOnce(T, X) -> (T2, X2),
    ) -> WindowedStream<R, K, C, F, O, T2, X2> {
        let Self { keyed, window, rules, trigger, contents, record } = self;
        let (trigger, contents) = make(trigger, contents);
        WindowedStream { keyed, window, rules, trigger, contents, record }
    }

    fn mode(mut self, mode: Mode) -> Self {
        self.rules.mode = mode;
        self
    }

    /// Windows take records for so long after their end, and fire again for each. It needs a source
    /// that hands late records on: `SourceOptions::keep_late`.
    pub fn allowed_lateness(mut self, lateness: TimeSpan) -> Self {
        self.rules.lateness = lateness;
        self
    }

    /// A row holds all that has come, and replaces the one before: the default.
    pub fn accumulating(self) -> Self {
        self.mode(Mode::Accumulating)
    }

    /// A row holds what has come since the last one: rows of a window add up.
    pub fn discarding(self) -> Self {
        self.mode(Mode::Discarding)
    }

    /// A row that does not hold any more is taken back before the next one: as `UpdateBefore`, or
    /// as a `Delete` where the window itself is no more, as of sessions that have merged.
    pub fn retracting(self) -> Self {
        self.mode(Mode::Retracting)
    }

    /// Fires early as well.
    pub fn early(self, early: Early) -> WindowedStream<R, K, C, F, O, Early, X> {
        self.with(|_, contents| (early, contents))
    }

    /// Fires once, when a window can't change any more.
    pub fn on_close_only(self) -> WindowedStream<R, K, C, F, O, OnClose, X> {
        self.with(|_, contents| (OnClose, contents))
    }

    /// Fires when `trigger` says so.
    pub fn trigger<T2: Trigger>(self, trigger: T2) -> WindowedStream<R, K, C, F, O, T2, X> {
        self.with(|_, contents| (trigger, contents))
    }

    /// Keeps the records that a window holds, and lets go of some before it says what it holds.
    pub fn evict(self, evict: Evict) -> WindowedStream<R, K, C, F, O, T, Evict> {
        self.with(|trigger, _| (trigger, evict))
    }
}

impl<R, K, C, F, O, T> WindowedStream<R, K, C, F, O, T, Folded>
where
    R: Record,
    K: Key,
    C: Chain<Out = R>,
    F: KeyFn<R, K>,
    O: Order<R>,
    T: Trigger,
{
    /// Folds what `read` makes of each record.
    #[track_caller]
    pub fn aggregate<V, G>(
        self,
        read: G,
    ) -> Stream<WindowOutput<K, V::Output>, impl Chain<Out = WindowOutput<K, V::Output>>>
    where
        V: Merge,
        G: for<'a> Fn(R::View<'a>) -> V::Input + Clone + Send + Sync + 'static,
    {
        self.aggregate_or_late::<V, G>(read).without_side()
    }

    /// The same, with the records that came too late on the side.
    #[track_caller]
    pub fn aggregate_or_late<V, G>(
        self,
        read: G,
    ) -> Stream<OrLate<K, V, R>, impl Chain<Out = OrLate<K, V, R>>>
    where
        V: Merge,
        G: for<'a> Fn(R::View<'a>) -> V::Input + Clone + Send + Sync + 'static,
    {
        windowed::<R, K, C, F, O, T, V, Folded, G>(self, None, read)
    }

    /// Counts the records.
    #[track_caller]
    pub fn count(self) -> Stream<WindowOutput<K, u64>, impl Chain<Out = WindowOutput<K, u64>>> {
        self.aggregate::<Count, _>(|_| ())
    }
}

impl<R, K, C, F, O, T> WindowedStream<R, K, C, F, O, T, Evict>
where
    R: Record,
    K: Key,
    C: Chain<Out = R>,
    F: KeyFn<R, K>,
    O: Order<R>,
    T: Trigger,
{
    /// Folds what `read` makes of each record that the evictor has left.
    #[track_caller]
    pub fn aggregate<V, G>(
        self,
        read: G,
    ) -> Stream<WindowOutput<K, V::Output>, impl Chain<Out = WindowOutput<K, V::Output>>>
    where
        V: Merge,
        V::Input: Fixed,
        G: for<'a> Fn(R::View<'a>) -> V::Input + Clone + Send + Sync + 'static,
    {
        self.aggregate_or_late::<V, G>(read).without_side()
    }

    /// The same, with the records that came too late on the side.
    #[track_caller]
    pub fn aggregate_or_late<V, G>(
        self,
        read: G,
    ) -> Stream<OrLate<K, V, R>, impl Chain<Out = OrLate<K, V, R>>>
    where
        V: Merge,
        V::Input: Fixed,
        G: for<'a> Fn(R::View<'a>) -> V::Input + Clone + Send + Sync + 'static,
    {
        let evict = self.contents;
        let kept = self.with(|trigger, _| (trigger, Kept::new(evict)));
        windowed::<R, K, C, F, O, T, V, Kept<V::Input>, G>(kept, evict.problem(), read)
    }
}

#[track_caller]
fn windowed<R, K, C, F, O, T, V, X, G>(
    stream: WindowedStream<R, K, C, F, O, T, X>,
    problem: Option<WindowProblem>,
    read: G,
) -> Stream<OrLate<K, V, R>, impl Chain<Out = OrLate<K, V, R>>>
where
    R: Record,
    K: Key,
    C: Chain<Out = R>,
    F: KeyFn<R, K>,
    O: Order<R>,
    T: Trigger,
    V: Merge,
    X: Contents<V>,
    G: for<'a> Fn(R::View<'a>) -> V::Input + Clone + Send + Sync + 'static,
{
    let WindowedStream { keyed, window, rules, trigger, contents, .. } = stream;
    let problem = problem.or_else(|| rules.problem()).or_else(|| trigger.problem());
    let checked = window.clone();
    let root = keyed.operate("windows", &[], move |id, _| {
        let (trigger, contents) = (trigger.clone(), contents.clone());
        AnyWindows::<K, R, V, T, X, G>::new(id, &window, rules, trigger, contents, read.clone())
    });
    root.graph.add_check(root.name, move |time| {
        let problem = problem.clone().or_else(|| window_problem(&checked, time));
        problem.map(Into::into)
    });
    Stream::new(root)
}

/// Why such windows can't work on a stream of that source, if they can't.
pub(super) fn window_problem(window: &Window, time: &SourceTime) -> Option<WindowProblem> {
    window.problem().or_else(|| {
        let what = time.missing().filter(|_| window.needs_event_time())?;
        Some(WindowProblem::NoEventTime { what })
    })
}

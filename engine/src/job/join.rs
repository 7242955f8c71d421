//! Joins of two keyed streams.
//!
//! `orders.key_by(|o| o.id).join(payments.key_by(|p| p.order))` is a pair of keyed streams; what is
//! called on it last becomes the operator behind two exchanges that route by the same key.

use std::marker::PhantomData;
use std::panic::Location;

use crate::chain::operators::{
    Anti, AsOfJoin, BroadcastFunction, FullOuter, Inner, Interval, IntervalJoin, JoinKind,
    LeftOuter, PairFunction, PairOperator, PaneSpec, ProcessBroadcast, ProcessPair, RegularJoin,
    RightOuter, Semi, SortedPair, Window, WindowJoin,
};
use crate::chain::{BroadcastBlueprint, ByKey, ExchangeBlueprint, KeyFn, Tagged};
use crate::record::{Changed, FRAME_HEADER_BYTES, Key, Record, TimeSpan};
use crate::state::OperatorId;

use super::chain::{Chain, PairOperated};
use super::graph::{Problem, SourceTime};
use super::keyed::Keyed;
use super::stream::{Stream, next_level};
use super::windowed::window_problem;

/// What leaves a join of kind `J`.
type Rows<J, L, R> = <J as JoinKind>::Out<L, R>;
/// The same as it comes and goes.
type Changes<J, L, R> = Changed<Rows<J, L, R>>;
/// The types that a pair is of, and holds none of.
type Kinds<L, R, K, J> = PhantomData<fn() -> (L, R, K, J)>;

/// Two streams that are grouped by the same key. `J` says which rows a join lets leave.
///
/// ```
/// use pelton::{Engine, EventTime, Job, Stream, TimeSpan};
///
/// #[pelton::record]
/// struct Order {
///     #[event_time]
///     time: EventTime,
///     id: u64,
/// }
///
/// #[pelton::record]
/// struct Payment {
///     #[event_time]
///     time: EventTime,
///     order: u64,
/// }
///
/// #[pelton::record]
/// struct Outcome {
///     id: u64,
///     paid: bool,
/// }
///
/// /// Orders with the payment that came within an hour, or without one.
/// #[pelton::job]
/// fn outcomes(orders: Stream<Order>, payments: Stream<Payment>) -> Stream<Outcome> {
///     let orders = orders.key_by(|order| order.id);
///     let payments = payments.key_by(|payment| payment.order);
///     let paid = orders.join(payments).left_outer().between(TimeSpan::ZERO, TimeSpan::hours(1));
///     paid.map(|(order, payment)| OutcomeView { id: order.id, paid: payment.is_some() })
/// }
///
/// let job = Job::new();
/// let order = |minute: i64, id| Order { time: EventTime(minute * 60_000_000), id };
/// let orders = job.records(vec![order(0, 1), order(1, 2), order(2, 3)]);
/// let payment = |minute: i64, order| Payment { time: EventTime(minute * 60_000_000), order };
/// let payments = job.records(vec![payment(5, 1), payment(61, 2), payment(63, 3)]);
/// let rows = outcomes(orders, payments).collect();
/// Engine::new().shards(2).run(job)?;
/// let mut rows: Vec<_> = rows.take_rows().into_iter().map(|row| (row.id, row.paid)).collect();
/// rows.sort();
/// assert_eq!(rows, [(1, true), (2, true), (3, false)]);
/// # Ok::<(), pelton::JobError>(())
/// ```
#[derive(Debug)]
#[must_use = "a pair of streams does nothing until a join is called on it"]
pub struct KeyedPair<L, R, K, CL, CR, FL, FR, J = Inner> {
    chains: (CL, CR),
    keys: (FL, FR),
    /// Where the job chooses the keys.
    places: [&'static Location<'static>; 2],
    in_time_order: bool,
    /// What is said of the operator when the job starts.
    warning: Option<String>,
    kinds: Kinds<L, R, K, J>,
}

impl<L, K, C, F> Keyed<L, K, C, F>
where
    L: Record,
    K: Key,
    C: Chain<Out = L>,
    F: KeyFn<L, K>,
{
    /// Pairs this stream, the left one, with another that is grouped by the same key.
    pub fn join<R, C2, F2>(self, right: Keyed<R, K, C2, F2>) -> KeyedPair<L, R, K, C, C2, F, F2>
    where
        R: Record,
        C2: Chain<Out = R>,
        F2: KeyFn<R, K>,
    {
        let places = [self.at(), right.at()];
        let ((left, left_key), (right, right_key)) = (self.into_parts(), right.into_parts());
        KeyedPair {
            chains: (left, right),
            keys: (left_key, right_key),
            places,
            in_time_order: false,
            warning: None,
            kinds: PhantomData,
        }
    }
}

impl<L, K, C, F> Keyed<L, K, C, F>
where
    L: Record,
    K: Key,
    C: Chain<Out = L>,
    F: KeyFn<L, K>,
{
    /// Runs a function of this stream and of one whose records every shard gets, such as rules.
    #[track_caller]
    pub fn process_with_broadcast<P, C2>(
        self,
        broadcast: Stream<P::Broadcast, C2>,
        function: P,
    ) -> Stream<P::Out, impl Chain<Out = P::Out>>
    where
        P: BroadcastFunction<Key = K, In = L> + Clone + Sync,
        C2: Chain<Out = P::Broadcast>,
    {
        self.operate_with_broadcast(broadcast, move |id, key_fn| {
            ProcessBroadcast::new(id, function.clone(), key_fn)
        })
    }

    /// As [`Keyed::process_with_broadcast`], with side outputs; see [`Keyed::process_tagged`].
    #[track_caller]
    pub fn process_with_broadcast_tagged<P, C2>(
        self,
        broadcast: Stream<P::Broadcast, C2>,
        function: P,
    ) -> Stream<Tagged<P::Out>, impl Chain<Out = Tagged<P::Out>>>
    where
        P: BroadcastFunction<Key = K, In = L> + Clone + Sync,
        C2: Chain<Out = P::Broadcast>,
    {
        self.operate_with_broadcast(broadcast, move |id, key_fn| {
            ProcessBroadcast::new(id, function.clone(), key_fn).with_sides()
        })
    }

    /// Puts an operator of this stream and of a broadcast one behind their exchanges.
    #[track_caller]
    fn operate_with_broadcast<Op, C2, M>(
        self,
        broadcast: Stream<Op::Right, C2>,
        make: M,
    ) -> Stream<Op::Out, impl Chain<Out = Op::Out>>
    where
        Op: PairOperator<Left = L>,
        C2: Chain<Out = Op::Right>,
        M: Fn(OperatorId, F) -> Op + Clone + Send + Sync + 'static,
    {
        let ((chain, key_fn), broadcast) = (self.into_parts(), broadcast.into_chain());
        let graph = chain.graph().clone();
        let exchanges = [graph.add_exchange(), graph.add_exchange()];
        let level = next_level(chain.level().max(broadcast.level()));
        let (id, name) =
            graph.add_operator("process", ["timers", "wall_timers", "shared"].into_iter());
        chain.attach(ExchangeBlueprint { id: exchanges[0], route: ByKey::new(key_fn.clone()) });
        broadcast.attach(BroadcastBlueprint { id: exchanges[1] });
        let make = move |id: OperatorId| make(id, key_fn.clone());
        Stream::new(PairOperated { graph, exchanges, level, id, name, make })
    }
}

impl<L, R, K, CL, CR, FL, FR, J> KeyedPair<L, R, K, CL, CR, FL, FR, J> {
    fn of_kind<J2>(self) -> KeyedPair<L, R, K, CL, CR, FL, FR, J2> {
        let Self { chains, keys, places, in_time_order, warning, .. } = self;
        KeyedPair { chains, keys, places, in_time_order, warning, kinds: PhantomData }
    }

    /// Left rows without a partner leave too.
    pub fn left_outer(self) -> KeyedPair<L, R, K, CL, CR, FL, FR, LeftOuter> {
        self.of_kind()
    }

    /// Right rows without a partner leave too.
    pub fn right_outer(self) -> KeyedPair<L, R, K, CL, CR, FL, FR, RightOuter> {
        self.of_kind()
    }

    /// Rows of either side without a partner leave too.
    pub fn full_outer(self) -> KeyedPair<L, R, K, CL, CR, FL, FR, FullOuter> {
        self.of_kind()
    }

    /// Left rows that have a partner leave, once each and alone.
    pub fn semi(self) -> KeyedPair<L, R, K, CL, CR, FL, FR, Semi> {
        self.of_kind()
    }

    /// Left rows that have no partner leave, alone.
    pub fn anti(self) -> KeyedPair<L, R, K, CL, CR, FL, FR, Anti> {
        self.of_kind()
    }

    fn warned(mut self, warning: Option<String>) -> Self {
        self.warning = warning;
        self
    }

    /// Lets the rows of both streams wait for the watermark, and applies them by event time; at one
    /// time the right one first.
    pub fn in_time_order(mut self) -> Self {
        self.in_time_order = true;
        self
    }
}

impl<L, R, K, CL, CR, FL, FR, J> KeyedPair<L, R, K, CL, CR, FL, FR, J>
where
    L: Record,
    R: Record,
    K: Key,
    CL: Chain<Out = L>,
    CR: Chain<Out = R>,
    FL: KeyFn<L, K>,
    FR: KeyFn<R, K>,
    J: JoinKind,
{
    /// Puts an operator behind two exchanges. `own` names its states beside its main one.
    #[track_caller]
    fn operate<Op, M>(
        self,
        kind: &str,
        own: &'static [&'static str],
        problem: impl Fn(&SourceTime) -> Option<Problem> + 'static,
        make: M,
    ) -> Stream<Op::Out, impl Chain<Out = Op::Out>>
    where
        Op: PairOperator<Left = L, Right = R>,
        M: Fn(OperatorId, (FL, FR)) -> Op + Clone + Send + Sync + 'static,
    {
        let Self { chains: (left, right), keys, places, in_time_order, warning, .. } = self;
        let graph = left.graph().clone();
        let exchanges = [graph.add_exchange(), graph.add_exchange()];
        let level = next_level(left.level().max(right.level()));
        let waiting = if in_time_order { &["waiting"][..] } else { &[] };
        let (id, name) = graph.add_operator(kind, own.iter().chain(waiting).copied());
        graph.add_check(name, move |time| {
            let unordered = time.missing().filter(|_| in_time_order);
            problem(time).or_else(|| Some(no_time("to be put in order", unordered?)))
        });
        if let Some(warning) = warning {
            graph.warn(name, warning);
        }
        let route = ByKey::new(keys.0.clone()).chosen_at(places[0]);
        left.attach(ExchangeBlueprint { id: exchanges[0], route });
        let route = ByKey::new(keys.1.clone()).chosen_at(places[1]);
        right.attach(ExchangeBlueprint { id: exchanges[1], route });
        let own_count = u16::try_from(own.len()).expect("an operator has few states");
        let make = move |id: OperatorId| {
            let waiting = OperatorId(id.0 + 1 + own_count);
            let operator = make(id, keys.clone());
            SortedPair::<Op, K, FL, FR>::new(waiting, operator, keys.clone(), in_time_order)
        };
        Stream::new(PairOperated { graph, exchanges, level, id, name, make })
    }

    /// Interval join: pairs with `left + lower <= right <= left + upper` in event time, both bounds
    /// included; either may be negative. A pair leaves when its later row has come. See
    /// [`IntervalJoin`] for costs and state.
    #[track_caller]
    pub fn between(
        self,
        lower: TimeSpan,
        upper: TimeSpan,
    ) -> Stream<Rows<J, L, R>, impl Chain<Out = Rows<J, L, R>>> {
        let interval = Interval { lower, upper };
        let own = IntervalJoin::<K, L, R, FL, FR, J>::SUFFIXES;
        let problem = move |time: &SourceTime| interval_problem(interval, time);
        self.operate("interval_join", own, problem, move |id, keys| {
            IntervalJoin::<K, L, R, FL, FR, J>::new(id, interval, keys)
        })
    }

    /// Window join: all pairs of one key in each tumbling or hopping window, when it closes. See
    /// [`WindowJoin`] for costs and state.
    #[track_caller]
    pub fn in_windows(
        self,
        spec: PaneSpec,
    ) -> Stream<Rows<J, L, R>, impl Chain<Out = Rows<J, L, R>>> {
        let own = WindowJoin::<K, L, R, FL, FR, J>::SUFFIXES;
        let window = Window::hopping(spec.length, spec.slide);
        let problem = move |time: &SourceTime| window_problem(&window, time).map(Problem::from);
        self.operate("window_join", own, problem, move |id, keys| {
            WindowJoin::<K, L, R, FL, FR, J>::new(id, spec, keys)
        })
    }

    /// Regular join: all pairs of one key, whatever their times, as a changelog. A row of kind `Delete`
    /// or `UpdateBefore`, as changelogs have, takes an equal row back. Rows are kept for ever: see
    /// [`KeyedPair::for_time`] for a bound, and [`RegularJoin`] for costs.
    #[track_caller]
    pub fn all(self) -> Stream<Changes<J, L, R>, impl Chain<Out = Changes<J, L, R>>> {
        self.regular(None)
    }

    /// The regular join of rows that live so long from their event time on. What has expired is
    /// forgotten: no retraction says so.
    #[track_caller]
    pub fn for_time(
        self,
        ttl: TimeSpan,
    ) -> Stream<Changes<J, L, R>, impl Chain<Out = Changes<J, L, R>>> {
        self.regular(Some(ttl))
    }

    #[track_caller]
    fn regular(
        self,
        ttl: Option<TimeSpan>,
    ) -> Stream<Changes<J, L, R>, impl Chain<Out = Changes<J, L, R>>> {
        let own = RegularJoin::<K, L, R, FL, FR, J>::SUFFIXES;
        let problem = move |time: &SourceTime| ttl_problem(ttl?, time);
        let warning = ttl.is_none().then(unbounded_rows::<L, R>);
        self.warned(warning).operate("join", own, problem, move |id, keys| {
            RegularJoin::<K, L, R, FL, FR, J>::new(id, ttl, keys)
        })
    }

    /// Runs a function of both streams, which share a key's state and timers.
    pub fn process<P>(self, function: P) -> Stream<P::Out, impl Chain<Out = P::Out>>
    where
        P: PairFunction<Key = K, Left = L, Right = R> + Clone + Sync,
    {
        self.operate(
            "process",
            &["timers", "wall_timers"],
            |_| None,
            move |id, keys| ProcessPair::new(id, function.clone(), keys),
        )
    }

    /// As [`KeyedPair::process`], with side outputs; see [`Keyed::process_tagged`].
    pub fn process_tagged<P>(
        self,
        function: P,
    ) -> Stream<Tagged<P::Out>, impl Chain<Out = Tagged<P::Out>>>
    where
        P: PairFunction<Key = K, Left = L, Right = R> + Clone + Sync,
    {
        self.operate(
            "process",
            &["timers", "wall_timers"],
            |_| None,
            move |id, keys| ProcessPair::new(id, function.clone(), keys).with_sides(),
        )
    }

    /// As-of join: each left row with the version of the right table that holds at its time, a
    /// right row being its key's version until the next one. With `in_time_order` it is the version
    /// of the left row's event time, else the newest one that has come. See [`AsOfJoin`].
    #[track_caller]
    pub fn as_of(self) -> Stream<Rows<J, L, R>, impl Chain<Out = Rows<J, L, R>>> {
        self.operate(
            "as_of_join",
            &[],
            |_| None,
            move |id, keys| AsOfJoin::<K, L, R, FL, FR, J>::new(id, keys),
        )
    }
}

fn no_time(why: &str, missing: &str) -> Problem {
    format!(
        "it needs event time {why}, and {missing}: mark a field `#[event_time]`, and give the source \
         a lateness"
    )
    .into()
}

fn interval_problem(Interval { lower, upper }: Interval, time: &SourceTime) -> Option<Problem> {
    if lower > upper {
        let (lower, upper) = (lower.0, upper.0);
        return Some(format!(
            "its interval goes from {lower} us to {upper} us, which holds nothing; name the lower \
             bound first"
        ).into());
    }
    Some(no_time("for its interval", time.missing()?))
}

fn ttl_problem(ttl: TimeSpan, time: &SourceTime) -> Option<Problem> {
    if ttl <= TimeSpan::ZERO {
        let ttl = ttl.0;
        return Some(format!("its rows live {ttl} us; name a time longer than nothing").into());
    }
    Some(no_time("for its rows' time to live", time.missing()?))
}

/// What a regular join without a bound keeps.
fn unbounded_rows<L: Record, R: Record>() -> String {
    let row_bytes = |archived: usize| KEPT_BYTES + FRAME_HEADER_BYTES + archived;
    format!(
        "it keeps every row of both streams for ever, about {} bytes a left row and {} a right one \
         beside their texts; `.for_time(..)` in place of `.all()` sets a bound",
        row_bytes(size_of::<L::Archived>()),
        row_bytes(size_of::<R::Archived>())
    )
}

/// What the log and its index add to a row: an entry's header and its place.
const KEPT_BYTES: usize = 48;

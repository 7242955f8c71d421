//! Keyed streams: where state begins.
//!
//! A [`Keyed`] stream is a stream and a key; what is called on it becomes the operator at the head
//! of the next stage, behind an exchange that routes by the key.

use std::marker::PhantomData;
use std::panic::Location;

use crate::chain::operators::{
    Aggregate, Count, Emit, ExactSpec, ExactWindows, Fold, Invertible, Merge, PaneSpec,
    PaneWindows, Process, ProcessFunction, Sorted, Sum, WindowOutput, Windowed,
};
use crate::chain::{ByKey, ExchangeBlueprint, KeyFn, KeyedOperator, Reads, Tagged};
use crate::record::{Change, Fixed, Key, Record, TimeSpan};
use crate::state::OperatorId;

use super::chain::{Chain, Operated, OperatorBlueprint};
use super::stream::{Changelog, Stream, next_level};
use super::windowed::window_problem;

/// A stream that is grouped by a key. `O` says in which order a key's records are applied.
#[derive(Debug)]
#[must_use = "a keyed stream does nothing until an operator is called on it"]
pub struct Keyed<R, K, C, F, O = ArrivalOrder> {
    chain: C,
    key_fn: F,
    order: O,
    /// Where the job chooses the key.
    at: &'static Location<'static>,
    reads: Option<Reads>,
    record: PhantomData<fn() -> (R, K)>,
}

/// Records of one key are applied as they arrive; those of one split in the split's order.
#[derive(Debug, Clone, Copy)]
pub struct ArrivalOrder;

/// Records of one key wait for the watermark and are applied by (event time, rank).
#[derive(Debug, Clone)]
pub struct TimeOrder<G> {
    rank: G,
    waits: bool,
}

/// Wraps an operator in what its order asks for.
pub trait Order<R: Record>: Clone + Send + Sync + 'static {
    /// The wrapped operator.
    type Wrapped<Op: KeyedOperator<In = R>>: KeyedOperator<Key = Op::Key, In = R, Out = Op::Out>;
    /// Names of the state it keeps beside the operator's own.
    const SUFFIXES: &'static [&'static str];
    /// Wraps it; `next` is the id of the first of those names.
    fn wrap<Op: KeyedOperator<In = R>>(&self, operator: Op, next: OperatorId) -> Self::Wrapped<Op>;
}

impl<R: Record> Order<R> for ArrivalOrder {
    type Wrapped<Op: KeyedOperator<In = R>> = Op;
    const SUFFIXES: &'static [&'static str] = &[];
    fn wrap<Op: KeyedOperator<In = R>>(&self, operator: Op, _: OperatorId) -> Op {
        operator
    }
}

impl<R: Record, G> Order<R> for TimeOrder<G>
where
    G: for<'a> Fn(R::View<'a>) -> u64 + Clone + Send + Sync + 'static,
{
    type Wrapped<Op: KeyedOperator<In = R>> = Sorted<Op, G>;
    const SUFFIXES: &'static [&'static str] = &["waiting"];
    fn wrap<Op: KeyedOperator<In = R>>(&self, operator: Op, next: OperatorId) -> Sorted<Op, G> {
        Sorted::new(next, operator, self.rank.clone()).waiting(self.waits)
    }
}

/// An operator's blueprint: how it is made, and the order around it.
#[derive(Debug, Clone)]
pub(crate) struct Ordered<M, O> {
    make: M,
    order: O,
    emit: Emit,
    /// Names of the state that the operator keeps beside its main one.
    suffixes: &'static [&'static str],
}

impl<Op, M, O> OperatorBlueprint for Ordered<M, O>
where
    Op: KeyedOperator,
    M: Fn(OperatorId, Emit) -> Op + Clone + Send + Sync + 'static,
    O: Order<Op::In>,
{
    type Operator = O::Wrapped<Op>;

    fn build(&self, id: OperatorId) -> Self::Operator {
        let own_count = u16::try_from(self.suffixes.len()).expect("an operator has few states");
        let operator = (self.make)(id, self.emit);
        self.order.wrap(operator, OperatorId(id.0 + 1 + own_count))
    }

    fn emit_at_end(&mut self) {
        self.emit = Emit::AtEnd;
    }

    fn emit_retractions(&mut self) {
        self.emit = Emit::EveryChange { update_before: true };
    }
}

/// What stands behind an operator that `M` makes.
pub(super) type Root<M, O, F> = Operated<Ordered<M, O>, F>;

impl<R, K, C, F> Keyed<R, K, C, F>
where
    R: Record,
    K: Key,
    C: Chain<Out = R>,
    F: KeyFn<R, K>,
{
    /// The key is chosen where the job calls whoever calls this.
    #[track_caller]
    pub(super) fn new(chain: C, key_fn: F) -> Self {
        let at = Location::caller();
        Self { chain, key_fn, order: ArrivalOrder, at, reads: None, record: PhantomData }
    }

    pub(super) fn into_parts(self) -> (C, F) {
        (self.chain, self.key_fn)
    }

    /// Where the job chooses the key.
    pub(super) fn at(&self) -> &'static Location<'static> {
        self.at
    }

    /// Says that these fields and no others are read behind the exchange, the key's among them, or,
    /// for a reason, that this can't be said. For generated code, which sees every use: a text that is
    /// left out is empty there.
    #[doc(hidden)]
    pub fn reading(self, reads: Result<&'static [&'static str], &'static str>) -> Self {
        let reads = match reads {
            Ok(fields) => Reads::fields(fields),
            Err(because) => Reads::whole(because),
        };
        Self { reads: Some(reads), ..self }
    }

    /// Lets each key's records wait for the watermark, and applies them by event time; those of
    /// one time by `rank`, such as a transaction's number. Exact for any split of the input and
    /// for records that are out of order within the source's lateness.
    pub fn in_time_order<G>(self, rank: G) -> Keyed<R, K, C, F, TimeOrder<G>>
    where
        G: for<'a> Fn(R::View<'a>) -> u64 + Clone + Send + Sync + 'static,
    {
        self.in_time_order_if(true, rank)
    }

    /// As [`Keyed::in_time_order`] where `waits`; else in order of arrival, at once.
    pub fn in_time_order_if<G>(self, waits: bool, rank: G) -> Keyed<R, K, C, F, TimeOrder<G>>
    where
        G: for<'a> Fn(R::View<'a>) -> u64 + Clone + Send + Sync + 'static,
    {
        let Self { chain, key_fn, at, record, .. } = self;
        let reads = Some(Reads::whole("they wait for the watermark as state"));
        Keyed { chain, key_fn, order: TimeOrder { rank, waits }, at, reads, record }
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
    /// Puts an operator behind an exchange that routes by the key.
    #[track_caller]
    pub(super) fn operate<Op, M>(
        self,
        kind: &str,
        suffixes: &'static [&'static str],
        make: M,
    ) -> Root<M, O, F>
    where
        Op: KeyedOperator<Key = K, In = R>,
        M: Fn(OperatorId, Emit) -> Op + Clone + Send + Sync + 'static,
    {
        let Self { chain, key_fn, order, at, reads, .. } = self;
        let may_read = || Reads::whole(format!("`{kind}` may read all of it"));
        let reads = reads.unwrap_or_else(may_read);
        let graph = chain.graph().clone();
        let exchange = graph.add_exchange();
        let level = next_level(chain.level());
        let all_suffixes = suffixes.iter().chain(O::SUFFIXES);
        let (id, name) = graph.add_operator(kind, all_suffixes.copied());
        let route = ByKey::new(key_fn.clone()).chosen_at(at).read_as(reads);
        chain.attach(ExchangeBlueprint { id: exchange, route });
        let emit = Emit::EveryChange { update_before: false };
        let operator = Ordered { make, order, emit, suffixes };
        Operated { graph, exchange, level, id, name, operator, key_fn }
    }

    /// Counts the records of each key.
    #[track_caller]
    pub fn count(self) -> Changelog<K, u64, impl Chain<Out = Change<K, u64>>> {
        self.aggregate::<Count, _>(|_| ())
    }

    /// Sums what `read` makes of each record.
    #[track_caller]
    pub fn sum<T, G>(self, read: G) -> Changelog<K, T, impl Chain<Out = Change<K, T>>>
    where
        Sum<T>: Fold<Input = T, Output = T>,
        T: Copy + Send + 'static,
        G: for<'a> Fn(R::View<'a>) -> T + Clone + Send + Sync + 'static,
    {
        self.aggregate::<Sum<T>, _>(read)
    }

    /// Folds what `read` makes of each record.
    #[track_caller]
    pub fn aggregate<V, G>(
        self,
        read: G,
    ) -> Changelog<K, V::Output, impl Chain<Out = Change<K, V::Output>>>
    where
        V: Fold,
        G: for<'a> Fn(R::View<'a>) -> V::Input + Clone + Send + Sync + 'static,
    {
        Changelog::new(self.operate("aggregate", &[], move |id, emit| {
            Aggregate::<K, R, V, G>::new(id, emit, read.clone())
        }))
    }

    /// For each record, what N sliding windows that end at it (or `delay` before it) hold; see
    /// [`ExactWindows`]. `read` gives a record's rank among those of one time, and its item.
    #[track_caller]
    pub fn exact_windows<V, const N: usize, G>(
        self,
        spec: ExactSpec<N>,
        read: G,
    ) -> Stream<Windowed<R, V, N>, impl Chain<Out = Windowed<R, V, N>>>
    where
        V: Invertible,
        [V::State; N]: Fixed,
        G: for<'a> Fn(R::View<'a>) -> (u64, V::Item) + Clone + Send + Sync + 'static,
    {
        Stream::new(self.operate("exact_windows", &[], move |id, _| {
            ExactWindows::<K, R, V, G, N>::new(id, spec, read.clone())
        }))
    }

    /// Tumbling or hopping windows of event time over what `read` makes of each record.
    #[track_caller]
    pub fn windows<V, G>(
        self,
        spec: PaneSpec,
        read: G,
    ) -> Stream<WindowOutput<K, V::Output>, impl Chain<Out = WindowOutput<K, V::Output>>>
    where
        V: Merge,
        G: for<'a> Fn(R::View<'a>) -> V::Input + Clone + Send + Sync + 'static,
    {
        let root = self.operate("windows", &[], move |id, _| {
            PaneWindows::<K, R, V, G>::new(id, spec, read.clone())
        });
        let window = spec.window();
        root.graph.add_check(root.name, move |time| window_problem(&window, time).map(Into::into));
        Stream::new(root)
    }

    /// Counts in tumbling windows of this length.
    #[track_caller]
    pub fn tumbling_count(
        self,
        length: TimeSpan,
    ) -> Stream<WindowOutput<K, u64>, impl Chain<Out = WindowOutput<K, u64>>> {
        self.windows::<Count, _>(PaneSpec::tumbling(length), |_| ())
    }

    /// Counts in hopping windows of this length, one every `slide`.
    #[track_caller]
    pub fn hopping_count(
        self,
        length: TimeSpan,
        slide: TimeSpan,
    ) -> Stream<WindowOutput<K, u64>, impl Chain<Out = WindowOutput<K, u64>>> {
        self.windows::<Count, _>(PaneSpec::hopping(length, slide), |_| ())
    }

    /// Runs a function with keyed state and event-time timers over the records.
    #[track_caller]
    pub fn process<P>(self, function: P) -> Stream<P::Out, impl Chain<Out = P::Out>>
    where
        P: ProcessFunction<Key = K, In = R> + Clone + Sync,
    {
        Stream::new(self.operate("process", &["timers", "wall_timers"], move |id, _| {
            Process::new(id, OperatorId(id.0 + 1), function.clone())
        }))
    }

    /// As [`Keyed::process`], with side outputs, which [`Stream::with_sides`] takes off: records of any
    /// type, each under the tag that the function emits it to. A record costs what one of the function's
    /// own does; what nobody asks for is dropped.
    ///
    /// ```
    /// use pelton::chain::SideTag;
    /// use pelton::chain::operators::{ProcessContext, ProcessFunction};
    /// use pelton::{Engine, Job, Stream};
    ///
    /// #[pelton::record]
    /// struct Payment {
    ///     user: u64,
    ///     amount: i64,
    /// }
    ///
    /// #[pelton::record]
    /// struct Alarm {
    ///     user: u64,
    ///     reason: String,
    /// }
    ///
    /// const ALARMS: SideTag<Alarm> = SideTag::new(0);
    ///
    /// #[derive(Clone)]
    /// struct Check;
    ///
    /// impl ProcessFunction for Check {
    ///     type Key = u64;
    ///     type In = Payment;
    ///     type Out = Payment;
    ///
    ///     fn on_record(
    ///         &mut self,
    ///         context: &mut ProcessContext<'_, Payment>,
    ///         user: u64,
    ///         payment: PaymentView,
    ///     ) {
    ///         match payment.amount {
    ///             0.. => context.emit(payment),
    ///             _ => context.emit_to(ALARMS, AlarmView { user, reason: "negative" }),
    ///         }
    ///     }
    /// }
    ///
    /// #[pelton::job]
    /// fn checked(payments: Stream<Payment>) -> (Stream<Payment>, Stream<Alarm>) {
    ///     let (good, sides) = payments.key_by(|p| p.user).process_tagged(Check).with_sides();
    ///     (good, sides.tagged(ALARMS))
    /// }
    ///
    /// let job = Job::new();
    /// let payments = [3, -1, 4].map(|amount| Payment { user: 1, amount });
    /// let (good, alarms) = checked(job.records(payments.to_vec()));
    /// let (good, alarms) = (good.collect(), alarms.collect());
    /// Engine::new().shards(1).run(job)?;
    /// assert_eq!((good.take_rows().len(), alarms.take_rows().len()), (2, 1));
    /// # Ok::<(), pelton::JobError>(())
    /// ```
    #[track_caller]
    pub fn process_tagged<P>(
        self,
        function: P,
    ) -> Stream<Tagged<P::Out>, impl Chain<Out = Tagged<P::Out>>>
    where
        P: ProcessFunction<Key = K, In = R> + Clone + Sync,
    {
        Stream::new(self.operate("process", &["timers", "wall_timers"], move |id, _| {
            Process::new(id, OperatorId(id.0 + 1), function.clone()).with_sides()
        }))
    }
}

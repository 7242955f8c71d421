//! Row patterns on keyed streams.

use crate::chain::KeyFn;
use crate::chain::operators::{
    Compiled, Fold, MatchOut, Matched, Matches, MatchesAndLost, Pattern, PatternMatcher,
};
use crate::record::{Key, Record, Sided};

use super::chain::Chain;
use super::keyed::{Keyed, Order};
use super::stream::Stream;

impl<R, K, C, F, O> Keyed<R, K, C, F, O>
where
    R: Record,
    K: Key,
    C: Chain<Out = R>,
    F: KeyFn<R, K>,
    O: Order<R>,
{
    /// Finds `pattern` in the events of each key; `select` makes a record of each match, or none.
    /// It runs once a match.
    ///
    /// Events are looked at in the order in which they are applied: call
    /// [`Keyed::in_time_order`] before, or they are taken as they arrive. [`Pattern`] is what is
    /// looked for, and `operators/pattern/mod.rs` says exactly what a match is.
    ///
    /// Costs a look-up an event, and a decision for each partial match of its key; each event that a
    /// partial match has taken is kept once, until no partial match leads to it any more. A pattern
    /// that can't match ends the job at its start.
    ///
    /// ```
    /// use pelton::chain::operators::{MatchOut, Matched, Pattern};
    /// use pelton::{EventTime, Job, Engine, Stream, TimeSpan};
    ///
    /// #[pelton::record]
    /// struct Payment {
    ///     #[event_time]
    ///     time: EventTime,
    ///     card: u64,
    ///     cents: i64,
    /// }
    ///
    /// #[pelton::record]
    /// struct Alert {
    ///     card: u64,
    ///     cents: i64,
    /// }
    ///
    /// #[pelton::job]
    /// fn tested_cards(payments: Stream<Payment>) -> Stream<Alert> {
    ///     let pattern = Pattern::<Payment>::begin("test")
    ///         .when(|p| p.cents < 200)
    ///         .followed_by("large")
    ///         .when(|p| p.cents > 100_000)
    ///         .within(TimeSpan::hours(1));
    ///     payments.key_by(|p| p.card).in_time_order(|_| 0).detect(
    ///         pattern,
    ///         |found: &Matched<'_, Payment>, out: MatchOut<'_, Alert>| {
    ///             if let Some(large) = found.first("large") {
    ///                 out.emit(AlertView { card: large.card, cents: large.cents });
    ///             }
    ///         },
    ///     )
    /// }
    ///
    /// let payment = |minute: i64, cents| Payment { time: EventTime(minute * 60_000_000), card: 7, cents };
    /// let job = Job::new();
    /// let payments = vec![payment(0, 100), payment(5, 2_500), payment(9, 450_000)];
    /// let alerts = tested_cards(job.records(payments)).collect();
    /// Engine::new().run(job)?;
    /// assert_eq!(alerts.take_rows().len(), 1);
    /// # Ok::<(), pelton::JobError>(())
    /// ```
    #[track_caller]
    pub fn detect<A, M, S>(
        self,
        pattern: Pattern<R, A>,
        select: S,
    ) -> Stream<M, impl Chain<Out = M>>
    where
        A: Fold,
        M: Record,
        S: for<'m, 'o> Fn(&Matched<'m, R, A>, MatchOut<'o, M>) + Clone + Send + Sync + 'static,
    {
        let (pattern, problem) = Compiled::of(pattern);
        let root = self.operate("detect", &[], move |id, _| {
            PatternMatcher::<K, R, A, _>::new(
                id,
                pattern.clone(),
                Matches::<S, M>::new(select.clone()),
            )
        });
        root.graph
            .add_check(root.name, move |time| problem.problem(time.missing()).map(Into::into));
        Stream::new(root)
    }

    /// As [`Keyed::detect`], with the partial matches that will be none as a side output: `lose`
    /// makes a record of each that has timed out or was over its key's budget
    /// ([`Matched::ending`]), or none.
    #[track_caller]
    pub fn detect_and_lose<A, M, T, S, L>(
        self,
        pattern: Pattern<R, A>,
        select: S,
        lose: L,
    ) -> Stream<Sided<M, T>, impl Chain<Out = Sided<M, T>>>
    where
        A: Fold,
        M: Record,
        T: Record,
        S: for<'m, 'o> Fn(&Matched<'m, R, A>, MatchOut<'o, M>) + Clone + Send + Sync + 'static,
        L: for<'m, 'o> Fn(&Matched<'m, R, A>, MatchOut<'o, T>) + Clone + Send + Sync + 'static,
    {
        let (pattern, problem) = Compiled::of(pattern);
        let root = self.operate("detect", &[], move |id, _| {
            let selection = MatchesAndLost::<S, L, M, T>::new(select.clone(), lose.clone());
            PatternMatcher::<K, R, A, _>::new(id, pattern.clone(), selection)
        });
        root.graph
            .add_check(root.name, move |time| problem.problem(time.missing()).map(Into::into));
        Stream::new(root)
    }
}

//! Keyed streams, row by row: which rows to keep, how they rank, what lies before and behind.
//!
//! A further part of [`Keyed`]. What each operator means, costs and keeps stands on the operator; in
//! order of event time all of them are exact whatever the shards and splits, in order of arrival they
//! follow the one that records happened to have.

use crate::chain::operators::{
    BoundedOver, DistinctCount, FirstRows, Fold, Lag, LastRows, Lead, Merge, OverBound, Ranked,
    RankedRow, Ranks, RowsProblem, RunningOver, TopN,
};
use crate::chain::{KeyFn, KeyOut};
use crate::record::{Change, Fixed, Key, Paired, Record, TimeSpan};
use crate::state::OperatorId;

use super::chain::Chain;
use super::graph::SourceTime;
use super::keyed::{Keyed, Order, TimeOrder};
use super::limits;
use super::stream::{Changelog, Stream};

impl<R, K, C, F, O> Keyed<R, K, C, F, O>
where
    R: Record,
    K: Key,
    C: Chain<Out = R>,
    F: KeyFn<R, K>,
    O: Order<R>,
{
    /// The first record of each key; see [`FirstRows`]. What has been seen stays in state.
    pub fn dedup(self) -> Stream<R, impl Chain<Out = R>> {
        Stream::new(self.operate("dedup", &[], |id, _| FirstRows::<K, R>::for_ever(id)))
    }

    /// The first record of each key in any `span` of event time; see [`FirstRows`].
    pub fn dedup_within(self, span: TimeSpan) -> Stream<R, impl Chain<Out = R>> {
        let root = self.operate("dedup", &[], move |id, _| FirstRows::<K, R>::within(id, span));
        root.graph.add_check(root.name, move |time| {
            let problem = not_positive("time", span).or_else(|| without_event_time(time));
            problem.map(Into::into)
        });
        Stream::new(root)
    }

    /// The newest record of each key, as the changes of a table of them; see [`LastRows`].
    pub fn keep_last(self) -> Stream<RankedRow<R>, impl Chain<Out = RankedRow<R>>> {
        Stream::new(self.operate("keep_last", &[], |id, _| LastRows::<K, R>::new(id, false)))
    }

    /// As [`Keyed::keep_last`], with the row as it was before each update.
    pub fn keep_last_retracting(self) -> Stream<RankedRow<R>, impl Chain<Out = RankedRow<R>>> {
        Stream::new(self.operate("keep_last", &[], |id, _| LastRows::<K, R>::new(id, true)))
    }

    /// The first `N` records of each key by what `read` makes of them, each with its rank, as the
    /// changes of a table; see [`TopN`]. For the greatest first, read `Reverse(value)`.
    pub fn top_n<const N: usize, T, G>(
        self,
        read: G,
    ) -> Stream<RankedRow<R>, impl Chain<Out = RankedRow<R>>>
    where
        T: Ranked,
        G: for<'a> Fn(R::View<'a>) -> T + Clone + Send + Sync + 'static,
    {
        self.top_n_with::<N, T, G>(Ranks::Numbered { update_before: false }, read)
    }

    /// As [`Keyed::top_n`], and what it says of ranks: updates with or without the row as it was, or
    /// only which records enter and fall out.
    pub fn top_n_with<const N: usize, T, G>(
        self,
        ranks: Ranks,
        read: G,
    ) -> Stream<RankedRow<R>, impl Chain<Out = RankedRow<R>>>
    where
        T: Ranked,
        G: for<'a> Fn(R::View<'a>) -> T + Clone + Send + Sync + 'static,
    {
        let root = self.operate("top_n", &[], move |id, _| {
            TopN::<K, R, T, G, N>::new(id, ranks, read.clone())
        });
        let place_bytes = <Option<(T, u64)>>::BYTES;
        root.graph.add_check(root.name, move |_| {
            too_many("table", N as u64, place_bytes).map(Into::into)
        });
        Stream::new(root)
    }

    /// Each record with a fold of its key's records up to it; see [`RunningOver`].
    pub fn over<V, G>(
        self,
        read: G,
    ) -> Stream<Paired<R, V::Output>, impl Chain<Out = Paired<R, V::Output>>>
    where
        V: Fold,
        G: for<'a> Fn(R::View<'a>) -> V::Input + Clone + Send + Sync + 'static,
    {
        Stream::new(
            self.operate("over", &[], move |id, _| {
                RunningOver::<K, R, V, G>::new(id, read.clone())
            }),
        )
    }

    /// Each record with a fold of its key's last `count` records, itself among them; see
    /// [`BoundedOver`]. SQL's `ROWS n PRECEDING` is a count of n + 1.
    pub fn over_rows<V, G>(
        self,
        count: u64,
        read: G,
    ) -> Stream<Paired<R, V::Output>, impl Chain<Out = Paired<R, V::Output>>>
    where
        V: Merge,
        G: for<'a> Fn(R::View<'a>) -> V::Input + Clone + Send + Sync + 'static,
    {
        let root = self.operate("over_rows", &[], move |id, _| {
            BoundedOver::<K, R, V, G>::new(id, OverBound::Rows(count), read.clone())
        });
        root.graph.add_check(root.name, move |_| no_rows("window", count).map(Into::into));
        Stream::new(root)
    }

    /// Each record with what `read` makes of its key's record `distance` before it, or `default`;
    /// see [`Lag`]. The values of one key take 32 KiB at most.
    pub fn lag<T, G>(
        self,
        distance: u32,
        default: T,
        read: G,
    ) -> Stream<Paired<R, T>, impl Chain<Out = Paired<R, T>>>
    where
        T: Fixed,
        G: for<'a> Fn(R::View<'a>) -> T + Clone + Send + Sync + 'static,
    {
        let root = self.operate("lag", &[], move |id, _| {
            Lag::<K, R, T, G>::new(id, distance, default, read.clone())
        });
        let count = distance.into();
        root.graph.add_check(root.name, move |_| {
            let problem = no_rows("distance", count);
            problem.or_else(|| too_many("distance", count, T::BYTES)).map(Into::into)
        });
        Stream::new(root)
    }

    /// Each record, once the one `distance` behind it has come, with what `read` makes of that; at
    /// the end the rest with `default`. See [`Lead`].
    pub fn lead<T, G>(
        self,
        distance: u32,
        default: T,
        read: G,
    ) -> Stream<Paired<R, T>, impl Chain<Out = Paired<R, T>>>
    where
        T: Fixed,
        G: for<'a> Fn(R::View<'a>) -> T + Clone + Send + Sync + 'static,
    {
        let root = self.operate("lead", &["rows"], move |id, _| {
            Lead::<K, R, T, G>::new(id, OperatorId(id.0 + 1), distance, default, read.clone())
        });
        let count = distance.into();
        root.graph.add_check(root.name, move |_| no_rows("distance", count).map(Into::into));
        Stream::new(root)
    }

    /// Counts the different values that `value` reads from each key's records; see
    /// [`DistinctCount`].
    pub fn distinct_count<T, G>(
        self,
        value: G,
    ) -> Changelog<K, u64, impl Chain<Out = Change<K, u64>>>
    where
        T: Key,
        G: for<'o, 'a> Fn(R::View<'a>, KeyOut<'o, 'a, T>) + Clone + Send + Sync + 'static,
    {
        Changelog::new(self.operate("distinct_count", &["values"], move |id, emit| {
            let values = OperatorId(id.0 + 1);
            DistinctCount::<K, R, T, G>::new(id, values, emit, value.clone())
        }))
    }
}

impl<R, K, C, F, H> Keyed<R, K, C, F, TimeOrder<H>>
where
    R: Record,
    K: Key,
    C: Chain<Out = R>,
    F: KeyFn<R, K>,
    TimeOrder<H>: Order<R>,
{
    /// Each record with a fold of its key's records of the last `span` of event time, itself among
    /// them: those with a time in `[its own - span, its own]`. See [`BoundedOver`]: the last span of
    /// a key that falls silent stays in state.
    pub fn over_range<V, G>(
        self,
        span: TimeSpan,
        read: G,
    ) -> Stream<Paired<R, V::Output>, impl Chain<Out = Paired<R, V::Output>>>
    where
        V: Merge,
        G: for<'a> Fn(R::View<'a>) -> V::Input + Clone + Send + Sync + 'static,
    {
        let root = self.operate("over_range", &[], move |id, _| {
            BoundedOver::<K, R, V, G>::new(id, OverBound::Range(span), read.clone())
        });
        root.graph.add_check(root.name, move |time| {
            let problem = not_positive("range", span).or_else(|| without_event_time(time));
            problem.map(Into::into)
        });
        Stream::new(root)
    }
}

fn not_positive(what: &'static str, span: TimeSpan) -> Option<RowsProblem> {
    (span <= TimeSpan::ZERO).then_some(RowsProblem::NotPositive { what, micros: span.0 })
}

fn no_rows(what: &'static str, count: u64) -> Option<RowsProblem> {
    (count == 0).then_some(RowsProblem::NoRows { what })
}

/// The room of a key's rows in one entry. Half of the shortest segment that may be asked for: the rest
/// is for the key and the header.
const ROWS_BYTES_MAX: u64 = limits::SEGMENT_BYTES_MIN as u64 / 2;

fn too_many(what: &'static str, rows: u64, row_bytes: usize) -> Option<RowsProblem> {
    // Before the rows is a number.
    let room_bytes = ROWS_BYTES_MAX - u64::BYTES as u64;
    let rows_max = room_bytes.checked_div(row_bytes as u64).unwrap_or(u64::MAX);
    (rows > rows_max).then_some(RowsProblem::TooMany { what, rows, rows_max })
}

fn without_event_time(time: &SourceTime) -> Option<RowsProblem> {
    time.missing().map(|what| RowsProblem::NoEventTime { what })
}

//! The first N rows of each key, as a changelog.
//!
//! Takes records; hands on what each changes among the N rows of its key that come first: those of the
//! least order, of equals the one that arrived first. That is what SQL's `ROW_NUMBER() .. <= N` says,
//! the only ranking that Flink's documentation offers for continuous queries ("Top-N": `RANK` and
//! `DENSE_RANK` are not supported): ranks are unique, and ties are broken by arrival. For the greatest
//! first, the order is `Reverse(value)`.
//!
//! Each row has its rank, so a row that enters moves those behind it: an update for each of these
//! ranks, by which an upsert sink that knows rows by (key, rank) stays right. Without ranks
//! ([`Ranks::Omitted`], Flink's "no ranking output optimization") only the row that falls out is
//! deleted, and the one that enters is inserted.
//!
//! Entries, by namespace: 0 is the head, `| next number 8 | N places: 1 or 0, order, number 8 |`; above
//! it stand whole frames, the row of a number at namespace `number + 1`.
//!
//! Invariants
//! 1. Places are taken from the first on, and sorted by (order, number).
//! 2. Each number in a place has its frame, and no other has, except the row that has just fallen out:
//!    its frame goes when the last change has been taken. No barrier passes before.
//!
//! A record that does not enter costs one look-up. Why rows beyond N are not kept: the input only
//! grows, so none of them can come back.

use super::{RankedRow, RankedRowView};
use crate::chain::operators::fold::{Kinds, Ranked};
use crate::chain::operators::listed;
use crate::chain::operators::sorted::FrameBuffer;
use crate::chain::{Due, KeyedOperator, OperatorState, StateLayout};
use crate::record::{Fixed, Frame, FrameHeader, Item, Key, KeyHash, Layout, Record, RowKind};
use crate::state::{EntryKey, LogOffset, OperatorId, Store};

/// What a [`TopN`] says of ranks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranks {
    /// Every rank whose row has changed, with that row.
    Numbered {
        /// Whether the row as it was goes before each update.
        update_before: bool,
    },
    /// Only which rows enter and fall out; their rank is 0.
    Omitted,
}

/// The next number, and the rows in order.
type Head<O, const N: usize> = (u64, [Option<(O, u64)>; N]);

/// The first N rows of each key. `G` reads a row's order.
#[derive(Debug)]
pub struct TopN<K, I, O, G, const N: usize> {
    operator: OperatorId,
    ranks: Ranks,
    read: G,
    entered: Option<Entered>,
    frame: FrameBuffer,
    kinds: Kinds<K, I, O>,
}

/// A row that has entered, and which of its changes is next.
#[derive(Debug, Clone, Copy)]
struct Entered {
    header: FrameHeader,
    head: LogOffset,
    place: usize,
    /// How many rows there were before it.
    before_count: usize,
    /// The number of the row that fell out for it.
    fallen: Option<u64>,
    step: usize,
}

/// One change: of which kind, at which place, and the row's number.
type Step = (RowKind, usize, u64);

impl<K, I, O, G, const N: usize> TopN<K, I, O, G, N>
where
    K: Key,
    I: Record,
    O: Ranked,
    G: for<'a> Fn(I::View<'a>) -> O,
{
    const HEAD_BYTES: usize = Head::<O, N>::BYTES;

    /// The first N rows by what `read` makes of each.
    pub fn new(operator: OperatorId, ranks: Ranks, read: G) -> Self {
        const { assert!(N > 0, "some rows come first") };
        let (entered, frame, kinds) = (None, FrameBuffer::default(), Kinds::default());
        Self { operator, ranks, read, entered, frame, kinds }
    }

    fn step_count(&self, entered: &Entered) -> usize {
        let moved = entered.before_count - entered.place;
        match self.ranks {
            Ranks::Omitted => 1 + usize::from(entered.fallen.is_some()),
            Ranks::Numbered { update_before } => {
                moved * (1 + usize::from(update_before)) + usize::from(entered.fallen.is_none())
            }
        }
    }

    fn step(&self, entered: &Entered, rows: &[Option<(O, u64)>; N]) -> Step {
        let row_at = |place: usize| {
            let row = rows.get(place).copied().flatten().map(|(_, number)| number);
            row.or(entered.fallen).expect("a place below the count has a row")
        };
        let Entered { place, before_count, step, .. } = *entered;
        let Ranks::Numbered { update_before } = self.ranks else {
            return match entered.fallen.filter(|_| step == 0) {
                Some(fallen) => (RowKind::Delete, N - 1, fallen),
                None => (RowKind::Insert, place, row_at(place)),
            };
        };
        let at = place + if update_before { step / 2 } else { step };
        if at == before_count {
            (RowKind::Insert, at, row_at(at))
        } else if update_before && step.is_multiple_of(2) {
            // What stood here stands one place further on now, or has fallen out.
            (RowKind::UpdateBefore, at, row_at(at + 1))
        } else {
            (RowKind::UpdateAfter, at, row_at(at))
        }
    }

    fn row_key(state: &Store, head: LogOffset, number: u64) -> EntryKey<'_> {
        EntryKey { namespace: number + 1, ..state.entry_key(head) }
    }

    /// Puts a row in its place, if it has one among the first.
    fn enter(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: EntryKey<'_>,
        view: I::View<'_>,
    ) {
        let order = (self.read)(view);
        let (head, _) = state.find_or_insert(&key, Self::HEAD_BYTES);
        let (number, mut rows): Head<O, N> = state.field(head, 0);
        let is_behind =
            |row: &Option<(O, u64)>| row.is_none_or(|(kept, _)| order.rank(&kept).is_lt());
        let Some(place) = rows.iter().position(is_behind) else {
            return;
        };
        let fallen = rows[N - 1].map(|(_, number)| number);
        let before_count = rows.iter().flatten().count();
        rows.copy_within(place..N - 1, place + 1);
        rows[place] = Some((order, number));
        self.frame.encode::<I>(header, view);
        state.put(&EntryKey { namespace: number + 1, ..key }, self.frame.bytes());
        let head = state.writable(head);
        state.set(head, 0, (number + 1, rows));
        let header = *header;
        self.entered = Some(Entered { header, head, place, before_count, fallen, step: 0 });
    }
}

impl<K, I, O, G, const N: usize> KeyedOperator for TopN<K, I, O, G, N>
where
    K: Key,
    I: Record,
    O: Ranked,
    G: for<'a> Fn(I::View<'a>) -> O + Send + 'static,
{
    type Key = K;
    type In = I;
    type Out = RankedRow<I>;
    type Emission = ();

    const HAS_DUE: bool = true;

    fn touch(&self, state: &mut Store, hashes: &[KeyHash]) {
        state.touch(self.operator, hashes);
    }

    fn states(&self) -> Vec<OperatorState> {
        let row = Layout::fields([("order", O::layout()), ("number", <u64 as Fixed>::layout())]);
        let place = Layout::fields([("is_some", Layout::Bool), ("row", row)]);
        let count = u32::try_from(N).expect("a head has few places");
        let rows = Layout::Array(Box::new(place), count);
        let head = Layout::fields([("next", <u64 as Fixed>::layout()), ("rows", rows)]);
        vec![OperatorState {
            id: self.operator,
            kind: "top_n",
            identity: listed(&[format!("the first {N}"), O::identity()]),
            key: K::layout(),
            values: vec![
                StateLayout::new("ranks", 0..=0, head),
                StateLayout::frames::<I>("rows", 1..=u64::MAX),
            ],
        }]
    }

    fn apply(
        &mut self,
        state: &mut Store,
        header: &FrameHeader,
        key: K::View<'_>,
        view: I::View<'_>,
    ) -> Option<()> {
        K::with_bytes(key, |bytes| {
            let (operator, hash) = (self.operator, header.key_hash);
            self.enter(state, header, EntryKey { operator, hash, key: bytes, namespace: 0 }, view);
        });
        None
    }

    fn output<'a>(&self, (): (), _: K::View<'a>, _: I::View<'a>) -> <Self::Out as Item>::View<'a> {
        unreachable!("a record emits nothing by itself; what it changed is due")
    }

    fn advance(&mut self, _: &mut Store, _: Due) -> bool {
        self.entered.is_some()
    }

    fn due<'s>(&'s self, state: &'s Store) -> (FrameHeader, <Self::Out as Item>::View<'s>) {
        let entered = self.entered.expect("asked only after `advance` answered `true`");
        let (_, rows): Head<O, N> = state.field(entered.head, 0);
        let (kind, place, number) = self.step(&entered, &rows);
        let row = state.find(&Self::row_key(state, entered.head, number));
        let frame = Frame::new(state.value(row.expect("invariant 2")));
        let rank = if self.ranks == Ranks::Omitted { 0 } else { place as u64 + 1 };
        let step = u32::try_from(entered.step).expect("a row has few changes");
        let ordinal = entered.header.ordinal_of(step);
        let header = FrameHeader { kind, ordinal, ..entered.header };
        (header, RankedRowView { kind, rank, row: frame.view::<I>() })
    }

    fn done(&mut self, state: &mut Store) {
        let Some(mut entered) = self.entered.take() else {
            return;
        };
        entered.step += 1;
        if entered.step < self.step_count(&entered) {
            self.entered = Some(entered);
        } else if let Some(fallen) = entered.fallen
            && let Some(row) = state.find(&Self::row_key(state, entered.head, fallen))
        {
            state.delete_at(row);
        }
    }
}

//! What a window keeps of its records: a fold's state, or the items themselves.
//!
//! Folded is the rule: a few bytes a window, a constant cost a record. Kept items cost an entry for
//! every 16 of them and a walk at each firing, and can be evicted.
//!
//! ```text
//! list:   | number 8 | first item 8 | next item 8 |          in the window's cell
//! chunk:  16 x | time 8 | item ... |                          namespace: 1 + list << 32 + chunk
//! ```

use std::marker::PhantomData;

use super::super::spec::WindowProblem;
use crate::chain::StateLayout;
use crate::chain::operators::fold::Merge;
use crate::record::{Fixed, Layout, TimeSpan};
use crate::state::{EntryKey, Store};

/// Where a key's contents lie: the store, and the key of the entry that holds its windows.
#[derive(Debug)]
pub struct Place<'s, 'k> {
    pub(super) store: &'s mut Store,
    pub(super) key: EntryKey<'k>,
}

/// How windows keep their records.
pub trait Contents<V: Merge>: Clone + Send + Sync + 'static {
    /// What stands in a window's cell.
    type State: Fixed;
    /// Whether it is the fold's state alone, as slices keep it.
    const IS_FOLDED: bool = false;
    /// The contents of a window without records. `list_next` numbers the key's lists.
    fn start(&self, list_next: &mut u64) -> Self::State;
    /// Adds what a record says.
    fn add(&self, place: &mut Place<'_, '_>, state: &mut Self::State, time: i64, input: V::Input);
    /// Puts another window's contents behind this one's; the other's are gone then.
    fn merge(&self, place: &mut Place<'_, '_>, state: &mut Self::State, later: Self::State);
    /// What the window says now. It may let go of what it does not hold any more.
    fn value(&self, place: &mut Place<'_, '_>, state: &mut Self::State) -> V::State;
    /// Forgets all.
    fn clear(&self, place: &mut Place<'_, '_>, state: &mut Self::State);
    /// The state's layout in a cell.
    fn layout() -> Layout;
    /// What it keeps beside the cells.
    fn more_states() -> Option<StateLayout>;
    /// What its values depend on, as text.
    fn identity(&self) -> String;
}

/// Contents that are folded as they come.
#[derive(Debug, Clone, Copy)]
pub struct Folded;

impl<V: Merge> Contents<V> for Folded {
    type State = V::State;
    const IS_FOLDED: bool = true;
    fn start(&self, _: &mut u64) -> V::State {
        V::start()
    }
    #[inline(always)]
    fn add(&self, _: &mut Place<'_, '_>, state: &mut V::State, _: i64, input: V::Input) {
        *state = V::add(*state, input);
    }
    fn merge(&self, _: &mut Place<'_, '_>, state: &mut V::State, later: V::State) {
        *state = V::merge(*state, later);
    }
    fn value(&self, _: &mut Place<'_, '_>, state: &mut V::State) -> V::State {
        *state
    }
    fn clear(&self, _: &mut Place<'_, '_>, state: &mut V::State) {
        *state = V::start();
    }
    fn layout() -> Layout {
        V::State::layout()
    }
    fn more_states() -> Option<StateLayout> {
        None
    }
    fn identity(&self) -> String {
        String::new()
    }
}

/// What leaves a window before it says what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evict {
    /// All but the last so many records, in the order in which they came.
    Count(u64),
    /// What is so much older than the newest record, or more.
    Time(TimeSpan),
}

/// Contents that are kept, and evicted when the window fires.
#[derive(Debug, Clone, Copy)]
pub struct Kept<T> {
    evict: Evict,
    items: PhantomData<fn() -> T>,
}

impl<T> Kept<T> {
    /// Keeps what `evict` leaves.
    #[must_use]
    pub fn new(evict: Evict) -> Self {
        Self { evict, items: PhantomData }
    }
}

impl Evict {
    /// Why it can't work, if it can't.
    pub(crate) fn problem(self) -> Option<WindowProblem> {
        match self {
            Self::Count(0) => Some(WindowProblem::KeepsNothing),
            Self::Time(span) if span <= TimeSpan::ZERO => {
                Some(WindowProblem::NotPositive { what: "evictor's span", micros: span.0 })
            }
            Self::Count(_) | Self::Time(_) => None,
        }
    }
}

/// A window's list: its number, its first item and the next one's number.
type List = (u64, u64, u64);

const CHUNK_ITEMS: u64 = 16;

fn chunk_namespace(list: u64, chunk: u64) -> u64 {
    debug_assert!(chunk < 1 << 32, "a window holds fewer than 2^36 items");
    1 + (list << 32 | chunk)
}

impl<T: Fixed> Kept<T> {
    const ITEM_BYTES: usize = i64::BYTES + T::BYTES;

    fn chunk_key<'k>(place: &Place<'_, 'k>, list: u64, item: u64) -> (EntryKey<'k>, usize) {
        let namespace = chunk_namespace(list, item / CHUNK_ITEMS);
        let index = usize::try_from(item % CHUNK_ITEMS).expect("a place is below 16");
        (EntryKey { namespace, ..place.key }, index * Self::ITEM_BYTES)
    }

    fn push(place: &mut Place<'_, '_>, list: &mut List, item: (i64, T)) {
        let (key, at) = Self::chunk_key(place, list.0, list.2);
        let chunk_bytes = usize::try_from(CHUNK_ITEMS).expect("16") * Self::ITEM_BYTES;
        let (offset, _) = place.store.find_or_insert(&key, chunk_bytes);
        let offset = place.store.writable(offset);
        place.store.set(offset, at, item);
        list.2 += 1;
    }

    fn get(place: &Place<'_, '_>, list: List, item: u64) -> (i64, T) {
        let (key, at) = Self::chunk_key(place, list.0, item);
        let offset = place.store.find(&key).expect("an item that is kept has a chunk");
        place.store.field(offset, at)
    }

    fn items(place: &Place<'_, '_>, list: List) -> Vec<(i64, T)> {
        (list.1..list.2).map(|item| Self::get(place, list, item)).collect()
    }

    /// Lets go of all items before `first`.
    fn drop_before(place: &mut Place<'_, '_>, list: &mut List, first: u64) {
        let end = if first == list.2 { first.div_ceil(CHUNK_ITEMS) } else { first / CHUNK_ITEMS };
        for chunk in list.1 / CHUNK_ITEMS..end {
            let namespace = chunk_namespace(list.0, chunk);
            place.store.delete(&EntryKey { namespace, ..place.key });
        }
        list.1 = first;
        if first == list.2 {
            (list.1, list.2) = (0, 0);
        }
    }

    fn evict(&self, place: &mut Place<'_, '_>, list: &mut List) {
        match self.evict {
            Evict::Count(count) => {
                let first = list.2.saturating_sub(count).max(list.1);
                Self::drop_before(place, list, first);
            }
            Evict::Time(span) => {
                let items = Self::items(place, *list);
                let newest = items.iter().map(|(time, _)| *time).max().unwrap_or(i64::MIN);
                let cut = newest.saturating_sub(span.0);
                if items.iter().all(|(time, _)| *time > cut) {
                    return;
                }
                let end = list.2;
                Self::drop_before(place, list, end);
                for item in items.into_iter().filter(|(time, _)| *time > cut) {
                    Self::push(place, list, item);
                }
            }
        }
    }
}

impl<V: Merge> Contents<V> for Kept<V::Input>
where
    V::Input: Fixed,
{
    type State = List;

    fn start(&self, list_next: &mut u64) -> List {
        *list_next += 1;
        (*list_next - 1, 0, 0)
    }

    fn add(&self, place: &mut Place<'_, '_>, list: &mut List, time: i64, input: V::Input) {
        Self::push(place, list, (time, input));
    }

    fn merge(&self, place: &mut Place<'_, '_>, list: &mut List, mut later: List) {
        for item in later.1..later.2 {
            let item = Self::get(place, later, item);
            Self::push(place, list, item);
        }
        let end = later.2;
        Self::drop_before(place, &mut later, end);
    }

    fn value(&self, place: &mut Place<'_, '_>, list: &mut List) -> V::State {
        self.evict(place, list);
        let items = (list.1..list.2).map(|item| Self::get(place, *list, item));
        items.fold(V::start(), |state, (_, input)| V::add(state, input))
    }

    fn clear(&self, place: &mut Place<'_, '_>, list: &mut List) {
        let end = list.2;
        Self::drop_before(place, list, end);
    }

    fn layout() -> Layout {
        let number = <u64 as Fixed>::layout;
        Layout::fields([("list", number()), ("first", number()), ("next", number())])
    }

    fn more_states() -> Option<StateLayout> {
        let item = Layout::fields([("time", Layout::Time), ("item", V::Input::layout())]);
        let items = Layout::Repeated(Box::new(item));
        Some(StateLayout::new("items", 1..=u64::MAX, items))
    }

    fn identity(&self) -> String {
        match self.evict {
            Evict::Count(count) => format!("keeps {count} records"),
            Evict::Time(span) => format!("keeps {} us", span.0),
        }
    }
}

//! Values, lists, maps and folds of a process function, held to plain collections beside them:
//! with and without a time to live, and whatever the store has swept.

mod operators_common;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use operators_common::{ENDED, Row, RowView, at, drain, header};
use pelton::chain::KeyedOperator;
use pelton::chain::operators::{
    ListState, MapState, Process, ProcessContext, ProcessFunction, ReducingState, States, Sum,
    ValueState,
};
use pelton::record::{EventTime, Key, KeyBytes, KeyHash, KeyView, Layout, Record, TimeSpan};
use pelton::state::{ExpiryClock, ExpiryKind, OperatorId, Store};
use proptest::prelude::*;

const STATE: OperatorId = OperatorId(1);
const TIMER: OperatorId = OperatorId(2);

/// A key whose hashes nearly all clash, so that buckets of maps hold several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Clash(u64);

impl Key for Clash {
    type View<'a> = Self;
    fn with_bytes<T>(view: Self, then: impl FnOnce(&[u8]) -> T) -> T {
        u64::with_bytes(view.0, then)
    }
    fn write_part(view: Self, out: &mut KeyBytes) {
        u64::write_part(view.0, out);
    }
    fn from_bytes(bytes: &[u8]) -> Self {
        Self(u64::from_bytes(bytes))
    }
    fn read_part(bytes: &mut &[u8]) -> Self {
        Self(u64::read_part(bytes))
    }
    fn layout() -> Layout {
        <u64 as Key>::layout()
    }
    fn hash(view: Self) -> KeyHash {
        KeyHash(view.0 % 5)
    }
}

impl KeyView<'_> for Clash {
    type Key = Self;
    fn to_key(self) -> Self {
        self
    }
}

/// All kinds of state, and the plain things that they are held to; each with when it expires.
struct Held {
    ttl: Option<(TimeSpan, ExpiryKind)>,
    now: i64,
    value: BTreeMap<u64, (i64, i64)>,
    sum: BTreeMap<u64, (i64, i64)>,
    list: BTreeMap<u64, Vec<(i64, i64)>>,
    map: BTreeMap<(u64, u64), (i64, i64)>,
    names: BTreeMap<(u64, String), (i64, i64)>,
}

macro_rules! state {
    ($method:ident, $kind:ty, $number:literal) => {
        fn $method(&self) -> $kind {
            let state = <$kind>::new($number);
            self.ttl.map_or(state, |(span, clock)| state.ttl(span, clock))
        }
    };
}

impl Held {
    state!(value_state, ValueState<i64>, 0);
    state!(sum_state, ReducingState<Sum<i64>>, 1);
    state!(list_state, ListState<i64>, 2);
    state!(map_state, MapState<Clash, i64>, 3);
    state!(names_state, MapState<String, i64>, 63);

    fn new(ttl: Option<(TimeSpan, ExpiryKind)>) -> Self {
        Self {
            ttl,
            now: 0,
            value: BTreeMap::new(),
            sum: BTreeMap::new(),
            list: BTreeMap::new(),
            map: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    fn expires_at(&self) -> i64 {
        self.ttl.map_or(i64::MAX, |(span, _)| self.now + span.0)
    }

    fn forget(&mut self) {
        let now = self.now;
        self.value.retain(|_, (at, _)| *at > now);
        self.sum.retain(|_, (at, _)| *at > now);
        self.map.retain(|_, (at, _)| *at > now);
        self.names.retain(|_, (at, _)| *at > now);
        self.list.values_mut().for_each(|items| items.retain(|(at, _)| *at > now));
    }

    fn change(&mut self, context: &mut ProcessContext<'_, Row>, key: u64, what: u64, with: i64) {
        let at = self.expires_at();
        let inner = with.unsigned_abs() % 20;
        let name = format!("name {inner}");
        match what {
            0 => {
                context.set(self.value_state(), with);
                self.value.insert(key, (at, with));
            }
            1 => {
                context.clear(self.value_state());
                self.value.remove(&key);
            }
            2 => {
                context.reduce(self.sum_state(), with);
                let sum = self.sum.get(&key).map_or(0, |(_, sum)| *sum);
                self.sum.insert(key, (at, sum + with));
            }
            3 => {
                context.clear_reduced(self.sum_state());
                self.sum.remove(&key);
            }
            4..10 => {
                context.append(self.list_state(), with);
                self.list.entry(key).or_default().push((at, with));
            }
            10 => {
                context.clear_list(self.list_state());
                self.list.remove(&key);
            }
            11..16 => {
                context.map_insert(self.map_state(), Clash(inner), with);
                self.map.insert((key, inner), (at, with));
                context.map_insert(self.names_state(), &name, with);
                self.names.insert((key, name), (at, with));
            }
            16..19 => {
                let was = self.map.remove(&(key, inner)).is_some();
                assert_eq!(context.map_remove(self.map_state(), Clash(inner)), was);
                let was = self.names.remove(&(key, name.clone())).is_some();
                assert_eq!(context.map_remove(self.names_state(), &name), was);
            }
            _ => {
                context.clear_map(self.map_state());
                self.map.retain(|(of, _), _| *of != key);
                context.clear_map(self.names_state());
                self.names.retain(|(of, _), _| *of != key);
            }
        }
    }

    fn compare(&self, context: &ProcessContext<'_, Row>, key: u64) {
        let wanted = |kept: Option<&(i64, i64)>| kept.map(|(_, value)| *value);
        assert_eq!(context.get(self.value_state()), wanted(self.value.get(&key)));
        assert_eq!(context.reduced(self.sum_state()), wanted(self.sum.get(&key)));
        let items: Vec<i64> = context.iter(self.list_state()).collect();
        let kept = self.list.get(&key).into_iter().flatten();
        assert_eq!(items, kept.map(|(_, item)| *item).collect::<Vec<_>>());
        assert_eq!(context.list_count(self.list_state()), items.len() as u64);
        let mut entries: Vec<_> = context.map_iter(self.map_state()).collect();
        entries.sort_unstable();
        let kept = self.map.range((key, 0)..(key + 1, 0));
        let kept = kept.map(|((_, inner), (_, value))| (Clash(*inner), *value));
        assert_eq!(entries, kept.collect::<Vec<_>>());
        for inner in 0..20 {
            let found = context.map_get(self.map_state(), Clash(inner));
            assert_eq!(found, wanted(self.map.get(&(key, inner))));
        }
        let mut named: Vec<_> = context.map_iter(self.names_state()).collect();
        named.sort_unstable();
        let kept = self.names.iter().filter(|((of, _), _)| *of == key);
        let kept = kept.map(|((_, name), (_, value))| (name.as_str(), *value));
        assert_eq!(named, kept.collect::<Vec<_>>());
    }
}

impl ProcessFunction for Held {
    type Key = u64;
    type In = Row;
    type Out = Row;

    fn states(&self, states: &mut States) {
        states
            .value("value", self.value_state())
            .reducing("sum", self.sum_state())
            .list("list", self.list_state())
            .map("map", self.map_state())
            .map("names", self.names_state());
    }

    fn on_record(&mut self, context: &mut ProcessContext<'_, Row>, key: u64, view: RowView<'_>) {
        self.now = match self.ttl {
            Some((_, ExpiryKind::Wall)) => context.wall_micros(),
            _ => context.header().event_time.0,
        };
        self.forget();
        self.compare(context, key);
        self.change(context, key, view.order, view.amount);
        self.compare(context, key);
    }
}

/// A key, what to do, with what, how much later, and whether the store is swept before.
type Step = (u64, u64, i64, i64, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..3_u64, 0..20_u64, -50..50_i64, 0..4_i64, any::<bool>());
    prop::collection::vec(step, 0..250)
}

/// Runs the steps, whose own assertions compare; answers with what is left.
fn run(ttl: Option<(TimeSpan, ExpiryKind)>, steps: &[Step]) -> Store {
    let mut store = Store::new();
    let mut process = Process::new(STATE, TIMER, Held::new(ttl));
    let mut now = 0;
    for &(key, what, with, later, swept) in steps {
        now += later;
        let clock = ExpiryClock { event: EventTime(now), wall_micros: now };
        if swept {
            while store.maintain(clock, u64::MAX) {}
        }
        process.tick(now);
        process.apply(&mut store, &header::<u64>(key, now), key, Row::new(what, with).view());
    }
    store
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn states_hold_what_plain_collections_do(steps in steps()) {
        run(None, &steps);
    }

    #[test]
    fn by_event_time_states_are_gone_when_they_should_be(
        steps in steps(), span in prop_oneof![1..20_i64, Just(400)],
    ) {
        run(Some((TimeSpan(span), ExpiryKind::Event)), &steps);
    }

    #[test]
    fn by_the_wall_clock_states_are_gone_when_they_should_be(
        steps in steps(), span in prop_oneof![1..20_i64, Just(400)],
    ) {
        run(Some((TimeSpan(span), ExpiryKind::Wall)), &steps);
    }
}

#[test]
fn a_bucket_that_outlived_its_place_in_the_list_is_listed_again() {
    // Two keys of one bucket; removing one renews the bucket, and the list expires before it.
    let steps = [(0, 11, 1, 0, false), (0, 11, 6, 0, false), (0, 16, 6, 9, false)];
    let again = (0, 11, 1, 3, false);
    for clock in [ExpiryKind::Event, ExpiryKind::Wall] {
        run(Some((TimeSpan(10), clock)), &[&steps[..], &[again]].concat());
    }
}

#[test]
fn what_is_cleared_leaves_no_entry() {
    let fill = (0..120_u64).map(|number| (0, number % 16, number.cast_signed(), 0, false));
    let cleared = [1, 3, 10, 19].map(|what| (0, what, 0, 0, false));
    let mut steps: Vec<Step> = fill.collect();
    assert!(run(None, &steps).entry_count() > 20);
    steps.extend(cleared);
    assert_eq!(run(None, &steps).entry_count(), 0);
}

#[test]
fn what_is_removed_piece_by_piece_leaves_no_entry() {
    let insert = (0..20).map(|number| (0, 11, number, 0, false));
    let remove = (0..20).rev().map(|number| (0, 16, number, 0, false));
    assert_eq!(run(None, &insert.chain(remove).collect::<Vec<_>>()).entry_count(), 0);
}

#[test]
fn a_list_that_is_appended_to_for_ever_keeps_what_lives_and_no_more() {
    let append = |count: u64| (0..count).map(|_| (0, 4, 1, 1, true)).collect::<Vec<Step>>();
    let ttl = Some((TimeSpan(40), ExpiryKind::Event));
    let (few, many) =
        (run(ttl, &append(200)).entry_count(), run(ttl, &append(2_000)).entry_count());
    // 40 items in chunks of 16, the head, and what the sweep leaves for its next round.
    assert!(few <= 12 && many <= 12, "{few} entries, then {many}");
}

/// Uses a state as `used`, and declares others.
struct Wrong(Use);

type Use = fn(&mut ProcessContext<'_, Row>);

impl ProcessFunction for Wrong {
    type Key = u64;
    type In = Row;
    type Out = Row;
    fn states(&self, states: &mut States) {
        states.value("zero", ValueState::<u8>::new(0)).list("one", ListState::<u8>::new(1));
    }
    fn on_record(&mut self, context: &mut ProcessContext<'_, Row>, _: u64, _: RowView<'_>) {
        (self.0)(context);
    }
}

fn message_of(run: impl FnOnce()) -> String {
    let cause = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
    let text = cause.downcast_ref::<String>().cloned();
    text.or_else(|| cause.downcast_ref::<&str>().map(|&text| text.to_owned())).expect("a text")
}

#[test]
fn a_state_that_is_not_declared_is_told_with_what_to_add() {
    let uses: [(Use, &str); 3] = [
        (|context| context.set(ValueState::<u8>::new(7), 1), "value state 7"),
        (|context| context.append(ListState::<u8>::new(0), 1), "list state 0"),
        (|context| context.clear_map(MapState::<u8, u8>::new(1)), "map state 1"),
    ];
    for (used, named) in uses {
        let message = message_of(|| {
            let mut process = Process::new(STATE, TIMER, Wrong(used));
            process.apply(&mut Store::new(), &header::<u64>(1, 0), 1, Row::new(0, 0).view());
        });
        assert!(message.contains(named) && message.contains("`fn states`"), "{message}");
    }
}

#[test]
fn two_states_have_neither_a_number_nor_a_name_in_common() {
    let number = message_of(|| {
        let mut states = States::default();
        states.value("a", ValueState::<u8>::new(3)).list("b", ListState::<u8>::new(3));
    });
    assert!(number.contains("`b` has number 3"), "{number}");
    let name = message_of(|| {
        let mut states = States::default();
        states.map("a", MapState::<u8, u8>::new(3)).value("a", ValueState::<u8>::new(4));
    });
    assert!(name.contains("called `a`"), "{name}");
}

/// Sets a value that lives ten microseconds, and a timer that looks at it later.
struct Late;

const SHORT: ValueState<u64> = ValueState::new(0).ttl(TimeSpan(10), ExpiryKind::Event);

impl ProcessFunction for Late {
    type Key = u64;
    type In = Row;
    type Out = Row;
    fn states(&self, states: &mut States) {
        states.value("short", SHORT);
    }
    fn on_record(&mut self, context: &mut ProcessContext<'_, Row>, _: u64, view: RowView<'_>) {
        context.set(SHORT, 5);
        context.set_timer(context.header().event_time + TimeSpan(view.amount));
    }
    fn on_timer(&mut self, context: &mut ProcessContext<'_, Row>, _: u64, _: EventTime) {
        let order = context.get(SHORT).unwrap_or(0);
        context.emit(RowView { order, amount: 0, name: "" });
    }
}

#[test]
fn a_timer_sees_what_lives_at_its_time() {
    for (later, seen) in [(9, 5), (10, 0)] {
        let mut store = Store::new();
        let mut process = Process::new(STATE, TIMER, Late);
        process.apply(&mut store, &header::<u64>(1, 100), 1, Row::new(0, later).view());
        let fired = drain(&mut process, &mut store, at(100 + later), |_, row| row.order);
        assert_eq!(fired, [seen]);
        assert!(!process.advance(&mut store, ENDED));
    }
}

//! What operators say of their state, held to the entries that they write.

mod operators_common;

use std::cmp::Reverse;

use operators_common::{ENDED, Row, RowView, at, drain, header};
use pelton::chain::operators::{
    Aggregate, BoundedOver, Count, CountSum, DistinctCount, Early, Emit, EveryRecords, Evict,
    ExactSpec, ExactWindows, FirstRows, Folded, Kept, Lag, Last, LastRows, Lead, ListState,
    MapState, Max, MergeByPosition, Mode, Moments, OverBound, PairOperator, PaneSpec, PaneWindows,
    Process, ProcessContext, ProcessFunction, Ranks, ReducingState, Rules, RunningOver, Side,
    SlicedWindows, Sorted, States, Sum, TopN, TriggeredWindows, ValueState, Window,
};
use pelton::chain::{KeyOut, KeyedOperator, OperatorState};
use pelton::record::{
    FRAME_HEADER_BYTES, Frame, FrameHeader, IngressPosition, KeyHash, Record, TimeSpan, write_frame,
};
use pelton::state::{ExpiryKind, OperatorId, StateError, Store};
use rkyv::util::AlignedVec;

const ID: OperatorId = OperatorId(3);
const OTHER: OperatorId = OperatorId(4);

/// Every entry is of exactly one described value and of its layout, and each value has an entry.
fn check(states: &[OperatorState], store: &Store) {
    let mut entry_count = 0;
    for state in states {
        let alike = states.iter().filter(|other| other.id == state.id).count();
        assert_eq!(alike, 1, "an id is described once");
        let mut counts = vec![0; state.values.len()];
        for offset in store.iter_operator(state.id) {
            entry_count += 1;
            let key = store.entry_key(offset);
            let namespace = key.namespace;
            let of = |value: &pelton::chain::StateLayout| value.namespaces.contains(&namespace);
            let known: Vec<_> = (0..).zip(&state.values).filter(|(_, value)| of(value)).collect();
            let [(index, value)] = known[..] else {
                panic!("namespace {namespace:#x} of {} is of {} values", state.kind, known.len());
            };
            counts[index] += 1;
            let shown = value.layout.to_json(store.value(offset));
            assert!(shown.is_ok(), "{} {}: {shown:?}", state.kind, value.name);
            let text = state.key.key_text(key.key).expect("a key of its layout");
            assert_eq!(state.key.parse_key(&text).as_deref(), Some(key.key), "{text}");
            assert_eq!(value.layout.to_string().parse(), Ok(value.layout.clone()));
        }
        for (value, count) in state.values.iter().zip(counts) {
            assert!(count > 0, "nothing was kept as {} of {}", value.name, state.kind);
        }
    }
    assert_eq!(entry_count, store.entry_count(), "all that is kept is described");
}

fn fill<Op: KeyedOperator<Key = (String, u8), In = Row>>(operator: &mut Op) -> Store {
    let mut store = Store::new();
    for number in 0..200 {
        let key = (["a", "b, c", ""][number % 3], 7);
        let time = i64::try_from(number).expect("a small number");
        let header = header::<(String, u8)>(key, time);
        operator.apply(&mut store, &header, key, Row::new(number as u64, time).view());
    }
    store
}

type Exact = ExactWindows<(String, u8), Row, CountSum, fn(RowView<'_>) -> (u64, i64), 2>;

fn exact() -> Exact {
    let spec = ExactSpec { lengths: [TimeSpan(500), TimeSpan(20)], delay: TimeSpan(3) };
    ExactWindows::new(ID, spec, |row| (row.order, row.amount))
}

#[test]
fn an_aggregate_describes_all_that_it_keeps() {
    let mut operator =
        Aggregate::<(String, u8), Row, Sum<i64>, _>::new(ID, Emit::AtEnd, |row| row.amount);
    let store = fill(&mut operator);
    check(&operator.states(), &store);
}

#[test]
fn exact_windows_describe_all_that_they_keep() {
    let mut operator = exact();
    let store = fill(&mut operator);
    let states = operator.states();
    check(&states, &store);
    assert_eq!(states[0].identity, "lengths [500, 20] us, delay 3 us");
    let head = store.iter_operator(ID).find(|&offset| store.namespace(offset) == 0).unwrap();
    let shown = states[0].values[0].layout.to_json(store.value(head)).unwrap();
    assert!(shown["next"].as_u64().unwrap() > 60, "{shown}");
    assert_eq!(shown["windows"].as_array().unwrap().len(), 2);
}

#[test]
fn operators_over_rows_describe_all_that_they_keep() {
    type Key = (String, u8);
    fn of<Op: KeyedOperator<Key = Key, In = Row>>(mut operator: Op) -> Vec<OperatorState> {
        let store = fill(&mut operator);
        check(&operator.states(), &store);
        operator.states()
    }
    of(FirstRows::<Key, Row>::for_ever(ID));
    let states = of(FirstRows::<Key, Row>::within(ID, TimeSpan(9)));
    assert_eq!(states[0].identity, "within 9 us");
    of(LastRows::<Key, Row>::new(ID, true));
    let ranks = Ranks::Numbered { update_before: false };
    let states = of(TopN::<Key, Row, _, _, 5>::new(ID, ranks, |row| Reverse(row.amount)));
    assert_eq!(states[0].identity, "the first 5, reverse");
    let over = RunningOver::<Key, Row, (Moments, Last<i64>), _>::new(ID, |row| (0.5, row.amount));
    assert_eq!(of(over)[0].identity, "(, last)");
    let bound = OverBound::Rows(20);
    let states = of(BoundedOver::<Key, Row, Max<i64>, _>::new(ID, bound, |row| row.amount));
    assert_eq!(states[0].identity, "20 rows, max");
    of(Lag::<Key, Row, _, _>::new(ID, 3, (0_u64, false), |row| (row.order, true)));
    of(Lead::<Key, Row, _, _>::new(ID, OTHER, 3, 0, |row| row.amount));
    let emit = Emit::EveryChange { update_before: false };
    let read = |row: RowView<'_>, key: KeyOut<'_, '_, i64>| key.of(row.amount);
    of(DistinctCount::<Key, Row, i64, _>::new(ID, OTHER, emit, read));
}

#[test]
fn pane_windows_describe_all_that_they_keep() {
    let spec = PaneSpec { offset: TimeSpan(7), ..PaneSpec::hopping(TimeSpan(60), TimeSpan(40)) };
    let mut operator = PaneWindows::<(String, u8), Row, Count, _>::new(ID, spec, |_| ());
    let mut store = fill(&mut operator);
    let states = operator.states();
    check(&states, &store);
    drain(&mut operator, &mut store, ENDED, |_, window| window.value);
    assert_eq!(store.entry_count(), 0);
    assert_eq!(states[0].identity, "length 60 us, slide 40 us, offset 7 us");
}

#[test]
fn windows_describe_all_that_they_keep() {
    let rules = Rules { lateness: TimeSpan(1_000), mode: Mode::Retracting };
    let session = Window::session(TimeSpan(5));
    let mut folded = TriggeredWindows::<(String, u8), Row, Count, _, _, _>::new(
        ID,
        &session,
        rules,
        Early::every(TimeSpan(50)),
        Folded,
        |_| (),
    );
    let mut store = fill(&mut folded);
    check(&folded.states(), &store);
    let identity = &folded.states()[0].identity;
    assert_eq!(
        identity,
        "sessions, gap 5 us, Retracting, lateness 1000 us, early every 50 us, 0 us of wall, 0 records"
    );
    drain(&mut folded, &mut store, ENDED, |_, _| ());
    assert_eq!(store.entry_count(), 0);

    let mut kept = TriggeredWindows::<(String, u8), Row, Sum<i64>, _, _, _>::new(
        ID,
        &Window::global(),
        Rules::default(),
        EveryRecords::keeping(2),
        Kept::new(Evict::Count(40)),
        |row| row.amount,
    );
    let mut store = fill(&mut kept);
    check(&kept.states(), &store);
    drain(&mut kept, &mut store, ENDED, |_, _| ());
    assert_eq!(store.entry_count(), 0);

    let cumulating = Window::cumulate(TimeSpan(60), TimeSpan(20));
    let sliced = SlicedWindows::<(String, u8), Row, Count, _>::new(ID, &cumulating, rules, |_| ());
    let mut sliced = sliced.unwrap();
    let mut store = fill(&mut sliced);
    check(&sliced.states(), &store);
    drain(&mut sliced, &mut store, ENDED, |_, _| ());
    assert_eq!(store.entry_count(), 0);
}

#[test]
fn a_sorted_operator_describes_its_own_and_what_it_wraps() {
    let mut operator = Sorted::new(OTHER, exact(), |row| row.order);
    let mut store = fill(&mut operator);
    assert!(drain(&mut operator, &mut store, at(150), |_, (_, [sums, _])| sums.count).len() > 100);
    check(&operator.states(), &store);
}

#[test]
fn a_frame_that_waits_is_verified_before_it_is_trusted() {
    let mut operator = Sorted::new(OTHER, exact(), |row| row.order);
    let mut store = fill(&mut operator);
    let verified = |store: &Store| operator.states().iter().try_for_each(|s| s.verify(store));
    assert_eq!(verified(&store), Ok(()));
    let offset = store.iter_operator(OTHER).next().unwrap();
    let mut frame = store.value(offset).to_vec();
    // The name's length, which now reaches out of the record.
    let at = frame.len() - 8;
    frame[at..].copy_from_slice(&[0xbf; 8]);
    let (hash, key, namespace) =
        (store.hash(offset), store.key(offset).to_vec(), store.namespace(offset));
    store.put(&pelton::state::EntryKey { operator: OTHER, hash, key: &key, namespace }, &frame);
    let refused = verified(&store);
    assert!(matches!(refused, Err(StateError::Record { operator: 4, record: "Row", .. })));
}

/// Keeps one of each.
struct All;

const COUNT: ValueState<u64> = ValueState::new(0);
const AMOUNTS: ListState<i64> = ListState::new(1);
const NAMES: MapState<String, u32> = MapState::new(2);
const SUM: ReducingState<Sum<i64>> = ReducingState::new(63);
const SOON: ValueState<u64> = ValueState::new(4).ttl(TimeSpan::hours(1), ExpiryKind::Event);
const LATELY: ListState<i64> = ListState::new(5).ttl(TimeSpan::hours(1), ExpiryKind::Wall);
const RECENT: MapState<(u8, String), bool> =
    MapState::new(6).ttl(TimeSpan::hours(1), ExpiryKind::Wall);

impl ProcessFunction for All {
    type Key = (String, u8);
    type In = Row;
    type Out = Row;

    fn states(&self, states: &mut States) {
        states.value("count", COUNT).list("amounts", AMOUNTS).map("names", NAMES);
        states.reducing("sum", SUM).value("soon", SOON).list("lately", LATELY);
        states.map("recent", RECENT);
    }

    fn on_record(
        &mut self,
        context: &mut ProcessContext<'_, Row>,
        _: (&str, u8),
        view: RowView<'_>,
    ) {
        let count = context.get(COUNT).unwrap_or(0) + 1;
        context.set(COUNT, count);
        context.append(AMOUNTS, view.amount);
        context.map_insert(NAMES, view.name, 1);
        context.reduce(SUM, view.amount);
        context.set(SOON, count);
        context.append(LATELY, view.amount);
        context.map_insert(RECENT, (1, view.name), true);
        context.set_timer(context.header().event_time + TimeSpan(1_000));
        context.set_wall_timer(i64::MAX);
    }
}

#[test]
fn a_process_function_describes_all_that_it_keeps() {
    let mut operator = Process::new(ID, OTHER, All);
    let store = fill(&mut operator);
    let states = operator.states();
    check(&states, &store);
    let layout = |name: &str| {
        let value = states[0].values.iter().find(|value| value.name == name);
        value.unwrap().layout.to_string()
    };
    assert_eq!(layout("count"), "u64");
    assert_eq!(layout("soon"), "struct{expires_at:time,value:u64}");
    assert_eq!(
        layout("lately"),
        "struct{expires_at:i64,value:repeated<struct{expires_at:i64,value:i64}>}"
    );
    assert_eq!(layout("names"), "struct{place:u64,entries:repeated<struct{key:text,value:u32}>}");
}

fn half(sequence: u64) -> AlignedVec<8> {
    let mut key = 9_u32.to_le_bytes().to_vec();
    key.extend(sequence.to_le_bytes());
    key.extend(0_u32.to_le_bytes());
    let position = IngressPosition { split: 9, sequence };
    let header = FrameHeader { position, key_hash: KeyHash::of(&key), ..FrameHeader::default() };
    let row = Row::new(sequence, -1);
    let mut frame = AlignedVec::<8>::new();
    frame.resize(FRAME_HEADER_BYTES + 256, 0);
    write_frame::<Row>(&header, row.view(), &mut frame);
    frame
}

#[test]
fn a_merge_describes_the_halves_that_wait_and_verifies_them() {
    let mut operator = MergeByPosition::<Row, Row>::new(ID);
    let mut store = Store::new();
    for (sequence, side) in [(1, Side::Left), (2, Side::Right), (3, Side::Left)] {
        assert!(
            operator.apply(&mut store, side, Frame::new(&half(sequence)), at(i64::MIN)).is_none()
        );
    }
    let states = operator.states();
    check(&states, &store);
    assert_eq!(states[0].key.parse_key("9,2,0").unwrap().len(), 16);
    assert_eq!(states[0].verify(&store), Ok(()));
    let offset = store.iter_operator(ID).next().unwrap();
    let key = store.entry_key(offset);
    let (hash, bytes) = (key.hash, key.key.to_vec());
    let (operator_id, namespace) = (key.operator, key.namespace);
    store.put(
        &pelton::state::EntryKey { operator: operator_id, hash, key: &bytes, namespace },
        &[0; 40],
    );
    assert!(states[0].verify(&store).is_err());
}

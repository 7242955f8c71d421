//! Aggregate, merge, sort, panes and process, each against what it says in plain words.

mod operators_common;

use std::collections::BTreeMap;

use operators_common::{ENDED, Row, at, drain, header};
use pelton::chain::KeyedOperator;
use pelton::chain::operators::{
    Aggregate, Count, Emit, ListState, MergeByPosition, PairOperator, PaneSpec, PaneWindows,
    Process, ProcessContext, ProcessFunction, Side, Sorted, States, Sum, ValueState,
};
use pelton::record::{
    EventTime, Fixed, Frame, FrameHeader, FrameWriter, IngressPosition, KeyHash, Record, RowKind,
    TimeSpan, frame_bytes,
};
use pelton::state::{OperatorId, Store};
use proptest::prelude::*;
use rkyv::ser::writer::Buffer;

const ID: OperatorId = OperatorId(5);

fn text_of(key: u64) -> String {
    format!("key {key}")
}

proptest! {
    #[test]
    fn an_aggregate_changes_its_row_with_every_record(
        records in proptest::collection::vec((0..5_u64, any::<i64>()), 0..60),
        update_before in any::<bool>(),
    ) {
        let emit = Emit::EveryChange { update_before };
        let mut sums = Aggregate::<String, Row, Sum<i64>, _>::new(ID, emit, |row| row.amount);
        let (mut store, mut oracle) = (Store::new(), BTreeMap::<u64, i64>::new());
        for (order, (number, amount)) in records.into_iter().enumerate() {
            let (row, key) = (Row::new(order as u64, amount), text_of(number));
            let header = header::<String>(&key, 0);
            let emission = sums.apply(&mut store, &header, &key, row.view()).unwrap();
            let first = sums.output(emission, &key, row.view());
            prop_assert_eq!(first.key, key.as_str());
            let due = drain(&mut sums, &mut store, at(0), |_, change| {
                (change.kind, change.key.to_owned(), change.value)
            });
            let before = oracle.get(&number).copied();
            let after = before.unwrap_or(0).wrapping_add(amount);
            oracle.insert(number, after);
            match before {
                None => prop_assert_eq!((first.kind, first.value), (RowKind::Insert, after)),
                Some(before) if update_before => {
                    prop_assert_eq!((first.kind, first.value), (RowKind::UpdateBefore, before));
                    prop_assert_eq!(due, vec![(RowKind::UpdateAfter, key.clone(), after)]);
                }
                Some(_) => prop_assert_eq!((first.kind, first.value), (RowKind::UpdateAfter, after)),
            }
        }
    }

    #[test]
    fn final_values_come_once_in_slot_order_at_the_end(
        keys in proptest::collection::vec(0..40_u64, 0..100),
    ) {
        let mut counts = Aggregate::<u64, Row, Count, _>::new(ID, Emit::AtEnd, |_| ());
        let (mut store, mut oracle) = (Store::new(), BTreeMap::<(KeyHash, u64), u64>::new());
        for key in keys {
            let header = header::<u64>(key, 0);
            prop_assert!(counts.apply(&mut store, &header, key, Row::new(0, 0).view()).is_none());
            *oracle.entry((header.key_hash, key)).or_default() += 1;
        }
        prop_assert!(!counts.advance(&mut store, at(i64::MAX)));
        let finals = drain(&mut counts, &mut store, ENDED, |header, change| {
            ((header.key_hash, change.key), change.value)
        });
        prop_assert_eq!(finals, oracle.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn windows_fire_once_with_all_that_came_in_time(
        records in proptest::collection::vec((0..3_u64, -30..90_i64, 1..9_i64), 0..120),
        spec in (1..5_i64, 1..5_i64, 1..4_i64, -9..9_i64),
        lateness in 0..20_i64,
    ) {
        let (slide, more, part, offset) = spec;
        // Lengths that are multiples of the slide, and lengths that are not.
        let length = slide * more + (part - 1).min(slide * 2);
        let spec = PaneSpec { length: TimeSpan(length), slide: TimeSpan(slide), offset: TimeSpan(offset) };
        let new = || PaneWindows::<u64, Row, Sum<i64>, _>::new(ID, spec, |row| row.amount);
        let (mut panes, mut dropped) = (new(), 0);
        let mut store = Store::new();
        let (mut watermark, mut seen) = (i64::MIN, i64::MIN);
        let mut oracle = BTreeMap::<(i64, KeyHash, u64), i64>::new();
        let (mut fired, mut late_count) = (Vec::new(), 0);
        for (number, &(key, time, amount)) in records.iter().enumerate() {
            let header = header::<u64>(key, time);
            panes.apply(&mut store, &header, key, Row::new(0, amount).view());
            let starts = (time - length + 1..=time).filter(|start| (start - offset).rem_euclid(slide) == 0);
            let ends: Vec<_> = starts.map(|start| start + length).collect();
            late_count += u64::from(ends.iter().all(|end| end - 1 <= watermark));
            for end in ends.into_iter().filter(|end| end - 1 > watermark) {
                *oracle.entry((end, header.key_hash, key)).or_default() += amount;
            }
            seen = seen.max(time);
            if number % 3 == 0 {
                let before = watermark;
                watermark = seen - lateness - 1;
                dropped += panes.dropped_count();
                panes = new();
                panes.rebuild(&store, EventTime(before));
                fired.extend(drain(&mut panes, &mut store, at(watermark), read_window));
                prop_assert!(fired.iter().all(|&((end, ..), _)| end - 1 <= watermark));
            }
        }
        fired.extend(drain(&mut panes, &mut store, ENDED, read_window));
        prop_assert_eq!(fired, oracle.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(dropped + panes.dropped_count(), late_count);
        prop_assert_eq!(store.entry_count(), 0);
    }

    #[test]
    fn a_sorted_operator_sees_records_in_the_order_of_time(
        records in proptest::collection::vec((0..3_u64, 0..50_i64, 0..3_u64), 0..80),
        restart in any::<bool>(),
    ) {
        let emit = Emit::EveryChange { update_before: false };
        let new = || Sorted::new(OperatorId(9), Aggregate::<String, Row, Last, _>::new(ID, emit, |row| row.amount), |row| row.order);
        let (mut sorted, mut store) = (new(), Store::new());
        let (mut watermark, mut seen, mut taken) = (i64::MIN, i64::MIN, Vec::new());
        let mut waiting = BTreeMap::<(i64, u64, usize), u64>::new();
        for (number, &(key, time, order)) in records.iter().enumerate() {
            let text = text_of(key);
            let row = Row::new(order, i64::try_from(number).unwrap());
            prop_assert!(sorted.apply(&mut store, &header::<String>(&text, time), &text, row.view()).is_none());
            waiting.insert((time, order, number), key);
            seen = seen.max(time);
            if number % 4 == 0 {
                watermark = watermark.max(seen - 6);
                if restart {
                    sorted = new();
                    sorted.rebuild(&store, EventTime::MIN);
                }
                let later = waiting.split_off(&(watermark + 1, 0, 0));
                let expected: Vec<_> = std::mem::replace(&mut waiting, later).into_iter().collect();
                taken = drain(&mut sorted, &mut store, at(watermark), |header, change| {
                    let number = usize::try_from(change.value).unwrap();
                    ((header.event_time.0, records[number].2, number), change.key.to_owned())
                });
                let expected: Vec<_> = expected.into_iter().map(|(place, key)| (place, text_of(key))).collect();
                prop_assert_eq!(&taken, &expected);
            }
        }
        prop_assert_eq!(sorted.waiting_count(), waiting.len());
        taken.clear();
        let rest = drain(&mut sorted, &mut store, ENDED, |_, _| ());
        prop_assert_eq!(rest.len(), waiting.len());
    }

    #[test]
    fn halves_meet_in_any_order(order in Just((0..60_u64).collect::<Vec<_>>()).prop_shuffle()) {
        let mut merge = MergeByPosition::<Row, Row>::new(ID);
        let mut store = Store::new();
        let mut met = Vec::new();
        for half in order {
            let (number, side) = (half / 2, if half % 2 == 0 { Side::Left } else { Side::Right });
            let memory = frame_of(number, half);
            let frame = Frame::new(&memory[memory.as_ptr().align_offset(8)..]);
            if let Some(emission) = merge.apply(&mut store, side, frame, at(i64::MIN)) {
                let (_, (left, right)) = merge.output(&store, emission, frame);
                prop_assert_eq!((left, right), merge.output(&store, emission, frame).1);
                prop_assert_eq!((left.order, right.order), (number * 2, number * 2 + 1));
                prop_assert_eq!(left.name, format!("row {}", number * 2));
                prop_assert!(merge.done(&mut store, emission, frame).is_none());
                met.push(number);
            }
        }
        met.sort_unstable();
        prop_assert_eq!(met, (0..30).collect::<Vec<_>>());
        prop_assert_eq!(store.entry_count(), 0);
    }
}

fn read_window(
    header: &FrameHeader,
    window: pelton::chain::operators::WindowView<u64, i64>,
) -> ((i64, KeyHash, u64), i64) {
    assert_eq!(header.event_time.0, window.end.0 - 1);
    ((window.end.0, header.key_hash, window.key), window.value)
}

/// The last input of all.
struct Last;

impl pelton::chain::operators::Fold for Last {
    type Input = i64;
    type State = i64;
    type Output = i64;
    fn start() -> i64 {
        -1
    }
    fn add(_: i64, input: i64) -> i64 {
        input
    }
    fn output(state: i64) -> i64 {
        state
    }
}

fn frame_of(sequence: u64, half: u64) -> Vec<u8> {
    let row = Row::new(half, 0);
    let room = frame_bytes(Row::payload_bytes_max(row.view()));
    let mut memory = vec![0; room + 8];
    let start = memory.as_ptr().align_offset(8);
    let position = IngressPosition { split: 3, sequence };
    let mut key = [0; 16];
    (position.split, position.sequence, 0_u32).write(&mut key);
    let key_hash = KeyHash::of(&key);
    let header = FrameHeader { position, key_hash, ..FrameHeader::default() };
    let frame = &mut memory[start..];
    let mut writer = FrameWriter::new(Buffer::from(&mut frame[48..]), (), ());
    Row::encode(row.view(), &mut writer).expect("there is room");
    let payload_bytes = writer.into_writer().len();
    header.write(payload_bytes, frame);
    memory
}

#[test]
fn windows_at_the_ends_of_time_fire_at_the_end() {
    let spec = PaneSpec::hopping(TimeSpan(i64::MAX), TimeSpan(1 << 40));
    let tumbling = PaneSpec::tumbling(TimeSpan(1));
    for (spec, windows) in [(tumbling, 1), (PaneSpec { offset: TimeSpan(i64::MAX), ..tumbling }, 1)]
    {
        let mut panes = PaneWindows::<u64, Row, Count, _>::new(ID, spec, |_| ());
        let mut store = Store::new();
        for time in [i64::MIN, i64::MAX] {
            panes.apply(&mut store, &header::<u64>(1, time), 1, Row::new(0, 0).view());
        }
        let fired = drain(&mut panes, &mut store, ENDED, |_, window| window.value);
        assert_eq!(fired, vec![1; windows * 2]);
    }
    let mut panes = PaneWindows::<u64, Row, Count, _>::new(ID, spec, |_| ());
    let mut store = Store::new();
    panes.apply(&mut store, &header::<u64>(1, 0), 1, Row::new(0, 0).view());
    assert!(!panes.advance(&mut store, at(0)));
}

/// Counts a key's records; a second after the first says how many came and what they were.
struct Batches;

const COUNT: ValueState<u64> = ValueState::new(0);
const AMOUNTS: ListState<i64> = ListState::new(1);

impl ProcessFunction for Batches {
    type Key = String;
    type In = Row;
    type Out = Row;

    fn states(&self, states: &mut States) {
        states.value("count", COUNT).list("amounts", AMOUNTS);
    }

    fn on_record(
        &mut self,
        context: &mut ProcessContext<'_, Row>,
        key: &str,
        view: operators_common::RowView<'_>,
    ) {
        let count = context.get(COUNT).unwrap_or(0);
        let now = context.header().event_time;
        if count == 0 {
            context.set_timer(now + TimeSpan(10));
            context.set_timer(now + TimeSpan(10));
            context.set_timer(now + TimeSpan(99));
        }
        context.set(COUNT, count + 1);
        context.append(AMOUNTS, view.amount);
        if view.amount < 0 {
            for order in 0..3 {
                context.emit(operators_common::RowView { order, amount: view.amount, name: key });
            }
        }
    }

    fn on_timer(&mut self, context: &mut ProcessContext<'_, Row>, key: &str, time: EventTime) {
        assert!(context.delete_timer(time + TimeSpan(89)));
        let order = context.get(COUNT).unwrap_or(0);
        let amount = context.iter(AMOUNTS).sum();
        assert_eq!(context.list_count(AMOUNTS), order);
        context.clear(COUNT);
        context.clear_list(AMOUNTS);
        context.emit(operators_common::RowView { order, amount, name: key });
    }
}

#[test]
fn a_process_function_keeps_values_lists_and_timers() {
    let mut store = Store::new();
    let mut process = Process::new(OperatorId(1), OperatorId(2), Batches);
    for number in 0..40 {
        for key in ["b", "a"] {
            let amount = if (number, key) == (7, "a") { -1 } else { 1 };
            let row = Row::new(0, amount);
            process.apply(&mut store, &header::<String>(key, number / 8), key, row.view());
            let emitted = drain(&mut process, &mut store, at(number / 8), |_, row| row.order);
            assert_eq!(emitted, if amount < 0 { vec![0, 1, 2] } else { vec![] });
        }
    }
    let mut restarted = Process::new(OperatorId(1), OperatorId(2), Batches);
    restarted.rebuild(&store, EventTime(4));
    for process in [&mut process, &mut restarted].into_iter().skip(1) {
        assert!(!process.advance(&mut store, at(9)));
        let mut batches = drain(process, &mut store, at(10), |header, row| {
            (row.name.to_owned(), row.order, row.amount, header.event_time.0)
        });
        batches.sort();
        assert_eq!(batches, [("a".to_owned(), 40, 38, 10), ("b".to_owned(), 40, 40, 10)]);
        assert!(!process.advance(&mut store, ENDED));
    }
    assert_eq!(store.entry_count(), 0);
}

//! Operators over rows against what each says in plain words, on random records, with refusals,
//! freezes and restarts in between; and Flink's Top-N as a table of cases.
//!
//! `PELTON_ROW_JOBS=100000` runs more; `PELTON_ROW_SEED=17 PELTON_ROW_JOBS=1` runs one again.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod operators_common;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use operators_common::{ENDED, Row, RowView, at, drain, header};
use pelton::chain::operators::{
    BoundedOver, Count, DistinctCount, Emit, FirstRows, Lag, Last, LastRows, Lead, Max, OverBound,
    RankedRowView, Ranks, RunningOver, Sum, TopN,
};
use pelton::chain::{KeyOut, KeyedOperator};
use pelton::record::{ChangeView, EventTime, Item, Record, RowKind, TimeSpan};
use pelton::sim::Chance;
use pelton::state::{ExpiryClock, OperatorId, Store};

const ID: OperatorId = OperatorId(5);
const OTHER: OperatorId = OperatorId(6);

/// A record: its key, its time, its number and its amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Event {
    key: u64,
    time: i64,
    number: u64,
    amount: i64,
}

/// A change of a table: its kind, its rank and the row's number.
type Changed = (RowKind, u64, u64);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn jobs(test: &str, mut check: impl FnMut(&mut Chance)) {
    let (first, count) = (setting("PELTON_ROW_SEED", 0), setting("PELTON_ROW_JOBS", 300));
    for seed in first..first + count {
        let job = std::panic::AssertUnwindSafe(|| check(&mut Chance::new(seed ^ 0x0704)));
        if std::panic::catch_unwind(job).is_err() {
            panic!(
                "replay: PELTON_ROW_SEED={seed} PELTON_ROW_JOBS=1 cargo test -p pelton --test \
                 rows_oracle {test}"
            );
        }
    }
    eprintln!("{count} random jobs from seed {first}");
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap()
}

/// Records out of order by up to `disorder`, a second apart, with many equal amounts.
fn events(chance: &mut Chance, disorder: u64) -> Vec<Event> {
    let (count, key_count) = (chance.below(90), 1 + chance.below(4));
    let amount_count = 1 + chance.below(12);
    let mut now = 0;
    let event = |number| {
        now += signed(chance.below(3)) * 1_000_000;
        Event {
            key: chance.below(key_count),
            time: now - signed(chance.below(disorder + 1)) * 1_000_000,
            number,
            amount: signed(chance.below(amount_count)) - 3,
        }
    };
    (0..count).map(event).collect()
}

/// Runs an operator over the events, and answers what it emits, by the index of the event that made
/// it. Restarts come at random, and expired entries are swept as the watermark moves.
fn run<Op, T>(
    chance: &mut Chance,
    events: &[Event],
    disorder: u64,
    make: impl Fn() -> Op,
    read: impl for<'a> Fn(<Op::Out as Item>::View<'a>) -> T,
) -> Vec<(usize, T)>
where
    Op: KeyedOperator<Key = u64, In = Row>,
    T: PartialEq + std::fmt::Debug,
{
    let (mut operator, mut store) = (make(), Store::new());
    let (mut emitted, mut seen) = (Vec::new(), i64::MIN);
    for (index, event) in events.iter().enumerate() {
        let row = Row::new(event.number, event.amount);
        let header = header::<u64>(event.key, event.time);
        if let Some(emission) = operator.apply(&mut store, &header, event.key, row.view()) {
            emitted.push((index, read(operator.output(emission, event.key, row.view()))));
        }
        seen = seen.max(event.time);
        let watermark = seen - signed(disorder) * 1_000_000 - 1;
        let due = drain(&mut operator, &mut store, at(watermark), |_, view| read(view));
        emitted.extend(due.into_iter().map(|item| (index, item)));
        if chance.one_in(4) {
            let now = ExpiryClock { event: EventTime(watermark), wall_micros: 0 };
            store.maintain(now, u64::MAX);
        }
        if chance.one_in(7) {
            operator = make();
            operator.rebuild(&store, EventTime(watermark));
        }
    }
    let due = drain(&mut operator, &mut store, ENDED, |_, view| read(view));
    emitted.extend(due.into_iter().map(|item| (events.len(), item)));
    emitted
}

fn changed(view: RankedRowView<RowView<'_>>) -> Changed {
    assert_eq!(view.row.name, format!("row {}", view.row.order), "the whole row is kept");
    (view.kind, view.rank, view.row.order)
}

/// The events of this one's key up to it, itself last.
fn up_to(events: &[Event], index: usize) -> Vec<Event> {
    events[..=index].iter().filter(|event| event.key == events[index].key).copied().collect()
}

#[test]
fn differential_the_first_row_of_a_key_is_kept() {
    jobs("differential_the_first", |chance| {
        let events = events(chance, 3);
        let found = run(chance, &events, 3, || FirstRows::for_ever(ID), |row| row.order);
        let first = |index: &usize| up_to(&events, *index).len() == 1;
        let expected: Vec<_> = (0..events.len()).filter(first).collect();
        assert_eq!(found.into_iter().map(|(index, _)| index).collect::<Vec<_>>(), expected);
    });
}

#[test]
fn differential_the_first_row_within_a_time_is_kept() {
    jobs("differential_the_first_row_within", |chance| {
        let disorder = *chance.pick(&[0, 4]);
        let span = signed(1 + chance.below(9)) * 1_000_000;
        let events = events(chance, disorder);
        let make = || FirstRows::within(ID, TimeSpan(span));
        let found = run(chance, &events, disorder, make, |row| row.order);
        let mut newest: BTreeMap<u64, i64> = BTreeMap::new();
        let mut expected = Vec::new();
        for event in &events {
            let kept = newest.get(&event.key).copied();
            if kept.is_none_or(|kept| (event.time - kept).abs() >= span) {
                newest.insert(event.key, kept.map_or(event.time, |kept| kept.max(event.time)));
                expected.push(event.number);
            }
        }
        assert_eq!(found.into_iter().map(|(_, number)| number).collect::<Vec<_>>(), expected);
    });
}

#[test]
fn differential_the_last_row_of_a_key_is_a_table() {
    jobs("differential_the_last", |chance| {
        let events = events(chance, 3);
        for update_before in [false, true] {
            let make = || LastRows::new(ID, update_before);
            let found = run(chance, &events, 3, make, changed);
            let last = |rows: &[Event]| rows.iter().copied().max_by_key(|row| row.time);
            let mut expected = Vec::new();
            for index in 0..events.len() {
                let rows = up_to(&events, index);
                let (before, after) = (last(&rows[..rows.len() - 1]), last(&rows).unwrap());
                match before {
                    None => expected.push((index, (RowKind::Insert, 1, after.number))),
                    Some(before) if before != after => {
                        if update_before {
                            expected.push((index, (RowKind::UpdateBefore, 1, before.number)));
                        }
                        expected.push((index, (RowKind::UpdateAfter, 1, after.number)));
                    }
                    Some(_) => {}
                }
            }
            assert_eq!(found, expected);
        }
    });
}

/// The first `count` rows by order, ties by arrival: a stable sort.
fn first_rows(rows: &[Event], count: usize) -> Vec<u64> {
    let mut sorted = rows.to_vec();
    sorted.sort_by_key(|row| Reverse(row.amount));
    sorted.truncate(count);
    sorted.into_iter().map(|row| row.number).collect()
}

/// What differs between two tables, rank by rank.
fn differences(before: &[u64], after: &[u64], ranks: Ranks) -> Vec<Changed> {
    let mut changes = Vec::new();
    if let Ranks::Numbered { update_before } = ranks {
        for (rank, (at, number)) in (1..).zip(after.iter().enumerate()) {
            match before.get(at) {
                None => changes.push((RowKind::Insert, rank, *number)),
                Some(was) if was != number => {
                    if update_before {
                        changes.push((RowKind::UpdateBefore, rank, *was));
                    }
                    changes.push((RowKind::UpdateAfter, rank, *number));
                }
                Some(_) => {}
            }
        }
    } else {
        let (was, is): (BTreeSet<_>, BTreeSet<_>) =
            (before.iter().copied().collect(), after.iter().copied().collect());
        changes.extend(was.difference(&is).map(|number| (RowKind::Delete, 0, *number)));
        changes.extend(is.difference(&was).map(|number| (RowKind::Insert, 0, *number)));
    }
    changes
}

const RANKS: [Ranks; 3] = [
    Ranks::Numbered { update_before: false },
    Ranks::Numbered { update_before: true },
    Ranks::Omitted,
];

fn top_n<const N: usize>(chance: &mut Chance, events: &[Event]) {
    for ranks in RANKS {
        let make = || TopN::<u64, Row, _, _, N>::new(ID, ranks, |row| Reverse(row.amount));
        let found = run(chance, events, 0, make, changed);
        let mut expected = Vec::new();
        for index in 0..events.len() {
            let rows = up_to(events, index);
            let before = first_rows(&rows[..rows.len() - 1], N);
            let changes = differences(&before, &first_rows(&rows, N), ranks);
            expected.extend(changes.into_iter().map(|change| (index, change)));
        }
        assert_eq!(found, expected, "{ranks:?}");
    }
}

#[test]
fn differential_the_first_n_rows_are_those_of_a_stable_sort() {
    jobs("differential_the_first_n", |chance| {
        let events = events(chance, 0);
        top_n::<1>(chance, &events);
        top_n::<2>(chance, &events);
        top_n::<7>(chance, &events);
    });
}

/// Apache Flink, "Top-N" (docs/dev/table/sql/queries/topn): `ROW_NUMBER() OVER (PARTITION BY k ORDER
/// BY v DESC) <= 2`. A row number is unique and consecutive from 1, by the ordering columns; of equals
/// the one that came first stays in front. Only `ROW_NUMBER` is supported there, so no two rows share a
/// rank. When the top N change, the changed ranks are sent as updates; with "No Ranking Output
/// Optimization" only rows that enter or leave are.
#[test]
fn ties_are_ranked_as_flinks_top_n_does() {
    use RowKind::{Delete, Insert, UpdateAfter, UpdateBefore};
    // Rows are called by their place in the input.
    type Case = (&'static str, &'static [i64], &'static [Changed], &'static [Changed]);
    let cases: [Case; 6] = [
        ("one row", &[5], &[(Insert, 1, 0)], &[(Insert, 0, 0)]),
        (
            "a tie ranks behind, with a rank of its own",
            &[5, 5],
            &[(Insert, 1, 0), (Insert, 2, 1)],
            &[(Insert, 0, 0), (Insert, 0, 1)],
        ),
        (
            "a third of equals does not enter",
            &[5, 5, 5],
            &[(Insert, 1, 0), (Insert, 2, 1)],
            &[(Insert, 0, 0), (Insert, 0, 1)],
        ),
        (
            "a greater one moves both, and the last of the equals falls out",
            &[5, 5, 9],
            &[
                (Insert, 1, 0),
                (Insert, 2, 1),
                (UpdateBefore, 1, 0),
                (UpdateAfter, 1, 2),
                (UpdateBefore, 2, 1),
                (UpdateAfter, 2, 0),
            ],
            &[(Insert, 0, 0), (Insert, 0, 1), (Delete, 0, 1), (Insert, 0, 2)],
        ),
        (
            "a tie with the first takes the second rank",
            &[9, 5, 9],
            &[(Insert, 1, 0), (Insert, 2, 1), (UpdateBefore, 2, 1), (UpdateAfter, 2, 2)],
            &[(Insert, 0, 0), (Insert, 0, 1), (Delete, 0, 1), (Insert, 0, 2)],
        ),
        (
            "a tie with the last, and a lesser one, change nothing",
            &[9, 5, 5, 1],
            &[(Insert, 1, 0), (Insert, 2, 1)],
            &[(Insert, 0, 0), (Insert, 0, 1)],
        ),
    ];
    for (name, amounts, ranked, unranked) in cases {
        let event =
            |(number, amount): (u64, &i64)| Event { key: 1, time: 0, number, amount: *amount };
        let events: Vec<Event> = (0..).zip(amounts).map(event).collect();
        for (ranks, expected) in [(RANKS[1], ranked), (RANKS[2], unranked)] {
            let make = || TopN::<u64, Row, _, _, 2>::new(ID, ranks, |row| Reverse(row.amount));
            let found = run(&mut Chance::new(1), &events, 0, make, changed);
            let found: Vec<_> = found.into_iter().map(|(_, change)| change).collect();
            assert_eq!(found, expected, "{name}, {ranks:?}");
        }
    }
}

#[test]
fn differential_running_and_bounded_folds_are_those_of_the_rows_before() {
    type All = (Count, Sum<i64>, Max<i64>, Last<i64>);
    jobs("differential_running", |chance| {
        let events = events(chance, 0);
        let read = |row: RowView<'_>| ((), row.amount, row.amount, row.order.cast_signed());
        let expect = |rows: &[Event]| {
            let amounts = rows.iter().map(|row| row.amount);
            let last = rows.last().map(|row| row.number.cast_signed());
            (rows.len() as u64, amounts.clone().sum::<i64>(), amounts.max(), last)
        };
        let check = |found: Vec<(usize, (u64, _))>, window: &dyn Fn(Vec<Event>) -> Vec<Event>| {
            assert_eq!(found.len(), events.len());
            for (index, (number, value)) in found {
                assert_eq!(number, events[index].number);
                assert_eq!(value, expect(&window(up_to(&events, index))));
            }
        };
        let make = || RunningOver::<u64, Row, All, _>::new(ID, read);
        let found = run(chance, &events, 0, make, |(row, value)| (row.order, value));
        check(found, &|rows| rows);
        let count = 1 + chance.below(70);
        let make = || BoundedOver::<u64, Row, All, _>::new(ID, OverBound::Rows(count), read);
        let found = run(chance, &events, 0, make, |(row, value)| (row.order, value));
        check(found, &|rows| {
            let skipped = rows.len().saturating_sub(usize::try_from(count).unwrap());
            rows[skipped..].to_vec()
        });
        let span = signed(1 + chance.below(40)) * 1_000_000;
        let bound = OverBound::Range(TimeSpan(span));
        let make = || BoundedOver::<u64, Row, All, _>::new(ID, bound, read);
        let found = run(chance, &events, 0, make, |(row, value)| (row.order, value));
        check(found, &|rows| {
            let newest = rows.last().unwrap().time;
            rows.into_iter().filter(|row| row.time >= newest - span).collect()
        });
    });
}

#[test]
fn differential_lag_and_lead_look_so_many_rows_away() {
    jobs("differential_lag", |chance| {
        let events = events(chance, 0);
        let distance = 1 + u32::try_from(chance.below(5)).unwrap();
        let away = distance as usize;
        let make = || Lag::<u64, Row, _, _>::new(ID, distance, -99, |row| row.amount);
        let found = run(chance, &events, 0, make, |(row, value)| (row.order, value));
        let lagging = |index: usize| {
            let rows = up_to(&events, index);
            let value = rows.len().checked_sub(away + 1).map_or(-99, |at| rows[at].amount);
            (index, (events[index].number, value))
        };
        assert_eq!(found, (0..events.len()).map(lagging).collect::<Vec<_>>());
        let make = || Lead::<u64, Row, _, _>::new(ID, OTHER, distance, -99, |row| row.amount);
        let found = run(chance, &events, 0, make, |(row, value)| (row.order, value));
        let (mut expected, mut at_end) = (Vec::new(), Vec::new());
        for index in 0..events.len() {
            let rows = up_to(&events, index);
            if let Some(at) = rows.len().checked_sub(away + 1) {
                expected.push((index, (rows[at].number, events[index].amount)));
            }
            let behind = events[index + 1..].iter().filter(|row| row.key == events[index].key);
            if behind.count() < away {
                at_end.push((events.len(), (events[index].number, -99)));
            }
        }
        let (mut rest, leading): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(index, _)| *index == events.len());
        rest.sort_unstable();
        assert_eq!((leading, rest), (expected, at_end));
    });
}

#[test]
fn differential_distinct_values_are_counted_once() {
    jobs("differential_distinct", |chance| {
        let events = events(chance, 2);
        let read = |row: RowView<'_>, key: KeyOut<'_, '_, i64>| key.of(row.amount);
        for emit in [Emit::EveryChange { update_before: true }, Emit::AtEnd] {
            let make = || DistinctCount::<u64, Row, i64, _>::new(ID, OTHER, emit, read);
            let read = |change: ChangeView<u64, u64>| (change.kind, change.key, change.value);
            let found = run(chance, &events, 2, make, read);
            let mut seen: BTreeMap<u64, BTreeSet<i64>> = BTreeMap::new();
            let mut expected = Vec::new();
            for (index, event) in events.iter().enumerate() {
                let values = seen.entry(event.key).or_default();
                if !values.insert(event.amount) {
                    continue;
                }
                let (key, count) = (event.key, values.len() as u64);
                if count > 1 {
                    expected.push((index, (RowKind::UpdateBefore, key, count - 1)));
                }
                let kind = if count > 1 { RowKind::UpdateAfter } else { RowKind::Insert };
                expected.push((index, (kind, key, count)));
            }
            if emit == Emit::AtEnd {
                let last = |(key, values): (u64, BTreeSet<i64>)| {
                    (events.len(), (RowKind::Insert, key, values.len() as u64))
                };
                expected = seen.into_iter().map(last).collect();
                let mut found = found;
                found.sort_by_key(|(_, (_, key, _))| *key);
                assert_eq!(found, expected);
            } else {
                assert_eq!(found, expected);
            }
        }
    });
}

#[test]
fn entries_of_dedup_within_a_time_expire() {
    let mut operator = FirstRows::<u64, Row>::within(ID, TimeSpan::seconds(10));
    let mut store = Store::new();
    for key in 0..1_000 {
        let row = Row::new(key, 0);
        operator.apply(&mut store, &header::<u64>(key, signed(key)), key, row.view());
    }
    assert_eq!(store.entry_count(), 1_000);
    while store.maintain(ExpiryClock { event: EventTime(30_000_000), wall_micros: 0 }, u64::MAX) {}
    assert_eq!(store.entry_count(), 0);
}

#[test]
fn an_emission_is_a_change_of_its_kind_in_its_header_too() {
    fn kinds<Op: KeyedOperator<Key = u64, In = Row>>(mut operator: Op) -> Vec<Option<RowKind>> {
        let mut store = Store::new();
        let mut kind_of = |amount| {
            let row = Row::new(0, amount);
            let emission = operator.apply(&mut store, &header::<u64>(1, amount), 1, row.view());
            operator.kind(&emission.expect("a change"))
        };
        vec![kind_of(1), kind_of(2)]
    }
    let expected = [Some(RowKind::Insert), Some(RowKind::UpdateAfter)];
    let emit = Emit::EveryChange { update_before: false };
    let read = |row: RowView<'_>, key: KeyOut<'_, '_, i64>| key.of(row.amount);
    assert_eq!(kinds(DistinctCount::<_, _, i64, _>::new(ID, OTHER, emit, read)), expected);
    assert_eq!(kinds(LastRows::new(ID, false)), expected);
}

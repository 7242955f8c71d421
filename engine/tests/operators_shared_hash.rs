//! Keys that share a 64-bit hash: operators answer as if they did not, while the log moves their
//! entries.

mod operators_common;

use operators_common::{ENDED, Row, RowView, at, drain, header};
use pelton::chain::KeyedOperator;
use pelton::chain::operators::{
    Aggregate, Emit, PaneSpec, PaneWindows, Process, ProcessContext, ProcessFunction, Sorted,
    States, Sum, ValueState,
};
use pelton::record::{EventTime, FrameHeader, Item, Key, KeyHash, Record, TimeSpan};
use pelton::state::{OperatorId, Store};
use proptest::prelude::*;

/// A key, a time and an amount.
type Input = (u64, i64, i64);

/// Runs records through an operator; every fourth one, what is due is drained.
fn run<Op: KeyedOperator<Key = u64, In = Row>, T: PartialEq + std::fmt::Debug>(
    mut operator: Op,
    records: &[Input],
    hash: impl Fn(u64) -> KeyHash,
    read: impl for<'a> Fn(&FrameHeader, <Op::Out as Item>::View<'a>) -> T,
) -> Vec<T> {
    let (mut store, mut items) = (Store::new(), Vec::new());
    for (order, &(key, time, amount)) in (0..).zip(records) {
        let header = FrameHeader { key_hash: hash(key), ..header::<u64>(key, time) };
        operator.apply(&mut store, &header, key, Row::new(order, amount).view());
        if order % 4 == 3 {
            items.extend(drain(&mut operator, &mut store, at(time - 10), &read));
        }
    }
    items.extend(drain(&mut operator, &mut store, ENDED, &read));
    items
}

fn own(key: u64) -> KeyHash {
    u64::hash(key)
}

fn shared(key: u64) -> KeyHash {
    KeyHash(key / 2)
}

fn records() -> impl Strategy<Value = Vec<Input>> {
    proptest::collection::vec((0..4_u64, 0..60_i64, 1..9_i64), 0..60)
}

/// Adds up a key's amounts; each record sets a timer, which says how much there was.
struct Reminders;

const SUM: ValueState<i64> = ValueState::new(0);

impl ProcessFunction for Reminders {
    type Key = u64;
    type In = Row;
    type Out = Row;

    fn states(&self, states: &mut States) {
        states.value("sum", SUM);
    }

    fn on_record(&mut self, context: &mut ProcessContext<'_, Row>, _: u64, view: RowView<'_>) {
        let now = context.header().event_time;
        context.set(SUM, context.get(SUM).unwrap_or(0) + view.amount);
        context.set_timer(now + TimeSpan(view.amount));
        if view.amount == 3 {
            context.delete_timer(now + TimeSpan(2));
        }
    }

    fn on_timer(&mut self, context: &mut ProcessContext<'_, Row>, key: u64, time: EventTime) {
        let amount = context.get(SUM).unwrap_or(0);
        context.emit(RowView { order: key, amount, name: "" });
        if amount % 5 == 0 {
            context.clear(SUM);
            context.set_timer(time + TimeSpan(4));
        }
        if amount > 0 && amount % 7 == 0 {
            // The same time once more.
            context.set(SUM, amount + 1);
            context.set_timer(time);
        }
        if amount == 0 {
            context.set(SUM, 1);
        }
    }
}

proptest! {
    #[test]
    fn windows_of_keys_with_one_hash_stay_apart(
        records in records(),
        (slide, more) in (1..6_i64, 0..9_i64),
    ) {
        let spec = PaneSpec::hopping(TimeSpan(slide + more), TimeSpan(slide));
        let fired = |hash: fn(u64) -> KeyHash| {
            let panes =
                PaneWindows::<u64, Row, Sum<i64>, _>::new(OperatorId(1), spec, |row| row.amount);
            let mut fired = run(panes, &records, hash, |_, window| {
                (window.key, window.start, window.end, window.value)
            });
            fired.sort_unstable();
            fired
        };
        prop_assert_eq!(fired(own), fired(shared));
    }

    #[test]
    fn timers_of_keys_with_one_hash_stay_apart(records in records()) {
        let fired = |hash: fn(u64) -> KeyHash| {
            let process = Process::new(OperatorId(1), OperatorId(2), Reminders);
            let mut fired = run(process, &records, hash, |header, row| {
                (row.order, header.event_time, row.amount)
            });
            fired.sort();
            fired
        };
        prop_assert_eq!(fired(own), fired(shared));
    }

    #[test]
    fn sorted_records_of_keys_with_one_hash_stay_apart(records in records()) {
        let ordered = |hash: fn(u64) -> KeyHash| {
            let emit = Emit::EveryChange { update_before: false };
            let sums = Aggregate::<u64, Row, Sum<i64>, _>::new(OperatorId(1), emit, |row| row.amount);
            let sorted = Sorted::new(OperatorId(2), sums, |row| row.order);
            run(sorted, &records, hash, |header, change| {
                (header.event_time, change.key, change.value)
            })
        };
        prop_assert_eq!(ordered(own), ordered(shared));
    }
}

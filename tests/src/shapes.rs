//! The random jobs that are not of a family of their own: folds, windows by pane, exact windows, process
//! functions, and what branches and meets.

use pelton::Stream;
use pelton::chain::operators::{
    CountSum, ExactSpec, ListState, MapState, PaneSpec, ProcessContext, ProcessFunction, States,
    Sum, ValueState,
};
use pelton::record::{EventTime, RowKind, TimeSpan};

use crate::simulated::{Event, EventView, Params, Row, RowView};

#[pelton::job]
pub(crate) fn stateless(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .filter(move |e| e.amount % p.modulus != 0)
        .flat_map(move |e| {
            (0..e.number % p.copies).map(move |copy| EventView { number: e.number * 4 + copy, ..e })
        })
        .map(|e| RowView { name: e.key, a: e.number.cast_signed(), b: e.amount, c: e.time.0 })
}

#[pelton::job]
pub(crate) fn counts(events: Stream<Event>, p: Params) -> Stream<Row> {
    events.filter(move |e| e.amount % p.modulus != 0).key_by(|e| e.key).count().changes().map(|c| {
        RowView {
            name: c.key,
            a: c.value.cast_signed(),
            b: i64::from(c.kind == RowKind::Insert),
            c: 0,
        }
    })
}

#[pelton::job]
pub(crate) fn sums_at_end(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .flat_map(move |e| (0..e.number % p.copies).map(move |_| e))
        .key_by(|e| (e.key, e.bucket))
        .aggregate::<Sum<i64>, _>(|e| e.amount)
        .at_end()
        .changes()
        .map(|c| RowView { name: c.key.0, a: c.key.1.cast_signed(), b: c.value, c: 0 })
}

#[pelton::job]
pub(crate) fn sum_changes(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .filter(move |e| e.amount % p.modulus != 0)
        .key_by(|e| e.key)
        .aggregate::<Sum<i64>, _>(|e| e.amount)
        .changes()
        .map(|c| RowView { name: c.key, a: c.value, b: i64::from(c.kind == RowKind::Insert), c: 0 })
}

#[pelton::job]
pub(crate) fn tumbling(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .flat_map(move |e| (0..e.number % p.copies).map(move |_| e))
        .key_by(|e| e.key)
        .windows::<Sum<i64>, _>(PaneSpec::tumbling(TimeSpan::micros(p.length)), |e| e.amount)
        .map(|w| RowView { name: w.key, a: w.start.0, b: w.end.0, c: w.value })
}

#[pelton::job]
pub(crate) fn hopping(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .filter(move |e| e.amount % p.modulus != 0)
        .key_by(|e| e.key)
        .hopping_count(TimeSpan::micros(p.length), TimeSpan::micros(p.slide))
        .map(|w| RowView { name: w.key, a: w.start.0, b: w.end.0, c: w.value.cast_signed() })
}

#[pelton::job]
pub(crate) fn exact(events: Stream<Event>, p: Params) -> Stream<Row> {
    let lengths = [TimeSpan::micros(p.length), TimeSpan::micros(p.slide)];
    let delay = TimeSpan::micros(p.delay);
    events
        .filter(move |e| e.amount % p.modulus != 0)
        .key_by(|e| e.key)
        .in_time_order(|e| e.number)
        .exact_windows::<CountSum, 2, _>(ExactSpec { lengths, delay }, |e| (e.number, e.amount))
        .map(|(e, windows)| exact_row(e, &windows))
}

fn exact_row<'a>(event: EventView<'a>, windows: &[CountSum; 2]) -> RowView<'a> {
    let sum = |window: &CountSum| i64::try_from(window.sum).unwrap_or(i64::MAX);
    RowView {
        name: event.key,
        a: event.number.cast_signed(),
        b: windows[0].count.cast_signed() * 1_000_000 + sum(&windows[0]),
        c: windows[1].count.cast_signed() * 1_000_000 + sum(&windows[1]),
    }
}

/// How many numbers the large value holds: enough to fill segments.
const WIDE: usize = 24;
const SEEN: ValueState<(u64, [i64; WIDE])> = ValueState::new(0);
const ITEMS: ListState<(i64, i64)> = ListState::new(1);
const TALLY: MapState<u64, u64> = MapState::new(2);

/// A tumbling window by hand, a count of every third event, and totals at the end.
#[derive(Debug, Clone)]
struct ByHand {
    length: i64,
}

impl ProcessFunction for ByHand {
    type Key = String;
    type In = Event;
    type Out = Row;

    fn states(&self, states: &mut States) {
        states.value("seen", SEEN).list("items", ITEMS).map("tally", TALLY);
    }

    fn on_record(
        &mut self,
        context: &mut ProcessContext<'_, Row>,
        key: &str,
        event: EventView<'_>,
    ) {
        let (mut seen, mut wide) = context.get(SEEN).unwrap_or((0, [0; WIDE]));
        if seen == 0 {
            context.set_timer(EventTime::MAX);
        }
        wide[usize::try_from(seen).unwrap_or(0) % WIDE] += event.amount;
        seen += 1;
        context.set(SEEN, (seen, wide));
        context.append(ITEMS, (event.time.0, event.amount));
        let at = event.amount.unsigned_abs() % 5;
        let tally = context.map_get(TALLY, at).unwrap_or(0);
        context.map_insert(TALLY, at, tally + 1);
        let start = event.time.0.div_euclid(self.length) * self.length;
        context.set_timer(EventTime(start + self.length - 1));
        if seen.is_multiple_of(3) {
            context.emit(RowView { name: key, a: seen.cast_signed(), b: 0, c: -1 });
        }
    }

    fn on_timer(&mut self, context: &mut ProcessContext<'_, Row>, key: &str, time: EventTime) {
        if time == EventTime::MAX {
            let (seen, wide) = context.get(SEEN).unwrap_or((0, [0; WIDE]));
            let total = wide.iter().sum();
            context.emit(RowView { name: key, a: seen.cast_signed(), b: total, c: -2 });
            let tallies: Vec<(u64, u64)> = context.map_iter(TALLY).collect();
            for (at, count) in tallies {
                let (a, b) = (at.cast_signed(), count.cast_signed());
                context.emit(RowView { name: key, a, b, c: -3 });
            }
            context.clear_map(TALLY);
            return;
        }
        let after = time.0 - self.length;
        let (mut count, mut sum, mut is_last) = (0, 0, true);
        for (at, amount) in context.iter(ITEMS) {
            is_last &= at <= time.0;
            if at > after && at <= time.0 {
                count += 1;
                sum += amount;
            }
        }
        context.emit(RowView { name: key, a: count, b: sum, c: time.0 });
        // All that is in the list was in a window that has fired, so it is not looked at again.
        if is_last {
            context.clear_list(ITEMS);
        }
    }
}

#[pelton::job]
pub(crate) fn process(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .filter(move |e| e.amount % p.modulus != 0)
        .key_by(|e| e.key)
        .process(ByHand { length: p.length })
}

#[pelton::job]
pub(crate) fn process_in_order(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .filter(move |e| e.amount % p.modulus != 0)
        .key_by(|e| e.key)
        .in_time_order(|e| e.number)
        .process(ByHand { length: p.length })
}

/// Hands on what comes.
#[derive(Debug, Clone)]
struct Echo;

impl ProcessFunction for Echo {
    type Key = u64;
    type In = Event;
    type Out = Row;

    fn on_record(&mut self, context: &mut ProcessContext<'_, Row>, _: u64, e: EventView<'_>) {
        context.emit(RowView { name: e.key, a: e.number.cast_signed(), b: e.amount, c: e.time.0 });
    }
}

#[pelton::job]
pub(crate) fn joined(events: Stream<Event>, p: Params) -> Stream<Row> {
    let kept = events
        .filter(move |e| e.amount % p.modulus != 0)
        .flat_map(move |e| {
            (0..e.number % p.copies).map(move |copy| EventView { number: e.number * 4 + copy, ..e })
        })
        .fork();
    let left = kept.clone().key_by(|e| e.key).count().changes().map(|c| RowView {
        name: "",
        a: c.value.cast_signed(),
        b: 0,
        c: 0,
    });
    let right = kept.key_by(|e| e.bucket).process(Echo);
    left.join_by_position(right).map(|(left, right)| RowView {
        name: right.name,
        a: left.a,
        b: right.a,
        c: right.b,
    })
}

#[pelton::job]
pub(crate) fn two_stages(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .filter(move |e| e.amount % p.modulus != 0)
        .key_by(|e| e.key)
        .count()
        .named("by_key")
        .changes()
        .map(|c| RowView { name: "", a: c.value.cast_signed() % 7, b: 0, c: 0 })
        .key_by(|r| r.a)
        .count()
        .at_end()
        .changes()
        .map(|c| RowView { name: "", a: c.key, b: c.value.cast_signed(), c: 0 })
}

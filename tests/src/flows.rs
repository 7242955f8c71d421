//! Random jobs whose items part by tags, or are held back by limits, and what they must write.

use pelton::Stream;
use pelton::chain::SideTag;
use pelton::chain::operators::{ProcessContext, ProcessFunction, States, ValueState};
use pelton::record::{EventTime, RowKind};

use crate::oracle::{Line, by_key};
use crate::simulated::{Event, EventView, Params, Row, RowView};

#[pelton::record]
pub(crate) struct Loss {
    key: String,
    amount: i64,
}

const LOSSES: SideTag<Loss> = SideTag::new(0);
const ENDS: SideTag<Row> = SideTag::new(1);
/// Nobody asks for it.
const UNHEARD: SideTag<Event> = SideTag::new(2);
const SEEN: ValueState<u64> = ValueState::new(0);

/// Gains go on, losses and the count at the end to a side each.
#[derive(Debug, Clone)]
struct PartGains;

impl ProcessFunction for PartGains {
    type Key = String;
    type In = Event;
    type Out = Row;

    fn states(&self, states: &mut States) {
        states.value("seen", SEEN);
    }

    fn on_record(&mut self, context: &mut ProcessContext<'_, Row>, key: &str, e: EventView<'_>) {
        let seen = context.get(SEEN).unwrap_or(0) + 1;
        context.set(SEEN, seen);
        context.set_timer(EventTime::MAX);
        context.emit_to(UNHEARD, e);
        if e.amount < 0 {
            context.emit_to(LOSSES, LossView { key, amount: e.amount });
        }
        if e.amount >= -100 {
            context.emit(RowView { name: key, a: e.number.cast_signed(), b: e.amount, c: 0 });
        }
    }

    fn on_timer(&mut self, context: &mut ProcessContext<'_, Row>, key: &str, _: EventTime) {
        let seen = context.get(SEEN).unwrap_or(0).cast_signed();
        context.emit_to(ENDS, RowView { name: key, a: seen, b: 0, c: -1 });
    }
}

#[pelton::job]
pub(crate) fn tagged(events: Stream<Event>, _p: Params) -> (Stream<Row>, Stream<Row>) {
    let (gains, sides) = events.key_by(|e| e.key).process_tagged(PartGains).with_sides();
    let losses =
        sides.tagged(LOSSES).map(|loss| RowView { name: loss.key, a: 0, b: loss.amount, c: 0 });
    (gains, losses.union(sides.tagged(ENDS)))
}

/// The rows of the main output, and those of the sides.
pub(crate) fn tagged_lines(events: &[Event]) -> [Vec<Line>; 2] {
    let [mut gains, mut sides] = [Vec::new(), Vec::new()];
    for (key, events) in by_key(events) {
        for event in &events {
            if event.amount < 0 {
                sides.push((key.to_owned(), 0, event.amount, 0));
            }
            if event.amount >= -100 {
                gains.push((key.to_owned(), event.number.cast_signed(), event.amount, 0));
            }
        }
        let count = i64::try_from(events.len()).expect("a test has few events");
        sides.push((key.to_owned(), count, 0, -1));
    }
    [gains, sides]
}

/// Counts of copies, with a limit at the source, one within the copies and one behind the counts.
#[pelton::job]
pub(crate) fn limited(events: Stream<Event>, p: Params) -> Stream<Row> {
    events
        .rate_limit(400_000.0, 5)
        .filter(move |e| e.amount % p.modulus != 0)
        .flat_map(move |e| {
            (0..e.number % p.copies).map(move |copy| EventView { number: e.number * 4 + copy, ..e })
        })
        .rate_limit(300_000.0, 1)
        .key_by(|e| e.key)
        .count()
        .changes()
        .rate_limit(500_000.0, 3)
        .map(|c| RowView {
            name: c.key,
            a: c.value.cast_signed(),
            b: i64::from(c.kind == RowKind::Insert),
            c: 0,
        })
}

//! Exact windows against an oracle that keeps every event and counts anew for each record.

#[expect(dead_code, reason = "each test file uses a part")]
mod operators_common;

use operators_common::{Row, header};
use pelton::chain::KeyedOperator;
use pelton::chain::operators::{CountSum, ExactSpec, ExactWindows};
use pelton::record::{Record, TimeSpan};
use pelton::state::{OperatorId, Store};
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
struct Event {
    key: u64,
    time: i64,
    order: u64,
    amount: i64,
}

/// What `ExactWindows` says it does, in the plainest words.
struct Oracle<const N: usize> {
    spec: ExactSpec<N>,
    arrived: Vec<Event>,
}

impl<const N: usize> Oracle<N> {
    fn answer(&mut self, event: Event) -> [CountSum; N] {
        let delay = i128::from(self.spec.delay.0);
        let longest = i128::from(self.spec.lengths.iter().max().expect("a window").0);
        let of_key = |kept: &&Event| kept.key == event.key;
        let newest = self.arrived.iter().filter(of_key).map(|kept| kept.time).max();
        self.arrived.push(event);
        let last = self.arrived.len() - 1;
        std::array::from_fn(|index| {
            let end = i128::from(event.time) - delay;
            let start = end - i128::from(self.spec.lengths[index].0);
            let covered = self.arrived.iter().enumerate().filter(|(number, kept)| {
                let time = i128::from(kept.time);
                let ordered = delay > 0 || (kept.time, kept.order) <= (event.time, event.order);
                // What the newest record before this one could no longer ask for is gone.
                let is_kept = *number == last
                    || newest.is_none_or(|newest| time > i128::from(newest) - delay - longest);
                kept.key == event.key && time > start && time <= end && ordered && is_kept
            });
            covered.fold(CountSum::default(), |sum, (_, kept)| CountSum {
                count: sum.count + 1,
                sum: sum.sum + i128::from(kept.amount),
            })
        })
    }
}

fn check<const N: usize>(spec: ExactSpec<N>, events: &[Event]) -> u64 {
    let mut operator = ExactWindows::<u64, Row, CountSum, _, N>::new(OperatorId(7), spec, |row| {
        (row.order, row.amount)
    });
    let mut store = Store::new();
    let mut oracle = Oracle { spec, arrived: Vec::new() };
    for (number, &event) in events.iter().enumerate() {
        let row = Row::new(event.order, event.amount);
        let header = header::<u64>(event.key, event.time);
        let answer = operator
            .apply(&mut store, &header, event.key, row.view())
            .expect("each record is answered");
        assert_eq!(answer, oracle.answer(event), "record {number} of {events:?}");
        let (view, again) = operator.output(answer, event.key, row.view());
        assert_eq!((view, again), (row.view(), answer));
    }
    store.entry_count()
}

/// Times that mostly go up, with late ones, ties and jumps.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let step = prop_oneof![
        6 => 0..3_i64,
        3 => -12..0_i64,
        1 => -60..60_i64,
    ];
    proptest::collection::vec((0..2_u64, step, 0..3_u64, -100..100_i64), 0..250).prop_map(|steps| {
        let mut now = 0;
        let event = |(key, step, order, amount): (u64, i64, u64, i64)| {
            let time = now + step;
            now = now.max(time);
            Event { key, time, order, amount }
        };
        steps.into_iter().map(event).collect()
    })
}

fn spans<const N: usize>(lengths: [i64; N]) -> [TimeSpan; N] {
    lengths.map(TimeSpan)
}

proptest! {
    #[test]
    fn each_record_gets_exactly_what_its_windows_cover(events in events()) {
        check(ExactSpec { lengths: spans([20, 3, 9]), delay: TimeSpan::ZERO }, &events);
    }

    #[test]
    fn delayed_windows_cover_what_happened_before_the_delay(events in events()) {
        check(ExactSpec { lengths: spans([2, 10, 15]), delay: TimeSpan(5) }, &events);
    }

    #[test]
    fn long_windows_span_many_chunks(events in events()) {
        check(ExactSpec { lengths: spans([1_000_000, 40]), delay: TimeSpan::ZERO }, &events);
        check(ExactSpec { lengths: spans([1_000_000, 40]), delay: TimeSpan(30) }, &events);
    }

    #[test]
    fn times_and_spans_at_their_ends_do_not_overflow(
        events in proptest::collection::vec(
            (0..1_u64, prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0), any::<i64>()], 0..2_u64, any::<i64>()),
            0..40,
        ),
        lengths in (1..=i64::MAX, Just(i64::MAX)),
        delay in prop_oneof![Just(0), Just(i64::MAX), 0..=i64::MAX],
    ) {
        let event = |(key, time, order, amount)| Event { key, time, order, amount };
        let events: Vec<_> = events.into_iter().map(event).collect();
        check(ExactSpec { lengths: spans([lengths.0, lengths.1]), delay: TimeSpan(delay) }, &events);
    }
}

#[test]
fn a_busy_key_keeps_only_the_chunks_that_its_windows_need() {
    let event = |time: i64| Event { key: 1, time, order: 0, amount: 1 };
    let events: Vec<_> = (0..2_000).map(event).collect();
    let spec = ExactSpec { lengths: spans([100, 10]), delay: TimeSpan::ZERO };
    // The head, and the chunks of 64 events that 100 events touch.
    assert!(check(spec, &events) <= 4);
    let spec = ExactSpec { lengths: spans([100, 10]), delay: TimeSpan(64) };
    assert!(check(spec, &events) <= 5);
}

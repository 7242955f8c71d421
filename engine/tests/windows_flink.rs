//! Flink's documented semantics of windows, as tables of cases, each with the page it is from.
//!
//! Times are in milliseconds there and in microseconds here; a window's last moment is `end - 1` in
//! both. `W(n)` is a watermark, `R(t, n)` a record of one key at time `t` with the amount `n`.

mod operators_common;

use operators_common::{ENDED, Row, at, drain, header};
use pelton::chain::KeyedOperator;
use pelton::chain::operators::{
    AnyWindows, AtEnd, Contents, Early, EveryRecords, Evict, Fire, Folded, Kept, Mode, OnClose,
    Rules, Sum, Timing, Trigger, TriggeredWindows, Window, WindowOutput, WindowStatus, WindowView,
};
use pelton::record::{EventTime, FrameHeader, Record, RowKind, Sided, SidedView, TimeSpan};
use pelton::state::{OperatorId, Store};

#[derive(Debug, Clone, Copy)]
enum Step {
    R(i64, i64),
    W(i64),
    End,
}
use Step::{End, R, W};

/// What a step must bring: nothing, a late record, or rows.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Nothing,
    TooLate,
    Rows(Vec<(i64, i64, i64, &'static str)>),
}

const NOTHING: Said = Said::Nothing;
const TOO_LATE: Said = Said::TooLate;

/// One row: start, end, value, and its kind and timing in short.
fn row(start: i64, end: i64, value: i64, what: &'static str) -> Said {
    Said::Rows(vec![(start, end, value, what)])
}

fn rows<const N: usize>(rows: [(i64, i64, i64, &'static str); N]) -> Said {
    Said::Rows(rows.to_vec())
}

fn word(kind: RowKind, timing: Timing) -> &'static str {
    match (kind, timing) {
        (RowKind::Insert, Timing::Early) => "early",
        (RowKind::Insert, Timing::OnTime) => "on time",
        (RowKind::Insert, Timing::Late) => "late",
        (RowKind::UpdateBefore, _) => "-U",
        (RowKind::UpdateAfter, Timing::Early) => "+U early",
        (RowKind::UpdateAfter, Timing::OnTime) => "+U on time",
        (RowKind::UpdateAfter, Timing::Late) => "+U late",
        (RowKind::Delete, _) => "-D",
    }
}

fn read(
    _: &FrameHeader,
    view: SidedView<WindowView<u64, i64>, operators_common::RowView<'_>>,
) -> (i64, i64, i64, &'static str) {
    match view {
        SidedView::Main(w) => (w.start.0, w.end.0, w.value, word(w.kind, w.timing)),
        SidedView::Side(_) => panic!("what is due is a window"),
    }
}

/// Plays the steps to windows with a state of their own, and to those over slices where there are
/// such.
fn play<T: Trigger, C: Contents<Sum<i64>>>(
    window: &Window,
    rules: Rules,
    trigger: &T,
    contents: &C,
    steps: &[(Step, Said)],
) {
    let id = OperatorId(3);
    let read = |row: operators_common::RowView<'_>| row.amount;
    let parts = || (trigger.clone(), contents.clone());
    let (own, kept) = parts();
    let triggered =
        TriggeredWindows::<u64, Row, Sum<i64>, T, C, _>::new(id, window, rules, own, kept, read);
    play_to(triggered, window, rules, steps);
    let (own, kept) = parts();
    let any = AnyWindows::<u64, Row, Sum<i64>, T, C, _>::new(id, window, rules, own, kept, read);
    play_to(any, window, rules, steps);
}

fn play_to<Op>(mut operator: Op, window: &Window, rules: Rules, steps: &[(Step, Said)])
where
    Op: KeyedOperator<Key = u64, In = Row, Out = Sided<WindowOutput<u64, i64>, Row>>,
{
    let (mut store, mut watermark) = (Store::new(), at(i64::MIN));
    for (number, (step, expected)) in steps.iter().enumerate() {
        let mut is_late = false;
        match *step {
            R(time, amount) => {
                let row = Row::new(0, amount);
                let header = header::<u64>(7, time);
                is_late = operator.apply(&mut store, &header, 7, row.view()).is_some();
            }
            W(to) => watermark = at(to),
            End => watermark = ENDED,
        }
        let found = drain(&mut operator, &mut store, watermark, read);
        let found = match (is_late, found.is_empty()) {
            (true, _) => Said::TooLate,
            (false, true) => Said::Nothing,
            (false, false) => Said::Rows(found),
        };
        assert_eq!(&found, expected, "step {number}, {step:?}, of {window:?} {rules:?}");
    }
}

fn rules(lateness: i64, mode: Mode) -> Rules {
    Rules { lateness: TimeSpan(lateness), mode }
}

const ACCUMULATING: Mode = Mode::Accumulating;

/// docs/dev/datastream/operators/windows, "Allowed Lateness": "By default, late elements are dropped
/// when the watermark is past the end of the window"; "elements that arrive after the watermark has
/// passed the end of the window but before it passes the end of the window plus the allowed
/// lateness, are still added to the window", and "a late but not dropped element may cause the
/// window to fire again".
#[test]
fn allowed_lateness() {
    let window = Window::tumbling(TimeSpan(10));
    play(
        &window,
        rules(0, ACCUMULATING),
        &AtEnd,
        &Folded,
        &[
            (R(1, 1), NOTHING),
            (R(9, 2), NOTHING),
            // The window's last moment is 9: a watermark of 8 leaves it open.
            (W(8), NOTHING),
            (R(0, 4), NOTHING),
            (W(9), row(0, 10, 7, "on time")),
            (R(9, 8), TOO_LATE),
            (R(10, 1), NOTHING),
            (End, row(10, 20, 1, "on time")),
        ],
    );
    play(
        &window,
        rules(5, ACCUMULATING),
        &AtEnd,
        &Folded,
        &[
            (R(1, 1), NOTHING),
            (W(9), row(0, 10, 1, "on time")),
            (R(2, 2), row(0, 10, 3, "+U late")),
            // End of the window plus the lateness is 14: 13 is before it.
            (W(13), NOTHING),
            (R(3, 4), row(0, 10, 7, "+U late")),
            (W(14), NOTHING),
            (R(4, 8), TOO_LATE),
            (End, NOTHING),
        ],
    );
    // A window that had nothing on time fires first for a late element.
    play(
        &window,
        rules(5, ACCUMULATING),
        &AtEnd,
        &Folded,
        &[
            (W(12), NOTHING),
            (R(3, 4), row(0, 10, 4, "late")),
            (R(3, 4), row(0, 10, 8, "+U late")),
            (End, NOTHING),
        ],
    );
}

/// The same page, "Late elements considerations": "the elements emitted by a late firing should be
/// treated as updated results of a previous computation, i.e., your data stream will contain multiple
/// results for the same computation". What Flink leaves to the application, and Beam calls
/// accumulating, discarding, and accumulating and retracting panes (beam.apache.org, programming
/// guide, "Window accumulation modes").
#[test]
fn late_firings_by_mode() {
    let window = Window::tumbling(TimeSpan(10));
    let steps = |on_time, late, again| {
        [
            (R(1, 1), NOTHING),
            (R(2, 2), NOTHING),
            (W(9), on_time),
            (R(3, 4), late),
            (R(4, 8), again),
            (End, NOTHING),
        ]
    };
    let on_time = || row(0, 10, 3, "on time");
    let accumulating = steps(on_time(), row(0, 10, 7, "+U late"), row(0, 10, 15, "+U late"));
    play(&window, rules(50, Mode::Accumulating), &AtEnd, &Folded, &accumulating);
    let discarding = steps(on_time(), row(0, 10, 4, "late"), row(0, 10, 8, "late"));
    play(&window, rules(50, Mode::Discarding), &AtEnd, &Folded, &discarding);
    let retracting = steps(
        on_time(),
        rows([(0, 10, 3, "-U"), (0, 10, 7, "+U late")]),
        rows([(0, 10, 7, "-U"), (0, 10, 15, "+U late")]),
    );
    play(&window, rules(50, Mode::Retracting), &AtEnd, &Folded, &retracting);
}

/// The same page, "Sliding Windows": a window size of 10 that slides by 5 "gets every 5 minutes a
/// window that contains the events that arrived during the last 10 minutes"; an element is late for
/// those of its windows that are gone, and dropped when it is late for all.
#[test]
fn an_element_may_be_late_for_some_of_its_windows() {
    let window = Window::hopping(TimeSpan(10), TimeSpan(5));
    play(
        &window,
        rules(0, ACCUMULATING),
        &AtEnd,
        &Folded,
        &[
            (R(7, 1), NOTHING),
            (W(9), row(0, 10, 1, "on time")),
            // In [0, 10), which is gone, and [5, 15), which is open.
            (R(8, 2), NOTHING),
            (W(14), row(5, 15, 3, "on time")),
            (R(9, 4), TOO_LATE),
            (End, NOTHING),
        ],
    );
}

/// An hour that moves on by 1,000,003 us has slices of a microsecond: a firing would look up 3.6 G.
#[test]
fn windows_of_too_many_slices_have_a_state_of_their_own() {
    let kind = |length, slide| {
        let window = Window::hopping(TimeSpan(length), TimeSpan(slide));
        let (id, rules) = (OperatorId(3), Rules::default());
        let windows = AnyWindows::<u64, Row, Sum<i64>, _, _, _>::new(
            id,
            &window,
            rules,
            AtEnd,
            Folded,
            |row| row.amount,
        );
        windows.states()[0].kind
    };
    let own = "triggered_windows";
    assert_eq!(kind(3_600_000_000, 1_000_003), own);
    assert_eq!(kind(65_537, 2), own);
    assert_ne!(kind(65_535, 2), own);
    // A slice is as long as the slide: a record is in as many windows, so slices cost less.
    assert_ne!(kind(86_400_000_000, 1_000_000), own);
}

/// Windows that are further apart than they are long, which Flink takes without a word: what lies in
/// between is in none, and late for none.
#[test]
fn records_between_windows_are_in_none() {
    let window = Window::hopping(TimeSpan(2), TimeSpan(5)).with_gaps();
    play(
        &window,
        rules(9, ACCUMULATING),
        &AtEnd,
        &Folded,
        &[
            (R(6, 1), NOTHING),
            (R(7, 2), NOTHING),
            (R(5, 4), NOTHING),
            (W(12), row(5, 7, 5, "on time")),
            (R(8, 8), NOTHING),
            (R(6, 8), row(5, 7, 13, "+U late")),
            (W(15), NOTHING),
            (R(6, 8), TOO_LATE),
            (R(8, 8), NOTHING),
            (End, NOTHING),
        ],
    );
}

/// The same page, "Session Windows": "a session window closes when it does not receive elements for a
/// certain period of time"; "each arriving record creates a new window; windows are merged together if
/// they are closer to each other than the defined gap".
#[test]
fn sessions_merge_when_they_are_closer_than_the_gap() {
    let window = Window::session(TimeSpan(10));
    play(
        &window,
        rules(0, ACCUMULATING),
        &AtEnd,
        &Folded,
        &[
            (R(0, 1), NOTHING),
            (R(20, 2), NOTHING),
            // Closer than the gap to both: one session.
            (R(11, 4), NOTHING),
            (R(9, 8), NOTHING),
            (W(28), NOTHING),
            (W(29), row(0, 30, 15, "on time")),
            (End, NOTHING),
        ],
    );
    // Exactly the gap apart: not closer than it, so two.
    play(
        &window,
        rules(0, ACCUMULATING),
        &AtEnd,
        &Folded,
        &[
            (R(0, 1), NOTHING),
            (R(10, 2), NOTHING),
            (End, rows([(0, 10, 1, "on time"), (10, 20, 2, "on time")])),
        ],
    );
}

/// A session's end is cut off at the last time that there is; its records still join each other.
#[test]
fn sessions_at_the_end_of_time_join() {
    let last = i64::MAX;
    play(
        &Window::session(TimeSpan(10)),
        rules(0, ACCUMULATING),
        &AtEnd,
        &Folded,
        &[
            (R(last, 1), NOTHING),
            (R(last, 2), NOTHING),
            (R(last - 5, 4), NOTHING),
            (End, row(last - 5, last, 7, "on time")),
        ],
    );
}

/// "Late elements considerations" again: "In case of session windows, late firings can further lead to
/// merging of windows, as they may 'bridge' the gap between two pre-existing, unmerged windows."
#[test]
fn a_late_element_bridges_two_sessions() {
    let window = Window::session(TimeSpan(10));
    let steps = |bridged, after| {
        [
            (R(0, 1), NOTHING),
            (R(15, 2), NOTHING),
            (W(30), rows([(0, 10, 1, "on time"), (15, 25, 2, "on time")])),
            (R(8, 4), bridged),
            (R(9, 8), after),
            (End, NOTHING),
        ]
    };
    let accumulating = steps(row(0, 25, 7, "late"), row(0, 25, 15, "+U late"));
    play(&window, rules(50, Mode::Accumulating), &AtEnd, &Folded, &accumulating);
    let retracting = steps(
        rows([(0, 10, 1, "-D"), (15, 25, 2, "-D"), (0, 25, 7, "late")]),
        rows([(0, 25, 7, "-U"), (0, 25, 15, "+U late")]),
    );
    play(&window, rules(50, Mode::Retracting), &AtEnd, &Folded, &retracting);
    let discarding = steps(row(0, 25, 4, "late"), row(0, 25, 8, "late"));
    play(&window, rules(50, Mode::Discarding), &AtEnd, &Folded, &discarding);
}

/// A late element joins a session that is open still: then nothing is late about the session
/// (`WindowOperator.processElement`: an element is dropped if the *merged* window is late).
#[test]
fn a_late_element_of_an_open_session_is_not_dropped() {
    let window = Window::session(TimeSpan(10));
    play(
        &window,
        rules(0, Mode::Retracting),
        &AtEnd,
        &Folded,
        &[
            (R(0, 1), NOTHING),
            (R(8, 2), NOTHING),
            (W(12), NOTHING),
            // Its own window [1, 11) is gone, the session [0, 18) is not.
            (R(1, 4), NOTHING),
            (W(17), row(0, 18, 7, "on time")),
            (R(5, 8), TOO_LATE),
            // A fired session that grows within the lateness is another row.
            (End, NOTHING),
        ],
    );
    play(
        &window,
        rules(20, Mode::Retracting),
        &AtEnd,
        &Folded,
        &[
            (R(0, 1), NOTHING),
            (W(9), row(0, 10, 1, "on time")),
            (R(9, 2), row(0, 10, 1, "-D")),
            (W(18), row(0, 19, 3, "on time")),
            (End, NOTHING),
        ],
    );
}

/// The same page, "Window Assigners", "Global Windows", and "Triggers", "Built-in": "CountTrigger fires
/// once the number of elements in a window exceeds the given limit"; `countWindow(size)` is a global
/// window with a purging `CountTrigger`, whose rest is never fired: "the default trigger of the
/// GlobalWindow is the NeverTrigger which does never fire".
#[test]
fn windows_by_count() {
    let trigger = EveryRecords::purging(2);
    play(
        &Window::global(),
        rules(0, ACCUMULATING),
        &trigger,
        &Folded,
        &[
            (R(5, 1), NOTHING),
            (R(3, 2), row(3, 6, 3, "early")),
            (W(100), NOTHING),
            // "no data is ever considered late" of the global window.
            (R(1, 4), NOTHING),
            (R(2, 8), row(1, 3, 12, "early")),
            (R(9, 1), NOTHING),
            (End, NOTHING),
        ],
    );
    // `countWindow(3, 2)`: a count trigger of 2 and a `CountEvictor` of 3.
    let kept = Kept::new(Evict::Count(3));
    let trigger = EveryRecords::keeping(2);
    play(
        &Window::global(),
        rules(0, Mode::Retracting),
        &trigger,
        &kept,
        &[
            (R(0, 1), NOTHING),
            (R(1, 2), row(0, 2, 3, "early")),
            // A window of other bounds: the row of the old ones is taken back as it was.
            (R(2, 4), row(0, 2, 3, "-D")),
            (R(3, 8), row(0, 4, 14, "early")),
            (R(4, 16), row(0, 4, 14, "-D")),
            (R(5, 32), row(0, 6, 56, "early")),
            // Within the bounds: the row is an update.
            (R(3, 64), NOTHING),
            (R(4, 128), rows([(0, 6, 56, "-U"), (0, 6, 224, "+U early")])),
            (End, NOTHING),
        ],
    );
}

/// A window by count goes with each firing: what it leaves behind must not grow with the records.
#[test]
fn windows_by_count_leave_no_timers() {
    let mut operator = TriggeredWindows::<u64, Row, Sum<i64>, _, _, _>::new(
        OperatorId(3),
        &Window::global(),
        Rules::default(),
        EveryRecords::purging(2),
        Folded,
        |row| row.amount,
    );
    let mut store = Store::new();
    for time in 0..1_000 {
        let row = Row::new(0, 1);
        operator.apply(&mut store, &header::<u64>(7, time), 7, row.view());
        drain(&mut operator, &mut store, at(time), read);
    }
    assert_eq!((operator.timer_count(), store.entry_count()), (0, 0));
}

/// The window that a trigger leaves open is emitted at the end of the input, after a restart too.
#[test]
fn global_windows_fire_at_the_end_of_the_input() {
    let new = || {
        TriggeredWindows::<u64, Row, Sum<i64>, _, _, _>::new(
            OperatorId(3),
            &Window::global(),
            Rules::default(),
            Early::every_records(9),
            Folded,
            |row| row.amount,
        )
    };
    let (mut operator, mut store) = (new(), Store::new());
    for (key, time) in [(7, 1), (8, 2), (7, 5)] {
        let row = Row::new(0, 1);
        operator.apply(&mut store, &header::<u64>(key, time), key, row.view());
        drain(&mut operator, &mut store, at(time), read);
    }
    operator = new();
    operator.rebuild(&store, EventTime(5));
    let mut rows = drain(&mut operator, &mut store, ENDED, read);
    rows.sort_unstable();
    assert_eq!(rows, [(1, 6, 2, "on time"), (2, 3, 1, "on time")]);
    assert_eq!((operator.timer_count(), store.entry_count()), (0, 0));
}

/// "Evictors", "Built-in": "CountEvictor keeps up to a user-specified number of elements from the
/// window and discards the remaining ones from the beginning of the window buffer"; "TimeEvictor:
/// finds the maximum timestamp max_ts among its elements and removes all the elements with timestamps
/// smaller than max_ts - interval".
#[test]
fn evictors() {
    let window = Window::tumbling(TimeSpan(100));
    let steps = |value| {
        [
            (R(10, 1), NOTHING),
            (R(50, 2), NOTHING),
            (R(30, 4), NOTHING),
            (R(45, 8), NOTHING),
            (W(99), row(0, 100, value, "on time")),
            (End, NOTHING),
        ]
    };
    for (count, value) in [(1, 8), (2, 12), (3, 14), (4, 15), (9, 15)] {
        play(&window, Rules::default(), &AtEnd, &Kept::new(Evict::Count(count)), &steps(value));
    }
    for (span, value) in [(5, 2), (6, 10), (20, 10), (21, 14), (40, 14), (41, 15)] {
        let kept = Kept::new(Evict::Time(TimeSpan(span)));
        play(&window, Rules::default(), &AtEnd, &kept, &steps(value));
    }
}

/// `ContinuousEventTimeTrigger`: "continuously fires based on a given time interval", by multiples of
/// it, and at the window's end.
#[test]
fn early_firings_by_event_time_and_by_count() {
    let window = Window::tumbling(TimeSpan(100));
    play(
        &window,
        rules(0, ACCUMULATING),
        &Early::every(TimeSpan(10)),
        &Folded,
        &[
            (R(3, 1), NOTHING),
            (W(9), NOTHING),
            (W(10), row(0, 100, 1, "early")),
            // It has not changed.
            (W(35), NOTHING),
            (R(12, 2), NOTHING),
            (R(37, 4), NOTHING),
            (W(41), row(0, 100, 7, "+U early")),
            (W(99), row(0, 100, 7, "+U on time")),
            (End, NOTHING),
        ],
    );
    play(
        &window,
        rules(0, Mode::Discarding),
        &Early::every_records(2),
        &Folded,
        &[
            (R(3, 1), NOTHING),
            (R(4, 2), row(0, 100, 3, "early")),
            (R(5, 4), NOTHING),
            (W(99), row(0, 100, 4, "on time")),
            (End, NOTHING),
        ],
    );
    let both = Early::every(TimeSpan(10)).or(Early::every_records(3));
    play(
        &window,
        rules(0, Mode::Retracting),
        &both,
        &Folded,
        &[
            (R(3, 1), NOTHING),
            (W(10), row(0, 100, 1, "early")),
            (R(11, 2), NOTHING),
            (R(12, 4), NOTHING),
            (R(13, 8), rows([(0, 100, 1, "-U"), (0, 100, 15, "+U early")])),
            (W(50), NOTHING),
            (End, rows([(0, 100, 15, "-U"), (0, 100, 15, "+U on time")])),
        ],
    );
}

/// Two sessions of two records each, which a record joins: five are more than the three it takes.
#[test]
fn early_firings_by_count_outlive_a_merge() {
    play(
        &Window::session(TimeSpan(10)),
        rules(0, ACCUMULATING),
        &Early::every_records(3),
        &Folded,
        &[
            (R(0, 1), NOTHING),
            (R(1, 2), NOTHING),
            (R(15, 4), NOTHING),
            (R(16, 8), NOTHING),
            (R(9, 16), row(0, 26, 31, "early")),
            (R(10, 32), NOTHING),
            (R(11, 64), NOTHING),
            (R(12, 128), row(0, 26, 255, "+U early")),
            (End, row(0, 26, 255, "+U on time")),
        ],
    );
}

/// Kafka Streams, "Window final results" (`suppress(untilWindowCloses)`), and Flink SQL's
/// `EMIT ON WINDOW CLOSE`: one row a window, when nothing can change it any more.
#[test]
fn on_close_only() {
    play(
        &Window::tumbling(TimeSpan(10)),
        rules(5, ACCUMULATING),
        &OnClose,
        &Folded,
        &[
            (R(3, 1), NOTHING),
            (W(9), NOTHING),
            (R(4, 2), NOTHING),
            (W(13), NOTHING),
            (W(14), row(0, 10, 3, "on time")),
            (R(5, 4), TOO_LATE),
            (End, NOTHING),
        ],
    );
}

/// Fires when the sum of times is not asked for: at every third record, purging, and never at the end.
#[derive(Clone)]
struct Third;

impl Trigger for Third {
    type State = u64;
    fn start(&self) -> u64 {
        0
    }
    fn on_record(&self, seen: &mut u64, window: &WindowStatus, _: EventTime) -> Fire {
        *seen += 1;
        assert_eq!(*seen % 3, window.record_count % 3);
        if seen.is_multiple_of(3) { Fire::EmitAndPurge } else { Fire::Wait }
    }
    fn on_end(&self, _: &mut u64, _: &WindowStatus) -> Fire {
        Fire::Wait
    }
    fn merge(&self, earlier: u64, later: u64) -> u64 {
        earlier + later
    }
    fn identity(&self) -> String {
        "third".to_owned()
    }
}

/// "Triggers", "Fire and Purge": "while FIRE keeps the contents of the window, FIRE_AND_PURGE removes
/// its content"; "by specifying a trigger you are overwriting the default trigger".
#[test]
fn a_trigger_of_ones_own() {
    play(
        &Window::tumbling(TimeSpan(100)),
        rules(0, ACCUMULATING),
        &Third,
        &Folded,
        &[
            (R(1, 1), NOTHING),
            (R(2, 2), NOTHING),
            (R(3, 4), row(0, 100, 7, "early")),
            (R(4, 8), NOTHING),
            (R(5, 16), NOTHING),
            (R(6, 32), row(0, 100, 56, "early")),
            (R(7, 64), NOTHING),
            (W(99), NOTHING),
            (End, NOTHING),
        ],
    );
}

/// By the wall clock: `ContinuousProcessingTimeTrigger`.
#[test]
fn early_firings_by_the_wall_clock() {
    let window = Window::session(TimeSpan(100));
    let new = || {
        TriggeredWindows::<u64, Row, Sum<i64>, _, _, _>::new(
            OperatorId(3),
            &window,
            rules(0, Mode::Retracting),
            Early::every_wall(TimeSpan(1_000)),
            Folded,
            |row| row.amount,
        )
    };
    let (mut operator, mut store) = (new(), Store::new());
    operator.tick(5_000);
    for (time, amount) in [(1, 1), (2, 2)] {
        let row = Row::new(0, amount);
        operator.apply(&mut store, &header::<u64>(7, time), 7, row.view());
    }
    assert_eq!(operator.next_wall_micros(), Some(6_000));
    operator.tick(5_999);
    assert_eq!(drain(&mut operator, &mut store, at(0), read), []);
    // After a restart too.
    operator = new();
    operator.rebuild(&store, EventTime(0));
    operator.tick(6_000);
    assert_eq!(drain(&mut operator, &mut store, at(0), read), [(1, 102, 3, "early")]);
    operator.tick(9_000);
    assert_eq!(drain(&mut operator, &mut store, at(0), read), []);
    assert_eq!(operator.next_wall_micros(), None);
    let rest = drain(&mut operator, &mut store, ENDED, read);
    assert_eq!(rest, [(1, 102, 3, "-U"), (1, 102, 3, "+U on time")]);
    assert_eq!(store.entry_count(), 0);
}

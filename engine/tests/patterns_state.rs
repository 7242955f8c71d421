//! What a pattern keeps, how it lets go, and what it does where it may keep no more.

mod operators_common;

use operators_common::{ENDED, Row, RowView, at, drain, header};
use pelton::chain::KeyedOperator;
use pelton::chain::operators::{
    Ending, MatchOut, Matched, MatchesAndLost, OverBudget, Pattern, PatternMatcher, Selection,
    Unfolded,
};
use pelton::record::{EventTime, SidedView, TimeSpan};
use pelton::state::{OperatorId, Store};

const ID: OperatorId = OperatorId(5);

type P = Pattern<Row>;

fn emit(found: &Matched<'_, Row, Unfolded>, out: MatchOut<'_, Row>) {
    let orders: Vec<String> = found.all().map(|(_, _, row)| row.order.to_string()).collect();
    let ending = match found.ending() {
        Ending::OverBudget => " over budget",
        Ending::TimedOut => " timed out",
        _ => "",
    };
    let name = format!("{}{ending}", orders.join(" "));
    out.emit(RowView { order: 0, amount: 0, name: &name });
}

fn matcher(
    pattern: P,
) -> PatternMatcher<u64, Row, Unfolded, impl Selection<Row, Unfolded, Out = Out>> {
    let selection = MatchesAndLost::<_, _, Row, Row>::new(emit, emit);
    PatternMatcher::compiled(ID, pattern, selection).expect("the pattern can work")
}

type Out = pelton::record::Sided<Row, Row>;

fn text(view: SidedView<RowView<'_>, RowView<'_>>) -> String {
    match view {
        SidedView::Main(row) | SidedView::Side(row) => row.name.to_owned(),
    }
}

/// Shows rows of these amounts to a matcher, one a microsecond, and answers with all that leaves.
/// The matcher is made anew behind each row, as after a restart.
fn show(pattern: impl Fn() -> P, store: &mut Store, amounts: &[i64]) -> (Vec<String>, u64) {
    let (mut left, mut over_budget_count) = (Vec::new(), 0);
    for (time, amount) in (0..).zip(amounts) {
        let mut matcher = matcher(pattern());
        matcher.rebuild(store, EventTime(time - 1));
        let row = Row::new(time.unsigned_abs(), *amount);
        left.extend(drain(&mut matcher, store, at(time - 1), |_, view| text(view)));
        matcher.apply(store, &header::<u64>(7, time), 7, pelton::record::Record::view(&row));
        left.extend(drain(&mut matcher, store, at(time), |_, view| text(view)));
        over_budget_count += matcher.over_budget_count();
    }
    (left, over_budget_count)
}

fn begin(amount: i64) -> P {
    P::begin("first").when(move |row| row.amount == amount)
}

#[test]
fn nothing_is_kept_once_nothing_may_follow() {
    let pattern = || begin(1).followed_by("second").when(|row| row.amount == 2);
    let mut store = Store::new();
    let (left, _) = show(pattern, &mut store, &[0, 1, 0, 1]);
    assert_eq!((left.len(), store.entry_count()), (0, 5), "a head, and twice a frame and nodes");
    let (left, _) = show(pattern, &mut store, &[2]);
    assert_eq!((left, store.entry_count()), (vec!["1 0".to_owned(), "3 0".to_owned()], 0));
}

#[test]
fn what_has_timed_out_is_kept_no_more() {
    let pattern = || begin(1).followed_by("second").when(|row| row.amount == 2).within(TimeSpan(3));
    let mut store = Store::new();
    let (left, _) = show(pattern, &mut store, &[1, 1, 0, 0, 0, 0]);
    assert_eq!(left, ["0 timed out", "1 timed out"]);
    assert_eq!(store.entry_count(), 0);
    show(pattern, &mut store, &[1]);
    let mut ended = matcher(pattern());
    ended.rebuild(&store, EventTime(0));
    assert_eq!(drain(&mut ended, &mut store, ENDED, |_, view| text(view)), ["0 timed out"]);
    assert_eq!(store.entry_count(), 0);
}

#[test]
fn events_of_dead_branches_go_while_the_first_one_waits_on() {
    // The first one waits for ever, and every second one begins a branch that dies at once.
    let pattern = || {
        let second = begin(1).followed_by_any("second").when(|row| row.amount == 2);
        second.next("third").when(|row| row.amount == 3)
    };
    let mut amounts = vec![1];
    amounts.extend([2, 0].repeat(200));
    let mut store = Store::new();
    show(pattern, &mut store, &amounts);
    assert!(store.entry_count() < 40, "{} entries", store.entry_count());
    let (left, _) = show(pattern, &mut store, &[2, 3]);
    assert_eq!(left, ["0 0 1"]);
}

#[test]
fn a_budget_drops_the_oldest_or_refuses_the_new() {
    let pattern =
        |over| move || begin(1).followed_by("second").when(|row| row.amount == 2).budget(2, over);
    let mut store = Store::new();
    let drops = show(pattern(OverBudget::DropOldest), &mut store, &[1, 1, 1, 1, 2]);
    let all = ["0 over budget", "1 over budget", "2 4", "3 4"].map(str::to_owned).to_vec();
    assert_eq!((drops, store.entry_count()), ((all, 2), 0));
    let refuses = show(pattern(OverBudget::RefuseNew), &mut store, &[1, 1, 1, 1, 2]);
    let all = ["2 over budget", "3 over budget", "0 4", "1 4"].map(str::to_owned).to_vec();
    assert_eq!((refuses, store.entry_count()), ((all, 2), 0));
}

#[test]
fn a_smaller_budget_lets_go_what_is_too_much() {
    let pattern = |max, over| {
        move || begin(1).followed_by("second").when(|row| row.amount == 2).budget(max, over)
    };
    let cases =
        [(OverBudget::DropOldest, ["0", "1", "2"]), (OverBudget::RefuseNew, ["4", "3", "2"])];
    for (over, lost) in cases {
        let mut store = Store::new();
        assert_eq!(show(pattern(4, over), &mut store, &[1, 1, 1, 1]), (Vec::new(), 0));
        let (left, over_budget_count) = show(pattern(2, over), &mut store, &[0, 0, 0, 0, 1]);
        let lost = lost.map(|order| format!("{order} over budget"));
        assert_eq!((left, over_budget_count), (lost.to_vec(), 3));
    }
}

#[test]
fn what_waits_for_the_end_of_the_input_has_no_timer() {
    let more = || P::begin("more").when(|row| row.amount == 1).one_or_more().greedy();
    let pattern = || more().consecutive();
    let mut store = Store::new();
    let mut waiting = matcher(pattern());
    for time in 0..100_i64 {
        let row = Row::new(time.unsigned_abs(), time % 2);
        waiting.apply(&mut store, &header::<u64>(7, time), 7, pelton::record::Record::view(&row));
        drain(&mut waiting, &mut store, at(time), |_, view| text(view));
    }
    assert_eq!((waiting.timer_count(), store.entry_count()), (0, 3), "one waits");
    let mut ended = matcher(pattern());
    ended.rebuild(&store, EventTime(99));
    assert_eq!(drain(&mut ended, &mut store, ENDED, |_, view| text(view)), ["99"]);
    assert_eq!(store.entry_count(), 0);
}

#[test]
fn each_event_may_be_bound_to_the_one_before_it() {
    let pattern = || {
        let more = begin(1).one_or_more().followed_by("end").when(|row| row.amount == 2);
        more.within_previous(TimeSpan(3))
    };
    let mut store = Store::new();
    let (left, _) = show(pattern, &mut store, &[1, 0, 1, 0, 2]);
    // The step that repeats waits on, behind a match too.
    assert_eq!(left, ["0 timed out", "0 2 4", "2 4", "0 2 timed out", "2 timed out"]);
    let (left, _) = show(pattern, &mut store, &[1, 0, 0, 2]);
    assert_eq!(left, ["0 timed out"]);
}

#[test]
fn alternatives_are_tried_independently_of_each_other() {
    let pattern = || {
        let two = P::begin("two").when(|row| row.amount == 2);
        let three = P::begin("three").when(|row| row.amount == 3).next("four");
        begin(1).followed_by(P::either([two, three]))
    };
    let (left, _) = show(pattern, &mut Store::new(), &[1, 2, 3, 4, 2]);
    assert_eq!(left, ["0 1", "0 2 3"]);
}

//! What Flink's documentation of its library for complex events says, as tables of cases.
//!
//! The page is "FlinkCEP - Complex event processing for Flink"
//! (nightlies.apache.org/flink/flink-docs-stable/docs/libs/cep); each table names its section.

mod patterns_common;

use patterns_common::{Event, EventView, Found, How, find_and_lose};
use pelton::chain::operators::{AfterMatch, Pattern, Step};
use pelton::{Engine, EventTime, Job, TimeSpan};

type P = Pattern<Event>;

/// Whether an event is of a kind: one of the letters.
fn is(kinds: &'static str) -> impl for<'a> Fn(EventView<'a>) -> bool + Send + Sync {
    move |event: EventView<'_>| event.name.starts_with(|letter| kinds.contains(letter))
}

/// `a b1@7 c` is events of one key, 1, 7 and 8 microseconds after the beginning.
fn events(text: &str) -> Vec<Event> {
    let mut time = 0;
    let event = |(name, number): (&str, u64)| {
        let (name, at) = name.split_once('@').unwrap_or((name, ""));
        time = at.parse().unwrap_or(time + 1);
        Event { time: EventTime(time), key: 1, number, name: name.to_owned() }
    };
    text.split_whitespace().zip(0..).map(event).collect()
}

/// What is found, and what is lost, as the tables write it: `a b | a c`.
fn find(pattern: P, input: &str) -> [String; 2] {
    let how = How { shards: 2, seed: 1, lateness: 0, waits: true };
    let texts = find_and_lose(pattern, events(input), how).expect("the pattern can work");
    texts.map(|texts| texts.join(" | "))
}

#[track_caller]
fn finds(pattern: P, input: &str, expected: &str) {
    let shape = pattern.to_string();
    let mut expected: Vec<&str> = expected.split(" | ").collect();
    expected.sort_unstable();
    assert_eq!(find(pattern, input)[0], expected.join(" | "), "{shape} in {input}");
}

fn begin(kinds: &'static str) -> P {
    P::begin(kinds).when(is(kinds))
}

/// Section "Combining patterns".
#[test]
fn contiguity_says_which_events_may_lie_between() {
    let input = "a c b1 b2";
    finds(begin("a").next("b").when(is("b")), input, "");
    finds(begin("a").followed_by("b").when(is("b")), input, "a b1");
    finds(begin("a").followed_by_any("b").when(is("b")), input, "a b1 | a b2");
    finds(begin("a").next("b").when(is("b")), "a b1 b2", "a b1");
}

/// Section "Contiguity within looping patterns". Its strict case has `next` before the `c` too: "the
/// d1 after b1 causes b1 to be discarded".
#[test]
fn contiguity_within_loops_says_which_events_may_lie_between_repetitions() {
    let input = "a b1 d1 b2 d2 b3 c";
    let loops = || begin("a").followed_by_any("b").when(is("b")).one_or_more();
    finds(loops().consecutive().next("c").when(is("c")), input, "a b3 c");
    let relaxed = "a b1 c | a b1 b2 c | a b1 b2 b3 c | a b2 c | a b2 b3 c | a b3 c";
    finds(loops().followed_by("c").when(is("c")), input, relaxed);
    finds(
        loops().allow_combinations().followed_by("c").when(is("c")),
        input,
        &format!("{relaxed} | a b1 b3 c"),
    );
}

/// Sections "consecutive()" and "allowCombinations()".
#[test]
fn loops_are_relaxed_unless_consecutive_or_combined() {
    let input = "c d a1 a2 a3 d a4 b";
    let loops = || begin("c").followed_by("a").when(is("a")).one_or_more();
    let end = |pattern: P| pattern.followed_by("b").when(is("b"));
    let consecutive = "c a1 b | c a1 a2 b | c a1 a2 a3 b";
    finds(end(loops().consecutive()), input, consecutive);
    let relaxed = format!("{consecutive} | c a1 a2 a3 a4 b");
    finds(end(loops()), input, &relaxed);
    let combined = "c a1 b | c a1 a2 b | c a1 a3 b | c a1 a4 b | c a1 a2 a3 b | c a1 a2 a4 b | \
                    c a1 a3 a4 b | c a1 a2 a3 a4 b | c a2 b | c a2 a3 b | c a2 a4 b | c a2 a3 a4 b | \
                    c a3 b | c a3 a4 b | c a4 b";
    let inner = end(loops().allow_combinations());
    // The page's code says `followedBy` before the loop, under which by the page's own words only the
    // first `a` can be the first; the matches that it lists are those of `followedByAny`.
    finds(
        inner,
        input,
        "c a1 b | c a1 a2 b | c a1 a3 b | c a1 a4 b | c a1 a2 a3 b | c a1 a2 a4 b | \
                    c a1 a3 a4 b | c a1 a2 a3 a4 b",
    );
    let any = begin("c").followed_by_any("a").when(is("a")).one_or_more().allow_combinations();
    finds(end(any), input, combined);
}

/// Section "Conditions", "Stop condition".
#[test]
fn until_stops_a_loop() {
    let pattern = begin("a").one_or_more().until(is("b"));
    finds(pattern, "a1 c a2 b a3", "a1 | a2 | a1 a2 | a3");
}

/// Section "After Match Skip Strategy", pattern `b+ c`.
#[test]
fn skip_strategies_let_matches_go_that_began_too_early() {
    let b = Step::new("b");
    let all = "b1 b2 b3 c | b2 b3 c | b3 c";
    let table = [
        (AfterMatch::NoSkip, all),
        (AfterMatch::SkipToNext, all),
        (AfterMatch::SkipPastLastEvent, "b1 b2 b3 c"),
        (AfterMatch::SkipToFirst(b), all),
        (AfterMatch::SkipToLast(b), "b1 b2 b3 c | b3 c"),
    ];
    for (skip, expected) in table {
        let pattern = begin("b").one_or_more().next("c").when(is("c"));
        finds(pattern.after_match(skip), "b1 b2 b3 c", expected);
    }
}

/// The same section, pattern `(a | b | c) (b | c) c+.greedy d`.
#[test]
fn skipping_to_the_first_event_of_a_step_keeps_what_begins_there() {
    let table = [
        (AfterMatch::NoSkip, "a b c1 c2 c3 d | b c1 c2 c3 d | c1 c2 c3 d"),
        (AfterMatch::SkipToFirst(Step::new("c")), "a b c1 c2 c3 d | c1 c2 c3 d"),
    ];
    for (skip, expected) in table {
        let pattern = begin("abc").next("bc").when(is("bc"));
        let pattern = pattern.next("c").when(is("c")).one_or_more().greedy();
        let pattern = pattern.next("d").when(is("d")).after_match(skip);
        finds(pattern, "a b c1 c2 c3 d", expected);
    }
}

/// The same section, pattern `a b+`.
#[test]
fn skipping_to_the_next_event_lets_longer_matches_go() {
    let table =
        [(AfterMatch::NoSkip, "a b1 | a b1 b2 | a b1 b2 b3"), (AfterMatch::SkipToNext, "a b1")];
    for (skip, expected) in table {
        let pattern = begin("a").followed_by("b").when(is("b")).one_or_more().after_match(skip);
        finds(pattern, "a b1 b2 b3", expected);
    }
}

/// Section "Quantifiers": what `times`, `optional` and `greedy` say in words.
#[test]
fn quantifiers_give_a_match_for_each_number_of_times_unless_they_are_greedy() {
    let input = "c a1 a2 a3 a4 d";
    let times = |change: fn(P) -> P| {
        change(begin("c").followed_by("a").when(is("a"))).followed_by("d").when(is("d"))
    };
    finds(times(|p| p.times(2)), input, "c a1 a2 d");
    finds(times(|p| p.times(2..=3)), input, "c a1 a2 d | c a1 a2 a3 d");
    finds(times(|p| p.times(2).optional()), input, "c d | c a1 a2 d");
    finds(times(|p| p.times(2..=3).optional()), input, "c d | c a1 a2 d | c a1 a2 a3 d");
    finds(times(|p| p.times(3..)), input, "c a1 a2 a3 d | c a1 a2 a3 a4 d");
    finds(times(|p| p.one_or_more().greedy()), input, "c a1 a2 a3 a4 d");
    finds(times(|p| p.times(1..).optional().greedy()), input, "c a1 a2 a3 a4 d");
    finds(times(|p| p.times(1..).optional().greedy()), "c b d", "c d");
    finds(times(|p| p.times(3..).greedy()), input, "c a1 a2 a3 a4 d");
    finds(times(|p| p.times(1..=4).greedy()), input, "c a1 a2 a3 a4 d");
    finds(times(P::optional), "c a1 d", "c d | c a1 d");
    finds(times(|p| p.optional().greedy()), "c a1 d", "c a1 d");
}

/// Sections "notNext()" and "notFollowedBy()".
#[test]
fn what_must_not_come_ends_a_partial_match() {
    let not_next = || begin("a").not_next("x").when(is("x")).followed_by("b").when(is("b"));
    finds(not_next(), "a x b", "");
    finds(not_next(), "a c x b", "a b");
    finds(not_next(), "a b", "a b");
    let not_between =
        || begin("a").not_followed_by("x").when(is("x")).followed_by("b").when(is("b"));
    finds(not_between(), "a x b", "");
    finds(not_between(), "a c x b", "");
    finds(not_between(), "a c b x", "a b");
}

/// Section "within()", and "Combining patterns" on a last `notFollowedBy()`.
#[test]
fn time_ends_partial_matches_and_completes_what_is_absent() {
    let within = || begin("a").followed_by("b").when(is("b")).within(TimeSpan(10));
    assert_eq!(find(within(), "a@1 b@10"), ["a b", ""]);
    assert_eq!(find(within(), "a@1 b@11"), ["", "a"]);
    assert_eq!(find(within(), "a1@1 a2@5 b@12"), ["a2 b", "a1"]);
    let absent = || begin("a").not_followed_by("b").when(is("b")).within(TimeSpan(10));
    assert_eq!(find(absent(), "a@1 b@10"), ["", ""]);
    assert_eq!(find(absent(), "a@1 b@11"), ["a until 11", ""]);
    assert_eq!(find(absent(), "a@1 c@40"), ["a until 11", ""]);
    assert_eq!(find(absent(), "a@1"), ["a until 11", ""]);
}

/// Section "Groups of patterns".
#[test]
fn groups_are_repeated_and_left_out_as_steps_are() {
    let group = || P::begin("a").when(is("a")).followed_by("b").when(is("b"));
    let pattern = begin("s").followed_by(group()).times(2).next("e").when(is("e"));
    finds(pattern, "s a1 x b1 a2 b2 e", "s a1 b1 a2 b2 e");
    let pattern = begin("s").followed_by(group()).optional().followed_by("e").when(is("e"));
    finds(pattern, "s a1 x b1 e", "s e | s a1 b1 e");
    let pattern =
        begin("s").next(group()).one_or_more().consecutive().followed_by("e").when(is("e"));
    finds(pattern, "s a1 b1 a2 b2 x e", "s a1 b1 e | s a1 b1 a2 b2 e");
    finds(P::begin(group()).one_or_more(), "a1 b1 a2 b2", "a1 b1 | a1 b1 a2 b2 | a2 b2");
}

/// Section "Iterative conditions": the price of all that was taken stays below a sum.
#[test]
fn conditions_see_what_was_taken_before() {
    let number = |event: EventView<'_>| event.name[1..].parse().unwrap_or(0_u64);
    let pattern = begin("s").next("m").when(is("m")).when_so_far(move |event, so_far| {
        let before: u64 = so_far.events("m").map(number).sum();
        before + number(event) < 5
    });
    let pattern = pattern.one_or_more().greedy().consecutive().followed_by("e").when(is("e"));
    finds(pattern, "s m1 m2 m1 m3 e", "s m1 m2 m1 e");
}

#[test]
fn a_pattern_that_can_not_work_ends_the_job_at_its_start() {
    let table: [(P, &str); 12] = [
        (begin("a").not_followed_by("b").when(is("b")), "give it `within`"),
        (begin("a").next("b").times(0), "is taken 0 to 0 times"),
        (begin("a").next("a"), "two of its steps are called `a`"),
        (begin("a").within(TimeSpan::ZERO), "`within` is 0 microseconds"),
        (begin("a").within_previous(TimeSpan(-1)), "`within_previous` is -1 microseconds"),
        (begin("a").after_match(AfterMatch::SkipToLast(Step::new("b"))), "no such step"),
        (begin("a").optional(), "may be left out"),
        (begin("a").next(P::either([])), "a choice of no patterns"),
        (begin("a").next(begin("b").optional()).one_or_more(), "may be left out"),
        (begin("a").consecutive(), "call `times` too"),
        (begin("a").next("b").one_or_more().greedy(), "nothing tells when it is over"),
        (begin("a").optional().not_next("b").next("c"), "it may be the first"),
    ];
    for (pattern, expected) in table {
        let shape = pattern.to_string();
        let job = Job::new();
        let keyed =
            job.records(events("a b")).key_by(|event: EventView<'_>, key| key.of(event.key));
        let found = keyed.detect(
            pattern,
            |_: &pelton::chain::operators::Matched<'_, Event, _>,
             _: pelton::chain::operators::MatchOut<'_, Found>| {},
        );
        let rows = found.named("suspects").collect();
        let error = Engine::new().run(job).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("operator `suspects`"), "{shape}: {error}");
        assert!(error.contains(expected), "{shape}: {error}");
        assert!(rows.take_rows().is_empty());
    }
}

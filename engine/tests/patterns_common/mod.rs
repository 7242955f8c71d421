//! Events that are named for what they are, and the matches of a pattern among them.

use pelton::chain::operators::{Ending, Fold, MatchOut, Matched, Pattern};
use pelton::{Driver, Engine, EventTime, Job, Stream};

/// An event; its kind is the first letter of its name.
#[pelton::record]
pub(crate) struct Event {
    #[event_time]
    pub(crate) time: EventTime,
    pub(crate) key: u64,
    pub(crate) number: u64,
    pub(crate) name: String,
}

/// A match, or what there was of one: the names of its events.
#[pelton::record]
pub(crate) struct Found {
    pub(crate) text: String,
}

/// Whether an event is of a kind: one of the letters.
pub(crate) fn is(kinds: &'static str) -> impl for<'a> Fn(EventView<'a>) -> bool + Send + Sync {
    move |event: EventView<'_>| event.name.starts_with(|letter| kinds.contains(letter))
}

/// `a b1@7 c` is events of one key, 1, 7 and 8 microseconds after the beginning.
pub(crate) fn events(text: &str) -> Vec<Event> {
    let mut time = 0;
    let event = |(name, number): (&str, u64)| {
        let (name, at) = name.split_once('@').unwrap_or((name, ""));
        time = at.parse().unwrap_or(time + 1);
        Event { time: EventTime(time), key: 1, number, name: name.to_owned() }
    };
    text.split_whitespace().zip(0..).map(event).collect()
}

fn text<A: Fold>(found: &Matched<'_, Event, A>) -> String {
    let names: Vec<&str> = found.all().map(|(_, _, event)| event.name).collect();
    let names = names.join(" ");
    match found.ending() {
        Ending::Completed | Ending::TimedOut | Ending::Open => names,
        Ending::Absence => format!("{names} until {}", found.end().0),
        Ending::OverBudget => format!("{names} over budget"),
    }
}

/// The texts of what was found and of what was lost.
type Rows = pelton::sink::CollectSink<Found>;

fn job<A: Fold>(events: Stream<Event>, pattern: Pattern<Event, A>) -> [Rows; 2] {
    let emit = |found: &Matched<'_, Event, A>, out: MatchOut<'_, Found>| {
        out.emit(FoundView { text: &text(found) });
    };
    let keyed = events.key_by(|event: EventView<'_>, key| key.of(event.key));
    let ordered = keyed.in_time_order(|event: EventView<'_>| event.number);
    let (found, lost) = ordered.detect_and_lose(pattern, emit, emit).with_side();
    [found.collect(), lost.collect()]
}

/// What is found among `events`, and what is lost; each sorted.
pub(crate) fn find_and_lose<A: Fold>(
    pattern: Pattern<Event, A>,
    events: Vec<Event>,
    shards: u16,
    seed: u64,
) -> [Vec<String>; 2] {
    let job_of_patterns = Job::new();
    let rows = job(job_of_patterns.records(events), pattern);
    let engine = Engine::new().shards(shards).driver(Driver::Simulator { seed });
    engine.run(job_of_patterns).expect("the job ends");
    rows.map(|rows| {
        let mut texts: Vec<String> = rows.take_rows().into_iter().map(|row| row.text).collect();
        texts.sort_unstable();
        texts
    })
}

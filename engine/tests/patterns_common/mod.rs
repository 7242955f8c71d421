//! Events that are named for what they are, and the matches of a pattern among them.

use pelton::chain::operators::{Ending, Fold, MatchOut, Matched, Pattern};
use pelton::job::{SourceOptions, Splits};
use pelton::source::VecSplit;
use pelton::{Driver, Engine, EventTime, Job, JobError, Stream, TimeSpan};

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

fn job<A: Fold>(events: Stream<Event>, pattern: Pattern<Event, A>, waits: bool) -> [Rows; 2] {
    let emit = |found: &Matched<'_, Event, A>, out: MatchOut<'_, Found>| {
        out.emit(FoundView { text: &text(found) });
    };
    let keyed = events.key_by(|event: EventView<'_>, key| key.of(event.key));
    let ordered = keyed.in_time_order_if(waits, |event: EventView<'_>| event.number);
    let (found, lost) = ordered.detect_and_lose(pattern, emit, emit).named("found").with_side();
    [found.collect(), lost.collect()]
}

/// How a job is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub(crate) shards: u16,
    pub(crate) seed: u64,
    /// How far out of order events are.
    pub(crate) lateness: i64,
    /// Whether they wait for the watermark, to be looked at in the order of time.
    pub(crate) waits: bool,
}

/// What is found among `events`, and what is lost; each sorted.
///
/// # Errors
/// The job could not start.
pub(crate) fn find_and_lose<A: Fold>(
    pattern: Pattern<Event, A>,
    events: Vec<Event>,
    how: How,
) -> Result<[Vec<String>; 2], JobError> {
    let new = Job::new();
    let options = SourceOptions::new().lateness(TimeSpan(how.lateness));
    let source = Splits::new(vec![VecSplit::new("events", events)]);
    let rows = job(new.source(source, options), pattern, how.waits);
    let driver = Driver::Simulator { seed: how.seed };
    Engine::new().shards(how.shards).driver(driver).run(new)?;
    Ok(rows.map(|rows| {
        let mut texts: Vec<String> = rows.take_rows().into_iter().map(|row| row.text).collect();
        texts.sort_unstable();
        texts
    }))
}

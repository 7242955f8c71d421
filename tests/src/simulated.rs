//! Random jobs for the simulator: what they read, what they do, and how they are built.
//!
//! A [`Case`] is all of it, drawn from a seed; [`crate::oracle`] says what must come out.
//!
//! Results do not depend on the order in which records of several splits meet at a key: where an
//! operator's do (running sums, joins), there is one split.

use pelton::checkpoint::decode;
use pelton::job::{SourceOptions, Splits};
use pelton::record::{EventTime, TimeSpan};
use pelton::sim::{Chance, Outcome, World};
use pelton::sink::{Both, Csv, DirectorySink, FileSink, format_fn};
use pelton::source::VecSplit;
use pelton::{Job, Stream};

use crate::{flows, joins, lookups, oracle, rows, shapes, windows};

/// What the jobs read.
#[pelton::record]
pub struct Event {
    /// When.
    #[event_time]
    pub time: EventTime,
    /// Skewed, and now and then long.
    pub key: String,
    /// A second key.
    pub bucket: u64,
    /// Different for each event.
    pub number: u64,
    /// Of either sign.
    pub amount: i64,
}

/// What they write.
#[pelton::record]
pub struct Row {
    /// Whose.
    pub name: String,
    /// A number.
    pub a: i64,
    /// A number.
    pub b: i64,
    /// A number.
    pub c: i64,
}

/// What a job does behind its filter and its copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// Events become rows.
    Stateless,
    /// Every change of a count.
    Counts,
    /// Sums at the end, by two keys.
    SumsAtEnd,
    /// Every change of a sum; of one split.
    SumChanges,
    /// Sums in windows that follow each other.
    Tumbling,
    /// Counts in windows that overlap.
    Hopping,
    /// Two exact windows, in order of time.
    Exact,
    /// Values, a list, a map and timers.
    Process,
    /// The same in order of time.
    ProcessInOrder,
    /// Two keyed branches that meet again; of one split.
    Joined,
    /// A count of counts.
    TwoStages,
    /// Counts and windows of one stream, each with an output of its own.
    TwoOutputs,
    /// Pairs whose times are near, and rows without a partner.
    IntervalJoin,
    /// Pairs of one window.
    WindowJoin,
    /// Rows with the version of their time; of one split.
    AsOfJoin,
    /// Two tables and the changes of their join; of one split.
    TableJoin,
    /// Sums of sessions, each said once.
    Sessions,
    /// Sessions that late events make longer and join; what is taken back is taken off.
    LateSessions,
    /// Windows that overlap, with late events; what they say in turns is summed up.
    LateHopping,
    /// Windows that say what they hold when no event can come any more.
    OnClose,
    /// Each so many events of a key; of one split.
    CountWindows,
    /// The last so many events of a key, every so many; of one split.
    SlidingCounts,
    /// A pattern, and what it loses, in order of time.
    Patterns,
    /// The first event of a key in any time.
    Dedup,
    /// The newest event of a key, with retractions.
    KeepLast,
    /// The first events of a key, with ranks and retractions.
    TopN,
    /// Each event with a fold of its key's last ones.
    OverRange,
    /// Each event with what came before it.
    Lag,
    /// Each event with what came behind it.
    Lead,
    /// How many different values a key has.
    DistinctCount,
    /// Calls whose answers leave in order; of one split.
    OrderedLookup,
    /// Calls whose answers leave as they come, and windows behind them.
    UnorderedLookup,
    /// A function's output and its side outputs.
    TaggedSides,
    /// Counts, held back in three places.
    RateLimits,
}

/// All shapes.
pub const SHAPES: [Shape; 34] = [
    Shape::Stateless,
    Shape::Counts,
    Shape::SumsAtEnd,
    Shape::SumChanges,
    Shape::Tumbling,
    Shape::Hopping,
    Shape::Exact,
    Shape::Process,
    Shape::ProcessInOrder,
    Shape::Joined,
    Shape::TwoStages,
    Shape::TwoOutputs,
    Shape::IntervalJoin,
    Shape::WindowJoin,
    Shape::AsOfJoin,
    Shape::TableJoin,
    Shape::Sessions,
    Shape::LateSessions,
    Shape::LateHopping,
    Shape::OnClose,
    Shape::CountWindows,
    Shape::SlidingCounts,
    Shape::Patterns,
    Shape::Dedup,
    Shape::KeepLast,
    Shape::TopN,
    Shape::OverRange,
    Shape::Lag,
    Shape::Lead,
    Shape::DistinctCount,
    Shape::OrderedLookup,
    Shape::UnorderedLookup,
    Shape::TaggedSides,
    Shape::RateLimits,
];

/// The numbers of a job.
#[derive(Debug, Clone, Copy)]
pub struct Params {
    /// Events whose amount leaves no rest here are filtered out.
    pub modulus: i64,
    /// An event has as many copies as its number leaves here.
    pub copies: u64,
    /// How long windows are.
    pub length: i64,
    /// How far apart they are.
    pub slide: i64,
    /// How long before a record exact windows end.
    pub delay: i64,
    /// How late an event may be and is let into the job.
    pub kept: i64,
}

/// Where rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    /// One file.
    File,
    /// A directory of files.
    Directory,
    /// A stalling one of each.
    Both,
}

/// A random job with its input.
#[derive(Debug, Clone)]
pub struct Case {
    /// Of which it was drawn.
    pub seed: u64,
    /// What it does.
    pub shape: Shape,
    /// Its numbers.
    pub params: Params,
    /// How far out of order events may be.
    pub lateness_micros: i64,
    /// The input.
    pub splits: Vec<Vec<Event>>,
    /// Where rows go.
    pub outputs: Outputs,
}

impl Case {
    /// A job of any shape, of up to `events_max` events a split.
    #[must_use]
    pub fn draw(seed: u64, events_max: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0xca5e);
        let shape = *chance.pick(&SHAPES);
        Self::of(shape, seed, events_max)
    }

    /// A job of this shape.
    #[must_use]
    pub fn of(shape: Shape, seed: u64, events_max: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0xca5e_0001);
        let split_count = match shape {
            Shape::SumChanges
            | Shape::Joined
            | Shape::AsOfJoin
            | Shape::TableJoin
            | Shape::CountWindows
            | Shape::SlidingCounts
            | Shape::OrderedLookup => 1,
            _ => 1 + chance.below(3),
        };
        let lateness_micros = signed(*chance.pick(&[0, 500, 20_000]));
        let key_count = *chance.pick(&[1, 7, 200]);
        let events_max = match shape {
            // Every event of a key may meet every other.
            Shape::IntervalJoin | Shape::WindowJoin | Shape::TableJoin => events_max.min(150),
            _ => events_max,
        };
        let split = |number| {
            let mut chance = chance.fork();
            let count = events_max / 2 + chance.below(events_max / 2 + 1);
            events(&mut chance, number * 1_000_000, count, lateness_micros, key_count)
        };
        let splits = (0..split_count).map(split).collect();
        let length = signed(1_000 * (1 + chance.below(50)));
        let params = Params {
            modulus: signed(2 + chance.below(5)),
            copies: 2 + chance.below(2),
            length,
            delay: if chance.one_in(2) { length / 2 } else { 0 },
            slide: (length / signed(1 + chance.below(4))).max(1),
            kept: match shape {
                Shape::LateSessions | Shape::LateHopping | Shape::OnClose => {
                    *chance.pick(&[300, length, lateness_micros])
                }
                _ => 0,
            },
        };
        let outputs = *chance.pick(&[Outputs::File, Outputs::Directory, Outputs::Both]);
        Self { seed, shape, params, lateness_micros, splits, outputs }
    }

    /// The job, for one run.
    #[must_use]
    pub fn build(&self, world: &World) -> Job {
        let job = Job::new();
        let splits = self.splits.iter().zip(0..).map(|(events, number)| {
            world.stalled(VecSplit::new(format!("split {number}"), events.clone()), number)
        });
        let late = format_fn::<Event, _>(|_, event: EventView<'_>, out: &mut Vec<u8>| {
            out.extend_from_slice(event.number.to_string().as_bytes());
        });
        let options = SourceOptions::new()
            .lateness(TimeSpan::micros(self.lateness_micros))
            .keep_late(TimeSpan::micros(self.params.kept))
            .late(FileSink::new(world.path("late"), late));
        let events = job.source(Splits::new(splits.collect()), options);
        self.shape_job(events, world);
        job
    }

    fn shape_job(&self, events: Stream<Event>, world: &World) {
        let params = self.params;
        let csv = || Csv::new().header_line(false);
        let more = || world.stalling(FileSink::new(world.path("more"), csv()));
        match self.shape {
            Shape::Stateless => self.end(shapes::stateless(events, params), world),
            Shape::Counts => self.end(shapes::counts(events, params), world),
            Shape::SumsAtEnd => self.end(shapes::sums_at_end(events, params), world),
            Shape::SumChanges => self.end(shapes::sum_changes(events, params), world),
            Shape::Tumbling => self.end(shapes::tumbling(events, params), world),
            Shape::Hopping => self.end(shapes::hopping(events, params), world),
            Shape::Exact => self.end(shapes::exact(events, params), world),
            Shape::Process => self.end(shapes::process(events, params), world),
            Shape::ProcessInOrder => self.end(shapes::process_in_order(events, params), world),
            Shape::Joined => self.end(shapes::joined(events, params), world),
            Shape::TwoStages => self.end(shapes::two_stages(events, params), world),
            Shape::IntervalJoin => self.end(joins::interval_join(events, params), world),
            Shape::WindowJoin => self.end(joins::window_join(events, params), world),
            Shape::AsOfJoin => self.end(joins::as_of_join(events, params), world),
            Shape::TableJoin => self.end(joins::table_join(events, params), world),
            Shape::Sessions => self.end(windows::sessions(events, params), world),
            Shape::LateSessions => self.end(windows::late_sessions(events, params), world),
            Shape::LateHopping => self.end(windows::late_hopping(events, params), world),
            Shape::OnClose => self.end(windows::on_close(events, params), world),
            Shape::CountWindows => self.end(windows::count_windows(events, params), world),
            Shape::SlidingCounts => self.end(windows::sliding_counts(events, params), world),
            Shape::Dedup => self.end(rows::dedup(events, params), world),
            Shape::KeepLast => self.end(rows::keep_last(events, params), world),
            Shape::TopN => self.end(rows::top_n(events, params), world),
            Shape::OverRange => self.end(rows::over_range(events, params), world),
            Shape::Lag => self.end(rows::lag(events, params), world),
            Shape::Lead => self.end(rows::lead(events, params), world),
            Shape::DistinctCount => self.end(rows::distinct(events, params), world),
            Shape::OrderedLookup => self.end(lookups::ordered(events, params), world),
            Shape::UnorderedLookup => self.end(lookups::unordered(events, params), world),
            Shape::RateLimits => self.end(flows::limited(events, params), world),
            Shape::TaggedSides => {
                let (gains, sides) = flows::tagged(events, params);
                self.end(gains, world);
                sides.to(more());
            }
            Shape::TwoOutputs => {
                self.end(shapes::counts(events.clone(), params), world);
                shapes::hopping(events, params).to(more());
            }
            Shape::Patterns => {
                let (found, lost) = crate::patterns::patterns(events, params);
                self.end(found, world);
                lost.to(more());
            }
        }
    }

    fn end<C: pelton::job::Chain<Out = Row>>(&self, rows: Stream<Row, C>, world: &World) {
        let csv = || Csv::new().header_line(false);
        let file = FileSink::new(world.path("rows"), csv());
        let directory = DirectorySink::new(world.path("parts"), csv());
        match self.outputs {
            Outputs::File => rows.to(file),
            Outputs::Directory => rows.to(directory),
            Outputs::Both => rows.to(Both(world.stalling(file), world.stalling(directory))),
        }
    }

    /// What an outcome's files hold against what the oracle says.
    ///
    /// # Errors
    /// What differs, and how to see it again.
    pub fn compare(&self, outcome: &Outcome) -> Result<(), String> {
        let expected = oracle::run(self);
        let names: &[&str] = match self.outputs {
            Outputs::File => &["rows"],
            Outputs::Directory => &["parts"],
            Outputs::Both => &["rows", "parts"],
        };
        let of_rows = names.iter().map(|name| (*name, &expected.rows));
        for (name, lines) in of_rows.chain([("late", &expected.late), ("more", &expected.more)]) {
            oracle::differs(lines, &outcome.lines(name)).map_err(|what| {
                format!("{name} of seed {}, {:?}: {what}", self.seed, self.shape)
            })?;
        }
        Ok(())
    }
}

/// What is wrong with an outcome: a bug that showed itself, no end, or other lines than the oracle's.
///
/// # Errors
/// What is wrong.
pub fn verdict(case: &Case, outcome: &Outcome) -> Result<(), String> {
    match outcome {
        Outcome { bugs, .. } if !bugs.is_empty() => Err(format!("bugs: {bugs:?}")),
        Outcome { ended: false, errors, .. } => Err(format!("it never ended: {errors:?}")),
        _ => case.compare(outcome),
    }
}

/// A number from the environment: how long a test runs, or where it begins.
#[must_use]
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What the manifests of a state directory show of its logs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logs {
    /// The highest number of a log's first segment: above 0, segments before it were let go.
    pub first_segment_max: u32,
    /// Of how many segments the longest log is.
    pub segment_count_max: usize,
}

impl Logs {
    /// Looks at the manifests that a simulation has left.
    pub fn look(&mut self, outcome: &Outcome) {
        for (path, bytes) in outcome.disk().copy_tree() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with("manifest-") {
                continue;
            }
            for log in decode(&bytes).map(|manifest| manifest.logs).unwrap_or_default() {
                let first = log.segments.first().map_or(0, |segment| segment.number);
                self.first_segment_max = self.first_segment_max.max(first);
                self.segment_count_max = self.segment_count_max.max(log.segments.len());
            }
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("a small number")
}

/// Events that move on in time, out of order by up to twice the lateness.
fn events(
    chance: &mut Chance,
    first_number: u64,
    count: u64,
    lateness_micros: i64,
    key_count: u64,
) -> Vec<Event> {
    let mut now = 0;
    let event = |index| {
        now += signed(chance.below(1_000));
        let back =
            if chance.one_in(4) { chance.below(lateness_micros.unsigned_abs() * 2) } else { 0 };
        let key = chance.skewed(key_count);
        let key = match key % 9 {
            8 => format!("a key that is longer than a line of the cache, much longer, {key}"),
            _ => format!("k{key}"),
        };
        Event {
            time: EventTime(now - signed(back)),
            key,
            bucket: chance.below(5),
            number: first_number + index,
            amount: signed(chance.below(2_000)) - 1_000,
        }
    };
    (0..count).map(event).collect()
}

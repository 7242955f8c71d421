//! Is a job right whatever goes wrong? `cargo run -p pelton --example simulate [-- seeds]`
//!
//! Runs a job that counts clicks on a simulated disk that loses power and fails, with another number
//! of shards at each restart, and compares its output with what it must be; then the same job with a
//! bug that only a crash shows. The same seed gives the same run.
#![expect(clippy::print_stdout, reason = "a program that shows its results")]

use std::collections::BTreeMap;
use std::time::Duration;

use pelton::chain::operators::{ProcessContext, ProcessFunction, States, ValueState};
use pelton::job::{SourceOptions, Splits};
use pelton::sim::{Chance, Simulation, World};
use pelton::sink::{Csv, FileSink};
use pelton::source::VecSplit;
use pelton::{Job, Stream};

#[pelton::record]
struct Click {
    user: String,
}

#[pelton::record]
struct Numbered {
    user: String,
    number: u64,
}

/// Numbers the clicks of each user. With the bug it keeps the numbers in a field of its own, which
/// no checkpoint holds.
#[derive(Clone, Default)]
struct Number {
    has_bug: bool,
    own: BTreeMap<String, u64>,
}

const LAST: ValueState<u64> = ValueState::new(0);

impl ProcessFunction for Number {
    type Key = String;
    type In = Click;
    type Out = Numbered;

    fn states(&self, states: &mut States) {
        states.value("last", LAST);
    }

    fn on_record(
        &mut self,
        context: &mut ProcessContext<'_, Numbered>,
        user: &str,
        _: ClickView<'_>,
    ) {
        let own = self.own.entry(user.to_owned()).or_default();
        *own += 1;
        let number = context.get(LAST).unwrap_or(0) + 1;
        context.set(LAST, number);
        let number = if self.has_bug { *own } else { number };
        context.emit(NumberedView { user, number });
    }
}

#[pelton::job]
fn numbered(clicks: Stream<Click>, number: Number) -> Stream<Numbered> {
    clicks.key_by(|c| c.user).process(number)
}

/// The same in every run of one simulation; few users have most of the clicks.
fn clicks(mut chance: Chance) -> Vec<Click> {
    (0..2_000).map(|_| Click { user: format!("u{}", chance.skewed(40)) }).collect()
}

fn job(world: &World, has_bug: bool) -> Job {
    let job = Job::new();
    let split = world.stalled(VecSplit::new("clicks", clicks(world.chance())), 0);
    let clicks = job.source(Splits::new(vec![split]), SourceOptions::new());
    let file = FileSink::new(world.path("numbered.csv"), Csv::new().header_line(false));
    numbered(clicks, Number { has_bug, ..Number::default() }).to(world.stalling(file));
    job
}

/// What the file must hold, in any order of its lines.
fn expected(seed: u64) -> Vec<String> {
    let mut last = BTreeMap::new();
    let number = |click: Click| {
        let last = last.entry(click.user.clone()).or_insert(0);
        *last += 1;
        format!("{},{last}", click.user)
    };
    let mut lines: Vec<String> = clicks(Chance::new(seed)).into_iter().map(number).collect();
    lines.sort_unstable();
    lines
}

/// Simulates `seeds` seeds, and answers how often the output was wrong.
pub(crate) fn run(seeds: u64, has_bug: bool) -> u64 {
    let mut wrong = 0;
    for seed in 0..seeds {
        let simulation = Simulation::new(seed)
            .shards(1..=4)
            .crashes(2)
            .faults(2)
            .within(300)
            .interval(Duration::from_micros(100))
            .ring_bytes(2_048);
        let outcome = simulation.run(|world| job(world, has_bug));
        if !outcome.ended || outcome.lines("numbered.csv") != expected(seed) {
            wrong += 1;
            println!("wrong with seed {seed}: {outcome:?}");
        }
    }
    wrong
}

fn main() {
    let seeds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20);
    let (right, with_bug) = (run(seeds, false), run(seeds, true));
    println!("{seeds} seeds: wrong {right} times; with the bug {with_bug} times");
}

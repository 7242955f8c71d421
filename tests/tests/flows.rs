//! Side outputs by tag, and rate limits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pelton::chain::SideTag;
use pelton::chain::operators::{
    BroadcastFunction, MapState, PairFunction, ProcessContext, ProcessFunction, SharedContext,
    States,
};
use pelton::job::plan::PlanFormat;
use pelton::record::FrameHeader;
use pelton::sim::{Chance, Simulation};
use pelton::sink::callback;
use pelton::{Driver, Engine, Job, JobError};
use pelton_tests::runs::{self, settings};
use pelton_tests::simulated::{Case, Shape, setting, verdict};

#[test]
fn differential_tags_and_limits_equal_the_oracle_whatever_goes_wrong() {
    let count = setting("PELTON_FLOW_JOBS", 60);
    let (mut crashes, mut faults, mut epochs) = (0, 0, 0);
    for seed in 0..count {
        let mut chance = Chance::new(seed ^ 0xf10e);
        let shape = *chance.pick(&[Shape::TaggedSides, Shape::RateLimits]);
        let case = Case::of(shape, seed, *chance.pick(&[20, 150, 900]));
        let simulation = Simulation::new(seed)
            .shards(1..=4)
            .crashes(*chance.pick(&[0, 1, 3]))
            .faults(*chance.pick(&[0, 1, 2]))
            .interval(Duration::from_micros(100 + chance.below(900)))
            .ring_bytes(*chance.pick(&[2_048, 16 << 10]))
            .stalls(*chance.pick(&[0, 24, 90]));
        let outcome = simulation.run(|world| case.build(world));
        crashes += outcome.crashes;
        faults += outcome.faults_hit;
        epochs += outcome.epochs;
        let found = verdict(&case, &outcome);
        assert_eq!(found, Ok(()), "seed {seed}, {shape:?}; `PELTON_FLOW_JOBS` says how many run");
    }
    eprintln!("{count} random jobs: {crashes} crashes, {faults} faults, {epochs} epochs");
}

#[pelton::record]
struct Number {
    key: u64,
    value: u64,
}

#[pelton::record]
struct Word {
    text: String,
}

const WORDS: SideTag<Word> = SideTag::new(0);
/// The same number for another record.
const CLASH: SideTag<Number> = SideTag::new(0);

fn numbers(job: &Job, count: u64) -> pelton::Stream<Number> {
    job.records((0..count).map(|value| Number { key: value % 7, value }).collect())
}

/// Emits numbers to a clashing tag, or words.
#[derive(Clone)]
struct Says(bool);

impl ProcessFunction for Says {
    type Key = u64;
    type In = Number;
    type Out = Number;

    fn on_record(&mut self, context: &mut ProcessContext<'_, Number>, _: u64, number: NumberView) {
        context.emit(number);
        let text = number.value.to_string();
        if self.0 {
            context.emit_to(CLASH, number);
        } else {
            context.emit_to(WORDS, WordView { text: &text });
        }
    }
}

#[test]
fn a_tag_that_is_asked_for_twice_is_two_branches_and_an_unheard_one_is_dropped() {
    for run in 0..12 {
        let job = Job::new();
        let said = numbers(&job, 500).key_by(|n, key| key.of(n.key)).process_tagged(Says(false));
        let (main, sides) = said.named("said").with_sides();
        let main = main.collect();
        let words = [sides.tagged(WORDS).collect(), sides.tagged(WORDS).collect()];
        let unheard = numbers(&job, 500).key_by(|n, key| key.of(n.key)).process(Says(false));
        let unheard = unheard.named("unheard").collect();
        assert_eq!(job.plan().outputs.len(), 4, "both branches of the side output are in the plan");
        runs::run(&settings(run), job).unwrap();
        assert_eq!((main.take_rows().len(), unheard.take_rows().len()), (500, 500), "run {run}");
        for words in words {
            let mut values: Vec<u64> =
                words.take_rows().iter().map(|word| word.text.parse().unwrap()).collect();
            values.sort_unstable();
            assert_eq!(values, (0..500).collect::<Vec<_>>(), "run {run}");
        }
    }
}

#[test]
fn two_tags_of_one_number_never_read_each_others_records() {
    let job = Job::new();
    let said = numbers(&job, 5).key_by(|n, key| key.of(n.key)).process_tagged(Says(true));
    let (main, sides) = said.named("said").with_sides();
    main.collect();
    sides.tagged(WORDS).collect();
    let error = Engine::new().shards(1).driver(Driver::Threads).run(job).unwrap_err();
    let JobError::Panicked { operator, message, .. } = error else { panic!("{error}") };
    assert_eq!(operator, "said");
    assert!(message.contains("two tags have one number"), "{message}");
}

#[derive(Clone)]
struct OfTwo;

impl PairFunction for OfTwo {
    type Key = u64;
    type Left = Number;
    type Right = Number;
    type Out = Number;

    fn on_left(&mut self, context: &mut ProcessContext<'_, Number>, _: u64, left: NumberView) {
        context.emit(left);
    }

    fn on_right(&mut self, context: &mut ProcessContext<'_, Number>, _: u64, right: NumberView) {
        context.emit_to(CLASH, right);
    }
}

const KNOWN: MapState<u64, u64> = MapState::new(0);

#[derive(Clone)]
struct OfAll;

impl BroadcastFunction for OfAll {
    type Key = u64;
    type In = Number;
    type Broadcast = Word;
    type Out = Number;

    fn shared_states(&self, states: &mut States) {
        states.map("known", KNOWN);
    }

    fn on_broadcast(&mut self, context: &mut SharedContext<'_>, word: WordView<'_>) {
        context.insert(KNOWN, word.text.len() as u64, 1);
    }

    fn on_record(&mut self, context: &mut ProcessContext<'_, Number>, _: u64, number: NumberView) {
        match number.value % 2 {
            0 => context.emit(number),
            _ => context.emit_to(WORDS, WordView { text: "odd" }),
        }
    }
}

#[test]
fn functions_of_two_streams_have_side_outputs_too() {
    let job = Job::new();
    let left = numbers(&job, 30).key_by(|n, key| key.of(n.key));
    let right = numbers(&job, 20).key_by(|n, key| key.of(n.key));
    let (main, sides) = left.join(right).process_tagged(OfTwo).named("two").with_sides();
    let (main, side) = (main.collect(), sides.tagged(CLASH).collect());
    let words = job.records(vec![Word { text: "a".to_owned() }]);
    let all = numbers(&job, 11).key_by(|n, key| key.of(n.key));
    let all = all.process_with_broadcast_tagged(words, OfAll).named("all");
    let (even, sides) = all.with_sides();
    let (even, odd) = (even.collect(), sides.tagged(WORDS).collect());
    Engine::new().shards(2).driver(Driver::Threads).run(job).unwrap();
    assert_eq!((main.take_rows().len(), side.take_rows().len()), (30, 20));
    assert_eq!((even.take_rows().len(), odd.take_rows().len()), (6, 5));
}

/// When the simulated clock starts.
const START_MICROS: i64 = 1_600_000_000_000_000;

/// Says when a number came.
#[derive(Clone)]
struct Note;

impl ProcessFunction for Note {
    type Key = u64;
    type In = Number;
    type Out = Number;

    fn on_record(&mut self, context: &mut ProcessContext<'_, Number>, key: u64, _: NumberView) {
        let micros = context.wall_micros() - START_MICROS;
        context.emit(NumberView { key, value: micros.unsigned_abs() });
    }
}

/// When each of so many numbers came through a limit in a stage of all shards, on the simulated clock.
fn limited(seed: u64, shards: u16, count: u64, per_second: f64, burst: u32) -> Vec<u64> {
    let job = Job::new();
    let rows = numbers(&job, count)
        .key_by(|n, key| key.of(n.key))
        .count()
        .named("counts")
        .changes()
        .rate_limit(per_second, burst)
        .map(|c, out| out.emit(NumberView { key: c.key, value: c.value }))
        .key_by(|n, key| key.of(n.value))
        .process(Note)
        .named("note")
        .collect();
    let engine = Engine::new().shards(shards).driver(Driver::Simulator { seed });
    engine.run(job).expect("the job runs");
    let mut at: Vec<u64> = rows.take_rows().into_iter().map(|row| row.value).collect();
    at.sort_unstable();
    at
}

#[test]
fn a_limit_is_that_of_the_job_and_kept_to_the_clock_on_any_shards() {
    for seed in 0..8 {
        for shards in [1, 2, 5] {
            for burst in [1_u32, 51] {
                let at = limited(seed, shards, 101, 100.0, burst);
                assert_eq!(at.len(), 101, "nothing is lost or doubled");
                for (number, &micros) in (0_u64..).zip(&at) {
                    // What comes late only because a turn does is a few milliseconds late at most.
                    let due_ms = (number + 1).saturating_sub(u64::from(burst)) * 10;
                    let came_ms = micros / 1_000;
                    assert!(
                        (due_ms..due_ms + 9).contains(&came_ms),
                        "seed {seed}, {shards} shards, burst {burst}, number {number}: {came_ms} ms"
                    );
                }
            }
        }
        assert_eq!(limited(seed, 3, 50, 900.0, 4), limited(seed, 3, 50, 900.0, 4));
    }
}

#[test]
fn a_stage_that_is_held_back_holds_up_no_other() {
    let job = Job::new();
    let seen: Arc<Mutex<Vec<&str>>> = Arc::default();
    let note = |name: &'static str| {
        let seen = Arc::clone(&seen);
        callback::<Number, _>(move |_: &FrameHeader, _: NumberView| seen.lock().unwrap().push(name))
    };
    numbers(&job, 20).rate_limit(1.0, 1).to(note("slow"));
    numbers(&job, 5_000).to(note("fast"));
    Engine::new().shards(1).driver(Driver::Simulator { seed: 1 }).run(job).unwrap();
    let seen = seen.lock().unwrap();
    let slow: Vec<usize> = (0..seen.len()).filter(|&at| seen[at] == "slow").collect();
    assert_eq!((slow.len(), seen.len()), (20, 5_020));
    assert!(slow[1] >= 5_001, "all of the fast ones came within the first second: {slow:?}");
}

#[test]
fn a_limit_that_can_not_work_is_refused_by_its_place() {
    for (per_second, burst) in [(0.0, 1), (f64::NAN, 1), (5.0, 0)] {
        let job = Job::new();
        numbers(&job, 1).rate_limit(per_second, burst).collect();
        let line = line!() - 1;
        let refused = Engine::new().shards(1).run(job).unwrap_err().to_string();
        assert!(refused.contains(&format!("rate_limit at {}:{line}:", file!())), "{refused}");
        assert!(refused.contains("must be a positive number"), "{refused}");
    }
}

#[test]
fn limits_lose_and_double_nothing_under_any_driver() {
    for run in 0..12 {
        let job = Job::new();
        let rows = numbers(&job, 300)
            .rate_limit(200_000.0, 3)
            .flat_map(|n, out| out.emit_all((0..3).map(move |value| NumberView { value, ..n })))
            .rate_limit(300_000.0, 2)
            .key_by(|n, key| key.of(n.key))
            .count()
            .named("counts")
            .at_end()
            .collect();
        let plan = job.plan().draw(PlanFormat::Text);
        assert_eq!(plan.matches("rate_limit").count(), 2, "{plan}");
        runs::run(&settings(run), job).unwrap();
        let rows: BTreeMap<u64, u64> =
            rows.take_rows().into_iter().map(|row| (row.key, row.value)).collect();
        assert_eq!(rows.values().sum::<u64>(), 900, "run {run}");
        assert_eq!(rows.len(), 7, "run {run}");
    }
}

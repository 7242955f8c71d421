//! How jobs end, and what a program sees of one that never does.

use std::time::Duration;

use pelton::job::{SourceOptions, Splits};
use pelton::source::GeneratorSplit;
use pelton::{Driver, Engine, Job, JobError};

#[pelton::record]
struct Tick {
    number: u64,
}

/// Long enough for any machine; a job that hangs fails by it.
const PATIENCE: Duration = Duration::from_secs(60);

fn endless(job: &Job) -> pelton::Stream<Tick> {
    let split = GeneratorSplit::new("endless", |number| Some(Tick { number }));
    job.source(Splits::new(vec![split]), SourceOptions::new())
}

#[test]
fn a_job_that_is_never_quiet_hands_its_rows_over() {
    let job = Job::new();
    let rows = endless(&job).filter(|tick| tick.number.is_multiple_of(64)).collect();
    let running = Engine::new().shards(1).driver(Driver::Threads).start(job).unwrap();
    let mut taken = 0;
    while taken < 1_000 {
        assert!(!running.wait(Duration::from_millis(1)), "it ended with {taken} rows");
        taken += rows.take_rows().len();
    }
    running.abort();
    assert!(running.wait(PATIENCE));
}

#[test]
fn an_aborted_job_says_so() {
    let job = Job::new();
    let _rows = endless(&job).filter(|_| false).collect();
    let running = Engine::new().shards(2).driver(Driver::Threads).start(job).unwrap();
    running.abort();
    assert!(matches!(running.join(), Err(JobError::Aborted)));
}

#[test]
fn dropping_the_last_input_ends_the_job() {
    let job = Job::new();
    let (ticks, input) = job.push::<Tick>(4);
    let rows = ticks.collect();
    let running = Engine::new().shards(2).driver(Driver::Threads).start(job).unwrap();
    input.push(Tick { number: 7 }).unwrap();
    drop(input);
    assert!(running.wait(PATIENCE), "the split never ended");
    running.join().unwrap();
    assert_eq!(rows.take_rows(), [Tick { number: 7 }]);
}

#[pelton::record]
struct Page {
    text: String,
}

#[pelton::job]
fn grown(ticks: pelton::Stream<Tick>) -> pelton::Changelog<String, u64> {
    ticks.map(|_| Page { text: "x".repeat(1_000_000) }).key_by(|page| page.text).count()
}

#[test]
fn a_record_that_no_ring_takes_ends_the_job_with_its_size() {
    let job = Job::new();
    let rows = grown(job.records(vec![Tick { number: 1 }])).collect();
    let error = Engine::new().shards(2).driver(Driver::Threads).run(job).unwrap_err();
    assert!(error.to_string().contains("set a larger ring_bytes"), "{error}");
    assert!(rows.take_rows().is_empty());
}

#[test]
fn splits_are_numbered_over_all_sources_of_a_job() {
    let job = Job::new();
    let ticks = |count: u64| (0..count).map(|number| Tick { number }).collect::<Vec<_>>();
    let first = job.records(ticks(3)).collect();
    let second = job.records(ticks(2)).collect();
    Engine::new().shards(2).driver(Driver::Threads).run(job).unwrap();
    let splits = |rows: &pelton::sink::CollectSink<Tick>| {
        rows.take().iter().map(|row| row.header.position.split).collect::<Vec<_>>()
    };
    assert_eq!((splits(&first), splits(&second)), (vec![0; 3], vec![1; 2]));
}

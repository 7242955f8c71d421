//! Barriers through a running job.

use std::time::Duration;

use pelton::job::{SourceOptions, Splits};
use pelton::source::GeneratorSplit;
use pelton::{Driver, Engine, Job};

#[pelton::record]
struct Tick {
    key: u64,
}

const TICKS: u64 = 50_000;

#[test]
fn barriers_that_come_faster_than_they_align_hold_nothing_up() {
    let job = Job::new();
    let splits = (0..3).map(|split: u64| {
        GeneratorSplit::new(format!("split {split}"), move |index| {
            (index < TICKS).then_some(Tick { key: index * 3 + split })
        })
    });
    let ticks = job.source(Splits::new(splits.collect()), SourceOptions::new());
    let keyed = ticks.key_by(|tick, key| key.of(tick.key % 1_000));
    let counts = keyed.count().named("counts").at_end().collect();
    let running = Engine::new().shards(3).driver(Driver::Threads).start(job).unwrap();
    let mut epoch = 0;
    while !running.wait(Duration::ZERO) && epoch < 1_000_000 {
        epoch = running.barrier();
    }
    assert!(running.wait(Duration::from_secs(20)), "the job stands still after {epoch} barriers");
    let report = running.join().unwrap();
    assert_eq!(report.counts.total.accepted, 3 * TICKS);
    assert_eq!(counts.take_rows().len(), 1_000);
}

//! Random jobs with random faults and crashes, stalls and shard counts give what the oracle says.
//!
//! `PELTON_SIM_JOBS=1000` runs more of them; `PELTON_SIM_SEED=17` begins at that seed, and with
//! `PELTON_SIM_JOBS=1` runs that one alone.

use std::time::Duration;

use pelton::io::disk::{Fault, FaultKind};
use pelton::sim::{Chance, Outcome, Simulation};
use pelton_tests::simulated::{Case, Logs, setting, verdict};

fn simulate(seed: u64) -> (Case, Outcome) {
    let mut chance = Chance::new(seed ^ 0xface);
    let case = Case::draw(seed, *chance.pick(&[20, 150, 900, 2_500]));
    let mut simulation = Simulation::new(seed)
        .shards(1..=4)
        .crashes(*chance.pick(&[0, 1, 2, 3]))
        .faults(*chance.pick(&[0, 1, 2, 3]))
        .interval(Duration::from_micros(100 + chance.below(900)))
        .ring_bytes(*chance.pick(&[2_048, 16 << 10]))
        .stalls(*chance.pick(&[0, 24, 90]));
    if chance.one_in(4) {
        simulation = simulation.retained(1);
    }
    // More failures in a row than a job bears.
    if chance.one_in(4) {
        let at_operation = chance.skewed(400);
        let kind = *chance.pick(&[FaultKind::Eio, FaultKind::Enospc, FaultKind::FailedSync]);
        for _ in 0..2 + chance.below(7) {
            simulation = simulation.fault(Fault { at_operation, kind });
        }
    }
    if chance.one_in(3) {
        simulation = simulation.memory_bytes(256 << 10);
    }
    let outcome = simulation.run(|world| case.build(world));
    (case, outcome)
}

fn replay(seed: u64) -> String {
    format!(
        "replay: PELTON_SIM_SEED={seed} PELTON_SIM_JOBS=1 cargo test -p pelton-tests --test sim_jobs"
    )
}

#[test]
fn differential_random_jobs_equal_the_oracle_whatever_goes_wrong() {
    let (first, count) = (setting("PELTON_SIM_SEED", 0), setting("PELTON_SIM_JOBS", 300));
    let (mut runs, mut crashes, mut faults, mut epochs, mut operations) = (0, 0, 0, 0, 0);
    let (mut failures, mut logs) = (Vec::new(), Logs::default());
    for seed in first..first + count {
        let (case, outcome) = simulate(seed);
        runs += outcome.runs;
        crashes += outcome.crashes;
        faults += outcome.faults_hit;
        epochs += outcome.epochs;
        operations += outcome.operations;
        logs.look(&outcome);
        if let Err(what) = verdict(&case, &outcome) {
            eprintln!("seed {seed}, {:?}: {what}\n  {}", case.shape, replay(seed));
            failures.push(seed);
        }
    }
    eprintln!(
        "{count} random jobs from seed {first}: {runs} runs, {crashes} crashes, {faults} faults, \
         {epochs} epochs, {operations} disk operations, {logs:?}"
    );
    assert!(failures.is_empty(), "seeds {failures:?}; {}", replay(failures[0]));
    if count >= 300 {
        assert!(logs.first_segment_max > 0, "no log was ever compacted: {logs:?}");
        assert!(logs.segment_count_max > 1, "no log was ever longer than a segment: {logs:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let mut traces = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let [first, second] = [simulate(seed).1, simulate(seed).1];
        let traces_of = [first.disk().trace(), second.disk().trace()];
        let mut lines = traces_of[0].iter().zip(&traces_of[1]);
        assert_eq!(lines.find(|(first, second)| first != second), None, "seed {seed}");
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.errors, second.errors, "seed {seed}");
        assert_eq!((first.runs, first.epochs), (second.runs, second.epochs), "seed {seed}");
        assert_eq!(first.files(), second.files(), "seed {seed}");
        traces.insert(first.trace);
    }
    assert_eq!(traces.len(), 60, "another seed is another run");
}

//! Power is lost at every operation of a few jobs, several times with another chance of what
//! survives: they go on, come to their end, and have written what the oracle says.
//!
//! `PELTON_CRASH_STATES=20000` visits more states; a failure prints the command that replays it.

use std::time::Duration;

use pelton::io::disk::SimDisk;
use pelton::sim::{Chance, Outcome, Simulation};
use pelton_tests::simulated::{Case, Logs, Outputs, Shape, setting, verdict};

/// Jobs with several checkpoints: every shape that keeps state, and each kind of output.
fn scenarios() -> Vec<(Case, Simulation)> {
    let shapes = [
        (Shape::Process, Outputs::Both, 150),
        (Shape::Counts, Outputs::Directory, 150),
        (Shape::Hopping, Outputs::File, 400),
        (Shape::Exact, Outputs::Both, 300),
        (Shape::Joined, Outputs::Directory, 400),
        (Shape::ProcessInOrder, Outputs::File, 500),
        (Shape::Patterns, Outputs::Both, 300),
    ];
    let scenario = |(number, &(shape, outputs, events)): (usize, &(Shape, Outputs, u64))| {
        let seed = 1_000 + number as u64;
        let case = Case { outputs, ..Case::of(shape, seed, events) };
        let simulation = Simulation::new(seed)
            .shards(1..=3)
            .interval(Duration::from_micros(60))
            .stalls(60)
            .ring_bytes(2_048);
        (case, simulation)
    };
    shapes.iter().enumerate().map(scenario).collect()
}

#[test]
fn a_crash_at_every_operation_is_recovered_from() {
    let scenarios = scenarios();
    let lengths: Vec<u64> = scenarios
        .iter()
        .map(|(case, simulation)| {
            let outcome = simulation.run(|world| case.build(world));
            verdict(case, &outcome).unwrap();
            eprintln!(
                "{:?}: {} operations, {} epochs",
                case.shape, outcome.operations, outcome.epochs
            );
            assert!(outcome.epochs >= 3, "{:?}: {outcome:?}", case.shape);
            outcome.operations
        })
        .collect();
    let operations: u64 = lengths.iter().sum();
    let survivals = setting("PELTON_CRASH_STATES", 2_000).div_ceil(operations);
    let only = std::env::var("PELTON_CRASH_AT").ok();
    let (mut states, mut twice, mut runs, mut logs) = (0, 0, 0, Logs::default());
    for survival in 0..survivals {
        for (number, (case, simulation)) in scenarios.iter().enumerate() {
            for at in 0..lengths[number] {
                let place = format!("{number}:{at}:{survival}");
                if only.as_ref().is_some_and(|only| *only != place) {
                    continue;
                }
                let (outcome, is_twice) = crashed(case, simulation, at, survival);
                assert!(outcome.crashes >= 1, "{outcome:?}");
                verdict(case, &outcome).unwrap_or_else(|what| {
                    panic!(
                        "{:?}: {what}\nreplay: PELTON_CRASH_AT={place} PELTON_CRASH_STATES={} \
                         cargo test -p pelton-tests --test sim_crash_states",
                        case.shape,
                        operations * (survival + 1)
                    )
                });
                logs.look(&outcome);
                states += 1;
                twice += u64::from(is_twice);
                runs += outcome.runs;
            }
        }
    }
    eprintln!(
        "{states} crash states of {operations} operations in {} jobs, {survivals} chances of \
         survival each; {twice} lost power again; {runs} runs; {logs:?}",
        scenarios.len()
    );
}

/// Loses power at an operation, and every third time again, mostly while the job recovers.
fn crashed(case: &Case, simulation: &Simulation, at: u64, survival: u64) -> (Outcome, bool) {
    let seed = survival * 1_000_003 + at;
    let mut chance = Chance::new(seed);
    let mut simulation = simulation.clone().disk(SimDisk::new(seed)).crash_at(at);
    let is_twice = chance.one_in(3);
    if is_twice {
        simulation = simulation.crash_at(at + 1 + chance.skewed(60));
    }
    (simulation.run(|world| case.build(world)), is_twice)
}

//! Every operation of a job with three checkpoints, a crash and a recovery fails once, in every way
//! there is: the result is never wrong, the job never hangs, and at most it says clearly why not.
//!
//! A disk that breaks its word (a lost sync, a flipped bit) can make an output wrong that has no
//! checksums, as files of text have none: such faults on outputs are counted, and held to the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pelton::io::disk::{Fault, FaultKind, SimDisk};
use pelton::sim::{Outcome, Simulation};
use pelton_tests::simulated::{Case, Outputs, Shape, verdict};

const KINDS: [FaultKind; 10] = [
    FaultKind::Eio,
    FaultKind::Enospc,
    FaultKind::Erofs,
    FaultKind::ShortWrite,
    FaultKind::TornWrite,
    FaultKind::BitFlip,
    FaultKind::LostSync,
    FaultKind::Canceled,
    FaultKind::FailedSync,
    FaultKind::CrashHere,
];

/// What became of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// The operation can't fail like this.
    NotMet,
    /// The result is right.
    Right,
    /// A disk that broke its word, and the job says that it can't go on.
    Refused,
    /// A disk that broke its word for an output, which has no checksums.
    OutputDamaged,
}

fn fate(case: &Case, outcome: &Outcome, at: u64, kind: FaultKind) -> Result<Fate, String> {
    let trace = outcome.disk().trace();
    let prefix = format!("{at} ");
    let line = trace.iter().find(|line| line.starts_with(&prefix)).cloned().unwrap_or_default();
    if !line.ends_with(&format!(": {kind:?}")) {
        return Ok(Fate::NotMet);
    }
    let breaks_its_word = matches!(kind, FaultKind::BitFlip | FaultKind::LostSync);
    let answer = match verdict(case, outcome) {
        Ok(()) => Ok(Fate::Right),
        Err(what) if !outcome.bugs.is_empty() || !breaks_its_word => Err(what),
        Err(_) if line.contains("/out") => Ok(Fate::OutputDamaged),
        Err(_) if !outcome.ended => Ok(Fate::Refused),
        Err(what) => Err(what),
    };
    answer.map_err(|what| format!("{line}: {what}; errors {:?}", outcome.errors))
}

/// The trace without the lines that are no operations.
fn operations_of(outcome: &Outcome) -> Vec<String> {
    let trace = outcome.disk().trace().into_iter();
    trace.filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).collect()
}

/// Whether an operation can fail like this, by its line of the trace; where that can't be told, yes.
fn may_meet(line: &str, kind: FaultKind) -> bool {
    let name = line.split(' ').nth(1).unwrap_or_default();
    let is_sync = name == "sync";
    match kind {
        FaultKind::Eio | FaultKind::CrashHere => true,
        FaultKind::Enospc | FaultKind::Erofs => !["open", "list", "read"].contains(&name),
        FaultKind::ShortWrite | FaultKind::TornWrite => name == "write",
        FaultKind::BitFlip => ["write", "read"].contains(&name),
        FaultKind::LostSync => is_sync || name == "sync_directory",
        FaultKind::FailedSync => is_sync,
        FaultKind::Canceled => is_sync || name == "write",
    }
}

#[test]
fn every_operation_may_fail_once_in_every_way() {
    for (shape, outputs) in [(Shape::Process, Outputs::Both), (Shape::Counts, Outputs::Directory)] {
        let case = Case { outputs, ..Case::of(shape, 77, 60) };
        let simulation =
            Simulation::new(77).shards(1..=2).interval(Duration::from_micros(100)).stalls(40);
        let undisturbed = simulation.run(|world| case.build(world));
        verdict(&case, &undisturbed).unwrap();
        let simulation = simulation.crash_at(undisturbed.operations * 3 / 4);
        let recovered = simulation.run(|world| case.build(world));
        verdict(&case, &recovered).unwrap();
        assert!(recovered.epochs >= 3 && recovered.runs == 2, "{recovered:?}");

        let mut fates: BTreeMap<(String, Fate), u32> = BTreeMap::new();
        let mut wrong = Vec::new();
        let mut refusals = BTreeSet::new();
        for kind in KINDS {
            for (at, line) in (0..recovered.operations).zip(operations_of(&recovered)) {
                if !may_meet(&line, kind) {
                    continue;
                }
                let simulation = simulation.clone().fault(Fault { at_operation: at, kind });
                let outcome = simulation.run(|world| case.build(world));
                if !outcome.ended {
                    refusals.extend(outcome.errors.last().cloned());
                }
                match fate(&case, &outcome, at, kind) {
                    Ok(fate) => *fates.entry((format!("{kind:?}"), fate)).or_default() += 1,
                    Err(what) => wrong.push(what),
                }
            }
        }
        eprintln!("{shape:?}: {} operations, {} epochs", recovered.operations, recovered.epochs);
        for ((kind, fate), count) in fates.iter().filter(|((_, fate), _)| *fate != Fate::NotMet) {
            eprintln!("  {kind:<12} {fate:<14?} {count}", fate = format!("{fate:?}"));
        }
        for refusal in &refusals {
            eprintln!("  refused: {refusal}");
        }
        for what in wrong.iter().take(12) {
            eprintln!("wrong: {what}");
        }
        assert!(wrong.is_empty(), "{} faults of {shape:?}", wrong.len());
    }
}

/// The disk is full from the first byte on, or later, and stays so until the job has given up: then
/// it is given room, and goes on from there.
#[test]
fn a_full_disk_is_told_and_room_is_all_that_the_job_needs() {
    let case = Case { outputs: Outputs::Both, ..Case::of(Shape::Process, 78, 400) };
    let simulation = Simulation::new(78).interval(Duration::from_micros(100)).ring_bytes(2_048);
    let (mut full, mut never_full, mut epochs) = (0, 0, 0);
    for kilobytes in (4..300).step_by(4) {
        let disk = SimDisk::new(kilobytes);
        disk.set_capacity(Some(kilobytes << 10));
        let outcome = simulation.clone().disk(disk.clone()).run(|world| case.build(world));
        assert!(outcome.bugs.is_empty(), "{outcome:?}");
        if outcome.ended {
            assert_eq!(verdict(&case, &outcome), Ok(()), "{kilobytes} KiB");
            never_full += 1;
            continue;
        }
        let last = outcome.errors.last().cloned().unwrap_or_default();
        assert!(last.contains("full") || last.contains("No space"), "{kilobytes} KiB: {last}");
        epochs += outcome.epochs;
        disk.set_capacity(None);
        let outcome = simulation.clone().disk(disk).run(|world| case.build(world));
        assert_eq!(verdict(&case, &outcome), Ok(()), "{kilobytes} KiB");
        full += 1;
    }
    eprintln!("{full} disks were full, after {epochs} epochs in all; {never_full} were not");
    assert!(full > 5 && never_full > 0 && epochs > 0);
}

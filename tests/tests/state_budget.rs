//! State four times as large as its memory budget, under a limit that the kernel enforces.
//!
//! The test runs itself a second time as a child whose private writable memory is limited
//! (`ulimit -d`): with a budget the job comes to its end with the right result; without one the same
//! job under the same limit does not, so the limit is one.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::process::{Command, Output};
use std::time::Duration;

use pelton::chain::operators::{ProcessContext, ProcessFunction, States, ValueState};
use pelton::job::{Checkpoints, SourceOptions, Splits};
use pelton::sink::tally;
use pelton::source::GeneratorSplit;
use pelton::{Driver, Engine, Job, Settings};

const KEYS: u64 = 700_000;
/// Each key is changed so many times, in turns: every change reads an entry that has long gone to
/// the disk.
const ROUNDS: u64 = 2;
const BUDGET_BYTES: u64 = 32 << 20;
/// Beside the budget: the index, the rings, the stacks, what the allocator holds, and what is written
/// between two checkpoints.
const LIMIT_KIB: u64 = 128 << 10;
/// Records a second: the disk must keep up, as only what is durable can leave the memory.
const RATE: f64 = 400_000.0;
/// What the child is to do; absent in the parent.
const ROLE: &str = "PELTON_STATE_BUDGET";

#[pelton::record]
struct Visit {
    key: u64,
}

/// 160 bytes a key.
#[pelton::state]
struct Seen {
    count: u64,
    key: u64,
    ballast: [u64; 18],
}

const SEEN: ValueState<Seen> = ValueState::new(0);

/// Says a key again when it has seen it for the last time.
#[derive(Clone)]
struct See;

impl ProcessFunction for See {
    type Key = u64;
    type In = Visit;
    type Out = Visit;

    fn states(&self, states: &mut States) {
        states.value("seen", SEEN);
    }

    fn on_record(&mut self, context: &mut ProcessContext<'_, Visit>, key: u64, _: VisitView) {
        let mut seen = context.get(SEEN).unwrap_or_default();
        assert!(seen.count == 0 || seen.key == key, "the state of another key");
        (seen.count, seen.key) = (seen.count + 1, key);
        context.set(SEEN, seen);
        if seen.count == ROUNDS {
            context.emit(VisitView { key });
        }
    }
}

/// The child: says how many keys were seen twice, and how much of the state was on the disk alone.
fn run(has_budget: bool) {
    let directory = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::new(directory.path()).every(Duration::from_millis(50));
    checkpoints.segment_bytes = 1 << 20;
    checkpoints.memory_bytes = has_budget.then_some(BUDGET_BYTES);
    let job = Job::new();
    // 611,953 is a prime that does not divide the number of keys: each comes once a round.
    let visit = |number: u64| Visit { key: number * 611_953 % KEYS };
    let split = GeneratorSplit::new("visits", move |n| (n < KEYS * ROUNDS).then(|| visit(n)));
    let visits = job.source::<Visit, _>(Splits::new(vec![split]), SourceOptions::new());
    let seen =
        tally::<Visit, u64, _, _>(0, |count, _, _| *count += 1, |left, right| *left += right);
    visits.key_by(|visit, key| key.of(visit.key)).process(See).named("see").to(seen.clone());
    let settings = Settings { rate: Some(RATE), ..Settings::default() };
    let engine = Engine::with(settings).shards(1).driver(Driver::Threads).checkpoints(checkpoints);
    let report = engine.run(job).unwrap();
    eprintln!("seen {} log {}", seen.total(), report.counts.total.state_bytes);
}

fn child(role: &str) -> Output {
    let program = std::env::current_exe().unwrap();
    let mut child = Command::new("sh");
    child.args(["-c", &format!("ulimit -d {LIMIT_KIB} && exec \"$0\" --nocapture")]);
    // The standard library can't print a backtrace where there is no memory: it waits for itself.
    child.arg(program).env(ROLE, role).env("RUST_BACKTRACE", "0").output().unwrap()
}

#[test]
fn state_may_be_four_times_its_budget_under_a_limit_of_the_kernel() {
    match std::env::var(ROLE).as_deref() {
        Ok("with a budget") => return run(true),
        Ok(_) => return run(false),
        Err(_) => {}
    }
    let with = child("with a budget");
    let said = String::from_utf8_lossy(&with.stderr).into_owned();
    assert!(with.status.success(), "{said}");
    let line = said.lines().find(|line| line.starts_with("seen ")).unwrap();
    let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [seen, log_bytes] = numbers[..] else { panic!("{line}") };
    assert_eq!(seen, KEYS);
    assert!(log_bytes >= 4 * BUDGET_BYTES, "{log_bytes} bytes of state are no four budgets");
    assert!(log_bytes > LIMIT_KIB << 10, "it would have had room in memory");
    let without = child("without one");
    assert!(!without.status.success(), "the limit of {LIMIT_KIB} KiB is none");
    let said = String::from_utf8_lossy(&without.stderr);
    assert!(said.contains("no memory for") && said.contains("--memory"), "{said}");
}

//! The plans and expansions of this program's jobs, held to files that people have read.
//!
//! `PELTON_GOLDEN=overwrite cargo test -p pelton-cli --test plans` takes new ones over; then read
//! the difference. Lines and columns of the jobs' own text are left out, as they move.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::fs;
use std::path::Path;

use pelton::command::{ExpandArgs, PlanArgs};
use pelton::job::plan::{Plan, PlanFormat};
use pelton_cli::cli::{ExpandOf, JobName, PlanOf};
use pelton_cli::plans;

const JOBS: [(&str, JobName); 2] = [("fraud", JobName::Fraud), ("clicks", JobName::Clicks)];

/// What `show` writes to the file that it is given.
fn shown(show: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shown");
    show(&file);
    fs::read_to_string(file).unwrap()
}

fn plan(job: JobName, format: PlanFormat) -> String {
    shown(|file| {
        let plan = PlanArgs { format, output: file.to_owned() };
        plans::plan(&PlanOf { job, plan }).unwrap();
    })
}

fn expansion(job: JobName) -> String {
    shown(|file| {
        let expand = ExpandArgs { output: file.to_owned() };
        plans::expand(&ExpandOf { job, expand }).unwrap();
    })
}

#[track_caller]
fn assert_golden(name: &str, found: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans").join(name);
    if std::env::var_os("PELTON_GOLDEN").is_some_and(|value| value == "overwrite") {
        fs::write(&file, found).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, expected, "{name} is another; see the head of this test");
}

/// The lines that tell a place in the job's text, without the place.
fn placeless(json: &str) -> String {
    let is_place = |line: &str| ["\"line\": ", "\"column\": "].iter().any(|key| line.contains(key));
    let line = |line: &str| match line.split_once(": ") {
        Some((key, value)) if is_place(line) => {
            let comma = if value.ends_with(',') { "," } else { "" };
            format!("{key}: 0{comma}\n")
        }
        _ => format!("{line}\n"),
    };
    json.lines().map(line).collect()
}

#[test]
fn plans_are_what_people_have_read() {
    for (name, job) in JOBS {
        for format in PlanFormat::ALL {
            let found = placeless(&plan(job, format));
            assert_golden(&format!("{name}.{}", format.extension()), &found);
        }
    }
}

#[test]
fn expansions_are_what_people_have_read_and_hold_no_unsafe() {
    for (name, job) in JOBS {
        let found = expansion(job);
        assert!(!found.contains("unsafe"), "{found}");
        assert_golden(&format!("{name}.expanded"), &found);
    }
}

#[test]
fn a_plan_survives_its_json() {
    for (name, job) in JOBS {
        let json = plan(job, PlanFormat::Json);
        let read: Plan = serde_json::from_str(&json).unwrap();
        assert_eq!(read.draw(PlanFormat::Json), json, "{name}");
        assert_eq!(read.draw(PlanFormat::Text), plan(job, PlanFormat::Text), "{name}");
    }
}

#[test]
fn the_fraud_job_is_two_halves_that_meet() {
    let plan: Plan = serde_json::from_str(&plan(JobName::Fraud, PlanFormat::Json)).unwrap();
    assert_eq!(plan.sources[0].name.as_deref(), Some("transactions"));
    let ways: Vec<_> = plan.exchanges.iter().map(|way| (way.from, way.to)).collect();
    assert_eq!((plan.stages.len(), plan.outputs.len()), (5, 1));
    assert_eq!(ways, [(0, 1), (1, 3), (0, 2), (3, 4), (2, 4)]);
    let keys: Vec<_> =
        plan.exchanges.iter().filter_map(|way| way.sent.route.text.clone()).collect();
    assert_eq!(keys, ["|t| t.customer_id", "|t| t.customer_id", "|t| t.terminal_id"]);
}

//! A program of one's own: the example with `pelton::main!`, run as people run it.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::path::Path;
use std::process::{Command, Output};

const CLICKS: &str = "user,page\nada,home\nbob,shop\nada,about_us\nbot,home\nada,shop\nbroken\n";

fn program(args: &[&str], folder: &Path) -> Output {
    let program = env!("CARGO_BIN_EXE_own_program");
    Command::new(program).args(args).current_dir(folder).output().unwrap()
}

fn run(line: &str, folder: &Path) {
    let output = program(&line.split_whitespace().collect::<Vec<_>>(), folder);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {said}");
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("clicks.csv"), CLICKS).unwrap();
    folder
}

fn sorted_lines(folder: &Path, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn a_changelog_gives_its_rows_at_the_end_or_every_change() {
    let folder = folder();
    let folder = folder.path();
    for driver in ["threads", "auto"] {
        run(
            &format!(
                "run clicks_per_user --input clicks.csv --output counts.csv --shards 2 --driver \
                 {driver} --report report.json --rejects rejects.ndjson"
            ),
            folder,
        );
        assert_eq!(sorted_lines(folder, "counts.csv"), ["ada,2", "bob,1", "bot,1"]);
    }
    let report = std::fs::read_to_string(folder.join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let counts = ["records_in", "accepted", "rejected", "late", "records_out", "shards"]
        .map(|field| report[field].as_u64().unwrap());
    assert_eq!(counts, [6, 5, 1, 0, 3, 2]);
    assert!(report["latency_ns"].is_null() && report["achieved_rate"].is_null());
    let [reject] = &sorted_lines(folder, "rejects.ndjson")[..] else {
        panic!("one row is broken");
    };
    assert!(reject.contains("clicks.csv") && reject.contains("broken"), "{reject}");

    run("run clicks_per_user --input clicks.csv --output all.csv --changes", folder);
    assert_eq!(sorted_lines(folder, "all.csv"), ["ada,1", "ada,2", "bob,1", "bot,1"]);
    run("run clicks_per_user --input clicks.csv --output counts.ndjson", folder);
    assert_eq!(sorted_lines(folder, "counts.ndjson")[0], r#"{"key":"ada","value":2}"#);
}

#[test]
fn a_stream_gives_records_with_a_header_unless_told_otherwise() {
    let folder = folder();
    let folder = folder.path();
    run("run visited --input clicks.csv --output pages.csv", folder);
    let pages = ["about_us", "home", "page", "shop", "shop"];
    assert_eq!(sorted_lines(folder, "pages.csv"), pages);
    std::fs::write(folder.join("bare.csv"), "ada,home\nbot,shop\n").unwrap();
    run("run visited --input bare.csv --output pages.csv --no-header", folder);
    assert_eq!(sorted_lines(folder, "pages.csv"), ["home"]);
    std::fs::write(folder.join("in.ndjson"), "{\"page\":\"x\",\"user\":\"ada\"}\n").unwrap();
    run("run visited --input in.ndjson --output pages.ndjson", folder);
    assert_eq!(sorted_lines(folder, "pages.ndjson"), [r#"{"page":"x"}"#]);
}

#[test]
fn a_rate_gives_latencies_and_a_picture() {
    let folder = folder();
    let folder = folder.path();
    run(
        "run visited --input clicks.csv --output pages.csv --rate 1000 --report r.json --plot \
         p.svg",
        folder,
    );
    let report = std::fs::read_to_string(folder.join("r.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let latency = &report["latency_ns"];
    assert!(
        latency["handed"]["p50"].as_u64().unwrap() <= latency["visible"]["max"].as_u64().unwrap()
    );
    assert!(report["achieved_rate"].as_f64().unwrap() > 0.0);
    assert!(std::fs::read_to_string(folder.join("p.svg")).unwrap().contains("visited"));
}

#[test]
fn without_arguments_the_program_lists_its_jobs() {
    let folder = folder();
    let output = program(&[], folder.path());
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for part in ["run", "clicks_per_user", "visited"] {
        assert!(help.contains(part), "{help}");
    }
}

#[test]
fn wrong_usage_ends_with_2_and_a_failure_with_1_and_one_line() {
    let folder = folder();
    let folder = folder.path();
    for line in ["run", "run nothing", "run visited", "run visited --input clicks.csv --shards 0"] {
        let output = program(&line.split_whitespace().collect::<Vec<_>>(), folder);
        assert_eq!(output.status.code(), Some(2), "{line}");
    }
    for (line, named) in [
        ("run visited --input none.csv --output x.csv", "none.csv"),
        ("run visited --input clicks.csv --output no/such/x.csv", "no/such/x.csv"),
        ("run visited --input clicks.csv --output x.csv.gz", "leave .gz off"),
        ("run visited --input clicks.csv --output x.csv --lateness 1m", "Click"),
        ("run visited --input clicks.csv --output x.csv --report no/r.json", "no/r.json"),
    ] {
        let output = program(&line.split_whitespace().collect::<Vec<_>>(), folder);
        let said = String::from_utf8(output.stderr).unwrap();
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(output.status.code(), Some(1), "{line}: {said}");
        assert!(matches!(errors[..], [error] if error.contains(named)), "{line}: {said}");
    }
}

//! The examples run, and the README shows the code that runs.

#[path = "../examples/clicks.rs"]
#[expect(dead_code, reason = "a program: its `main` is not called here")]
mod clicks;
#[path = "../examples/embed.rs"]
#[expect(dead_code, reason = "a program: its `main` is not called here")]
mod embed;
#[path = "../examples/resume.rs"]
#[expect(dead_code, reason = "a program: its `main` is not called here")]
mod resume;
#[path = "../examples/simulate.rs"]
#[expect(dead_code, reason = "a program: its `main` is not called here")]
mod simulate;

use std::io::Write as _;

fn rows(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
    rows.iter().map(|&(user, count)| (user.to_owned(), count)).collect()
}

#[test]
fn the_click_job_counts_the_clicks_that_are_compiled_in() {
    assert_eq!(clicks::run(None).unwrap(), rows(&[("ada", 2), ("bob", 2)]));
}

#[test]
fn the_click_job_counts_the_clicks_of_a_file() {
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    file.write_all(b"grace,home\n\"hopper, g.\",home\ngrace,about_us\ngrace,cart\n").unwrap();
    let counts = clicks::run(Some(file.path())).unwrap();
    assert_eq!(counts, rows(&[("grace", 2), ("hopper, g.", 1)]));
}

#[test]
fn a_missing_file_ends_the_click_job_with_an_error_that_names_it() {
    let error = clicks::run(Some("no-such-folder/clicks.csv".as_ref())).unwrap_err().to_string();
    assert!(error.contains("no-such-folder/clicks.csv"), "{error}");
}

#[test]
fn an_embedding_program_gets_every_change_of_its_counts() {
    let mut changes = embed::run().unwrap();
    changes.sort();
    assert_eq!(changes, rows(&[("ada", 1), ("ada", 2), ("bob", 1)]));
}

#[test]
fn a_job_that_is_started_again_goes_on_with_its_counts() {
    let folder = tempfile::tempdir().unwrap();
    let sorted = |users: &[&str]| {
        let mut changes = resume::run(&folder.path().join("state"), users).unwrap();
        changes.sort();
        changes
    };
    assert_eq!(sorted(&["ada", "bob", "ada"]), rows(&[("ada", 1), ("ada", 2), ("bob", 1)]));
    assert_eq!(sorted(&["bob", "ada"]), rows(&[("ada", 3), ("bob", 2)]));
}

#[test]
fn a_simulated_job_is_right_whatever_goes_wrong_and_one_with_a_bug_is_not() {
    assert_eq!(simulate::run(10, false), 0);
    assert!(simulate::run(10, true) > 5);
}

/// What a file holds below its module doc.
fn code(file: &str) -> &str {
    file.split_once("\n\n").expect("a module doc and code").1
}

#[test]
fn the_readme_shows_the_embedding_that_runs() {
    let readme = include_str!("../../README.md");
    assert!(
        readme.contains(&format!("```rust\n{}```", code(include_str!("../examples/embed.rs"))))
    );
}

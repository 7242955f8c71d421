//! How the program says no.

use std::process::Output;

/// One line on standard error that has all of `words` in it, and exit code 1. Lines of progress,
/// which are indented and come where a job has run for a moment, are none.
#[track_caller]
pub(crate) fn fails(output: &Output, words: &[&str]) {
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    let lines: Vec<&str> = told.lines().filter(|line| !line.starts_with("  ")).collect();
    assert_eq!(lines.len(), 1, "{told}");
    assert!(lines[0].starts_with("error: "), "{told}");
    for word in words {
        assert!(told.contains(word), "{told} lacks {word}");
    }
}

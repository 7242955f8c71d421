//! How the program says no.

use std::process::Output;

/// One line on standard error that has all of `words` in it, and exit code 1.
#[track_caller]
pub(crate) fn fails(output: &Output, words: &[&str]) {
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.starts_with("error: "), "{told}");
    for word in words {
        assert!(told.contains(word), "{told} lacks {word}");
    }
}

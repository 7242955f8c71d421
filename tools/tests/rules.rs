//! Rules that change while the program runs, by its standard input and what it says.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

#[path = "common/program.rs"]
mod program;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use program::pelton;
use serde_json::Value;

fn rules(reason: &str) -> String {
    format!(
        "[decision]\nreview = 1\ndecline = 100\n[[amount]]\nname = \"{reason}\"\nscore = 5\nover = 1\n"
    )
}

/// The next line that has `words` in it. One that never comes hangs, as the program would.
fn line_with(lines: &mut impl Iterator<Item = std::io::Result<String>>, words: &str) -> String {
    lines.map(Result::unwrap).find(|line| line.contains(words)).unwrap()
}

#[test]
fn a_changed_rules_file_decides_what_comes_next_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.toml");
    fs::write(&path, rules("first")).unwrap();
    let mut running = pelton(["run", "fraud", "--input", "-", "--shards", "2"])
        .args(["--driver", "threads", "--rules"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = running.stdin.take().unwrap();
    let mut decisions = BufReader::new(running.stdout.take().unwrap()).lines();
    let mut told = BufReader::new(running.stderr.take().unwrap()).lines();
    writeln!(input, "transaction_id,time,customer_id,terminal_id,amount").unwrap();
    let mut decide = |id: u64| -> (String, String) {
        writeln!(input, "{id},2018-04-01T00:00:{id:02}Z,1,2,57.16").unwrap();
        input.flush().unwrap();
        let line = decisions.next().unwrap().unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["transaction_id"], id);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&line["reasons"][0]), text(&line["rules"]))
    };
    let (reason, first) = decide(1);
    assert_eq!(reason, "first");

    fs::write(&path, "[decision]\nreview = \n").unwrap();
    let line = line_with(&mut told, "stay in use");
    assert!(line.contains("rules.toml, line 2") && line.contains(&first), "{line}");
    assert_eq!(decide(2), ("first".to_owned(), first.clone()));

    fs::write(&path, rules("second")).unwrap();
    let line = line_with(&mut told, "are in use");
    let (reason, second) = decide(3);
    assert_eq!(reason, "second");
    assert!(line.contains(&second) && second != first, "{line}");

    // As editors do it.
    let other = folder.path().join("new.toml");
    fs::write(&other, rules("first")).unwrap();
    fs::rename(&other, &path).unwrap();
    line_with(&mut told, "are in use");
    assert_eq!(decide(4), ("first".to_owned(), first));

    drop(input);
    assert!(decisions.next().is_none());
    drop(told);
    assert!(running.wait().unwrap().success());
}

//! The program as people run it: bad rows, bad paths, wrong usage; and the click job's counts.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

#[path = "common/program.rs"]
mod program;
#[path = "common/refusal.rs"]
mod refusal;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use program::pelton;
use refusal::fails;
use serde_json::Value;

/// A folder for one test's files.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// `pelton run fraud` on `input` with two shards, and these options more.
    fn fraud(&self, input: &Path, more: &[&str]) -> Output {
        let mut command = pelton(["run", "fraud", "--shards", "2", "--driver", "threads"]);
        command.arg("--input").arg(input).args(more);
        if !more.contains(&"--output") {
            command.arg("--output").arg(self.path("decisions.ndjson"));
        }
        command.output().unwrap()
    }

    fn report(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("report.json")).unwrap()).unwrap()
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[track_caller]
fn succeeds(output: &Output) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

const HEADER: &str = "transaction_id,time,customer_id,terminal_id,amount,fraud,scenario\n";
const GOOD: &str = "1,2018-04-01T00:00:31Z,596,3156,57.16,0,0\n";

#[test]
fn rows_that_are_no_transactions_go_to_the_rejects_with_their_line_reason_and_bytes() {
    let folder = Folder::new();
    let long = format!("5,{},1,2,3.00,0,0", "9".repeat(10 << 20));
    let bad: Vec<(Vec<u8>, &str)> = vec![
        (b"2,2018-04-01T00:00:32Z,596,3156".to_vec(), "fields"),
        (b"3,2018-04-01T00:00:32Z,,3156,1.00,0,0".to_vec(), "customer_id"),
        (b"4,2018-04-01T00:00:32Z,596,3156,nan,0,0".to_vec(), "amount"),
        (b"5,2018-04-01T00:00:32Z,596,3156,inf,0,0".to_vec(), "amount"),
        (b"6,2018-04-01T00:00:32Z,596,3156,12 EUR,0,0".to_vec(), "amount"),
        (b"7,2018-13-01T00:00:32Z,596,3156,1.00,0,0".to_vec(), "time"),
        (b"8,yesterday,596,3156,1.00,0,0".to_vec(), "time"),
        (b"9,2018-04-01T00:00:32Z,-1,3156,1.00,0,0".to_vec(), "customer_id"),
        (b"10,2018-04-01T00:00:32Z,596,3156,1.00,0,0,more".to_vec(), "fields"),
        (b"1\xff1,2018-04-01T00:00:32Z,596,3156,1.00,0,0".to_vec(), "transaction_id"),
        (long.clone().into_bytes(), "longer"),
        (b"just text".to_vec(), "fields"),
    ];
    let mut bytes = HEADER.as_bytes().to_vec();
    for (row, _) in &bad {
        bytes.extend_from_slice(GOOD.as_bytes());
        bytes.extend_from_slice(row);
        bytes.push(b'\n');
    }
    // At the end, as an open quote takes what follows it for its own.
    bytes.extend_from_slice(b"12,\"2018-04-01T00:00:32Z,596,3156,1.00,0,0");
    let input = folder.file("in.csv", &bytes);
    let (rejects, report) = (folder.path("rejects.ndjson"), folder.path("report.json"));
    let output = folder.fraud(
        &input,
        &["--rejects", rejects.to_str().unwrap(), "--report", report.to_str().unwrap()],
    );
    succeeds(&output);

    let good_count = u64::try_from(bad.len()).unwrap();
    let report = folder.report();
    let counts = ["records_in", "accepted", "rejected", "late", "records_out"]
        .map(|name| report[name].as_u64().unwrap());
    assert_eq!(counts, [2 * good_count + 1, good_count, good_count + 1, 0, good_count]);
    assert_eq!(folder.lines("decisions.ndjson").len(), bad.len());

    let rejects = folder.lines("rejects.ndjson");
    assert_eq!(rejects.len(), bad.len() + 1);
    for (index, (reject, (row, word))) in rejects.iter().zip(&bad).enumerate() {
        assert_eq!(reject["file"], input.to_str().unwrap());
        assert_eq!(reject["line"], 3 + 2 * index);
        let reason = reject["reason"].as_str().unwrap();
        assert!(reason.contains(word), "{reason} lacks {word}");
        match std::str::from_utf8(row) {
            Ok(text) => assert!(reject["bytes"].as_str() == Some(text), "all bytes of row {index}"),
            Err(_) => assert!(reject["bytes_hex"].as_str().unwrap().starts_with("31ff312c")),
        }
    }
    let open_quote = rejects.last().unwrap();
    assert!(open_quote["reason"].as_str().unwrap().contains("quote"), "{open_quote}");
    assert_eq!(open_quote["bytes"], "12,\"2018-04-01T00:00:32Z,596,3156,1.00,0,0");
}

#[test]
fn json_rows_are_rejected_the_same_way() {
    let folder = Folder::new();
    let good = r#"{"transaction_id":1,"time":"2018-04-01T00:00:31Z","customer_id":5,"terminal_id":6,"amount":57.16}"#;
    let bad = [
        "{\"transaction_id\":1",
        "[]",
        "",
        r#"{"transaction_id":1,"time":"2018-04-01T00:00:31Z","customer_id":5,"terminal_id":6}"#,
        r#"{"transaction_id":1,"time":"2018-04-01T00:00:31Z","customer_id":{},"terminal_id":6,"amount":1}"#,
        r#"{"transaction_id":1,"time":"then","customer_id":5,"terminal_id":6,"amount":1}"#,
    ];
    let text = bad.map(|row| format!("{good}\n{row}\n")).concat();
    let input = folder.file("in.ndjson", text);
    let (rejects, report) = (folder.path("rejects.ndjson"), folder.path("report.json"));
    let options = ["--rejects", rejects.to_str().unwrap(), "--report", report.to_str().unwrap()];
    succeeds(&folder.fraud(&input, &options));
    // An empty line is no row.
    let (report, rejects) = (folder.report(), folder.lines("rejects.ndjson"));
    assert_eq!((&report["accepted"], &report["rejected"]), (&6.into(), &5.into()));
    let lines: Vec<u64> = rejects.iter().map(|reject| reject["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [2, 4, 8, 10, 12]);
}

#[test]
fn late_rows_are_counted_and_written() {
    let folder = Folder::new();
    let row = |id: u64, minute: u64| format!("{id},2018-04-01T00:{minute:02}:00Z,1,2,3.00,0,0\n");
    let rows = [row(1, 10), row(2, 30), row(3, 19), row(4, 20), row(5, 9), row(6, 31)];
    let input = folder.file("in.csv", HEADER.to_owned() + &rows.concat());
    let (late, report) = (folder.path("late.ndjson"), folder.path("report.json"));
    let output = folder.fraud(
        &input,
        &[
            "--order",
            "event-time",
            "--lateness",
            "10m",
            "--late",
            late.to_str().unwrap(),
            "--report",
            report.to_str().unwrap(),
        ],
    );
    succeeds(&output);
    let report = folder.report();
    let counts = ["records_in", "accepted", "rejected", "late", "records_out"]
        .map(|name| report[name].as_u64().unwrap());
    assert_eq!(counts, [6, 4, 0, 2, 4]);
    let ids: Vec<u64> = folder
        .lines("late.ndjson")
        .iter()
        .map(|row| row["transaction_id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, [3, 5]);
}

#[test]
fn inputs_that_are_not_right_are_named_in_one_line() {
    let folder = Folder::new();
    let missing = folder.path("missing.csv");
    fails(&folder.fraud(&missing, &[]), &["missing.csv", "No such file"]);
    fs::create_dir(folder.path("empty")).unwrap();
    fails(&folder.fraud(&folder.path("empty"), &[]), &["empty", "no files"]);
    fails(&folder.fraud(&folder.path("*.gz"), &[]), &["*.gz", "no file matches"]);
    let cut = &zstd::encode_all(format!("{HEADER}{GOOD}").as_bytes(), 1).unwrap()[..20];
    fails(&folder.fraud(&folder.file("cut.csv.zst", cut), &[]), &["cut.csv.zst"]);
    let unknown = folder.file("unknown.csv", HEADER.replace("terminal_id", "terminal") + GOOD);
    fails(&folder.fraud(&unknown, &[]), &["unknown.csv", "terminal"]);
    let extra = folder.file("extra.csv", HEADER.replace('\n', ",mood\n") + GOOD);
    let output = folder.fraud(&extra, &[]);
    if !output.status.success() {
        fails(&output, &["extra.csv", "mood"]);
    }
}

#[test]
fn a_directory_that_may_not_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let closed = folder.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    let may_read_all = fs::read_dir(&closed).is_ok();
    let output = folder.fraud(&closed, &[]);
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    // Root reads what nobody may; then the folder is merely empty.
    let word = if may_read_all { "no files" } else { "cannot list" };
    fails(&output, &["closed", word]);
}

#[test]
fn outputs_that_can_not_be_written_are_named_in_one_line() {
    let folder = Folder::new();
    let input = folder.file("in.csv", format!("{HEADER}{GOOD}"));
    let output_to = |path: &str, words: &[&str]| {
        fails(&folder.fraud(&input, &["--output", path]), words);
    };
    let nowhere = folder.path("no/such/out.ndjson");
    output_to(nowhere.to_str().unwrap(), &["no/such/out.ndjson"]);
    output_to(folder.0.path().to_str().unwrap(), &["irectory"]);
    if Path::new("/dev/full").exists() {
        output_to("/dev/full", &["/dev/full", "free some space"]);
        for option in ["--features", "--report"] {
            fails(&folder.fraud(&input, &[option, "/dev/full"]), &["/dev/full", "free some space"]);
        }
    }
    for option in ["--features", "--card-features", "--alerts", "--report", "--rejects", "--late"] {
        fails(&folder.fraud(&input, &[option, nowhere.to_str().unwrap()]), &["out.ndjson"]);
    }
}

#[test]
fn outputs_that_are_one_file_or_an_input_are_refused_and_nothing_is_touched() {
    let folder = Folder::new();
    let input = folder.file("in.csv", format!("{HEADER}{GOOD}"));
    let decisions = folder.path("decisions.ndjson");
    let dotted = folder.path("./../").join(folder.0.path().file_name().unwrap());
    let dotted = dotted.join("decisions.ndjson");
    for same in [&decisions, &dotted] {
        let output = folder.fraud(&input, &["--features", same.to_str().unwrap()]);
        fails(&output, &["--output", "--features", "decisions.ndjson"]);
        assert!(!decisions.exists(), "nothing was created");
    }
    fails(
        &folder.fraud(&input, &["--output", "-", "--features", "-"]),
        &["--output", "--features"],
    );
    let link = folder.path("link.csv");
    std::os::unix::fs::symlink(&input, &link).unwrap();
    for same in [&input, &link] {
        for option in ["--output", "--rejects", "--report"] {
            let output = folder.fraud(&input, &[option, same.to_str().unwrap()]);
            fails(&output, &[option, "also an input"]);
        }
    }
    assert_eq!(fs::read_to_string(&input).unwrap(), format!("{HEADER}{GOOD}"));
    succeeds(&folder.fraud(&input, &["--output", "/dev/null", "--features", "/dev/null"]));
}

#[test]
fn rules_that_are_not_right_are_named_with_their_line() {
    let folder = Folder::new();
    let input = folder.file("in.csv", format!("{HEADER}{GOOD}"));
    let rules = folder.file("rules.toml", "[decision]\nreview = \n");
    fails(&folder.fraud(&input, &["--rules", rules.to_str().unwrap()]), &["rules.toml", "line 2"]);
    let alone = "[decision]\nreview = 1\ndecline = 2\n[unconfirmed]\nwithin = \"2d\"\n";
    let rules = folder.file("rules.toml", alone);
    fails(
        &folder.fraud(&input, &["--rules", rules.to_str().unwrap()]),
        &["rules.toml, [unconfirmed]: `within` is \"2d\"; give a time of up to a day"],
    );
    assert!(!folder.path("decisions.ndjson").exists(), "rules are read before anything is made");
    let missing = folder.path("no-rules.toml");
    fails(&folder.fraud(&input, &["--rules", missing.to_str().unwrap()]), &["no-rules.toml"]);
}

#[test]
fn wrong_usage_ends_with_exit_code_2() {
    let wrong: [&[&str]; 5] = [
        &["run", "fraud"],
        &["run", "fraud", "--input", "a.csv", "--shards", "none"],
        &["run", "fraud", "--input", "a.csv", "--driver", "horses"],
        &["generate", "transactions", "--count", "many", "--output", "-"],
        &["fly"],
    ];
    for arguments in wrong {
        let output = pelton(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn what_is_generated_runs_from_standard_input() {
    let folder = Folder::new();
    let generated = pelton(["generate", "transactions", "--count", "3000", "--seed", "7"])
        .args(["--output", "-"])
        .output()
        .unwrap();
    succeeds(&generated);
    let report = folder.path("report.json");
    let mut running = pelton(["run", "fraud", "--input", "-", "--shards", "3"])
        .args(["--driver", "threads", "--report"])
        .arg(&report)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut standard_input = running.stdin.take().unwrap();
    let bytes = generated.stdout.clone();
    let feeding = std::thread::spawn(move || standard_input.write_all(&bytes));
    let output = running.wait_with_output().unwrap();
    feeding.join().unwrap().unwrap();
    succeeds(&output);
    let decisions = String::from_utf8(output.stdout).unwrap();
    let mut ids: Vec<u64> = decisions
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["transaction_id"].as_u64().unwrap()
        })
        .collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..3_000));
    assert_eq!(folder.report()["records_out"], 3_000);
}

/// By hand: how often each user clicked on anything but the page about us.
fn counted(clicks: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in clicks.lines() {
        let (user, page) = line.split_once(',').unwrap();
        if page != "about_us" {
            *counts.entry(user.to_owned()).or_default() += 1;
        }
    }
    counts
}

#[track_caller]
fn check_clicks(folder: &Folder, input: &Path, clicks: &str) {
    let expected = counted(clicks);
    let output = folder.path("counts.csv");
    let run = |more: &[&str]| {
        let mut command = pelton(["run", "clicks", "--shards", "3", "--driver", "threads"]);
        command.arg("--input").arg(input).arg("--output").arg(&output).args(more);
        succeeds(&command.output().unwrap());
        fs::read_to_string(&output).unwrap()
    };
    let counts: BTreeMap<String, u64> = run(&[])
        .lines()
        .map(|line| line.split_once(',').unwrap())
        .map(|(user, count)| (user.to_owned(), count.parse().unwrap()))
        .collect();
    assert!(counts == expected, "{} users of {}", counts.len(), expected.len());

    let changes = run(&["--changes"]);
    let changed = u64::try_from(changes.lines().count()).unwrap();
    assert_eq!(changed, expected.values().sum::<u64>(), "a change for each click");
    for (user, count) in expected.iter().take(3) {
        let of_user = changes.lines().filter(|line| line.split(',').any(|field| field == user));
        assert_eq!(u64::try_from(of_user.count()).unwrap(), *count);
    }
}

#[test]
fn clicks_are_counted_per_user() {
    let folder = Folder::new();
    let clicks = "ada,home\nbob,shop\nada,shop\nada,about_us\nbob,about_us\ncy,home\nada,home\n";
    let input = folder.file("clicks.csv", clicks);
    check_clicks(&folder, &input, clicks);
}

#[test]
fn the_benchmarks_clicks_are_counted_per_user() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/nexmark/clicks.csv.zst");
    let Ok(file) = fs::File::open(path) else {
        eprintln!("skipped: {path} is not there");
        return;
    };
    let mut clicks = String::new();
    zstd::stream::read::Decoder::new(file).unwrap().read_to_string(&mut clicks).unwrap();
    check_clicks(&Folder::new(), Path::new(path), &clicks);
}

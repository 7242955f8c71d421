//! `pelton state` and `pelton savepoint` as people run them, on directories that are made here
//! from stores and manifests: no job is needed to make one, and none to read it.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

#[path = "common/program.rs"]
mod program;
#[path = "common/refusal.rs"]
mod refusal;
#[path = "common/tree.rs"]
mod tree;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pelton::checkpoint::{
    LogManifest, Manifest, OpenMode, OperatorManifest, SegmentManifest, StateDirectory,
    StateManifest, checksums, segment_file_name,
};
use pelton::io::disk::{FlushEngine, RealDisk};
use pelton::record::KeyHash;
use pelton::state::{EntryKey, OperatorId, Store, StoreSettings};
use program::pelton;
use serde_json::Value;
use tree::{tree, unchanged};

/// What it says on standard output, where it succeeds.
#[track_caller]
fn said<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    let output = pelton(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// One line on standard error that has all of `words` in it, and exit code 1.
#[track_caller]
fn fails<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>, words: &[&str]) -> String {
    let output = pelton(arguments).output().unwrap();
    refusal::fails(&output, words);
    String::from_utf8(output.stdout).unwrap()
}

/// Counts by name, and hops by name and pane, kept on some shards with some numbers.
struct Made {
    folder: tempfile::TempDir,
    shard_count: u16,
    first_operator: u16,
    /// Changed for each new epoch.
    counts: BTreeMap<String, u64>,
    panes: BTreeMap<(u32, u64), Vec<u8>>,
}

impl Made {
    fn new(shard_count: u16, first_operator: u16) -> Self {
        let counts = [("ada", 3), ("bob", 1), ("cy, \"the\" third", 1)];
        let panes = [((7, 0), 70_u64), ((7, 60), 71), ((8, 60), 80)];
        Self {
            folder: tempfile::tempdir().unwrap(),
            shard_count,
            first_operator,
            counts: counts.map(|(key, count)| (key.to_owned(), count)).into(),
            panes: panes.map(|(key, pane)| (key, pane.to_le_bytes().to_vec())).into(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn operators(&self) -> Vec<OperatorManifest> {
        let state = |name: &str, namespaces: (u64, u64), layout: &str| StateManifest {
            name: name.to_owned(),
            namespace_first: namespaces.0,
            namespace_last: namespaces.1,
            layout: layout.to_owned(),
        };
        let operator = |name: &str, id, key: &str, states| OperatorManifest {
            name: name.to_owned(),
            id,
            kind: "aggregate".to_owned(),
            identity: String::new(),
            key: key.to_owned(),
            states,
        };
        // The first one's numbers differ from directory to directory, as jobs do.
        let base = u64::from(self.first_operator) * 1_000;
        let counts = state("state", (0, 0), "struct{count:u64,last:hint}");
        let panes = state("pane", (base, base + 99), "u64");
        vec![
            operator("hops", self.first_operator, "u32", vec![panes]),
            operator("counts", self.first_operator + 1, "text", vec![counts]),
        ]
    }

    /// Publishes an epoch with all that is there.
    fn publish(&self, epoch: u64) {
        let disk = Arc::new(RealDisk::new(FlushEngine::Plain).unwrap());
        let mut directory = StateDirectory::open(disk, &self.path(), OpenMode::Either).unwrap();
        directory.claim().unwrap();
        let logs = (0..self.shard_count).map(|shard| self.log(epoch, shard)).collect();
        let manifest = Manifest {
            epoch,
            run: 1,
            job: "people".to_owned(),
            written_micros: 1_700_000_000_000_000,
            shard_count: self.shard_count,
            operators: self.operators(),
            logs,
            ..Manifest::default()
        };
        directory.publish(&manifest).unwrap();
    }

    fn log(&self, epoch: u64, shard: u16) -> LogManifest {
        let mut store = Store::with_settings(&StoreSettings {
            segment_bytes: 64 << 10,
            ..StoreSettings::default()
        });
        let mut put = |operator: u16, key: &[u8], namespace, value: &[u8]| {
            let hash = KeyHash::of(key);
            if hash.slot().0 * self.shard_count / 4_096 == shard {
                let operator = OperatorId(operator);
                store.put(&EntryKey { operator, hash, key, namespace }, value);
            }
        };
        for (key, count) in &self.counts {
            // The hint differs with every epoch and means nothing elsewhere.
            let value = [count.to_le_bytes(), (epoch * 8).to_le_bytes()].concat();
            put(self.first_operator + 1, key.as_bytes(), 0, &value);
        }
        for ((key, pane), value) in &self.panes {
            let namespace = u64::from(self.first_operator) * 1_000 + pane;
            put(self.first_operator, &key.to_le_bytes(), namespace, value);
        }
        let frozen = store.freeze();
        let segments = frozen.segments.iter().map(|segment| {
            let number = epoch * 1_000 + u64::from(segment.number);
            let file = segment_file_name(1, shard.into(), number);
            let bytes: &[u8] = segment.bytes.as_ref().unwrap();
            fs::write(self.path().join(&file), bytes).unwrap();
            SegmentManifest {
                file,
                number: segment.number,
                segment_bytes: 64 << 10,
                bytes: segment.frozen_bytes,
                checksums: checksums(bytes),
            }
        });
        LogManifest {
            stage: "hops".to_owned(),
            shard,
            entry_count: frozen.entry_count,
            live_bytes: frozen.live_bytes,
            segments: segments.collect(),
            ..LogManifest::default()
        }
    }

    /// Flips a bit in the first segment of an epoch.
    fn damage(&self, epoch: u64) {
        let path = self.path().join(segment_file_name(1, 0, epoch * 1_000));
        let mut bytes = fs::read(&path).unwrap();
        bytes[100] ^= 1;
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn checkpoints_are_listed() {
    let made = Made::new(2, 0);
    (0..3).for_each(|epoch| made.publish(epoch));
    let text = said([OsStr::new("state"), OsStr::new("ls"), made.path().as_os_str()]);
    let lines: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert_eq!(lines[0][..3], ["epoch", "kind", "written"]);
    assert_eq!(lines[3][..6], ["2", "checkpoint", "2023-11-14T22:13:20Z", "2", "2", "6"], "{text}");
}

#[test]
fn entries_are_shown_by_operator_key_and_place() {
    let made = Made::new(2, 3);
    made.publish(1);
    let path = made.path();
    let show = |more: &[&str]| {
        said(
            ["state", "show"]
                .map(OsStr::new)
                .into_iter()
                .chain([path.as_os_str()])
                .chain(more.iter().map(OsStr::new)),
        )
    };
    let text = show(&[]);
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(text.contains("counts\tstate\tada\t{\"count\":3,\"last\":8}\n"), "{text}");
    assert!(text.contains("hops\tpane[60]\t8\t80\n"), "{text}");
    assert_eq!(show(&["--key", "7", "--operator", "hops"]).lines().count(), 2);
    assert_eq!(show(&["--key", "nobody", "--operator", "counts"]), "");
    assert_eq!(show(&["--limit", "2"]).lines().count(), 2);
    let line = show(&["--key", "cy, \"the\" third", "--operator", "counts", "--json"]);
    let json: Value = serde_json::from_str(line.trim_end()).unwrap();
    assert_eq!((&json["operator"], &json["state"]), (&"counts".into(), &"state".into()));
    assert_eq!(json["key"], "cy, \"the\" third");
    assert_eq!(json["slot"], KeyHash::of(b"cy, \"the\" third").slot().0);
    assert_eq!(json["value"]["count"], 1);
    assert!(json.get("place").is_none());
    assert_eq!(text, show(&[]), "the order is always the same");
}

#[test]
fn what_no_layout_fits_is_shown_as_digits() {
    let mut made = Made::new(1, 0);
    made.panes.insert((9, 1), vec![0xab, 0xcd]);
    made.publish(1);
    let text = said([OsStr::new("state"), OsStr::new("show"), made.path().as_os_str()]);
    assert!(text.contains("hops\tpane[1]\t9\t{\"hex\":\"abcd\"}\n"), "{text}");
}

#[test]
fn every_checkpoint_is_verified_and_the_broken_one_named() {
    let made = Made::new(2, 0);
    (1..=3).for_each(|epoch| made.publish(epoch));
    let path = made.path();
    let verify = [OsStr::new("state"), OsStr::new("verify"), path.as_os_str()];
    let text = said(verify);
    assert_eq!(text.lines().filter(|line| line.contains("whole; 6 entries")).count(), 3, "{text}");
    made.damage(3);
    let before = tree(&path);
    let text = fails(verify, &["1 of 3 checkpoints", "broken"]);
    assert!(text.contains("epoch 2: whole"), "{text}");
    assert!(text.contains("epoch 3: broken: ") && text.contains("block 0 has"), "{text}");
    // The others fall back and say so.
    let output =
        pelton([OsStr::new("state"), OsStr::new("show"), path.as_os_str()]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success());
    assert!(told.contains("is broken") && told.contains("this is epoch 2"), "{told}");
    unchanged(&path, &before);
}

#[test]
fn entries_are_exported_as_rows() {
    let made = Made::new(2, 0);
    made.publish(1);
    let csv = made.folder.path().join("state.csv");
    let arguments = ["state", "export", "--format", "csv", "-o"].map(OsStr::new);
    said(arguments.into_iter().chain([csv.as_os_str(), made.path().as_os_str()]));
    let text = fs::read_to_string(&csv).unwrap();
    assert_eq!(text.lines().count(), 7, "{text}");
    assert!(text.starts_with("operator,state,slot,key,place,value\n"), "{text}");
    let slot = KeyHash::of(b"cy, \"the\" third").slot().0;
    let row = format!(
        "counts,state,{slot},\"cy, \"\"the\"\" third\",,\"{{\"\"count\"\":1,\"\"last\"\":8}}\"\n"
    );
    assert!(text.contains(&row), "{text} lacks {row}");
    let operator = ["-", "--operator", "hops"].map(OsStr::new);
    let path = made.path();
    let hops = said(arguments.into_iter().chain(operator).chain([path.as_os_str()]));
    assert_eq!(hops.lines().count(), 4, "{hops}");
}

#[cfg(feature = "parquet")]
#[test]
fn a_parquet_file_has_the_same_rows() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;
    let made = Made::new(3, 0);
    made.publish(1);
    let file = made.folder.path().join("state.parquet");
    let arguments = ["state", "export", "--format", "parquet", "-o"].map(OsStr::new);
    said(arguments.into_iter().chain([file.as_os_str(), made.path().as_os_str()]));
    let reader = SerializedFileReader::new(fs::File::open(&file).unwrap()).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 6);
    let of_key = |key| rows.iter().find(|row| row.get_string(3).unwrap() == key).unwrap();
    let ada = of_key("ada");
    assert_eq!(ada.get_ushort(2).unwrap(), KeyHash::of(b"ada").slot().0);
    assert_eq!(
        (ada.get_string(0).unwrap(), ada.get_string(1).unwrap()),
        (&"counts".into(), &"state".into())
    );
    assert!(ada.get_ulong(4).is_err(), "it has no place");
    let value: Value = serde_json::from_str(ada.get_string(5).unwrap()).unwrap();
    assert_eq!(value["count"], 3);
    let pane = of_key("8");
    assert_eq!((pane.get_ulong(4).unwrap(), pane.get_string(5).unwrap()), (60, &"80".into()));
}

#[test]
fn directories_are_compared_whatever_their_shards_and_numbers() {
    let old = Made::new(1, 0);
    old.publish(1);
    let mut new = Made::new(3, 5);
    new.publish(9);
    let diff = |old: &Made, new: &Made| {
        let (old, new) = (old.path(), new.path());
        said([OsStr::new("state"), OsStr::new("diff"), old.as_os_str(), new.as_os_str()])
    };
    let same = "counts: 0 added, 0 removed, 0 changed\nhops: 0 added, 0 removed, 0 changed\n";
    assert_eq!(diff(&old, &new), same, "hints differ, which means nothing");

    new.counts.insert("ada".to_owned(), 4);
    new.counts.remove("bob");
    new.panes.insert((9, 0), 90_u64.to_le_bytes().to_vec());
    new.publish(10);
    let text = diff(&old, &new);
    let expected = [
        "-\tcounts\tstate\tbob\t{\"count\":1,\"last\":8}",
        "~\tcounts\tstate\tada\t{\"count\":3,\"last\":8}\t->\t{\"count\":4,\"last\":80}",
        "counts: 0 added, 1 removed, 1 changed",
        "+\thops\tpane[0]\t9\t90",
        "hops: 1 added, 0 removed, 0 changed",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_savepoint_is_a_copy_that_stands_by_itself() {
    let made = Made::new(2, 0);
    (1..=2).for_each(|epoch| made.publish(epoch));
    made.damage(2);
    let (path, target) = (made.path(), made.folder.path().join("kept/here"));
    let arguments = [OsStr::new("savepoint"), path.as_os_str(), OsStr::new("--to")];
    let output = pelton(arguments.into_iter().chain([target.as_os_str()])).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.contains("savepoint of epoch 1"), "it fell back: {told}");
    let diff = [OsStr::new("state"), OsStr::new("diff"), path.as_os_str(), target.as_os_str()];
    assert!(said(diff).contains("counts: 0 added, 0 removed, 0 changed"));
    fs::remove_dir_all(&path).unwrap();
    let listed = said([OsStr::new("state"), OsStr::new("ls"), target.as_os_str()]);
    assert!(listed.lines().nth(1).unwrap().contains("savepoint"), "{listed}");
    said([OsStr::new("state"), OsStr::new("verify"), target.as_os_str()]);
    // A second one does not go over it.
    made.publish(1);
    fails(arguments.into_iter().chain([target.as_os_str()]), &["kept/here", "an empty directory"]);
}

#[test]
fn what_is_no_state_is_named_in_one_line_and_left_alone() {
    let made = Made::new(1, 0);
    made.publish(1);
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("holiday.jpg"), "sun").unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "text").unwrap();
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let half = folder.path().join("half");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("r1-l0-s1.seg"), "bytes").unwrap();
    let cases: [(&Path, &[&str]); 5] = [
        (&missing, &["no state in", "missing"]),
        (&foreign, &["foreign", "holiday.jpg"]),
        (&file, &["file", "name a directory"]),
        (&empty, &["no checkpoint in", "--state"]),
        (&half, &["half", "1 segment files and no manifest"]),
    ];
    let before = tree(folder.path());
    for (path, words) in cases {
        for command in ["ls", "show", "verify"] {
            fails([OsStr::new("state"), OsStr::new(command), path.as_os_str()], words);
        }
        let kept = folder.path().join("kept");
        let savepoint = [OsStr::new("savepoint"), path.as_os_str(), OsStr::new("--to")];
        fails(savepoint.into_iter().chain([kept.as_os_str()]), words);
        assert!(!kept.exists());
    }
    unchanged(folder.path(), &before);

    let path = made.path();
    let show = [OsStr::new("state"), OsStr::new("show"), path.as_os_str()];
    let with = |more: [&'static str; 2]| show.into_iter().chain(more.map(OsStr::new));
    fails(with(["--operator", "sums"]), &["no operator `sums`", "counts, hops"]);
    let hops = ["--operator", "hops", "--key", "ada"].map(OsStr::new);
    fails(show.into_iter().chain(hops), &["`ada` is no key", "u32"]);
    let nowhere = folder.path().join("no/such.csv");
    let export = ["state", "export", "--format", "csv", "-o"].map(OsStr::new);
    let export = export.into_iter().chain([nowhere.as_os_str(), path.as_os_str()]);
    fails(export, &["no/such.csv", "mkdir -p"]);
    for wrong in [&["state"][..], &["state", "fly"], &["state", "ls"], &["savepoint", "x"]] {
        assert_eq!(pelton(wrong).output().unwrap().status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_directory_is_read_while_another_process_has_its_lock() {
    let made = Made::new(1, 0);
    made.publish(1);
    let disk = Arc::new(RealDisk::new(FlushEngine::Plain).unwrap());
    let held = StateDirectory::open(disk, &made.path(), OpenMode::Resume).unwrap();
    said([OsStr::new("state"), OsStr::new("verify"), made.path().as_os_str()]);
    drop(held);
}

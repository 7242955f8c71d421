//! State directories: what is refused and left alone, what is fallen back to, what is removed; and
//! thousands of corrupted ones, none of which may give bytes that were never written.
//!
//! `PELTON_CORRUPTIONS=20000 cargo test -p pelton --test state_directory corrupted` is the long mode.

#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pelton::checkpoint::{
    CHECKSUM_BLOCK_BYTES, DirectoryError, Found, LogManifest, Manifest, OpenMode, SegmentManifest,
    StateDirectory, checksums, encode, segment_file_name,
};
use pelton::io::disk::{Disk, Fault, FaultKind, FlushEngine, RealDisk, SimDisk};

type Tree = BTreeMap<PathBuf, Vec<u8>>;

const SEGMENT_BYTES: u32 = 256 << 10;

fn index(value: u64) -> usize {
    usize::try_from(value).unwrap()
}

fn manifest(epoch: u64, segments: Vec<SegmentManifest>) -> Manifest {
    let log = LogManifest { stage: "count".to_owned(), segments, ..LogManifest::default() };
    Manifest { epoch, run: 1, job: "clicks".to_owned(), logs: vec![log], ..Manifest::default() }
}

/// Bytes that differ from segment to segment and from block to block.
fn content(segment: u64, len: usize) -> Vec<u8> {
    let mut random = Random(segment + 1);
    (0..len.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).take(len).collect()
}

/// Writes a segment's file and says what a manifest says of it.
fn segment(directory: &StateDirectory, number: u32, bytes: &[u8]) -> SegmentManifest {
    let file = segment_file_name(1, 0, number.into());
    let path = directory.path_of(&file);
    let written = directory.disk().create(&path, SEGMENT_BYTES.into()).unwrap();
    written.write_at(0, bytes).unwrap();
    written.sync_data().unwrap();
    directory.disk().sync_directory(directory.path()).unwrap();
    SegmentManifest {
        file,
        number,
        segment_bytes: SEGMENT_BYTES,
        bytes: u32::try_from(bytes.len()).unwrap(),
        checksums: checksums(bytes),
    }
}

/// A directory on a simulated disk.
struct Place {
    disk: SimDisk,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        Self { disk: SimDisk::new(1), path: PathBuf::from("/state") }
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.disk.clone())
    }

    /// Opened, and not claimed.
    fn look(&self, mode: OpenMode) -> Result<StateDirectory, DirectoryError> {
        StateDirectory::open(self.disk(), &self.path, mode)
    }

    fn open(&self, mode: OpenMode) -> Result<StateDirectory, DirectoryError> {
        let mut directory = self.look(mode)?;
        directory.claim()?;
        Ok(directory)
    }

    fn read_only(&self) -> Result<StateDirectory, DirectoryError> {
        StateDirectory::open_read_only(self.disk(), &self.path)
    }

    fn file(&self, name: &str, bytes: &[u8]) {
        self.disk.create_directory(&self.path).unwrap();
        let file = self.disk.create(&self.path.join(name), bytes.len() as u64).unwrap();
        file.write_at(0, bytes).unwrap();
        file.sync_data().unwrap();
    }

    fn names(&self) -> Vec<String> {
        self.disk.list(&self.path).unwrap()
    }

    /// Three epochs of a log whose first segment grows, and whose second is new in each.
    fn with_three_epochs() -> Self {
        let place = Self::new();
        let mut directory = place.open(OpenMode::New).unwrap();
        directory.publish(&manifest(0, Vec::new())).unwrap();
        for epoch in 1..=3_u32 {
            let grown = content(0, CHECKSUM_BLOCK_BYTES * index(epoch.into()) - 1_000);
            let own = content(epoch.into(), 100_000);
            let segments = vec![segment(&directory, 0, &grown), segment(&directory, epoch, &own)];
            directory.publish(&manifest(epoch.into(), segments)).unwrap();
        }
        directory.retain(3).unwrap();
        drop(directory);
        place
    }
}

#[track_caller]
fn told(result: Result<StateDirectory, DirectoryError>, words: &[&str]) -> DirectoryError {
    let error = result.expect_err("it is refused");
    let text = error.to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    for word in words {
        assert!(text.contains(word), "{text:?} lacks {word:?}");
    }
    error
}

fn epoch(found: Option<Found>) -> u64 {
    found.unwrap().manifest.epoch
}

#[test]
fn a_new_directory_gets_a_lock_and_goes_on_from_what_was_published() {
    let place = Place::new();
    let mut directory = place.open(OpenMode::Either).unwrap();
    assert_eq!(place.names(), ["LOCK"]);
    assert_eq!(directory.newest().unwrap(), None);
    directory.settle().unwrap();
    let first = manifest(0, Vec::new());
    assert_eq!(directory.publish(&first).unwrap(), encode(&first).len() as u64);
    drop(directory);
    let directory = place.open(OpenMode::Resume).unwrap();
    let found = directory.newest().unwrap().unwrap();
    assert_eq!(found, Found { manifest: first, fell_back: Vec::new() });
}

#[test]
fn what_is_refused_is_left_alone() {
    // Nothing there.
    let place = Place::new();
    told(place.open(OpenMode::Resume), &["no state in /state", "without --resume"]);
    told(place.read_only(), &["no state in /state"]);
    assert!(place.disk.copy_tree().is_empty() && place.disk.list(&place.path).is_err());
    // Other people's files, with a lock among them.
    let place = Place::new();
    place.file("LOCK", b"");
    place.file("holiday.jpg", b"sun");
    // State without its manifests.
    let half = Place::new();
    half.file("r1-l0-s1.seg", b"bytes");
    let whole = Place::with_three_epochs();
    let savepoint = Place::with_three_epochs();
    let directory = savepoint.read_only().unwrap();
    let found = directory.newest().unwrap().unwrap();
    directory.copy_savepoint(&found.manifest, Path::new("/owned")).unwrap();
    let savepoint = Place { path: PathBuf::from("/owned"), ..savepoint };

    let foreign: &[&str] = &["/state holds `holiday.jpg`", "name"];
    let headless: &[&str] = &["1 segment files and no manifest", "--fresh"];
    let cases: [(&Place, &[OpenMode], &[&str]); 4] = [
        (&place, &[OpenMode::New, OpenMode::Fresh, OpenMode::Resume, OpenMode::Either], foreign),
        (&half, &[OpenMode::New, OpenMode::Resume, OpenMode::Either], headless),
        (&whole, &[OpenMode::New], &["up to epoch 3", "--resume", "remove"]),
        (
            &savepoint,
            &[OpenMode::New, OpenMode::Fresh, OpenMode::Resume, OpenMode::Either],
            &["savepoint-00000000000000000003"],
        ),
    ];
    for (place, modes, words) in cases {
        let before = place.disk.copy_tree();
        for &mode in modes {
            told(place.open(mode), words);
        }
        assert_eq!(place.disk.copy_tree(), before);
    }
    told(place.read_only(), foreign);
    assert!(half.open(OpenMode::Fresh).is_ok());
}

#[test]
fn what_is_opened_and_not_claimed_is_left_alone() {
    for lacks_lock in [false, true] {
        let place = Place::with_three_epochs();
        if lacks_lock {
            place.disk.remove(&place.path.join("LOCK")).unwrap();
        } else {
            place.file("LOCK", b"an older process");
        }
        let before = place.disk.copy_tree();
        let directory = place.look(OpenMode::Resume).unwrap();
        assert_eq!(epoch(directory.newest().unwrap()), 3);
        drop(directory);
        assert_eq!(place.disk.copy_tree(), before);
        assert_eq!(epoch(place.open(OpenMode::Resume).unwrap().newest().unwrap()), 3);
        let lock = place.disk.copy_tree()[&place.path.join("LOCK")].clone();
        assert_eq!(lock, std::process::id().to_string().as_bytes());
    }
    let place = Place::new();
    let directory = place.look(OpenMode::Either).unwrap();
    assert_eq!(directory.newest().unwrap(), None);
    drop(directory);
    assert!(place.disk.list(&place.path).is_err(), "it was not made");
}

#[test]
fn of_two_processes_that_make_a_directory_one_is_refused() {
    let place = Place::new();
    let [mut first, mut second, mut third] = [(); 3].map(|()| place.look(OpenMode::Fresh).unwrap());
    first.claim().unwrap();
    let error = second.claim().unwrap_err().to_string();
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    first.publish(&manifest(0, Vec::new())).unwrap();
    drop(first);
    // What the other one has left is not what the third had looked at.
    let error = third.claim().unwrap_err();
    assert!(matches!(error, DirectoryError::InUse { .. }), "{error}");
    assert_eq!(epoch(place.open(OpenMode::Resume).unwrap().newest().unwrap()), 0);
}

#[test]
fn strange_files_beside_state_are_neither_minded_nor_removed() {
    let place = Place::with_three_epochs();
    place.file("notes.txt", b"mine");
    let mut directory = place.open(OpenMode::Resume).unwrap();
    directory.settle().unwrap();
    directory.retain(1).unwrap();
    directory.clear().unwrap();
    assert_eq!(place.names(), ["LOCK", "notes.txt"]);
}

#[test]
fn a_second_process_is_told_who_the_first_is() {
    let place = Place::with_three_epochs();
    let first = place.open(OpenMode::Either).unwrap();
    let id = std::process::id().to_string();
    for mode in [OpenMode::Either, OpenMode::Resume, OpenMode::Fresh] {
        let error = told(place.open(mode), &["in use by process", &id, "/state"]);
        assert!(matches!(error, DirectoryError::InUse { .. }));
    }
    assert_eq!(epoch(place.read_only().unwrap().newest().unwrap()), 3);
    drop(first);
    assert!(place.open(OpenMode::Either).is_ok());
}

#[test]
fn the_machines_disk_is_refused_in_one_line_too() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(FlushEngine::Plain).unwrap());
    let path = folder.path().join("file");
    std::fs::write(&path, "text").unwrap();
    let open = |path: &Path, mode| {
        let mut directory = StateDirectory::open(Arc::clone(&disk), path, mode)?;
        directory.claim()?;
        Ok(directory)
    };
    told(open(&path, OpenMode::Either), &["can't list", "file", "name a directory"]);
    told(open(&path.join("below"), OpenMode::Either), &["below", "name a directory"]);
    let path = folder.path().join("a/b");
    let mut first = open(&path, OpenMode::New).unwrap();
    told(open(&path, OpenMode::Either), &["in use by process", &std::process::id().to_string()]);
    first.settle().unwrap();
    let kept = segment(&first, 1, &content(1, 90_000));
    first.publish(&manifest(1, vec![kept.clone()])).unwrap();
    first.retain(3).unwrap();
    drop(first);
    let again = open(&path, OpenMode::Resume).unwrap();
    let mut bytes = vec![0; 90_000];
    let file = again.load_segment(&kept, &mut bytes).unwrap();
    assert_eq!(bytes, content(1, 90_000));
    assert!(file.write_at(0, b"x").is_err(), "it is open for reading");
    assert_eq!(epoch(again.newest().unwrap()), 1);
}

#[test]
fn a_read_only_disk_is_refused_in_one_line() {
    let place = Place::with_three_epochs();
    let at_operation = place.disk.operations();
    place.disk.add_fault(Fault { at_operation, kind: FaultKind::Erofs });
    told(place.open(OpenMode::Resume), &["can't lock /state/LOCK", "that can be written"]);
    let before = place.disk.copy_tree();
    let mut directory = place.look(OpenMode::Resume).unwrap();
    let at_operation = place.disk.operations();
    place.disk.add_fault(Fault { at_operation, kind: FaultKind::Erofs });
    let error = directory.claim().unwrap_err().to_string();
    assert!(error.contains("can't write to /state"), "{error}");
    drop(directory);
    assert_eq!(place.disk.copy_tree(), before);
}

#[test]
fn a_broken_newest_manifest_falls_back_and_says_so_and_goes() {
    let place = Place::with_three_epochs();
    let newest = "manifest-00000000000000000003";
    place.disk.corrupt(&place.path.join(newest), 100, 3).unwrap();
    place.file(".manifest-00000000000000000004.tmp", b"half");
    let mut directory = place.open(OpenMode::Resume).unwrap();
    let found = directory.newest().unwrap().unwrap();
    assert_eq!(found.manifest.epoch, 2);
    assert_eq!(found.fell_back.len(), 1);
    let (file, reason) = &found.fell_back[0];
    assert!(file == newest && reason.contains("payload has the checksum"), "{reason}");

    directory.settle().unwrap();
    assert_eq!(directory.newest().unwrap().unwrap().fell_back, []);
    let left = ["r1-l0-s0.seg", "r1-l0-s1.seg", "r1-l0-s2.seg"];
    let epochs = ["LOCK", "manifest-00000000000000000001", "manifest-00000000000000000002"];
    assert_eq!(place.names(), [&epochs[..], &left[..]].concat());
    // Durably so.
    place.disk.crash();
    assert_eq!(epoch(place.read_only().unwrap().newest().unwrap()), 2);
}

#[test]
fn segments_that_are_missing_short_or_changed_break_their_manifest() {
    let place = Place::with_three_epochs();
    place.disk.forget(&place.path.join("r1-l0-s3.seg")).unwrap();
    place.disk.truncate(&place.path.join("r1-l0-s2.seg"), 99_999).unwrap();
    let mut directory = place.open(OpenMode::Resume).unwrap();
    let found = directory.newest().unwrap().unwrap();
    assert_eq!(found.manifest.epoch, 1);
    let reasons: Vec<&str> = found.fell_back.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "its segment r1-l0-s3.seg: it is missing",
            "its segment r1-l0-s2.seg: it is 99999 bytes long, and its manifest names 100000"
        ]
    );
    // What only the loader sees.
    place.disk.corrupt(&place.path.join("r1-l0-s1.seg"), 70_000, 0).unwrap();
    let segment = &found.manifest.logs[0].segments[1];
    let error = directory.load_segment(segment, &mut vec![0; 100_000]).unwrap_err();
    assert!(error.is_broken());
    let text = error.to_string();
    assert!(text.starts_with("/state/r1-l0-s1.seg: block 1 has the checksum"), "{text}");
    let none = directory.mark_broken(1, text).unwrap_err();
    assert!(matches!(none, DirectoryError::NoneWhole { .. }));
    let text = none.to_string();
    for word in ["s3.seg: it is missing", "99999", "block 1", "savepoint", "--fresh"] {
        assert!(text.contains(word), "{text} lacks {word}");
    }
    assert!(directory.settle().is_err(), "nothing is removed where nothing is whole");
    assert!(place.names().contains(&"manifest-00000000000000000003".to_owned()));
}

#[test]
fn a_disk_that_refuses_is_an_error_and_no_reason_to_fall_back() {
    let place = Place::with_three_epochs();
    let directory = place.read_only().unwrap();
    for operation in 0.. {
        let at_operation = place.disk.operations() + operation;
        place.disk.add_fault(Fault { at_operation, kind: FaultKind::Eio });
        match directory.newest() {
            Err(error) => assert!(!error.is_broken(), "{error}"),
            Ok(found) => {
                assert_eq!(found.unwrap().manifest.epoch, 3);
                assert!(operation > 3, "the fault lies behind the last operation");
                break;
            }
        }
    }
}

#[test]
fn another_format_version_is_named_and_never_fallen_back_from() {
    let place = Place::with_three_epochs();
    let mut bytes = encode(&manifest(4, Vec::new()));
    bytes[8] = 2;
    let header = xxhash_rust::xxh3::xxh3_64(&bytes[..56]);
    bytes[56..64].copy_from_slice(&header.to_le_bytes());
    place.file("manifest-00000000000000000004", &bytes);
    let mut directory = place.open(OpenMode::Resume).unwrap();
    let text = directory.newest().unwrap_err().to_string();
    assert!(text.contains("manifest-00000000000000000004"), "{text}");
    assert!(text.contains("format version 2, and this engine reads 1"), "{text}");
    let before = place.names();
    directory.remove_leftovers().unwrap();
    assert_eq!(place.names(), before, "what it names is not known");
}

#[test]
fn older_manifests_go_with_the_segments_that_nobody_names_any_more() {
    let place = Place::with_three_epochs();
    let mut directory = place.open(OpenMode::Resume).unwrap();
    assert!(
        !place.names().contains(&"manifest-00000000000000000000".to_owned()),
        "only three stay"
    );
    segment(&directory, 9, b"of an epoch that was given up");
    directory.retain(2).unwrap();
    let epochs = ["LOCK", "manifest-00000000000000000002", "manifest-00000000000000000003"];
    let left = ["r1-l0-s0.seg", "r1-l0-s2.seg", "r1-l0-s3.seg"];
    assert_eq!(place.names(), [&epochs[..], &left[..]].concat());
    directory.clear().unwrap();
    assert_eq!(place.names(), ["LOCK"]);
    assert_eq!(directory.newest().unwrap(), None);
}

#[test]
fn power_lost_while_publishing_and_removing_leaves_the_old_epoch_or_the_new_one() {
    let place = Place::with_three_epochs();
    let before = place.disk.copy_tree();
    let (mut old_count, mut new_count) = (0, 0);
    for operation in 0..200 {
        let place = Place::new();
        place.disk.restore(&before);
        let mut directory = place.open(OpenMode::Resume).unwrap();
        let at_operation = place.disk.operations() + operation % 40;
        place.disk.add_fault(Fault { at_operation, kind: FaultKind::CrashHere });
        let kept = directory.newest().and_then(|found| {
            let kept = found.unwrap().manifest.logs[0].segments.clone();
            directory.publish(&manifest(4, kept.clone()))?;
            directory.retain(2)?;
            Ok(kept)
        });
        drop(directory);
        let image = place.disk.durable_image(operation);
        let after = Place { disk: image, path: place.path.clone() };
        let found = after.open(OpenMode::Resume).unwrap().newest().unwrap().unwrap();
        assert_eq!(found.fell_back, [], "operation {operation}");
        match found.manifest.epoch {
            3 => {
                assert!(kept.is_err(), "what was published stays");
                old_count += 1;
            }
            4 => new_count += 1,
            other => panic!("epoch {other} at operation {operation}"),
        }
    }
    assert!(old_count > 20 && new_count > 20, "{old_count} old, {new_count} new");
}

#[test]
fn a_failed_sync_of_names_is_final_and_says_that_nothing_is_known() {
    let place = Place::with_three_epochs();
    let mut directory = place.open(OpenMode::Resume).unwrap();
    let mut undecided = 0;
    for operation in 0..6 {
        let at_operation = place.disk.operations() + operation;
        place.disk.add_fault(Fault { at_operation, kind: FaultKind::Eio });
        let Err(error) = directory.publish(&manifest(4, Vec::new())) else {
            continue;
        };
        if error.is_undecided() {
            undecided += 1;
            let again = directory.publish(&manifest(5, Vec::new())).unwrap_err();
            assert!(again.is_undecided(), "{again}");
            break;
        }
        assert_eq!(epoch(directory.newest().unwrap()), 3, "{error}");
        assert!(place.names().iter().all(|name| !name.ends_with(".tmp")), "it was removed");
    }
    assert_eq!(undecided, 1);
}

#[test]
fn a_savepoint_holds_what_its_manifest_names_and_is_read_like_any_directory() {
    let place = Place::with_three_epochs();
    let directory = place.read_only().unwrap();
    let found = directory.newest().unwrap().unwrap().manifest;
    let target = Path::new("/kept/here");
    directory.copy_savepoint(&found, target).unwrap();
    // It stands by itself, and survives.
    let image = place.disk.durable_image(7);
    for name in place.names() {
        image.forget(&place.path.join(name)).unwrap();
    }
    let copy = StateDirectory::open_read_only(Arc::new(image), target).unwrap();
    let saved = copy.newest().unwrap().unwrap().manifest;
    assert_eq!(saved, Manifest { savepoint: true, ..found.clone() });
    assert_eq!(copy.manifests().unwrap().len(), 1);
    let loaded = load(&copy, &saved).unwrap();
    assert_eq!(loaded, load(&directory, &found).unwrap());
    assert_eq!(loaded[1], content(3, 100_000));
    let names = copy.disk().list(target).unwrap();
    assert_eq!(names, ["r1-l0-s0.seg", "r1-l0-s3.seg", "savepoint-00000000000000000003"]);

    let error = directory.copy_savepoint(&found, target).unwrap_err().to_string();
    assert!(error.contains("/kept/here holds `r1-l0-s0.seg`"), "{error}");
    // What is broken is not copied.
    place.disk.corrupt(&place.path.join("r1-l0-s3.seg"), 5, 5).unwrap();
    let error = directory.copy_savepoint(&found, Path::new("/other")).unwrap_err();
    assert!(error.is_broken());
    assert!(place.disk.list(Path::new("/other")).unwrap().is_empty());
}

#[test]
fn power_lost_while_a_savepoint_is_copied_leaves_none_or_a_whole_one() {
    let place = Place::with_three_epochs();
    let before = place.disk.copy_tree();
    let target = Path::new("/owned");
    let mut whole_count = 0;
    for seed in 0..60 {
        let place = Place::new();
        place.disk.restore(&before);
        let directory = place.read_only().unwrap();
        let found = directory.newest().unwrap().unwrap().manifest;
        let at_operation = place.disk.operations() + seed % 20;
        place.disk.add_fault(Fault { at_operation, kind: FaultKind::CrashHere });
        let copied = directory.copy_savepoint(&found, target);
        let disk: Arc<dyn Disk> = Arc::new(place.disk.durable_image(seed));
        let copy = StateDirectory::open_read_only(disk, target);
        match copy.and_then(|copy| Ok((copy.newest()?, copy))) {
            Ok((Some(saved), copy)) => {
                load(&copy, &saved.manifest).unwrap();
                whole_count += 1;
            }
            _ => assert!(copied.is_err(), "what was copied is there"),
        }
    }
    assert!((5..55).contains(&whole_count), "{whole_count} of 60");
}

/// All segments of a manifest, verified.
fn load(directory: &StateDirectory, manifest: &Manifest) -> Result<Vec<Vec<u8>>, DirectoryError> {
    let segments = manifest.logs.iter().flat_map(|log| &log.segments);
    let load = |segment: &SegmentManifest| {
        let mut bytes = vec![0; index(segment.bytes.into())];
        directory.load_segment(segment, &mut bytes).map(|_| bytes)
    };
    segments.map(load).collect()
}

/// What a job does at its start: the newest manifest whose segments load.
fn recover(directory: &mut StateDirectory) -> Result<(Manifest, Vec<Vec<u8>>), DirectoryError> {
    loop {
        let found = directory.newest()?.expect("one of three was published");
        match load(directory, &found.manifest) {
            Ok(loaded) => return Ok((found.manifest, loaded)),
            Err(error) if error.is_broken() => {
                directory.mark_broken(found.manifest.epoch, error.to_string())?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        index(self.next() % bound.max(1) as u64)
    }
}

/// Does one thing to one file; answers what, for the message.
fn corrupt(tree: &mut Tree, random: &mut Random) -> String {
    let paths: Vec<PathBuf> = tree.keys().cloned().collect();
    let Some(path) = paths.get(random.below(paths.len())) else {
        return "nothing is left".to_owned();
    };
    let other = tree[&paths[random.below(paths.len())]].clone();
    let bytes = tree.get_mut(path).unwrap();
    let at = random.below(bytes.len());
    let did = match random.below(6) {
        _ if bytes.is_empty() => "left empty",
        0 | 1 => {
            bytes[at] ^= 1 << random.below(8);
            "flipped a bit"
        }
        2 => {
            bytes.truncate(at);
            "cut"
        }
        // A block as it was before it was written, or as another file has it.
        3 => {
            let at = at / 4_096 * 4_096;
            let to = (at + 4_096).min(bytes.len());
            bytes[at..to].fill(0);
            "made a block stale with zeroes"
        }
        4 => {
            let at = at / 4_096 * 4_096;
            let to = (at + 4_096).min(bytes.len()).min(other.len());
            if at < to {
                bytes[at..to].copy_from_slice(&other[at..to]);
            }
            "made a block another file's"
        }
        _ => {
            tree.remove(path);
            "removed"
        }
    };
    format!("{did} at {at} of {}", path.display())
}

#[test]
fn corrupted_directories_are_seen_or_harmless() {
    let count: u64 =
        std::env::var("PELTON_CORRUPTIONS").map_or(2_000, |text| text.parse().unwrap());
    let place = Place::with_three_epochs();
    let whole = place.disk.copy_tree();
    let originals: BTreeMap<u64, (Manifest, Vec<Vec<u8>>)> = {
        let directory = place.read_only().unwrap();
        let listed = directory.manifests().unwrap().into_iter();
        let read = listed.map(|listed| {
            let manifest = listed.manifest.unwrap();
            let loaded = load(&directory, &manifest).unwrap();
            (listed.epoch, (manifest, loaded))
        });
        read.collect()
    };
    assert_eq!(originals.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);

    let (mut harmless, mut fell_back, mut refused) = (0, 0, 0);
    for seed in 0..count {
        let mut random = Random(seed);
        let mut tree = whole.clone();
        let what: Vec<String> =
            (0..=random.below(4)).map(|_| corrupt(&mut tree, &mut random)).collect();
        place.disk.restore(&tree);
        let opened = place.open(OpenMode::Resume);
        match opened.and_then(|mut directory| recover(&mut directory)) {
            Ok((manifest, loaded)) => {
                let (expected, bytes) = &originals[&manifest.epoch];
                assert_eq!(&manifest, expected, "seed {seed}: {what:?}");
                assert!(&loaded == bytes, "seed {seed}: {what:?}");
                if manifest.epoch == 3 { harmless += 1 } else { fell_back += 1 }
            }
            Err(error) => {
                let text = error.to_string();
                assert_eq!(text.lines().count(), 1, "seed {seed}: {text}");
                refused += 1;
            }
        }
    }
    eprintln!("{count} directories: {harmless} harmless, {fell_back} fell back, {refused} refused");
    assert!(harmless > count / 20 && fell_back > count / 20 && refused > count / 100);
}

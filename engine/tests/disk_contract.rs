//! What `io::disk` promises, held against every disk: the machine's with each way to flush, and
//! the simulated one.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pelton::io::disk::{
    Disk, Fault, FaultKind, FlushEngine, FlushWrite, PowerLost, RealDisk, SharedFile, SimDisk,
    is_latched,
};

const BLOCK: usize = 4_096;

/// Runs a check on each disk, in a directory of its own.
#[expect(clippy::print_stdout, reason = "a skipped part says so")]
fn on_each(check: impl Fn(&dyn Disk, &Path)) {
    for engine in [FlushEngine::Plain, FlushEngine::Uring, FlushEngine::Auto] {
        let directory = tempfile::tempdir().expect("a directory for the test");
        match RealDisk::new(engine) {
            Ok(disk) => check(&disk, directory.path()),
            Err(error) if engine == FlushEngine::Uring => println!("skipped io_uring: {error}"),
            Err(error) => panic!("{engine:?} always works: {error}"),
        }
    }
    let disk = SimDisk::new(7);
    disk.create_directory(Path::new("/job")).expect("a directory");
    check(&disk, Path::new("/job"));
}

fn kind<T>(answer: Result<T, Error>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind())
}

fn bytes_of(file: &SharedFile) -> Vec<u8> {
    let len = file.len_bytes().expect("a length");
    let mut bytes = vec![0; usize::try_from(len).expect("a small file")];
    file.read_at(0, &mut bytes).expect("the whole file");
    bytes
}

/// Bytes that differ by place and by `salt`.
fn pattern(len: usize, salt: u8) -> Vec<u8> {
    let bytes = (0..=250_u8).flat_map(|byte| [byte ^ salt; 7]);
    bytes.cycle().take(len).collect()
}

#[test]
fn written_bytes_are_read_at_any_offset() {
    on_each(|disk, root| {
        let file = disk.create(&root.join("a"), 0).unwrap();
        file.write_at(10_000, b"there").unwrap();
        file.write_at(10_003, b"m").unwrap();
        assert_eq!(file.len_bytes().unwrap(), 10_005);
        let mut bytes = [1; 7];
        file.read_at(9_998, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0\0theme");
    });
}

#[test]
fn a_read_past_the_end_is_an_unexpected_end() {
    on_each(|disk, root| {
        let file = disk.create(&root.join("a"), 0).unwrap();
        file.write_at(0, b"four").unwrap();
        assert_eq!(kind(file.read_at(1, &mut [0; 4])), Some(ErrorKind::UnexpectedEof));
        assert_eq!(kind(file.read_at(0, &mut [0; 4])), None);
    });
}

#[test]
fn a_file_is_made_as_long_as_its_room_and_afresh() {
    on_each(|disk, root| {
        let path = root.join("a");
        disk.create(&path, 0).unwrap().write_at(0, &pattern(9_000, 1)).unwrap();
        let file = disk.create(&path, 3 << 20).unwrap();
        assert_eq!(file.len_bytes().unwrap(), 3 << 20);
        assert!(bytes_of(&file).iter().all(|&byte| byte == 0), "nothing is left of the old one");
    });
}

#[test]
fn a_cut_file_grows_again_with_zeroes() {
    on_each(|disk, root| {
        let file = disk.create(&root.join("a"), 0).unwrap();
        file.write_at(0, &pattern(9_000, 255)).unwrap();
        file.set_len(100).unwrap();
        file.set_len(9_000).unwrap();
        let bytes = bytes_of(&file);
        assert_eq!(bytes[..100], pattern(9_000, 255)[..100]);
        assert!(bytes[100..].iter().all(|&byte| byte == 0));
    });
}

#[test]
fn a_file_opened_for_reading_is_not_written() {
    on_each(|disk, root| {
        let path = root.join("a");
        disk.create(&path, 0).unwrap().write_at(0, &pattern(BLOCK, 1)).unwrap();
        let file = disk.open(&path, false).unwrap();
        let bytes = pattern(BLOCK, 2);
        assert!(file.write_at(0, &bytes).is_err());
        assert!(disk.flush(&[FlushWrite { file: &file, offset: 0, bytes: &bytes }]).is_err());
        assert_eq!(bytes_of(&file), pattern(BLOCK, 1));
        disk.open(&path, true).unwrap().write_at(0, &bytes).unwrap();
        assert_eq!(bytes_of(&file), bytes);
    });
}

#[test]
fn what_is_not_there_is_not_found() {
    on_each(|disk, root| {
        let none = root.join("none");
        assert_eq!(kind(disk.open(&none, true)), Some(ErrorKind::NotFound));
        assert_eq!(kind(disk.list(&none)), Some(ErrorKind::NotFound));
        assert_eq!(kind(disk.remove(&none)), Some(ErrorKind::NotFound));
        assert_eq!(kind(disk.rename(&none, &root.join("b"))), Some(ErrorKind::NotFound));
        assert_eq!(kind(disk.sync_directory(&none)), Some(ErrorKind::NotFound));
        assert_eq!(kind(disk.create(&none.join("b"), 0)), Some(ErrorKind::NotFound));
    });
}

#[test]
fn a_directory_is_no_file() {
    on_each(|disk, root| {
        assert_eq!(kind(disk.open(root, false)), Some(ErrorKind::IsADirectory));
        assert_eq!(kind(disk.create(root, 0)), Some(ErrorKind::IsADirectory));
    });
}

#[test]
fn directories_are_made_with_those_above_and_twice() {
    on_each(|disk, root| {
        let deep = root.join("a/b/c");
        disk.create_directory(&deep).unwrap();
        disk.create_directory(&deep).unwrap();
        disk.create(&deep.join("z"), 0).unwrap();
        disk.create(&deep.join("y"), 0).unwrap();
        disk.create_directory(&deep.join("x")).unwrap();
        assert_eq!(disk.list(&deep).unwrap(), ["x", "y", "z"]);
        assert_eq!(disk.list(root).unwrap(), ["a"]);
    });
}

#[test]
fn a_rename_replaces_and_an_open_file_follows() {
    on_each(|disk, root| {
        let (from, to) = (root.join("new"), root.join("old"));
        disk.create(&to, 0).unwrap().write_at(0, b"old").unwrap();
        let file = disk.create(&from, 0).unwrap();
        file.write_at(0, b"new").unwrap();
        disk.rename(&from, &to).unwrap();
        disk.sync_directory(root).unwrap();
        file.write_at(3, b"er").unwrap();
        assert_eq!(disk.list(root).unwrap(), ["old"]);
        assert_eq!(bytes_of(&disk.open(&to, false).unwrap()), b"newer");
        disk.remove(&to).unwrap();
        assert!(disk.list(root).unwrap().is_empty());
        assert_eq!(bytes_of(&file), b"newer", "an open file outlives its name");
    });
}

#[test]
fn one_holder_has_the_lock_and_dropping_lets_go() {
    on_each(|disk, root| {
        let path = root.join("LOCK");
        disk.create(&path, 0).unwrap().write_at(0, b"99999999999999").unwrap();
        let lock = disk.lock(&path).unwrap();
        assert_eq!(kind(disk.lock(&path)), Some(ErrorKind::WouldBlock));
        let id = bytes_of(&disk.open(&path, false).unwrap());
        assert_eq!(id, std::process::id().to_string().as_bytes());
        drop(lock);
        let left = || bytes_of(&disk.open(&path, false).unwrap());
        assert_eq!(left(), b"99999999999999", "nobody was there");
        disk.lock(&path).unwrap().keep();
        assert_eq!(left(), id);
    });
}

#[test]
fn a_flush_writes_every_run_of_every_file() {
    on_each(|disk, root| {
        let names = ["a", "b", "c"].map(|name| root.join(name));
        let files = names.each_ref().map(|path| disk.create(path, 4 << 20).unwrap());
        // Runs of one block and of many, out of order, in more parts than a ring has buffers.
        let runs: Vec<(usize, usize, Vec<u8>)> = [
            (0, 40, 1),
            (1, 0, 700),
            (0, 2, 3),
            (2, 1_023, 1),
            (1, 800, 65),
            (0, 100, 64),
            (2, 0, 1),
        ]
        .into_iter()
        .enumerate()
        .map(|(index, (file, block, blocks))| {
            (file, block * BLOCK, pattern(blocks * BLOCK, u8::try_from(index).unwrap()))
        })
        .collect();
        let mut expected = vec![vec![0; 4 << 20]; 3];
        for (file, offset, bytes) in &runs {
            expected[*file][*offset..][..bytes.len()].copy_from_slice(bytes);
        }
        let writes: Vec<FlushWrite<'_>> = runs
            .iter()
            .map(|(file, offset, bytes)| FlushWrite {
                file: &files[*file],
                offset: *offset as u64,
                bytes,
            })
            .collect();
        disk.flush(&writes).unwrap();
        for (path, expected) in names.iter().zip(&expected) {
            let found = bytes_of(&disk.open(path, false).unwrap());
            assert!(found == *expected, "{} with {}", path.display(), disk.flush_name());
        }
    });
}

#[test]
fn a_flush_of_more_files_than_a_ring_has_places_for() {
    on_each(|disk, root| {
        let files: Vec<SharedFile> =
            (0..70).map(|index| disk.create(&root.join(index.to_string()), 0).unwrap()).collect();
        let bytes: Vec<Vec<u8>> = (0..70).map(|index| pattern(BLOCK, index)).collect();
        let writes: Vec<FlushWrite<'_>> = files
            .iter()
            .zip(&bytes)
            .map(|(file, bytes)| FlushWrite { file, offset: 0, bytes })
            .collect();
        disk.flush(&writes).unwrap();
        for (file, bytes) in files.iter().zip(&bytes) {
            assert_eq!(&bytes_of(file), bytes);
        }
        disk.flush(&[]).unwrap();
    });
}

#[test]
fn a_flush_and_buffered_writes_see_each_other() {
    on_each(|disk, root| {
        let file = disk.create(&root.join("a"), 0).unwrap();
        file.write_at(0, &pattern(3 * BLOCK, 1)).unwrap();
        let bytes = pattern(BLOCK, 9);
        disk.flush(&[FlushWrite { file: &file, offset: 4_096, bytes: &bytes }]).unwrap();
        file.write_at(5_000, b"over").unwrap();
        let mut expected = pattern(3 * BLOCK, 1);
        expected[4_096..8_192].copy_from_slice(&bytes);
        expected[5_000..5_004].copy_from_slice(b"over");
        assert_eq!(bytes_of(&file), expected);
    });
}

#[test]
fn files_and_directories_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let temporary = tempfile::tempdir().unwrap();
    let disk = RealDisk::new(FlushEngine::Plain).unwrap();
    let directory = temporary.path().join("a/b");
    disk.create_directory(&directory).unwrap();
    disk.create(&directory.join("file"), 4_096).unwrap();
    let _lock = disk.lock(&directory.join("LOCK")).unwrap();
    let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(temporary.path().join("a")), 0o700);
    assert_eq!(mode(directory.clone()), 0o700);
    assert_eq!(mode(directory.join("file")), 0o600);
    assert_eq!(mode(directory.join("LOCK")), 0o600);
}

#[test]
fn preallocated_blocks_are_there() {
    use std::os::unix::fs::MetadataExt;
    let temporary = tempfile::tempdir().unwrap();
    let disk = RealDisk::new(FlushEngine::Plain).unwrap();
    let path = temporary.path().join("a");
    disk.create(&path, 1 << 20).unwrap();
    assert!(std::fs::metadata(path).unwrap().blocks() * 512 >= 1 << 20);
}

#[test]
fn a_real_file_that_failed_a_flush_stays_failed() {
    // Every write to it fails with ENOSPC.
    let full = Path::new("/dev/full");
    for engine in [FlushEngine::Plain, FlushEngine::Auto] {
        let temporary = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(engine).unwrap();
        let (file, sound) = (
            disk.open(full, true).unwrap(),
            disk.create(&temporary.path().join("sound"), 0).unwrap(),
        );
        assert_eq!(kind(file.write_at(0, b"x")), Some(ErrorKind::StorageFull));
        let bytes = pattern(BLOCK, 1);
        let run = FlushWrite { file: &file, offset: 0, bytes: &bytes };
        let first = disk.flush(&[run]).unwrap_err();
        assert_eq!(first.kind(), ErrorKind::StorageFull, "{}", disk.flush_name());
        assert!(!is_latched(&first));
        let later = disk.flush(&[FlushWrite { file: &sound, ..run }, run]).unwrap_err();
        assert!(is_latched(&later), "{later}");
        assert!(later.to_string().contains("/dev/full"), "{later}");
        assert!(is_latched(&file.write_at(0, b"x").unwrap_err()));
        assert!(is_latched(&file.set_len(0).unwrap_err()));
        assert!(is_latched(&file.sync_data().unwrap_err()));
        disk.flush(&[FlushWrite { file: &sound, ..run }]).expect("the other file goes on");
    }
}

// From here on the simulated disk alone: what power and faults do.

fn simulated(seed: u64) -> (SimDisk, SharedFile) {
    let disk = SimDisk::new(seed);
    let file = disk.create(Path::new("/a"), 0).expect("nothing fails yet");
    file.write_at(0, &pattern(4 * BLOCK, 1)).expect("nothing fails yet");
    file.sync_data().expect("nothing fails yet");
    disk.sync_directory(Path::new("/")).expect("nothing fails yet");
    (disk, file)
}

fn content(disk: &SimDisk) -> Vec<u8> {
    bytes_of(&disk.open(Path::new("/a"), true).expect("the file is there"))
}

#[test]
fn what_was_synced_survives_every_crash() {
    for seed in 0..200 {
        let (disk, _) = simulated(seed);
        assert_eq!(content(&disk.durable_image(seed)), pattern(4 * BLOCK, 1));
        disk.crash();
        assert_eq!(content(&disk), pattern(4 * BLOCK, 1));
        let file = disk.open(Path::new("/a"), true).unwrap();
        let bytes = pattern(2 * BLOCK, 2);
        disk.flush(&[FlushWrite { file: &file, offset: 4_096, bytes: &bytes }]).unwrap();
        disk.crash();
        assert_eq!(content(&disk)[4_096..3 * 4_096], bytes, "seed {seed}");
    }
}

#[test]
fn unsynced_sectors_survive_each_by_chance_and_whole() {
    let (old, new) = (pattern(4 * BLOCK, 1), pattern(4 * BLOCK, 2));
    let (disk, file) = simulated(0);
    file.write_at(0, &new).unwrap();
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..50 {
        let found = content(&disk.durable_image(seed));
        for ((found, old), new) in found.chunks(512).zip(old.chunks(512)).zip(new.chunks(512)) {
            assert!(found == old || found == new, "seed {seed}");
            kept += u32::from(found == new);
            lost += u32::from(found == old);
        }
    }
    assert!(kept > 600 && lost > 600, "{kept} kept, {lost} lost");
    assert_eq!(bytes_of(&file), new, "asking what a crash would leave disturbs nothing");
}

#[test]
fn an_unsynced_length_survives_by_chance() {
    let (disk, file) = simulated(0);
    file.set_len(100).unwrap();
    let lengths: std::collections::BTreeSet<usize> =
        (0..50).map(|seed| content(&disk.durable_image(seed)).len()).collect();
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [100, 4 * BLOCK]);
}

#[test]
fn an_unsynced_rename_is_old_or_new_and_never_neither() {
    let root = Path::new("/");
    let (mut old, mut new) = (0, 0);
    for seed in 0..100 {
        let (disk, _) = simulated(seed);
        let file = disk.create(Path::new("/t"), 0).unwrap();
        file.write_at(0, b"new").unwrap();
        file.sync_data().unwrap();
        disk.sync_directory(root).unwrap();
        disk.rename(Path::new("/t"), Path::new("/a")).unwrap();
        disk.crash();
        match disk.list(root).unwrap().as_slice() {
            [a] if a == "a" => new += u32::from(content(&disk) == b"new"),
            [a, t] if a == "a" && t == "t" => old += u32::from(content(&disk).len() == 4 * BLOCK),
            names => panic!("seed {seed}: {names:?}"),
        }
    }
    assert_eq!(old + new, 100);
    assert!(old > 20 && new > 20, "{old} old, {new} new");
}

#[test]
fn unsynced_names_survive_by_chance_and_synced_ones_always() {
    let root = Path::new("/");
    let mut made = 0;
    for seed in 0..100 {
        let (disk, _) = simulated(seed);
        let fresh = disk.create(Path::new("/fresh"), 0).unwrap();
        fresh.write_at(0, b"x").unwrap();
        fresh.sync_data().unwrap();
        disk.remove(Path::new("/a")).unwrap();
        let image = disk.durable_image(seed);
        made += u32::from(image.list(root).unwrap().contains(&"fresh".to_owned()));
        disk.sync_directory(root).unwrap();
        disk.crash();
        assert_eq!(disk.list(root).unwrap(), ["fresh"]);
    }
    assert!((20..80).contains(&made), "{made}");
}

#[test]
fn handles_of_before_a_crash_are_dead() {
    let (disk, file) = simulated(3);
    let lock = disk.lock(Path::new("/LOCK")).unwrap();
    disk.sync_directory(Path::new("/")).unwrap();
    disk.crash();
    let dead = |error: Error| error.get_ref().is_some_and(|payload| payload.is::<PowerLost>());
    assert!(dead(file.write_at(0, b"x").unwrap_err()));
    assert!(dead(file.read_at(0, &mut [0]).unwrap_err()));
    let again = disk.lock(Path::new("/LOCK")).expect("a crash lets go of locks");
    drop(lock);
    assert_eq!(kind(disk.lock(Path::new("/LOCK"))), Some(ErrorKind::WouldBlock));
    drop(again);
}

#[test]
fn power_that_is_lost_at_an_operation_stays_off() {
    let (disk, file) = simulated(3);
    disk.add_fault(Fault { at_operation: disk.operations() + 1, kind: FaultKind::CrashHere });
    file.write_at(0, b"x").unwrap();
    assert!(file.sync_data().is_err());
    assert!(disk.is_off());
    assert!(disk.list(Path::new("/")).is_err());
    disk.power_on();
    assert_eq!(content(&disk).len(), 4 * BLOCK);
}

#[test]
fn a_failed_sync_is_final_although_the_next_would_answer_well() {
    for kind in [FaultKind::FailedSync, FaultKind::Eio, FaultKind::Enospc] {
        let (disk, file) = simulated(1);
        file.write_at(0, &pattern(BLOCK, 2)).unwrap();
        disk.add_fault(Fault { at_operation: disk.operations(), kind });
        assert!(!is_latched(&file.sync_data().unwrap_err()));
        assert!(is_latched(&file.sync_data().unwrap_err()));
        assert!(is_latched(&file.write_at(0, b"x").unwrap_err()));
        let bytes = pattern(BLOCK, 3);
        let run = FlushWrite { file: &file, offset: 0, bytes: &bytes };
        assert!(is_latched(&disk.flush(&[run]).unwrap_err()));
    }
    // And this is what the latch protects from: a sync that answers well over lost data.
    let (disk, file) = simulated(1);
    file.write_at(0, &pattern(BLOCK, 2)).unwrap();
    disk.add_fault(Fault { at_operation: 0, kind: FaultKind::FailedSync });
    assert!(file.sync_data().is_err());
    disk.open(Path::new("/a"), true).unwrap().sync_data().unwrap();
    assert_eq!(content(&disk)[..BLOCK], pattern(BLOCK, 2));
    disk.crash();
    assert_eq!(content(&disk)[..BLOCK], pattern(BLOCK, 1));
}

#[test]
fn short_and_cancelled_parts_of_a_flush_are_finished_inside() {
    for kind in [FaultKind::ShortWrite, FaultKind::Canceled] {
        for part in 0..3 {
            let (disk, file) = simulated(5);
            disk.add_fault(Fault { at_operation: disk.operations() + part, kind });
            let (one, two) = (pattern(BLOCK, 2), pattern(2 * BLOCK, 3));
            let before = disk.operations();
            disk.flush(&[
                FlushWrite { file: &file, offset: 0, bytes: &one },
                FlushWrite { file: &file, offset: 4_096, bytes: &two },
            ])
            .unwrap();
            let was_met = kind == FaultKind::Canceled || part < 2;
            assert_eq!(disk.operations() - before, 3 + u64::from(was_met), "{kind:?} at {part}");
            disk.crash();
            assert_eq!(content(&disk)[..3 * BLOCK], [one, two].concat());
        }
    }
}

#[test]
fn a_torn_write_of_a_flush_latches_its_files() {
    let (disk, file) = simulated(5);
    let other = disk.create(Path::new("/b"), 0).unwrap();
    disk.add_fault(Fault { at_operation: disk.operations() + 1, kind: FaultKind::TornWrite });
    let bytes = pattern(4 * BLOCK, 9);
    let run = FlushWrite { file: &file, offset: 0, bytes: &bytes };
    assert!(disk.flush(&[FlushWrite { file: &other, ..run }, run]).is_err());
    assert!(is_latched(&file.sync_data().unwrap_err()));
    assert!(is_latched(&other.sync_data().unwrap_err()), "its run was written and not synced");
    let found = content(&disk);
    assert!(found != bytes && found != pattern(4 * BLOCK, 1), "some sectors of each");
}

#[test]
fn a_lost_sync_answers_well_and_keeps_nothing() {
    let mut lost = 0;
    for seed in 0..20 {
        let (disk, file) = simulated(seed);
        file.write_at(0, &pattern(BLOCK, 2)).unwrap();
        disk.add_fault(Fault { at_operation: 0, kind: FaultKind::LostSync });
        file.sync_data().unwrap();
        disk.crash();
        lost += u32::from(content(&disk)[..BLOCK] != pattern(BLOCK, 2));
    }
    assert!(lost > 15, "{lost}");
}

#[test]
fn a_flipped_bit_is_one_bit() {
    let ones = |left: &[u8], right: &[u8]| {
        left.iter().zip(right).map(|(left, right)| (left ^ right).count_ones()).sum::<u32>()
    };
    let (disk, file) = simulated(2);
    let good = pattern(4 * BLOCK, 1);
    disk.add_fault(Fault { at_operation: disk.operations(), kind: FaultKind::BitFlip });
    assert_eq!(ones(&bytes_of(&file), &good), 1);
    assert_eq!(bytes_of(&file), good, "a flip while reading is not stored");
    disk.add_fault(Fault { at_operation: disk.operations(), kind: FaultKind::BitFlip });
    file.write_at(0, &good).unwrap();
    file.sync_data().unwrap();
    disk.crash();
    assert_eq!(ones(&content(&disk), &good), 1);
    disk.restore(&[(PathBuf::from("/a"), good.clone())].into());
    disk.corrupt(Path::new("/a"), 77, 3).unwrap();
    assert_eq!(content(&disk)[77], good[77] ^ 8);
    disk.truncate(Path::new("/a"), 78).unwrap();
    disk.crash();
    assert_eq!(ones(&content(&disk), &good[..78]), 1);
    disk.forget(Path::new("/a")).unwrap();
    disk.crash();
    assert!(disk.copy_tree().is_empty());
}

#[test]
fn a_full_disk_refuses_what_needs_room_and_keeps_what_has_it() {
    let disk = SimDisk::new(0);
    disk.set_capacity(Some(8 * 4_096));
    let file = disk.create(Path::new("/a"), 6 * 4_096).unwrap();
    assert_eq!(kind(disk.create(Path::new("/b"), 3 * 4_096)), Some(ErrorKind::StorageFull));
    assert_eq!(disk.list(Path::new("/")).unwrap(), ["a"]);
    let other = disk.create(Path::new("/b"), 0).unwrap();
    other.write_at(0, &pattern(2 * BLOCK, 1)).unwrap();
    assert_eq!(kind(other.write_at(8_192, b"x")), Some(ErrorKind::StorageFull));
    file.write_at(0, &pattern(6 * BLOCK, 1)).expect("its blocks are there");
    disk.remove(Path::new("/b")).unwrap();
    file.write_at(6 * 4_096, b"x").expect("there is room again");
}

#[test]
fn the_same_seed_does_the_same() {
    let run = |seed| {
        let (disk, file) = simulated(seed);
        disk.add_fault(Fault { at_operation: 6, kind: FaultKind::TornWrite });
        file.write_at(0, &pattern(BLOCK, 5)).unwrap();
        file.write_at(4_096, &pattern(BLOCK, 6)).unwrap();
        file.write_at(0, &pattern(4 * BLOCK, 7)).unwrap_err();
        disk.create(Path::new("/b"), 0).unwrap();
        disk.crash();
        (disk.trace(), disk.trace_hash(), disk.copy_tree())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).2, run(2).2);
    assert!(run(1).0.iter().any(|line| line.ends_with("TornWrite")), "{:?}", run(1).0);
}

#[test]
fn the_handles_of_one_disk_share_it() {
    let (disk, _) = simulated(1);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    shared.create(Path::new("/b"), 0).unwrap();
    assert_eq!(disk.list(Path::new("/")).unwrap(), ["a", "b"]);
}

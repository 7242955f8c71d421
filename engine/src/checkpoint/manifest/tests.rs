//! Step 8, checkpoint: a manifest's bytes against the picture, and against chance.

use proptest::prelude::*;

use super::*;

fn example() -> Manifest {
    let segment = SegmentManifest {
        file: "r1-l0-s1.seg".to_owned(),
        number: 0,
        segment_bytes: 1 << 20,
        bytes: 70_000,
        checksums: vec![1, 2],
    };
    let log = LogManifest {
        stage: "count".to_owned(),
        shard: 1,
        watermark_micros: -5,
        entry_count: 7,
        live_bytes: 512,
        segments: vec![segment],
    };
    let operator = OperatorManifest {
        name: "count".to_owned(),
        id: 3,
        kind: "aggregate".to_owned(),
        states: vec![StateManifest { name: "state".to_owned(), ..StateManifest::default() }],
        ..OperatorManifest::default()
    };
    let split = SplitManifest {
        name: "a.csv".to_owned(),
        position: vec![9; 40],
        ..SplitManifest::default()
    };
    Manifest {
        epoch: 12,
        run: 2,
        job: "clicks".to_owned(),
        logs: vec![log],
        operators: vec![operator],
        splits: vec![split],
        sinks: vec![SinkManifest { name: "output 0".to_owned(), state: vec![1], records_out: 5 }],
        ..Manifest::default()
    }
}

/// Header and payload put together by hand from the picture.
fn by_hand(version: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"PELTMAN1".to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(u64::try_from(payload.len()).unwrap().to_le_bytes());
    bytes.extend(xxh3_64(payload).to_le_bytes());
    bytes.extend([0; 24]);
    bytes.extend(xxh3_64(&bytes).to_le_bytes());
    assert_eq!(bytes.len(), 64);
    bytes.extend(payload);
    bytes
}

#[test]
fn a_manifest_is_a_drawn_header_and_an_archive() {
    for manifest in [Manifest::default(), example()] {
        let payload = rkyv::to_bytes::<ArchiveError>(&manifest).unwrap();
        let bytes = encode(&manifest);
        assert_eq!(bytes, by_hand(1, &payload));
        assert_eq!(decode(&bytes), Ok(manifest));
    }
}

#[test]
fn another_version_is_refused_by_name() {
    let error = decode(&by_hand(7, b"whatever comes then")).unwrap_err();
    assert_eq!(error, ManifestError::Version { found: 7, expected: 1 });
    let told = error.to_string();
    assert!(
        ["7", "reads 1", "the engine that wrote it"].iter().all(|word| told.contains(word)),
        "{told}"
    );
}

#[test]
fn what_is_wrong_is_named() {
    let bytes = encode(&example());
    let of = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        decode(&bytes).unwrap_err()
    };
    assert_eq!(decode(b""), Err(ManifestError::Magic { found: Vec::new() }));
    assert!(matches!(of(&|bytes| bytes[0] = b'p'), ManifestError::Magic { .. }));
    assert!(matches!(of(&|bytes| bytes[40] = 1), ManifestError::HeaderChecksum { .. }));
    let (found, expected) = (20, 64);
    assert_eq!(of(&|bytes| bytes.truncate(20)), ManifestError::Length { found, expected });
    let expected = u64::try_from(bytes.len()).unwrap();
    let found = expected - 1;
    assert_eq!(
        of(&|bytes| bytes.truncate(bytes.len() - 1)),
        ManifestError::Length { found, expected }
    );
    let found = expected + 1;
    assert_eq!(of(&|bytes| bytes.push(0)), ManifestError::Length { found, expected });
    assert!(matches!(of(&|bytes| bytes[70] ^= 1), ManifestError::Checksum { .. }));
    assert_eq!(decode(&by_hand(1, b"no archive")), Err(ManifestError::Malformed));
    for (file, bytes, checksums) in
        [("../../etc/passwd", 1, 1), ("r1-l0-s1.seg", 70_000, 1), ("r1-l0-s1.seg", 2 << 20, 32)]
    {
        let mut manifest = example();
        let segment = &mut manifest.logs[0].segments[0];
        (segment.file, segment.bytes) = (file.to_owned(), bytes);
        segment.checksums = vec![0; checksums];
        let error = decode(&encode(&manifest)).unwrap_err();
        assert!(matches!(error, ManifestError::Segment { .. }), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_flipped_bit_or_a_cut_is_always_seen(at in any::<prop::sample::Index>(), bit in 0_u8..8, cut: bool) {
        let mut bytes = encode(&example());
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        prop_assert!(decode(&bytes).is_err());
    }

    /// Checksums that fit say nothing of who wrote the bytes: rkyv has to find out.
    #[test]
    fn a_payload_with_right_checksums_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        is_cut: bool,
    ) {
        let mut payload = encode(&example()).split_off(64);
        for (at, byte) in changes {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if is_cut {
            payload.truncate(cut.index(payload.len()));
        }
        if let Ok(manifest) = decode(&by_hand(1, &payload)) {
            let mut segments = manifest.logs.iter().flat_map(|log| &log.segments);
            prop_assert!(segments.all(|segment| is_segment_file_name(&segment.file)));
        }
    }
}

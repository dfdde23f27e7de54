//! Tests of manifests, their changes, and the bytes of both; and the samples that other tests use.

use super::super::checkpoint::VERSION;
use super::*;
use proptest::prelude::*;

pub(in crate::partition) fn run(start: i64, end: i64) -> Run {
    Run {
        object: Uuid::from_u128(u128::from(start.cast_unsigned()) << 64 | u128::from(end.cast_unsigned())),
        position: 64,
        bytes: (end - start).cast_unsigned() * 10,
        start,
        end,
        max_timestamp: end * 100,
        appended_at: end * 1000,
    }
}

pub(in crate::partition) fn add(runs: &[Run]) -> ManifestChange {
    ManifestChange::SegmentsReplaced {
        add: runs.to_vec(),
        remove: Vec::new(),
    }
}

/// A manifest as it may grow: runs of arbitrary length, and a log start somewhere below their end.
pub(in crate::partition) fn manifests() -> impl Strategy<Value = Manifest> {
    (proptest::collection::vec(1i64..50, 0..20), 0i64..1200, 0i64..1200).prop_map(|(lengths, log_start, compacted)| {
        let mut manifest = Manifest::default();
        let mut end = 0;
        for length in lengths {
            manifest = manifest.apply(&add(&[run(end, end + length)])).unwrap();
            end += length;
        }
        let to = log_start.min(end);
        manifest = manifest.apply(&ManifestChange::LogStartAdvanced { to }).unwrap();
        let to = compacted.min(end);
        manifest.apply(&ManifestChange::CompactedTo { to }).unwrap()
    })
}

#[test]
fn a_gap_and_an_overlap_are_refused() {
    let manifest = Manifest::default().apply(&add(&[run(0, 10)])).unwrap();
    for wrong in [run(11, 20), run(9, 20)] {
        assert!(matches!(
            manifest.apply(&add(&[wrong])),
            Err(ChangeError::NotContiguous { expected: 10, .. })
        ));
    }
    assert!(matches!(
        Manifest::default().apply(&add(&[run(5, 6)])),
        Err(ChangeError::NotContiguous { expected: 0, start: 5 })
    ));
}

#[test]
fn runs_merge_into_one() {
    let parts = [run(0, 10), run(10, 25)];
    let manifest = Manifest::default().apply(&add(&parts)).unwrap();
    let merge = ManifestChange::SegmentsReplaced {
        add: vec![run(0, 25)],
        remove: parts.to_vec(),
    };
    assert_eq!(manifest.apply(&merge).unwrap().segments, [run(0, 25)]);
    let again = manifest.apply(&merge).unwrap().apply(&merge);
    assert!(matches!(again, Err(ChangeError::NoSuchRun { start: 0, end: 10, .. })));
}

#[test]
fn the_log_start_drops_whole_runs_and_outruns_a_flush() {
    let manifest = Manifest::default().apply(&add(&[run(0, 10), run(10, 20)])).unwrap();
    let manifest = manifest.apply(&ManifestChange::LogStartAdvanced { to: 15 }).unwrap();
    assert_eq!((manifest.log_start, &manifest.segments[..]), (15, &[run(10, 20)][..]));
    let manifest = manifest.apply(&ManifestChange::LogStartAdvanced { to: 40 }).unwrap();
    assert_eq!((manifest.covered_to(), manifest.segments.len()), (40, 0));
    let late = manifest.apply(&add(&[run(20, 30), run(30, 50)])).unwrap();
    assert_eq!(
        late.segments,
        [run(30, 50)],
        "what lies below the log start is left out"
    );
    assert_eq!(late.covered_to(), 50);
}

#[test]
fn what_was_compacted_is_told_from_what_was_not_run_by_run() {
    let manifest = Manifest::default()
        .apply(&add(&[run(0, 10), run(10, 20), run(20, 30)]))
        .unwrap();
    assert_eq!(manifest.compacted_and_not().0, []);
    let manifest = manifest.apply(&ManifestChange::CompactedTo { to: 15 }).unwrap();
    assert_eq!(
        manifest.compacted_and_not(),
        (&[run(0, 10)][..], &[run(10, 20), run(20, 30)][..])
    );
    let manifest = manifest.apply(&ManifestChange::CompactedTo { to: 5 }).unwrap();
    assert_eq!(manifest.compacted_to, 15);
}

#[test]
fn epochs_end_where_kafka_says() {
    let epochs = [(2, 0), (5, 10), (7, 30)].map(|(epoch, start)| EpochStart { epoch, start });
    let manifest = Manifest {
        epochs: epochs.to_vec(),
        ..Manifest::default()
    };
    let cases = [
        (7, Some((7, 100))),
        (8, None),
        (6, Some((5, 30))),
        (5, Some((5, 30))),
        (2, Some((2, 10))),
        (0, Some((0, 0))),
    ];
    for (asked, expected) in cases {
        assert_eq!(manifest.epoch_end(asked, 100), expected, "epoch {asked}");
    }
    assert_eq!([0, 9, 10, 99].map(|offset| manifest.epoch_of(offset)), [2, 2, 5, 7]);
}

proptest! {
    #[test]
    fn a_manifest_comes_back_as_it_was(manifest in manifests()) {
        let mut bytes = Vec::new();
        manifest.encode(&mut bytes);
        prop_assert_eq!(Manifest::decode(&mut &bytes[..], VERSION).unwrap(), manifest);
        for len in 0..bytes.len() {
            prop_assert!(Manifest::decode(&mut &bytes[..len], VERSION).is_err());
        }
    }

    #[test]
    fn each_offset_is_in_the_run_that_holds_it(manifest in manifests(), offset in 0i64..1200) {
        let found = manifest.run_of(offset);
        let expected = manifest.segments.iter().find(|run| run.start <= offset && offset < run.end);
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn outside_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        Manifest::decode(&mut &bytes[..], VERSION).ok();
        if let Ok(change) = ManifestChange::decode(&mut &bytes[..]) {
            let mut again = Vec::new();
            change.encode(&mut again);
            prop_assert!(bytes.starts_with(&again));
        }
    }
}

//! What is worth a pass, and what stays of one batch. Whole histories are in `broker/tests/compaction.rs`.

use bytes::BytesMut;
use proptest::prelude::*;
use tailrace_shared::record::{
    BatchBuilder, BatchView, Batches, Compression, RecordHeaders, patch_base_offset, rewrite,
};
use uuid::Uuid;

use super::filter::{Filter, Left};
use super::newest::NewestOffsets;
use super::*;

const POLICY: CompactionPolicy = CompactionPolicy {
    dirty_ratio_min: 0.5,
    lag_ms_min: 0,
    lag_ms_max: i64::MAX,
    delete_retention_ms: 1000,
    wal_ms_max: i64::MAX,
    wal_bytes_max: u64::MAX,
};

fn run(start: i64, bytes: u64, appended_at: i64) -> Run {
    Run {
        object: Uuid::from_u128(1),
        position: 8,
        bytes,
        start,
        end: start + 10,
        max_timestamp: 0,
        appended_at,
    }
}

/// The offsets at which the planned runs start.
fn planned(compacted: &[Run], dirty: &[Run], policy: CompactionPolicy, now: i64) -> Option<Vec<i64>> {
    let plan = plan((compacted, dirty), 10, policy, now)?;
    Some(plan.runs.iter().map(|run| run.start).collect())
}

#[test]
fn a_pass_is_worth_it_once_enough_was_not_compacted() {
    let (compacted, dirty) = ([run(0, 100, 0)], [run(10, 99, 0)]);
    assert_eq!(planned(&compacted, &dirty, POLICY, 0), None);
    assert_eq!(planned(&compacted, &[run(10, 100, 0)], POLICY, 0), Some(vec![0, 10]));
    assert_eq!(planned(&[], &dirty, POLICY, 0), Some(vec![10]));
    let eager = CompactionPolicy {
        dirty_ratio_min: 0.0,
        ..POLICY
    };
    assert_eq!(planned(&compacted, &dirty, eager, 0), Some(vec![0, 10]));
    assert_eq!(planned(&compacted, &[], eager, 0), None);
}

#[test]
fn what_is_too_young_waits_and_what_is_too_old_does_not() {
    let compacted = [run(0, 1000, 0)];
    let dirty = [run(10, 1, 100), run(20, 1000, 200), run(30, 1000, 300)];
    let patient = CompactionPolicy {
        lag_ms_min: 50,
        ..POLICY
    };
    assert_eq!(
        planned(&compacted, &dirty, patient, 249),
        None,
        "the young do not count"
    );
    assert_eq!(planned(&compacted, &dirty, patient, 250), Some(vec![0, 10, 20]));
    let punctual = CompactionPolicy {
        lag_ms_max: 50,
        ..POLICY
    };
    assert_eq!(planned(&compacted, &dirty[..1], punctual, 150), None);
    assert_eq!(planned(&compacted, &dirty[..1], punctual, 151), Some(vec![0, 10]));
}

/// A batch with one record for each key and value.
fn batch(base_offset: i64, records: &[(&str, Option<&str>)]) -> BatchView {
    let mut builder = BatchBuilder::new(Compression::Zstd, 1).unwrap();
    for (key, value) in records {
        let (key, value) = (key.as_bytes(), value.map(str::as_bytes));
        builder.append(7, Some(key), value, &RecordHeaders::empty()).unwrap();
    }
    let mut bytes = BytesMut::from(&builder.finish().unwrap()[..]);
    patch_base_offset(&mut bytes, base_offset).unwrap();
    view(bytes.freeze())
}

fn view(bytes: bytes::Bytes) -> BatchView {
    Batches::split(bytes, usize::MAX).next().unwrap().unwrap()
}

fn filter(upto: i64, newest: &[(&str, i64)]) -> Filter {
    let mut filter = Filter {
        newest: NewestOffsets::with_memory(1 << 20),
        upto,
        delete_retention_ms: 1000,
    };
    for (key, offset) in newest {
        filter.newest.note(key.as_bytes(), *offset);
    }
    filter
}

/// Offsets that stay, and the delete horizon.
fn left(filter: &Filter, batch: &BatchView, now: i64) -> (Vec<i64>, Option<i64>) {
    let batch = match filter.apply(batch, now).unwrap() {
        Left::All => batch.clone(),
        Left::Some(bytes) => view(bytes),
        Left::None => return (Vec::new(), None),
    };
    let records = batch.records(1 << 20).unwrap();
    let offsets = records.map(|record| record.unwrap().offset).collect();
    (offsets, batch.header.delete_horizon())
}

#[test]
fn a_batch_of_newest_values_is_not_touched() {
    let batch = batch(3, &[("a", Some("1")), ("b", Some("2"))]);
    let filter = filter(10, &[("a", 3), ("b", 4)]);
    assert_eq!(filter.apply(&batch, 0).unwrap(), Left::All);
}

#[test]
fn a_deletion_mark_goes_with_the_first_pass_after_its_horizon() {
    let marks = batch(3, &[("a", Some("1")), ("a", None), ("b", None)]);
    let first = filter(10, &[("a", 4), ("b", 5)]);
    assert_eq!(left(&first, &marks, 50), (vec![4, 5], Some(1050)));
    let Left::Some(rewritten) = first.apply(&marks, 50).unwrap() else {
        panic!("it has a horizon now");
    };
    let rewritten = view(rewritten);
    let later = filter(20, &[]);
    assert_eq!(later.apply(&rewritten, 1049).unwrap(), Left::All);
    assert_eq!(later.apply(&rewritten, 1050).unwrap(), Left::None);
}

#[test]
fn the_last_record_before_the_end_of_a_pass_stays_even_if_its_time_is_over() {
    let marks = view(
        match filter(10, &[])
            .apply(&batch(3, &[("a", None), ("b", None)]), 0)
            .unwrap()
        {
            Left::Some(bytes) => bytes,
            other => panic!("{other:?}"),
        },
    );
    assert_eq!(left(&filter(5, &[]), &marks, 5000), (vec![4], Some(1000)));
    assert_eq!(left(&filter(6, &[]), &marks, 5000), (vec![], None));
}

#[test]
fn a_batch_that_goes_on_beyond_the_end_keeps_that_part_and_gets_no_horizon() {
    let batch = batch(3, &[("a", Some("1")), ("b", None), ("a", None)]);
    let filter = filter(5, &[("a", 9), ("b", 4)]);
    assert_eq!(left(&filter, &batch, 0), (vec![4, 5], None));
}

#[test]
fn what_has_no_key_stays() {
    let mut builder = BatchBuilder::new(Compression::None, 0).unwrap();
    for value in [Some(&b"x"[..]), None] {
        builder.append(7, None, value, &RecordHeaders::empty()).unwrap();
    }
    let batch = view(builder.finish().unwrap());
    assert_eq!(filter(10, &[]).apply(&batch, 0).unwrap(), Left::All);
    assert_eq!(check_keys(&batch), Err(KeyError::NoKey { records: vec![0, 1] }));
}

proptest! {
    /// A rewritten batch differs in nothing but the records that went.
    #[test]
    fn what_stays_of_a_batch_is_what_it_was(
        codec in prop::sample::select(&Compression::ALL[..]),
        records in prop::collection::vec((0u8..9, prop::option::of(0u32..1000), 0i64..1_000_000), 1..30),
        keep in prop::collection::vec(any::<bool>(), 30),
        horizon in prop::option::of(0i64..2_000_000),
    ) {
        let mut builder = BatchBuilder::new(codec, codec.default_level()).unwrap();
        for (key, value, timestamp) in &records {
            let value = value.map(|value| value.to_string());
            let headers = RecordHeaders::encode([("h", value.as_deref().map(str::as_bytes))]);
            builder.append(*timestamp, Some(&[*key]), value.as_deref().map(str::as_bytes), &headers).unwrap();
        }
        let whole = view(builder.finish().unwrap());
        let all: Vec<_> = whole.records(1 << 20).unwrap().map(Result::unwrap).collect();
        let kept: Vec<_> = all.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(record, _)| record).collect();
        prop_assume!(!kept.is_empty());
        let rewritten = view(rewrite(&whole.header, &kept, horizon).unwrap());
        let again: Vec<_> = rewritten.records(1 << 20).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(&again, &kept);
        prop_assert_eq!(rewritten.header.next_offset(), whole.header.next_offset());
        prop_assert_eq!(rewritten.header.attributes.compression(), Ok(codec));
        prop_assert_eq!(rewritten.header.delete_horizon(), horizon);
        prop_assert_eq!(Some(rewritten.header.max_timestamp), kept.iter().map(|record| record.timestamp).max());
    }
}

//! Tests of recovery: each kind of damage by its name, and the fuzzy checkpoint against the whole WAL.

use bytes::Bytes;
use proptest::prelude::*;
use tailrace_shared::record::{Attributes, HEADER_LEN};
use uuid::Uuid;

use super::super::manifest::tests::{add, run};
use super::*;
use crate::topic_partition::TopicPartition;
use crate::wal::frame::FrameLocation;

const PARTITION: TopicPartition = TopicPartition {
    topic: Uuid::from_u128(1),
    partition: 0,
};

/// A frame of the WAL and its payload.
#[derive(Debug, Clone)]
struct Written {
    frame: CommittedFrame,
    payload: Bytes,
}

fn written(kind: FrameKind, start: i64, end: i64, payload: Vec<u8>) -> Written {
    Written {
        frame: CommittedFrame {
            kind,
            partition: PARTITION,
            start,
            end,
            appended_at: 1000 + end,
            location: FrameLocation {
                incarnation: 1,
                file: 0,
                offset: start.cast_unsigned(),
                len: u32::try_from(payload.len()).unwrap(),
            },
        },
        payload: payload.into(),
    }
}

/// A frame with one batch; of a producer if it has a sequence.
fn batch(start: i64, records: i32, sequence: Option<i32>) -> Written {
    let header = BatchHeader {
        base_offset: start,
        batch_length: i32::try_from(HEADER_LEN).unwrap() - 12,
        partition_leader_epoch: 0,
        magic: 2,
        crc: 7,
        attributes: Attributes(0),
        last_offset_delta: records - 1,
        base_timestamp: 0,
        max_timestamp: start * 100,
        producer_id: if sequence.is_some() { 9 } else { -1 },
        producer_epoch: 0,
        base_sequence: sequence.unwrap_or(-1),
        record_count: records,
    };
    written(
        FrameKind::Batches,
        start,
        start + i64::from(records),
        header.encode().to_vec(),
    )
}

fn change(version: i64, change: &ManifestChange) -> Written {
    let mut payload = Vec::new();
    change.encode(&mut payload);
    written(FrameKind::ManifestChange, version, version + 1, payload)
}

fn replay(snapshot: Snapshot, log: &[Written]) -> Result<Recovered, ReplayError> {
    let mut recovering = Recovering::from_snapshot(snapshot);
    for one in log {
        recovering.replay(&one.frame, &one.payload)?;
    }
    recovering.finish()
}

fn empty() -> Snapshot {
    Snapshot::empty(PARTITION)
}

fn snapshot_of(recovered: Recovered) -> Snapshot {
    let end = recovered.sequencer.high_watermark();
    Snapshot {
        end,
        manifest: recovered.manifest,
        producers: recovered.sequencer.producers.committed(end).collect(),
        ..empty()
    }
}

#[test]
fn a_gap_between_frames_is_damage() {
    let log = [batch(0, 2, None), batch(3, 1, None)];
    let refused = replay(empty(), &log);
    assert_eq!(refused, Err(ReplayError::MissingOffsets { expected: 2, found: 3 }));
}

#[test]
fn a_gap_behind_the_segments_is_damage() {
    let known = replay(empty(), &[batch(0, 4, None), change(1, &add(&[run(0, 2)]))]);
    let snapshot = Snapshot {
        end: 4,
        ..snapshot_of(known.unwrap())
    };
    let refused = replay(snapshot.clone(), &[batch(3, 1, None)]);
    assert_eq!(refused, Err(ReplayError::MissingOffsets { expected: 2, found: 3 }));
    let refused = replay(snapshot, &[]);
    assert_eq!(refused, Err(ReplayError::EndsEarly { expected: 4, found: 2 }));
}

#[test]
fn a_missing_change_is_damage() {
    let to = |to| ManifestChange::LogStartAdvanced { to };
    let log = [batch(0, 4, None), change(1, &to(1)), change(3, &to(3))];
    let refused = replay(empty(), &log);
    assert_eq!(refused, Err(ReplayError::MissingVersions { expected: 2, found: 3 }));
}

#[test]
fn a_frame_with_other_batches_is_damage() {
    let mut wrong = batch(0, 2, None);
    wrong.payload = batch(0, 3, None).payload;
    assert_eq!(
        replay(empty(), &[wrong]),
        Err(ReplayError::WrongBatches { start: 0, end: 2 })
    );
    let mut cut = batch(0, 2, None);
    cut.payload.truncate(HEADER_LEN - 1);
    assert!(matches!(replay(empty(), &[cut]), Err(ReplayError::Batch(_))));
}

/// A step in the life of a partition.
#[derive(Debug, Clone)]
enum Step {
    Append { records: i32, producer: bool },
    Flush { frames: usize },
    AdvanceLogStart { share: f64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1i32..5, any::<bool>()).prop_map(|(records, producer)| Step::Append { records, producer }),
        2 => (1usize..4).prop_map(|frames| Step::Flush { frames }),
        1 => (0.0..1.0f64).prop_map(|share| Step::AdvanceLogStart { share }),
    ];
    proptest::collection::vec(step, 1..40)
}

/// The WAL that a life leaves.
fn log_of(steps: Vec<Step>) -> Vec<Written> {
    let mut log = Vec::new();
    let (mut sequence, mut version) = (0, 0);
    for step in steps {
        let now = replay(empty(), &log).unwrap();
        let (start, end) = (now.manifest.log_start, now.sequencer.high_watermark());
        match step {
            Step::Append { records, producer } => {
                log.push(batch(end, records, producer.then_some(sequence)));
                sequence += if producer { records } else { 0 };
            }
            Step::Flush { frames } => {
                let flushed: Vec<_> = now.tail.iter().take(frames).collect();
                let (Some(first), Some(last)) = (flushed.first(), flushed.last()) else {
                    continue;
                };
                version += 1;
                log.push(change(version, &add(&[run(first.start, last.end)])));
            }
            Step::AdvanceLogStart { share } => {
                #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
                let to = start + ((end - start) as f64 * share) as i64;
                version += 1;
                log.push(change(version, &ManifestChange::LogStartAdvanced { to }));
            }
        }
    }
    log
}

proptest! {
    /// A checkpoint may be taken at any moment, and the replay may start anywhere before what it does not cover.
    #[test]
    fn a_fuzzy_checkpoint_recovers_what_the_whole_wal_does(
        steps in steps(), taken in any::<prop::sample::Index>(), from in any::<prop::sample::Index>(),
    ) {
        let log = log_of(steps);
        let whole = replay(empty(), &log).unwrap();
        let taken = taken.index(log.len() + 1);
        let snapshot = snapshot_of(replay(empty(), &log[..taken]).unwrap());
        let covered_to = snapshot.manifest.covered_to();
        let needed = |one: &Written| one.frame.kind == FrameKind::Batches && one.frame.end > covered_to;
        let latest = log[..taken].iter().position(needed).unwrap_or(taken);
        let recovered = replay(snapshot, &log[from.index(latest + 1)..]).unwrap();
        prop_assert_eq!(recovered, whole);
    }
}

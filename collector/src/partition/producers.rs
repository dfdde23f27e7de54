//! What one partition remembers of its idempotent producers: pure, and small enough to be carried by each checkpoint.
//!
//! Per producer id the last [`REMEMBERED_BATCHES`] committed batches are kept, and all that are still in flight, so that
//! the committed state can be told from the hoped-for one at any moment: [`Producers::committed`] is what a checkpoint
//! may carry. The rules are those of a Kafka leader (KIP-98, KIP-360): a batch continues the sequence, or repeats one of
//! the remembered batches, or starts a newer epoch at 0; of a producer that is not known (never seen, or expired) any
//! first sequence is accepted, so `UNKNOWN_PRODUCER_ID` is never answered. One rule is ours: a batch that repeats a
//! sequence range with other bytes is refused, because calling it a duplicate would lose it.

use std::collections::{HashMap, VecDeque};

use tailrace_shared::clock::TimestampMs;
use tailrace_shared::record::{BatchHeader, TimestampType, next_sequence};

/// How many committed batches of a producer are remembered: as many as a client may have in flight.
pub const REMEMBERED_BATCHES: usize = 5;

/// The identity that an idempotent producer gave a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerStamp {
    /// Who.
    pub producer_id: i64,
    /// Which life of it.
    pub epoch: i16,
    /// Sequence of the first record.
    pub base_sequence: i32,
    /// Sequence of the last record.
    pub last_sequence: i32,
    /// CRC32C as the producer sent it; none if the broker stamps the append time, which changes it.
    pub crc: Option<u32>,
}

impl ProducerStamp {
    /// The identity in a batch header, if it carries one.
    #[must_use]
    pub fn of(header: &BatchHeader) -> Option<Self> {
        header.has_producer_id().then(|| Self {
            producer_id: header.producer_id,
            epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            crc: (header.attributes.timestamp_type() == TimestampType::CreateTime).then_some(header.crc),
        })
    }
}

/// A batch of a producer as it was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequencedBatch {
    /// The producer's epoch.
    pub epoch: i16,
    /// Sequence of the first record.
    pub base_sequence: i32,
    /// Sequence of the last record.
    pub last_sequence: i32,
    /// As in [`ProducerStamp::crc`].
    pub crc: Option<u32>,
    /// Offset of the first record.
    pub base_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// When the broker took it.
    pub appended_at: TimestampMs,
}

/// What a batch is to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The next one: append it.
    New,
    /// This batch again; it may still be in flight.
    Duplicate(SequencedBatch),
}

/// Why a producer's batch cannot be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// `OUT_OF_ORDER_SEQUENCE_NUMBER`: a batch before this one is missing, or the batch is older than what is remembered.
    #[error("producer {producer_id} sent sequence {got} where {expected} was due")]
    OutOfOrder {
        /// Who.
        producer_id: i64,
        /// The sequence that would have been accepted.
        expected: i32,
        /// The sequence that came.
        got: i32,
    },
    /// `INVALID_PRODUCER_EPOCH`: a newer life of this producer has written already.
    #[error("producer {producer_id} sent epoch {got} but epoch {current} has written already")]
    Fenced {
        /// Who.
        producer_id: i64,
        /// The newest epoch seen.
        current: i16,
        /// The epoch that came.
        got: i16,
    },
    /// `INVALID_RECORD`: other bytes under a sequence range that was used. Sending it again cannot help.
    #[error("producer {producer_id} used sequences {base_sequence} to {last_sequence} for two different batches")]
    Reused {
        /// Who.
        producer_id: i64,
        /// First sequence of both.
        base_sequence: i32,
        /// Last sequence of both.
        last_sequence: i32,
    },
    /// `POLICY_VIOLATION`: no room for the state of another producer in this partition.
    #[error("the partition remembers {limit} producers already; their state expires {} days after their last batch", EXPIRY_MS / 86_400_000)]
    TooMany {
        /// [`MAX_PRODUCERS`].
        limit: usize,
    },
}

/// A producer is forgotten this long after the broker took its last batch, in milliseconds.
pub const EXPIRY_MS: i64 = 7 * 86_400_000;

/// The most producers that one partition remembers.
pub const MAX_PRODUCERS: usize = 100_000;

/// What [`Producers::describe`] says of one producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Who.
    pub producer_id: i64,
    /// Its newest epoch.
    pub epoch: i16,
    /// Sequence of its last record.
    pub last_sequence: i32,
    /// When the broker took its last batch.
    pub last_appended_at: TimestampMs,
}

/// The batches of each producer, oldest first and never empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Producers {
    by_id: HashMap<i64, VecDeque<SequencedBatch>>,
}

impl Producers {
    /// Judges a batch without remembering it.
    pub fn check(&self, stamp: &ProducerStamp) -> Result<Verdict, SequenceError> {
        let Some((batches, last)) = self.by_id.get(&stamp.producer_id).and_then(|b| Some((b, b.back()?))) else {
            return if self.by_id.len() < MAX_PRODUCERS {
                Ok(Verdict::New)
            } else {
                Err(SequenceError::TooMany { limit: MAX_PRODUCERS })
            };
        };
        if stamp.epoch < last.epoch {
            return Err(SequenceError::Fenced {
                producer_id: stamp.producer_id,
                current: last.epoch,
                got: stamp.epoch,
            });
        }
        if let Some(original) = batches.iter().rev().find(|batch| batch.has_range_of(stamp)) {
            return original.confirm(stamp).map(Verdict::Duplicate);
        }
        let expected = if stamp.epoch == last.epoch {
            next_sequence(last.last_sequence, 1)
        } else {
            0
        };
        if stamp.base_sequence == expected {
            Ok(Verdict::New)
        } else {
            Err(SequenceError::OutOfOrder {
                producer_id: stamp.producer_id,
                expected,
                got: stamp.base_sequence,
            })
        }
    }

    /// Remembers a batch that was given offsets.
    pub fn record(&mut self, stamp: &ProducerStamp, base_offset: i64, last_offset: i64, appended_at: TimestampMs) {
        self.insert(
            stamp.producer_id,
            SequencedBatch {
                epoch: stamp.epoch,
                base_sequence: stamp.base_sequence,
                last_sequence: stamp.last_sequence,
                crc: stamp.crc,
                base_offset,
                last_offset,
                appended_at,
            },
        );
    }

    /// Puts a batch behind those of its producer, as [`Self::committed`] gave them.
    pub fn insert(&mut self, producer_id: i64, batch: SequencedBatch) {
        self.by_id.entry(producer_id).or_default().push_back(batch);
    }

    /// Forgets what is no longer needed of a producer, now that all below `high_watermark` is committed.
    pub fn settle(&mut self, producer_id: i64, high_watermark: i64) {
        if let Some(batches) = self.by_id.get_mut(&producer_id) {
            let committed = batches.partition_point(|batch| batch.last_offset < high_watermark);
            batches.drain(..committed.saturating_sub(REMEMBERED_BATCHES));
        }
    }

    /// Forgets the producers whose last batch is older than [`EXPIRY_MS`] and committed.
    pub fn expire(&mut self, now: TimestampMs, high_watermark: i64) {
        self.by_id.retain(|_, batches| {
            batches.back().is_some_and(|last| {
                last.last_offset >= high_watermark || now.saturating_sub(last.appended_at) < EXPIRY_MS
            })
        });
        self.by_id.shrink_to(self.by_id.len().saturating_mul(2));
    }

    /// The batches below `high_watermark` that are remembered, oldest first within a producer.
    pub fn committed(&self, high_watermark: i64) -> impl Iterator<Item = (i64, SequencedBatch)> + '_ {
        self.by_id.iter().flat_map(move |(id, batches)| {
            let committed = batches.partition_point(|batch| batch.last_offset < high_watermark);
            let skipped = committed.saturating_sub(REMEMBERED_BATCHES);
            batches.iter().take(committed).skip(skipped).map(|batch| (*id, *batch))
        })
    }

    /// The producers that are remembered, in no particular order.
    pub fn describe(&self) -> impl Iterator<Item = ActiveProducer> + '_ {
        self.by_id.iter().filter_map(|(id, batches)| {
            batches.back().map(|last| ActiveProducer {
                producer_id: *id,
                epoch: last.epoch,
                last_sequence: last.last_sequence,
                last_appended_at: last.appended_at,
            })
        })
    }
}

impl SequencedBatch {
    fn has_range_of(&self, stamp: &ProducerStamp) -> bool {
        (self.epoch, self.base_sequence, self.last_sequence) == (stamp.epoch, stamp.base_sequence, stamp.last_sequence)
    }

    /// Whether a batch of the same range is this one indeed; only where both checksums are known they can differ.
    fn confirm(&self, stamp: &ProducerStamp) -> Result<Self, SequenceError> {
        match (self.crc, stamp.crc) {
            (Some(ours), Some(theirs)) if ours != theirs => Err(SequenceError::Reused {
                producer_id: stamp.producer_id,
                base_sequence: stamp.base_sequence,
                last_sequence: stamp.last_sequence,
            }),
            _ => Ok(*self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp(epoch: i16, base_sequence: i32, records: i32) -> ProducerStamp {
        ProducerStamp {
            producer_id: 7,
            epoch,
            base_sequence,
            last_sequence: next_sequence(base_sequence, records - 1),
            crc: Some(base_sequence.cast_unsigned()),
        }
    }

    fn append(producers: &mut Producers, stamp: &ProducerStamp, at: i64) {
        assert_eq!(producers.check(stamp), Ok(Verdict::New));
        producers.record(stamp, at, at, 1000);
        producers.settle(stamp.producer_id, at + 1);
    }

    #[test]
    fn an_unknown_producer_may_start_anywhere() {
        let mut producers = Producers::default();
        append(&mut producers, &stamp(3, 500, 10), 0);
        append(&mut producers, &stamp(3, 510, 1), 1);
        assert!(matches!(
            producers.check(&stamp(3, 512, 1)),
            Err(SequenceError::OutOfOrder {
                expected: 511,
                got: 512,
                ..
            })
        ));
    }

    #[test]
    fn a_newer_epoch_starts_at_zero_and_fences_the_older() {
        let mut producers = Producers::default();
        append(&mut producers, &stamp(0, 0, 1), 0);
        assert!(matches!(
            producers.check(&stamp(1, 1, 1)),
            Err(SequenceError::OutOfOrder { expected: 0, .. })
        ));
        append(&mut producers, &stamp(1, 0, 1), 1);
        assert!(matches!(
            producers.check(&stamp(0, 0, 1)),
            Err(SequenceError::Fenced { current: 1, got: 0, .. })
        ));
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let mut producers = Producers::default();
        append(&mut producers, &stamp(0, i32::MAX - 1, 3), 0);
        append(&mut producers, &stamp(0, 1, 1), 1);
    }

    #[test]
    fn other_bytes_under_a_used_sequence_are_no_duplicate() {
        let mut producers = Producers::default();
        append(&mut producers, &stamp(0, 0, 1), 0);
        let mut other = stamp(0, 0, 1);
        other.crc = Some(99);
        assert!(matches!(producers.check(&other), Err(SequenceError::Reused { .. })));
        other.crc = None;
        assert!(matches!(producers.check(&other), Ok(Verdict::Duplicate(_))));
    }

    #[test]
    fn a_batch_in_flight_is_not_in_the_committed_state_and_pushes_nothing_out() {
        let mut producers = Producers::default();
        for sequence in 0..10 {
            producers.record(&stamp(0, sequence, 1), sequence.into(), sequence.into(), 1000);
        }
        producers.settle(7, 6);
        let committed: Vec<_> = producers.committed(6).map(|(_, batch)| batch.base_offset).collect();
        assert_eq!(committed, [1, 2, 3, 4, 5]);
        assert!(matches!(producers.check(&stamp(0, 1, 1)), Ok(Verdict::Duplicate(_))));
        assert!(matches!(
            producers.check(&stamp(0, 0, 1)),
            Err(SequenceError::OutOfOrder { .. })
        ));
    }

    #[test]
    fn expiry_counts_from_the_append_and_spares_what_is_in_flight() {
        let mut producers = Producers::default();
        append(&mut producers, &stamp(0, 0, 1), 0);
        producers.expire(1000 + EXPIRY_MS - 1, 1);
        assert_eq!(producers.describe().count(), 1);
        producers.expire(1000 + EXPIRY_MS, 0);
        assert_eq!(producers.describe().count(), 1, "its batch is above the high watermark");
        producers.expire(1000 + EXPIRY_MS, 1);
        assert_eq!(producers.describe().count(), 0);
    }

    proptest! {
        /// Against the obvious model: the whole history of one producer.
        #[test]
        fn exactly_the_last_five_are_duplicates(
            start in prop_oneof![Just(0), Just(i32::MAX - 20)],
            sizes in proptest::collection::vec(1i32..20, 1..30),
        ) {
            let mut producers = Producers::default();
            let mut history = Vec::new();
            let mut sequence = start;
            for (at, records) in (0i64..).zip(sizes) {
                let next = stamp(0, sequence, records);
                append(&mut producers, &next, at);
                history.push((next, at));
                sequence = next_sequence(sequence, records);
                for (age, (old, offset)) in history.iter().rev().enumerate() {
                    match producers.check(old) {
                        Ok(Verdict::Duplicate(original)) => {
                            prop_assert!(age < REMEMBERED_BATCHES);
                            prop_assert_eq!(original.base_offset, *offset);
                        }
                        Err(SequenceError::OutOfOrder { .. }) => prop_assert!(age >= REMEMBERED_BATCHES),
                        other => prop_assert!(false, "{:?}", other),
                    }
                }
            }
        }
    }
}

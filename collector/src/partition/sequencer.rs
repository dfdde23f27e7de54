//! Gives batches their place in the log: the next offset, the high watermark and the producers' sequences. Pure; it runs
//! under the partition's short lock, and what it assigned is submitted to the WAL before that lock is released.

use tailrace_shared::clock::TimestampMs;

use super::producers::{ProducerStamp, Producers, SequenceError, SequencedBatch, Verdict};

/// What the sequencer must know of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incoming {
    /// How many offsets it takes.
    pub offsets: i64,
    /// Who sent it, if an idempotent producer did.
    pub stamp: Option<ProducerStamp>,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequenced {
    /// The batches lie here from now on, one behind the other.
    Assigned {
        /// Offset of the first record.
        start: i64,
        /// One past the last.
        end: i64,
    },
    /// The batch was appended before.
    Duplicate(SequencedBatch),
}

/// Offsets and producer state of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequencer {
    next_offset: i64,
    high_watermark: i64,
    /// The producers; changed through [`Self::sequence`] and [`Self::commit`], but for recovery and expiry.
    pub producers: Producers,
}

impl Sequencer {
    /// A log that ends at `end`, all of it committed.
    #[must_use]
    pub fn recovered(end: i64, producers: Producers) -> Self {
        Self {
            next_offset: end,
            high_watermark: end,
            producers,
        }
    }

    /// One past the last committed offset.
    #[must_use]
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// One past the last assigned offset.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Assigns offsets to the batches, to all or to none of them. A producer's batch comes alone, as Kafka requires of
    /// each produce request; so only the first is looked up as a duplicate.
    pub fn sequence(&mut self, batches: &[Incoming], now: TimestampMs) -> Result<Sequenced, SequenceError> {
        if let [Incoming { stamp: Some(stamp), .. }] = batches
            && let Verdict::Duplicate(original) = self.producers.check(stamp)?
        {
            return Ok(Sequenced::Duplicate(original));
        }
        let start = self.next_offset;
        for batch in batches {
            let base_offset = self.next_offset;
            self.next_offset += batch.offsets;
            if let Some(stamp) = &batch.stamp {
                self.producers.record(stamp, base_offset, self.next_offset - 1, now);
            }
        }
        Ok(Sequenced::Assigned {
            start,
            end: self.next_offset,
        })
    }

    /// Everything below `end` was found on stable storage.
    pub(super) fn replay_to(&mut self, end: i64) {
        self.next_offset = self.next_offset.max(end);
        self.high_watermark = self.high_watermark.max(end);
    }

    /// All below `end` is on stable storage; `producers` are those whose batches became so.
    pub fn commit(&mut self, end: i64, producers: impl IntoIterator<Item = i64>) {
        self.high_watermark = self.high_watermark.max(end);
        for producer_id in producers {
            self.producers.settle(producer_id, self.high_watermark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(offsets: i64) -> Incoming {
        Incoming { offsets, stamp: None }
    }

    fn stamped(sequence: i32) -> Incoming {
        Incoming {
            offsets: 1,
            stamp: Some(ProducerStamp {
                producer_id: 1,
                epoch: 0,
                base_sequence: sequence,
                last_sequence: sequence,
                crc: None,
            }),
        }
    }

    #[test]
    fn offsets_are_dense_and_the_high_watermark_follows_commits() {
        let mut sequencer = Sequencer::default();
        let first = sequencer.sequence(&[plain(3), plain(2)], 0);
        assert_eq!(first, Ok(Sequenced::Assigned { start: 0, end: 5 }));
        assert_eq!(
            sequencer.sequence(&[plain(1)], 0),
            Ok(Sequenced::Assigned { start: 5, end: 6 })
        );
        assert_eq!(sequencer.high_watermark(), 0);
        sequencer.commit(5, []);
        assert_eq!((sequencer.high_watermark(), sequencer.next_offset()), (5, 6));
    }

    #[test]
    fn a_refused_batch_takes_no_offset() {
        let mut sequencer = Sequencer::default();
        assert!(sequencer.sequence(&[stamped(0)], 0).is_ok());
        assert!(sequencer.sequence(&[stamped(5)], 0).is_err());
        assert!(matches!(
            sequencer.sequence(&[stamped(0)], 0),
            Ok(Sequenced::Duplicate(_))
        ));
        assert_eq!(sequencer.next_offset(), 1);
    }
}

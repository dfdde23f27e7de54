//! Rebuilds a partition from its snapshot in the newest checkpoint and from the WAL's frames behind it. Pure.
//!
//! The checkpoint is fuzzy, so the first frames of the replay may be part of the snapshot already: batches below its end
//! only enter the tail's index, changes below its version are skipped. From there on frames must fit without a gap;
//! what does not fit is damage, and damage is refused rather than papered over.

use tailrace_shared::record::{BatchError, BatchHeader};

use super::checkpoint::Snapshot;
use super::manifest::{ChangeError, Manifest, ManifestChange};
use super::manifest_codec::DecodeError;
use super::producers::{ProducerStamp, Producers};
use super::sequencer::Sequencer;
use super::tail::{Tail, TailEntry};
use crate::wal::frame::{CommittedFrame, FrameKind};

/// Why a partition cannot be rebuilt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// Frames are missing from the WAL.
    #[error("the WAL continues at offset {found} where {expected} was due")]
    MissingOffsets {
        /// Where the history known so far ends.
        expected: i64,
        /// First offset of the frame.
        found: i64,
    },
    /// The WAL ends before what the checkpoint or a manifest knows to be committed.
    #[error("the history known to be committed ends at offset {expected}, the WAL and the segments at {found}")]
    EndsEarly {
        /// Where it should end.
        expected: i64,
        /// Where it ends.
        found: i64,
    },
    /// Manifest changes are missing from the WAL.
    #[error("the WAL continues with manifest version {found} where {expected} was due")]
    MissingVersions {
        /// The version that is known.
        expected: i64,
        /// The version of the frame.
        found: i64,
    },
    /// A frame's batches are not what the frame says.
    #[error("a frame of offsets {start} to {end} holds other batches, or none")]
    WrongBatches {
        /// First offset of the frame.
        start: i64,
        /// One past its last offset.
        end: i64,
    },
    /// A batch header in a frame is damaged.
    #[error("a batch in the WAL is malformed")]
    Batch(#[from] BatchError),
    /// A manifest change cannot be read.
    #[error("a manifest change in the WAL is malformed")]
    Change(#[from] DecodeError),
    /// A manifest change does not fit the manifest.
    #[error("a manifest change in the WAL does not fit")]
    Misfit(#[from] ChangeError),
}

/// A partition on its way back.
#[derive(Debug)]
pub struct Recovering {
    sequencer: Sequencer,
    manifest: Manifest,
    tail: Tail,
}

/// What was rebuilt; by default the state of a partition that nothing was written to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub(super) sequencer: Sequencer,
    pub(super) manifest: Manifest,
    pub(super) tail: Tail,
}

impl Recovering {
    /// Starts from what a checkpoint knows.
    #[must_use]
    pub fn from_snapshot(snapshot: Snapshot) -> Self {
        let mut producers = Producers::default();
        for (producer_id, batch) in snapshot.producers {
            producers.insert(producer_id, batch);
        }
        Self {
            sequencer: Sequencer::recovered(snapshot.end, producers),
            manifest: snapshot.manifest,
            tail: Tail::default(),
        }
    }

    /// Takes in the next frame of this partition.
    pub fn replay(&mut self, frame: &CommittedFrame, payload: &[u8]) -> Result<(), ReplayError> {
        match frame.kind {
            FrameKind::Batches => self.replay_batches(frame, payload),
            FrameKind::ManifestChange => self.replay_changes(frame, payload),
        }
    }

    /// Checks that nothing is missing at either end.
    pub fn finish(self) -> Result<Recovered, ReplayError> {
        let expected = self.sequencer.high_watermark();
        let found = self.indexed_to();
        if found != expected {
            return Err(ReplayError::EndsEarly { expected, found });
        }
        Ok(Recovered {
            sequencer: self.sequencer,
            manifest: self.manifest,
            tail: self.tail,
        })
    }

    fn indexed_to(&self) -> i64 {
        let last = self.tail.iter().next_back();
        last.map_or(self.manifest.covered_to(), |last| last.end)
    }

    fn replay_batches(&mut self, frame: &CommittedFrame, mut payload: &[u8]) -> Result<(), ReplayError> {
        let expected = self.indexed_to();
        if frame.end <= expected {
            return Ok(());
        }
        if frame.start > expected || (frame.start < expected && self.tail.start().is_some()) {
            return Err(ReplayError::MissingOffsets {
                expected,
                found: frame.start,
            });
        }
        let known_end = self.sequencer.high_watermark();
        if frame.start < known_end && known_end < frame.end {
            return Err(ReplayError::MissingOffsets {
                expected: known_end,
                found: frame.start,
            });
        }
        let mut next = frame.start;
        let mut max_timestamp = i64::MIN;
        while !payload.is_empty() {
            let header = BatchHeader::decode(payload)?;
            payload = payload.get(header.size_in_bytes()..).ok_or_else(|| wrong(frame))?;
            if header.base_offset != next {
                return Err(wrong(frame));
            }
            next = header.next_offset();
            max_timestamp = max_timestamp.max(header.max_timestamp);
            if frame.start >= known_end {
                self.replay_producer(frame, &header);
            }
        }
        if next != frame.end {
            return Err(wrong(frame));
        }
        self.sequencer.replay_to(frame.end);
        self.tail.push(TailEntry {
            start: frame.start,
            end: frame.end,
            location: frame.location,
            max_timestamp,
            appended_at: frame.appended_at,
        });
        Ok(())
    }

    fn replay_producer(&mut self, frame: &CommittedFrame, header: &BatchHeader) {
        if let Some(stamp) = ProducerStamp::of(header) {
            let producers = &mut self.sequencer.producers;
            producers.record(&stamp, header.base_offset, header.last_offset(), frame.appended_at);
            producers.settle(stamp.producer_id, header.next_offset());
        }
    }

    fn replay_changes(&mut self, frame: &CommittedFrame, mut payload: &[u8]) -> Result<(), ReplayError> {
        let expected = self.manifest.version + 1;
        if frame.end <= expected {
            return Ok(());
        }
        if frame.start != expected {
            return Err(ReplayError::MissingVersions {
                expected,
                found: frame.start,
            });
        }
        while !payload.is_empty() {
            self.manifest = self.manifest.apply(&ManifestChange::decode(&mut payload)?)?;
        }
        self.tail.drop_below(self.manifest.covered_to());
        Ok(())
    }
}

fn wrong(frame: &CommittedFrame) -> ReplayError {
    ReplayError::WrongBatches {
        start: frame.start,
        end: frame.end,
    }
}

#[cfg(test)]
mod tests;

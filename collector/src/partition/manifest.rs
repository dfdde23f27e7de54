//! What counts as a partition's history behind the WAL: where it starts, and which runs of which segments hold it.
//!
//! A manifest is immutable; a [`ManifestChange`] makes the next version of it. Changes travel through the WAL like
//! batches do and count from their commit on, so that a crash leaves either version and never a mixture. Everything here
//! is pure; `manifest_codec` has the bytes.

use uuid::Uuid;

use crate::segment::run::Run;

/// A leader epoch and the first offset written in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochStart {
    /// The leader epoch.
    pub epoch: i32,
    /// The first offset of the epoch.
    pub start: i64,
}

/// One version of a partition's history behind the WAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// How many changes made it.
    pub version: i64,
    /// The first offset that may be read.
    pub log_start: i64,
    /// The runs, in offset order and without a gap; the first holds `log_start`, if there is one.
    pub segments: Vec<Run>,
    /// The leader epochs, oldest first; never empty.
    pub epochs: Vec<EpochStart>,
    /// Everything below this offset was compacted: no key is there twice.
    pub compacted_to: i64,
}

/// A step from one version of a manifest to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestChange {
    /// New runs took the place of old ones, or of frames in the WAL. Runs that lie below the log start by now are left
    /// out silently.
    SegmentsReplaced {
        /// Runs of objects that are on stable storage.
        add: Vec<Run>,
        /// Runs as they stand in the manifest.
        remove: Vec<Run>,
    },
    /// Everything below an offset is gone. An offset below the log start changes nothing.
    LogStartAdvanced {
        /// The first offset that may still be read.
        to: i64,
    },
    /// No key is twice below an offset any more, since runs took the place of others. An offset below that of an earlier
    /// compaction changes nothing.
    CompactedTo {
        /// The first offset that was not compacted.
        to: i64,
    },
}

/// Why a change does not fit a manifest. Met on recovery it is damage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// A run to be removed is not there.
    #[error("the run {start}..{end} of segment {object} is to be removed but is not in the manifest")]
    NoSuchRun {
        /// The segment object.
        object: Uuid,
        /// First offset of the run.
        start: i64,
        /// One past its last offset.
        end: i64,
    },
    /// The runs would not be contiguous.
    #[error("the segments would leave the offsets {expected} to {start} uncovered, or cover them twice")]
    NotContiguous {
        /// Where the run before ends.
        expected: i64,
        /// Where the next run starts.
        start: i64,
    },
    /// A run without offsets.
    #[error("a run of segment {object} would cover {start}..{end}")]
    EmptyRun {
        /// The segment object.
        object: Uuid,
        /// First offset of the run.
        start: i64,
        /// One past its last offset.
        end: i64,
    },
}

impl Default for Manifest {
    /// The manifest of a partition that nothing was written to.
    fn default() -> Self {
        Self {
            version: 0,
            log_start: 0,
            segments: Vec::new(),
            epochs: vec![EpochStart { epoch: 0, start: 0 }],
            compacted_to: 0,
        }
    }
}

impl Manifest {
    /// Everything below this offset is in segments, or gone: the WAL is needed only from here on.
    #[must_use]
    pub fn covered_to(&self) -> i64 {
        self.segments
            .last()
            .map_or(self.log_start, |run| run.end.max(self.log_start))
    }

    /// The epoch that is written now.
    #[must_use]
    pub fn leader_epoch(&self) -> i32 {
        self.epochs.last().map_or(0, |last| last.epoch)
    }

    /// The epoch that an offset was written in.
    #[must_use]
    pub fn epoch_of(&self, offset: i64) -> i32 {
        let newer = self.epochs.partition_point(|epoch| epoch.start <= offset);
        let epoch = self.epochs.get(newer.saturating_sub(1));
        epoch.map_or(0, |epoch| epoch.epoch)
    }

    /// Where an epoch ends, as `OffsetForLeaderEpoch` answers it: the newest epoch not above the one asked for, and the
    /// offset at which the next one starts; for the current epoch `log_end`. An epoch older than all known ones ends
    /// where the oldest starts; none for an epoch that is yet to come.
    #[must_use]
    pub fn epoch_end(&self, epoch: i32, log_end: i64) -> Option<(i32, i64)> {
        if epoch == self.leader_epoch() {
            return Some((epoch, log_end));
        }
        let newer = self.epochs.partition_point(|known| known.epoch <= epoch);
        let end = self.epochs.get(newer)?.start;
        let floor = newer.checked_sub(1).and_then(|at| self.epochs.get(at));
        Some((floor.map_or(epoch, |floor| floor.epoch), end))
    }

    /// The run that holds an offset.
    #[must_use]
    pub fn run_of(&self, offset: i64) -> Option<&Run> {
        let after = self.segments.partition_point(|run| run.end <= offset);
        self.segments.get(after).filter(|run| run.start <= offset)
    }

    /// The runs that were compacted as a whole, and those with something that was not.
    #[must_use]
    pub fn compacted_and_not(&self) -> (&[Run], &[Run]) {
        let compacted = self.segments.partition_point(|run| run.end <= self.compacted_to);
        self.segments.split_at(compacted)
    }

    /// The next version.
    pub fn apply(&self, change: &ManifestChange) -> Result<Self, ChangeError> {
        let mut next = self.clone();
        next.version += 1;
        match change {
            ManifestChange::SegmentsReplaced { add, remove } => next.replace(add, remove)?,
            ManifestChange::LogStartAdvanced { to } => next.log_start = next.log_start.max(*to),
            ManifestChange::CompactedTo { to } => next.compacted_to = next.compacted_to.max(*to),
        }
        let gone = next.segments.partition_point(|run| run.end <= next.log_start);
        next.segments.drain(..gone);
        next.check()?;
        Ok(next)
    }

    fn replace(&mut self, add: &[Run], remove: &[Run]) -> Result<(), ChangeError> {
        for gone in remove.iter().filter(|run| run.end > self.log_start) {
            let at = self.segments.iter().position(|run| run == gone);
            let at = at.ok_or(ChangeError::NoSuchRun {
                object: gone.object,
                start: gone.start,
                end: gone.end,
            })?;
            self.segments.remove(at);
        }
        self.segments
            .extend(add.iter().filter(|run| run.end > self.log_start).cloned());
        self.segments.sort_by_key(|run| run.start);
        Ok(())
    }

    /// No gap between the log start and the end of the segments, and nothing twice.
    pub(super) fn check(&self) -> Result<(), ChangeError> {
        let mut expected = None;
        for run in &self.segments {
            if run.end <= run.start {
                return Err(ChangeError::EmptyRun {
                    object: run.object,
                    start: run.start,
                    end: run.end,
                });
            }
            let fits = match expected {
                None => run.start <= self.log_start,
                Some(end) => run.start == end,
            };
            if !fits {
                return Err(ChangeError::NotContiguous {
                    expected: expected.unwrap_or(self.log_start),
                    start: run.start,
                });
            }
            expected = Some(run.end);
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;

//! A file that holds long stretches of each partition already becomes a segment as it stands: all that it lacks is a
//! footer, which says where they lie. What else is in the file stays there, and nobody asks for it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use rand::RngCore;
use tailrace_shared::clock::TimestampMs;
use uuid::Uuid;

use super::flush::{FlushLimits, Flushed, random_name};
use super::format::{Footer, FooterRun};
use super::index::{IndexEntry, add_up};
use super::object_path;
use super::pending::PendingObjects;
use super::run::Run;
use super::writer::BuildError;
use crate::store::AdoptFile;
use crate::topic_partition::TopicPartition;

/// Whole batches of one partition, one directly after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First offset.
    pub start: i64,
    /// One past the last.
    pub end: i64,
    /// Where it starts in the file, in bytes.
    pub position: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The greatest record timestamp in it.
    pub max_timestamp: TimestampMs,
    /// When the broker took it.
    pub appended_at: TimestampMs,
}

/// What one partition has in a file, in offset order and without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionExtents {
    /// Whose it is.
    pub partition: TopicPartition,
    /// Where.
    pub extents: Vec<Extent>,
}

/// Why a file was not adopted. It is as good as before, and what it holds can be written to segments.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// What lies in it is not what the partitions say.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The footer could not be written.
    #[error("its footer cannot be written: {0}")]
    Footer(io::Error),
    /// The store did not take it.
    #[error("it cannot become an object of the store: {0}")]
    Store(#[from] object_store::Error),
}

impl PartitionExtents {
    /// Length of all.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.extents.iter().map(|extent| extent.bytes).sum()
    }

    /// Whether a reader finds what it wants here as well as in a segment that was written for it: enough to be a run of
    /// its own for good, and in pieces that are worth a read each.
    #[must_use]
    pub fn are_long(&self, limits: FlushLimits) -> bool {
        let bytes = self.bytes();
        bytes >= limits.own_object_bytes && bytes >= limits.adopted_piece_bytes * self.extents.len() as u64
    }

    fn row(&self, object: Uuid) -> Result<FooterRun, BuildError> {
        for pair in self.extents.windows(2) {
            if let [before, after] = pair
                && before.end != after.start
            {
                return Err(self.misplaced(after, before.end));
            }
        }
        let (Some(first), Some(last)) = (self.extents.first(), self.extents.last()) else {
            return Err(BuildError::Empty {
                partition: self.partition,
                start: 0,
                end: 0,
            });
        };
        let greatest = |time: fn(&Extent) -> TimestampMs| self.extents.iter().map(time).max().unwrap_or_default();
        let index = self.extents.iter().map(|extent| IndexEntry {
            offset: extent.start,
            position: extent.position,
            bytes: extent.bytes,
            before: 0,
            max_timestamp: extent.max_timestamp,
        });
        let mut index: Vec<_> = index.collect();
        add_up(&mut index);
        Ok(FooterRun {
            partition: self.partition,
            run: Run {
                object,
                position: first.position,
                bytes: self.bytes(),
                start: first.start,
                end: last.end,
                max_timestamp: greatest(|extent| extent.max_timestamp),
                appended_at: greatest(|extent| extent.appended_at),
            },
            index,
        })
    }

    fn misplaced(&self, found: &Extent, expected: i64) -> BuildError {
        BuildError::Misplaced {
            partition: self.partition,
            found_start: found.start,
            found_end: found.end,
            expected,
            end: self.extents.last().map_or(0, |last| last.end),
        }
    }
}

/// Makes a segment of a file of `file_bytes`, in which these lie. `end_with` writes the footer behind them, durably, and
/// tells where the file is. On return the segment is durable, and in no manifest yet.
pub async fn adopt(
    store: &dyn AdoptFile,
    file_bytes: u64,
    partitions: &[PartitionExtents],
    pending: &PendingObjects,
    rng: &mut (dyn RngCore + Send),
    end_with: impl AsyncFnOnce(Bytes) -> io::Result<PathBuf>,
) -> Result<Flushed, AdoptError> {
    let object = random_name(rng);
    let mut flushed = Flushed {
        runs: BTreeMap::new(),
        pending: pending.guard(),
    };
    flushed.pending.add(object);
    let rows = partitions.iter().map(|partition| partition.row(object));
    let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
    rows.sort_by_key(|row| row.run.position);
    let footer = Footer {
        start: file_bytes,
        runs: rows,
    };
    let bytes = footer.encode(object).ok_or(BuildError::TooLarge)?;
    let file = end_with(bytes).await.map_err(AdoptError::Footer)?;
    store.adopt(file, &object_path(object)).await?;
    for row in footer.runs {
        flushed.runs.entry(row.partition).or_default().push(row.run);
    }
    Ok(flushed)
}

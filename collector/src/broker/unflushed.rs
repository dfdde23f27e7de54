//! What lies in closed WAL files and in no segment yet, and how much of it can stay where it is.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::partition::Partition;
use crate::partition::tail::TailEntry;
use crate::segment::adoption::{Extent, PartitionExtents};
use crate::segment::flush::{FlushLimits, PartitionPieces, Piece};
use crate::topic_partition::TopicPartition;
use crate::wal::frame::FrameLocation;
use crate::wal::{ClosedFile, WalPosition};

/// The frames of each partition, in offset order.
pub(super) struct Unflushed {
    frames: BTreeMap<TopicPartition, VecDeque<TailEntry>>,
    upto: WalPosition,
}

impl Unflushed {
    /// What lies before a position.
    pub(super) fn before(upto: WalPosition, partitions: &[Arc<Partition>]) -> Self {
        let frames = partitions.iter().map(|partition| {
            let frames = partition.unflushed().into_iter();
            (
                partition.id(),
                frames.take_while(|frame| frame.location.wal_file() < upto).collect(),
            )
        });
        Self {
            frames: frames.collect(),
            upto,
        }
    }

    /// The partitions whose frames may stay in a file, if they are most of it. Nothing, if the file is not of this
    /// incarnation: the end of an earlier one was written again.
    pub(super) fn long_in(&self, file: &ClosedFile, limits: FlushLimits) -> Vec<PartitionExtents> {
        let may_end_otherwise = file.position < self.upto && file.position.incarnation == self.upto.incarnation;
        if !may_end_otherwise || file.has_footer {
            return Vec::new();
        }
        let extents = self.frames.iter().map(|(partition, frames)| {
            let here = frames.iter().filter(|frame| frame.location.wal_file() == file.position);
            PartitionExtents {
                partition: *partition,
                extents: here.map(extent).collect(),
            }
        });
        let long: Vec<_> = extents.filter(|extents| extents.are_long(limits)).collect();
        #[allow(clippy::cast_precision_loss, reason = "a share need not be exact")]
        let share = long.iter().map(PartitionExtents::bytes).sum::<u64>() as f64 / file.bytes as f64;
        if share >= limits.adopted_share_min {
            long
        } else {
            Vec::new()
        }
    }

    /// Takes what these partitions have before a file.
    pub(super) fn take_before(
        &mut self,
        file: WalPosition,
        of: &[PartitionExtents],
    ) -> Vec<PartitionPieces<FrameLocation>> {
        let taken = of
            .iter()
            .map(|one| self.take(one.partition, |frame| frame.location.wal_file() < file));
        taken.collect()
    }

    /// Forgets what these partitions have in a file: nothing before it is left.
    pub(super) fn drop_adopted(&mut self, file: WalPosition, of: &[PartitionExtents]) {
        for one in of {
            self.take(one.partition, |frame| frame.location.wal_file() == file);
        }
    }

    /// Takes what is left.
    pub(super) fn take_all(mut self) -> Vec<PartitionPieces<FrameLocation>> {
        let partitions: Vec<_> = self.frames.keys().copied().collect();
        let taken = partitions.into_iter().map(|partition| self.take(partition, |_| true));
        taken.collect()
    }

    fn take(
        &mut self,
        partition: TopicPartition,
        which: impl Fn(&TailEntry) -> bool,
    ) -> PartitionPieces<FrameLocation> {
        let frames = self.frames.entry(partition).or_default();
        let count = frames.iter().take_while(|frame| which(frame)).count();
        PartitionPieces {
            partition,
            pieces: frames.drain(..count).map(piece).collect(),
        }
    }
}

fn piece(frame: TailEntry) -> Piece<FrameLocation> {
    Piece {
        start: frame.start,
        end: frame.end,
        bytes: frame.location.len.into(),
        appended_at: frame.appended_at,
        location: frame.location,
    }
}

fn extent(frame: &TailEntry) -> Extent {
    Extent {
        start: frame.start,
        end: frame.end,
        position: frame.location.offset,
        bytes: frame.location.len.into(),
        max_timestamp: frame.max_timestamp,
        appended_at: frame.appended_at,
    }
}

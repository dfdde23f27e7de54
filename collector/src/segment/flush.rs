//! Turns committed batches that lie elsewhere (in closed WAL files, or in small runs) into segments.
//!
//! [`plan`] is pure: it cuts what is there into runs and the runs into objects. A partition with much to flush gets
//! objects of its own; the others share some, each run contiguous. [`flush`] then writes one object after another, and
//! reads as it goes, so that no more than a part of one is in memory. The runs that it returns are durable but nobody
//! knows them yet: the caller commits them to the manifests, and holds the [`Pending`] guard until then.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rand::RngCore;
use tailrace_shared::clock::TimestampMs;
use uuid::Uuid;

use super::part::Part;
use super::pending::{Pending, PendingObjects};
use super::run::Run;
use super::writer::{Output, RunHead, SegmentWriter, WriteError};
use crate::topic_partition::TopicPartition;

/// A stretch of whole batches of one partition, and where to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece<L> {
    /// First offset.
    pub start: i64,
    /// One past the last.
    pub end: i64,
    /// Its length.
    pub bytes: u64,
    /// When the broker took it.
    pub appended_at: TimestampMs,
    /// Where it lies.
    pub location: L,
}

/// What one partition has to flush.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionPieces<L> {
    /// Whose it is.
    pub partition: TopicPartition,
    /// In offset order, without a gap.
    pub pieces: Vec<Piece<L>>,
}

/// Where pieces are read.
#[async_trait]
pub trait PieceSource<L>: Send + Sync {
    /// What reading may fail with.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Pushes the batches of these pieces, which follow one another.
    async fn push(&self, pieces: Vec<Piece<L>>, segment: &mut SegmentWriter<'_>) -> Result<(), PushError<Self::Error>>;
}

/// Why pieces were not pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError<E> {
    /// They could not be read.
    #[error("{0}")]
    Read(E),
    /// They could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// How large runs and objects are to be.
#[derive(Debug, Clone, Copy)]
pub struct FlushLimits {
    /// A partition with at least this much gets objects of its own.
    pub own_object_bytes: u64,
    /// No object becomes larger, unless one piece is.
    pub object_bytes: u64,
    /// Pieces that are at least so long on average may stay in the file in which they are.
    pub adopted_piece_bytes: u64,
    /// What must be wanted of a file at least, that it stays as it is.
    pub adopted_share_min: f64,
}

impl Default for FlushLimits {
    fn default() -> Self {
        Self {
            own_object_bytes: 8 << 20,
            object_bytes: 64 << 20,
            adopted_piece_bytes: 8 << 10,
            adopted_share_min: 0.75,
        }
    }
}

/// The runs that go into one object.
pub type ObjectPlan<L> = Vec<PartitionPieces<L>>;

/// Segments that are durable and in no manifest yet.
#[derive(Debug)]
pub struct Flushed {
    /// The runs of each partition, in offset order.
    pub runs: BTreeMap<TopicPartition, Vec<Run>>,
    /// Keeps them from being collected as orphans.
    pub pending: Pending,
}

/// Why a flush failed. What it wrote until then is collected as orphans.
#[derive(Debug, thiserror::Error)]
pub enum FlushError<E> {
    /// The pieces of a partition do not follow one another.
    #[error("partition {partition}: offsets {expected} to {found} are missing between what is to be flushed")]
    Gap {
        /// The partition.
        partition: TopicPartition,
        /// Where the next piece should start.
        expected: i64,
        /// Where it starts.
        found: i64,
    },
    /// A run could not be read.
    #[error("partition {partition}: offsets {start}..{end} cannot be read: {source}")]
    Read {
        /// The partition.
        partition: TopicPartition,
        /// The first offset of the run.
        start: i64,
        /// One past its last.
        end: i64,
        /// What the source said.
        source: E,
    },
    /// A segment could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Cuts what is to be flushed into objects.
#[must_use]
pub fn plan<L>(partitions: Vec<PartitionPieces<L>>, limits: FlushLimits) -> Vec<ObjectPlan<L>> {
    let mut objects = Vec::new();
    let mut shared: ObjectPlan<L> = Vec::new();
    let mut shared_bytes = 0;
    for partition in partitions.into_iter().filter(|partition| !partition.pieces.is_empty()) {
        let bytes = partition.bytes();
        if bytes >= limits.own_object_bytes {
            objects.extend(partition.cut(limits.object_bytes).into_iter().map(|run| vec![run]));
            continue;
        }
        if shared_bytes + bytes > limits.object_bytes && !shared.is_empty() {
            objects.push(std::mem::take(&mut shared));
            shared_bytes = 0;
        }
        shared_bytes += bytes;
        shared.push(partition);
    }
    if !shared.is_empty() {
        objects.push(shared);
    }
    objects
}

impl<L> PartitionPieces<L> {
    fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.bytes).sum()
    }

    /// Cuts into as few runs as fit the limit, all of about the same size.
    fn cut(self, limit: u64) -> Vec<Self> {
        let count = self.bytes().div_ceil(limit.max(1)).max(1);
        let target = self.bytes().div_ceil(count);
        let mut runs: Vec<Self> = Vec::new();
        let mut run_bytes = 0;
        for piece in self.pieces {
            run_bytes += piece.bytes;
            match runs.last_mut() {
                Some(run) if run_bytes <= target => run.pieces.push(piece),
                _ => {
                    run_bytes = piece.bytes;
                    runs.push(Self {
                        partition: self.partition,
                        pieces: vec![piece],
                    });
                }
            }
        }
        runs
    }

    fn head(&self) -> RunHead {
        let appended_at = self.pieces.iter().map(|piece| piece.appended_at).max();
        RunHead {
            partition: self.partition,
            start: self.pieces.first().map_or(0, |piece| piece.start),
            end: self.pieces.last().map_or(0, |piece| piece.end),
            appended_at: appended_at.unwrap_or_default(),
        }
    }

    fn check_contiguous<E>(&self) -> Result<(), FlushError<E>> {
        for pair in self.pieces.windows(2) {
            if let [before, after] = pair
                && before.end != after.start
            {
                return Err(FlushError::Gap {
                    partition: self.partition,
                    expected: before.end,
                    found: after.start,
                });
            }
        }
        Ok(())
    }
}

/// Writes everything to segments, one object after another. On return they are durable.
pub async fn flush<L, S>(
    output: Output<'_>,
    partitions: Vec<PartitionPieces<L>>,
    source: &S,
    limits: FlushLimits,
    pending: &PendingObjects,
    rng: &mut (dyn RngCore + Send),
) -> Result<Flushed, FlushError<S::Error>>
where
    L: Send + Sync,
    S: PieceSource<L>,
{
    for partition in &partitions {
        partition.check_contiguous()?;
    }
    let mut flushed = Flushed {
        runs: BTreeMap::new(),
        pending: pending.guard(),
    };
    let mut part = Part::default();
    for object_plan in plan(partitions, limits) {
        let object = random_name(rng);
        flushed.pending.add(object);
        let mut segment = SegmentWriter::new(output, object, part);
        for run in object_plan {
            write_run(&mut segment, run, source).await?;
        }
        let finished = segment.finish().await?;
        for (partition, run) in finished.runs {
            flushed.runs.entry(partition).or_default().push(run);
        }
        part = finished.part;
    }
    Ok(flushed)
}

async fn write_run<L, S>(
    segment: &mut SegmentWriter<'_>,
    run: PartitionPieces<L>,
    source: &S,
) -> Result<(), FlushError<S::Error>>
where
    L: Send + Sync,
    S: PieceSource<L>,
{
    let head = run.head();
    segment.begin(head).map_err(WriteError::from)?;
    source.push(run.pieces, segment).await.map_err(|error| match error {
        PushError::Write(error) => FlushError::Write(error),
        PushError::Read(source) => FlushError::Read {
            partition: head.partition,
            start: head.start,
            end: head.end,
            source,
        },
    })
}

/// A name for a new segment.
pub(super) fn random_name(rng: &mut (dyn RngCore + Send)) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

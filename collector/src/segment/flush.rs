//! Turns committed batches that lie elsewhere (in closed WAL files, or in small runs) into segments.
//!
//! [`plan`] is pure: it cuts what is there into runs and the runs into objects. A partition with much to flush gets
//! objects of its own; the others share some, each run contiguous. [`flush`] then reads, builds and puts one object
//! after another, so that no more than one is in memory. The runs that it returns are durable but nobody knows them yet:
//! the caller commits them to the manifests, and holds the [`Pending`] guard until then.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;
use rand::RngCore;
use tailrace_shared::clock::TimestampMs;
use uuid::Uuid;

use super::error::SegmentError;
use super::pending::{Pending, PendingObjects};
use super::run::Run;
use super::writer::{self, BuildError, RunPayload};
use crate::topic_partition::TopicPartition;

const CONCURRENT_READS: usize = 8;

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

    /// The batches of a piece; none is divided between two `Bytes`.
    async fn read(&self, piece: &Piece<L>) -> Result<Vec<Bytes>, Self::Error>;
}

/// How large runs and objects are to be.
#[derive(Debug, Clone, Copy)]
pub struct FlushLimits {
    /// A partition with at least this much gets objects of its own.
    pub own_object_bytes: u64,
    /// No object becomes larger, unless one piece is; no more than this is in memory.
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
            adopted_piece_bytes: 64 << 10,
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
    /// A piece could not be read.
    #[error("partition {partition}: offsets {start}..{end} cannot be read: {source}")]
    Read {
        /// The partition.
        partition: TopicPartition,
        /// The first offset of the piece.
        start: i64,
        /// One past its last.
        end: i64,
        /// What the source said.
        source: E,
    },
    /// What was read is not what the partition says it is.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A segment could not be written.
    #[error(transparent)]
    Write(#[from] SegmentError),
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
    store: &dyn ObjectStore,
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
    for object_plan in plan(partitions, limits) {
        let object = random_name(rng);
        flushed.pending.add(object);
        let segment = writer::build(object, read_runs(object_plan, source).await?)?;
        writer::put(store, &segment).await?;
        for (partition, run) in segment.runs {
            flushed.runs.entry(partition).or_default().push(run);
        }
    }
    Ok(flushed)
}

async fn read_runs<L, S>(object: ObjectPlan<L>, source: &S) -> Result<Vec<RunPayload>, FlushError<S::Error>>
where
    L: Send + Sync,
    S: PieceSource<L>,
{
    let mut runs = Vec::with_capacity(object.len());
    for run in object {
        let partition = run.partition;
        let read = |piece| async move {
            let read = source.read(piece).await;
            read.map_err(|source| FlushError::Read {
                partition,
                start: piece.start,
                end: piece.end,
                source,
            })
        };
        // Collected first: a stream that maps references makes futures that the compiler cannot prove to be `Send`.
        let reads: Vec<_> = run.pieces.iter().map(read).collect();
        let pieces: Vec<_> = stream::iter(reads).buffered(CONCURRENT_READS).try_collect().await?;
        runs.push(RunPayload {
            partition,
            start: run.pieces.first().map_or(0, |piece| piece.start),
            end: run.pieces.last().map_or(0, |piece| piece.end),
            appended_at: run
                .pieces
                .iter()
                .map(|piece| piece.appended_at)
                .max()
                .unwrap_or_default(),
            pieces: pieces.into_iter().flatten().collect(),
        });
    }
    Ok(runs)
}

/// A name for a new segment.
pub(super) fn random_name(rng: &mut (dyn RngCore + Send)) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

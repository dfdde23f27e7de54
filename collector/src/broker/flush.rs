//! Moves what closed WAL files hold into segments, checkpoints, and lets the WAL go: the order is the point.
//!
//! Segments are durable before a manifest names them, the manifests' changes are committed before the checkpoint says
//! that the WAL is not needed, and the checkpoint is durable before the WAL's files are released. A crash or an error
//! between any two of them costs work and never data. One flush runs at a time.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use rand::rngs::StdRng;

use super::Broker;
use super::checkpoints::{CheckpointStore, CheckpointStoreError};
use crate::partition::checkpoint::Checkpoint;
use crate::partition::tail::TailEntry;
use crate::partition::{ChangeManifestError, ManifestChange, Partition};
use crate::segment::flush::{FlushLimits, PartitionPieces, Piece, PieceSource};
use crate::segment::merge::{self, MergeLimits, Stretch};
use crate::segment::{PendingObjects, Run, SegmentError, flush};
use crate::topic_partition::TopicPartition;
use crate::wal::frame::FrameLocation;
use crate::wal::{RollError, Wal, WalPosition};

/// How many manifests are changed at once.
const CONCURRENT_CHANGES: usize = 64;

/// A merge takes on no more stretches once it has this much to rewrite, so that a flush need not wait for long.
const MERGED_BYTES_AT_ONCE: u64 = 128 << 20;

/// Why a flush failed. It may be tried again; until one succeeds the WAL grows.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// The current WAL file could not be closed.
    #[error(transparent)]
    Roll(#[from] RollError),
    /// The segments could not be written.
    #[error("cannot move the WAL into segments: {0}")]
    Segments(#[from] flush::FlushError<io::Error>),
    /// Small runs could not be merged.
    #[error("cannot merge segments: {0}")]
    Merge(#[from] flush::FlushError<SegmentError>),
    /// The segments are written but do not count.
    #[error("partition {partition}: {source}")]
    Manifest {
        /// The partition.
        partition: TopicPartition,
        /// Why its manifest was not changed.
        source: ChangeManifestError,
    },
    /// The checkpoint could not be written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointStoreError),
}

/// What only one flush at a time may have.
pub(super) struct Flusher {
    limits: FlushLimits,
    merge_limits: MergeLimits,
    checkpoints: CheckpointStore,
    /// What the newest checkpoint says.
    checkpointed: Option<WalPosition>,
    pending: PendingObjects,
    /// Its runs belong to the compaction: only what a flush puts behind them may come.
    pub(super) compacting: Option<TopicPartition>,
    pub(super) rng: StdRng,
}

impl Flusher {
    pub(super) fn new(
        limits: FlushLimits,
        merge_limits: MergeLimits,
        checkpoints: CheckpointStore,
        checkpointed: Option<WalPosition>,
        pending: PendingObjects,
        rng: StdRng,
    ) -> Self {
        Self {
            limits,
            merge_limits,
            checkpoints,
            checkpointed,
            pending,
            compacting: None,
            rng,
        }
    }
}

impl Broker {
    /// Closes the current WAL file, and flushes.
    pub async fn roll_and_flush(&self) -> Result<(), FlushError> {
        self.engine.wal.roll().await?;
        self.flush().await
    }

    /// Moves everything in closed WAL files into segments, writes a checkpoint, and releases those files.
    pub async fn flush(&self) -> Result<(), FlushError> {
        let mut flusher = self.flusher.lock().await;
        // All commits of closed files were applied before this position was announced.
        let upto = self.engine.wal.current();
        if flusher.checkpointed == Some(upto) {
            return Ok(());
        }
        self.move_into_segments(&mut flusher, upto).await?;
        self.engine.wal.uncache_before(upto);
        let checkpoint = Checkpoint {
            position: upto,
            partitions: self.partitions().iter().map(|partition| partition.snapshot()).collect(),
        };
        let mut needed_from = flusher.checkpoints.write(&checkpoint).await?;
        if self.engine.wal.is_nearly_full() {
            // The checkpoint before this one keeps its part of the WAL until the next flush, but clients that wait for
            // room close no more files, so there would be none. A second copy takes its place.
            needed_from = flusher.checkpoints.write(&checkpoint).await?;
        }
        flusher.checkpointed = Some(upto);
        self.engine.wal.release_before(needed_from);
        Ok(())
    }

    async fn move_into_segments(&self, flusher: &mut Flusher, upto: WalPosition) -> Result<(), FlushError> {
        let partitions = self.partitions().iter().map(|one| pieces_before(one, upto)).collect();
        let source = WalSource {
            wal: Arc::clone(&self.engine.wal),
        };
        let Flusher {
            limits, pending, rng, ..
        } = flusher;
        let flushed = flush::flush(&*self.store, partitions, &source, *limits, pending, rng).await?;
        let changes = flushed.runs.into_iter().map(|(partition, add)| {
            let remove = Vec::new();
            (partition, ManifestChange::SegmentsReplaced { add, remove })
        });
        self.change_manifests(changes.collect()).await
    }

    /// Merges neighbouring small runs, a limited number of them. Says whether there may be more.
    pub async fn merge(&self) -> Result<bool, FlushError> {
        let mut flusher = self.flusher.lock().await;
        let Flusher {
            limits,
            merge_limits,
            compacting,
            pending,
            rng,
            ..
        } = &mut *flusher;
        let mut bytes = 0;
        let stretches: Vec<Stretch> = self
            .partitions()
            .iter()
            .filter(|one| compacting.as_ref() != Some(&one.id()))
            .filter_map(|one| plan_merge(one, *merge_limits))
            .take_while(|stretch| {
                let room = bytes < MERGED_BYTES_AT_ONCE;
                bytes += stretch.runs.iter().map(|run| run.bytes).sum::<u64>();
                room
            })
            .collect();
        let merged = merge::merge(&self.store, &stretches, *limits, pending, rng).await?;
        let replaced = |partition: TopicPartition, add: Vec<Run>| {
            let stretch = stretches.iter().find(|stretch| stretch.partition == partition);
            let remove = stretch.map(|stretch| stretch.runs.clone()).unwrap_or_default();
            (partition, ManifestChange::SegmentsReplaced { add, remove })
        };
        let changes = merged.runs.into_iter().map(|(partition, add)| replaced(partition, add));
        self.change_manifests(changes.collect()).await?;
        Ok(!stretches.is_empty())
    }

    /// Commits changes of many partitions. Those whose topic was deleted meanwhile need none.
    async fn change_manifests(&self, changes: Vec<(TopicPartition, ManifestChange)>) -> Result<(), FlushError> {
        let changed = changes.into_iter().map(|(id, change)| {
            let partition = self.partition(id);
            async move {
                let Some(partition) = partition else {
                    return Ok(());
                };
                match partition.change_manifest(change).await {
                    Ok(()) | Err(ChangeManifestError::Closed) => Ok(()),
                    Err(source) => Err(FlushError::Manifest { partition: id, source }),
                }
            }
        });
        let changed: Vec<_> = changed.collect();
        stream::iter(changed)
            .buffer_unordered(CONCURRENT_CHANGES)
            .try_collect()
            .await
    }
}

/// What was compacted and what was not are not mixed again.
fn plan_merge(partition: &Partition, limits: MergeLimits) -> Option<Stretch> {
    let manifest = partition.manifest();
    let (compacted, others) = manifest.compacted_and_not();
    let plan = |runs| merge::plan(partition.id(), runs, limits);
    plan(compacted).or_else(|| plan(others))
}

fn pieces_before(partition: &Partition, upto: WalPosition) -> PartitionPieces<FrameLocation> {
    let position = |entry: &TailEntry| WalPosition {
        incarnation: entry.location.incarnation,
        file: entry.location.file,
    };
    let pieces = partition
        .unflushed()
        .into_iter()
        .take_while(|entry| position(entry) < upto);
    PartitionPieces {
        partition: partition.id(),
        pieces: pieces
            .map(|entry| Piece {
                start: entry.start,
                end: entry.end,
                bytes: entry.location.len.into(),
                appended_at: entry.appended_at,
                location: entry.location,
            })
            .collect(),
    }
}

/// Reads frames that wait in the WAL.
struct WalSource {
    wal: Arc<Wal>,
}

#[async_trait]
impl PieceSource<FrameLocation> for WalSource {
    type Error = io::Error;

    async fn read(&self, piece: &Piece<FrameLocation>) -> io::Result<Bytes> {
        let location = piece.location;
        if let Some(cached) = self.wal.read_cached(location) {
            return Ok(cached);
        }
        let wal = Arc::clone(&self.wal);
        let read = move || wal.read(location, 0..location.len as usize);
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }
}

//! Moves what closed WAL files hold into segments, checkpoints, and lets the WAL go: the order is the point. A file that
//! holds long stretches of its partitions becomes a segment as it stands; what lies elsewhere in short ones is written anew.
//!
//! Segments are durable before a manifest names them, the manifests' changes are committed before the checkpoint says
//! that the WAL is not needed, and the checkpoint is durable before the WAL's files are released. A crash or an error
//! between any two of them costs work and never data. One flush runs at a time.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use rand::rngs::StdRng;

use super::Broker;
use super::checkpoints::{CheckpointStore, CheckpointStoreError};
use super::unflushed::Unflushed;
use crate::partition::checkpoint::Checkpoint;
use crate::partition::{ChangeManifestError, ManifestChange};
use crate::segment::adoption::{self, AdoptError, PartitionExtents};
use crate::segment::flush::{FlushLimits, Flushed, PartitionPieces, Piece, PieceSource, PushError};
use crate::segment::merge::MergeLimits;
use crate::segment::part::Part;
use crate::segment::writer::{Output, SegmentWriter};
use crate::segment::{PendingObjects, Run, SegmentError, flush};
use crate::store::AdoptFile;
use crate::topic_partition::TopicPartition;
use crate::wal::frame::FrameLocation;
use crate::wal::{ClosedFile, RollError, Wal, WalPosition};

/// How many manifests are changed at once.
const CONCURRENT_CHANGES: usize = 64;

/// How much of the WAL a flush reads at once.
const GROUP_BYTES: u64 = 1 << 20;

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
    /// It is not known which segments there are.
    #[error(transparent)]
    List(SegmentError),
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
    pub(super) limits: FlushLimits,
    pub(super) merge_limits: MergeLimits,
    /// Takes WAL files as they stand; not after it could not.
    pub(super) adopts: Option<Arc<dyn AdoptFile>>,
    pub(super) checkpoints: CheckpointStore,
    /// What the newest checkpoint says.
    pub(super) checkpointed: Option<WalPosition>,
    pub(super) pending: PendingObjects,
    /// Its runs belong to the compaction: only what a flush puts behind them may come.
    pub(super) compacting: Option<TopicPartition>,
    pub(super) rng: StdRng,
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
        let wal = &self.engine.wal;
        let mut unflushed = Unflushed::before(upto, &self.partitions());
        let mut moved = Vec::new();
        for file in wal.closed_files() {
            let Some(store) = flusher.adopts.clone() else { break };
            let long = unflushed.long_in(&file, flusher.limits);
            wal.expect_files_to_stay(!long.is_empty());
            if long.is_empty() {
                continue;
            }
            // The runs of a partition stand in its manifest in the order of their offsets.
            let before = unflushed.take_before(file.position, &long);
            moved.push(flusher.rewrite(self.output(), wal, before).await?);
            match flusher.adopt(&*store, wal, &file, &long).await {
                Ok(adopted) => {
                    unflushed.drop_adopted(file.position, &long);
                    moved.push(adopted);
                }
                Err(error) => {
                    let file = file.position;
                    tracing::warn!(%file, %error, "WAL files are copied into segments until the next start, as one did not become a segment");
                    flusher.adopts = None;
                    wal.expect_files_to_stay(false);
                }
            }
        }
        moved.push(flusher.rewrite(self.output(), wal, unflushed.take_all()).await?);
        let mut added: BTreeMap<TopicPartition, Vec<Run>> = BTreeMap::new();
        for (partition, runs) in moved.iter().flat_map(|flushed| &flushed.runs) {
            added.entry(*partition).or_default().extend_from_slice(runs);
        }
        let changes = added.into_iter().map(|(partition, add)| {
            let remove = Vec::new();
            (partition, ManifestChange::SegmentsReplaced { add, remove })
        });
        self.change_manifests(changes.collect()).await
    }

    /// Commits changes of many partitions. Those whose topic was deleted meanwhile need none.
    pub(super) async fn change_manifests(
        &self,
        changes: Vec<(TopicPartition, ManifestChange)>,
    ) -> Result<(), FlushError> {
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

impl Flusher {
    /// Writes pieces from the WAL to new segments.
    async fn rewrite(
        &mut self,
        output: Output<'_>,
        wal: &Arc<Wal>,
        pieces: Vec<PartitionPieces<FrameLocation>>,
    ) -> Result<Flushed, flush::FlushError<io::Error>> {
        let source = WalSource { wal: Arc::clone(wal) };
        flush::flush(output, pieces, &source, self.limits, &self.pending, &mut self.rng).await
    }

    /// Makes a segment of a file of the WAL.
    async fn adopt(
        &mut self,
        store: &dyn AdoptFile,
        wal: &Arc<Wal>,
        file: &ClosedFile,
        long: &[PartitionExtents],
    ) -> Result<Flushed, AdoptError> {
        let end_with = async |footer: Bytes| {
            let (wal, position) = (Arc::clone(wal), file.position);
            blocking(move || wal.end_with(position, &footer)).await
        };
        adoption::adopt(store, file.bytes, long, &self.pending, &mut self.rng, end_with).await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Reads frames that wait in the WAL.
struct WalSource {
    wal: Arc<Wal>,
}

#[async_trait]
impl PieceSource<FrameLocation> for WalSource {
    type Error = io::Error;

    async fn push(
        &self,
        pieces: Vec<Piece<FrameLocation>>,
        segment: &mut SegmentWriter<'_>,
    ) -> Result<(), PushError<io::Error>> {
        for frames in in_groups(pieces) {
            let wal = Arc::clone(&self.wal);
            let read = async move |mut part: Part| {
                let read = move || {
                    for frame in frames {
                        wal.read_into(frame, part.grow(frame.len as usize))?;
                    }
                    Ok(part)
                };
                blocking(read).await.map_err(PushError::Read)
            };
            segment.push_with(read).await?;
        }
        Ok(())
    }
}

/// What is read on one turn of a thread that may block.
fn in_groups(pieces: Vec<Piece<FrameLocation>>) -> Vec<Vec<FrameLocation>> {
    let mut groups: Vec<Vec<FrameLocation>> = Vec::new();
    let mut bytes = 0;
    for frame in pieces.into_iter().map(|piece| piece.location) {
        bytes += u64::from(frame.len);
        match groups.last_mut() {
            Some(group) if bytes <= GROUP_BYTES => group.push(frame),
            _ => {
                bytes = u64::from(frame.len);
                groups.push(vec![frame]);
            }
        }
    }
    groups
}

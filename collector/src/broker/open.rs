//! From a directory and a store to a broker: what is claimed, read and replayed, in this order.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::checkpoints::{CheckpointStore, CheckpointStoreError};
use super::compaction::Compactor;
use super::flush::Flusher;
use super::pace::CommitsFirst;
use super::topics::{Topic, TopicTable};
use super::{Broker, BrokerOptions, maintenance};
use crate::catalog::{Catalog, CatalogError, CatalogView};
use crate::partition::Engine;
use crate::partition::checkpoint::{Checkpoint, Snapshot};
use crate::partition::recovery::{Recovered, Recovering, ReplayError};
use crate::segment::{PendingObjects, SegmentReader};
use crate::topic_partition::TopicPartition;
use crate::wal::{self, RecoveryReport, ReplayedFrame, Wal, WalOpenError, WalOptions, WalPosition};

/// Why a broker cannot start. Nothing was changed that the next attempt could miss.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The checkpoints.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointStoreError),
    /// The WAL.
    #[error(transparent)]
    Wal(#[from] WalOpenError),
    /// What checkpoint and WAL say of a partition does not go together.
    #[error(
        "partition {partition} of topic {topic} cannot be recovered: {source}; restore the data directory and the store from backups of the same time"
    )]
    Partition {
        /// The topic's name.
        topic: String,
        /// The partition's index.
        partition: i32,
        /// What does not fit.
        source: ReplayError,
    },
    /// The thread that replays the WAL panicked.
    #[error("the replay of the WAL failed: {0}")]
    Replay(#[from] tokio::task::JoinError),
}

/// The partitions of the catalog on their way back.
struct Replay {
    catalog: Arc<CatalogView>,
    partitions: HashMap<TopicPartition, Recovering>,
}

impl Broker {
    /// Opens the broker of a directory and recovers everything that it ever acknowledged.
    pub async fn open(options: BrokerOptions) -> Result<Arc<Self>, OpenError> {
        let mut rng = options.rng;
        let catalog_rng = StdRng::from_rng(&mut rng);
        let catalog = Catalog::open(Arc::clone(&options.store), Arc::clone(&options.clock), catalog_rng).await?;
        let (checkpoints, newest) = CheckpointStore::open(Arc::clone(&options.store)).await?;
        let incarnation = catalog.claim_incarnation(options.node_id).await?;
        let view = catalog.view();
        let from = newest.as_ref().map(|checkpoint| checkpoint.position);
        let replay = Replay::of(Arc::clone(&view), newest);
        let (wal, report, replay) = replay.run(options.wal, incarnation, from).await?;
        let (frames, bytes) = (report.frames, report.payload_bytes);
        match &report.end {
            Some(end) => {
                let end = format_args!("{} byte {}", end.path.display(), end.offset);
                tracing::info!(incarnation, frames, bytes, %end, "recovered the WAL");
            }
            None => tracing::info!(incarnation, "a new WAL"),
        }
        let engine = Arc::new(Engine {
            wal,
            segments: SegmentReader::new(Arc::clone(&options.store), options.reader),
            clock: options.clock,
            disk_reads: Semaphore::new(options.disk_reads_max),
        });
        let mut recovered = replay.finish()?;
        let mut topics = TopicTable::default();
        for meta in view.topics() {
            topics.insert(Topic::open(Arc::clone(meta), &options.topic_defaults, &engine, |id| {
                recovered.remove(&id).unwrap_or_default()
            }));
        }
        let pending_objects = PendingObjects::default();
        let stopping = CancellationToken::new();
        let broker = Arc::new(Self {
            node_id: options.node_id,
            flusher: Mutex::new(Flusher {
                limits: options.flush,
                merge_limits: options.merge,
                adopts: options.adopts,
                checkpoints,
                checkpointed: from,
                pending: pending_objects.clone(),
                compacting: None,
                rng,
            }),
            compactor: Compactor::new(options.compaction),
            orphans: Mutex::default(),
            pending_objects,
            store: options.store,
            pace: CommitsFirst {
                wal: Arc::clone(&engine.wal),
                stopping: stopping.clone(),
            },
            engine,
            catalog,
            topic_defaults: options.topic_defaults,
            topics: RwLock::new(topics),
            topic_changes: Mutex::new(()),
            producer_ids: Mutex::new(0..0),
            object_grace: options.object_grace,
            stopping,
            background: TaskTracker::new(),
            recovery: report,
            data_dir: options.data_dir,
        });
        if let Some(intervals) = options.maintenance {
            maintenance::start(&broker, intervals);
        }
        Ok(broker)
    }
}

impl Replay {
    /// Of the partitions that a checkpoint knows those count that the catalog knows; what is left of a deleted topic is
    /// not looked at. A partition that is not in the checkpoint is new since.
    fn of(catalog: Arc<CatalogView>, checkpoint: Option<Checkpoint>) -> Self {
        let snapshots = checkpoint.map(|checkpoint| checkpoint.partitions).unwrap_or_default();
        let mut snapshots: HashMap<_, _> = snapshots.into_iter().map(|one| (one.partition, one)).collect();
        let ids = catalog.topics().flat_map(|topic| {
            let topic_id = topic.id;
            (0..topic.partitions).map(move |partition| TopicPartition {
                topic: topic_id,
                partition,
            })
        });
        let partitions = ids
            .map(|id| {
                let snapshot = snapshots.remove(&id).unwrap_or_else(|| Snapshot::empty(id));
                (id, Recovering::from_snapshot(snapshot))
            })
            .collect();
        Self { partitions, catalog }
    }

    async fn run(
        mut self,
        options: WalOptions,
        incarnation: u64,
        from: Option<WalPosition>,
    ) -> Result<(Arc<Wal>, RecoveryReport, Self), OpenError> {
        let replayed = tokio::task::spawn_blocking(move || {
            let opened = Wal::open(options, incarnation, from, &mut |frame| self.take(&frame));
            opened.map(|(wal, report)| (wal, report, self))
        });
        Ok(replayed.await??)
    }

    fn take(&mut self, replayed: &ReplayedFrame) -> Result<(), wal::ReplayError> {
        let id = replayed.frame.partition;
        let Some(partition) = self.partitions.get_mut(&id) else {
            return Ok(());
        };
        let taken = partition.replay(&replayed.frame, &replayed.payload);
        taken.map_err(|source| wal::ReplayError(Box::new(misfit(&self.catalog, id, source))))
    }

    fn finish(self) -> Result<HashMap<TopicPartition, Recovered>, OpenError> {
        let finish = |(id, recovering): (TopicPartition, Recovering)| match recovering.finish() {
            Ok(recovered) => Ok((id, recovered)),
            Err(source) => Err(misfit(&self.catalog, id, source)),
        };
        self.partitions.into_iter().map(finish).collect()
    }
}

fn misfit(catalog: &CatalogView, id: TopicPartition, source: ReplayError) -> OpenError {
    let topic = catalog.topic_by_id(id.topic);
    OpenError::Partition {
        topic: topic.map_or_else(|| id.topic.to_string(), |meta| meta.name.clone()),
        partition: id.partition,
        source,
    }
}

//! The facade that Kafka handlers and HTTP call: topics, partitions and producer ids of this broker.
//!
//! A [`Broker`] ties the layers below together: it opens them in order and recovers the partitions ([`open`]), changes
//! topics ([`topics`]), moves what is in the WAL into segments and writes checkpoints ([`flush`]), writes anew what lies badly ([`merge`]), compacts
//! ([`compaction`]), and does in the background what must be done from time to time ([`maintenance`]). Records are appended and read through the
//! [`Partition`](crate::partition::Partition)s that it hands out.

mod access;
mod checkpoints;
mod compaction;
mod data_dir;
mod flush;
mod maintenance;
mod merge;
mod open;
mod options;
mod pace;
#[cfg(test)]
mod tests;
mod topics;
mod unflushed;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use parking_lot::RwLock;
use tailrace_shared::clock::Clock;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use checkpoints::CheckpointStoreError;
pub use compaction::CompactionStats;
pub use data_dir::{DataDir, DataDirError};
pub use flush::FlushError;
pub use open::OpenError;
pub use options::{BrokerOptions, MaintenanceIntervals};
pub use topics::Topic;

use crate::catalog::{Catalog, CatalogError, TopicConfig};
use crate::partition::Engine;
use crate::segment::PendingObjects;
use crate::segment::orphans::Orphans;
use crate::segment::writer::Output;
use crate::wal::{RecoveryReport, WalStats};
use compaction::Compactor;
use flush::Flusher;
use pace::CommitsFirst;
use topics::TopicTable;

/// A running broker.
pub struct Broker {
    node_id: i32,
    store: Arc<dyn ObjectStore>,
    pace: CommitsFirst,
    engine: Arc<Engine>,
    catalog: Catalog,
    topic_defaults: TopicConfig,
    topics: RwLock<TopicTable>,
    /// Held while the catalog and the table of topics change together.
    topic_changes: Mutex<()>,
    producer_ids: Mutex<Range<i64>>,
    flusher: Mutex<Flusher>,
    compactor: Compactor,
    orphans: Mutex<Orphans>,
    /// Segments that wait for their manifest.
    pending_objects: PendingObjects,
    object_grace: Duration,
    stopping: CancellationToken,
    background: TaskTracker,
    recovery: RecoveryReport,
    data_dir: DataDir,
}

impl fmt::Debug for Broker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topics = self.topics.read().len();
        let mut debug = formatter.debug_struct("Broker");
        debug.field("node_id", &self.node_id).field("topics", &topics);
        debug.finish_non_exhaustive()
    }
}

impl Broker {
    /// Where segments are written.
    fn output(&self) -> Output<'_> {
        Output {
            store: &*self.store,
            pace: &self.pace,
        }
    }

    /// The number under which clients know this broker.
    #[must_use]
    pub fn node_id(&self) -> i32 {
        self.node_id
    }

    /// The id of the cluster, 22 characters.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        self.catalog.cluster_id()
    }

    /// Where everything is kept.
    #[must_use]
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// The clock that the broker goes by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.engine.clock
    }

    /// What was met when the WAL was opened.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.recovery
    }

    /// How the WAL stands, for metrics.
    #[must_use]
    pub fn wal_stats(&self) -> WalStats {
        self.engine.wal.stats()
    }

    /// What compaction has done since the start, for metrics.
    #[must_use]
    pub fn compaction_stats(&self) -> CompactionStats {
        self.compactor.stats()
    }

    /// A producer id that was never handed out before. An error is `COORDINATOR_NOT_AVAILABLE`: it may be tried again.
    pub async fn allocate_producer_id(&self) -> Result<i64, CatalogError> {
        let mut ids = self.producer_ids.lock().await;
        loop {
            match ids.next() {
                Some(id) => return Ok(id),
                None => *ids = self.catalog.claim_producer_ids().await?,
            }
        }
    }
}

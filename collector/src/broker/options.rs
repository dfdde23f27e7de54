//! How a broker is set up.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tailrace_shared::clock::Clock;

use super::DataDir;
use crate::catalog::TopicConfig;
use crate::segment::ReaderOptions;
use crate::segment::compaction::CompactionLimits;
use crate::segment::flush::FlushLimits;
use crate::segment::merge::MergeLimits;
use crate::store::AdoptFile;
use crate::wal::WalOptions;

/// How a broker is set up.
#[derive(Debug)]
pub struct BrokerOptions {
    /// The number under which clients know it.
    pub node_id: i32,
    /// Its own directory, with the WAL in it.
    pub data_dir: DataDir,
    /// Where segments, checkpoints and the catalog lie.
    pub store: Arc<dyn ObjectStore>,
    /// The same store, if WAL files can become objects of it as they stand.
    pub adopts: Option<Arc<dyn AdoptFile>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where random ids come from.
    pub rng: StdRng,
    /// The WAL.
    pub wal: WalOptions,
    /// How segments are read.
    pub reader: ReaderOptions,
    /// How large segments become.
    pub flush: FlushLimits,
    /// Which segments are merged.
    pub merge: MergeLimits,
    /// How much the compaction of a partition may take.
    pub compaction: CompactionLimits,
    /// Configs of all topics that do not say otherwise.
    pub topic_defaults: TopicConfig,
    /// How many reads of WAL files may wait for the disk at once.
    pub disk_reads_max: usize,
    /// How long a segment that no manifest refers to any more stays in the store.
    pub object_grace: Duration,
    /// When what is done in the background; `None` leaves it to the caller, as tests do.
    pub maintenance: Option<MaintenanceIntervals>,
}

/// When what is done in the background.
#[derive(Debug, Clone, Copy)]
pub struct MaintenanceIntervals {
    /// A WAL file is closed at least this often, so that what it holds reaches the store.
    pub roll: Duration,
    /// When little was written for so long, the WAL is moved into the store and memory is given back.
    pub quiet: Duration,
    /// Retention, expiry of producers and deletion of segments.
    pub retention: Duration,
    /// Compaction.
    pub compaction: Duration,
    /// After a failed flush.
    pub retry: Duration,
}

impl Default for MaintenanceIntervals {
    fn default() -> Self {
        Self {
            roll: Duration::from_secs(600),
            quiet: Duration::from_secs(15),
            retention: Duration::from_secs(60),
            compaction: Duration::from_secs(15),
            retry: Duration::from_secs(5),
        }
    }
}

impl BrokerOptions {
    /// What fits most.
    #[must_use]
    pub fn new(data_dir: DataDir, store: Arc<dyn ObjectStore>, clock: Arc<dyn Clock>) -> Self {
        let (dir, disk) = (data_dir.path().join("wal"), Arc::clone(data_dir.disk()));
        Self {
            node_id: 1,
            wal: WalOptions::new(dir, disk, Arc::clone(&clock)),
            data_dir,
            store,
            adopts: None,
            clock,
            rng: StdRng::from_os_rng(),
            reader: ReaderOptions::default(),
            flush: FlushLimits::default(),
            merge: MergeLimits::default(),
            compaction: CompactionLimits::default(),
            topic_defaults: TopicConfig::default(),
            disk_reads_max: 32,
            object_grace: Duration::from_secs(60),
            maintenance: Some(MaintenanceIntervals::default()),
        }
    }
}

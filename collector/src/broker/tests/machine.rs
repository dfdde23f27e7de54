//! A simulated machine with one broker on it, which can be stopped, killed and cut off from power.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStore;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tailrace_shared::clock::{Clock, ManualClock};
use tailrace_shared::disk::Disk;
use tailrace_shared::disk::sim::{PowerLoss, SimDisk};
use tailrace_shared::record::{BatchBuilder, BatchHeader, BatchView, Batches, Compression, RecordHeaders, restamp};
use tokio_util::sync::CancellationToken;

use crate::broker::{Broker, BrokerOptions, DataDir, OpenError};
use crate::catalog::NewTopic;
use crate::partition::{Partition, ReadLimits};
use crate::segment::merge::MergeLimits;
use crate::store::LocalStore;
use crate::topic_partition::TopicPartition;

pub(super) const GRACE: Duration = Duration::from_secs(60);
const DATA_DIR: &str = "/data";

pub(super) struct Machine {
    pub(super) disk: SimDisk,
    pub(super) clock: Arc<ManualClock>,
    /// Cancelled once the WAL of this process failed: what it has not answered by then, it never will.
    pub(super) dead: CancellationToken,
    seed: u64,
}

impl Machine {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            disk: SimDisk::new(seed),
            clock: Arc::new(ManualClock::at(1_700_000_000_000)),
            dead: CancellationToken::new(),
            seed,
        }
    }

    pub(super) fn options(&mut self) -> Option<BrokerOptions> {
        self.dead = CancellationToken::new();
        self.seed += 1;
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let data_dir = DataDir::claim(Arc::clone(&disk), PathBuf::from(DATA_DIR)).ok()?;
        let store = LocalStore::open(disk, &Path::new(DATA_DIR).join("store")).ok()?;
        let mut options = BrokerOptions::new(data_dir, Arc::new(store.clone()) as Arc<dyn ObjectStore>, clock);
        options.adopts = Some(Arc::new(store));
        // Every other start stays with what the WAL wrote wherever it can.
        if self.seed.is_multiple_of(2) {
            options.flush.own_object_bytes = 300;
            options.flush.adopted_piece_bytes = 50;
            options.flush.adopted_share_min = 0.0;
        }
        let dead = self.dead.clone();
        options.wal.file_bytes = 128 << 10;
        options.wal.budget_bytes = 64 << 20;
        options.wal.max_frame_bytes = 8 << 10;
        options.wal.commit_bytes_max = 16 << 10;
        options.wal.cache_bytes = 8 << 10;
        options.wal.on_fatal = Arc::new(move |_| dead.cancel());
        options.merge = MergeLimits {
            runs_min: 3,
            wasted_bytes_max: 4 << 10,
            ..MergeLimits::default()
        };
        options.object_grace = GRACE;
        options.rng = StdRng::seed_from_u64(self.seed);
        options.maintenance = None;
        Some(options)
    }

    /// `None` if the machine died before the broker came to anything.
    pub(super) async fn try_open(&mut self) -> Option<Result<Arc<Broker>, OpenError>> {
        let options = self.options()?;
        Some(Broker::open(options).await)
    }

    pub(super) async fn open(&mut self) -> Arc<Broker> {
        let opened = self.try_open().await.expect("the machine runs");
        opened.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Ends the process, if it has not ended yet, and starts the machine for the next one.
    pub(super) fn end(&mut self, how: Ending) {
        self.disk = match how {
            Ending::Kill => self.disk.restart(),
            Ending::PowerLoss if self.disk.is_dead() => self.disk.restart(),
            Ending::PowerLoss => self.disk.power_off(PowerLoss::Random),
        };
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Kill,
    PowerLoss,
}

/// Creates topic `t` with some partitions and configs.
pub(super) async fn create_topic(broker: &Broker, partitions: i32, configs: &[(&str, &str)]) {
    let new = NewTopic {
        name: "t".into(),
        partitions,
        configs: configs
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect(),
    };
    broker.create_topic(new).await.unwrap();
}

pub(super) fn partition(broker: &Broker, index: i32) -> Arc<Partition> {
    let topic = broker.topic("t").unwrap().meta.id;
    let id = TopicPartition {
        topic,
        partition: index,
    };
    broker.partition(id).unwrap()
}

/// A batch with a record for each of the values, all of this time.
pub(super) fn batch(values: &[String], timestamp: i64) -> BatchView {
    let timed: Vec<_> = values.iter().map(|value| (value.as_str(), timestamp)).collect();
    timed_batch(&timed)
}

pub(super) fn timed_batch(records: &[(&str, i64)]) -> BatchView {
    let mut builder = BatchBuilder::new(Compression::Zstd, 1).unwrap();
    for (value, timestamp) in records {
        let headers = RecordHeaders::empty();
        builder
            .append(*timestamp, None, Some(value.as_bytes()), &headers)
            .unwrap();
    }
    view(builder.finish().unwrap())
}

pub(super) fn stamped(batch: &BatchView, producer_id: i64, epoch: i16, sequence: i32) -> BatchView {
    let mut bytes = batch.bytes.to_vec();
    restamp(&mut bytes, producer_id, epoch, sequence).unwrap();
    view(bytes.into())
}

pub(super) fn view(bytes: Bytes) -> BatchView {
    let header = BatchHeader::decode(&bytes).unwrap();
    BatchView { header, bytes }
}

/// A batch as a reader finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) base_offset: i64,
    pub(super) values: Vec<String>,
}

pub(super) fn open_batches(pieces: Vec<Bytes>) -> Vec<Found> {
    whole_batches(pieces).map(open_batch).collect()
}

fn whole_batches(pieces: Vec<Bytes>) -> impl Iterator<Item = BatchView> {
    let batches = pieces.into_iter().flat_map(|piece| Batches::split(piece, usize::MAX));
    batches.map(|batch| batch.expect("whole batches with the right checksum"))
}

fn open_batch(batch: BatchView) -> Found {
    let records = batch.records(1 << 20).unwrap();
    let text = |value: Option<Bytes>| String::from_utf8(value.unwrap().to_vec()).unwrap();
    Found {
        base_offset: batch.header.base_offset,
        values: records.map(|record| text(record.unwrap().value)).collect(),
    }
}

/// Everything from an offset on, read in steps of a size, each of which finds something that was not read yet.
pub(super) async fn read_batches(partition: &Partition, from: i64, step_bytes: usize) -> Vec<BatchView> {
    let mut found: Vec<BatchView> = Vec::new();
    let mut next = from;
    let limits = ReadLimits {
        max_bytes: step_bytes,
        at_least_one: true,
    };
    while next < partition.high_watermark() {
        let read = partition.read(next, limits).await;
        let read = read.unwrap_or_else(|error| panic!("at {next}: {error:?}"));
        let before = next;
        for batch in whole_batches(read.batches) {
            assert!(batch.header.last_offset() >= next, "{next} again in {:?}", batch.header);
            next = batch.header.next_offset();
            found.push(batch);
        }
        assert!(next > before, "nothing to read at {before}, below the high watermark");
    }
    found
}

/// Everything from the log start on.
pub(super) async fn read_all(partition: &Partition, step_bytes: usize) -> Vec<Found> {
    let found = read_batches(partition, partition.log_start(), step_bytes).await;
    found.into_iter().map(open_batch).collect()
}

/// The offset at a share of what may be read; beyond the end for more than 1.
pub(super) fn position(partition: &Partition, at: f64) -> i64 {
    let (log_start, high_watermark) = (partition.log_start(), partition.high_watermark());
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    let ahead = ((high_watermark - log_start) as f64 * at) as i64;
    log_start + ahead
}

//! Keeps groups and offsets in `__consumer_offsets`, reads them back, and keeps that log short.
//!
//! The coordinator holds every live key in memory, so compaction is simple: once a partition has grown enough, everything
//! live is appended again and what lies before is dropped. Writers of that partition wait for those few milliseconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tailrace_shared::clock::Clock;
use tailrace_shared::record::{BatchBuilder, Batches, Compression, RecordHeaders};
use tokio::sync::RwLock;

use super::log::{OffsetsLog, OffsetsLogError, partition_of};
use super::record::LogRecord;

/// A partition is written anew once this many bytes, and as many as are live, were appended since the last time.
const REWRITE_AFTER_BYTES: u64 = 16 * 1024 * 1024;
/// Records of a rewrite are appended in batches of about this size.
const REWRITE_BATCH_BYTES: usize = 512 * 1024;
/// No batch of this log holds more than this.
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The groups' log, and what is needed to keep it short.
pub(super) struct GroupStore {
    log: Arc<dyn OffsetsLog>,
    clock: Arc<dyn Clock>,
    partitions: Vec<PartitionState>,
}

#[derive(Default)]
struct PartitionState {
    /// Held for reading by every append, for writing by a rewrite.
    rewrite: RwLock<()>,
    appended_bytes: AtomicU64,
    live_bytes: AtomicU64,
}

impl GroupStore {
    pub(super) fn new(log: Arc<dyn OffsetsLog>, clock: Arc<dyn Clock>) -> Self {
        let partitions = (0..log.partitions().max(1))
            .map(|_| PartitionState::default())
            .collect();
        Self { log, clock, partitions }
    }

    pub(super) fn partition_of(&self, group: &str) -> i32 {
        partition_of(group, self.log.partitions())
    }

    /// Writes records of one group; durable on return. Answers the offset of the first.
    pub(super) async fn write(&self, group: &str, records: &[LogRecord]) -> Result<i64, OffsetsLogError> {
        let partition = self.partition_of(group);
        let batch = self.batch(partition, records)?;
        let Some(state) = self.state(partition) else {
            return Err(no_such_partition(partition));
        };
        let _no_rewrite = state.rewrite.read().await;
        state.appended_bytes.fetch_add(batch.len() as u64, Ordering::Relaxed);
        self.log.append(partition, batch).await
    }

    /// Every record that is kept, with its offset, partition by partition.
    pub(super) async fn replay(&self, mut take: impl FnMut(i64, LogRecord)) -> Result<(), OffsetsLogError> {
        for partition in 0..self.log.partitions() {
            let mut next = self.log.start(partition);
            loop {
                let batches = self.log.read(partition, next).await?;
                if batches.is_empty() {
                    break;
                }
                for bytes in batches {
                    next = replay_batch(partition, bytes, &mut take)?;
                }
            }
        }
        Ok(())
    }

    /// The partitions that have grown enough to be written anew.
    pub(super) fn grown(&self) -> Vec<i32> {
        let grown = |(_, state): &(i32, &PartitionState)| {
            let worth_it = REWRITE_AFTER_BYTES.max(state.live_bytes.load(Ordering::Relaxed));
            state.appended_bytes.load(Ordering::Relaxed) > worth_it
        };
        (0..)
            .zip(&self.partitions)
            .filter(grown)
            .map(|(partition, _)| partition)
            .collect()
    }

    /// Appends all that is live again and drops what lies before. `live` is asked while nobody else writes.
    pub(super) async fn rewrite(
        &self,
        partition: i32,
        live: impl FnOnce() -> Vec<LogRecord>,
    ) -> Result<(), OffsetsLogError> {
        let Some(state) = self.state(partition) else {
            return Err(no_such_partition(partition));
        };
        let _alone = state.rewrite.write().await;
        let mut first = None;
        let mut written = 0;
        for batch in self.batches(partition, &live())? {
            written += batch.len() as u64;
            let offset = self.log.append(partition, batch).await?;
            first.get_or_insert(offset);
        }
        if let Some(first) = first {
            self.log.forget_before(partition, first).await?;
        }
        state.appended_bytes.store(0, Ordering::Relaxed);
        state.live_bytes.store(written, Ordering::Relaxed);
        Ok(())
    }

    fn state(&self, partition: i32) -> Option<&PartitionState> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }

    fn batch(&self, partition: i32, records: &[LogRecord]) -> Result<Bytes, OffsetsLogError> {
        let mut builder = self.builder(partition)?;
        for record in records {
            self.append(partition, &mut builder, record)?;
        }
        finish(partition, &mut builder)
    }

    fn batches(&self, partition: i32, records: &[LogRecord]) -> Result<Vec<Bytes>, OffsetsLogError> {
        let mut builder = self.builder(partition)?;
        let mut batches = Vec::new();
        for record in records {
            self.append(partition, &mut builder, record)?;
            if builder.uncompressed_len() >= REWRITE_BATCH_BYTES {
                batches.push(finish(partition, &mut builder)?);
            }
        }
        if !builder.is_empty() {
            batches.push(finish(partition, &mut builder)?);
        }
        Ok(batches)
    }

    fn builder(&self, partition: i32) -> Result<BatchBuilder, OffsetsLogError> {
        BatchBuilder::new(Compression::None, 0).map_err(|error| failed(partition, &error))
    }

    fn append(&self, partition: i32, builder: &mut BatchBuilder, record: &LogRecord) -> Result<(), OffsetsLogError> {
        let (key, value) = (record.key(), record.value());
        builder
            .append(
                self.clock.now_ms(),
                Some(&key),
                value.as_deref(),
                &RecordHeaders::empty(),
            )
            .map_err(|error| failed(partition, &error))
    }
}

fn finish(partition: i32, builder: &mut BatchBuilder) -> Result<Bytes, OffsetsLogError> {
    builder.finish().map_err(|error| failed(partition, &error))
}

/// Hands on each record of a batch and answers the offset behind it.
fn replay_batch(partition: i32, bytes: Bytes, take: &mut impl FnMut(i64, LogRecord)) -> Result<i64, OffsetsLogError> {
    let mut next = 0;
    for batch in Batches::split(bytes, BATCH_BYTES_MAX) {
        let batch = batch.map_err(|error| failed(partition, &error))?;
        next = batch.header.next_offset();
        for record in batch
            .records(BATCH_BYTES_MAX)
            .map_err(|error| failed(partition, &error))?
        {
            let record = record.map_err(|error| failed(partition, &error))?;
            let Some(key) = record.key else { continue };
            match LogRecord::decode(key, record.value) {
                Ok(Some(decoded)) => take(record.offset, decoded),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(partition, offset = record.offset, %error, "skipped a record of the offsets log");
                }
            }
        }
    }
    Ok(next)
}

fn failed(partition: i32, error: &dyn std::error::Error) -> OffsetsLogError {
    OffsetsLogError {
        partition,
        reason: error.to_string(),
    }
}

fn no_such_partition(partition: i32) -> OffsetsLogError {
    OffsetsLogError {
        partition,
        reason: "there is no such partition".to_owned(),
    }
}

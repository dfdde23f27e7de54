//! Keeps groups and offsets in `__consumer_offsets`, reads them back, and keeps that log short.
//!
//! The coordinator holds every live key in memory, so compaction is simple: once a partition has grown enough, everything
//! live is appended again and what lies before is dropped. Writers of that partition wait for those few milliseconds.
//! For that, and for whatever else is decided by what memory says (an offset has expired, a group can go), nobody may
//! be between the log and the memory: [`Written`] is such a writer, and [`Alone`] is the proof that there is none.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bytes::Bytes;
use tailrace_shared::clock::Clock;
use tailrace_shared::record::{BatchBuilder, Batches, Compression, RecordHeaders};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::log::{OffsetsLog, OffsetsLogError, partition_of};
use super::record::LogRecord;

/// A partition is written anew once this many bytes, and as many as are live, were appended since the last time.
const REWRITE_AFTER_BYTES: u64 = 16 * 1024 * 1024;
/// No batch grows beyond this, unless it is by a single record.
const BATCH_BYTES: usize = 512 * 1024;
/// No batch of this log that is read back holds more than this.
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The groups' log, and what is needed to keep it short.
pub(super) struct GroupStore {
    log: Arc<dyn OffsetsLog>,
    clock: Arc<dyn Clock>,
    partitions: Vec<PartitionState>,
}

#[derive(Default)]
struct PartitionState {
    /// Held for reading by whoever writes, until what was written is in memory as well; for writing by whoever must
    /// know that the two agree.
    agreement: RwLock<()>,
    appended_bytes: AtomicU64,
    live_bytes: AtomicU64,
    /// One past the last record.
    end: AtomicI64,
}

/// Records that are in the log. Keep it until memory says the same.
#[must_use = "memory must say the same as the log before this is dropped"]
pub(super) struct Written<'a> {
    /// Where each record lies.
    pub(super) offsets: Vec<i64>,
    _agreement: RwLockReadGuard<'a, ()>,
}

/// Nobody else writes to a partition of the log, and memory says what the log says.
pub(super) struct Alone<'a> {
    store: &'a GroupStore,
    partition: i32,
    state: &'a PartitionState,
    _agreement: RwLockWriteGuard<'a, ()>,
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

    /// Writes records of one group; durable on return.
    pub(super) async fn write(&self, group: &str, records: &[LogRecord]) -> Result<Written<'_>, OffsetsLogError> {
        let partition = self.partition_of(group);
        let state = self.state(partition)?;
        let agreement = state.agreement.read().await;
        Ok(Written {
            offsets: self.append_all(partition, state, records).await?,
            _agreement: agreement,
        })
    }

    /// Keeps everybody else from writing to the partition that a group lies in.
    pub(super) async fn alone_with(&self, group: &str) -> Result<Alone<'_>, OffsetsLogError> {
        self.alone(self.partition_of(group)).await
    }

    async fn alone(&self, partition: i32) -> Result<Alone<'_>, OffsetsLogError> {
        let state = self.state(partition)?;
        Ok(Alone {
            store: self,
            partition,
            state,
            _agreement: state.agreement.write().await,
        })
    }

    /// Every record that is kept, with its offset, partition by partition.
    pub(super) async fn replay(&self, mut take: impl FnMut(i64, LogRecord)) -> Result<(), OffsetsLogError> {
        for (partition, state) in (0..).zip(&self.partitions) {
            let mut next = self.log.start(partition);
            loop {
                let batches = self.log.read(partition, next).await?;
                if batches.is_empty() {
                    break;
                }
                for bytes in batches {
                    state.appended_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    next = replay_batch(partition, bytes, &mut take)?;
                }
            }
            state.end.store(next, Ordering::Relaxed);
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
        let alone = self.alone(partition).await?;
        let first = alone.state.end.load(Ordering::Relaxed);
        let before = alone.state.appended_bytes.load(Ordering::Relaxed);
        alone.append(&live()).await?;
        self.log.forget_before(partition, first).await?;
        let written = alone.state.appended_bytes.swap(0, Ordering::Relaxed) - before;
        alone.state.live_bytes.store(written, Ordering::Relaxed);
        Ok(())
    }

    /// Appends records in batches that the log can hold; answers where each one lies.
    async fn append_all(
        &self,
        partition: i32,
        state: &PartitionState,
        records: &[LogRecord],
    ) -> Result<Vec<i64>, OffsetsLogError> {
        let mut offsets = Vec::with_capacity(records.len());
        for (batch, count) in self.batches(partition, records)? {
            let bytes = batch.len() as u64;
            let first = self.log.append(partition, batch).await?;
            let end = first + count;
            offsets.extend(first..end);
            state.appended_bytes.fetch_add(bytes, Ordering::Relaxed);
            state.end.fetch_max(end, Ordering::Relaxed);
        }
        Ok(offsets)
    }

    fn state(&self, partition: i32) -> Result<&PartitionState, OffsetsLogError> {
        let state = usize::try_from(partition)
            .ok()
            .and_then(|index| self.partitions.get(index));
        state.ok_or_else(|| OffsetsLogError {
            partition,
            reason: "there is no such partition".to_owned(),
        })
    }

    /// Batches of about the same size, each with the number of its records.
    fn batches(&self, partition: i32, records: &[LogRecord]) -> Result<Vec<(Bytes, i64)>, OffsetsLogError> {
        let mut builder = self.builder(partition)?;
        let mut batches = Vec::new();
        for record in records {
            let size = record.size_estimate();
            if !builder.is_empty() && builder.uncompressed_len() + size > BATCH_BYTES {
                batches.push(finish(partition, &mut builder)?);
            }
            self.put(partition, &mut builder, record)?;
        }
        if !builder.is_empty() {
            batches.push(finish(partition, &mut builder)?);
        }
        Ok(batches)
    }

    fn builder(&self, partition: i32) -> Result<BatchBuilder, OffsetsLogError> {
        BatchBuilder::new(Compression::None, 0).map_err(|error| failed(partition, &error))
    }

    fn put(&self, partition: i32, builder: &mut BatchBuilder, record: &LogRecord) -> Result<(), OffsetsLogError> {
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

impl Alone<'_> {
    /// Appends records; durable on return.
    pub(super) async fn append(&self, records: &[LogRecord]) -> Result<(), OffsetsLogError> {
        let appended = self.store.append_all(self.partition, self.state, records);
        appended.await.map(drop)
    }
}

fn finish(partition: i32, builder: &mut BatchBuilder) -> Result<(Bytes, i64), OffsetsLogError> {
    let count = builder.record_count().into();
    let batch = builder.finish().map_err(|error| failed(partition, &error))?;
    Ok((batch, count))
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

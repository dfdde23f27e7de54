//! An offsets log in memory that fails, or waits, when a test says so.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tailrace_shared::record::{Batches, patch_base_offset};
use tokio::sync::Semaphore;

use crate::group::record::LogRecord;
use crate::group::{OffsetsLog, OffsetsLogError};

pub(super) const PARTITIONS: i32 = 2;

/// What survives a restart of the coordinator.
#[derive(Debug)]
pub(super) struct MemoryLog {
    partitions: Mutex<Vec<Partition>>,
    pub(super) broken: AtomicBool,
    /// Appends take a permit each; a test that takes them away makes the log slow.
    pub(super) may_append: Semaphore,
}

#[derive(Debug, Default, Clone)]
struct Partition {
    start: i64,
    end: i64,
    batches: Vec<(i64, Bytes)>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self {
            partitions: Mutex::new(vec![Partition::default(); usize::try_from(PARTITIONS).unwrap()]),
            broken: AtomicBool::new(false),
            may_append: Semaphore::new(1000),
        }
    }
}

impl MemoryLog {
    /// Everything that is kept, in order.
    pub(super) fn records(&self) -> Vec<LogRecord> {
        let partitions = self.partitions.lock();
        let batches = partitions.iter().flat_map(|partition| &partition.batches);
        let views = batches.flat_map(|(_, bytes)| Batches::split(bytes.clone(), usize::MAX));
        let records = views.flat_map(|view| view.unwrap().records(usize::MAX).unwrap());
        records
            .map(|record| record.unwrap())
            .filter_map(|record| LogRecord::decode(record.key.unwrap(), record.value).unwrap())
            .collect()
    }

    fn at<T>(&self, partition: i32, then: impl FnOnce(&mut Partition) -> T) -> T {
        then(&mut self.partitions.lock()[usize::try_from(partition).unwrap()])
    }
}

#[async_trait]
impl OffsetsLog for MemoryLog {
    fn partitions(&self) -> i32 {
        PARTITIONS
    }

    async fn append(&self, partition: i32, batch: Bytes) -> Result<i64, OffsetsLogError> {
        self.may_append.acquire().await.unwrap().forget();
        if self.broken.load(Ordering::SeqCst) {
            let reason = "broken".to_owned();
            return Err(OffsetsLogError { partition, reason });
        }
        let mut batch = batch.to_vec();
        Ok(self.at(partition, |partition| {
            let first = partition.end;
            patch_base_offset(&mut batch, first).unwrap();
            let view = Batches::split(batch.into(), usize::MAX).next().unwrap().unwrap();
            partition.end = view.header.next_offset();
            partition.batches.push((partition.end, view.bytes));
            first
        }))
    }

    fn start(&self, partition: i32) -> i64 {
        self.at(partition, |partition| partition.start)
    }

    async fn read(&self, partition: i32, from: i64) -> Result<Vec<Bytes>, OffsetsLogError> {
        Ok(self.at(partition, |partition| {
            let behind = partition.batches.iter().filter(|(end, _)| *end > from);
            behind.take(2).map(|(_, bytes)| bytes.clone()).collect()
        }))
    }

    async fn forget_before(&self, partition: i32, offset: i64) -> Result<(), OffsetsLogError> {
        self.at(partition, |partition| {
            partition.start = offset;
            partition.batches.retain(|(end, _)| *end > offset);
        });
        Ok(())
    }
}

//! The groups' log, kept as the partitions of the topic `__consumer_offsets`.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tailrace_shared::record::Batches;

use crate::broker::{Broker, Topic};
use crate::catalog::{CreateTopicError, NewTopic};
use crate::group::{OFFSETS_TOPIC, OffsetsLog, OffsetsLogError};
use crate::partition::{Partition, ReadLimits};

/// How many partitions the topic is created with. Only tools see the number.
const PARTITIONS: i32 = 16;
/// How much is read at once while groups are loaded.
const READ_BYTES: usize = 1 << 20;
/// No batch of this topic is larger.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// The topic that holds committed offsets and groups.
pub struct OffsetsTopic {
    topic: Arc<Topic>,
}

impl OffsetsTopic {
    /// Finds the topic, or creates it.
    ///
    /// # Errors
    /// When the catalog cannot be written.
    pub async fn open(broker: &Broker) -> Result<Self, CreateTopicError> {
        if let Some(topic) = broker.topic(OFFSETS_TOPIC) {
            return Ok(Self { topic });
        }
        // The groups keep this topic short by themselves; the policy is what tools expect to see, and keeps retention off.
        let configs = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
        let new = NewTopic {
            name: OFFSETS_TOPIC.to_owned(),
            partitions: PARTITIONS,
            configs,
        };
        Ok(Self {
            topic: broker.create_topic(new).await?,
        })
    }

    fn partition(&self, index: i32) -> Result<&Arc<Partition>, OffsetsLogError> {
        self.topic.partition(index).ok_or_else(|| OffsetsLogError {
            partition: index,
            reason: "there is no such partition".to_owned(),
        })
    }
}

fn failed(partition: i32) -> impl Fn(&dyn std::error::Error) -> OffsetsLogError {
    move |error| OffsetsLogError {
        partition,
        reason: error.to_string(),
    }
}

#[async_trait]
impl OffsetsLog for OffsetsTopic {
    fn partitions(&self) -> i32 {
        self.topic.meta.partitions
    }

    async fn append(&self, partition: i32, batch: Bytes) -> Result<i64, OffsetsLogError> {
        let failed = failed(partition);
        let batches: Result<Vec<_>, _> = Batches::split(batch, BATCH_BYTES_MAX).collect();
        let batches = batches.map_err(|error| failed(&error))?;
        let appended = self.partition(partition)?.append(batches).await;
        appended
            .map(|appended| appended.base_offset)
            .map_err(|error| failed(&error))
    }

    fn start(&self, partition: i32) -> i64 {
        self.topic
            .partition(partition)
            .map_or(0, |partition| partition.log_start())
    }

    async fn read(&self, partition: i32, from: i64) -> Result<Vec<Bytes>, OffsetsLogError> {
        let limits = ReadLimits {
            max_bytes: READ_BYTES,
            at_least_one: true,
        };
        let read = self.partition(partition)?.read(from, limits).await;
        read.map(|read| read.batches).map_err(|error| failed(partition)(&error))
    }

    async fn forget_before(&self, partition: i32, offset: i64) -> Result<(), OffsetsLogError> {
        let advanced = self.partition(partition)?.advance_log_start(offset).await;
        advanced.map(drop).map_err(|error| failed(partition)(&error))
    }
}

//! The seam between the coordinator and `__consumer_offsets`, and which of its partitions a group's records go to.

use async_trait::async_trait;
use bytes::Bytes;

/// The name of the topic that holds committed offsets and groups.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Why the offsets log could not be written or read.
#[derive(Debug, thiserror::Error)]
#[error("{OFFSETS_TOPIC}-{partition}: {reason}")]
pub struct OffsetsLogError {
    /// The partition of the log.
    pub partition: i32,
    /// What stands in the way.
    pub reason: String,
}

/// The partitions of `__consumer_offsets`.
#[async_trait]
pub trait OffsetsLog: Send + Sync + 'static {
    /// How many partitions it has.
    fn partitions(&self) -> i32;

    /// Appends a batch; on return it is on stable storage. Answers the offset of its first record.
    async fn append(&self, partition: i32, batch: Bytes) -> Result<i64, OffsetsLogError>;

    /// The first offset that is kept.
    fn start(&self, partition: i32) -> i64;

    /// Some batches from an offset on; none at the end.
    async fn read(&self, partition: i32, from: i64) -> Result<Vec<Bytes>, OffsetsLogError>;

    /// Drops everything before an offset.
    async fn forget_before(&self, partition: i32, offset: i64) -> Result<(), OffsetsLogError>;
}

/// Kafka's choice: Java's `String.hashCode` of the group's id, without its sign.
pub(super) fn partition_of(group: &str, partitions: i32) -> i32 {
    let hash = group
        .encode_utf16()
        .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    (hash & i32::MAX) % partitions.max(1)
}

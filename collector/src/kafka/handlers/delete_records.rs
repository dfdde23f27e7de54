//! DeleteRecords 0-2 (KIP-107): moves the start of a partition, durably before it is answered. What lies below it is given
//! back to the disk a little later.

use std::sync::Arc;

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use tailrace_shared::kafka::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use uuid::Uuid;

use super::topic_ref::{find_partition, find_topic};
use crate::broker::Topic;
use crate::catalog::acl::Operation;
use crate::group::OFFSETS_TOPIC;
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;

/// Stands for the high watermark.
const EVERYTHING: i64 = -1;

pub(in crate::kafka) async fn delete_records(
    context: &Context,
    call: &Call,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let found = find_topic(context, call, Operation::Delete, &topic.name, Uuid::nil());
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let deleted = delete(&found, &asked).await;
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: asked.partition_index,
                low_watermark: deleted.unwrap_or(-1),
                error_code: deleted.err().unwrap_or(ErrorCode::None).code(),
            });
        }
        topics.push(DeleteRecordsTopicResult {
            name: topic.name,
            partitions,
        });
    }
    DeleteRecordsResponse {
        topics,
        ..Default::default()
    }
}

async fn delete(topic: &Result<Arc<Topic>, ErrorCode>, asked: &DeleteRecordsPartition) -> Result<i64, ErrorCode> {
    let partition = find_partition(topic, asked.partition_index)?;
    if topic.as_ref().is_ok_and(|topic| topic.meta.name == OFFSETS_TOPIC) {
        return Err(ErrorCode::InvalidTopicException);
    }
    let to = match asked.offset {
        EVERYTHING => partition.high_watermark(),
        offset if offset < 0 => return Err(ErrorCode::OffsetOutOfRange),
        offset => offset,
    };
    partition.advance_log_start(to).await.map_err(|error| error.code())
}

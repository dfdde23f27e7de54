//! ListOffsets 0-11: the offset that a time means, exact to the record, and the two ends.

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsTopic, ListOffsetsTopicResponse,
};
use tailrace_shared::kafka::messages::{ListOffsetsRequest, ListOffsetsResponse};
use uuid::Uuid;

use super::topic_ref::{check_leader_epoch, find_partition, find_topic};
use crate::catalog::acl::Operation;
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;
use crate::partition::{FoundOffset, OffsetQuery};

const LEADER_EPOCH_SINCE: i16 = 4;

pub(in crate::kafka) async fn list_offsets(
    context: &Context,
    call: &Call,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            partitions.push(answer(context, call, &topic, asked).await);
        }
        topics.push(ListOffsetsTopicResponse {
            name: topic.name,
            partitions,
        });
    }
    ListOffsetsResponse {
        topics,
        ..Default::default()
    }
}

async fn answer(
    context: &Context,
    call: &Call,
    topic: &ListOffsetsTopic,
    asked: &ListOffsetsPartition,
) -> ListOffsetsPartitionResponse {
    let mut response = ListOffsetsPartitionResponse {
        partition_index: asked.partition_index,
        ..Default::default()
    };
    match find(context, call, topic, asked).await {
        Ok(Some(found)) if call.version == 0 => {
            let most = usize::try_from(asked.max_num_offsets).unwrap_or(0);
            response.old_style_offsets = [found.offset].into_iter().take(most).collect();
        }
        Ok(Some(found)) => {
            response.offset = found.offset;
            response.timestamp = found.timestamp.unwrap_or(-1);
            if call.version >= LEADER_EPOCH_SINCE {
                response.leader_epoch = found.leader_epoch;
            }
        }
        Ok(None) => {}
        Err(code) => response.error_code = code.code(),
    }
    response
}

async fn find(
    context: &Context,
    call: &Call,
    topic: &ListOffsetsTopic,
    asked: &ListOffsetsPartition,
) -> Result<Option<FoundOffset>, ErrorCode> {
    let found = find_topic(context, call, Operation::Describe, &topic.name, Uuid::nil());
    let partition = find_partition(&found, asked.partition_index)?;
    check_leader_epoch(partition, asked.current_leader_epoch)?;
    let query = OffsetQuery::from_wire(asked.timestamp);
    partition.find_offset(query).await.map_err(|error| error.code())
}

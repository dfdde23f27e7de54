//! OffsetForLeaderEpoch 2-4 (KIP-101, KIP-320): where an epoch ends. An epoch that is still to come is (-1, -1), a past
//! one its own end.

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};
use tailrace_shared::kafka::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use uuid::Uuid;

use super::topic_ref::{check_leader_epoch, find_partition, find_topic};
use crate::catalog::acl::Operation;
use crate::kafka::context::{Call, Context};

pub(in crate::kafka) async fn offset_for_leader_epoch(
    context: &Context,
    call: &Call,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let found = find_topic(context, call, Operation::Describe, &topic.topic, Uuid::nil());
        let answer = |asked: &OffsetForLeaderPartition| {
            let end = find_partition(&found, asked.partition).and_then(|partition| {
                check_leader_epoch(partition, asked.current_leader_epoch)?;
                Ok(partition.epoch_end(asked.leader_epoch).unwrap_or((-1, -1)))
            });
            let (leader_epoch, end_offset) = end.unwrap_or((-1, -1));
            EpochEndOffset {
                error_code: end.err().unwrap_or(ErrorCode::None).code(),
                partition: asked.partition,
                leader_epoch,
                end_offset,
            }
        };
        let partitions = topic.partitions.iter().map(answer).collect();
        topics.push(OffsetForLeaderTopicResult {
            topic: topic.topic,
            partitions,
        });
    }
    OffsetForLeaderEpochResponse {
        topics,
        ..Default::default()
    }
}

//! DescribeTopicPartitions 0 (KIP-966): topics by name, their partitions page by page. It creates nothing.

use std::collections::BTreeSet;

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use tailrace_shared::kafka::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use uuid::Uuid;

use super::topic_ref::find_topic;
use crate::broker::Topic;
use crate::catalog::acl::{Operation, Resource};
use crate::group::OFFSETS_TOPIC;
use crate::kafka::context::{Call, Context};

/// As in Kafka (`max.request.partition.size.limit`).
const PAGE_MAX: usize = 2000;

pub(in crate::kafka) async fn describe_topic_partitions(
    context: &Context,
    call: &Call,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let limit = usize::try_from(request.response_partition_limit)
        .unwrap_or(0)
        .clamp(1, PAGE_MAX);
    let from = request.cursor.unwrap_or_default();
    let asked: BTreeSet<ByteString> = if request.topics.is_empty() {
        let seen = |topic: &Topic| context.allows(call, Operation::Describe, Resource::topic(&topic.meta.name));
        let topics = context.broker.topics();
        let seen = topics.iter().filter(|topic| seen(topic));
        seen.map(|topic| topic.meta.name.as_str().into()).collect()
    } else {
        request.topics.into_iter().map(|topic| topic.name).collect()
    };
    let mut answer = DescribeTopicPartitionsResponse::default();
    let mut room = limit;
    for name in asked.into_iter().filter(|name| *name >= from.topic_name) {
        let first = if name == from.topic_name {
            from.partition_index.max(0)
        } else {
            0
        };
        if room == 0 {
            answer.next_cursor = Some(cursor(name, first));
            break;
        }
        let topic = match find_topic(context, call, Operation::Describe, &name, Uuid::nil()) {
            Ok(topic) => topic,
            Err(code) => {
                answer.topics.push(refused(name, code));
                continue;
            }
        };
        let page = describe(context, call, &topic, first, room);
        room -= page.partitions.len();
        let next = page.partitions.last().map_or(first, |last| last.partition_index + 1);
        answer.topics.push(page);
        if next < topic.meta.partitions {
            answer.next_cursor = Some(cursor(name, next));
            break;
        }
    }
    answer
}

fn cursor(topic_name: ByteString, partition_index: i32) -> Cursor {
    Cursor {
        topic_name,
        partition_index,
    }
}

fn refused(name: ByteString, code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code: code.code(),
        name: Some(name),
        ..Default::default()
    }
}

fn describe(
    context: &Context,
    call: &Call,
    topic: &Topic,
    first: i32,
    room: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let node = context.broker.node_id();
    let partitions = topic
        .partitions()
        .iter()
        .filter(|partition| partition.id().partition >= first);
    let partitions = partitions
        .take(room)
        .map(|partition| DescribeTopicPartitionsResponsePartition {
            partition_index: partition.id().partition,
            leader_id: node,
            leader_epoch: partition.leader_epoch(),
            replica_nodes: vec![node],
            isr_nodes: vec![node],
            // The Java client takes null for granted never to come.
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            ..Default::default()
        });
    DescribeTopicPartitionsResponseTopic {
        name: Some(topic.meta.name.as_str().into()),
        topic_id: topic.meta.id,
        is_internal: topic.meta.name == OFFSETS_TOPIC,
        partitions: partitions.collect(),
        topic_authorized_operations: context.allowed_operations(call, Resource::topic(&topic.meta.name)),
        ..Default::default()
    }
}

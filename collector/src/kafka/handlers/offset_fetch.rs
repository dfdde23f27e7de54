//! OffsetFetch 1-10: one group before version 8, several from then on (KIP-709); topics by id from version 10 on. There
//! are no transactions yet, so every offset is stable.

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use tailrace_shared::kafka::messages::{OffsetFetchRequest, OffsetFetchResponse};
use uuid::Uuid;

use super::topic_ref::find_topic;
use crate::catalog::acl::{Operation, Resource};
use crate::group::CommittedOffset;
use crate::kafka::context::{Call, Context};

const SEVERAL_GROUPS_SINCE: i16 = 8;

pub(in crate::kafka) async fn offset_fetch(
    context: &Context,
    call: &Call,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    if call.version >= SEVERAL_GROUPS_SINCE {
        let groups = request
            .groups
            .into_iter()
            .map(|group| fetch_group(context, call, group));
        return OffsetFetchResponse {
            groups: groups.collect(),
            ..Default::default()
        };
    }
    let by_name = |topic: OffsetFetchRequestTopic| OffsetFetchRequestTopics {
        name: topic.name,
        topic_id: Uuid::nil(),
        partition_indexes: topic.partition_indexes,
    };
    let group = OffsetFetchRequestGroup {
        group_id: request.group_id,
        topics: request.topics.map(|topics| topics.into_iter().map(by_name).collect()),
        ..Default::default()
    };
    let found = fetch_group(context, call, group);
    OffsetFetchResponse {
        topics: found.topics.into_iter().map(in_the_old_form).collect(),
        error_code: found.error_code,
        ..Default::default()
    }
}

fn fetch_group(context: &Context, call: &Call, group: OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
    if let Err(code) = context.authorize(call, Operation::Describe, Resource::group(&group.group_id)) {
        return OffsetFetchResponseGroup {
            group_id: group.group_id,
            error_code: code.code(),
            ..Default::default()
        };
    }
    let topics = match group.topics {
        Some(topics) => topics
            .into_iter()
            .map(|topic| fetch_topic(context, call, &group.group_id, topic))
            .collect(),
        None => fetch_all(context, call, &group.group_id),
    };
    OffsetFetchResponseGroup {
        group_id: group.group_id,
        topics,
        error_code: ErrorCode::None.code(),
    }
}

fn fetch_topic(
    context: &Context,
    call: &Call,
    group: &ByteString,
    asked: OffsetFetchRequestTopics,
) -> OffsetFetchResponseTopics {
    // Offsets are kept by name, so a topic that is named needs not exist; one that is asked for by id does.
    let name = if asked.topic_id.is_nil() {
        context
            .authorize(call, Operation::Describe, Resource::topic(&asked.name))
            .map(|()| asked.name.clone())
    } else {
        find_topic(context, call, Operation::Describe, &asked.name, asked.topic_id)
            .map(|topic| topic.meta.name.as_str().into())
    };
    let fetch = |partition_index: i32| match &name {
        Ok(name) => answer(partition_index, context.groups.committed(group, name, partition_index)),
        Err(code) => OffsetFetchResponsePartitions {
            error_code: code.code(),
            ..answer(partition_index, None)
        },
    };
    let partitions = asked.partition_indexes.into_iter().map(fetch).collect();
    OffsetFetchResponseTopics {
        name: asked.name,
        topic_id: asked.topic_id,
        partitions,
    }
}

fn fetch_all(context: &Context, call: &Call, group: &ByteString) -> Vec<OffsetFetchResponseTopics> {
    let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
    for (name, partition, committed) in context.groups.offsets(group) {
        if !context.allows(call, Operation::Describe, Resource::topic(&name)) {
            continue;
        }
        let found = answer(partition, Some(committed));
        match topics.last_mut().filter(|last| last.name == name) {
            Some(last) => last.partitions.push(found),
            None => topics.push(OffsetFetchResponseTopics {
                topic_id: context
                    .broker
                    .topic(&name)
                    .map_or_else(Uuid::nil, |topic| topic.meta.id),
                name,
                partitions: vec![found],
            }),
        }
    }
    topics
}

fn answer(partition_index: i32, committed: Option<CommittedOffset>) -> OffsetFetchResponsePartitions {
    let (committed_offset, committed_leader_epoch, metadata) = match committed {
        Some(committed) => (committed.offset, committed.leader_epoch, committed.metadata),
        None => (-1, -1, ByteString::new()),
    };
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset,
        committed_leader_epoch,
        metadata: Some(metadata),
        error_code: ErrorCode::None.code(),
    }
}

fn in_the_old_form(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partition = |partition: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: partition.error_code,
    };
    OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    }
}

//! OffsetDelete 0 (KIP-496): forgets committed offsets, durably before it is answered. Those of topics that a member is
//! subscribed to stay.

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::offset_delete::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use tailrace_shared::kafka::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::catalog::acl::{Operation, Resource};
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::{ToErrorCode, code_of};

pub(in crate::kafka) async fn offset_delete(
    context: &Context,
    call: &Call,
    request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    match delete(context, call, request).await {
        Ok(topics) => OffsetDeleteResponse {
            topics,
            ..Default::default()
        },
        Err(code) => OffsetDeleteResponse {
            error_code: code.code(),
            ..Default::default()
        },
    }
}

async fn delete(
    context: &Context,
    call: &Call,
    request: OffsetDeleteRequest,
) -> Result<Vec<OffsetDeleteResponseTopic>, ErrorCode> {
    context.authorize(call, Operation::Delete, Resource::group(&request.group_id))?;
    let denied = |topic: &ByteString| context.authorize(call, Operation::Read, Resource::topic(topic)).err();
    let mut wanted = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let denied = denied(&topic.name);
        let partition = |partition_index| OffsetDeleteResponsePartition {
            partition_index,
            error_code: denied.unwrap_or(ErrorCode::None).code(),
        };
        let indexes: Vec<i32> = topic.partitions.iter().map(|one| one.partition_index).collect();
        if denied.is_none() {
            wanted.extend(indexes.iter().map(|index| (topic.name.clone(), *index)));
        }
        topics.push(OffsetDeleteResponseTopic {
            name: topic.name,
            partitions: indexes.into_iter().map(partition).collect(),
        });
    }
    let deleted = context.groups.delete_offsets(&request.group_id, &wanted).await;
    let mut results = deleted.map_err(|error| error.code())?.into_iter();
    let partitions = topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    for partition in partitions.filter(|partition| partition.error_code == ErrorCode::None.code()) {
        partition.error_code = results
            .next()
            .map_or(ErrorCode::UnknownServerError.code(), |result| code_of(&result));
    }
    Ok(topics)
}

//! CreatePartitions 0-3: a topic may grow, never shrink. A file that an agent follows keeps its partition.

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::create_partitions::{CreatePartitionsTopic, CreatePartitionsTopicResult};
use tailrace_shared::kafka::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use uuid::Uuid;

use super::topic_ref::find_topic;
use crate::catalog::GrowTopicError;
use crate::catalog::acl::Operation;
use crate::group::OFFSETS_TOPIC;
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;

pub(in crate::kafka) async fn create_partitions(
    context: &Context,
    call: &Call,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut results = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let grown = grow(context, call, &asked, request.validate_only).await;
        let (error_code, error_message) = match grown {
            Ok(()) => (ErrorCode::None, None),
            Err((code, message)) => (code, message),
        };
        results.push(CreatePartitionsTopicResult {
            name: asked.name,
            error_code: error_code.code(),
            error_message,
        });
    }
    CreatePartitionsResponse {
        results,
        ..Default::default()
    }
}

async fn grow(
    context: &Context,
    call: &Call,
    asked: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), (ErrorCode, Option<ByteString>)> {
    let topic = find_topic(context, call, Operation::Alter, &asked.name, Uuid::nil()).map_err(|code| (code, None))?;
    if topic.meta.name == OFFSETS_TOPIC {
        // A group's records would be looked for in another partition than the one that they are in.
        let message = "the number of partitions of the groups' own topic is fixed".into();
        return Err((ErrorCode::InvalidTopicException, Some(message)));
    }
    check_assignments(context, asked, topic.meta.partitions)?;
    if asked.count <= topic.meta.partitions {
        let (current, requested) = (topic.meta.partitions, asked.count);
        let error = GrowTopicError::InvalidPartitions { current, requested };
        return Err((error.code(), error.message()));
    }
    if validate_only {
        return Ok(());
    }
    let grown = context.broker.grow_topic(topic.meta.id, asked.count).await;
    grown.map(drop).map_err(|error| (error.code(), error.message()))
}

/// Who assigns the new partitions by hand can only assign them to this broker.
fn check_assignments(
    context: &Context,
    asked: &CreatePartitionsTopic,
    current: i32,
) -> Result<(), (ErrorCode, Option<ByteString>)> {
    let Some(assignments) = &asked.assignments else {
        return Ok(());
    };
    let node = context.broker.node_id();
    let as_many = i32::try_from(assignments.len()).is_ok_and(|count| count == asked.count.saturating_sub(current));
    if as_many && assignments.iter().all(|one| one.broker_ids == [node]) {
        return Ok(());
    }
    let message = format!("each new partition must be assigned to broker {node} alone");
    Err((ErrorCode::InvalidReplicaAssignment, Some(message.into())))
}

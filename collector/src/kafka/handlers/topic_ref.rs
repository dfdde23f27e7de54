//! Newer versions name topics by id, older ones by name: this finds the topic either way.

use std::sync::Arc;

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use uuid::Uuid;

use crate::broker::Topic;
use crate::catalog::acl::{Operation, Resource};
use crate::kafka::context::{Call, Context};
use crate::partition::Partition;

/// The topic that the caller wants to do something with, by its id if the request has one. Who may not is not told whether
/// a name exists; an id cannot be guessed.
pub(super) fn find_topic(
    context: &Context,
    call: &Call,
    operation: Operation,
    name: &ByteString,
    id: Uuid,
) -> Result<Arc<Topic>, ErrorCode> {
    if id.is_nil() {
        context.authorize(call, operation, Resource::topic(name))?;
        return context.broker.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition);
    }
    let topic = context.broker.topic_by_id(id).ok_or(ErrorCode::UnknownTopicId)?;
    context.authorize(call, operation, Resource::topic(&topic.meta.name))?;
    Ok(topic)
}

/// The partition of a topic that was found.
pub(super) fn find_partition(
    topic: &Result<Arc<Topic>, ErrorCode>,
    partition: i32,
) -> Result<&Arc<Partition>, ErrorCode> {
    let topic = topic.as_ref().map_err(|error| *error)?;
    topic.partition(partition).ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// A client that knows another leader epoch than the partition's must refresh its metadata, or wait for us (KIP-320).
pub(super) fn check_leader_epoch(partition: &Partition, theirs: i32) -> Result<(), ErrorCode> {
    let ours = partition.leader_epoch();
    match theirs {
        -1 => Ok(()),
        theirs if theirs < ours => Err(ErrorCode::FencedLeaderEpoch),
        theirs if theirs > ours => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}

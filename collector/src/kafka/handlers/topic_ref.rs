//! Newer versions name topics by id, older ones by name: this finds the topic either way.

use std::sync::Arc;

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use uuid::Uuid;

use crate::broker::{Broker, Topic};
use crate::partition::Partition;

/// The topic, by its id if the request has one.
pub(super) fn find_topic(broker: &Broker, name: &ByteString, id: Uuid) -> Result<Arc<Topic>, ErrorCode> {
    if id.is_nil() {
        broker.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition)
    } else {
        broker.topic_by_id(id).ok_or(ErrorCode::UnknownTopicId)
    }
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

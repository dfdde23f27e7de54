//! OffsetCommit 2-10: durable before it is answered. Topics by id from version 10 on. The client's retention time is
//! ignored, as Kafka does since KIP-211.

use std::collections::HashSet;

use bytestring::ByteString;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::offset_commit::{
    OffsetCommitRequestTopic, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use tailrace_shared::kafka::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::topic_ref::{find_partition, find_topic};
use crate::catalog::acl::{Operation, Resource};
use crate::group::{Caller, CommitToWrite, GroupError};
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::code_of;

pub(in crate::kafka) async fn offset_commit(
    context: &Context,
    call: &Call,
    request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let allowed = context.authorize(call, Operation::Read, Resource::group(&request.group_id));
    let caller = Caller {
        member_id: request.member_id,
        instance_id: request.group_instance_id,
        generation: request.generation_id_or_member_epoch,
    };
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut commits = Vec::new();
    for topic in request.topics {
        topics.push(plan(context, call, topic, &mut commits));
    }
    let written = commits.len();
    if let Err(code) = allowed {
        return refuse_all(topics, code);
    }
    let mut results = match context.groups.commit(&request.group_id, &caller, commits).await {
        Ok(results) => results,
        Err(error) => vec![Err(error); written],
    }
    .into_iter();
    for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if partition.error_code == ErrorCode::None.code() {
            let result: Result<(), GroupError> = results.next().unwrap_or(Err(GroupError::NotAvailable));
            partition.error_code = code_of(&result);
        }
    }
    OffsetCommitResponse {
        topics,
        ..Default::default()
    }
}

fn refuse_all(mut topics: Vec<OffsetCommitResponseTopic>, code: ErrorCode) -> OffsetCommitResponse {
    for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.error_code = code.code();
    }
    OffsetCommitResponse {
        topics,
        ..Default::default()
    }
}

/// Sorts out what does not exist; what does is appended to `commits`, in the order of the answer.
fn plan(
    context: &Context,
    call: &Call,
    topic: OffsetCommitRequestTopic,
    commits: &mut Vec<CommitToWrite>,
) -> OffsetCommitResponseTopic {
    let found = find_topic(context, call, Operation::Read, &topic.name, topic.topic_id);
    let name: ByteString = found
        .as_ref()
        .map_or_else(|_| topic.name.clone(), |found| found.meta.name.as_str().into());
    let mut seen = HashSet::new();
    let mut partitions = Vec::with_capacity(topic.partitions.len());
    for asked in topic.partitions {
        let partition_index = asked.partition_index;
        let mut error_code = ErrorCode::None;
        if !seen.insert(partition_index) {
            error_code = ErrorCode::InvalidRequest;
        } else if let Err(code) = find_partition(&found, partition_index) {
            error_code = code;
        } else {
            commits.push(CommitToWrite {
                topic: name.clone(),
                partition: partition_index,
                offset: asked.committed_offset,
                leader_epoch: asked.committed_leader_epoch,
                metadata: asked.committed_metadata.unwrap_or_default(),
            });
        }
        partitions.push(OffsetCommitResponsePartition {
            partition_index,
            error_code: error_code.code(),
        });
    }
    OffsetCommitResponseTopic {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions,
    }
}

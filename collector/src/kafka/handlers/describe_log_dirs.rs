//! DescribeLogDirs 1-5 (KIP-113, KIP-827, KIP-1066): what partitions take, in the WAL and in segments, and what the file system has.

use std::collections::BTreeMap;

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use tailrace_shared::kafka::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};

use crate::catalog::acl::{Operation, Resource};
use crate::kafka::context::{Call, Context};

pub(in crate::kafka) async fn describe_log_dirs(
    context: &Context,
    call: &Call,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    if let Err(code) = context.authorize(call, Operation::Describe, Resource::CLUSTER) {
        // Before version 3 an answer has no place for an error of its own: there it is empty, as in Kafka.
        return DescribeLogDirsResponse {
            error_code: code.code(),
            ..Default::default()
        };
    }
    let wanted = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|asked| (asked.topic, asked.partitions));
        topics.collect::<BTreeMap<_, _>>()
    });
    let is_wanted = |topic: &str, partition: i32| match &wanted {
        None => true,
        Some(wanted) => wanted
            .get(topic)
            .is_some_and(|partitions| partitions.contains(&partition)),
    };
    let mut topics = Vec::new();
    for topic in context.broker.topics() {
        let partitions = topic.partitions().iter().filter(|partition| {
            let index = partition.id().partition;
            is_wanted(&topic.meta.name, index)
        });
        let described = partitions.map(|partition| DescribeLogDirsPartition {
            partition_index: partition.id().partition,
            partition_size: i64::try_from(partition.stats().bytes).unwrap_or(i64::MAX),
            ..Default::default()
        });
        let partitions: Vec<_> = described.collect();
        if !partitions.is_empty() {
            topics.push(DescribeLogDirsTopic {
                name: topic.meta.name.as_str().into(),
                partitions,
            });
        }
    }
    let data_dir = context.broker.data_dir();
    let space = data_dir
        .space()
        .inspect_err(|error| tracing::warn!(%error, "cannot tell the size of the disk"));
    let bytes = |of: fn(&tailrace_shared::disk::Space) -> u64| {
        space
            .as_ref()
            .map_or(-1, |space| i64::try_from(of(space)).unwrap_or(i64::MAX))
    };
    DescribeLogDirsResponse {
        results: vec![DescribeLogDirsResult {
            error_code: ErrorCode::None.code(),
            log_dir: data_dir.path().to_string_lossy().as_ref().into(),
            topics,
            total_bytes: bytes(|space| space.total_bytes),
            usable_bytes: bytes(|space| space.free_bytes),
            is_cordoned: false,
        }],
        ..Default::default()
    }
}

//! Deletes the oldest records of a topic: first a plan, then the change.

use std::collections::BTreeMap;

use anyhow::Result;
use bytestring::ByteString;
use serde::Serialize;
use tailrace_shared::client::{Cluster, Lane, OffsetSpec, list_offsets};
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::DeleteRecordsRequest;
use tailrace_shared::kafka::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};

use crate::admin::check;
use crate::connect::{self, MissingTopic};
use crate::from::From;
use crate::output::{self, Format, Table};

/// What one partition would lose.
#[derive(Debug, Serialize)]
pub(super) struct Deletion {
    partition: i32,
    start_offset: i64,
    /// The first offset that stays.
    next_start_offset: i64,
    records: i64,
}

/// Everything before a place, partition by partition; those that would lose nothing are left out.
pub(super) async fn plan(cluster: &Cluster, topic: &ByteString, before: From) -> Result<Vec<Deletion>> {
    let partitions = connect::topic(cluster, topic, MissingTopic::Fail).await?.partitions;
    let indexes: Vec<i32> = partitions.iter().map(|partition| partition.index).collect();
    let starts = list_offsets(cluster, topic, &indexes, OffsetSpec::Earliest).await?;
    let nexts = before.resolve(cluster, topic, &indexes).await?;
    let deletion = |(partition, next): (i32, i64)| {
        let start = starts.get(&partition).copied().unwrap_or(next);
        Deletion {
            partition,
            start_offset: start,
            next_start_offset: next,
            records: next - start,
        }
    };
    let deletions = nexts.into_iter().map(deletion);
    Ok(deletions.filter(|deletion| deletion.records > 0).collect())
}

pub(super) fn show(deletions: &[Deletion], format: Format) -> Result<()> {
    match format {
        Format::Json => output::print_json(&deletions),
        Format::Table => output::print(&table(deletions)),
    }
}

pub(super) fn table(deletions: &[Deletion]) -> String {
    let mut table = Table::new(&["PARTITION", "START", "NEXT START", "RECORDS"]);
    for it in deletions {
        let numbers = [it.partition.into(), it.start_offset, it.next_start_offset, it.records];
        table.row(numbers.map(|number: i64| number.to_string()));
    }
    table.render(output::has_colour())
}

/// Asks the leader of each partition.
pub(super) async fn delete(cluster: &Cluster, topic: &ByteString, deletions: &[Deletion]) -> Result<()> {
    let metadata = cluster.refresh(std::slice::from_ref(topic)).await?;
    let mut by_leader: BTreeMap<String, Vec<DeleteRecordsPartition>> = BTreeMap::new();
    for it in deletions {
        let leader = metadata.leader_address(topic, it.partition).unwrap_or_default();
        by_leader
            .entry(leader.to_owned())
            .or_default()
            .push(DeleteRecordsPartition {
                partition_index: it.partition,
                offset: it.next_start_offset,
            });
    }
    for (leader, partitions) in by_leader {
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic {
                name: topic.clone(),
                partitions,
            }],
            timeout_ms: 60_000,
        };
        let broker = cluster.connect(&leader, Lane::Prompt).await?;
        let answer = broker.send(&request).await?;
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            let what = format!(
                "delete records of partition {} of topic {topic}",
                partition.partition_index
            );
            check(partition.error_code, None, &what, |code| match code {
                ErrorCode::OffsetOutOfRange => Some("records were deleted meanwhile: try again"),
                _ => None,
            })?;
        }
    }
    Ok(())
}

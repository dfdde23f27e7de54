//! How far a group has read, next to how far there is to read.

use std::collections::BTreeMap;

use anyhow::Result;
use bytestring::ByteString;
use serde::Serialize;
use tailrace_shared::client::{Cluster, Lane, Metadata, OffsetSpec, Offsets, list_offsets};
use tailrace_shared::kafka::messages::offset_fetch::OffsetFetchRequestGroup;
use tailrace_shared::kafka::messages::{OffsetFetchRequest, OffsetFetchResponse};

use crate::admin::check;

/// From this version on, groups are asked for in a list, and answered in one.
const WITH_GROUPS: i16 = 8;

/// One partition that a group has committed an offset of.
#[derive(Debug, Serialize)]
pub(super) struct PartitionLag {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) committed: i64,
    /// None where the partition is gone.
    pub(super) end: Option<i64>,
    pub(super) lag: Option<i64>,
}

/// All partitions that a group has committed an offset of.
pub(super) async fn of_group(cluster: &Cluster, group: &ByteString) -> Result<Vec<PartitionLag>> {
    let metadata = cluster.refresh_all().await?;
    let mut rows = Vec::new();
    for (topic, partitions) in committed(cluster, group, &metadata).await? {
        let ends = ends(cluster, &metadata, &topic, &partitions).await?;
        rows.extend(partitions.into_iter().map(|(partition, committed)| {
            let end = ends.get(&partition).copied();
            PartitionLag {
                topic: topic.to_string(),
                partition,
                committed,
                end,
                lag: end.map(|end| end.saturating_sub(committed).max(0)),
            }
        }));
    }
    Ok(rows)
}

async fn ends(
    cluster: &Cluster,
    metadata: &Metadata,
    topic: &ByteString,
    partitions: &BTreeMap<i32, i64>,
) -> Result<BTreeMap<i32, i64>> {
    let still_there = |index: &i32| metadata.leader_address(topic, *index).is_some();
    let indexes: Vec<i32> = partitions.keys().copied().filter(still_there).collect();
    Ok(list_offsets(cluster, topic, &indexes, OffsetSpec::Latest).await?)
}

async fn committed(cluster: &Cluster, group: &ByteString, metadata: &Metadata) -> Result<Offsets> {
    let coordinator = cluster.coordinator(group, Lane::Prompt).await?;
    let request = if coordinator.version_of::<OffsetFetchRequest>()? >= WITH_GROUPS {
        OffsetFetchRequest {
            groups: vec![OffsetFetchRequestGroup {
                group_id: group.clone(),
                topics: None,
                ..Default::default()
            }],
            ..Default::default()
        }
    } else {
        OffsetFetchRequest {
            group_id: group.clone(),
            topics: None,
            ..Default::default()
        }
    };
    let answer = coordinator.send(&request).await?;
    flatten(answer, group, metadata)
}

/// Brings both forms of the answer into one. Newer coordinators name topics by their ids only.
fn flatten(answer: OffsetFetchResponse, group: &str, metadata: &Metadata) -> Result<Offsets> {
    let what = format!("read the offsets of group {group}");
    check(answer.error_code, None, &what, |_| None)?;
    let mut flat = Vec::new();
    for topic in answer.topics {
        let partitions = topic.partitions.into_iter();
        flat.extend(partitions.map(|it| {
            (
                topic.name.clone(),
                it.partition_index,
                it.committed_offset,
                it.error_code,
            )
        }));
    }
    for answered in answer.groups {
        check(answered.error_code, None, &what, |_| None)?;
        for topic in answered.topics {
            let by_id = || metadata.topics.iter().find(|(_, known)| known.id == topic.topic_id);
            let name = match topic.name.is_empty() {
                false => topic.name.clone(),
                true => by_id().map_or_else(|| topic.topic_id.to_string().into(), |(name, _)| name.clone()),
            };
            let partitions = topic.partitions.into_iter();
            flat.extend(partitions.map(|it| (name.clone(), it.partition_index, it.committed_offset, it.error_code)));
        }
    }
    let mut offsets = Offsets::new();
    for (topic, partition, offset, code) in flat {
        check(code, None, &what, |_| None)?;
        if offset >= 0 {
            offsets.entry(topic).or_default().insert(partition, offset);
        }
    }
    Ok(offsets)
}

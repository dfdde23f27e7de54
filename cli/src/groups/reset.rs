//! Moves a group to other offsets, and forgets offsets: first a plan, then the change.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use bytestring::ByteString;
use serde::Serialize;
use tailrace_shared::client::{ClientError, Cluster, Lane, Offsets, commit_offsets};
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::OffsetDeleteRequest;
use tailrace_shared::kafka::messages::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};

use super::lag::{self, PartitionLag};
use crate::admin::check;
use crate::connect::{self, MissingTopic};
use crate::from::From;
use crate::output::{self, Format, Table};

/// What becomes of the offset of one partition.
#[derive(Debug, Serialize)]
pub(super) struct Move {
    topic: String,
    partition: i32,
    /// None where nothing was committed.
    committed: Option<i64>,
    /// None where it is forgotten.
    next: Option<i64>,
}

/// Where a reset would bring the group: in these topics, or in all that it has committed an offset of.
pub(super) async fn plan_reset(
    cluster: &Cluster,
    group: &ByteString,
    topics: Vec<String>,
    to: From,
) -> Result<Vec<Move>> {
    let committed = lag::of_group(cluster, group).await?;
    let mut moves = Vec::new();
    for topic in topics_or_all(topics, &committed, group)? {
        let partitions = connect::topic(cluster, &topic, MissingTopic::Fail).await?.partitions;
        let indexes: Vec<i32> = partitions.iter().map(|partition| partition.index).collect();
        for (partition, next) in to.resolve(cluster, &topic, &indexes).await? {
            moves.push(Move {
                committed: committed_in(&committed, &topic, partition),
                topic: topic.to_string(),
                partition,
                next: Some(next),
            });
        }
    }
    Ok(moves)
}

/// Which offsets of these topics the group would forget.
pub(super) async fn plan_forget(cluster: &Cluster, group: &ByteString, topics: &[String]) -> Result<Vec<Move>> {
    let committed = lag::of_group(cluster, group).await?.into_iter();
    let moves = committed.filter(|it| topics.contains(&it.topic)).map(|it| Move {
        topic: it.topic,
        partition: it.partition,
        committed: Some(it.committed),
        next: None,
    });
    Ok(moves.collect())
}

fn topics_or_all(topics: Vec<String>, committed: &[PartitionLag], group: &str) -> Result<Vec<ByteString>> {
    if !topics.is_empty() {
        return Ok(topics.into_iter().map(ByteString::from).collect());
    }
    let mut all: Vec<ByteString> = committed.iter().map(|it| it.topic.as_str().into()).collect();
    all.dedup();
    if all.is_empty() {
        bail!("group {group} has committed nothing: name the topics with --topic");
    }
    Ok(all)
}

fn committed_in(committed: &[PartitionLag], topic: &str, partition: i32) -> Option<i64> {
    let mut committed = committed.iter();
    let found = committed.find(|it| it.topic == topic && it.partition == partition)?;
    Some(found.committed)
}

pub(super) fn show(moves: &[Move], format: Format) -> Result<()> {
    match format {
        Format::Json => output::print_json(&moves),
        Format::Table => output::print(&table(moves)),
    }
}

pub(super) fn table(moves: &[Move]) -> String {
    let mut table = Table::new(&["TOPIC", "PARTITION", "COMMITTED", "NEXT"]);
    let text = |offset: Option<i64>| offset.map_or_else(|| "-".to_owned(), |offset| offset.to_string());
    for it in moves {
        table.row([
            it.topic.clone(),
            it.partition.to_string(),
            text(it.committed),
            text(it.next),
        ]);
    }
    table.render(output::has_colour())
}

/// Commits what the plan says.
pub(super) async fn reset(cluster: &Cluster, group: &ByteString, moves: &[Move]) -> Result<()> {
    let mut offsets = Offsets::new();
    for it in moves {
        if let Some(next) = it.next {
            offsets
                .entry(it.topic.as_str().into())
                .or_default()
                .insert(it.partition, next);
        }
    }
    match commit_offsets(cluster, group, &offsets).await {
        Err(error) if has_members(&error) => {
            bail!("group {group} has members, which would go on as they are: stop its consumers first")
        }
        other => Ok(other?),
    }
}

fn has_members(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration | ErrorCode::RebalanceInProgress)
    )
}

/// Forgets what the plan says.
pub(super) async fn forget(cluster: &Cluster, group: &ByteString, moves: &[Move]) -> Result<()> {
    let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
    for it in moves {
        let partition_index = it.partition;
        topics
            .entry(&it.topic)
            .or_default()
            .push(OffsetDeleteRequestPartition { partition_index });
    }
    let topics = topics.into_iter().map(|(name, partitions)| OffsetDeleteRequestTopic {
        name: name.into(),
        partitions,
    });
    let request = OffsetDeleteRequest {
        group_id: group.clone(),
        topics: topics.collect(),
    };
    let coordinator = cluster.coordinator(group, Lane::Prompt).await?;
    let answer = coordinator.send(&request).await?;
    let what = format!("forget offsets of group {group}");
    let remedy = |code| match code {
        ErrorCode::GroupSubscribedToTopic | ErrorCode::NonEmptyGroup => Some("stop its consumers first"),
        _ => None,
    };
    check(answer.error_code, None, &what, remedy)?;
    let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.try_for_each(|partition| check(partition.error_code, None, &what, remedy))
}

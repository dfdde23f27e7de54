//! Committing how far the group came, and asking for it, in the forms that old and new coordinators understand.

use std::collections::BTreeMap;

use bytestring::ByteString;

use super::GroupMember;
use super::assignment::Assignment;
use crate::client::cluster::{Cluster, check, refusal};
use crate::client::{ClientError, Lane};
use crate::kafka::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::kafka::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use crate::kafka::messages::{OffsetCommitRequest, OffsetFetchRequest, OffsetFetchResponse};

/// From this version on, several groups can be asked for at a time.
const OFFSET_FETCH_WITH_GROUPS: i16 = 8;

/// Of a caller that is no member.
const NO_GENERATION: i32 = -1;

/// Offsets by topic and partition: the next one to read.
pub type Offsets = BTreeMap<ByteString, BTreeMap<i32, i64>>;

/// Commits the next offsets to read of a group that has no members.
pub async fn commit_offsets(cluster: &Cluster, group: &ByteString, offsets: &Offsets) -> Result<(), ClientError> {
    let request = OffsetCommitRequest {
        group_id: group.clone(),
        generation_id_or_member_epoch: NO_GENERATION,
        topics: to_commit(cluster, offsets).await?,
        ..Default::default()
    };
    let coordinator = cluster.coordinator(group, Lane::Prompt).await?;
    let answer = coordinator.send(&request).await?;
    let mut answered = answer.topics.into_iter().flat_map(|topic| topic.partitions);
    answered.try_for_each(|partition| {
        check(partition.error_code, |code| {
            refusal::<OffsetCommitRequest>(coordinator.address(), format!("group {group}"), code, None)
        })
    })
}

async fn to_commit(cluster: &Cluster, offsets: &Offsets) -> Result<Vec<OffsetCommitRequestTopic>, ClientError> {
    let mut topics = Vec::new();
    for (name, partitions) in offsets {
        let commits = partitions.iter().map(|(index, offset)| OffsetCommitRequestPartition {
            partition_index: *index,
            committed_offset: *offset,
            ..Default::default()
        });
        topics.push(OffsetCommitRequestTopic {
            name: name.clone(),
            topic_id: cluster.topic(name).await?.id,
            partitions: commits.collect(),
        });
    }
    Ok(topics)
}

impl GroupMember {
    /// Commits the next offsets to read.
    pub async fn commit(&mut self, offsets: &Offsets) -> Result<(), ClientError> {
        let committed = self.try_commit(offsets).await;
        self.forget_coordinator_on(&committed);
        committed
    }

    /// What the group committed of these partitions; those without a commit are left out.
    pub async fn committed(&mut self, partitions: &Assignment) -> Result<Offsets, ClientError> {
        let fetched = self.try_committed(partitions).await;
        self.forget_coordinator_on(&fetched);
        fetched
    }

    async fn try_commit(&mut self, offsets: &Offsets) -> Result<(), ClientError> {
        let topics = to_commit(&self.cluster, offsets).await?;
        let request = OffsetCommitRequest {
            group_id: self.options.group.clone(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.member_id.clone(),
            topics,
            ..Default::default()
        };
        let coordinator = self.coordinator(Lane::Prompt).await?;
        let answer = coordinator.send(&request).await?;
        let mut answered = answer.topics.into_iter().flat_map(|topic| topic.partitions);
        answered.try_for_each(|partition| {
            check(partition.error_code, |code| {
                self.refused::<OffsetCommitRequest>(&coordinator, code)
            })
        })
    }

    async fn try_committed(&mut self, partitions: &Assignment) -> Result<Offsets, ClientError> {
        let coordinator = self.coordinator(Lane::Prompt).await?;
        let with_groups = coordinator.version_of::<OffsetFetchRequest>()? >= OFFSET_FETCH_WITH_GROUPS;
        let mut request = OffsetFetchRequest {
            topics: Some(Vec::new()),
            ..Default::default()
        };
        if with_groups {
            let mut topics = Vec::new();
            for (name, indexes) in partitions {
                let topic_id = self.cluster.topic(name).await?.id;
                let (name, partition_indexes) = (name.clone(), indexes.clone());
                topics.push(OffsetFetchRequestTopics {
                    name,
                    topic_id,
                    partition_indexes,
                });
            }
            let group_id = self.options.group.clone();
            request.groups = vec![OffsetFetchRequestGroup {
                group_id,
                topics: Some(topics),
                ..Default::default()
            }];
        } else {
            let topic = |(name, indexes): (&ByteString, &Vec<i32>)| OffsetFetchRequestTopic {
                name: name.clone(),
                partition_indexes: indexes.clone(),
            };
            request.group_id = self.options.group.clone();
            request.topics = Some(partitions.iter().map(topic).collect());
        }
        let answer = coordinator.send(&request).await?;

        let mut offsets = Offsets::new();
        for (topic, partition, offset, code) in self.flatten(answer, partitions) {
            check(code, |code| self.refused::<OffsetFetchRequest>(&coordinator, code))?;
            if offset >= 0 {
                offsets.entry(topic).or_default().insert(partition, offset);
            }
        }
        Ok(offsets)
    }

    /// Topic, partition, offset and error code of each committed offset, in whichever form they came. The code of the
    /// whole group comes first, with an offset that says nothing.
    fn flatten(&self, answer: OffsetFetchResponse, asked: &Assignment) -> Vec<(ByteString, i32, i64, i16)> {
        let mut flat = vec![(ByteString::new(), -1, -1, answer.error_code)];
        for topic in answer.topics {
            let partitions = topic.partitions.into_iter();
            flat.extend(partitions.map(|p| (topic.name.clone(), p.partition_index, p.committed_offset, p.error_code)));
        }
        let metadata = self.cluster.metadata();
        let has_id = |name: &ByteString, id| metadata.topics.get(name).is_some_and(|topic| topic.id == id);
        for group in answer.groups {
            flat.push((ByteString::new(), -1, -1, group.error_code));
            for topic in group.topics {
                let named = asked
                    .keys()
                    .find(|name| **name == topic.name || has_id(name, topic.topic_id));
                let Some(name) = named else { continue };
                let partitions = topic.partitions.into_iter();
                flat.extend(partitions.map(|p| (name.clone(), p.partition_index, p.committed_offset, p.error_code)));
            }
        }
        flat
    }
}

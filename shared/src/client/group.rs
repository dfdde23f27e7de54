//! A member of a consumer group in the classic protocol: it joins, learns what to read, says that it lives, commits how
//! far it came, and leaves. When it happens to be the group's leader, it deals the partitions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use super::assignment::{Assignment, assign_ranges};
use super::cluster::{check, refusal};
use super::{Backoff, ClientError, Cluster, Connection, Lane};
use crate::kafka::messages::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition,
};
use crate::kafka::messages::join_group::{JoinGroupRequestProtocol, JoinGroupResponseMember};
use crate::kafka::messages::leave_group::MemberIdentity;
use crate::kafka::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::kafka::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use crate::kafka::messages::sync_group::SyncGroupRequestAssignment;
use crate::kafka::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest,
    OffsetFetchResponse, SyncGroupRequest,
};
use crate::kafka::{ApiKey, ErrorCode, Request};

const PROTOCOL_TYPE: ByteString = ByteString::from_static("consumer");
const RANGE: ByteString = ByteString::from_static("range");
/// Of the bytes that members exchange; later versions only add what the range assignor does not need.
const CONSUMER_PROTOCOL_VERSION: i16 = 0;
/// From these versions on, several groups can be asked for and several members can leave at a time.
const OFFSET_FETCH_WITH_GROUPS: i16 = 8;
const LEAVE_GROUP_WITH_MEMBERS: i16 = 3;
/// Time on top of a rebalance for the coordinator to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Offsets by topic and partition: the next one to read.
pub type Offsets = BTreeMap<ByteString, BTreeMap<i32, i64>>;

/// Which group to join, and how.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// Name of the group.
    pub group: ByteString,
    /// What to read.
    pub topics: Vec<ByteString>,
    /// Without a heartbeat for so long, the member is taken for dead. Send one three times as often.
    pub session_timeout: Duration,
    /// How long the others wait for a member to come back to a rebalance.
    pub rebalance_timeout: Duration,
}

/// What a heartbeat brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Go on.
    Stable,
    /// The assignment is void, or about to be: commit, then join again.
    Rejoin,
}

/// One member of one group.
#[derive(Debug)]
pub struct GroupMember {
    cluster: Cluster,
    options: GroupOptions,
    /// Empty until the coordinator gave one.
    member_id: ByteString,
    generation: i32,
    /// Address of the coordinator, as far as we know.
    coordinator: Option<String>,
}

impl GroupMember {
    /// A member that has not joined yet.
    #[must_use]
    pub fn new(cluster: Cluster, options: GroupOptions) -> Self {
        Self {
            cluster,
            options,
            member_id: ByteString::new(),
            generation: -1,
            coordinator: None,
        }
    }

    /// Joins, or joins again, and waits until all members have. What may pass is retried.
    pub async fn join(&mut self) -> Result<Assignment, ClientError> {
        let mut backoff = Backoff::default();
        loop {
            let error = match self.try_join().await {
                Ok(assignment) => return Ok(assignment),
                Err(error) => error,
            };
            self.coordinator = None;
            if !error.is_retriable() && !self.must_rejoin(&error) {
                return Err(error);
            }
            tracing::debug!(group = %self.options.group, %error, "joining again");
            backoff.wait().await;
        }
    }

    /// Tells the coordinator that this member lives.
    pub async fn heartbeat(&mut self) -> Result<Health, ClientError> {
        let request = HeartbeatRequest {
            group_id: self.options.group.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            ..Default::default()
        };
        let beat = async {
            let coordinator = self.coordinator(Lane::Prompt).await?;
            let answer = coordinator.send(&request).await?;
            check(answer.error_code, |code| {
                self.refused::<HeartbeatRequest>(&coordinator, code)
            })
        };
        match beat.await {
            Ok(()) => Ok(Health::Stable),
            Err(error) if self.must_rejoin(&error) => Ok(Health::Rejoin),
            Err(error) if error.is_retriable() => {
                // If it lasts, the session runs out and the coordinator will say so.
                tracing::warn!(group = %self.options.group, %error, "heartbeat failed");
                self.coordinator = None;
                Ok(Health::Stable)
            }
            Err(error) => Err(error),
        }
    }

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

    /// Leaves, so that the others need not wait for the session to run out.
    pub async fn leave(mut self) -> Result<(), ClientError> {
        if self.member_id.is_empty() {
            return Ok(());
        }
        let coordinator = self.coordinator(Lane::Prompt).await?;
        let mut request = LeaveGroupRequest {
            group_id: self.options.group.clone(),
            ..Default::default()
        };
        if coordinator.version_of::<LeaveGroupRequest>()? < LEAVE_GROUP_WITH_MEMBERS {
            request.member_id = self.member_id.clone();
        } else {
            request.members = vec![MemberIdentity {
                member_id: self.member_id.clone(),
                ..Default::default()
            }];
        }
        let answer = coordinator.send(&request).await?;
        check(answer.error_code, |code| {
            self.refused::<LeaveGroupRequest>(&coordinator, code)
        })
    }

    async fn try_join(&mut self) -> Result<Assignment, ClientError> {
        // The answers to both requests wait for the other members.
        let coordinator = self.coordinator(Lane::LongPoll).await?;
        let joined = self.enter(&coordinator).await?;
        self.member_id = joined.member_id;
        self.generation = joined.generation_id;
        let leads = joined.leader == self.member_id && !joined.skip_assignment;
        let assignments = if leads {
            self.deal(joined.members, &coordinator).await?
        } else {
            Vec::new()
        };
        let request = SyncGroupRequest {
            group_id: self.options.group.clone(),
            generation_id: self.generation,
            member_id: self.member_id.clone(),
            protocol_type: Some(PROTOCOL_TYPE),
            protocol_name: Some(RANGE),
            assignments,
            ..Default::default()
        };
        let answer = coordinator.send_within(&request, self.rebalance_timeout()).await?;
        check(answer.error_code, |code| {
            self.refused::<SyncGroupRequest>(&coordinator, code)
        })?;
        read_assignment(answer.assignment, &coordinator)
    }

    /// Joins, a second time where the coordinator first gives out an id and wants to see it.
    async fn enter(&mut self, coordinator: &Connection) -> Result<JoinGroupResponse, ClientError> {
        let subscription = ConsumerProtocolSubscription {
            topics: self.options.topics.clone(),
            ..Default::default()
        };
        let metadata = subscription
            .encode(CONSUMER_PROTOCOL_VERSION)
            .map_err(|reason| ClientError::Encode {
                address: coordinator.address().to_owned(),
                api: ApiKey::JoinGroup,
                version: CONSUMER_PROTOCOL_VERSION,
                reason,
            })?;
        let mut request = JoinGroupRequest {
            group_id: self.options.group.clone(),
            session_timeout_ms: millis(self.options.session_timeout),
            rebalance_timeout_ms: millis(self.options.rebalance_timeout),
            member_id: self.member_id.clone(),
            protocol_type: PROTOCOL_TYPE,
            protocols: vec![JoinGroupRequestProtocol { name: RANGE, metadata }],
            ..Default::default()
        };
        let mut answer = coordinator.send_within(&request, self.rebalance_timeout()).await?;
        if ErrorCode::from_code(answer.error_code) == ErrorCode::MemberIdRequired {
            request.member_id = answer.member_id;
            answer = coordinator.send_within(&request, self.rebalance_timeout()).await?;
        }
        check(answer.error_code, |code| {
            self.refused::<JoinGroupRequest>(coordinator, code)
        })?;
        Ok(answer)
    }

    /// As the leader of the group: who reads what.
    async fn deal(
        &self,
        members: Vec<JoinGroupResponseMember>,
        coordinator: &Connection,
    ) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
        let mut wanted = BTreeMap::new();
        for member in members {
            let subscription = ConsumerProtocolSubscription::decode(member.metadata)
                .map_err(|reason| unreadable(coordinator, ApiKey::JoinGroup, reason))?;
            wanted.insert(member.member_id, subscription.topics);
        }
        let mut counts = BTreeMap::new();
        for topic in wanted.values().flatten() {
            if !counts.contains_key(topic) {
                let partitions = self.cluster.topic(topic).await?.partitions.len();
                counts.insert(topic.clone(), i32::try_from(partitions).unwrap_or(i32::MAX));
            }
        }
        let encode = |(member_id, assignment): (ByteString, Assignment)| {
            let partitions = assignment
                .into_iter()
                .map(|(topic, partitions)| TopicPartition { topic, partitions });
            let assignment = ConsumerProtocolAssignment {
                assigned_partitions: partitions.collect(),
                user_data: None,
            };
            let encoded = assignment
                .encode(CONSUMER_PROTOCOL_VERSION)
                .map_err(|reason| ClientError::Encode {
                    address: coordinator.address().to_owned(),
                    api: ApiKey::SyncGroup,
                    version: CONSUMER_PROTOCOL_VERSION,
                    reason,
                });
            Ok(SyncGroupRequestAssignment {
                member_id,
                assignment: encoded?,
            })
        };
        assign_ranges(&wanted, &counts).into_iter().map(encode).collect()
    }

    async fn try_commit(&mut self, offsets: &Offsets) -> Result<(), ClientError> {
        let mut topics = Vec::new();
        for (name, partitions) in offsets {
            let commits = partitions.iter().map(|(index, offset)| OffsetCommitRequestPartition {
                partition_index: *index,
                committed_offset: *offset,
                ..Default::default()
            });
            let topic_id = self.cluster.topic(name).await?.id;
            topics.push(OffsetCommitRequestTopic {
                name: name.clone(),
                topic_id,
                partitions: commits.collect(),
            });
        }
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

    async fn coordinator(&mut self, lane: Lane) -> Result<Arc<Connection>, ClientError> {
        if let Some(address) = &self.coordinator {
            return self.cluster.connect(address, lane).await;
        }
        let coordinator = self.cluster.coordinator(&self.options.group, lane).await?;
        self.coordinator = Some(coordinator.address().to_owned());
        Ok(coordinator)
    }

    fn forget_coordinator_on<T>(&mut self, outcome: &Result<T, ClientError>) {
        if outcome.as_ref().is_err_and(ClientError::is_retriable) {
            self.coordinator = None;
        }
    }

    /// Whether the coordinator told this member to come back; forgets what it must not come back with.
    fn must_rejoin(&mut self, error: &ClientError) -> bool {
        match error.code() {
            Some(ErrorCode::UnknownMemberId) => self.member_id = ByteString::new(),
            Some(ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration) => {}
            _ => return false,
        }
        true
    }

    fn rebalance_timeout(&self) -> Duration {
        self.options.rebalance_timeout + ANSWER_TIMEOUT
    }

    fn refused<R: Request>(&self, coordinator: &Connection, code: ErrorCode) -> ClientError {
        refusal::<R>(
            coordinator.address(),
            format!("group {}", self.options.group),
            code,
            None,
        )
    }
}

/// No bytes at all are no partitions.
fn read_assignment(bytes: Bytes, coordinator: &Connection) -> Result<Assignment, ClientError> {
    if bytes.is_empty() {
        return Ok(Assignment::new());
    }
    let assignment = ConsumerProtocolAssignment::decode(bytes)
        .map_err(|reason| unreadable(coordinator, ApiKey::SyncGroup, reason))?;
    let topics = assignment.assigned_partitions.into_iter();
    Ok(topics.map(|assigned| (assigned.topic, assigned.partitions)).collect())
}

fn unreadable(coordinator: &Connection, api: ApiKey, reason: crate::kafka::DecodeError) -> ClientError {
    let address = coordinator.address().to_owned();
    ClientError::Decode {
        address,
        api,
        version: CONSUMER_PROTOCOL_VERSION,
        reason,
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

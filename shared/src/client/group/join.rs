//! Joining: the coordinator gathers the members, one of which deals the partitions to all.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use super::GroupMember;
use super::assignment::{Assignment, assign_ranges};
use crate::client::cluster::check;
use crate::client::{Backoff, ClientError, Connection, Lane};
use crate::kafka::messages::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, TopicPartition,
};
use crate::kafka::messages::join_group::{JoinGroupRequestProtocol, JoinGroupResponseMember};
use crate::kafka::messages::sync_group::SyncGroupRequestAssignment;
use crate::kafka::messages::{JoinGroupRequest, JoinGroupResponse, SyncGroupRequest};
use crate::kafka::{ApiKey, DecodeError, EncodeError, ErrorCode};

const PROTOCOL_TYPE: ByteString = ByteString::from_static("consumer");
const RANGE: ByteString = ByteString::from_static("range");
/// Of the bytes that members exchange; later versions only add what the range assignor does not need.
const CONSUMER_PROTOCOL_VERSION: i16 = 0;
/// Time on top of a rebalance for the coordinator to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

impl GroupMember {
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
            tracing::warn!(group = %self.options.group, %error, "cannot join the group, trying again");
            backoff.wait().await;
        }
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
                .map_err(|reason| unwritable(coordinator, ApiKey::SyncGroup, reason));
            Ok(SyncGroupRequestAssignment {
                member_id,
                assignment: encoded?,
            })
        };
        assign_ranges(&wanted, &counts).into_iter().map(encode).collect()
    }

    fn rebalance_timeout(&self) -> Duration {
        self.options.rebalance_timeout + ANSWER_TIMEOUT
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

fn unreadable(coordinator: &Connection, api: ApiKey, reason: DecodeError) -> ClientError {
    let address = coordinator.address().to_owned();
    ClientError::Decode {
        address,
        api,
        version: CONSUMER_PROTOCOL_VERSION,
        reason,
    }
}

fn unwritable(coordinator: &Connection, api: ApiKey, reason: EncodeError) -> ClientError {
    let address = coordinator.address().to_owned();
    ClientError::Encode {
        address,
        api,
        version: CONSUMER_PROTOCOL_VERSION,
        reason,
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

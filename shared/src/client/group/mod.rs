//! A member of a consumer group in the classic protocol: it joins, learns what to read, says that it lives, commits how
//! far it came, and leaves. When it happens to be the group's leader, it deals the partitions.

mod assignment;
mod join;
mod offsets;

use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;

pub use self::assignment::Assignment;
pub use self::offsets::{Offsets, commit_offsets};
use super::cluster::{check, refusal};
use super::{ClientError, Cluster, Connection, Lane};
use crate::kafka::messages::leave_group::MemberIdentity;
use crate::kafka::messages::{HeartbeatRequest, LeaveGroupRequest};
use crate::kafka::{ErrorCode, Request};

/// From this version on, several members can leave at a time.
const LEAVE_GROUP_WITH_MEMBERS: i16 = 3;

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

    fn refused<R: Request>(&self, coordinator: &Connection, code: ErrorCode) -> ClientError {
        refusal::<R>(
            coordinator.address(),
            format!("group {}", self.options.group),
            code,
            None,
        )
    }
}

//! A group's state, and the rebalance that every event may set off or complete.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use super::commit::CommittedOffset;
use super::effect::{Effect, GroupError, JoinReply, JoinedMember, Snapshot};
use super::member::Member;
use super::record::{GroupMetadata, MemberMetadata};

/// Where a group stands in its rebalance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No members; committed offsets may remain.
    Empty,
    /// Waits for members to (re)join.
    PreparingRebalance,
    /// Waits for the leader's assignment.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
}

impl Phase {
    /// The name that ListGroups and DescribeGroups use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// What bounds every group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOptions {
    /// Kafka's `group.min.session.timeout.ms`.
    pub session_timeout_min: Duration,
    /// Kafka's `group.max.session.timeout.ms`.
    pub session_timeout_max: Duration,
    /// Kafka's `group.initial.rebalance.delay.ms`: how long an empty group waits for more members.
    pub initial_rebalance_delay: Duration,
    /// How many groups there may be at once.
    pub groups_max: usize,
    /// Kafka's `group.max.size`.
    pub members_max: usize,
    /// What the names and the metadata of all members of a group may take. With the assignments, this is what one record
    /// of the offsets log must hold.
    pub members_bytes_max: usize,
    /// What the assignments of all members of a group may take.
    pub assignments_bytes_max: usize,
    /// Kafka's `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: usize,
    /// Kafka's `offsets.retention.minutes`: how long an empty group keeps its offsets.
    pub offsets_retention: Duration,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self {
            session_timeout_min: Duration::from_secs(6),
            session_timeout_max: Duration::from_secs(30 * 60),
            initial_rebalance_delay: Duration::from_millis(500),
            groups_max: 100_000,
            members_max: 10_000,
            members_bytes_max: 2 * 1024 * 1024,
            assignments_bytes_max: 1024 * 1024,
            offset_metadata_bytes_max: 4096,
            offsets_retention: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// When the join phase ends even if somebody is missing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct JoinDeadline {
    pub(super) at: Duration,
    /// The first rebalance of an empty group waits until no more members come, but not beyond this.
    pub(super) initial_until: Option<Duration>,
}

/// A consumer group.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub(super) id: ByteString,
    pub(super) options: GroupOptions,
    pub(super) phase: Phase,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<ByteString>,
    pub(super) protocol: Option<ByteString>,
    pub(super) leader: Option<ByteString>,
    pub(super) members: BTreeMap<ByteString, Member>,
    /// Member ids handed out by MEMBER_ID_REQUIRED that have not joined yet, and when they lapse.
    pub(super) pending: BTreeMap<ByteString, Duration>,
    /// Static members by `group.instance.id`.
    pub(super) instances: BTreeMap<ByteString, ByteString>,
    pub(super) join_deadline: Option<JoinDeadline>,
    pub(super) sync_deadline: Option<Duration>,
    /// The leader's assignment while it is being written, and with which revision.
    pub(super) persisting: Option<(u64, BTreeMap<ByteString, Bytes>)>,
    /// Of the newest snapshot that was taken.
    pub(super) revision: u64,
    /// What the log holds of the group, and its revision.
    pub(super) logged: Option<Snapshot>,
    pub(super) offsets: BTreeMap<(ByteString, i32), CommittedOffset>,
    /// Wall-clock time of the last change of phase: offsets of an empty group expire from here.
    pub(super) changed_at_ms: i64,
}

impl Group {
    /// A group nobody has joined yet.
    #[must_use]
    pub fn new(id: ByteString, options: GroupOptions, now_ms: i64) -> Self {
        Self {
            id,
            options,
            phase: Phase::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            pending: BTreeMap::new(),
            instances: BTreeMap::new(),
            join_deadline: None,
            sync_deadline: None,
            persisting: None,
            revision: 0,
            logged: None,
            offsets: BTreeMap::new(),
            changed_at_ms: now_ms,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &ByteString {
        &self.id
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Its generation.
    #[must_use]
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// The protocol type, once somebody joined.
    #[must_use]
    pub fn protocol_type(&self) -> Option<&ByteString> {
        self.protocol_type.as_ref()
    }

    /// The protocol in force.
    #[must_use]
    pub fn protocol(&self) -> Option<&ByteString> {
        self.protocol.as_ref()
    }

    /// Its members.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// The next moment at which [`Group::tick`] may have something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let sessions = self.members.values().filter_map(Member::session_ends);
        let pending = self.pending.values().copied();
        let join = self.join_deadline.map(|deadline| deadline.at);
        sessions.chain(pending).chain(join).chain(self.sync_deadline).min()
    }

    /// Starts a rebalance, or lets the one that is under way go on.
    pub(super) fn prepare_rebalance(&mut self, now: Duration) -> Vec<Effect> {
        if self.phase == Phase::PreparingRebalance {
            return self.complete_join_if_all_are_here(now);
        }
        let mut effects = Vec::new();
        if self.phase == Phase::CompletingRebalance {
            effects = self.fail_syncs(&GroupError::RebalanceInProgress, now);
        }
        self.sync_deadline = None;
        self.persisting = None;
        let longest = now + self.longest_rebalance_timeout();
        self.join_deadline = Some(if self.phase == Phase::Empty {
            let at = (now + self.options.initial_rebalance_delay).min(longest);
            JoinDeadline {
                at,
                initial_until: Some(longest),
            }
        } else {
            JoinDeadline {
                at: longest,
                initial_until: None,
            }
        });
        self.phase = Phase::PreparingRebalance;
        effects.extend(self.complete_join_if_all_are_here(now));
        effects
    }

    /// Ends the join phase early once nobody is missing; the first rebalance of an empty group always waits its delay.
    pub(super) fn complete_join_if_all_are_here(&mut self, now: Duration) -> Vec<Effect> {
        let initial = self
            .join_deadline
            .is_some_and(|deadline| deadline.initial_until.is_some());
        let all_joined = self.members.values().all(|member| member.awaiting_join.is_some());
        if self.phase == Phase::PreparingRebalance && !initial && all_joined && self.pending.is_empty() {
            self.complete_join(now)
        } else {
            Vec::new()
        }
    }

    /// Ends the join phase: whoever did not join is out (static members stay until their session ends).
    pub(super) fn complete_join(&mut self, now: Duration) -> Vec<Effect> {
        self.members
            .retain(|_, member| member.awaiting_join.is_some() || member.instance_id.is_some());
        let joined = self
            .members
            .values()
            .find(|member| member.awaiting_join.is_some())
            .map(|member| member.id.clone());
        if joined.is_none() && !self.members.is_empty() {
            let at = now + self.longest_rebalance_timeout();
            self.join_deadline = Some(JoinDeadline {
                at,
                initial_until: None,
            });
            return Vec::new();
        }
        let leader_is_here = self
            .leader
            .as_ref()
            .and_then(|leader| self.members.get(leader))
            .is_some_and(|leader| leader.awaiting_join.is_some());
        if !leader_is_here {
            self.leader = joined;
        }
        self.join_deadline = None;
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        if self.members.is_empty() {
            self.become_empty();
            return vec![self.persist()];
        }
        self.protocol = self.vote();
        self.phase = Phase::CompletingRebalance;
        self.sync_deadline = Some(now + self.longest_rebalance_timeout());
        self.answer_joins(now)
    }

    fn answer_joins(&mut self, now: Duration) -> Vec<Effect> {
        let ids: Vec<ByteString> = self.members.keys().cloned().collect();
        let mut effects = Vec::with_capacity(ids.len());
        for id in ids {
            let reply = self.join_reply(&id);
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = Bytes::new();
                member.synced = false;
                if let Some(reply_to) = member.awaiting_join.take() {
                    member.last_heard = now;
                    effects.push(Effect::Join(reply_to, Ok(reply)));
                }
            }
        }
        effects
    }

    /// What a member of the current generation is told: everybody's metadata if it leads.
    pub(super) fn join_reply(&self, member_id: &ByteString) -> JoinReply {
        let members = if self.leader.as_ref() == Some(member_id) {
            self.joined_members()
        } else {
            Vec::new()
        };
        JoinReply {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: member_id.clone(),
            skip_assignment: false,
            members,
        }
    }

    pub(super) fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.clone().unwrap_or_default();
        let joined = |member: &Member| JoinedMember {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(&protocol),
        };
        self.members.values().map(joined).collect()
    }

    /// Each member votes for the first protocol on its list that everybody knows.
    pub(super) fn vote(&self) -> Option<ByteString> {
        let everybody_knows = |name: &ByteString| self.members.values().all(|member| member.knows(name));
        let mut votes: BTreeMap<&ByteString, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| everybody_knows(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .map(|(name, _)| name.clone())
    }

    pub(super) fn fail_syncs(&mut self, error: &GroupError, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
            if let Some(reply_to) = member.awaiting_sync.take() {
                member.last_heard = now;
                effects.push(Effect::Sync(reply_to, Err(error.clone())));
            }
        }
        effects
    }

    pub(super) fn longest_rebalance_timeout(&self) -> Duration {
        self.members
            .values()
            .map(|member| member.rebalance_timeout)
            .max()
            .unwrap_or_default()
    }

    pub(super) fn become_empty(&mut self) {
        self.phase = Phase::Empty;
        self.protocol = None;
        self.leader = None;
        self.sync_deadline = None;
        self.persisting = None;
    }

    /// Asks for the group to be written as it is now.
    pub(super) fn persist(&mut self) -> Effect {
        self.revision += 1;
        Effect::Persist(Snapshot {
            revision: self.revision,
            metadata: self.metadata(),
        })
    }

    /// True if the log holds a newer snapshot than this.
    #[must_use]
    pub fn is_superseded(&self, revision: u64) -> bool {
        self.logged.as_ref().is_some_and(|logged| logged.revision >= revision)
    }

    /// What `__consumer_offsets` is to keep of the group, with the assignment that is being written if there is one.
    fn metadata(&self) -> GroupMetadata {
        let protocol = self.protocol.clone().unwrap_or_default();
        let assignment = |member: &Member| match &self.persisting {
            Some((_, assignments)) => assignments.get(&member.id).cloned().unwrap_or_default(),
            None => member.assignment.clone(),
        };
        let members = self.members.values().map(|member| MemberMetadata {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout,
            session_timeout: member.session_timeout,
            subscription: member.metadata(&protocol),
            assignment: assignment(member),
        });
        GroupMetadata {
            group: self.id.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            changed_at_ms: self.changed_at_ms,
            members: members.collect(),
        }
    }
}

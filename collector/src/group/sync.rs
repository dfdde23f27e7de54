//! SyncGroup: the leader's assignment goes to the log first, then to everybody.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use super::effect::{Effect, GroupError, ReplyTo, Snapshot, SyncReply};
use super::session::Caller;
use super::state::{Group, Phase};

/// A SyncGroup.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncRequest {
    /// Who asks.
    pub caller: Caller,
    /// Must be the group's, if given (version 5 and up).
    pub protocol_type: Option<ByteString>,
    /// Must be the group's, if given.
    pub protocol: Option<ByteString>,
    /// What the leader gives each member; empty from all others.
    pub assignments: Vec<(ByteString, Bytes)>,
}

impl Group {
    /// A member asks for its assignment; the leader brings everybody's.
    pub fn sync(&mut self, request: SyncRequest, reply_to: ReplyTo, now: Duration) -> Vec<Effect> {
        match self.try_sync(request, reply_to, now) {
            Ok(effects) => effects,
            Err(error) => vec![Effect::Sync(reply_to, Err(error))],
        }
    }

    fn try_sync(&mut self, request: SyncRequest, reply_to: ReplyTo, now: Duration) -> Result<Vec<Effect>, GroupError> {
        self.check_caller(&request.caller)?;
        let differs = |theirs: &Option<ByteString>, ours: &Option<ByteString>| theirs.is_some() && theirs != ours;
        if differs(&request.protocol_type, &self.protocol_type) || differs(&request.protocol, &self.protocol) {
            return Err(GroupError::InconsistentProtocol);
        }
        let id = &request.caller.member_id;
        match self.phase {
            Phase::Empty => Err(GroupError::UnknownMember),
            Phase::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            Phase::Stable => {
                let reply = self.sync_reply(id);
                let member = self.members.get_mut(id).ok_or(GroupError::UnknownMember)?;
                member.last_heard = now;
                member.synced = true;
                Ok(vec![Effect::Sync(reply_to, Ok(reply))])
            }
            Phase::CompletingRebalance => {
                let assigns = self.leader.as_ref() == Some(id) && self.persisting.is_none();
                let bytes: usize = request.assignments.iter().map(|(_, bytes)| bytes.len()).sum();
                if assigns && bytes > self.options.assignments_bytes_max {
                    return Err(GroupError::TooLarge);
                }
                let member = self.members.get_mut(id).ok_or(GroupError::UnknownMember)?;
                member.synced = true;
                let superseded = member.awaiting_sync.replace(reply_to);
                let mut effects: Vec<Effect> = superseded
                    .map(|waiting| Effect::Sync(waiting, Err(GroupError::RebalanceInProgress)))
                    .into_iter()
                    .collect();
                if assigns {
                    // Whoever is not a member gets nothing, and takes no room.
                    let assignments = request.assignments.into_iter();
                    let known: BTreeMap<_, _> = assignments.filter(|(id, _)| self.members.contains_key(id)).collect();
                    self.persisting = Some((self.revision + 1, known));
                    effects.push(self.persist());
                }
                Ok(effects)
            }
        }
    }

    /// The log has taken (or refused) a snapshot.
    pub fn persisted(&mut self, snapshot: Snapshot, written: bool, now: Duration) -> Vec<Effect> {
        let revision = snapshot.revision;
        if written && !self.is_superseded(revision) {
            self.changed_at_ms = snapshot.metadata.changed_at_ms;
            self.logged = Some(snapshot);
        }
        // A rebalance that began meanwhile has dropped the assignment.
        let Some((_, assignments)) = self.persisting.take_if(|(awaited, _)| *awaited == revision) else {
            return Vec::new();
        };
        if !written {
            let mut effects = self.fail_syncs(&GroupError::NotAvailable, now);
            effects.extend(self.prepare_rebalance(now));
            return effects;
        }
        for (id, member) in &mut self.members {
            member.assignment = assignments.get(id).cloned().unwrap_or_default();
        }
        self.phase = Phase::Stable;
        let waiting: Vec<ByteString> = self.members.keys().cloned().collect();
        waiting
            .into_iter()
            .filter_map(|id| self.answer_sync(&id, now))
            .collect()
    }

    fn answer_sync(&mut self, id: &ByteString, now: Duration) -> Option<Effect> {
        let reply = self.sync_reply(id);
        let member = self.members.get_mut(id)?;
        let reply_to = member.awaiting_sync.take()?;
        member.last_heard = now;
        Some(Effect::Sync(reply_to, Ok(reply)))
    }

    fn sync_reply(&self, id: &ByteString) -> SyncReply {
        SyncReply {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment: self
                .members
                .get(id)
                .map(|member| member.assignment.clone())
                .unwrap_or_default(),
        }
    }
}

//! SyncGroup: the leader's assignment goes to the log first, then to everybody.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use super::effect::{Effect, GroupError, ReplyTo, SyncReply};
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
                self.heard_from(id, now);
                Ok(vec![Effect::Sync(reply_to, Ok(reply))])
            }
            Phase::CompletingRebalance => {
                let member = self.members.get_mut(id).ok_or(GroupError::UnknownMember)?;
                let superseded = member.awaiting_sync.replace(reply_to);
                let mut effects: Vec<Effect> = superseded
                    .map(|waiting| Effect::Sync(waiting, Err(GroupError::RebalanceInProgress)))
                    .into_iter()
                    .collect();
                if self.leader.as_ref() == Some(id) && self.persisting.is_none() {
                    self.persisting = Some(request.assignments.into_iter().collect::<BTreeMap<_, _>>());
                    effects.push(Effect::Persist(self.metadata()));
                }
                Ok(effects)
            }
        }
    }

    /// The log has taken (or refused) the group as it was in `generation`.
    pub fn persisted(&mut self, generation: i32, written: bool, now: Duration) -> Vec<Effect> {
        if self.phase != Phase::CompletingRebalance || self.generation != generation {
            return Vec::new();
        }
        let Some(assignments) = self.persisting.take() else {
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
        self.sync_deadline = None;
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

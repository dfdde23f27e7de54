//! JoinGroup: who may become a member, and when that sets off a rebalance.

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use super::effect::{Effect, GroupError, JoinReply, NAME_BYTES_MAX, ReplyTo};
use super::member::{Member, protocols_size};
use super::state::{Group, Phase};

/// A JoinGroup, with the id that the coordinator would give a new member.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinRequest {
    /// Empty for a new member.
    pub member_id: ByteString,
    /// Used if the member is new.
    pub new_member_id: ByteString,
    /// `group.instance.id`.
    pub instance_id: Option<ByteString>,
    /// The request's `client.id`.
    pub client_id: ByteString,
    /// The address it came from.
    pub client_host: ByteString,
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// How long a rebalance waits for it.
    pub rebalance_timeout: Duration,
    /// `consumer`, `connect`, ….
    pub protocol_type: ByteString,
    /// Most preferred first.
    pub protocols: Vec<(ByteString, Bytes)>,
    /// The client knows MEMBER_ID_REQUIRED (version 4 and up, KIP-394).
    pub knows_member_id_required: bool,
    /// The client knows `skip_assignment` (version 9 and up, KIP-814).
    pub knows_skip_assignment: bool,
}

impl Group {
    /// A member joins or rejoins. The answer may come at once or when the join phase ends.
    pub fn join(&mut self, request: JoinRequest, reply_to: ReplyTo, now: Duration) -> Vec<Effect> {
        match self.try_join(request, reply_to, now) {
            Ok(effects) => effects,
            Err(error) => vec![Effect::Join(reply_to, Err(error))],
        }
    }

    fn try_join(&mut self, request: JoinRequest, reply_to: ReplyTo, now: Duration) -> Result<Vec<Effect>, GroupError> {
        let allowed = self.options.session_timeout_min..=self.options.session_timeout_max;
        if !allowed.contains(&request.session_timeout) {
            return Err(GroupError::InvalidSessionTimeout);
        }
        let known_instance = request
            .instance_id
            .as_ref()
            .and_then(|instance| self.instances.get(instance))
            .cloned();
        if !self.has_protocol_in_common(&request, known_instance.as_ref()) {
            return Err(GroupError::InconsistentProtocol);
        }
        if !self.has_room_for(&request, known_instance.as_ref()) {
            return Err(GroupError::TooLarge);
        }
        if request.member_id.is_empty() {
            return match known_instance {
                Some(old) => Ok(self.replace_static_member(&old, request, reply_to, now)),
                None => self.join_as_new(request, reply_to, now),
            };
        }
        if request.instance_id.is_some() {
            match known_instance {
                None => return Err(GroupError::UnknownMember),
                Some(current) if current != request.member_id => return Err(GroupError::FencedInstance),
                Some(_) => {}
            }
        }
        if self.pending.remove(&request.member_id).is_some() {
            let id = request.member_id.clone();
            return Ok(self.add_member(id, request, reply_to, now));
        }
        if !self.members.contains_key(&request.member_id) {
            return Err(GroupError::UnknownMember);
        }
        Ok(self.rejoin(request, reply_to, now))
    }

    /// Names are bounded, and so is what all members together take: the leader is sent all of it, and the log must hold
    /// it in one record.
    fn has_room_for(&self, request: &JoinRequest, instance: Option<&ByteString>) -> bool {
        let names = request.instance_id.iter().chain([&request.protocol_type]);
        let names = names.chain(request.protocols.iter().map(|(name, _)| name));
        let others = self.others(request, instance).map(Member::size_in_bytes).sum::<usize>();
        let own = protocols_size(&request.protocols) + request.client_id.len() + 2 * NAME_BYTES_MAX;
        names.into_iter().all(|name| name.len() <= NAME_BYTES_MAX) && others + own <= self.options.members_bytes_max
    }

    /// All but the member that comes back, by its id or by its instance's: it brings its metadata with it.
    fn others<'a>(
        &'a self,
        request: &'a JoinRequest,
        instance: Option<&'a ByteString>,
    ) -> impl Iterator<Item = &'a Member> {
        let is_other = move |member: &&Member| member.id != request.member_id && Some(&member.id) != instance;
        self.members.values().filter(is_other)
    }

    fn has_protocol_in_common(&self, request: &JoinRequest, instance: Option<&ByteString>) -> bool {
        if self.members.is_empty() {
            return !request.protocol_type.is_empty() && !request.protocols.is_empty();
        }
        let in_common = |name: &ByteString| self.others(request, instance).all(|member| member.knows(name));
        let same_type = self
            .protocol_type
            .as_ref()
            .is_none_or(|own| *own == request.protocol_type);
        same_type && request.protocols.iter().any(|(name, _)| in_common(name))
    }

    fn join_as_new(
        &mut self,
        request: JoinRequest,
        reply_to: ReplyTo,
        now: Duration,
    ) -> Result<Vec<Effect>, GroupError> {
        if self.members.len() + self.pending.len() >= self.options.members_max {
            return Err(GroupError::GroupFull);
        }
        let id = request.new_member_id.clone();
        if request.knows_member_id_required && request.instance_id.is_none() {
            self.pending.insert(id.clone(), now + request.session_timeout);
            return Err(GroupError::MemberIdRequired(id));
        }
        Ok(self.add_member(id, request, reply_to, now))
    }

    fn add_member(&mut self, id: ByteString, request: JoinRequest, reply_to: ReplyTo, now: Duration) -> Vec<Effect> {
        if let Some(instance) = &request.instance_id {
            self.instances.insert(instance.clone(), id.clone());
        }
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
            self.leader = Some(id.clone());
        }
        let member = Member {
            id: id.clone(),
            instance_id: request.instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            rebalance_timeout: request.rebalance_timeout,
            session_timeout: request.session_timeout,
            protocols: request.protocols,
            assignment: Bytes::new(),
            awaiting_join: Some(reply_to),
            awaiting_sync: None,
            last_heard: now,
            synced: false,
        };
        self.members.insert(id, member);
        self.wait_longer_for_more_members(now);
        self.prepare_rebalance(now)
    }

    /// Each newcomer of the first rebalance gives others another delay to come.
    fn wait_longer_for_more_members(&mut self, now: Duration) {
        let delay = self.options.initial_rebalance_delay;
        if let Some(deadline) = &mut self.join_deadline
            && let Some(until) = deadline.initial_until
        {
            deadline.at = (now + delay).min(until);
        }
    }

    fn rejoin(&mut self, request: JoinRequest, reply_to: ReplyTo, now: Duration) -> Vec<Effect> {
        let id = request.member_id.clone();
        let leads = self.leader.as_ref() == Some(&id);
        let Some(member) = self.members.get_mut(&id) else {
            return Vec::new();
        };
        let unchanged = member.protocols == request.protocols;
        let answer_now = match self.phase {
            Phase::CompletingRebalance => unchanged,
            Phase::Stable => unchanged && !leads,
            Phase::PreparingRebalance | Phase::Empty => false,
        };
        member.last_heard = now;
        member.protocols = request.protocols;
        member.session_timeout = request.session_timeout;
        member.rebalance_timeout = request.rebalance_timeout;
        if answer_now {
            return vec![Effect::Join(reply_to, Ok(self.join_reply(&id)))];
        }
        let superseded = member.awaiting_join.replace(reply_to);
        let mut effects: Vec<Effect> = superseded.into_iter().map(rejoined_elsewhere).collect();
        effects.extend(self.prepare_rebalance(now));
        effects
    }

    /// A static member came back under its instance id without its member id: it takes the old one's place, and while
    /// the group is stable and its choice of protocol stays, nobody else notices (KIP-345).
    fn replace_static_member(
        &mut self,
        old: &ByteString,
        request: JoinRequest,
        reply_to: ReplyTo,
        now: Duration,
    ) -> Vec<Effect> {
        let Some(mut member) = self.members.remove(old) else {
            return Vec::new();
        };
        let id = request.new_member_id.clone();
        let mut effects = Vec::new();
        effects.extend(
            member
                .awaiting_join
                .take()
                .map(|waiting| Effect::Join(waiting, Err(GroupError::FencedInstance))),
        );
        effects.extend(
            member
                .awaiting_sync
                .take()
                .map(|waiting| Effect::Sync(waiting, Err(GroupError::FencedInstance))),
        );
        member.id = id.clone();
        member.client_id = request.client_id;
        member.client_host = request.client_host;
        member.protocols = request.protocols;
        member.session_timeout = request.session_timeout;
        member.rebalance_timeout = request.rebalance_timeout;
        member.last_heard = now;
        self.instances
            .extend(member.instance_id.clone().map(|instance| (instance, id.clone())));
        self.members.insert(id.clone(), member);
        let led = self.leader.as_ref() == Some(old);
        if led {
            self.leader = Some(id.clone());
        }
        if self.phase == Phase::Stable && self.vote() == self.protocol {
            let reply = self.static_join_reply(old, &id, led, request.knows_skip_assignment);
            effects.push(self.persist());
            effects.push(Effect::Join(reply_to, Ok(reply)));
            return effects;
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.awaiting_join = Some(reply_to);
        }
        effects.extend(self.prepare_rebalance(now));
        effects
    }

    /// The leader that came back must not assign anew: newer clients are told so, older ones that somebody else leads.
    fn static_join_reply(&self, old: &ByteString, id: &ByteString, led: bool, knows_skip: bool) -> JoinReply {
        let mut reply = self.join_reply(id);
        if led && knows_skip {
            reply.skip_assignment = true;
        } else if led {
            reply.leader = old.clone();
            reply.members.clear();
        }
        reply
    }
}

fn rejoined_elsewhere(waiting: ReplyTo) -> Effect {
    Effect::Join(waiting, Err(GroupError::RebalanceInProgress))
}

//! A consumer group as one would explain it to somebody: a list of members, one rule for when a rebalance begins, one for
//! when it ends, and who is answered what. It knows nothing of the real one but the words of its answers.

use std::collections::BTreeMap;

use super::*;

/// What somebody was answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Join(Result<JoinReply, GroupError>),
    Sync(Result<SyncReply, GroupError>),
}

#[derive(Debug, Clone)]
struct Person {
    instance: Option<ByteString>,
    protocols: Vec<(ByteString, Bytes)>,
    session: Duration,
    patience: Duration,
    heard: Duration,
    joining: Option<ReplyTo>,
    syncing: Option<ReplyTo>,
    has_asked: bool,
    assignment: Bytes,
}

impl Person {
    fn waits(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }
}

/// The leader's plan, on its way to the log.
#[derive(Debug, Clone)]
struct PlanOnItsWay {
    write: u64,
    assignments: BTreeMap<ByteString, Bytes>,
}

/// The reference.
#[derive(Debug)]
pub(super) struct Reference {
    options: GroupOptions,
    pub(super) now: Duration,
    pub(super) phase: Phase,
    pub(super) generation: i32,
    pub(super) leader: Option<ByteString>,
    pub(super) protocol: Option<ByteString>,
    members: BTreeMap<ByteString, Person>,
    /// Ids that were handed out, and until when they hold.
    promised: BTreeMap<ByteString, Duration>,
    join_by: Duration,
    /// The first members of an empty group wait for more, until this at most.
    waits_for_more_until: Option<Duration>,
    sync_by: Option<Duration>,
    plan: Option<PlanOnItsWay>,
    /// How often the log was asked to take the group.
    pub(super) writes: u64,
    /// Answers since they were last taken.
    pub(super) answers: BTreeMap<ReplyTo, Answer>,
}

impl Reference {
    pub(super) fn new(options: GroupOptions, now: Duration) -> Self {
        Self {
            options,
            now,
            phase: Phase::Empty,
            generation: 0,
            leader: None,
            protocol: None,
            members: BTreeMap::new(),
            promised: BTreeMap::new(),
            join_by: now,
            waits_for_more_until: None,
            sync_by: None,
            plan: None,
            writes: 0,
            answers: BTreeMap::new(),
        }
    }

    /// Each member with its instance and its assignment.
    pub(super) fn members(&self) -> Vec<(ByteString, Option<ByteString>, Bytes)> {
        let one = |(id, who): (&ByteString, &Person)| (id.clone(), who.instance.clone(), who.assignment.clone());
        self.members.iter().map(one).collect()
    }

    /// When the next thing happens by itself.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        let silent = self
            .members
            .values()
            .filter(|who| !who.waits())
            .map(|who| who.heard + who.session);
        let joins = (self.phase == Phase::PreparingRebalance).then_some(self.join_by);
        silent
            .chain(self.promised.values().copied())
            .chain(joins)
            .chain(self.sync_by)
            .min()
    }

    pub(super) fn join(&mut self, request: &JoinRequest, reply_to: ReplyTo) {
        if let Err(error) = self.try_join(request, reply_to) {
            self.answers.insert(reply_to, Answer::Join(Err(error)));
        }
        self.end_joining_if_all_are_here();
    }

    fn try_join(&mut self, request: &JoinRequest, reply_to: ReplyTo) -> Result<(), GroupError> {
        let holder = request.instance_id.as_ref().and_then(|instance| self.holder(instance));
        let comes_back = |id: &ByteString| *id == request.member_id || Some(id) == holder.as_ref();
        let knows = |who: &Person, name: &ByteString| who.protocols.iter().any(|(known, _)| known == name);
        let others: Vec<_> = self
            .members
            .iter()
            .filter(|(id, _)| !comes_back(id))
            .map(|(_, who)| who)
            .collect();
        let fits = request
            .protocols
            .iter()
            .any(|(name, _)| others.iter().all(|who| knows(who, name)));
        if !fits {
            return Err(GroupError::InconsistentProtocol);
        }
        let newcomer = |joining| Person {
            instance: request.instance_id.clone(),
            protocols: request.protocols.clone(),
            session: request.session_timeout,
            patience: request.rebalance_timeout,
            heard: self.now,
            joining: Some(joining),
            syncing: None,
            has_asked: false,
            assignment: Bytes::new(),
        };
        match (request.member_id.is_empty(), holder) {
            (true, Some(holder)) => self.take_over(&holder, request, reply_to),
            (true, None) if self.members.len() + self.promised.len() >= self.options.members_max => {
                return Err(GroupError::GroupFull);
            }
            (true, None) if request.knows_member_id_required && request.instance_id.is_none() => {
                let id = request.new_member_id.clone();
                self.promised.insert(id.clone(), self.now + request.session_timeout);
                return Err(GroupError::MemberIdRequired(id));
            }
            (true, None) => {
                let newcomer = newcomer(reply_to);
                self.admit(request.new_member_id.clone(), newcomer);
            }
            (false, None) if request.instance_id.is_some() => return Err(GroupError::UnknownMember),
            (false, Some(holder)) if holder != request.member_id => return Err(GroupError::FencedInstance),
            (false, _) if self.promised.contains_key(&request.member_id) => {
                let newcomer = newcomer(reply_to);
                self.promised.remove(&request.member_id);
                self.admit(request.member_id.clone(), newcomer);
            }
            (false, _) => self.come_back(request, reply_to)?,
        }
        Ok(())
    }

    fn holder(&self, instance: &ByteString) -> Option<ByteString> {
        let holds = |(_, who): &(&ByteString, &Person)| who.instance.as_ref() == Some(instance);
        self.members.iter().find(holds).map(|(id, _)| id.clone())
    }

    fn admit(&mut self, id: ByteString, newcomer: Person) {
        if self.members.is_empty() {
            self.leader = Some(id.clone());
        }
        self.members.insert(id, newcomer);
        if let (Phase::PreparingRebalance, Some(until)) = (self.phase, self.waits_for_more_until) {
            self.join_by = until.min(self.now + self.options.initial_rebalance_delay);
        }
        self.begin_rebalance();
    }

    fn come_back(&mut self, request: &JoinRequest, reply_to: ReplyTo) -> Result<(), GroupError> {
        let leads = self.leader.as_ref() == Some(&request.member_id);
        let who = self
            .members
            .get_mut(&request.member_id)
            .ok_or(GroupError::UnknownMember)?;
        let brings_news = who.protocols != request.protocols;
        who.protocols.clone_from(&request.protocols);
        (who.session, who.patience, who.heard) = (request.session_timeout, request.rebalance_timeout, self.now);
        let nothing_to_do = match self.phase {
            Phase::CompletingRebalance => !brings_news,
            Phase::Stable => !brings_news && !leads,
            _ => false,
        };
        if nothing_to_do {
            let reply = self.reply(&request.member_id);
            self.answers.insert(reply_to, Answer::Join(Ok(reply)));
            return Ok(());
        }
        if let Some(earlier) = who.joining.replace(reply_to) {
            self.answers
                .insert(earlier, Answer::Join(Err(GroupError::RebalanceInProgress)));
        }
        self.begin_rebalance();
        Ok(())
    }

    /// KIP-345: who comes back under its instance takes the place of who it was.
    fn take_over(&mut self, old: &ByteString, request: &JoinRequest, reply_to: ReplyTo) {
        let mut who = self.members.remove(old).unwrap();
        let id = request.new_member_id.clone();
        if let Some(waiting) = who.joining.take() {
            self.answers
                .insert(waiting, Answer::Join(Err(GroupError::FencedInstance)));
        }
        if let Some(waiting) = who.syncing.take() {
            self.answers
                .insert(waiting, Answer::Sync(Err(GroupError::FencedInstance)));
        }
        who.protocols.clone_from(&request.protocols);
        (who.session, who.patience, who.heard) = (request.session_timeout, request.rebalance_timeout, self.now);
        self.members.insert(id.clone(), who);
        let led = self.leader.as_ref() == Some(old);
        if led {
            self.leader = Some(id.clone());
        }
        if self.phase == Phase::Stable && self.choice() == self.protocol {
            self.writes += 1;
            let mut reply = self.reply(&id);
            if led && request.knows_skip_assignment {
                reply.skip_assignment = true;
            } else if led {
                reply.leader = old.clone();
                reply.members.clear();
            }
            self.answers.insert(reply_to, Answer::Join(Ok(reply)));
        } else {
            self.members.get_mut(&id).unwrap().joining = Some(reply_to);
            self.begin_rebalance();
        }
    }

    fn begin_rebalance(&mut self) {
        if self.phase == Phase::PreparingRebalance {
            return;
        }
        self.fail_syncs(&GroupError::RebalanceInProgress);
        let longest = self.now + self.longest_patience();
        self.waits_for_more_until = (self.phase == Phase::Empty).then_some(longest);
        self.join_by = match self.phase {
            Phase::Empty => longest.min(self.now + self.options.initial_rebalance_delay),
            _ => longest,
        };
        self.phase = Phase::PreparingRebalance;
        self.sync_by = None;
        self.plan = None;
    }

    fn longest_patience(&self) -> Duration {
        self.members.values().map(|who| who.patience).max().unwrap_or_default()
    }

    fn fail_syncs(&mut self, error: &GroupError) {
        for who in self.members.values_mut() {
            if let Some(waiting) = who.syncing.take() {
                who.heard = self.now;
                self.answers.insert(waiting, Answer::Sync(Err(error.clone())));
            }
            if self.phase == Phase::CompletingRebalance {
                who.assignment = Bytes::new();
            }
        }
    }

    fn end_joining_if_all_are_here(&mut self) {
        let all = self.members.values().all(|who| who.joining.is_some());
        if self.phase == Phase::PreparingRebalance
            && self.waits_for_more_until.is_none()
            && all
            && self.promised.is_empty()
        {
            self.end_joining();
        }
    }

    /// Who has not joined is out, but for static members: they have their session.
    fn end_joining(&mut self) {
        self.members
            .retain(|_, who| who.joining.is_some() || who.instance.is_some());
        let here: Vec<_> = self
            .members
            .iter()
            .filter(|(_, who)| who.joining.is_some())
            .map(|(id, _)| id.clone())
            .collect();
        self.waits_for_more_until = None;
        if here.is_empty() && !self.members.is_empty() {
            self.join_by = self.now + self.longest_patience();
            return;
        }
        if !self.leader.as_ref().is_some_and(|leader| here.contains(leader)) {
            self.leader = here.first().cloned();
        }
        self.generation += 1;
        if self.members.is_empty() {
            self.phase = Phase::Empty;
            self.protocol = None;
            self.writes += 1;
            return;
        }
        self.phase = Phase::CompletingRebalance;
        self.protocol = self.choice();
        self.sync_by = Some(self.now + self.longest_patience());
        for who in self.members.values_mut() {
            who.has_asked = false;
            who.assignment = Bytes::new();
        }
        for id in here {
            let reply = self.reply(&id);
            let who = self.members.get_mut(&id).unwrap();
            who.heard = self.now;
            self.answers
                .insert(who.joining.take().unwrap(), Answer::Join(Ok(reply)));
        }
    }

    /// Of the protocols that everybody knows, the one that most prefer; of several the last by name.
    fn choice(&self) -> Option<ByteString> {
        let knows = |who: &Person, name: &ByteString| who.protocols.iter().any(|(known, _)| known == name);
        let common = |name: &ByteString| self.members.values().all(|who| knows(who, name));
        let preferred = |who: &Person| who.protocols.iter().map(|(name, _)| name.clone()).find(common);
        let votes: Vec<_> = self.members.values().filter_map(preferred).collect();
        let count = |name: &ByteString| votes.iter().filter(|vote| *vote == name).count();
        votes.iter().max_by_key(|name| (count(name), (*name).clone())).cloned()
    }

    fn reply(&self, id: &ByteString) -> JoinReply {
        let chosen = self.protocol.clone().unwrap_or_default();
        let metadata = |who: &Person| {
            let known = who.protocols.iter().find(|(name, _)| *name == chosen);
            known.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
        };
        let everybody = self.members.iter().map(|(member_id, who)| JoinedMember {
            member_id: member_id.clone(),
            instance_id: who.instance.clone(),
            metadata: metadata(who),
        });
        JoinReply {
            generation: self.generation,
            protocol_type: Some("consumer".into()),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: id.clone(),
            skip_assignment: false,
            members: everybody.filter(|_| self.leader.as_ref() == Some(id)).collect(),
        }
    }

    fn check(&self, caller: &Caller) -> Result<(), GroupError> {
        if let Some(instance) = &caller.instance_id {
            let holder = self.holder(instance).ok_or(GroupError::UnknownMember)?;
            if holder != caller.member_id {
                return Err(GroupError::FencedInstance);
            }
        }
        if !self.members.contains_key(&caller.member_id) {
            return Err(GroupError::UnknownMember);
        }
        if caller.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        Ok(())
    }

    fn hear(&mut self, id: &ByteString) {
        self.members.get_mut(id).unwrap().heard = self.now;
    }

    pub(super) fn sync(&mut self, caller: &Caller, assignments: &[(ByteString, Bytes)], reply_to: ReplyTo) {
        let refused = self.check(caller).err().or(match self.phase {
            Phase::PreparingRebalance => Some(GroupError::RebalanceInProgress),
            _ => None,
        });
        if let Some(error) = refused {
            self.answers.insert(reply_to, Answer::Sync(Err(error)));
            return;
        }
        let id = &caller.member_id;
        self.members.get_mut(id).unwrap().has_asked = true;
        if self.phase == Phase::Stable {
            self.hear(id);
            let reply = self.assignment(id);
            self.answers.insert(reply_to, reply);
            return;
        }
        if let Some(earlier) = self.members.get_mut(id).unwrap().syncing.replace(reply_to) {
            self.answers
                .insert(earlier, Answer::Sync(Err(GroupError::RebalanceInProgress)));
        }
        if self.leader.as_ref() == Some(id) && self.plan.is_none() {
            self.writes += 1;
            self.plan = Some(PlanOnItsWay {
                write: self.writes,
                assignments: assignments.iter().cloned().collect(),
            });
        }
    }

    fn assignment(&self, id: &ByteString) -> Answer {
        Answer::Sync(Ok(SyncReply {
            protocol_type: Some("consumer".into()),
            protocol: self.protocol.clone(),
            assignment: self.members[id].assignment.clone(),
        }))
    }

    /// The log has taken, or refused, what it was asked to for the n-th time.
    pub(super) fn written(&mut self, write: u64, taken: bool) {
        let Some(plan) = self.plan.take_if(|plan| plan.write == write) else {
            return;
        };
        if !taken {
            self.fail_syncs(&GroupError::NotAvailable);
            self.begin_rebalance();
            self.end_joining_if_all_are_here();
            return;
        }
        self.phase = Phase::Stable;
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let who = self.members.get_mut(&id).unwrap();
            who.assignment = plan.assignments.get(&id).cloned().unwrap_or_default();
            if let Some(waiting) = who.syncing.take() {
                who.heard = self.now;
                let reply = self.assignment(&id);
                self.answers.insert(waiting, reply);
            }
        }
    }

    pub(super) fn heartbeat(&mut self, caller: &Caller) -> Result<(), GroupError> {
        self.check(caller)?;
        self.hear(&caller.member_id);
        match self.phase {
            Phase::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    pub(super) fn may_commit(&mut self, caller: &Caller) -> Result<(), GroupError> {
        if caller.generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        self.check(caller)?;
        self.hear(&caller.member_id);
        match self.phase {
            Phase::CompletingRebalance => Err(GroupError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    pub(super) fn leave(&mut self, id: &ByteString, instance: Option<&ByteString>) -> Result<(), GroupError> {
        let id = match instance {
            None => id.clone(),
            Some(instance) => {
                let holder = self.holder(instance).ok_or(GroupError::UnknownMember)?;
                if !id.is_empty() && holder != *id {
                    return Err(GroupError::FencedInstance);
                }
                holder
            }
        };
        if self.promised.remove(&id).is_none() {
            if !self.members.contains_key(&id) {
                return Err(GroupError::UnknownMember);
            }
            self.remove(&[id]);
        }
        self.end_joining_if_all_are_here();
        Ok(())
    }

    fn remove(&mut self, ids: &[ByteString]) {
        for who in ids.iter().filter_map(|id| self.members.remove(id)) {
            if let Some(waiting) = who.joining {
                self.answers
                    .insert(waiting, Answer::Join(Err(GroupError::UnknownMember)));
            }
            if let Some(waiting) = who.syncing {
                self.answers
                    .insert(waiting, Answer::Sync(Err(GroupError::UnknownMember)));
            }
        }
        if self
            .leader
            .as_ref()
            .is_some_and(|leader| !self.members.contains_key(leader))
        {
            self.leader = self.members.keys().next().cloned();
        }
        if !ids.is_empty() && self.phase != Phase::Empty {
            self.begin_rebalance();
        }
    }

    pub(super) fn pass(&mut self, now: Duration) {
        self.now = now;
        self.promised.retain(|_, until| *until > now);
        let asks_too_late = self.sync_by.is_some_and(|by| by <= now);
        if asks_too_late {
            self.sync_by = None;
        }
        let is_gone = |who: &Person| {
            let silent = !who.waits() && who.heard + who.session <= now;
            silent || (asks_too_late && !who.has_asked)
        };
        let gone: Vec<_> = self
            .members
            .iter()
            .filter(|(_, who)| is_gone(who))
            .map(|(id, _)| id.clone())
            .collect();
        self.remove(&gone);
        if self.phase == Phase::PreparingRebalance && self.join_by <= now {
            self.end_joining();
        } else {
            self.end_joining_if_all_are_here();
        }
    }
}

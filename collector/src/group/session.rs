//! Heartbeat, LeaveGroup and silence: how a member stays, and how it goes.

use std::time::Duration;

use bytestring::ByteString;

use super::effect::{Effect, GroupError};
use super::member::Member;
use super::state::{Group, Phase};

/// Who a request of an established member comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caller {
    /// The member's id.
    pub member_id: ByteString,
    /// Its `group.instance.id`, if it is static.
    pub instance_id: Option<ByteString>,
    /// The generation it believes in.
    pub generation: i32,
}

impl Group {
    /// A member says that it is alive, and learns whether it must rejoin.
    pub fn heartbeat(&mut self, caller: &Caller, now: Duration) -> Result<(), GroupError> {
        self.check_caller(caller)?;
        self.heard_from(&caller.member_id, now);
        match self.phase {
            Phase::Empty => Err(GroupError::UnknownMember),
            Phase::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            Phase::CompletingRebalance | Phase::Stable => Ok(()),
        }
    }

    /// A member leaves, by its id or by its instance id alone.
    pub fn leave(
        &mut self,
        member_id: &ByteString,
        instance_id: Option<&ByteString>,
        now: Duration,
    ) -> (Result<(), GroupError>, Vec<Effect>) {
        let id = match instance_id {
            None => member_id.clone(),
            Some(instance) => match self.instances.get(instance) {
                None => return (Err(GroupError::UnknownMember), Vec::new()),
                Some(current) if !member_id.is_empty() && current != member_id => {
                    return (Err(GroupError::FencedInstance), Vec::new());
                }
                Some(current) => current.clone(),
            },
        };
        if self.pending.remove(&id).is_some() {
            return (Ok(()), self.complete_join_if_all_are_here(now));
        }
        if !self.members.contains_key(&id) {
            return (Err(GroupError::UnknownMember), Vec::new());
        }
        (Ok(()), self.remove_members(&[id], now))
    }

    /// Time has passed: ends sessions, the join phase if it took too long, and the membership of those who joined and
    /// then never asked for their assignment.
    pub fn tick(&mut self, now: Duration) -> Vec<Effect> {
        self.pending.retain(|_, lapses| *lapses > now);
        let silent = |member: &&Member| member.session_ends().is_some_and(|ends| ends <= now);
        let mut gone: Vec<ByteString> = self
            .members
            .values()
            .filter(silent)
            .map(|member| member.id.clone())
            .collect();
        if self.sync_deadline.is_some_and(|deadline| deadline <= now) {
            self.sync_deadline = None;
            let never_synced = |member: &&Member| !member.synced;
            let late = self
                .members
                .values()
                .filter(never_synced)
                .map(|member| member.id.clone());
            gone.extend(late.collect::<Vec<_>>());
        }
        let mut effects = self.remove_members(&gone, now);
        if self.join_deadline.is_some_and(|deadline| deadline.at <= now) {
            effects.extend(self.complete_join(now));
        } else {
            effects.extend(self.complete_join_if_all_are_here(now));
        }
        effects
    }

    fn remove_members(&mut self, ids: &[ByteString], now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut removed_any = false;
        for id in ids {
            let Some(member) = self.members.remove(id) else {
                continue;
            };
            removed_any = true;
            if let Some(instance) = &member.instance_id {
                self.instances.remove(instance);
            }
            effects.extend(
                member
                    .awaiting_join
                    .map(|waiting| Effect::Join(waiting, Err(GroupError::UnknownMember))),
            );
            effects.extend(
                member
                    .awaiting_sync
                    .map(|waiting| Effect::Sync(waiting, Err(GroupError::UnknownMember))),
            );
        }
        if removed_any {
            effects.extend(self.rebalance_without_them(now));
        }
        effects
    }

    fn rebalance_without_them(&mut self, now: Duration) -> Vec<Effect> {
        if self
            .leader
            .as_ref()
            .is_some_and(|leader| !self.members.contains_key(leader))
        {
            self.leader = self.members.keys().next().cloned();
        }
        match self.phase {
            Phase::Empty => Vec::new(),
            Phase::PreparingRebalance => self.complete_join_if_all_are_here(now),
            Phase::CompletingRebalance | Phase::Stable => self.prepare_rebalance(now),
        }
    }

    pub(super) fn heard_from(&mut self, member_id: &ByteString, now: Duration) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.last_heard = now;
        }
    }

    /// Fences those who are not, or no longer, members of this generation.
    pub(super) fn check_caller(&self, caller: &Caller) -> Result<(), GroupError> {
        if let Some(instance) = &caller.instance_id {
            match self.instances.get(instance) {
                None => return Err(GroupError::UnknownMember),
                Some(current) if *current != caller.member_id => return Err(GroupError::FencedInstance),
                Some(_) => {}
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
}

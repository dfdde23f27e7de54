//! Tests of the group state machine, of its records, and of the coordinator over an offsets log in memory.

mod commits;
mod coordinator;
mod invariants;
mod members;
mod memory_log;
mod model;
mod rebalances;
mod records;
mod reference;

use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;

use super::effect::JoinedMember;
use super::{Caller, Effect, Group, GroupError, GroupOptions, JoinReply, JoinRequest, Phase, ReplyTo, SyncReply};
use super::{Snapshot, SyncRequest};

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(30);
const DELAY: Duration = Duration::from_secs(3);

fn options() -> GroupOptions {
    GroupOptions {
        initial_rebalance_delay: DELAY,
        members_max: 4,
        ..GroupOptions::default()
    }
}

/// A JoinGroup of somebody new, from a client too old for MEMBER_ID_REQUIRED.
fn newcomer(new_member_id: &'static str) -> JoinRequest {
    JoinRequest {
        member_id: ByteString::new(),
        new_member_id: new_member_id.into(),
        instance_id: None,
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        protocol_type: "consumer".into(),
        protocols: protocols(&["range"]),
        knows_member_id_required: false,
        knows_skip_assignment: false,
    }
}

fn rejoining(member_id: &'static str) -> JoinRequest {
    JoinRequest {
        member_id: member_id.into(),
        ..newcomer("unused")
    }
}

fn instance(instance_id: &'static str, new_member_id: &'static str) -> JoinRequest {
    JoinRequest {
        instance_id: Some(instance_id.into()),
        ..newcomer(new_member_id)
    }
}

fn protocols(names: &[&'static str]) -> Vec<(ByteString, Bytes)> {
    let protocol = |name: &&'static str| (ByteString::from_static(name), Bytes::from_static(b"topics"));
    names.iter().map(protocol).collect()
}

/// A group, its clock, and the log's answers, which come only when a test says so.
struct World {
    group: Group,
    now: Duration,
    last_reply: ReplyTo,
}

impl World {
    fn new() -> Self {
        Self {
            group: Group::new("g".into(), options(), 0),
            now: Duration::from_secs(1000),
            last_reply: 0,
        }
    }

    /// A stable group of these members, the first of which leads.
    fn stable(members: &[&'static str]) -> Self {
        let requests = members.iter().map(|member| newcomer(member)).collect();
        Self::stable_of(requests)
    }

    fn stable_of(requests: Vec<JoinRequest>) -> Self {
        let mut world = Self::new();
        let ids: Vec<_> = requests.iter().map(|request| request.new_member_id.clone()).collect();
        for request in requests {
            assert_eq!(world.join(request), []);
        }
        assert_eq!(joins(&world.pass(DELAY)).len(), ids.len());
        let leader = world.group.leader.clone().unwrap();
        for id in ids.iter().filter(|id| **id != leader) {
            assert_eq!(world.sync(id, &[]), []);
        }
        let assignments: Vec<_> = ids.iter().map(|id| (&**id, "work")).collect();
        let effects = world.sync(&leader, &assignments);
        let answers = world.log(effects, true);
        assert_eq!(syncs(&answers).len(), ids.len());
        assert_eq!(world.group.phase(), Phase::Stable);
        world
    }

    fn join(&mut self, request: JoinRequest) -> Vec<Effect> {
        self.last_reply += 1;
        self.group.join(request, self.last_reply, self.now)
    }

    fn sync(&mut self, member: &str, assignments: &[(&str, &'static str)]) -> Vec<Effect> {
        let caller = self.caller(member);
        self.sync_as(caller, assignments)
    }

    fn sync_as(&mut self, caller: Caller, assignments: &[(&str, &'static str)]) -> Vec<Effect> {
        self.last_reply += 1;
        let assignment =
            |(id, work): &(&str, &'static str)| (ByteString::from(*id), Bytes::from_static(work.as_bytes()));
        let request = SyncRequest {
            caller,
            protocol_type: None,
            protocol: None,
            assignments: assignments.iter().map(assignment).collect(),
        };
        self.group.sync(request, self.last_reply, self.now)
    }

    fn caller(&self, member: &str) -> Caller {
        Caller {
            member_id: member.into(),
            instance_id: None,
            generation: self.group.generation(),
        }
    }

    fn heartbeat(&mut self, member: &str) -> Result<(), GroupError> {
        let caller = self.caller(member);
        self.group.heartbeat(&caller, self.now)
    }

    fn pass(&mut self, time: Duration) -> Vec<Effect> {
        self.now += time;
        self.group.tick(self.now)
    }

    /// The log takes, or refuses, what is to be written; gives what follows from that.
    fn log(&mut self, effects: Vec<Effect>, written: bool) -> Vec<Effect> {
        let snapshots = effects.into_iter().filter_map(snapshot);
        snapshots
            .collect::<Vec<_>>()
            .into_iter()
            .flat_map(|snapshot| self.group.persisted(snapshot, written, self.now))
            .collect()
    }

    fn member_ids(&self) -> Vec<&str> {
        self.group.members().map(|member| &*member.id).collect()
    }
}

fn snapshot(effect: Effect) -> Option<Snapshot> {
    match effect {
        Effect::Persist(snapshot) => Some(snapshot),
        _ => None,
    }
}

fn joins(effects: &[Effect]) -> Vec<(ReplyTo, Result<JoinReply, GroupError>)> {
    let join = |effect: &Effect| match effect {
        Effect::Join(reply_to, reply) => Some((*reply_to, reply.clone())),
        _ => None,
    };
    effects.iter().filter_map(join).collect()
}

fn syncs(effects: &[Effect]) -> Vec<(ReplyTo, Result<SyncReply, GroupError>)> {
    let sync = |effect: &Effect| match effect {
        Effect::Sync(reply_to, reply) => Some((*reply_to, reply.clone())),
        _ => None,
    };
    effects.iter().filter_map(sync).collect()
}

/// The only answer to a JoinGroup among these effects.
fn joined(effects: &[Effect]) -> Result<JoinReply, GroupError> {
    let mut joins = joins(effects);
    assert_eq!(joins.len(), 1, "{effects:?}");
    joins.remove(0).1
}

/// The only answer to a SyncGroup among these effects.
fn synced(effects: &[Effect]) -> Result<Bytes, GroupError> {
    let mut syncs = syncs(effects);
    assert_eq!(syncs.len(), 1, "{effects:?}");
    syncs.remove(0).1.map(|reply| reply.assignment)
}

//! Whatever happens to a group, in whatever order: nobody is answered twice, nobody waits for ever, and the deadline that
//! it gives is the moment at which time does something to it.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Event {
    Join {
        who: usize,
        known: bool,
        instance: bool,
        modern: bool,
        changed: bool,
    },
    Sync {
        who: usize,
        stale: bool,
    },
    Heartbeat {
        who: usize,
    },
    Leave {
        who: usize,
    },
    Commit {
        who: usize,
    },
    Log {
        newest: bool,
        written: bool,
    },
    Pass {
        millis: u64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let who = 0..6_usize;
    prop_oneof![
        4 => (who.clone(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(who, known, instance, modern, changed)| Event::Join { who, known, instance, modern, changed }),
        4 => (who.clone(), prop::bool::weighted(0.1)).prop_map(|(who, stale)| Event::Sync { who, stale }),
        2 => who.clone().prop_map(|who| Event::Heartbeat { who }),
        1 => who.clone().prop_map(|who| Event::Leave { who }),
        1 => who.prop_map(|who| Event::Commit { who }),
        3 => (any::<bool>(), prop::bool::weighted(0.8)).prop_map(|(newest, written)| Event::Log { newest, written }),
        3 => prop_oneof![0..2_000_u64, 5_000..40_000_u64].prop_map(|millis| Event::Pass { millis }),
    ]
}

/// A group under observation.
struct Observed {
    world: World,
    /// Ids that were handed out, in the order in which they were.
    known: Vec<ByteString>,
    waiting: BTreeSet<ReplyTo>,
    to_write: VecDeque<Snapshot>,
    generation: i32,
}

impl Observed {
    fn new() -> Self {
        Self {
            world: World::new(),
            known: Vec::new(),
            waiting: BTreeSet::new(),
            to_write: VecDeque::new(),
            generation: 0,
        }
    }

    fn member(&self, who: usize) -> ByteString {
        let index = who.checked_rem(self.known.len());
        index.map_or_else(|| "nobody".into(), |index| self.known[index].clone())
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Join {
                who,
                known,
                instance,
                modern,
                changed,
            } => {
                let names: &[&'static str] = if changed { &["range", "sticky"] } else { &["range"] };
                let request = JoinRequest {
                    member_id: if known { self.member(who) } else { ByteString::new() },
                    new_member_id: format!("m{}", self.world.last_reply).into(),
                    instance_id: instance.then(|| format!("i{}", who % 2).into()),
                    protocols: protocols(names),
                    knows_member_id_required: modern,
                    knows_skip_assignment: modern,
                    ..newcomer("unused")
                };
                self.waiting.insert(self.world.last_reply + 1);
                let effects = self.world.join(request);
                self.take(effects);
            }
            Event::Sync { who, stale } => {
                let member = self.member(who);
                let mut caller = self.world.caller(&member);
                caller.generation -= i32::from(stale);
                self.waiting.insert(self.world.last_reply + 1);
                let effects = self.world.sync_as(caller, &[(&member, "work")]);
                self.take(effects);
            }
            Event::Heartbeat { who } => drop(self.world.heartbeat(&self.member(who))),
            Event::Leave { who } => {
                let (_, effects) = self.world.group.leave(&self.member(who), None, self.world.now);
                self.take(effects);
            }
            Event::Commit { who } => {
                let caller = self.world.caller(&self.member(who));
                drop(self.world.group.check_commit(&caller, self.world.now));
            }
            Event::Log { newest, written } => {
                let snapshot = if newest {
                    self.to_write.pop_back()
                } else {
                    self.to_write.pop_front()
                };
                if let Some(snapshot) = snapshot {
                    let effects = self.world.group.persisted(snapshot, written, self.world.now);
                    self.take(effects);
                }
            }
            Event::Pass { millis } => self.pass(Duration::from_millis(millis)),
        }
        self.check();
    }

    /// Time goes by, first to just before the deadline, if that comes in between: nothing may happen until then.
    fn pass(&mut self, time: Duration) {
        let end = self.world.now + time;
        if let Some(deadline) = self
            .world
            .group
            .next_deadline()
            .filter(|deadline| *deadline > self.world.now)
        {
            let before = end.min(deadline - Duration::from_nanos(1));
            let untouched = self.world.group.clone();
            assert_eq!(self.world.group.tick(before), []);
            assert_eq!(self.world.group, untouched, "no deadline had passed");
        }
        self.world.now = end;
        let effects = self.world.group.tick(end);
        self.take(effects);
        let next = self.world.group.next_deadline();
        assert!(
            next.is_none_or(|next| next > end),
            "a deadline remains that time cannot resolve"
        );
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Join(reply_to, reply) => {
                    assert!(self.waiting.remove(&reply_to), "answered, but not waiting");
                    match reply {
                        Ok(reply) => {
                            assert_eq!(reply.generation, self.world.group.generation());
                            self.known.push(reply.member_id);
                        }
                        Err(GroupError::MemberIdRequired(id)) => self.known.push(id),
                        Err(_) => {}
                    }
                }
                Effect::Sync(reply_to, reply) => {
                    assert!(self.waiting.remove(&reply_to), "answered, but not waiting");
                    assert!(reply.is_err() || self.world.group.phase() == Phase::Stable);
                }
                Effect::Persist(snapshot) => {
                    assert!(self.to_write.iter().all(|older| older.revision < snapshot.revision));
                    self.to_write.push_back(snapshot);
                }
            }
        }
    }

    fn check(&mut self) {
        let group = &self.world.group;
        assert!(group.generation() >= self.generation, "the generation went back");
        self.generation = group.generation();
        let waits_for_join = group
            .members
            .values()
            .filter(|member| member.awaiting_join.is_some())
            .count();
        let waits_for_sync = group
            .members
            .values()
            .filter(|member| member.awaiting_sync.is_some())
            .count();
        assert_eq!(
            waits_for_join + waits_for_sync,
            self.waiting.len(),
            "somebody waits whom no member knows of"
        );
        match group.phase() {
            Phase::Empty => assert!(group.members.is_empty() && group.join_deadline.is_none()),
            Phase::PreparingRebalance => assert!(group.join_deadline.is_some() && waits_for_sync == 0),
            Phase::CompletingRebalance => {
                // Once all have asked, they wait for the log alone.
                assert!(group.sync_deadline.is_some() || group.persisting.is_some());
                assert_eq!(waits_for_join, 0);
            }
            Phase::Stable => assert_eq!((waits_for_join, waits_for_sync), (0, 0)),
        }
        for (instance, id) in &group.instances {
            assert_eq!(
                group.members.get(id).and_then(|member| member.instance_id.as_ref()),
                Some(instance)
            );
        }
        let leads = |leader| group.members.contains_key(leader);
        assert!(group.phase() == Phase::Empty || group.members.is_empty() || group.leader.as_ref().is_some_and(leads));
        assert!(group.members.len() + group.pending.len() <= group.options.members_max);
    }

    /// Nobody says anything any more: in the end everybody is answered, and gone.
    fn fall_silent(&mut self) {
        for _ in 0..200 {
            while let Some(snapshot) = self.to_write.pop_front() {
                let effects = self.world.group.persisted(snapshot, true, self.world.now);
                self.take(effects);
            }
            let Some(deadline) = self.world.group.next_deadline() else {
                break;
            };
            self.pass(deadline.saturating_sub(self.world.now));
            self.check();
        }
        assert_eq!(self.waiting, BTreeSet::new(), "left waiting for ever");
        assert_eq!(self.world.group.phase(), Phase::Empty);
        assert!(self.world.group.is_unused());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn group_keeps_its_promises_whatever_happens(events in prop::collection::vec(event(), 0..80)) {
        let mut observed = Observed::new();
        for event in events {
            observed.happen(event);
        }
        observed.fall_silent();
    }
}

//! The state machine beside a simple reference: whatever happens, both give the same answers to the same requests and come
//! to the same state.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::reference::{Answer, Reference};
use super::*;

#[derive(Debug, Clone)]
enum Event {
    /// Somebody new, or an id that was handed out or given before; static or not; of an old client or a new one.
    Join {
        who: Option<usize>,
        instance: Option<usize>,
        modern: bool,
        protocols: usize,
        patient: bool,
    },
    Sync {
        caller: By,
        plan: usize,
    },
    Heartbeat {
        caller: By,
    },
    Commit {
        caller: By,
    },
    Leave {
        who: Option<usize>,
        instance: Option<usize>,
    },
    /// The log answers the oldest of its writes or the newest.
    Log {
        newest: bool,
        taken: bool,
    },
    Pass {
        millis: u64,
    },
    /// Time passes to just when something is due.
    PassToDeadline,
}

#[derive(Debug, Clone)]
struct By {
    who: usize,
    instance: Option<usize>,
    generation: Generation,
}

#[derive(Debug, Clone, Copy)]
enum Generation {
    Own,
    Earlier,
    None,
}

const PROTOCOLS: [&[&str]; 4] = [&["range"], &["sticky", "range"], &["range", "sticky"], &["other"]];

fn event() -> impl Strategy<Value = Event> {
    let generation =
        prop_oneof![8 => Just(Generation::Own), 1 => Just(Generation::Earlier), 1 => Just(Generation::None)];
    let instance = || prop::option::weighted(0.4, 0..2_usize);
    let by = (0..6_usize, prop::option::weighted(0.1, 0..2_usize), generation);
    let by = by.prop_map(|(who, instance, generation)| By {
        who,
        instance,
        generation,
    });
    let protocols = prop_oneof![6 => Just(0), 3 => Just(1), 2 => Just(2), 1 => Just(3_usize)];
    prop_oneof![
        6 => (prop::option::weighted(0.6, 0..6_usize), instance(), any::<bool>(), protocols, any::<bool>())
            .prop_map(|(who, instance, modern, protocols, patient)| {
                Event::Join { who, instance, modern, protocols, patient }
            }),
        6 => (by.clone(), 0..9_usize).prop_map(|(caller, plan)| Event::Sync { caller, plan }),
        2 => by.clone().prop_map(|caller| Event::Heartbeat { caller }),
        1 => by.prop_map(|caller| Event::Commit { caller }),
        1 => (prop::option::weighted(0.8, 0..6_usize), instance())
            .prop_map(|(who, instance)| Event::Leave { who, instance }),
        4 => (any::<bool>(), prop::bool::weighted(0.85)).prop_map(|(newest, taken)| Event::Log { newest, taken }),
        2 => prop_oneof![0..2_000_u64, 5_000..40_000_u64].prop_map(|millis| Event::Pass { millis }),
        3 => Just(Event::PassToDeadline),
    ]
}

struct Both {
    world: World,
    reference: Reference,
    /// Ids that somebody was told.
    told: Vec<ByteString>,
    to_write: Vec<Snapshot>,
}

impl Both {
    fn new() -> Self {
        let world = World::new();
        Self {
            reference: Reference::new(options(), world.now),
            world,
            told: Vec::new(),
            to_write: Vec::new(),
        }
    }

    fn told(&self, who: usize) -> ByteString {
        let at = who.checked_rem(self.told.len());
        // The latest first, so that most requests come from members.
        at.map_or_else(|| "nobody".into(), |at| self.told[self.told.len() - 1 - at].clone())
    }

    fn caller(&self, by: &By) -> Caller {
        Caller {
            member_id: self.told(by.who),
            instance_id: by.instance.map(instance_name),
            generation: match by.generation {
                Generation::Own => self.reference.generation,
                Generation::Earlier => self.reference.generation - 1,
                Generation::None => -1,
            },
        }
    }

    fn happen(&mut self, event: &Event) {
        let now = self.world.now;
        match event {
            Event::Join {
                who,
                instance,
                modern,
                protocols: set,
                patient,
            } => {
                let request = JoinRequest {
                    member_id: who.map(|who| self.told(who)).unwrap_or_default(),
                    new_member_id: format!("m{}", self.world.last_reply).into(),
                    instance_id: instance.map(instance_name),
                    protocols: protocols(PROTOCOLS[*set]),
                    rebalance_timeout: if *patient { REBALANCE } else { REBALANCE / 3 },
                    knows_member_id_required: *modern,
                    knows_skip_assignment: *modern,
                    ..newcomer("unused")
                };
                self.reference.join(&request, self.world.last_reply + 1);
                let effects = self.world.join(request);
                self.compare(effects);
            }
            Event::Sync { caller, plan } => {
                let caller = self.caller(caller);
                let plan: Vec<_> = self
                    .reference
                    .members()
                    .into_iter()
                    .take(*plan)
                    .map(|(id, ..)| id)
                    .collect();
                let work: Vec<_> = plan
                    .iter()
                    .map(|id| (id.clone(), Bytes::from_static(b"work")))
                    .collect();
                self.reference.sync(&caller, &work, self.world.last_reply + 1);
                let work: Vec<_> = plan.iter().map(|id| (&**id, "work")).collect();
                let effects = self.world.sync_as(caller, &work);
                self.compare(effects);
            }
            Event::Heartbeat { caller } => {
                let caller = self.caller(caller);
                assert_eq!(
                    self.world.group.heartbeat(&caller, now),
                    self.reference.heartbeat(&caller)
                );
                self.compare(Vec::new());
            }
            Event::Commit { caller } => {
                let caller = self.caller(caller);
                assert_eq!(
                    self.world.group.check_commit(&caller, now),
                    self.reference.may_commit(&caller)
                );
                self.compare(Vec::new());
            }
            Event::Leave { who, instance } => {
                let id = who.map(|who| self.told(who)).unwrap_or_default();
                let instance = instance.map(instance_name);
                let (left, effects) = self.world.group.leave(&id, instance.as_ref(), now);
                assert_eq!(left, self.reference.leave(&id, instance.as_ref()));
                self.compare(effects);
            }
            Event::Log { newest, taken } => {
                let at = if *newest {
                    self.to_write.len().wrapping_sub(1)
                } else {
                    0
                };
                if at < self.to_write.len() {
                    let snapshot = self.to_write.remove(at);
                    self.reference.written(snapshot.revision, *taken);
                    let effects = self.world.group.persisted(snapshot, *taken, now);
                    self.compare(effects);
                }
            }
            Event::Pass { millis } => self.pass(now + Duration::from_millis(*millis)),
            Event::PassToDeadline => self.pass(self.reference.next_deadline().unwrap_or(now).max(now)),
        }
    }

    fn pass(&mut self, to: Duration) {
        self.world.now = to;
        self.reference.pass(to);
        let effects = self.world.group.tick(to);
        self.compare(effects);
    }

    fn compare(&mut self, effects: Vec<Effect>) {
        let mut answers = BTreeMap::new();
        for effect in effects {
            match effect {
                Effect::Join(reply_to, reply) => {
                    match &reply {
                        Ok(reply) => self.tell(&reply.member_id),
                        Err(GroupError::MemberIdRequired(id)) => self.tell(id),
                        Err(_) => {}
                    }
                    assert_eq!(answers.insert(reply_to, Answer::Join(reply)), None, "answered twice");
                }
                Effect::Sync(reply_to, reply) => {
                    assert_eq!(answers.insert(reply_to, Answer::Sync(reply)), None, "answered twice");
                }
                Effect::Persist(snapshot) => {
                    assert_eq!(snapshot.metadata.generation, self.reference.generation);
                    self.to_write.push(snapshot);
                }
            }
        }
        assert_eq!(answers, std::mem::take(&mut self.reference.answers));
        let (group, reference) = (&self.world.group, &self.reference);
        assert_eq!(group.phase(), reference.phase);
        assert_eq!(group.generation(), reference.generation);
        assert_eq!(group.protocol(), reference.protocol.as_ref());
        assert_eq!(group.revision, reference.writes);
        assert_eq!(group.next_deadline(), reference.next_deadline());
        if group.phase() != Phase::Empty {
            assert_eq!(group.leader, reference.leader);
        }
        let members = group
            .members()
            .map(|who| (who.id.clone(), who.instance_id.clone(), who.assignment.clone()));
        assert_eq!(members.collect::<Vec<_>>(), reference.members());
    }

    fn tell(&mut self, id: &ByteString) {
        if !self.told.contains(id) {
            self.told.push(id.clone());
        }
    }
}

fn instance_name(number: usize) -> ByteString {
    format!("i{number}").into()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_group_answers_as_the_reference_does(events in prop::collection::vec(event(), 0..120)) {
        let mut both = Both::new();
        for event in events {
            both.happen(&event);
        }
    }
}

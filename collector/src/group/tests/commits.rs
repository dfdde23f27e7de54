//! Who may commit, which of two commits counts, and when one expires.

use super::*;
use crate::group::CommittedOffset;

fn outsider() -> Caller {
    Caller {
        generation: -1,
        ..Caller::default()
    }
}

fn committed(offset: i64, log_offset: i64) -> CommittedOffset {
    CommittedOffset {
        offset,
        leader_epoch: -1,
        metadata: ByteString::new(),
        committed_at_ms: 1000,
        log_offset,
    }
}

#[test]
fn consumer_that_assigns_itself_commits_while_nobody_is_a_member() {
    let mut world = World::new();
    assert_eq!(world.group.check_commit(&outsider(), world.now), Ok(()));
    let named = Caller {
        member_id: "admin".into(),
        ..outsider()
    };
    assert_eq!(world.group.check_commit(&named, world.now), Ok(()));
    let mut world = World::stable(&["a"]);
    assert_eq!(
        world.group.check_commit(&outsider(), world.now),
        Err(GroupError::UnknownMember)
    );
}

#[test]
fn members_commit_in_their_generation_and_not_while_assignments_are_awaited() {
    let mut world = World::stable(&["a"]);
    let caller = world.caller("a");
    assert_eq!(world.group.check_commit(&caller, world.now), Ok(()));
    let stale = Caller {
        generation: 0,
        ..caller.clone()
    };
    assert_eq!(
        world.group.check_commit(&stale, world.now),
        Err(GroupError::IllegalGeneration)
    );
    world.join(newcomer("b"));
    assert_eq!(
        world.group.check_commit(&caller, world.now),
        Ok(()),
        "the last ones before the rebalance"
    );
    world.join(rejoining("a"));
    let caller = world.caller("a");
    let refused = world.group.check_commit(&caller, world.now);
    assert_eq!(refused, Err(GroupError::RebalanceInProgress));
}

#[test]
fn commit_is_a_sign_of_life() {
    let mut world = World::stable(&["a"]);
    let caller = world.caller("a");
    world.now += SESSION / 2;
    world.group.check_commit(&caller, world.now).unwrap();
    assert_eq!(world.pass(SESSION / 2), []);
    assert_eq!(world.member_ids(), ["a"]);
}

#[test]
fn member_of_a_group_that_is_gone_cannot_commit() {
    let mut world = World::new();
    let caller = Caller {
        member_id: "a".into(),
        generation: 3,
        instance_id: None,
    };
    assert_eq!(
        world.group.check_commit(&caller, world.now),
        Err(GroupError::UnknownMember)
    );
}

#[test]
fn later_record_wins_in_whatever_order_they_are_remembered() {
    let mut world = World::new();
    world.group.remember_offset("t".into(), 0, committed(20, 8));
    world.group.remember_offset("t".into(), 0, committed(10, 7));
    assert_eq!(world.group.committed(&"t".into(), 0).unwrap().offset, 20);
}

#[test]
fn offsets_expire_only_when_the_group_has_been_empty_for_long() {
    let retention_ms = i64::try_from(options().offsets_retention.as_millis()).unwrap();
    let mut world = World::stable(&["a"]);
    world.group.remember_offset("t".into(), 0, committed(1, 1));
    assert_eq!(world.group.expired_offsets(i64::MAX), []);
    let mut effects = world.pass(SESSION);
    if let Some(Effect::Persist(snapshot)) = effects.first_mut() {
        snapshot.metadata.changed_at_ms = 5000;
    }
    world.log(effects, true);
    assert_eq!(world.group.expired_offsets(5000 + retention_ms), []);
    assert_eq!(world.group.expired_offsets(5001 + retention_ms), [("t".into(), 0)]);
}

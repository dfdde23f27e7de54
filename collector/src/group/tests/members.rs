//! How a member comes, stays and goes: known ids, static members, sessions, limits.

use super::*;

fn modern(request: JoinRequest) -> JoinRequest {
    JoinRequest {
        knows_member_id_required: true,
        knows_skip_assignment: true,
        ..request
    }
}

#[test]
fn newcomer_that_knows_how_is_told_its_id_first() {
    let mut world = World::new();
    let refused = joined(&world.join(modern(newcomer("a"))));
    assert_eq!(refused, Err(GroupError::MemberIdRequired("a".into())));
    assert_eq!(world.group.phase(), Phase::Empty);
    assert_eq!(world.join(modern(rejoining("a"))), []);
    assert_eq!(joins(&world.pass(DELAY)).len(), 1);
    assert_eq!(
        joined(&world.join(modern(rejoining("b")))),
        Err(GroupError::UnknownMember)
    );
}

#[test]
fn id_that_is_handed_out_and_not_used_lapses_and_holds_nobody_up() {
    let mut world = World::stable(&["a"]);
    joined(&world.join(modern(newcomer("b")))).unwrap_err();
    assert_eq!(world.join(rejoining("a")), [], "somebody may be about to join");
    let answers = joins(&world.pass(SESSION));
    assert_eq!(answers.len(), 1);
    assert_eq!(
        joined(&world.join(modern(rejoining("b")))),
        Err(GroupError::UnknownMember)
    );
}

#[test]
fn id_that_is_handed_back_holds_nobody_up() {
    let mut world = World::stable(&["a"]);
    joined(&world.join(modern(newcomer("b")))).unwrap_err();
    world.join(rejoining("a"));
    let (left, effects) = world.group.leave(&"b".into(), None, world.now);
    assert_eq!((left, joins(&effects).len()), (Ok(()), 1));
}

#[test]
fn full_group_takes_nobody_else() {
    let mut world = World::stable(&["a", "b", "c"]);
    joined(&world.join(modern(newcomer("d")))).unwrap_err();
    assert_eq!(joined(&world.join(newcomer("e"))), Err(GroupError::GroupFull));
    assert_eq!(world.join(modern(rejoining("d"))), [], "its place is kept");
}

#[test]
fn what_members_say_of_themselves_is_bounded() {
    let mut world = World::stable(&["a"]);
    let long = JoinRequest {
        instance_id: Some("x".repeat(1025).into()),
        ..newcomer("b")
    };
    assert_eq!(joined(&world.join(long)), Err(GroupError::TooLarge));
    let large = |id| JoinRequest {
        protocols: vec![("range".into(), vec![0; 1_500_000].into())],
        ..newcomer(id)
    };
    assert_eq!(world.join(large("b")), []);
    assert_eq!(joined(&world.join(large("c"))), Err(GroupError::TooLarge));
    let again = JoinRequest {
        member_id: "b".into(),
        ..large("unused")
    };
    assert_eq!(joins(&world.join(again)).len(), 1, "its own does not count twice");
}

#[test]
fn session_timeout_must_be_within_bounds() {
    let mut world = World::new();
    for millis in [0, 5_999, 1_800_001] {
        let request = JoinRequest {
            session_timeout: Duration::from_millis(millis),
            ..newcomer("a")
        };
        assert_eq!(joined(&world.join(request)), Err(GroupError::InvalidSessionTimeout));
    }
}

#[test]
fn heartbeat_says_what_to_do_in_each_phase() {
    let mut world = World::new();
    assert_eq!(world.heartbeat("a"), Err(GroupError::UnknownMember));
    world.join(newcomer("a"));
    assert_eq!(world.heartbeat("a"), Err(GroupError::RebalanceInProgress));
    world.pass(DELAY);
    assert_eq!(world.heartbeat("a"), Ok(()));
    let effects = world.sync("a", &[]);
    world.log(effects, true);
    assert_eq!(world.heartbeat("a"), Ok(()));
    let stale = Caller {
        generation: 0,
        ..world.caller("a")
    };
    assert_eq!(
        world.group.heartbeat(&stale, world.now),
        Err(GroupError::IllegalGeneration)
    );
}

#[test]
fn silent_member_is_out_whatever_the_phase() {
    let mut world = World::stable(&["a", "b"]);
    world.now += SESSION / 2;
    assert_eq!(world.heartbeat("a"), Ok(()));
    assert_eq!(world.pass(SESSION / 2), []);
    assert_eq!(
        (world.member_ids(), world.group.phase()),
        (vec!["a"], Phase::PreparingRebalance)
    );

    let mut world = World::stable(&["a", "b"]);
    assert_eq!(world.join(rejoining("a")), []);
    assert_eq!(
        joins(&world.pass(SESSION)).len(),
        1,
        "the one that waits goes on without it"
    );

    let mut world = World::stable(&["a", "b"]);
    world.join(rejoining("a"));
    world.join(rejoining("b"));
    assert_eq!(world.group.phase(), Phase::CompletingRebalance);
    assert_eq!(world.sync("b", &[]), []);
    assert_eq!(synced(&world.pass(SESSION)), Err(GroupError::RebalanceInProgress));
    assert_eq!(world.member_ids(), ["b"]);
}

#[test]
fn member_that_waits_for_us_is_not_silent() {
    let mut world = World::stable(&["a", "b"]);
    world.join(rejoining("a"));
    for _ in 0..2 {
        world.now += SESSION - Duration::from_secs(1);
        assert_eq!(world.heartbeat("b"), Err(GroupError::RebalanceInProgress));
        assert_eq!(world.group.tick(world.now), []);
    }
    assert_eq!(world.member_ids(), ["a", "b"]);
}

#[test]
fn member_that_leaves_sets_off_a_rebalance_and_its_requests_are_answered() {
    let mut world = World::stable(&["a", "b"]);
    world.join(rejoining("a"));
    let waiting = world.last_reply;
    let (left, effects) = world.group.leave(&"a".into(), None, world.now);
    assert_eq!(left, Ok(()));
    assert_eq!(joins(&effects), [(waiting, Err(GroupError::UnknownMember))]);
    assert_eq!(
        world.group.leave(&"a".into(), None, world.now).0,
        Err(GroupError::UnknownMember)
    );
    assert_eq!(joined(&world.join(rejoining("b"))).unwrap().leader, "b");
}

#[test]
fn static_member_comes_back_and_nobody_notices() {
    let mut world = World::stable_of(vec![instance("i1", "a"), instance("i2", "b")]);
    let effects = world.join(instance("i2", "b2"));
    let reply = joined(&effects).unwrap();
    assert_eq!(
        (reply.member_id.as_ref(), reply.generation, reply.leader.as_ref()),
        ("b2", 1, "a")
    );
    assert_eq!(world.group.phase(), Phase::Stable);
    let logged = effects.into_iter().find_map(snapshot).unwrap();
    assert_eq!(logged.metadata.members[1].member_id, "b2");
    assert_eq!(synced(&world.sync("b2", &[])), Ok("work".into()));

    let old = Caller {
        instance_id: Some("i2".into()),
        ..world.caller("b")
    };
    assert_eq!(world.group.heartbeat(&old, world.now), Err(GroupError::FencedInstance));
    assert_eq!(
        world.group.check_commit(&old, world.now),
        Err(GroupError::FencedInstance)
    );
    assert_eq!(synced(&world.sync_as(old, &[])), Err(GroupError::FencedInstance));
    let rejoin = JoinRequest {
        member_id: "b".into(),
        ..instance("i2", "unused")
    };
    assert_eq!(joined(&world.join(rejoin)), Err(GroupError::FencedInstance));
}

#[test]
fn static_leader_that_comes_back_must_not_assign_anew() {
    let mut world = World::stable_of(vec![instance("i1", "a"), newcomer("b")]);
    let old_client = joined(&world.join(instance("i1", "a2"))).unwrap();
    assert_eq!(
        (old_client.leader.as_ref(), old_client.members.len()),
        ("a", 0),
        "somebody else leads, it thinks"
    );
    assert!(!old_client.skip_assignment);
    let new_client = joined(&world.join(modern(instance("i1", "a3")))).unwrap();
    assert_eq!((new_client.leader.as_ref(), new_client.members.len()), ("a3", 2));
    assert!(new_client.skip_assignment);
}

#[test]
fn static_member_that_comes_back_changed_sets_off_a_rebalance() {
    let mut world = World::stable_of(vec![instance("i1", "a")]);
    let changed = JoinRequest {
        protocols: protocols(&["sticky"]),
        ..instance("i1", "a2")
    };
    let reply = joined(&world.join(changed)).unwrap();
    assert_eq!((reply.generation, reply.protocol), (2, Some("sticky".into())));
}

#[test]
fn static_member_that_comes_back_during_a_rebalance_takes_over() {
    let mut world = World::stable_of(vec![instance("i1", "a"), newcomer("b")]);
    world.join(rejoining("b"));
    let rejoin = JoinRequest {
        protocols: protocols(&["range", "sticky"]),
        ..rejoining("b")
    };
    world.join(rejoin);
    assert_eq!(world.group.phase(), Phase::PreparingRebalance);
    assert_eq!(joins(&world.join(instance("i1", "a2"))).len(), 2);
    assert_eq!(world.sync("a2", &[]).len(), 1);
    let waiting = world.last_reply;
    let effects = world.join(instance("i1", "a3"));
    assert_eq!(syncs(&effects), [(waiting, Err(GroupError::FencedInstance))]);
    assert_eq!(world.group.phase(), Phase::PreparingRebalance);
}

#[test]
fn static_member_keeps_its_place_through_a_rebalance_until_its_session_ends() {
    let mut world = World::stable_of(vec![
        JoinRequest {
            session_timeout: REBALANCE * 3,
            ..instance("i1", "a")
        },
        newcomer("b"),
    ]);
    world.join(newcomer("c"));
    world.join(rejoining("b"));
    assert_eq!(joins(&world.pass(REBALANCE)).len(), 2);
    assert_eq!(world.member_ids(), ["a", "b", "c"]);
    assert_eq!(world.group.leader, Some("b".into()), "the leader is one who is there");
}

#[test]
fn static_member_leaves_by_its_instance_alone() {
    let mut world = World::stable_of(vec![instance("i1", "a"), instance("i2", "b")]);
    let unknown = world.group.leave(&ByteString::new(), Some(&"i9".into()), world.now);
    assert_eq!(unknown.0, Err(GroupError::UnknownMember));
    let fenced = world.group.leave(&"b".into(), Some(&"i1".into()), world.now);
    assert_eq!(fenced.0, Err(GroupError::FencedInstance));
    let (left, _) = world.group.leave(&ByteString::new(), Some(&"i1".into()), world.now);
    assert_eq!((left, world.member_ids()), (Ok(()), vec!["b"]));
    assert_eq!(world.join(instance("i1", "a2")), [], "the instance is free again");
}

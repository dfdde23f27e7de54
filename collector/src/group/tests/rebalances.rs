//! A rebalance from its beginning to its end, and everything that may come in between.

use super::*;

#[test]
fn first_rebalance_waits_for_more_members_each_of_whom_extends_the_delay() {
    let mut world = World::new();
    assert_eq!(world.join(newcomer("a")), []);
    assert_eq!(world.pass(DELAY - Duration::from_millis(1)), []);
    assert_eq!(world.join(newcomer("b")), []);
    assert_eq!(world.pass(DELAY - Duration::from_millis(1)), []);
    let effects = world.pass(Duration::from_millis(1));
    let answers = joins(&effects);
    assert_eq!(answers.len(), 2);
    let leader = answers[0].1.as_ref().unwrap();
    assert_eq!(
        (leader.leader.as_ref(), leader.members.len(), leader.generation),
        ("a", 2, 1)
    );
    let follower = answers[1].1.as_ref().unwrap();
    assert_eq!((follower.leader.as_ref(), follower.members.len()), ("a", 0));
    assert_eq!(follower.protocol, Some("range".into()));
}

#[test]
fn delay_of_the_first_rebalance_ends_with_the_rebalance_timeout() {
    let mut world = World::new();
    world.group.options.members_max = 1000;
    let hasty = |id| JoinRequest {
        rebalance_timeout: DELAY * 2,
        ..newcomer(id)
    };
    assert_eq!(world.join(hasty("a")), []);
    let mut answers = Vec::new();
    for id in ["b", "c", "d", "e", "f", "g", "h"] {
        answers = joins(&world.pass(Duration::from_secs(1)));
        if !answers.is_empty() {
            break;
        }
        assert_eq!(world.join(hasty(id)), []);
    }
    assert_eq!(answers.len(), 6, "newcomers cannot put it off for ever");
}

#[test]
fn follower_that_rejoins_unchanged_is_told_what_stands() {
    let mut world = World::stable(&["a", "b"]);
    let reply = joined(&world.join(rejoining("b"))).unwrap();
    assert_eq!(
        (reply.generation, reply.leader.as_ref(), reply.members.len()),
        (1, "a", 0)
    );
    assert_eq!(world.group.phase(), Phase::Stable);
    assert_eq!(synced(&world.sync("b", &[])), Ok("work".into()));
}

#[test]
fn follower_that_rejoins_changed_sets_off_a_rebalance() {
    let mut world = World::stable(&["a", "b"]);
    let changed = JoinRequest {
        protocols: protocols(&["range", "sticky"]),
        ..rejoining("b")
    };
    assert_eq!(world.join(changed), []);
    assert_eq!(world.group.phase(), Phase::PreparingRebalance);
    assert_eq!(world.heartbeat("a"), Err(GroupError::RebalanceInProgress));
    let answers = joins(&world.join(rejoining("a")));
    assert_eq!(answers.len(), 2);
    assert_eq!(world.group.generation(), 2);
}

#[test]
fn leader_that_rejoins_always_sets_off_a_rebalance() {
    let mut world = World::stable(&["a", "b"]);
    assert_eq!(world.join(rejoining("a")), []);
    assert_eq!(world.group.phase(), Phase::PreparingRebalance);
}

#[test]
fn rejoin_while_assignments_are_awaited_repeats_the_answer_or_starts_over() {
    let mut world = World::new();
    world.join(newcomer("a"));
    world.join(newcomer("b"));
    world.pass(DELAY);
    let again = joined(&world.join(rejoining("a"))).unwrap();
    assert_eq!((again.generation, again.members.len()), (1, 2));
    assert_eq!(world.sync("b", &[]), []);
    let changed = JoinRequest {
        protocols: protocols(&["sticky", "range"]),
        ..rejoining("a")
    };
    assert_eq!(synced(&world.join(changed)), Err(GroupError::RebalanceInProgress));
    assert_eq!(world.group.phase(), Phase::PreparingRebalance);
}

#[test]
fn rejoin_over_another_connection_supersedes_the_first() {
    let mut world = World::stable(&["a", "b"]);
    assert_eq!(world.join(rejoining("a")), []);
    let first = world.last_reply;
    assert_eq!(
        joins(&world.join(rejoining("a"))),
        [(first, Err(GroupError::RebalanceInProgress))]
    );
    let answers = joins(&world.join(rejoining("b")));
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|(reply_to, _)| *reply_to != first));
}

#[test]
fn protocol_is_the_one_that_most_prefer_among_those_that_all_know() {
    let mut world = World::new();
    let with = |id, names| JoinRequest {
        protocols: protocols(names),
        ..newcomer(id)
    };
    world.join(with("a", &["sticky", "range"]));
    world.join(with("b", &["range", "sticky", "own"]));
    world.join(with("c", &["own", "range", "sticky"]));
    let answers = joins(&world.pass(DELAY));
    assert_eq!(answers[0].1.as_ref().unwrap().protocol, Some("range".into()));
    assert_eq!(
        joined(&world.join(with("d", &["own"]))),
        Err(GroupError::InconsistentProtocol)
    );
    let other_type = JoinRequest {
        protocol_type: "connect".into(),
        ..newcomer("e")
    };
    assert_eq!(joined(&world.join(other_type)), Err(GroupError::InconsistentProtocol));
}

#[test]
fn nothing_to_choose_from_is_refused() {
    let mut world = World::new();
    let nothing = JoinRequest {
        protocols: Vec::new(),
        ..newcomer("a")
    };
    assert_eq!(joined(&world.join(nothing)), Err(GroupError::InconsistentProtocol));
    let no_type = JoinRequest {
        protocol_type: ByteString::new(),
        ..newcomer("a")
    };
    assert_eq!(joined(&world.join(no_type)), Err(GroupError::InconsistentProtocol));
}

#[test]
fn assignments_are_answered_once_the_log_has_them_and_not_before() {
    let mut world = World::new();
    world.join(newcomer("a"));
    world.join(newcomer("b"));
    world.pass(DELAY);
    assert_eq!(world.sync("b", &[]), []);
    let effects = world.sync("a", &[("a", "1"), ("b", "2"), ("stranger", "3")]);
    assert_eq!(syncs(&effects), []);
    let snapshot = snapshot(effects[0].clone()).unwrap();
    let written: Vec<_> = snapshot
        .metadata
        .members
        .iter()
        .map(|member| member.assignment.clone())
        .collect();
    assert_eq!(written, ["1", "2"]);
    assert_eq!(world.group.phase(), Phase::CompletingRebalance);
    let answers = world.log(effects, true);
    assert_eq!(syncs(&answers).len(), 2);
    assert_eq!(world.group.phase(), Phase::Stable);
}

#[test]
fn assignments_that_the_log_refuses_start_over() {
    let mut world = World::new();
    world.join(newcomer("a"));
    world.join(newcomer("b"));
    world.pass(DELAY);
    world.sync("b", &[]);
    let effects = world.sync("a", &[("a", "1")]);
    let answers = syncs(&world.log(effects, false));
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|(_, reply)| *reply == Err(GroupError::NotAvailable)));
    assert_eq!(world.group.phase(), Phase::PreparingRebalance);
}

#[test]
fn assignments_of_a_rebalance_that_was_overtaken_change_nothing() {
    let mut world = World::new();
    world.join(newcomer("a"));
    world.pass(DELAY);
    let effects = world.sync("a", &[("a", "1")]);
    assert_eq!(synced(&world.join(newcomer("b"))), Err(GroupError::RebalanceInProgress));
    assert_eq!(world.log(effects, true), []);
    assert_eq!(world.group.phase(), Phase::PreparingRebalance);
    let logged = world.group.logged.clone().unwrap();
    assert_eq!(logged.metadata.generation, 1, "it is in the log all the same");
}

#[test]
fn second_sync_of_the_leader_supersedes_its_first_and_is_not_written_again() {
    let mut world = World::new();
    world.join(newcomer("a"));
    world.pass(DELAY);
    let effects = world.sync("a", &[("a", "1")]);
    let first = world.last_reply;
    let again = world.sync("a", &[("a", "2")]);
    assert_eq!(again, [Effect::Sync(first, Err(GroupError::RebalanceInProgress))]);
    assert_eq!(synced(&world.log(effects, true)), Ok("1".into()));
}

#[test]
fn sync_is_refused_where_it_makes_no_sense() {
    let mut world = World::stable(&["a"]);
    assert_eq!(synced(&world.sync("nobody", &[])), Err(GroupError::UnknownMember));
    let stale = Caller {
        generation: 0,
        ..world.caller("a")
    };
    assert_eq!(synced(&world.sync_as(stale, &[])), Err(GroupError::IllegalGeneration));
    let other_protocol = SyncRequest {
        caller: world.caller("a"),
        protocol_type: Some("consumer".into()),
        protocol: Some("sticky".into()),
        assignments: Vec::new(),
    };
    let effects = world.group.sync(other_protocol, 99, world.now);
    assert_eq!(synced(&effects), Err(GroupError::InconsistentProtocol));
    world.join(newcomer("b"));
    assert_eq!(synced(&world.sync("a", &[])), Err(GroupError::RebalanceInProgress));
}

#[test]
fn assignment_that_no_record_could_hold_is_refused() {
    let mut world = World::new();
    world.join(newcomer("a"));
    world.pass(DELAY);
    world.group.options.assignments_bytes_max = 3;
    assert_eq!(synced(&world.sync("a", &[("a", "four")])), Err(GroupError::TooLarge));
    assert_eq!(syncs(&world.pass(REBALANCE)), [], "nobody waits");
}

#[test]
fn member_that_does_not_rejoin_is_out_when_the_rebalance_times_out() {
    let mut world = World::stable(&["a", "b"]);
    world.join(newcomer("c"));
    world.join(rejoining("a"));
    for _ in 0..5 {
        world.now += Duration::from_secs(5);
        assert_eq!(world.heartbeat("b"), Err(GroupError::RebalanceInProgress));
        assert_eq!(world.group.tick(world.now), []);
    }
    let answers = joins(&world.pass(Duration::from_secs(5)));
    assert_eq!(answers.len(), 2);
    assert_eq!(world.member_ids(), ["a", "c"]);
}

#[test]
fn member_that_joins_and_never_asks_for_its_assignment_is_out_even_if_it_is_alive() {
    for leader_syncs in [false, true] {
        let mut world = World::new();
        world.join(newcomer("a"));
        world.join(newcomer("b"));
        world.pass(DELAY);
        if leader_syncs {
            let effects = world.sync("a", &[("a", "1"), ("b", "2")]);
            assert_eq!(synced(&world.log(effects, true)), Ok("1".into()));
        }
        let mut left = REBALANCE;
        while left > Duration::from_secs(5) {
            left -= Duration::from_secs(5);
            assert_eq!(world.pass(Duration::from_secs(5)), []);
            for member in ["a", "b"] {
                assert_eq!(world.heartbeat(member), Ok(()));
            }
        }
        world.pass(left);
        let remaining: &[&str] = if leader_syncs { &["a"] } else { &[] };
        assert_eq!(world.member_ids(), remaining);
    }
}

#[test]
fn group_whose_members_are_all_gone_is_empty_in_the_log_too() {
    let mut world = World::stable(&["a"]);
    let effects = world.pass(SESSION);
    assert_eq!(world.group.phase(), Phase::Empty);
    let snapshot = snapshot(effects[0].clone()).unwrap();
    assert_eq!((snapshot.metadata.members.len(), snapshot.metadata.generation), (0, 2));
    assert_eq!(world.group.protocol(), None);
}

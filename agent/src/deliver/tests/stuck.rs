//! What does not move is told of, with the error and how much of it there is, and no more once it moves.

use std::time::Duration;

use tailrace_shared::kafka::ErrorCode;

use super::broker::Kind;
use super::world::{TOPIC, World};
use crate::deliver::Stuck;

/// File 0 goes to partition 0 and file 1 to partition 1; a line of each was delivered.
fn delivered() -> World {
    let mut world = World::new(1, Kind::Kafka);
    world.broker.create(TOPIC, 2);
    world.files.extend([(0, 12), (1, 12)]);
    assert!(world.start());
    assert!(world.append(&[0, 1], 1));
    for _ in 0..10 {
        assert!(world.turn());
    }
    assert_eq!(world.stats().batches_waiting, 0);
    world
}

fn stuck(world: &World) -> Option<Stuck> {
    world.stats().topics.remove(TOPIC).unwrap().stuck
}

fn seconds(world: &mut World, seconds: u64) {
    for _ in 0..seconds {
        assert!(world.turn());
        world.advance(Duration::from_millis(950));
    }
}

/// Stuck after half a minute, and not before; and no longer when everything is delivered.
fn is_stuck_until(world: &mut World, batches: u64, code: ErrorCode, end: impl FnOnce(&mut World)) {
    seconds(world, 20);
    assert_eq!(stuck(world), None);
    seconds(world, 40);
    let told = stuck(world).unwrap();
    assert_eq!((told.batches, told.reason.code), (batches, Some(code)), "{told:?}");
    assert!(
        told.bytes > 50 * batches && told.age > Duration::from_secs(55),
        "{told:?}"
    );
    end(world);
    world.finish();
    world.check();
    assert_eq!(stuck(world), None);
}

#[test]
fn a_broker_that_answers_with_retriable_errors_only() {
    for code in [
        ErrorCode::NotEnoughReplicas,
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::KafkaStorageError,
        ErrorCode::TopicAuthorizationFailed,
    ] {
        let mut world = delivered();
        world.broker.fails_with = Some(code);
        assert!(world.append(&[0, 1], 1));
        is_stuck_until(&mut world, 2, code, |world| world.broker.fails_with = None);
    }
}

#[test]
fn a_topic_that_the_agent_may_not_see() {
    for code in [ErrorCode::TopicAuthorizationFailed, ErrorCode::UnknownTopicOrPartition] {
        let mut world = World::new(1, Kind::Kafka);
        world.broker.create(TOPIC, 2);
        world.broker.hides_with = Some(code);
        world.files.extend([(0, 12), (1, 12)]);
        assert!(world.start());
        assert!(world.append(&[0, 1], 1));
        is_stuck_until(&mut world, 2, code, |world| world.broker.hides_with = None);
    }
}

#[test]
fn one_partition_is_enough() {
    let mut world = delivered();
    let missing = world.broker.topics.get_mut(TOPIC).unwrap().partitions.split_off(1);
    assert!(world.append(&[0, 1], 1));
    is_stuck_until(&mut world, 1, ErrorCode::LeaderNotAvailable, |world| {
        let topic = world.broker.topics.get_mut(TOPIC).unwrap();
        topic.partitions.extend(missing);
    });
}

#[test]
fn an_outage_lasts_from_the_first_failure_until_a_broker_answers() {
    let mut world = World::new(1, Kind::Kafka);
    world.broker.create(TOPIC, 2);
    assert!(world.start());
    let outage = world.stats().outage.unwrap();
    assert!(!outage.was_reached, "{outage:?}");
    assert!(world.turn());
    assert_eq!(world.stats().outage, None);
    for second in 0..40 {
        world.cannot_be_reached();
        let outage = world.stats().outage.unwrap();
        assert_eq!((outage.age, outage.was_reached), (Duration::from_secs(second), true));
        world.advance(Duration::from_secs(1));
    }
    world.finish();
    assert_eq!(world.stats().outage, None);
}

#[test]
fn what_moves_is_not_stuck_however_old_it_is() {
    let mut world = delivered();
    world.files.insert(0, 40);
    world.append_each(0, 35);
    for _ in 0..8 {
        assert!(world.turn());
        world.advance(Duration::from_secs(10));
        assert_eq!(stuck(&world), None);
    }
    world.finish();
}

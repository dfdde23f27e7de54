//! A test for each rule of the spool, as the module's page counts them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tailrace_shared::disk::Disk;
use tailrace_shared::kafka::ErrorCode;

use super::broker::Kind;
use super::world::{TOPIC, World};
use crate::spool::Control;

const MINUTE: Duration = Duration::from_secs(60);

/// File 0 goes to partition 0 and file 1 to partition 1.
fn world(kind: Kind) -> World {
    let mut world = World::new(1, kind);
    world.broker.create(TOPIC, 2);
    world.files.extend([(0, 12), (1, 12)]);
    world
}

fn started(kind: Kind) -> World {
    let mut world = world(kind);
    assert!(world.start());
    world.append_each(0, 1);
    world.settle();
    // The first batch is acknowledged and marked, so the broker is known to know the producer.
    world.serve_all();
    world.settle();
    assert_eq!(world.stats().batches_waiting, 0);
    world
}

fn finish(world: &mut World) {
    world.finish();
    world.check();
}

#[test]
fn rule_1_what_the_last_process_left_in_doubt_goes_first_under_its_old_identity() {
    let mut world = started(Kind::Kafka);
    world.append_each(0, 1);
    world.poll();
    assert_eq!(world.wire(), [(1, 0, 1001, 1)]);
    // It arrives, and nobody hears of it.
    world.kill(1);

    assert!(world.start());
    assert!(world.append(&[0, 1], 1));
    world.settle();
    assert_eq!(
        world.wire(),
        [(1, 0, 1001, 1), (2, 1, 1002, 0)],
        "partition 1 has nothing to wait for"
    );
    world.serve_all();
    world.poll();
    assert!(world.wire().is_empty(), "the mark of batch 1 is not durable yet");
    assert!(world.commit());
    world.poll();
    assert_eq!(world.wire(), [(3, 0, 1002, 0)], "a fresh id for new data");
    finish(&mut world);
}

#[test]
fn rule_2_no_more_than_five_batches_lack_a_durable_mark() {
    let mut world = started(Kind::Kafka);
    world.append_each(0, 8);
    world.poll();
    let sent: Vec<_> = world.wire().iter().map(|(number, ..)| *number).collect();
    assert_eq!(sent, [1, 2, 3, 4, 5]);
    world.serve_all();
    world.poll();
    assert!(
        world.wire().is_empty(),
        "five are acknowledged, but their marks are not durable"
    );
    assert!(world.commit());
    world.poll();
    assert_eq!(world.wire().len(), 3);
    finish(&mut world);
}

#[test]
fn rule_2_one_at_a_time_until_the_broker_is_known_to_know_the_producer() {
    let mut world = world(Kind::Kafka);
    assert!(world.start());
    world.append_each(0, 3);
    world.settle();
    assert_eq!(world.wire().len(), 1);
    world.serve_all();
    world.poll();
    assert_eq!(world.wire().len(), 2);
    finish(&mut world);
}

#[test]
fn rule_3_a_broker_that_forgot_the_producer_is_read_before_anything_is_sent_again() {
    let mut world = started(Kind::Kafka);
    world.append_each(0, 3);
    world.poll();
    // Two of three arrive. After days the broker has forgotten who sent them.
    world.kill(2);
    world.broker.forget_producers();

    assert!(world.start());
    world.settle();
    let sent: Vec<_> = world.wire().iter().map(|(number, ..)| *number).collect();
    assert_eq!(sent, [3], "1 and 2 are in the log");
    finish(&mut world);
    assert_eq!(world.stats().records_possibly_doubled, 0);
}

#[test]
fn rule_3_a_broken_connection_is_no_reason_to_send_again_unasked() {
    let mut world = started(Kind::Kafka);
    world.append_each(0, 2);
    world.poll();
    world.break_connection(1);
    world.advance(MINUTE);
    world.poll();
    assert!(world.wire().is_empty(), "a question comes first");
    world.answer_questions();
    world.poll();
    assert_eq!(
        world.wire().len(),
        2,
        "the broker knows the producer and drops what it has"
    );
    finish(&mut world);
}

#[test]
fn rule_3_where_nothing_may_be_found_out_the_lines_count_as_possibly_doubled() {
    let mut world = started(Kind::Kafka);
    world.append_each(0, 2);
    world.poll();
    world.kill(2);
    world.broker.forget_producers();
    (world.broker.may_describe, world.broker.may_read) = (false, false);

    assert!(world.start());
    world.settle();
    assert_eq!(world.stats().records_possibly_doubled, 2);
    assert_eq!(world.wire().len(), 1);
    world.finish();
}

#[test]
fn rule_3_where_only_reading_is_forbidden_the_broker_s_memory_decides() {
    let mut world = started(Kind::Strict);
    world.broker.may_read = false;
    world.append_each(0, 3);
    world.poll();
    world.break_connection(2);
    finish(&mut world);
    assert_eq!(world.stats().records_possibly_doubled, 0);
}

#[test]
fn rule_4_a_refused_batch_goes_to_dead_letters_and_later_ones_get_a_fresh_identity() {
    let mut world = world(Kind::Strict);
    world.poison = vec![(0, 2)];
    assert!(world.start());
    world.append_each(0, 5);
    world.settle();
    for _ in 0..3 {
        world.serve_all();
        assert!(world.commit());
        world.advance(MINUTE);
        world.poll();
    }
    assert_eq!(world.dead, ["0:2:poison"]);
    assert_eq!(
        (world.stats().batches_dead_lettered, world.stats().records_dead_lettered),
        (1, 1)
    );
    world.answer_questions();
    world.poll();
    let bound = world.agent().controls.iter().find_map(|control| match control {
        Control::Bind(bind) => Some((bind.producer.id, bind.batches.clone())),
        _ => None,
    });
    assert_eq!(bound, Some((1002, vec![(3, 0), (4, 1)])));
    world.poll();
    assert!(world.wire().is_empty(), "the new identity is not durable yet");
    assert!(world.commit());
    world.poll();
    assert_eq!(world.wire(), [(3, 0, 1002, 0)]);
    finish(&mut world);
}

#[test]
fn rule_4_a_batch_that_is_too_large_goes_out_in_parts_and_later_ones_get_a_fresh_identity_too() {
    let mut world = started(Kind::Strict);
    world.broker.bytes_max = 90;
    assert!(world.append(&[0], 4));
    world.append_each(0, 1);
    world.poll();
    assert_eq!(world.wire(), [(1, 0, 1001, 1), (5, 0, 1001, 5)]);
    world.serve_all();
    world.advance(MINUTE);
    world.answer_questions();
    world.poll();
    let split = world.agent().controls.iter().find_map(|control| match control {
        Control::Split { batch, parts } => Some((*batch, parts.iter().map(|part| part.records).collect::<Vec<_>>())),
        _ => None,
    });
    assert_eq!(split, Some((1, vec![2, 2])));
    world.poll();
    assert!(world.wire().is_empty(), "the parts are not durable yet");
    assert!(world.commit());
    world.poll();
    world.answer_questions();
    world.poll();
    assert!(world.wire().is_empty(), "their identity is not durable yet");
    assert!(world.commit());
    world.poll();
    assert_eq!(world.wire(), [(1, 0, 1002, 0)]);
    assert_eq!(world.stats().batches_split, 1);
    finish(&mut world);
    assert_eq!(world.dead.len(), 0);
}

#[test]
fn rule_4_a_process_that_dies_between_splitting_and_stamping_leaves_nothing_in_the_way() {
    let mut world = started(Kind::Kafka);
    world.broker.bytes_max = 90;
    assert!(world.append(&[0], 4));
    world.append_each(0, 3);
    world.poll();
    world.serve_all();
    world.advance(MINUTE);
    world.answer_questions();
    world.poll();
    assert!(world.commit());
    world.kill(0);
    assert!(world.start());
    let recovered = world.agent().recovered.batches.iter();
    let bound: Vec<_> = recovered.map(|batch| (batch.number, batch.stamp.is_some())).collect();
    assert_eq!(bound, [(1, false), (3, false), (5, true), (6, true), (7, true)]);
    assert!(world.append(&[0, 1], 1));
    finish(&mut world);
    assert_eq!(world.stats().records_possibly_doubled, 0);
}

#[test]
fn rule_4_one_batch_is_split_at_a_time_since_its_parts_take_room_in_the_spool() {
    let mut world = started(Kind::Kafka);
    world.broker.bytes_max = 90;
    assert!(world.append(&[0], 4));
    assert!(world.append(&[1], 4));
    let splits = |world: &mut World| {
        let controls = world.agent().controls.iter();
        controls
            .filter(|control| matches!(control, Control::Split { .. }))
            .count()
    };
    for _ in 0..5 {
        world.answer_questions();
        world.poll();
        world.serve_all();
        world.advance(MINUTE / 20);
    }
    assert_eq!(splits(&mut world), 1);
    finish(&mut world);
    assert!(world.stats().batches_split >= 2);
}

#[test]
fn rule_4_what_a_topic_takes_is_asked_or_learnt_for_the_batches_to_come() {
    for (told, learnt) in [(Some(90), 90..=90), (None, 50..=90)] {
        let mut world = started(Kind::Kafka);
        world.broker.bytes_max = 90;
        world.broker.tells_bytes_max = told;
        let known = |world: &mut World| world.agent().desk.machine.lock().batch_bytes_max(TOPIC);
        assert_eq!(known(&mut world), None);
        assert!(world.append(&[0], 6));
        finish(&mut world);
        let known = known(&mut world).unwrap();
        assert!(learnt.contains(&known), "{known}");
    }
}

#[test]
fn rule_4_a_topic_made_anew_gets_what_the_old_one_did_not_acknowledge() {
    let mut world = started(Kind::Strict);
    world.append_each(0, 3);
    world.poll();
    world.broker.create(TOPIC, 2);
    finish_without_first_line(&mut world);
}

/// Files 0 to 3 have a batch in flight each, in partitions 0 to 3.
fn four_partitions_in_flight() -> World {
    let mut world = World::new(1, Kind::Strict);
    world.broker.create(TOPIC, 4);
    world.files.extend((0..4).map(|file| (file, 12)));
    assert!(world.start());
    world.append_each(0, 1);
    world.settle();
    for file in 1..4 {
        world.append_each(file, 2);
    }
    world.settle();
    assert_eq!(world.wire().len(), 4, "{:?}", world.wire());
    world
}

#[test]
fn rule_4_a_topic_made_anew_with_fewer_partitions_gets_the_batches_of_those_that_are_no_more() {
    let mut world = four_partitions_in_flight();
    world.broker.create(TOPIC, 2);
    finish(&mut world);
    for (partition, files) in world.broker.topics[TOPIC].partitions.iter().zip([[0, 2], [1, 3]]) {
        assert_eq!(partition.lines().count(), 24);
        for line in partition.lines() {
            assert!(files.iter().any(|file| line.starts_with(&format!("{file}:"))), "{line}");
        }
    }
    let lanes = |world: &mut World| {
        let machine = &mut world.agent().desk.machine.lock();
        (0..4).map(|lane| machine.route(TOPIC, lane).0).collect::<Vec<_>>()
    };
    let routes = [0, 1, 0, 1].map(crate::stretch::Route::Partition);
    assert_eq!(lanes(&mut world), routes);
    world.kill(0);
    world.broker.create(TOPIC, 8);
    assert!(world.start());
    world.settle();
    assert_eq!(lanes(&mut world), routes, "for as long as those partitions exist");
}

#[test]
fn rule_4_the_spool_knows_where_batches_go_before_they_are_sent_there() {
    let mut world = four_partitions_in_flight();
    world.broker.create(TOPIC, 2);
    world.serve_all();
    world.advance(MINUTE);
    world.poll();
    world.answer_questions();
    for _ in 0..3 {
        world.poll();
        world.answer_questions();
    }
    let moves = world.agent().controls.iter().filter_map(|control| match control {
        Control::Moved { from, to, .. } => Some((*from, *to)),
        _ => None,
    });
    assert_eq!(moves.collect::<BTreeSet<_>>(), [(2, 0), (3, 1)].into());
    assert!(
        world.wire().iter().all(|(number, ..)| *number < 3),
        "{:?}",
        world.wire()
    );
    finish(&mut world);
}

#[test]
fn rule_4_a_partition_that_a_broker_does_not_know_yet_is_waited_for() {
    let mut world = four_partitions_in_flight();
    world.serve_all();
    let missing = world.broker.topics.get_mut(TOPIC).unwrap().partitions.split_off(2);
    for _ in 0..50 {
        assert!(world.append(&[2], 1));
        assert!(world.turn());
        world.advance(MINUTE);
    }
    assert!(world.stats().batches_waiting > 5);
    world.broker.topics.get_mut(TOPIC).unwrap().partitions.extend(missing);
    finish(&mut world);
}

#[test]
fn rule_4_another_cluster_gets_what_the_last_one_did_not_acknowledge() {
    let mut world = started(Kind::Strict);
    world.append_each(0, 3);
    world.poll();
    world.kill(0);
    let cluster = std::mem::replace(&mut world.broker, super::broker::Broker::new(Kind::Strict));
    world.broker.cluster_id = "cluster-2".into();
    world.broker.create(TOPIC, 2);
    assert!(world.start());
    finish_without_first_line(&mut world);
    assert_eq!(cluster.topics[TOPIC].partitions[0].lines().count(), 1);
}

#[test]
fn rule_4_in_another_cluster_the_same_producer_id_is_somebody_else() {
    let mut other = started(Kind::Kafka);
    other.append_each(0, 3);
    finish(&mut other);

    let mut world = started(Kind::Kafka);
    world.append_each(0, 3);
    world.poll();
    world.kill(0);
    // Producer 1001 has sent there under the same sequences.
    world.broker = other.broker;
    world.broker.cluster_id = "cluster-2".into();
    assert!(world.start());
    world.finish();
    let lines = world.broker.topics[TOPIC].partitions[0].lines();
    assert_eq!(lines.filter(|line| *line == "0:1:").count(), 2, "one of each");
}

/// The first line went to a topic that is no more.
fn finish_without_first_line(world: &mut World) {
    world.finish();
    world.dead.push("0:0:".to_owned());
    world.check();
}

#[test]
fn rule_4_where_an_operator_has_to_act_batches_wait() {
    let mut world = started(Kind::Kafka);
    world.broker.fails_with = Some(ErrorCode::TopicAuthorizationFailed);
    world.append_each(0, 3);
    for _ in 0..50 {
        assert!(world.turn());
        world.advance(MINUTE);
    }
    assert_eq!(
        (world.stats().batches_waiting, world.stats().batches_dead_lettered),
        (3, 0)
    );
    world.broker.fails_with = None;
    finish(&mut world);
}

#[test]
fn rule_5_batches_spooled_before_any_broker_was_reached_are_bound_when_one_is() {
    let mut world = World::new(1, Kind::Kafka);
    world.files.extend([(0, 12), (1, 12), (2, 12)]);
    assert!(world.start());
    assert!(world.append(&[0, 1, 2], 3));
    assert!(world.append(&[0, 2], 3));
    assert_eq!(world.stats().batches_waiting, 5);
    world.kill(0);

    assert!(world.start());
    world.broker.create(TOPIC, 2);
    finish(&mut world);
}

#[test]
fn rule_5_batches_are_bound_in_the_order_of_their_numbers_whenever_their_lanes_are() {
    let mut world = started(Kind::Kafka);
    world.files.insert(2, 12);
    world.kill(0);
    assert!(world.start());
    // No broker was reached yet. Lane 0 has partition 0 since the last process, and lane 2 will get the same.
    world.append_each(2, 1);
    world.append_each(0, 1);
    world.settle();
    world.kill(0);
    assert!(world.start());
    let recovered = world.agent().recovered.batches.iter();
    let sequences: Vec<_> = recovered
        .map(|batch| (batch.number, batch.stamp.as_ref().unwrap().base_sequence))
        .collect();
    assert_eq!(sequences, [(1, 0), (2, 1)]);
    finish(&mut world);
}

#[test]
fn rule_5_a_lane_keeps_its_partition_when_partitions_are_added() {
    let mut world = started(Kind::Kafka);
    world.append_each(1, 1);
    world.settle();
    world.serve_all();
    world.kill(0);
    for _ in 0..3 {
        world
            .broker
            .topics
            .get_mut(TOPIC)
            .unwrap()
            .partitions
            .push(Default::default());
    }
    assert!(world.start());
    finish(&mut world);
    let partitions = &world.broker.topics[TOPIC].partitions;
    assert_eq!(partitions[0].lines().count() + partitions[1].lines().count(), 24);
}

#[test]
fn rule_6_a_batch_damaged_in_the_spool_is_set_aside_and_the_rest_is_delivered() {
    let mut world = world(Kind::Kafka);
    assert!(world.start());
    world.append_each(0, 3);
    world.kill(0);
    let dir = Path::new("/data/spool");
    for name in world.disk.list(dir).unwrap().into_iter().map(|entry| entry.name) {
        let bytes = world.disk.read(&dir.join(&name)).unwrap();
        if let Some(at) = bytes.windows(4).position(|window| window == b"0:1:") {
            world.disk.corrupt(&dir.join(&name), at).unwrap();
        }
    }
    assert!(world.start());
    assert_eq!(world.agent().recovered.damage.len(), 1);
    world.finish();
    world.dead.push("0:1:".to_owned());
    world.check();
}

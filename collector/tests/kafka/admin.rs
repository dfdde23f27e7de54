//! Topics as tools create, describe and grow them.

use tailrace_shared::kafka::messages::create_partitions::{CreatePartitionsAssignment, CreatePartitionsTopic};
use tailrace_shared::kafka::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use tailrace_shared::kafka::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use tailrace_shared::kafka::messages::describe_topic_partitions::TopicRequest;
use tailrace_shared::kafka::messages::*;

use super::support::*;

async fn create(client: &mut Client, topic: CreatableTopic, validate_only: bool) -> &'static str {
    let request = CreateTopicsRequest {
        topics: vec![topic],
        validate_only,
        ..Default::default()
    };
    name_of(client.newest(&request).await.topics[0].error_code)
}

#[tokio::test]
async fn topics_are_created_as_asked_or_not_at_all() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let config = |name: &str, value: &str| CreatableTopicConfig {
        name: text(name),
        value: Some(text(value)),
    };
    let assigned = |brokers: &[i32]| CreatableTopic {
        num_partitions: -1,
        replication_factor: -1,
        assignments: vec![CreatableReplicaAssignment {
            partition_index: 0,
            broker_ids: brokers.to_vec(),
        }],
        ..new_topic("x")
    };
    let with = |config| CreatableTopic {
        configs: vec![config],
        ..new_topic("x")
    };
    let partitions = |num_partitions| CreatableTopic {
        num_partitions,
        ..new_topic("x")
    };
    let copies = CreatableTopic {
        replication_factor: 3,
        ..new_topic("x")
    };
    let cases = [
        (partitions(0), "INVALID_PARTITIONS"),
        (partitions(1_000_000), "INVALID_PARTITIONS"),
        (partitions(-5), "INVALID_PARTITIONS"),
        (copies, "INVALID_REPLICATION_FACTOR"),
        (assigned(&[2]), "INVALID_REPLICA_ASSIGNMENT"),
        (assigned(&[1, 2]), "INVALID_REPLICA_ASSIGNMENT"),
        (with(config("no.such", "1")), "INVALID_CONFIG"),
        (with(config("retention.ms", "soon")), "INVALID_CONFIG"),
        (partitions(-1), "NONE"),
        (with(config("retention.ms", "1000")), "NONE"),
        (assigned(&[1]), "NONE"),
    ];
    for (topic, expected) in cases {
        assert_eq!(create(&mut client, topic.clone(), true).await, expected, "{topic:?}");
    }
    assert_eq!(
        create(&mut client, with(config("retention.ms", "1000")), false).await,
        "NONE"
    );
    assert_eq!(create(&mut client, new_topic("x"), true).await, "TOPIC_ALREADY_EXISTS");
}

#[tokio::test]
async fn partitions_are_added_by_hand_only_to_this_broker() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("logs").await;
    let to = |brokers: &[&[i32]]| {
        let assignment = |broker_ids: &&[i32]| CreatePartitionsAssignment {
            broker_ids: broker_ids.to_vec(),
        };
        Some(brokers.iter().map(assignment).collect())
    };
    let refused = "INVALID_REPLICA_ASSIGNMENT";
    for (assignments, expected) in [
        (to(&[&[9], &[9]]), refused),
        (to(&[&[1]]), refused),
        (to(&[&[1], &[1]]), "NONE"),
    ] {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: text("logs"),
                count: 4,
                assignments,
            }],
            ..Default::default()
        };
        let answer = client.newest(&request).await;
        assert_eq!(name_of(answer.results[0].error_code), expected);
    }
    assert_eq!(client.produce("logs", 3, batch(&[b"x"])).await.error_code, 0);
}

#[tokio::test]
async fn deleted_records_are_gone_and_the_rest_stays() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("logs").await;
    for line in [&b"a"[..], b"b", b"c"] {
        client.produce("logs", 0, batch(&[line])).await;
    }
    let delete = |offset| DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: text("logs"),
            partitions: vec![DeleteRecordsPartition {
                partition_index: 0,
                offset,
            }],
        }],
        ..Default::default()
    };
    for (offset, start) in [(1, 1), (0, 1), (-1, 3)] {
        let answer = client.newest(&delete(offset)).await;
        assert_eq!(answer.topics[0].partitions[0].low_watermark, start);
        let below = client.fetch("logs", 0, start - 1).await;
        assert_eq!(name_of(below.error_code), "OFFSET_OUT_OF_RANGE");
        assert_eq!(client.fetch("logs", 0, start).await.log_start_offset, start);
    }
    assert_eq!(client.produce("logs", 0, batch(&[b"d"])).await.base_offset, 3);
}

#[tokio::test]
async fn topics_are_described_page_by_page() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("b").await;
    client.create_topic("a").await;
    let mut seen = Vec::new();
    let mut request = DescribeTopicPartitionsRequest {
        topics: ["b", "nothing", "a"]
            .map(|name| TopicRequest { name: text(name) })
            .into(),
        response_partition_limit: 1,
        ..Default::default()
    };
    loop {
        let answer = client.newest(&request).await;
        let partitions: usize = answer.topics.iter().map(|topic| topic.partitions.len()).sum();
        assert!(partitions <= 1);
        for topic in answer.topics {
            let name = topic.name.unwrap().to_string();
            seen.extend(
                topic
                    .partitions
                    .iter()
                    .map(|partition| (name.clone(), partition.partition_index)),
            );
            seen.extend((topic.error_code != 0).then_some((name, -1)));
        }
        match answer.next_cursor {
            Some(cursor) => request.cursor = Some(cursor),
            None => break,
        }
    }
    let expected = [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("nothing", -1)];
    assert_eq!(seen, expected.map(|(name, partition)| (name.to_owned(), partition)));
}

//! What is written to logs, read from them and taken away.

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use tailrace_shared::kafka::messages::describe_log_dirs::DescribableLogDirTopic;
use tailrace_shared::kafka::messages::describe_producers::TopicRequest;
use tailrace_shared::kafka::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use tailrace_shared::kafka::messages::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use tailrace_shared::kafka::messages::*;
use uuid::Uuid;

use super::{OK, code, names};
use crate::support::*;

pub(super) async fn produce(client: &mut Client, version: i16, id: Uuid) {
    let ask = |name: &str, id: Uuid, partition, acks| {
        let (name, topic_id, _) = names(version, 13, name, id);
        let mut request = produce_request(&name, partition, batch(&[b"line"]));
        request.topic_data[0].topic_id = topic_id;
        request.acks = acks;
        request
    };
    let unknown_topic = names(version, 13, "", id).2;
    let cases = [
        (ask("logs", id, 0, -1), OK),
        (ask("logs", id, 0, 1), OK),
        (ask("logs", id, 9, -1), code(ErrorCode::UnknownTopicOrPartition)),
        (ask("nothing", Uuid::from_u128(1), 0, -1), unknown_topic),
        (ask("logs", id, 0, 2), code(ErrorCode::InvalidRequiredAcks)),
    ];
    for (request, expected) in cases {
        let answer = client.ask(&request, version).await;
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!(name_of(answer.error_code), name_of(expected), "version {version}");
    }
    let mut damaged = ask("logs", id, 0, -1);
    let mut bytes = batch(&[b"line"]).to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    damaged.topic_data[0].partition_data[0].records = Some(bytes.into());
    let answer = client.ask(&damaged, version).await;
    let answer = &answer.responses[0].partition_responses[0];
    assert_eq!(answer.error_code, code(ErrorCode::CorruptMessage), "version {version}");
    if version >= 3 {
        let mut transactional = ask("logs", id, 0, -1);
        transactional.transactional_id = Some(text("tx"));
        let answer = client.ask(&transactional, version).await;
        assert_eq!(
            answer.responses[0].partition_responses[0].error_code,
            code(ErrorCode::InvalidTxnState)
        );
    }
}

pub(super) async fn fetch(client: &mut Client, version: i16, id: Uuid) {
    let ask = |name: &str, id: Uuid, partition, offset| {
        let (name, topic_id, _) = names(version, 13, name, id);
        let mut request = fetch_request(&name, partition, offset);
        request.topics[0].topic_id = topic_id;
        request.replica_id = if version >= 15 { -1 } else { request.replica_id };
        request
    };
    let unknown_topic = names(version, 13, "", id).2;
    let cases = [
        (ask("logs", id, 0, 0), OK),
        (ask("logs", id, 0, 999_999), code(ErrorCode::OffsetOutOfRange)),
        (ask("logs", id, 0, -1), code(ErrorCode::OffsetOutOfRange)),
        (ask("logs", id, 9, 0), code(ErrorCode::UnknownTopicOrPartition)),
        (ask("nothing", Uuid::from_u128(1), 0, 0), unknown_topic),
    ];
    for (request, expected) in cases {
        let answer = client.ask(&request, version).await;
        let found = &answer.responses[0].partitions[0];
        assert_eq!(name_of(found.error_code), name_of(expected), "version {version}");
        let has_records = found.records.as_ref().is_some_and(|records| !records.is_empty());
        assert_eq!(has_records, expected == OK, "version {version}");
    }
    if version >= 7 {
        let mut request = ask("logs", id, 0, 0);
        request.session_id = 5;
        request.session_epoch = 1;
        let answer = client.ask(&request, version).await;
        assert_eq!(answer.error_code, code(ErrorCode::FetchSessionIdNotFound));
    }
    if version >= 9 {
        for (epoch, expected) in [(99, ErrorCode::UnknownLeaderEpoch), (-5, ErrorCode::FencedLeaderEpoch)] {
            let mut request = ask("logs", id, 0, 0);
            request.topics[0].partitions[0].current_leader_epoch = epoch;
            let answer = client.ask(&request, version).await;
            assert_eq!(
                answer.responses[0].partitions[0].error_code,
                code(expected),
                "version {version}"
            );
        }
    }
    if version >= 12 {
        let mut request = ask("logs", id, 0, 1);
        request.topics[0].partitions[0].last_fetched_epoch = 99;
        let answer = client.ask(&request, version).await;
        let diverging = &answer.responses[0].partitions[0].diverging_epoch;
        assert_eq!((diverging.epoch, diverging.end_offset), (-1, -1), "version {version}");
    }
}

pub(super) async fn list_offsets(client: &mut Client, version: i16) {
    let ask = |topic: &str, partition_index, timestamp, current_leader_epoch| ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: text(topic),
            partitions: vec![ListOffsetsPartition {
                partition_index,
                current_leader_epoch,
                timestamp,
                ..Default::default()
            }],
        }],
        ..Default::default()
    };
    let mut cases = vec![
        (ask("logs", 0, -2, -1), OK, Some(0)),
        (ask("logs", 0, -1, -1), OK, None),
        (ask("logs", 0, 0, -1), OK, Some(0)),
        (ask("logs", 0, 999_999, -1), OK, Some(-1)),
        (ask("logs", 0, -3, -1), OK, Some(0)),
        (ask("logs", 1, -3, -1), OK, Some(-1)),
        (
            ask("logs", 9, -1, -1),
            code(ErrorCode::UnknownTopicOrPartition),
            Some(-1),
        ),
        (
            ask("nothing", 0, -1, -1),
            code(ErrorCode::UnknownTopicOrPartition),
            Some(-1),
        ),
    ];
    if version >= 4 {
        cases.push((ask("logs", 0, -1, 99), code(ErrorCode::UnknownLeaderEpoch), Some(-1)));
    }
    for (request, expected, offset) in cases {
        let answer = client.ask(&request, version).await;
        let found = &answer.topics[0].partitions[0];
        assert_eq!(found.error_code, expected, "version {version} {request:?}");
        let found_offset = match version {
            0 => found.old_style_offsets.first().copied().unwrap_or(-1),
            _ => found.offset,
        };
        assert!(
            offset.is_none_or(|offset| offset == found_offset),
            "version {version} {request:?} {found:?}"
        );
    }
}

pub(super) async fn offset_for_leader_epoch(client: &mut Client, version: i16) {
    let ask = |topic: &str, leader_epoch, current_leader_epoch| OffsetForLeaderEpochRequest {
        topics: vec![OffsetForLeaderTopic {
            topic: text(topic),
            partitions: vec![OffsetForLeaderPartition {
                partition: 0,
                current_leader_epoch,
                leader_epoch,
            }],
        }],
        ..Default::default()
    };
    let own = client.newest(&ask("logs", 0, -1)).await.topics[0].partitions[0].clone();
    assert!(own.leader_epoch == 0 && own.end_offset > 0, "{own:?}");
    let cases = [
        (ask("logs", 0, -1), OK, own.end_offset),
        (ask("logs", 99, -1), OK, -1),
        (ask("logs", 0, 99), code(ErrorCode::UnknownLeaderEpoch), -1),
        (ask("nothing", 0, -1), code(ErrorCode::UnknownTopicOrPartition), -1),
    ];
    for (request, expected, end) in cases {
        let answer = client.ask(&request, version).await;
        let found = &answer.topics[0].partitions[0];
        assert_eq!(
            (found.error_code, found.end_offset),
            (expected, end),
            "version {version}"
        );
    }
}

pub(super) async fn delete_records(client: &mut Client, version: i16) {
    let partition = |partition_index, offset| DeleteRecordsPartition {
        partition_index,
        offset,
    };
    let topic = |name: &str, partitions| DeleteRecordsTopic {
        name: text(name),
        partitions,
    };
    let request = DeleteRecordsRequest {
        topics: vec![
            topic(
                "logs",
                vec![partition(1, 0), partition(1, 99), partition(9, 0), partition(1, -2)],
            ),
            topic("nothing", vec![partition(0, -1)]),
            topic("__consumer_offsets", vec![partition(0, -1)]),
        ],
        timeout_ms: 1000,
    };
    let answer = client.ask(&request, version).await;
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let found: Vec<_> = partitions
        .map(|one| (name_of(one.error_code), one.low_watermark))
        .collect();
    let expected = [
        ("NONE", 0),
        ("OFFSET_OUT_OF_RANGE", -1),
        ("UNKNOWN_TOPIC_OR_PARTITION", -1),
        ("OFFSET_OUT_OF_RANGE", -1),
        ("UNKNOWN_TOPIC_OR_PARTITION", -1),
        ("INVALID_TOPIC_EXCEPTION", -1),
    ];
    assert_eq!(found, expected);
}

pub(super) async fn describe_log_dirs(client: &mut Client, version: i16) {
    let one = DescribableLogDirTopic {
        topic: text("logs"),
        partitions: vec![0, 9],
    };
    for (topics, expected) in [(Some(vec![one]), 1), (Some(vec![]), 0), (None, 2)] {
        let answer = client
            .ask(&DescribeLogDirsRequest { topics: topics.clone() }, version)
            .await;
        assert_eq!((answer.error_code, answer.results.len()), (OK, 1));
        let dir = &answer.results[0];
        assert!(dir.log_dir.starts_with('/'), "{}", dir.log_dir);
        let logs = dir.topics.iter().find(|topic| topic.name == "logs");
        assert_eq!(logs.map_or(0, |topic| topic.partitions.len()), expected, "{topics:?}");
        let size = logs.map_or(1, |topic| topic.partitions[0].partition_size);
        assert!(size > 0, "{size}");
        assert_eq!(
            dir.usable_bytes > 0 && dir.total_bytes >= dir.usable_bytes,
            version >= 4
        );
    }
}

pub(super) async fn init_producer_id(client: &mut Client, version: i16) {
    let answer = client.ask(&InitProducerIdRequest::default(), version).await;
    assert!(answer.error_code == OK && answer.producer_id >= 0);
    let request = InitProducerIdRequest {
        transactional_id: Some(text("tx")),
        ..Default::default()
    };
    let refused = client.ask(&request, version).await;
    assert_ne!(refused.error_code, OK);
}

pub(super) async fn describe_producers(client: &mut Client, version: i16) {
    let topic = |name: &str, partition| TopicRequest {
        name: text(name),
        partition_indexes: vec![partition],
    };
    let request = DescribeProducersRequest {
        topics: vec![topic("logs", 0), topic("logs", 9), topic("nothing", 0)],
    };
    let answer = client.ask(&request, version).await;
    let codes: Vec<_> = answer
        .topics
        .iter()
        .map(|topic| name_of(topic.partitions[0].error_code))
        .collect();
    assert_eq!(
        codes,
        ["NONE", "UNKNOWN_TOPIC_OR_PARTITION", "UNKNOWN_TOPIC_OR_PARTITION"]
    );
}

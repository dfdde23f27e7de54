//! Produce: what is taken, what is refused, and in which order it is answered.

use tailrace_shared::kafka::messages::create_topics::CreatableTopicConfig;
use tailrace_shared::kafka::messages::produce::PartitionProduceData;
use tailrace_shared::kafka::messages::*;
use tailrace_shared::record::{BatchBuilder, Compression, RecordHeaders};
use tokio::io::AsyncWriteExt;

use super::support::*;

#[tokio::test]
async fn bad_batches_are_refused_and_the_connection_goes_on() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("logs").await;
    let damaged = |change: fn(&mut Vec<u8>)| {
        let mut bytes = batch(&[b"one", b"two"]).to_vec();
        change(&mut bytes);
        bytes
    };
    // Magic is byte 16, the CRC bytes 17 to 20, attributes 21 and 22, the number of records 57 to 60.
    let sealed = |change: fn(&mut Vec<u8>)| {
        let mut bytes = damaged(change);
        tailrace_shared::record::restamp(&mut bytes, -1, -1, -1).unwrap();
        bytes
    };
    let cases = [
        ("a wrong CRC", damaged(|bytes| bytes[17] ^= 1), "CORRUPT_MESSAGE"),
        (
            "an impossible number of records",
            sealed(|bytes| bytes[57] = 0x7f),
            "INVALID_RECORD",
        ),
        ("a control batch", sealed(|bytes| bytes[22] |= 0x20), "INVALID_RECORD"),
        (
            "an unknown codec",
            sealed(|bytes| bytes[22] |= 7),
            "UNSUPPORTED_COMPRESSION_TYPE",
        ),
        (
            "message format v1",
            damaged(|bytes| bytes[16] = 1),
            "UNSUPPORTED_FOR_MESSAGE_FORMAT",
        ),
        (
            "message format v0",
            damaged(|bytes| bytes[16] = 0),
            "UNSUPPORTED_FOR_MESSAGE_FORMAT",
        ),
        (
            "a batch cut short",
            damaged(|bytes| bytes.truncate(70)),
            "CORRUPT_MESSAGE",
        ),
        ("nothing at all", Vec::new(), "INVALID_RECORD"),
    ];
    for (what, bytes, expected) in cases {
        let answer = client.produce("logs", 0, bytes.into()).await;
        assert_eq!(name_of(answer.error_code), expected, "{what}");
        assert_eq!(answer.base_offset, -1, "{what}");
    }
    let large = vec![7; 3_000_000];
    let answer = client.produce("logs", 0, batch(&[&large])).await;
    assert_eq!(name_of(answer.error_code), "MESSAGE_TOO_LARGE");
    let transactional = {
        let mut bytes = batch(&[b"x"]).to_vec();
        bytes[22] |= 0x10;
        tailrace_shared::record::restamp(&mut bytes, 5, 0, 0).unwrap();
        bytes
    };
    let answer = client.produce("logs", 0, transactional.into()).await;
    assert_eq!(name_of(answer.error_code), "INVALID_TXN_STATE");
    let internal = client.produce("__consumer_offsets", 0, batch(&[b"x"])).await;
    assert_eq!(name_of(internal.error_code), "INVALID_TOPIC_EXCEPTION");
    for name in ["a/b", "..", ""] {
        let answer = client.produce(name, 0, batch(&[b"x"])).await;
        assert_eq!(name_of(answer.error_code), "UNKNOWN_TOPIC_OR_PARTITION", "{name}");
    }
    assert_eq!(
        client.produce("logs", 0, batch(&[b"x"])).await.base_offset,
        0,
        "nothing of it was kept"
    );
}

/// What is compressed is not opened, so nobody pays for it but who reads it.
#[tokio::test]
async fn compressed_garbage_is_stored_and_harms_nobody() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("logs").await;
    let mut bytes = batch(&[b"not zstd"]).to_vec();
    bytes[22] |= 4;
    tailrace_shared::record::restamp(&mut bytes, -1, -1, -1).unwrap();
    assert_eq!(client.produce("logs", 0, bytes.into()).await.error_code, 0);
    assert_eq!(client.fetch("logs", 0, 0).await.high_watermark, 1);
}

/// A client may know zstd and still ask in an old version, so what a producer chose is given to all.
#[tokio::test]
async fn an_old_fetch_is_refused_only_where_the_topic_is_set_to_zstd() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("any").await;
    let mut set = new_topic("set");
    set.configs = vec![CreatableTopicConfig {
        name: text("compression.type"),
        value: Some(text("zstd")),
    }];
    let request = CreateTopicsRequest {
        topics: vec![set],
        ..Default::default()
    };
    assert_eq!(client.newest(&request).await.topics[0].error_code, 0);
    let mut zstd = BatchBuilder::new(Compression::Zstd, 1).unwrap();
    zstd.append(1_000, None, Some(b"x"), &RecordHeaders::empty()).unwrap();
    let zstd = zstd.finish().unwrap();
    for (topic, of_version_9) in [("any", "NONE"), ("set", "UNSUPPORTED_COMPRESSION_TYPE")] {
        assert_eq!(client.produce(topic, 0, zstd.clone()).await.error_code, 0);
        for (version, expected) in [(9, of_version_9), (10, "NONE")] {
            let answer = client.ask(&fetch_request(topic, 0, 0), version).await;
            let data = &answer.responses[0].partitions[0];
            assert_eq!(name_of(data.error_code), expected);
            let length = data.records.as_ref().map_or(0, |records| records.len());
            assert_eq!(length > 0, expected == "NONE");
        }
    }
}

#[tokio::test]
async fn pipelined_produces_are_answered_in_order_and_with_ascending_offsets() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("logs").await;
    let mut sent = Vec::new();
    for number in 0..100 {
        let line = format!("line {number}");
        let request = produce_request("logs", 0, batch(&[line.as_bytes()]));
        sent.push(client.send(&request, 9).await);
    }
    let last = client.send(&ApiVersionsRequest::default(), 4).await;
    for (offset, correlation_id) in (0..).zip(sent) {
        let answer = client.receive::<ProduceRequest>(correlation_id, 9).await;
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, offset));
    }
    client.receive::<ApiVersionsRequest>(last, 4).await;
}

#[tokio::test]
async fn what_is_acknowledged_can_be_read_whatever_acks_says() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("logs").await;
    for (acks, end) in [(1, 1), (-1, 2)] {
        let mut request = produce_request("logs", 0, batch(&[b"x"]));
        request.acks = acks;
        client.ask(&request, 9).await;
        assert_eq!(client.fetch("logs", 0, 0).await.high_watermark, end);
    }
    let mut silent = produce_request("logs", 0, batch(&[b"x"]));
    silent.acks = 0;
    client.send(&silent, 9).await;
    assert_eq!(
        client.newest(&ApiVersionsRequest::default()).await.error_code,
        0,
        "the next answer is the next one's"
    );
    assert_eq!(client.fetch("logs", 0, 2).await.high_watermark, 3);
}

#[tokio::test]
async fn refusal_without_an_answer_closes_the_connection() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut request = produce_request("nothing", 0, batch(&[b"x"]));
    request.acks = 0;
    client.send(&request, 9).await;
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn duplicate_of_an_idempotent_producer_is_answered_with_its_first_offset() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("logs").await;
    let id = client.newest(&InitProducerIdRequest::default()).await.producer_id;
    assert_eq!(
        client
            .produce("logs", 0, stamped(&[b"a", b"b"], id, 0))
            .await
            .base_offset,
        0
    );
    assert_eq!(client.produce("logs", 0, stamped(&[b"c"], id, 2)).await.base_offset, 2);
    let again = client.produce("logs", 0, stamped(&[b"a", b"b"], id, 0)).await;
    assert_eq!((again.error_code, again.base_offset), (0, 0));
    let gap = client.produce("logs", 0, stamped(&[b"e"], id, 9)).await;
    assert_eq!(name_of(gap.error_code), "OUT_OF_ORDER_SEQUENCE_NUMBER");
    assert_eq!(client.fetch("logs", 0, 0).await.high_watermark, 3);
}

#[tokio::test]
async fn each_partition_of_a_request_has_its_own_outcome() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("logs").await;
    let mut request = produce_request("logs", 0, batch(&[b"x"]));
    let data = |index| PartitionProduceData {
        index,
        records: Some(batch(&[b"y"])),
    };
    request.topic_data[0].partition_data.extend([data(1), data(9), data(0)]);
    request.topic_data.push(request.topic_data[0].clone());
    let answer = client.ask(&request, 9).await;
    let outcome = |topic: usize| -> Vec<_> {
        let partitions = answer.responses[topic].partition_responses.iter();
        partitions
            .map(|one| (one.index, name_of(one.error_code), one.base_offset))
            .collect()
    };
    let unknown = "UNKNOWN_TOPIC_OR_PARTITION";
    assert_eq!(
        outcome(0),
        [(0, "NONE", 0), (1, "NONE", 0), (9, unknown, -1), (0, "NONE", 1)]
    );
    assert_eq!(
        outcome(1),
        [(0, "NONE", 2), (1, "NONE", 1), (9, unknown, -1), (0, "NONE", 3)]
    );
}

#[tokio::test]
async fn produce_of_a_client_that_leaves_at_once_is_kept() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("logs").await;
    let mut hasty = server.client().await;
    hasty.send(&produce_request("logs", 0, batch(&[b"x"])), 9).await;
    hasty.socket.shutdown().await.unwrap();
    hasty.rest().await;
    let mut request = fetch_request("logs", 0, 0);
    request.max_wait_ms = 10_000;
    let answer = client.ask(&request, 12).await;
    assert_eq!(answer.responses[0].partitions[0].high_watermark, 1);
}

//! Fetch: what a consumer gets, when it is woken, and how much comes at once.

use std::time::Duration;

use tailrace_shared::config::ByteSize;
use tailrace_shared::kafka::messages::*;
use tailrace_shared::record::Batches;
use tokio::time::{sleep, timeout};

use super::support::*;

fn waiting(mut request: FetchRequest, min_bytes: i32, max_wait_ms: i32) -> FetchRequest {
    request.min_bytes = min_bytes;
    request.max_wait_ms = max_wait_ms;
    request
}

#[tokio::test]
async fn long_poll_is_woken_by_a_produce() {
    let server = Server::start().await;
    let (mut producer, _) = server.with_topic("logs").await;
    let mut consumer = server.client().await;
    let asked = consumer
        .send(&waiting(fetch_request("logs", 0, 0), 1, 600_000), 12)
        .await;
    sleep(Duration::from_millis(50)).await;
    producer.produce("logs", 0, batch(&[b"line"])).await;
    let answer = timeout(Duration::from_secs(30), consumer.receive::<FetchRequest>(asked, 12))
        .await
        .unwrap();
    assert_eq!(answer.responses[0].partitions[0].high_watermark, 1);
}

#[tokio::test]
async fn min_bytes_are_waited_for_and_max_wait_ends_it() {
    let server = Server::start().await;
    let (mut producer, _) = server.with_topic("logs").await;
    producer.produce("logs", 0, batch(&[b"line"])).await;
    let mut consumer = server.client().await;
    let short = waiting(fetch_request("logs", 0, 0), 1_000, 20);
    let answer = consumer.ask(&short, 12).await;
    assert!(
        !answer.responses[0].partitions[0].records.as_ref().unwrap().is_empty(),
        "what there is, in the end"
    );
    let asked = consumer
        .send(&waiting(fetch_request("logs", 0, 0), 1_000, 600_000), 12)
        .await;
    let early = timeout(Duration::from_millis(50), consumer.socket.peek(&mut [0])).await;
    assert!(early.is_err(), "there is too little");
    producer.produce("logs", 0, batch(&[&[7; 2_000]])).await;
    let answer = timeout(Duration::from_secs(30), consumer.receive::<FetchRequest>(asked, 12))
        .await
        .unwrap();
    assert_eq!(answer.responses[0].partitions[0].high_watermark, 2);
}

#[tokio::test]
async fn deleted_topic_ends_the_poll() {
    let server = Server::start().await;
    let (mut admin, first) = server.with_topic("logs").await;
    let mut consumer = server.client().await;
    let asked = consumer
        .send(&waiting(fetch_request("logs", 0, 0), 1, 600_000), 12)
        .await;
    sleep(Duration::from_millis(50)).await;
    let delete = DeleteTopicsRequest {
        topic_names: vec![text("logs")],
        ..Default::default()
    };
    assert_eq!(admin.ask(&delete, 5).await.responses[0].error_code, 0);
    let answer = timeout(Duration::from_secs(30), consumer.receive::<FetchRequest>(asked, 12))
        .await
        .unwrap();
    assert_eq!(
        name_of(answer.responses[0].partitions[0].error_code),
        "UNKNOWN_TOPIC_OR_PARTITION"
    );
    assert_ne!(admin.create_topic("logs").await, first, "the next one is another topic");
    assert_eq!(admin.fetch("logs", 0, 0).await.high_watermark, 0);
}

#[tokio::test]
async fn fetch_inside_a_batch_returns_the_whole_batch() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("logs").await;
    client.produce("logs", 0, batch(&[b"a", b"b", b"c"])).await;
    client.produce("logs", 0, batch(&[b"d"])).await;
    let found = client.fetch("logs", 0, 2).await;
    let starts: Vec<_> = Batches::split(found.records.unwrap().into_bytes(), 1 << 20)
        .map(|batch| batch.unwrap().header.base_offset)
        .collect();
    assert_eq!(starts, [0, 3]);
}

#[tokio::test]
async fn limits_are_kept_but_for_one_batch() {
    let server = Server::start().await;
    let (mut client, _) = server.with_topic("logs").await;
    let line = vec![7; 1_000];
    for partition in [0, 0, 0, 1] {
        client.produce("logs", partition, batch(&[&line])).await;
    }
    let size_of = |answer: &FetchResponse, partition: usize| {
        let found = &answer.responses[0].partitions[partition];
        found.records.as_ref().unwrap().len() / 1_000
    };
    let mut request = fetch_request("logs", 0, 0);
    let second = tailrace_shared::kafka::messages::fetch::FetchPartition {
        partition: 1,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    request.topics[0].partitions.push(second);
    for (max_bytes, partition_max_bytes, expected) in [
        (10, 10, (1, 0)),
        (2_500, 1 << 20, (2, 0)),
        (1 << 20, 10, (1, 1)),
        (1 << 20, 2_500, (2, 1)),
        (0, 0, (1, 0)),
    ] {
        request.max_bytes = max_bytes;
        request.topics[0].partitions[0].partition_max_bytes = partition_max_bytes;
        let answer = client.ask(&request, 12).await;
        let sizes = (size_of(&answer, 0), size_of(&answer, 1));
        assert_eq!(sizes, expected, "{max_bytes} and {partition_max_bytes}");
    }
}

#[tokio::test]
async fn slow_reader_of_much_leaves_others_with_less_and_gives_it_back() {
    const MIB: usize = 1 << 20;
    let server = Server::start_with(|config| config.kafka.fetch_memory = ByteSize::mib(16)).await;
    let (mut producer, _) = server.with_topic("logs").await;
    for _ in 0..15 {
        producer.produce("logs", 0, batch(&[&vec![7; MIB]])).await;
    }
    let mut all = waiting(fetch_request("logs", 0, 0), 1, 100);
    all.max_bytes = i32::MAX;
    all.topics[0].partitions[0].partition_max_bytes = i32::MAX;
    let len = |answer: FetchResponse| answer.responses[0].partitions[0].records.as_ref().unwrap().len() / MIB;
    let mut slow = server.narrow_client().await;
    let asked = slow.send(&all, 12).await;
    slow.socket.readable().await.unwrap();

    let mut other = server.client().await;
    let answer = other.ask(&all, 12).await;
    assert_eq!((answer.error_code, len(answer)), (0, 0), "nothing is left");
    assert_eq!(len(slow.receive::<FetchRequest>(asked, 12).await), 15);
    let served = async { while len(other.ask(&all, 12).await) != 15 {} };
    timeout(Duration::from_secs(30), served).await.unwrap();
}

//! What comes to a port that is open: other protocols, broken clients, hostile lengths. Each is closed, and everybody else
//! is served meanwhile.

use std::time::Duration;

use tailrace_shared::config::{ByteSize, HumanDuration};
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::*;
use tokio::io::AsyncWriteExt;

use super::support::*;

#[tokio::test]
async fn strangers_are_closed_without_a_word_and_others_are_served() {
    let server = Server::start().await;
    let strange: [&[u8]; 9] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff\0\0",
        b"\0\0\0\0",
        b"\0\0\0\x07\0\x12\0\0\0\0\0",
        // An API that nobody knows; a version that nobody speaks; a header cut short by its own length.
        b"\0\0\0\x0a\x03\xe7\0\0\0\0\0\x01\xff\xff",
        b"\0\0\0\x0a\0\x03\0\x63\0\0\0\x01\xff\xff",
        b"\0\0\0\x0a\0\x12\0\0\0\0\0\x01\x7f\xff",
    ];
    for bytes in strange {
        let mut client = server.client().await;
        client.socket.write_all(bytes).await.unwrap();
        assert_eq!(client.rest().await, b"", "{bytes:?}");
    }
    let answer = server.client().await.newest(&ApiVersionsRequest::default()).await;
    assert_eq!(answer.error_code, 0);
}

#[tokio::test]
async fn version_of_api_versions_that_is_too_new_is_answered_in_version_0() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let request = b"\0\0\0\x0b\0\x12\0\x63\0\0\0\x07\xff\xff\0";
    client.socket.write_all(request).await.unwrap();
    let answer = client.receive::<ApiVersionsRequest>(7, 0).await;
    assert_eq!(answer.error_code, ErrorCode::UnsupportedVersion.code());
    let own = answer.api_keys.iter().find(|api| api.api_key == 18).unwrap();
    assert_eq!((own.min_version, own.max_version), (0, 5));
    assert_eq!(
        client.ask(&ApiVersionsRequest::default(), 5).await.error_code,
        0,
        "the connection goes on"
    );
}

#[tokio::test]
async fn client_that_means_another_broker_is_sent_back_to_its_bootstrap_servers() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let cluster = client.newest(&DescribeClusterRequest::default()).await;
    let own = Some(cluster.cluster_id);
    let node = cluster.brokers[0].broker_id;
    let other = Some(text("another"));
    for (cluster_id, node_id, expected) in [
        (None, -1, ErrorCode::None),
        (own.clone(), node, ErrorCode::None),
        (own.clone(), node + 1, ErrorCode::RebootstrapRequired),
        (other.clone(), node, ErrorCode::RebootstrapRequired),
        (other, -1, ErrorCode::InvalidRequest),
        (own, -1, ErrorCode::InvalidRequest),
        (None, node, ErrorCode::InvalidRequest),
    ] {
        let request = ApiVersionsRequest {
            cluster_id,
            node_id,
            ..Default::default()
        };
        let answer = server.client().await.newest(&request).await;
        assert_eq!(answer.error_code, expected.code(), "{request:?}");
        assert_eq!(answer.api_keys.is_empty(), expected.is_error());
    }
}

#[tokio::test]
async fn body_that_cannot_be_read_closes_the_connection() {
    let server = Server::start().await;
    // A Produce with 2^31 - 1 topics; a Metadata that ends in the middle of a name.
    let bodies: [&[u8]; 2] = [
        b"\0\0\0\x16\0\0\0\x03\0\0\0\x01\xff\xff\xff\xff\0\x01\0\0\x75\x30\x7f\xff\xff\xff",
        b"\0\0\0\x11\0\x03\0\0\0\0\0\x01\xff\xff\0\0\0\x01\0\x05x",
    ];
    for bytes in bodies {
        let mut client = server.client().await;
        client.socket.write_all(bytes).await.unwrap();
        assert_eq!(client.rest().await, b"");
    }
}

#[tokio::test]
async fn clients_that_stop_in_a_request_are_dropped_and_hold_nobody_up() {
    let server = Server::start_with(|config| {
        config.kafka.request_memory = ByteSize(1 << 20);
        config.kafka.stall_timeout = HumanDuration(Duration::from_millis(300));
    })
    .await;
    let (mut client, _) = server.with_topic("logs").await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        let mut one = server.client().await;
        one.socket.write_all(b"\0\x0f\xff\xff\0\0\0\x03").await.unwrap();
        silent.push(one);
    }
    assert_eq!(client.produce("logs", 0, batch(&[b"small"])).await.error_code, 0);
    let large = vec![7; 500_000];
    assert_eq!(
        client.produce("logs", 0, batch(&[&large])).await.error_code,
        0,
        "its turn comes"
    );
}

#[tokio::test]
async fn client_that_does_not_read_is_dropped() {
    let server =
        Server::start_with(|config| config.kafka.stall_timeout = HumanDuration(Duration::from_millis(300))).await;
    let (mut client, _) = server.with_topic("logs").await;
    let large = vec![7; 1_000_000];
    for _ in 0..20 {
        assert_eq!(client.produce("logs", 0, batch(&[&large])).await.error_code, 0);
    }
    let mut greedy = server.client().await;
    let mut request = fetch_request("logs", 0, 0);
    request.max_bytes = i32::MAX;
    request.topics[0].partitions[0].partition_max_bytes = i32::MAX;
    greedy.send(&request, 12).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(greedy.rest().await.len() < 20_000_000, "it was cut off");
    assert_eq!(client.newest(&ApiVersionsRequest::default()).await.error_code, 0);
}

#[tokio::test]
async fn long_poll_of_a_client_that_is_gone_ends() {
    let server = Server::start_with(|config| config.kafka.connections_max = 2).await;
    let (mut client, _) = server.with_topic("logs").await;
    for _ in 0..3 {
        let mut gone = server.client().await;
        let mut request = fetch_request("logs", 0, 0);
        request.max_wait_ms = i32::MAX;
        gone.send(&request, 12).await;
        drop(gone);
    }
    // There is one place, so this waits until the others have given it back.
    let mut next = server.client().await;
    let served = tokio::time::timeout(Duration::from_secs(10), next.newest(&ApiVersionsRequest::default())).await;
    assert_eq!(served.unwrap().error_code, 0);
    assert_eq!(client.newest(&ApiVersionsRequest::default()).await.error_code, 0);
}

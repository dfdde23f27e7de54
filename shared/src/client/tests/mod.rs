//! The client against a small cluster that answers, lies, moves and dies.

mod fake;
mod transport;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use self::fake::{FakeCluster, Fault, TOPIC};
use super::*;
use crate::kafka::messages::{FetchRequest, MetadataRequest};
use crate::kafka::{ApiKey, ErrorCode};
use crate::record::{BatchBuilder, Compression, RecordHeaders};

fn batch(timestamp: i64, lines: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::Zstd, 1).unwrap();
    for line in lines {
        builder
            .append(timestamp, None, Some(line.as_bytes()), &RecordHeaders::empty())
            .unwrap();
    }
    builder.finish().unwrap()
}

fn lines(batches: &[FetchedBatch]) -> Vec<(i64, String)> {
    let records = batches
        .iter()
        .flat_map(|batch| batch.records().unwrap())
        .map(Result::unwrap);
    records
        .map(|record| {
            (
                record.offset,
                String::from_utf8(record.value.unwrap().to_vec()).unwrap(),
            )
        })
        .collect()
}

async fn next_lines(fetcher: &mut Fetcher) -> Vec<(i64, String)> {
    loop {
        let lines = lines(&fetcher.next().await.unwrap());
        if !lines.is_empty() {
            return lines;
        }
    }
}

fn fetcher(cluster: Cluster, partition: i32, offset: i64) -> Fetcher {
    Fetcher::new(cluster, TOPIC, [(partition, offset)].into(), FetchOptions::default())
}

async fn producer(fake: &FakeCluster) -> Producer {
    Producer::start(fake.client(), TOPIC, Duration::from_secs(20))
        .await
        .unwrap()
}

#[tokio::test]
async fn the_highest_common_version_is_spoken() {
    let fake = FakeCluster::start(1, 1)
        .await
        .offering_at_most(&[(ApiKey::Metadata, 9)]);
    let broker = fake.client().any_broker().await.unwrap();
    assert_eq!(broker.version_of::<MetadataRequest>().unwrap(), 9);
    assert_eq!(
        broker.version_of::<FetchRequest>().unwrap(),
        *ApiKey::Fetch.versions().end()
    );
    broker.send(&MetadataRequest::default()).await.unwrap();
    assert!(fake.state.lock().requests.contains(&(0, ApiKey::Metadata, 9)));
}

#[tokio::test]
async fn an_old_broker_is_asked_again_in_version_0() {
    let fake = FakeCluster::start(1, 1)
        .await
        .offering_at_most(&[(ApiKey::ApiVersions, 0)]);
    fake.client().refresh(&[TOPIC]).await.unwrap();
    assert_eq!(fake.asked(ApiKey::ApiVersions), 2);
}

#[tokio::test]
async fn no_common_version_names_both_sides() {
    let fake = FakeCluster::start(1, 1).await.offering_at_most(&[(ApiKey::Fetch, 3)]);
    let broker = fake.client().any_broker().await.unwrap();
    let error = broker.send(&FetchRequest::default()).await.unwrap_err();
    assert!(!error.is_retriable());
    let ClientError::Version { ours, theirs, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(
        (ours, theirs.map(|theirs| *theirs.end())),
        (ApiKey::Fetch.versions(), Some(3))
    );
}

#[tokio::test]
async fn something_else_on_the_port_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream.read_u8().await.ok();
    });
    let error = Connection::connect(&address, &ConnectionOptions::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("is it a Kafka port?"), "{error}");
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn the_next_bootstrap_address_is_tried() {
    let fake = FakeCluster::start(1, 1).await;
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let live = fake.state.lock().addresses[0].clone();
    let options = |bootstrap| ClusterOptions {
        bootstrap,
        ..Default::default()
    };
    Cluster::new(options(vec![closed.clone(), live]))
        .refresh(&[])
        .await
        .unwrap();

    let error = Cluster::new(options(vec![closed.clone()]))
        .refresh(&[])
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ClientError::Connect { address, .. } if *address == closed),
        "{error}"
    );
    let error = Cluster::new(options(vec![])).refresh(&[]).await.unwrap_err();
    assert!(matches!(error, ClientError::NoAddress), "{error}");
}

#[tokio::test]
async fn many_who_miss_ask_once() {
    let fake = FakeCluster::start(1, 3).await;
    let cluster = fake.client();
    let topic = TOPIC;
    let asking = (0..20).map(|_| cluster.topic(&topic));
    let topics = futures::future::try_join_all(asking).await.unwrap();
    assert!(topics.iter().all(|topic| topic.partitions.len() == 3));
    assert_eq!(fake.asked(ApiKey::Metadata), 1);
    assert_eq!(fake.asked(ApiKey::ApiVersions), 1, "one connection");
    assert_eq!(cluster.metadata().cluster_id.as_deref(), Some("fake"));
}

#[tokio::test]
async fn a_topic_that_is_refused_is_an_error_with_its_name() {
    let fake = FakeCluster::start(1, 1).await;
    fake.inject(ApiKey::Metadata, Fault::Refuse(ErrorCode::TopicAuthorizationFailed));
    let error = fake.client().topic(&TOPIC).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TopicAuthorizationFailed));
    assert!(
        error.to_string().contains("topic t: TOPIC_AUTHORIZATION_FAILED"),
        "{error}"
    );
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_nothing_doubled() {
    let fake = FakeCluster::start(1, 1).await;
    let mut producer = producer(&fake).await;
    fake.inject(ApiKey::Produce, Fault::LoseAnswer);
    let first = producer.send(0, batch(0, &["a", "b"])).await.unwrap();
    let second = producer.send(0, batch(0, &["c"])).await.unwrap();
    assert_eq!((first.base_offset, second.base_offset), (Some(0), Some(2)));
    assert_eq!(fake.asked(ApiKey::Produce), 3);
    assert_eq!(fake.state.lock().logs[0].len(), 2);
}

#[tokio::test]
async fn a_producer_follows_its_leader() {
    let fake = FakeCluster::start(2, 1).await;
    let mut producer = producer(&fake).await;
    producer.send(0, batch(0, &["a"])).await.unwrap();
    fake.state.lock().leaders = vec![1];
    producer.send(0, batch(0, &["b"])).await.unwrap();
    let at = |node| {
        fake.state
            .lock()
            .requests
            .iter()
            .filter(|it| (it.0, it.1) == (node, ApiKey::Produce))
            .count()
    };
    assert_eq!((at(0), at(1)), (2, 1));
}

#[tokio::test]
async fn after_a_failure_a_producer_takes_no_more_for_the_partition() {
    let fake = FakeCluster::start(1, 2).await;
    let mut producer = producer(&fake).await;
    fake.inject(ApiKey::Produce, Fault::Refuse(ErrorCode::MessageTooLarge));
    let error = producer.send(0, batch(0, &["a"])).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::MessageTooLarge));
    let error = producer.send(0, batch(0, &["b"])).await.unwrap_err();
    assert!(matches!(error, ClientError::Abandoned { partition: 0, .. }), "{error}");
    producer.send(1, batch(0, &["c"])).await.unwrap();
}

#[tokio::test]
async fn offsets_are_listed_by_place_and_by_time() {
    let fake = FakeCluster::start(1, 2).await;
    fake.append(0, batch(100, &["a", "b"]));
    fake.append(0, batch(200, &["c"]));
    let cluster = fake.client();
    let list = async |spec| list_offsets(&cluster, &TOPIC, &[0, 1], spec).await.unwrap();
    assert_eq!(list(OffsetSpec::Earliest).await, [(0, 0), (1, 0)].into());
    assert_eq!(list(OffsetSpec::Latest).await, [(0, 3), (1, 0)].into());
    assert_eq!(list(OffsetSpec::At(150)).await, [(0, 2), (1, 0)].into());
    assert_eq!(
        list(OffsetSpec::At(300)).await,
        [(0, 3), (1, 0)].into(),
        "behind the last"
    );
    fake.inject(ApiKey::ListOffsets, Fault::Refuse(ErrorCode::NotLeaderOrFollower));
    assert_eq!(list(OffsetSpec::Latest).await[&0], 3, "what may pass is retried");
}

#[tokio::test]
async fn a_fetch_inside_a_batch_gives_its_later_records() {
    let fake = FakeCluster::start(1, 1).await;
    fake.append(0, batch(0, &["a", "b", "c"]));
    let mut fetcher = fetcher(fake.client(), 0, 1);
    assert_eq!(
        next_lines(&mut fetcher).await,
        [(1, "b".to_owned()), (2, "c".to_owned())]
    );
    assert_eq!(fetcher.positions(), [(0, 3)].into());

    // At the end it waits, and goes on when there is more.
    assert!(lines(&fetcher.next().await.unwrap()).is_empty());
    fake.append(0, batch(0, &["d"]));
    assert_eq!(next_lines(&mut fetcher).await, [(3, "d".to_owned())]);
}

#[tokio::test]
async fn a_fetcher_survives_hang_ups_and_moves() {
    let fake = FakeCluster::start(2, 1).await;
    let mut fetcher = fetcher(fake.client(), 0, 0);
    for (line, node, fault) in [
        ("a", 0, Fault::HangUp),
        ("b", 1, Fault::LoseAnswer),
        ("c", 0, Fault::HangUp),
    ] {
        fake.state.lock().leaders = vec![node];
        fake.inject(ApiKey::Fetch, fault);
        fake.append(0, batch(0, &[line]));
        let fetched = next_lines(&mut fetcher).await;
        assert_eq!(fetched.iter().map(|(_, line)| line).collect::<Vec<_>>(), [line]);
    }
}

#[tokio::test]
async fn a_partition_without_leader_does_not_hold_up_the_others() {
    let fake = FakeCluster::start(1, 2).await;
    fake.state.lock().leaders = vec![-1, 0];
    fake.append(0, batch(0, &["held up"]));
    fake.append(1, batch(0, &["prompt"]));
    let positions = [(0, 0), (1, 0)].into();
    let mut fetcher = Fetcher::new(fake.client(), TOPIC, positions, FetchOptions::default());
    assert_eq!(next_lines(&mut fetcher).await, [(0, "prompt".to_owned())]);
    fake.state.lock().leaders = vec![0, 0];
    assert_eq!(next_lines(&mut fetcher).await, [(0, "held up".to_owned())]);
}

#[tokio::test]
async fn an_offset_out_of_range_is_for_the_caller_to_decide() {
    let fake = FakeCluster::start(1, 1).await;
    fake.append(0, batch(0, &["a"]));
    let mut fetcher = fetcher(fake.client(), 0, 99);
    let error = fetcher.next().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::OffsetOutOfRange));
    assert!(
        error.to_string().contains("partition 0 of topic t at offset 99"),
        "{error}"
    );
    fetcher.seek(0, 0);
    assert_eq!(next_lines(&mut fetcher).await, [(0, "a".to_owned())]);
}

#[tokio::test]
async fn dropping_next_loses_nothing() {
    let fake = FakeCluster::start(1, 1).await;
    let mut fetcher = fetcher(fake.client(), 0, 0);
    for _ in 0..20 {
        tokio::time::timeout(Duration::from_millis(1), fetcher.next())
            .await
            .ok();
    }
    fake.append(0, batch(0, &["a"]));
    assert_eq!(next_lines(&mut fetcher).await, [(0, "a".to_owned())]);
}

#[tokio::test]
async fn a_fetcher_can_run_in_a_task_of_its_own() {
    let fake = FakeCluster::start(1, 1).await;
    fake.append(0, batch(0, &["a"]));
    let mut fetcher = fetcher(fake.client(), 0, 0);
    let fetched = tokio::spawn(async move { next_lines(&mut fetcher).await })
        .await
        .unwrap();
    assert_eq!(fetched.len(), 1);
}

fn member(fake: &FakeCluster) -> GroupMember {
    let options = GroupOptions {
        group: "g".into(),
        topics: vec![TOPIC],
        session_timeout: Duration::from_secs(10),
        rebalance_timeout: Duration::from_secs(10),
    };
    GroupMember::new(fake.client(), options)
}

async fn a_member_joins_commits_and_leaves(fake: FakeCluster) {
    let mut member = member(&fake);
    let assignment = member.join().await.unwrap();
    assert_eq!(assignment, [(TOPIC, vec![0, 1])].into());
    assert_eq!(member.heartbeat().await.unwrap(), Health::Stable);
    assert_eq!(member.committed(&assignment).await.unwrap(), Offsets::new());

    let offsets: Offsets = [(TOPIC, BTreeMap::from([(1, 42)]))].into();
    member.commit(&offsets).await.unwrap();
    assert_eq!(fake.state.lock().committed, [(1, 42)].into());
    assert_eq!(member.committed(&assignment).await.unwrap(), offsets);

    fake.inject(ApiKey::Heartbeat, Fault::Refuse(ErrorCode::RebalanceInProgress));
    assert_eq!(member.heartbeat().await.unwrap(), Health::Rejoin);
    member.join().await.unwrap();
    member.commit(&offsets).await.unwrap();
    member.leave().await.unwrap();
    assert_eq!(fake.asked(ApiKey::LeaveGroup), 1);
}

#[tokio::test]
async fn a_member_joins_commits_and_leaves_in_the_newest_versions() {
    a_member_joins_commits_and_leaves(FakeCluster::start(1, 2).await).await;
}

#[tokio::test]
async fn a_member_joins_commits_and_leaves_in_old_versions() {
    let old = [
        (ApiKey::FindCoordinator, 3),
        (ApiKey::JoinGroup, 4),
        (ApiKey::SyncGroup, 2),
        (ApiKey::OffsetCommit, 5),
        (ApiKey::OffsetFetch, 7),
        (ApiKey::LeaveGroup, 2),
    ];
    a_member_joins_commits_and_leaves(FakeCluster::start(1, 2).await.offering_at_most(&old)).await;
}

#[tokio::test]
async fn a_member_outlives_its_coordinator() {
    let fake = FakeCluster::start(1, 1).await;
    let mut member = member(&fake);
    fake.inject(ApiKey::JoinGroup, Fault::HangUp);
    fake.inject(ApiKey::SyncGroup, Fault::Refuse(ErrorCode::NotCoordinator));
    member.join().await.unwrap();
    fake.inject(ApiKey::Heartbeat, Fault::HangUp);
    assert_eq!(member.heartbeat().await.unwrap(), Health::Stable);
    fake.inject(ApiKey::OffsetCommit, Fault::Refuse(ErrorCode::GroupAuthorizationFailed));
    let offsets = [(TOPIC, BTreeMap::from([(0, 1)]))].into();
    let error = member.commit(&offsets).await.unwrap_err();
    assert!(
        error.to_string().contains("group g: GROUP_AUTHORIZATION_FAILED"),
        "{error}"
    );
}

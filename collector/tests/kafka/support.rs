//! A collector in this process, and a client that sends whatever it is told, in whichever version.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use tailrace_collector::config::CollectorConfig;
use tailrace_collector::server::Collector;
use tailrace_shared::config::{ByteSize, HumanDuration, ListenAddr};
use tailrace_shared::kafka::frame::{decode_response, encode_request};
use tailrace_shared::kafka::messages::create_topics::CreatableTopic;
use tailrace_shared::kafka::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use tailrace_shared::kafka::messages::produce::{PartitionProduceData, PartitionProduceResponse, TopicProduceData};
use tailrace_shared::kafka::messages::*;
use tailrace_shared::kafka::{ErrorCode, Request};
use tailrace_shared::record::{BatchBuilder, Compression, RecordHeaders, restamp};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

/// A collector with a runtime of its own, so that it can stop in good order when a test lets it go.
pub(crate) struct Server {
    addr: SocketAddr,
    running: Option<(Runtime, Collector)>,
    _dir: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(configure: impl FnOnce(&mut CollectorConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = CollectorConfig::new(dir.path().join("data"));
        config.kafka.listen = ListenAddr::loopback(0);
        config.http.listen = ListenAddr::loopback(0);
        config.wal.file_bytes = ByteSize(16 << 20);
        config.topics.partitions = 2;
        config.groups.initial_rebalance_delay = HumanDuration(Duration::from_millis(10));
        configure(&mut config);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let starting = runtime.spawn(async move { Collector::start(&config).await });
        let collector = starting.await.unwrap().unwrap();
        Self {
            addr: collector.kafka_addrs()[0],
            running: Some((runtime, collector)),
            _dir: dir,
        }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::on(TcpStream::connect(self.addr).await.unwrap())
    }

    /// A client whose socket holds little that was not read yet.
    pub(crate) async fn narrow_client(&self) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(64 << 10).unwrap();
        Client::on(socket.connect(self.addr).await.unwrap())
    }

    /// A client, and a topic of two partitions.
    pub(crate) async fn with_topic(&self, name: &str) -> (Client, Uuid) {
        let mut client = self.client().await;
        let id = client.create_topic(name).await;
        (client, id)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some((runtime, collector)) = self.running.take() {
            let (stopped, wait) = std::sync::mpsc::sync_channel::<()>(1);
            runtime.spawn(async move {
                collector.stop().await;
                drop(stopped);
            });
            wait.recv().unwrap_err();
            runtime.shutdown_background();
        }
    }
}

pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    correlation_id: i32,
}

impl Client {
    fn on(socket: TcpStream) -> Self {
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            correlation_id: 0,
        }
    }

    /// Sends a request and reads its answer; the test fails if the connection is closed instead.
    pub(crate) async fn ask<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        let correlation_id = self.send(request, version).await;
        self.receive::<R>(correlation_id, version).await
    }

    pub(crate) async fn newest<R: Request>(&mut self, request: &R) -> R::Response {
        self.ask(request, *R::VERSIONS.end()).await
    }

    pub(crate) async fn send<R: Request>(&mut self, request: &R, version: i16) -> i32 {
        self.correlation_id += 1;
        let frame = encode_request(request, version, self.correlation_id, Some(&"test".into()));
        let frame = frame.unwrap_or_else(|error| panic!("{:?} {version}: {error}", R::API));
        self.socket.write_all(&frame.into_bytes()).await.unwrap();
        self.correlation_id
    }

    pub(crate) async fn receive<R: Request>(&mut self, correlation_id: i32, version: i16) -> R::Response {
        let frame = self
            .frame()
            .await
            .unwrap_or_else(|| panic!("{:?} {version}: connection closed", R::API));
        let (header, response) = decode_response::<R::Response>(frame, version)
            .unwrap_or_else(|error| panic!("{:?} {version}: {error}", R::API));
        assert_eq!(header.correlation_id, correlation_id);
        response
    }

    /// The next frame; none when the connection is closed.
    pub(crate) async fn frame(&mut self) -> Option<Bytes> {
        let length = self.socket.read_u32().await.ok()?;
        let mut frame = BytesMut::zeroed(usize::try_from(length).unwrap());
        self.socket.read_exact(&mut frame).await.ok()?;
        Some(frame.freeze())
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), self.socket.read_to_end(&mut rest)).await;
        drop(read.expect("the connection stays open"));
        rest
    }

    pub(crate) async fn create_topic(&mut self, name: &str) -> Uuid {
        let request = CreateTopicsRequest {
            topics: vec![new_topic(name)],
            ..Default::default()
        };
        let answer = self.newest(&request).await.topics.remove(0);
        assert_eq!(answer.error_code, 0, "{answer:?}");
        answer.topic_id
    }

    pub(crate) async fn produce(&mut self, topic: &str, partition: i32, records: Bytes) -> PartitionProduceResponse {
        let answer = self.ask(&produce_request(topic, partition, records), 12).await;
        answer.responses[0].partition_responses[0].clone()
    }

    pub(crate) async fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> PartitionData {
        let answer = self.ask(&fetch_request(topic, partition, offset), 12).await;
        answer.responses[0].partitions[0].clone()
    }
}

pub(crate) fn new_topic(name: &str) -> CreatableTopic {
    CreatableTopic {
        name: name.into(),
        num_partitions: 2,
        replication_factor: 1,
        ..Default::default()
    }
}

pub(crate) fn produce_request(topic: &str, index: i32, records: Bytes) -> ProduceRequest {
    ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: topic.into(),
            partition_data: vec![PartitionProduceData {
                index,
                records: Some(records),
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

pub(crate) fn fetch_request(topic: &str, partition: i32, fetch_offset: i64) -> FetchRequest {
    FetchRequest {
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![FetchTopic {
            topic: topic.into(),
            partitions: vec![FetchPartition {
                partition,
                fetch_offset,
                partition_max_bytes: 1 << 20,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A batch of these values.
pub(crate) fn batch(values: &[&[u8]]) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None, 0).unwrap();
    for value in values {
        builder
            .append(1_000, None, Some(value), &RecordHeaders::empty())
            .unwrap();
    }
    builder.finish().unwrap()
}

/// The same of an idempotent producer.
pub(crate) fn stamped(values: &[&[u8]], producer_id: i64, sequence: i32) -> Bytes {
    let mut bytes = batch(values).to_vec();
    restamp(&mut bytes, producer_id, 0, sequence).unwrap();
    bytes.into()
}

pub(crate) fn name_of(code: i16) -> &'static str {
    ErrorCode::from_code(code).name()
}

pub(crate) fn text(value: &str) -> ByteString {
    value.into()
}

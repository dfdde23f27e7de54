//! Delivery over TCP in Kafka's own words: the model of a broker behind the wire protocol.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use parking_lot::Mutex;
use tailrace_shared::client::{Cluster, ClusterOptions};
use tailrace_shared::clock::SystemClock;
use tailrace_shared::disk::RealDisk;
use tailrace_shared::kafka::messages::api_versions::ApiVersion;
use tailrace_shared::kafka::messages::describe_producers::{PartitionResponse, ProducerState, TopicResponse};
use tailrace_shared::kafka::messages::fetch::{FetchableTopicResponse, PartitionData};
use tailrace_shared::kafka::messages::list_offsets::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use tailrace_shared::kafka::messages::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use tailrace_shared::kafka::messages::produce::{PartitionProduceResponse, TopicProduceResponse};
use tailrace_shared::kafka::messages::*;
use tailrace_shared::kafka::{ApiKey, ErrorCode, Message, RequestHeader, frame};
use tailrace_shared::record::BatchHeader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::broker::{Broker, Kind, Partition};
use crate::deliver::{Brokers, Deliver, DeliverOptions, KafkaBrokers};
use crate::spool::testing::{batch, position};
use crate::spool::{Producer, Spool, SpoolOptions, Stamp};
use crate::stretch::Stretch;

const TOPIC: &str = "logs";
const NODE: i32 = 3;

struct Server {
    broker: Mutex<Broker>,
    port: u16,
    /// The answers to so many Produce requests are lost: the connection closes instead.
    answers_to_lose: AtomicU32,
}

impl Server {
    async fn start(partitions: usize) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut broker = Broker::new(Kind::Kafka);
        broker.create(TOPIC, partitions);
        let server = Arc::new(Self {
            broker: Mutex::new(broker),
            port: listener.local_addr().unwrap().port(),
            answers_to_lose: AtomicU32::new(0),
        });
        let accepting = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&accepting).serve(stream));
            }
        });
        server
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        while let Ok(length) = stream.read_u32().await {
            let mut request = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut request).await.unwrap();
            let Some(answer) = self.answer(request.into()) else {
                return;
            };
            if stream.write_all(&answer).await.is_err() {
                return;
            }
        }
    }

    fn answer(&self, mut request: Bytes) -> Option<Bytes> {
        let header = RequestHeader::decode(&mut request).unwrap();
        let (version, id) = (header.api_version, header.correlation_id);
        Some(match header.api().unwrap() {
            ApiKey::ApiVersions => respond(&api_versions(), version, id),
            ApiKey::Metadata => respond(&self.metadata(), version, id),
            ApiKey::InitProducerId => respond(&self.init_producer(), version, id),
            ApiKey::Produce => {
                let answer = self.produce(read(request, version));
                let lose = |left: u32| left.checked_sub(1);
                if self
                    .answers_to_lose
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, lose)
                    .is_ok()
                {
                    return None;
                }
                respond(&answer, version, id)
            }
            ApiKey::DescribeProducers => respond(&self.describe_producers(&read(request, version)), version, id),
            ApiKey::ListOffsets => respond(&self.list_offsets(&read(request, version)), version, id),
            ApiKey::Fetch => respond(&self.fetch(&read(request, version)), version, id),
            other => panic!("the agent has no use for {other}"),
        })
    }

    fn metadata(&self) -> MetadataResponse {
        let broker = self.broker.lock();
        let topics = broker.topics.iter().map(|(name, topic)| MetadataResponseTopic {
            error_code: broker.hides_with.map_or(0, ErrorCode::code),
            name: Some(ByteString::from(&**name)),
            topic_id: topic.id,
            partitions: (0..topic.partitions.len())
                .map(|index| MetadataResponsePartition {
                    partition_index: i32::try_from(index).unwrap(),
                    leader_id: NODE,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
        MetadataResponse {
            brokers: vec![MetadataResponseBroker {
                node_id: NODE,
                host: "127.0.0.1".into(),
                port: self.port.into(),
                rack: None,
            }],
            cluster_id: Some(ByteString::from(&*broker.cluster_id)),
            topics: topics.collect(),
            ..Default::default()
        }
    }

    fn init_producer(&self) -> InitProducerIdResponse {
        InitProducerIdResponse {
            producer_id: self.broker.lock().init_producer().id,
            ..Default::default()
        }
    }

    fn produce(&self, request: ProduceRequest) -> ProduceResponse {
        assert_eq!(request.acks, -1);
        let responses = request.topic_data.into_iter().map(|topic| {
            let answers = topic.partition_data.into_iter().map(|data| {
                let records = data.records.unwrap();
                let header = BatchHeader::decode(&records).unwrap();
                let stamp = Stamp {
                    cluster_id: "".into(),
                    topic_id: topic.topic_id,
                    partition: data.index,
                    producer: Producer {
                        id: header.producer_id,
                        epoch: header.producer_epoch,
                    },
                    base_sequence: header.base_sequence,
                };
                let (code, base_offset) = self.broker.lock().produce(TOPIC, &stamp, records);
                PartitionProduceResponse {
                    index: data.index,
                    error_code: code.code(),
                    base_offset,
                    ..Default::default()
                }
            });
            TopicProduceResponse {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partition_responses: answers.collect(),
            }
        });
        ProduceResponse {
            responses: responses.collect(),
            ..Default::default()
        }
    }

    fn with_partition<T>(&self, index: i32, look: impl FnOnce(&Partition) -> T) -> T {
        look(&self.broker.lock().topics[TOPIC].partitions[usize::try_from(index).unwrap()])
    }

    fn describe_producers(&self, request: &DescribeProducersRequest) -> DescribeProducersResponse {
        let may_describe = self.broker.lock().may_describe;
        let asked = &request.topics[0];
        let partitions = asked.partition_indexes.iter().map(|index| PartitionResponse {
            partition_index: *index,
            error_code: if may_describe {
                0
            } else {
                ErrorCode::TopicAuthorizationFailed.code()
            },
            active_producers: self.with_partition(*index, |partition| {
                let known = partition
                    .last_sequences()
                    .map(|(producer, last_sequence)| ProducerState {
                        producer_id: producer.id,
                        producer_epoch: producer.epoch.into(),
                        last_sequence,
                        ..Default::default()
                    });
                known.collect()
            }),
            ..Default::default()
        });
        DescribeProducersResponse {
            topics: vec![TopicResponse {
                name: asked.name.clone(),
                partitions: partitions.collect(),
            }],
            ..Default::default()
        }
    }

    fn list_offsets(&self, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let asked = &request.topics[0];
        let partitions = asked.partitions.iter().map(|wanted| ListOffsetsPartitionResponse {
            partition_index: wanted.partition_index,
            offset: self.with_partition(wanted.partition_index, |partition| match wanted.timestamp {
                -1 => partition.end(),
                // All batches of these tests have one timestamp.
                _ => 0,
            }),
            ..Default::default()
        });
        ListOffsetsResponse {
            topics: vec![ListOffsetsTopicResponse {
                name: asked.name.clone(),
                partitions: partitions.collect(),
            }],
            ..Default::default()
        }
    }

    /// One batch in each answer, so that reading a log takes several.
    fn fetch(&self, request: &FetchRequest) -> FetchResponse {
        let asked = &request.topics[0];
        let partitions = asked.partitions.iter().map(|wanted| {
            self.with_partition(wanted.partition, |partition| PartitionData {
                partition_index: wanted.partition,
                high_watermark: partition.end(),
                records: partition.batch_from(wanted.fetch_offset).map(Into::into),
                ..Default::default()
            })
        });
        FetchResponse {
            responses: vec![FetchableTopicResponse {
                topic: asked.topic.clone(),
                topic_id: asked.topic_id,
                partitions: partitions.collect(),
            }],
            ..Default::default()
        }
    }

    fn lines(&self) -> Vec<String> {
        let broker = self.broker.lock();
        let partitions = broker.topics[TOPIC].partitions.iter();
        partitions.flat_map(Partition::lines).cloned().collect()
    }
}

fn api_versions() -> ApiVersionsResponse {
    let api_keys = ApiKey::ALL.iter().map(|api| ApiVersion {
        api_key: api.code(),
        min_version: *api.versions().start(),
        max_version: *api.versions().end(),
    });
    ApiVersionsResponse {
        api_keys: api_keys.collect(),
        ..Default::default()
    }
}

fn respond(answer: &impl Message, version: i16, correlation_id: i32) -> Bytes {
    frame::encode_response(answer, version, correlation_id)
        .unwrap()
        .into_bytes()
}

fn read<M: Message>(body: Bytes, version: i16) -> M {
    M::decode_exact(body, version).unwrap()
}

fn start(dir: &Path, server: &Server) -> (Arc<Spool>, Deliver) {
    let cluster = Cluster::new(ClusterOptions {
        bootstrap: vec![format!("127.0.0.1:{}", server.port)],
        ..Default::default()
    });
    let disk = Arc::new(RealDisk);
    let sizes = SpoolOptions {
        max_bytes: 8 * 65536,
        file_bytes: 65536,
        ..SpoolOptions::default()
    };
    let (opened, recovered) = Spool::open(disk.clone(), dir, &sizes).unwrap();
    let options = DeliverOptions::new(disk, dir.to_owned(), Arc::new(SystemClock::new()), 0);
    let brokers = Arc::new(KafkaBrokers::new(cluster));
    let on_fatal = Box::new(|error| panic!("{error}"));
    Deliver::start(opened, &recovered, brokers, options, on_fatal).unwrap()
}

async fn append(spool: &Spool, deliver: &Deliver, lines: std::ops::Range<u64>) {
    for line in lines {
        let route = deliver.routes().route(TOPIC, 0);
        let stretch = Stretch {
            batches: vec![batch(TOPIC, route, &[line.to_string()])],
            positions: vec![position(1, line + 1)],
            ..Stretch::default()
        };
        spool.append(stretch).await.unwrap();
    }
}

async fn until(mut condition: impl FnMut() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn numbers(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|line| line.to_string()).collect()
}

#[tokio::test]
async fn lines_arrive_over_tcp_though_answers_are_lost() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(2).await;
    let (spool, deliver) = start(dir.path(), &server);
    append(&spool, &deliver, 0..5).await;
    until(|| deliver.stats().batches_waiting == 0).await;
    server.answers_to_lose.store(2, Ordering::SeqCst);
    append(&spool, &deliver, 5..20).await;
    until(|| deliver.stats().batches_waiting == 0).await;
    deliver.stop(Duration::ZERO).await;
    spool.stop();
    assert_eq!(server.lines(), numbers(0..20));
}

#[tokio::test]
async fn a_topic_that_cannot_be_had_is_told_of_with_its_error() {
    let server = Server::start(2).await;
    let cluster = Cluster::new(ClusterOptions {
        bootstrap: vec![format!("127.0.0.1:{}", server.port)],
        ..Default::default()
    });
    let brokers = KafkaBrokers::new(cluster);
    let topics = || vec![TOPIC.into()];
    for hides_with in [Some(ErrorCode::TopicAuthorizationFailed), None] {
        server.broker.lock().hides_with = hides_with;
        let view = brokers.view(topics()).await.unwrap();
        let refused = hides_with.map(|code| (TOPIC.into(), code));
        assert_eq!(view.refused, Vec::from_iter(refused));
        assert_eq!(view.topics.len(), usize::from(hides_with.is_none()));
    }
}

#[tokio::test]
async fn a_restarted_agent_reads_the_log_of_a_broker_that_forgot_it() {
    for may_describe in [true, false] {
        for acked in [0, 4] {
            let dir = tempfile::tempdir().unwrap();
            let server = Server::start(1).await;
            let (spool, deliver) = start(dir.path(), &server);
            append(&spool, &deliver, 0..acked).await;
            until(|| deliver.stats().batches_waiting == 0 && server.lines().len() as u64 == acked).await;
            // It arrives, and the agent dies before it hears of it.
            server.answers_to_lose.store(u32::MAX, Ordering::SeqCst);
            append(&spool, &deliver, acked..acked + 3).await;
            until(|| server.lines().len() as u64 > acked).await;
            deliver.stop(Duration::ZERO).await;
            spool.stop();

            server.broker.lock().forget_producers();
            server.broker.lock().may_describe = may_describe;
            server.answers_to_lose.store(0, Ordering::SeqCst);
            let (spool, deliver) = start(dir.path(), &server);
            append(&spool, &deliver, acked + 3..acked + 6).await;
            until(|| deliver.stats().batches_waiting == 0).await;
            assert_eq!(deliver.stats().records_possibly_doubled, 0);
            deliver.stop(Duration::ZERO).await;
            spool.stop();
            assert_eq!(server.lines(), numbers(0..acked + 6));
        }
    }
}

//! A cluster of a few hundred lines that speaks with the same codec: one topic `t`, logs in memory, one consumer group,
//! and faults on demand.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::client::{Cluster, ClusterOptions};
use crate::kafka::messages::api_versions::ApiVersion;
use crate::kafka::messages::fetch::{FetchableTopicResponse, PartitionData};
use crate::kafka::messages::find_coordinator::Coordinator;
use crate::kafka::messages::join_group::JoinGroupResponseMember;
use crate::kafka::messages::list_offsets::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use crate::kafka::messages::metadata::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use crate::kafka::messages::offset_commit::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use crate::kafka::messages::offset_fetch::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use crate::kafka::messages::produce::{PartitionProduceResponse, TopicProduceResponse};
use crate::kafka::messages::*;
use crate::kafka::{ApiKey, ErrorCode, Message, RequestHeader, frame};
use crate::record::{BatchHeader, Batches, patch_base_offset};

pub(super) const TOPIC: ByteString = ByteString::from_static("t");
const TOPIC_ID: Uuid = Uuid::from_u128(7);
const MEMBER: ByteString = ByteString::from_static("member-1");

/// What happens to the next request of an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is refused with a code.
    Refuse(ErrorCode),
    /// The connection closes instead of it.
    HangUp,
    /// It takes effect, and the connection closes instead of the answer.
    LoseAnswer,
}

#[derive(Default)]
pub(super) struct State {
    /// By node id.
    pub(super) addresses: Vec<String>,
    /// By partition.
    pub(super) leaders: Vec<i32>,
    pub(super) logs: Vec<Vec<Bytes>>,
    pub(super) faults: Vec<(ApiKey, Fault)>,
    /// All that was asked: node, API, version.
    pub(super) requests: Vec<(i32, ApiKey, i16)>,
    /// Versions above these are not offered.
    pub(super) highest: HashMap<ApiKey, i16>,
    pub(super) committed: BTreeMap<i32, i64>,
    /// The last batch of each producer and partition: its sequence and its offset.
    produced: HashMap<(i64, i32), (i32, i64)>,
    generation: i32,
}

#[derive(Clone, Default)]
pub(super) struct FakeCluster {
    pub(super) state: Arc<Mutex<State>>,
}

impl FakeCluster {
    /// Node 0 leads all partitions at first.
    pub(super) async fn start(nodes: i32, partitions: usize) -> Self {
        let fake = Self::default();
        for node in 0..nodes {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            fake.state
                .lock()
                .addresses
                .push(listener.local_addr().unwrap().to_string());
            tokio::spawn(fake.clone().listen(node, listener));
        }
        fake.state.lock().leaders = vec![0; partitions];
        fake.state.lock().logs = vec![Vec::new(); partitions];
        fake
    }

    /// Offers nothing above these versions.
    pub(super) fn offering_at_most(self, highest: &[(ApiKey, i16)]) -> Self {
        self.state.lock().highest.extend(highest.iter().copied());
        self
    }

    pub(super) fn client(&self) -> Cluster {
        let bootstrap = self.state.lock().addresses.clone();
        Cluster::new(ClusterOptions {
            bootstrap,
            ..Default::default()
        })
    }

    pub(super) fn inject(&self, api: ApiKey, fault: Fault) {
        self.state.lock().faults.push((api, fault));
    }

    pub(super) fn asked(&self, api: ApiKey) -> usize {
        self.state
            .lock()
            .requests
            .iter()
            .filter(|(_, asked, _)| *asked == api)
            .count()
    }

    async fn listen(self, node: i32, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(self.clone().serve(node, stream));
        }
    }

    async fn serve(self, node: i32, mut stream: TcpStream) {
        while let Ok(length) = stream.read_u32().await {
            let mut request = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut request).await.unwrap();
            let Some(answer) = self.answer(node, request.into()).await else {
                return;
            };
            stream.write_all(&answer).await.unwrap();
        }
    }

    async fn answer(&self, node: i32, mut request: Bytes) -> Option<Bytes> {
        let header = RequestHeader::decode(&mut request).unwrap();
        let api = header.api().unwrap();
        self.state.lock().requests.push((node, api, header.api_version));
        let fault = {
            let mut state = self.state.lock();
            let place = state.faults.iter().position(|(faulty, _)| *faulty == api);
            place.map(|place| state.faults.remove(place).1)
        };
        let code = match fault {
            Some(Fault::HangUp) => return None,
            Some(Fault::Refuse(code)) => code.code(),
            Some(Fault::LoseAnswer) | None => 0,
        };
        let version = header.api_version;
        let respond = Respond {
            version,
            correlation_id: header.correlation_id,
        };
        let answer = match api {
            ApiKey::ApiVersions => self.api_versions(respond),
            ApiKey::Metadata => respond.with(self.metadata(code)),
            ApiKey::FindCoordinator => respond.with(self.find_coordinator(version, code)),
            ApiKey::InitProducerId => respond.with(InitProducerIdResponse {
                error_code: code,
                producer_id: 1000,
                ..Default::default()
            }),
            ApiKey::Produce => respond.with(self.produce(node, read(request, version), code)),
            ApiKey::ListOffsets => respond.with(self.list_offsets(node, read(request, version), code)),
            ApiKey::Fetch => respond.with(self.fetch(node, read(request, version), code).await),
            ApiKey::JoinGroup => respond.with(self.join(read(request, version), code)),
            ApiKey::SyncGroup => respond.with(sync(read(request, version), code)),
            ApiKey::Heartbeat => respond.with(HeartbeatResponse {
                error_code: code,
                ..Default::default()
            }),
            ApiKey::OffsetCommit => respond.with(self.commit(read(request, version), code)),
            ApiKey::OffsetFetch => respond.with(self.committed(read(request, version), version, code)),
            ApiKey::LeaveGroup => respond.with(LeaveGroupResponse {
                error_code: code,
                ..Default::default()
            }),
            other => panic!("the fake does not know {other}"),
        };
        (fault != Some(Fault::LoseAnswer)).then_some(answer)
    }

    fn api_versions(&self, respond: Respond) -> Bytes {
        let state = self.state.lock();
        let highest = |api: ApiKey| state.highest.get(&api).copied().unwrap_or(*api.versions().end());
        if respond.version > highest(ApiKey::ApiVersions) {
            let error_code = ErrorCode::UnsupportedVersion.code();
            return Respond { version: 0, ..respond }.with(ApiVersionsResponse {
                error_code,
                ..Default::default()
            });
        }
        let api_keys = ApiKey::ALL.iter().map(|api| ApiVersion {
            api_key: api.code(),
            min_version: *api.versions().start(),
            max_version: highest(*api),
        });
        respond.with(ApiVersionsResponse {
            api_keys: api_keys.collect(),
            ..Default::default()
        })
    }

    fn metadata(&self, code: i16) -> MetadataResponse {
        let state = self.state.lock();
        let brokers = state.addresses.iter().enumerate().map(|(node, address)| {
            let (host, port) = address.split_once(':').unwrap();
            MetadataResponseBroker {
                node_id: i32::try_from(node).unwrap(),
                host: host.into(),
                port: port.parse().unwrap(),
                rack: None,
            }
        });
        let partitions = state
            .leaders
            .iter()
            .enumerate()
            .map(|(index, leader)| MetadataResponsePartition {
                partition_index: i32::try_from(index).unwrap(),
                leader_id: *leader,
                ..Default::default()
            });
        let topic = MetadataResponseTopic {
            error_code: code,
            name: Some(TOPIC),
            topic_id: TOPIC_ID,
            partitions: partitions.collect(),
            ..Default::default()
        };
        MetadataResponse {
            brokers: brokers.collect(),
            cluster_id: Some("fake".into()),
            topics: vec![topic],
            ..Default::default()
        }
    }

    fn find_coordinator(&self, version: i16, code: i16) -> FindCoordinatorResponse {
        let state = self.state.lock();
        let (host, port) = state.addresses[0].split_once(':').unwrap();
        let (host, port) = (ByteString::from(host), port.parse().unwrap());
        if version < 4 {
            return FindCoordinatorResponse {
                error_code: code,
                host,
                port,
                ..Default::default()
            };
        }
        let coordinator = Coordinator {
            host,
            port,
            error_code: code,
            ..Default::default()
        };
        FindCoordinatorResponse {
            coordinators: vec![coordinator],
            ..Default::default()
        }
    }

    /// The code for a request about a partition: as injected, or because another node leads it.
    fn code_for(&self, node: i32, partition: i32, code: i16) -> i16 {
        let leads = self.state.lock().leaders[usize::try_from(partition).unwrap()] == node;
        if code != 0 || leads {
            code
        } else {
            ErrorCode::NotLeaderOrFollower.code()
        }
    }

    fn produce(&self, node: i32, request: ProduceRequest, code: i16) -> ProduceResponse {
        let topic = request.topic_data.into_iter().next().unwrap();
        assert!(topic.name == TOPIC || topic.topic_id == TOPIC_ID);
        let data = topic.partition_data.into_iter().next().unwrap();
        let error_code = self.code_for(node, data.index, code);
        let base_offset = if error_code == 0 {
            self.append(data.index, data.records.unwrap())
        } else {
            -1
        };
        let answered = PartitionProduceResponse {
            index: data.index,
            error_code,
            base_offset,
            ..Default::default()
        };
        let topic = TopicProduceResponse {
            name: TOPIC,
            topic_id: TOPIC_ID,
            partition_responses: vec![answered],
        };
        ProduceResponse {
            responses: vec![topic],
            ..Default::default()
        }
    }

    /// Appends one batch, or finds that it is there already.
    pub(super) fn append(&self, partition: i32, batch: Bytes) -> i64 {
        let view = Batches::split(batch.clone(), usize::MAX).next().unwrap().unwrap();
        view.validate_produced().unwrap();
        let mut state = self.state.lock();
        let producer = (view.header.producer_id, partition);
        if let Some((sequence, offset)) = state.produced.get(&producer)
            && *sequence == view.header.base_sequence
            && view.header.has_producer_id()
        {
            return *offset;
        }
        let log = &mut state.logs[usize::try_from(partition).unwrap()];
        let base_offset = end_of(log);
        let mut batch = batch.to_vec();
        patch_base_offset(&mut batch, base_offset).unwrap();
        log.push(batch.into());
        state
            .produced
            .insert(producer, (view.header.base_sequence, base_offset));
        base_offset
    }

    fn list_offsets(&self, node: i32, request: ListOffsetsRequest, code: i16) -> ListOffsetsResponse {
        let asked = request.topics.into_iter().next().unwrap().partitions;
        let partitions = asked.into_iter().map(|partition| {
            let index = partition.partition_index;
            let error_code = self.code_for(node, index, code);
            let log = self.state.lock().logs[usize::try_from(index).unwrap()].clone();
            let later = |header: &BatchHeader| header.max_timestamp >= partition.timestamp;
            let offset = match partition.timestamp {
                -2 => 0,
                -1 => end_of(&log),
                _ => log
                    .iter()
                    .map(header)
                    .find(later)
                    .map_or(-1, |header| header.base_offset),
            };
            ListOffsetsPartitionResponse {
                partition_index: index,
                error_code,
                offset,
                ..Default::default()
            }
        });
        let topic = ListOffsetsTopicResponse {
            name: TOPIC,
            partitions: partitions.collect(),
        };
        ListOffsetsResponse {
            topics: vec![topic],
            ..Default::default()
        }
    }

    async fn fetch(&self, node: i32, request: FetchRequest, code: i16) -> FetchResponse {
        let asked = request.topics.into_iter().next().unwrap().partitions;
        for _ in 0..request.max_wait_ms / 5 {
            let at_end =
                |index: i32, offset: i64| end_of(&self.state.lock().logs[usize::try_from(index).unwrap()]) == offset;
            if code != 0
                || !asked
                    .iter()
                    .all(|partition| at_end(partition.partition, partition.fetch_offset))
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let partitions = asked.into_iter().map(|partition| {
            let index = partition.partition;
            let mut error_code = self.code_for(node, index, code);
            let log = self.state.lock().logs[usize::try_from(index).unwrap()].clone();
            if error_code == 0 && partition.fetch_offset > end_of(&log) {
                error_code = ErrorCode::OffsetOutOfRange.code();
            }
            let wanted = log
                .iter()
                .filter(|batch| header(batch).next_offset() > partition.fetch_offset);
            let records = (error_code == 0).then(|| wanted.cloned().collect::<Vec<_>>().into());
            PartitionData {
                partition_index: index,
                error_code,
                high_watermark: end_of(&log),
                records,
                ..Default::default()
            }
        });
        let topic = FetchableTopicResponse {
            topic: TOPIC,
            topic_id: TOPIC_ID,
            partitions: partitions.collect(),
        };
        FetchResponse {
            responses: vec![topic],
            ..Default::default()
        }
    }

    fn join(&self, request: JoinGroupRequest, code: i16) -> JoinGroupResponse {
        if request.member_id.is_empty() {
            let error_code = ErrorCode::MemberIdRequired.code();
            return JoinGroupResponse {
                error_code,
                member_id: MEMBER,
                ..Default::default()
            };
        }
        let mut state = self.state.lock();
        state.generation += 1;
        let metadata = request.protocols[0].metadata.clone();
        JoinGroupResponse {
            error_code: code,
            generation_id: state.generation,
            leader: MEMBER,
            member_id: MEMBER,
            members: vec![JoinGroupResponseMember {
                member_id: MEMBER,
                metadata,
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    fn commit(&self, request: OffsetCommitRequest, code: i16) -> OffsetCommitResponse {
        let mut state = self.state.lock();
        let error_code = match code {
            0 if request.generation_id_or_member_epoch != state.generation => ErrorCode::IllegalGeneration.code(),
            code => code,
        };
        let topic = request.topics.into_iter().next().unwrap();
        assert!(topic.name == TOPIC || topic.topic_id == TOPIC_ID);
        let partitions = topic.partitions.into_iter().map(|partition| {
            if error_code == 0 {
                state
                    .committed
                    .insert(partition.partition_index, partition.committed_offset);
            }
            OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code,
            }
        });
        let partitions = partitions.collect();
        let topic = OffsetCommitResponseTopic {
            name: TOPIC,
            topic_id: TOPIC_ID,
            partitions,
        };
        OffsetCommitResponse {
            topics: vec![topic],
            ..Default::default()
        }
    }

    fn committed(&self, request: OffsetFetchRequest, version: i16, code: i16) -> OffsetFetchResponse {
        let committed = self.state.lock().committed.clone();
        let offset_of = |index: i32| committed.get(&index).copied().unwrap_or(-1);
        if version < 8 {
            let asked = request.topics.unwrap().remove(0).partition_indexes;
            let partitions = asked.into_iter().map(|partition_index| OffsetFetchResponsePartition {
                partition_index,
                committed_offset: offset_of(partition_index),
                ..Default::default()
            });
            let topics = vec![OffsetFetchResponseTopic {
                name: TOPIC,
                partitions: partitions.collect(),
            }];
            return OffsetFetchResponse {
                error_code: code,
                topics,
                ..Default::default()
            };
        }
        let mut group = request.groups.into_iter().next().unwrap();
        let asked = group.topics.take().unwrap().remove(0).partition_indexes;
        let partitions = asked.into_iter().map(|partition_index| OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: offset_of(partition_index),
            ..Default::default()
        });
        let topic = OffsetFetchResponseTopics {
            name: TOPIC,
            topic_id: TOPIC_ID,
            partitions: partitions.collect(),
        };
        let group = OffsetFetchResponseGroup {
            group_id: group.group_id,
            topics: vec![topic],
            error_code: code,
        };
        OffsetFetchResponse {
            groups: vec![group],
            ..Default::default()
        }
    }
}

#[derive(Clone, Copy)]
struct Respond {
    version: i16,
    correlation_id: i32,
}

impl Respond {
    fn with<M: Message>(self, message: M) -> Bytes {
        frame::encode_response(&message, self.version, self.correlation_id)
            .unwrap()
            .into_bytes()
    }
}

fn read<M: Message>(request: Bytes, version: i16) -> M {
    M::decode_exact(request, version).unwrap()
}

fn sync(request: SyncGroupRequest, error_code: i16) -> SyncGroupResponse {
    let assignment = request
        .assignments
        .into_iter()
        .next()
        .map(|own| own.assignment)
        .unwrap_or_default();
    SyncGroupResponse {
        error_code,
        assignment,
        ..Default::default()
    }
}

fn header(batch: &Bytes) -> BatchHeader {
    BatchHeader::decode(batch).unwrap()
}

fn end_of(log: &[Bytes]) -> i64 {
    log.last().map_or(0, |batch| header(batch).next_offset())
}

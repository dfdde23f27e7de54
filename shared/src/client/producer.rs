//! Sends finished batches to one topic under a producer identity, one at a time and in order: a batch that may or may
//! not have arrived is sent again as the same bytes, and the broker drops what it has already.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::cluster::{check, refusal};
use super::{ClientError, Cluster, Connection, Lane, retry_for};
use crate::kafka::messages::produce::{PartitionProduceData, TopicProduceData};
use crate::kafka::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse};
use crate::kafka::{ApiKey, ErrorCode};
use crate::record::{BatchError, BatchHeader, next_sequence, restamp};

/// Whom the broker's duplicate detection knows us as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdentity {
    /// Assigned by the cluster, never twice.
    pub id: i64,
    /// Counts up when an id is fenced.
    pub epoch: i16,
}

/// Asks the cluster for a fresh identity.
pub async fn init_producer_id(cluster: &Cluster) -> Result<ProducerIdentity, ClientError> {
    let broker = cluster.any_broker().await?;
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    let answer = broker.send(&request).await?;
    let refused = |code| refusal::<InitProducerIdRequest>(broker.address(), "a new producer".to_owned(), code, None);
    check(answer.error_code, refused)?;
    Ok(ProducerIdentity {
        id: answer.producer_id,
        epoch: answer.producer_epoch,
    })
}

/// How long a broker may take over one attempt.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// Time on top of that for its answer to arrive.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// What became of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    /// Offset of its first record; none where the broker knows only that it has the batch already.
    pub base_offset: Option<i64>,
}

/// A producer of one topic.
#[derive(Debug)]
pub struct Producer {
    cluster: Cluster,
    topic: ByteString,
    identity: ProducerIdentity,
    /// The next sequence by partition; none after a failure.
    sequences: HashMap<i32, Option<i32>>,
    delivery_timeout: Duration,
}

impl Producer {
    /// A producer with a fresh identity. A batch is given up after `delivery_timeout`.
    pub async fn start(cluster: Cluster, topic: ByteString, delivery_timeout: Duration) -> Result<Self, ClientError> {
        let identity = retry_for(delivery_timeout, || init_producer_id(&cluster)).await?;
        Ok(Self {
            cluster,
            topic,
            identity,
            sequences: HashMap::new(),
            delivery_timeout,
        })
    }

    /// Its identity.
    #[must_use]
    pub fn identity(&self) -> ProducerIdentity {
        self.identity
    }

    /// Stamps a batch with the identity and its sequence, and sends it until it is acknowledged by all replicas that
    /// count. After an error the partition takes no more batches from this producer: the broker may have this one, and
    /// would take the next one for it.
    pub async fn send(&mut self, partition: i32, batch: Bytes) -> Result<Produced, ClientError> {
        let topic = || self.topic.to_string();
        let Some(sequence) = self.sequences.insert(partition, None).unwrap_or(Some(0)) else {
            return Err(ClientError::Abandoned {
                topic: topic(),
                partition,
            });
        };
        let (batch, record_count) = self.stamp(&batch, sequence).map_err(|reason| ClientError::Batch {
            topic: topic(),
            partition,
            offset: -1,
            reason,
        })?;
        let produced = retry_for(self.delivery_timeout, || async {
            let produced = produce(&self.cluster, &self.topic, partition, batch.clone(), ATTEMPT_TIMEOUT).await;
            produced.inspect_err(|_| self.cluster.forget(&self.topic))
        });
        let produced = produced.await?;
        self.sequences
            .insert(partition, Some(next_sequence(sequence, record_count)));
        Ok(produced)
    }

    fn stamp(&self, batch: &[u8], sequence: i32) -> Result<(Bytes, i32), BatchError> {
        let header = BatchHeader::decode(batch)?;
        let mut stamped = BytesMut::from(batch);
        restamp(&mut stamped, self.identity.id, self.identity.epoch, sequence)?;
        Ok((stamped.freeze(), header.record_count))
    }
}

/// Sends one finished batch to the leader of its partition, once. The broker gives up after `timeout`.
pub async fn produce(
    cluster: &Cluster,
    topic: &ByteString,
    partition: i32,
    batch: Bytes,
    timeout: Duration,
) -> Result<Produced, ClientError> {
    let topic_id = cluster.topic(topic).await?.id;
    let leader = cluster.broker_for(topic, partition, Lane::Prompt).await?;
    let data = PartitionProduceData {
        index: partition,
        records: Some(batch),
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
        topic_data: vec![TopicProduceData {
            name: topic.clone(),
            topic_id,
            partition_data: vec![data],
        }],
        ..Default::default()
    };
    let answer = leader.send_within(&request, timeout + ANSWER_TIMEOUT).await?;
    outcome(answer, topic, partition, &leader)
}

fn outcome(
    answer: ProduceResponse,
    topic: &ByteString,
    partition: i32,
    leader: &Connection,
) -> Result<Produced, ClientError> {
    let subject = || format!("partition {partition} of topic {topic}");
    let mut partitions = answer.responses.into_iter().flat_map(|topic| topic.partition_responses);
    let Some(answered) = partitions.find(|answered| answered.index == partition) else {
        let address = leader.address().to_owned();
        return Err(ClientError::Missing {
            address,
            api: ApiKey::Produce,
            subject: subject(),
        });
    };
    match ErrorCode::from_code(answered.error_code) {
        ErrorCode::None => Ok(Produced {
            base_offset: (answered.base_offset >= 0).then_some(answered.base_offset),
        }),
        ErrorCode::DuplicateSequenceNumber => Ok(Produced { base_offset: None }),
        code => Err(refusal::<ProduceRequest>(
            leader.address(),
            subject(),
            code,
            answered.error_message,
        )),
    }
}

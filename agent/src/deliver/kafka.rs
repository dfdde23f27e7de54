//! [`Brokers`] over the Kafka protocol.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use futures::FutureExt;
use futures::future::BoxFuture;
use tailrace_shared::client::{
    ClientError, Cluster, FetchOptions, Fetcher, Lane, OffsetSpec, init_producer_id, list_offsets,
};
use tailrace_shared::kafka::messages::describe_configs::{DescribeConfigsResource, RESOURCE_TOPIC};
use tailrace_shared::kafka::messages::describe_producers::TopicRequest;
use tailrace_shared::kafka::messages::produce::{PartitionProduceData, PartitionProduceResponse, TopicProduceData};
use tailrace_shared::kafka::messages::{
    DescribeConfigsRequest, DescribeProducersRequest, ProduceRequest, ProduceResponse,
};
use tailrace_shared::kafka::{ApiKey, ErrorCode};
use tokio::time::timeout;

use super::answer::Answer;
use super::brokers::{Answers, Brokers, Search, Stamped, Unknown};
use super::machine::ClusterView;
use super::reason::Reason;
use crate::spool::{BatchNumber, Producer, Stamp};

/// How long a broker may wait for its replicas.
const PRODUCE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time on top of that for its answer to arrive.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long reading a log may take before it is begun anew.
const FIND_TIMEOUT: Duration = Duration::from_secs(120);

/// A Kafka cluster.
#[derive(Debug, Clone)]
pub struct KafkaBrokers {
    cluster: Cluster,
}

impl KafkaBrokers {
    /// Delivers to this cluster.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    async fn refresh(&self, topics: Vec<Arc<str>>) -> Result<ClusterView, String> {
        let names: Vec<ByteString> = topics.iter().map(|topic| ByteString::from(&**topic)).collect();
        if let Err(error) = self.cluster.refresh(&names).await {
            // The others of the topics are known all the same.
            if error.code().is_none() {
                return Err(error.to_string());
            }
            tracing::debug!("{error}");
        }
        let metadata = self.cluster.metadata();
        let known = topics.iter().filter_map(|name| {
            let topic = metadata.topics.get(&**name)?;
            // Numbers are gapless, but a partition that is just being created may be missing.
            let count = topic.partitions.last().map_or(0, |last| last.index + 1);
            Some((Arc::clone(name), topic.id, count))
        });
        let refused = topics.iter().filter_map(|name| {
            let code = metadata.refused.get(&**name)?;
            Some((Arc::clone(name), *code))
        });
        Ok(ClusterView {
            cluster_id: Arc::from(metadata.cluster_id.as_deref().unwrap_or_default()),
            topics: known.collect(),
            refused: refused.collect(),
        })
    }

    async fn submit(&self, leader: String, batches: Vec<Stamped>) -> Result<Answers, String> {
        let connection = self
            .cluster
            .connect(&leader, Lane::Prompt)
            .await
            .map_err(|error| error.to_string())?;
        let sent: Vec<(BatchNumber, Arc<str>, Stamp)> = batches
            .iter()
            .map(|batch| (batch.number, Arc::clone(&batch.topic), batch.stamp.clone()))
            .collect();
        let request = produce_request(batches);
        let pending = connection.submit(&request, PRODUCE_TIMEOUT + ANSWER_TIMEOUT).await;
        let pending = match pending {
            Ok(pending) => pending,
            // Nothing of it left, but for a connection that died in between.
            Err(error @ (ClientError::Version { .. } | ClientError::Encode { .. })) => return Err(error.to_string()),
            Err(error) => return Ok(futures::future::ready(all_in_doubt(sent, &error)).boxed()),
        };
        let answers = async move {
            match pending.await {
                Ok(response) => answers_of(sent, &response),
                Err(error) => all_in_doubt(sent, &error),
            }
        };
        Ok(answers.boxed())
    }

    async fn ask_last_sequence(
        &self,
        topic: Arc<str>,
        partition: i32,
        producer: Producer,
    ) -> Result<Option<i32>, Unknown> {
        let name = ByteString::from(&*topic);
        let leader = self
            .cluster
            .broker_for(&name, partition, Lane::Prompt)
            .await
            .map_err(unknown)?;
        let request = DescribeProducersRequest {
            topics: vec![TopicRequest {
                name,
                partition_indexes: vec![partition],
            }],
        };
        let answer = leader.send(&request).await.map_err(unknown)?;
        let mut partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
        let Some(answered) = partitions.find(|answered| answered.partition_index == partition) else {
            return Err(Unknown::Failed("the answer lacks the partition".into()));
        };
        match ErrorCode::from_code(answered.error_code) {
            ErrorCode::None => {}
            ErrorCode::TopicAuthorizationFailed => return Err(Unknown::NotAllowed),
            code => {
                self.cluster.forget(&topic);
                return Err(Unknown::Failed(Reason::of(code, None)));
            }
        }
        let known = answered
            .active_producers
            .into_iter()
            .find(|known| known.producer_id == producer.id && known.producer_epoch == i32::from(producer.epoch));
        Ok(known.map(|known| known.last_sequence).filter(|last| *last >= 0))
    }

    async fn read_headers(&self, search: &Search) -> Result<Vec<(i32, i64)>, ClientError> {
        let name = ByteString::from(&*search.topic);
        let partition = search.partition;
        let offset = |spec| {
            let name = name.clone();
            async move {
                let offsets = list_offsets(&self.cluster, &name, &[partition], spec).await?;
                Ok::<_, ClientError>(offsets.get(&partition).copied().unwrap_or_default())
            }
        };
        let earliest = offset(OffsetSpec::Earliest).await?;
        let end = offset(OffsetSpec::Latest).await?;
        let from = match search.from {
            Some(from) => from,
            // The first record that is as young as theirs lies at or before theirs.
            None => offset(OffsetSpec::At(search.oldest_ms)).await?,
        };
        let start = BTreeMap::from([(partition, from.max(earliest).min(end))]);
        let mut fetcher = Fetcher::new(self.cluster.clone(), name, start, FetchOptions::default());
        let mut found = Vec::new();
        while fetcher.positions().get(&partition).is_some_and(|next| *next < end) {
            for fetched in fetcher.next().await? {
                let header = fetched.batch.header;
                let sender = (header.producer_id, header.producer_epoch);
                let is_theirs = sender == (search.producer.id, search.producer.epoch);
                if is_theirs && search.base_sequences.contains(&header.base_sequence) {
                    found.push((header.base_sequence, header.base_offset));
                }
            }
        }
        Ok(found)
    }
}

impl KafkaBrokers {
    async fn ask_batch_bytes_max(&self, topic: &str) -> Result<u32, ClientError> {
        const KEY: &str = "max.message.bytes";
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: RESOURCE_TOPIC,
                resource_name: topic.into(),
                configuration_keys: Some(vec![KEY.into()]),
            }],
            ..DescribeConfigsRequest::default()
        };
        let broker = self.cluster.any_broker().await?;
        let answer = broker.send(&request).await?;
        let configs = answer.results.into_iter().flat_map(|result| result.configs);
        let value = configs
            .filter(|config| config.name == KEY)
            .find_map(|config| config.value);
        value
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| ClientError::Missing {
                address: broker.address().to_owned(),
                api: ApiKey::DescribeConfigs,
                subject: format!("{KEY} of topic {topic}"),
            })
    }
}

impl Brokers for KafkaBrokers {
    fn view(&self, topics: Vec<Arc<str>>) -> BoxFuture<'_, Result<ClusterView, String>> {
        self.refresh(topics).boxed()
    }

    fn init_producer(&self) -> BoxFuture<'_, Result<Producer, String>> {
        async {
            let identity = init_producer_id(&self.cluster)
                .await
                .map_err(|error| error.to_string())?;
            Ok(Producer {
                id: identity.id,
                epoch: identity.epoch,
            })
        }
        .boxed()
    }

    fn leader(&self, topic: &str, partition: i32) -> Option<String> {
        self.cluster
            .metadata()
            .leader_address(topic, partition)
            .map(str::to_owned)
    }

    fn produce(&self, leader: &str, batches: Vec<Stamped>) -> BoxFuture<'_, Result<Answers, String>> {
        self.submit(leader.to_owned(), batches).boxed()
    }

    fn last_sequence(
        &self,
        topic: Arc<str>,
        partition: i32,
        producer: Producer,
    ) -> BoxFuture<'_, Result<Option<i32>, Unknown>> {
        self.ask_last_sequence(topic, partition, producer).boxed()
    }

    fn batch_bytes_max(&self, topic: Arc<str>) -> BoxFuture<'_, Result<u32, Unknown>> {
        async move { self.ask_batch_bytes_max(&topic).await.map_err(unknown) }.boxed()
    }

    fn find(&self, search: Search) -> BoxFuture<'_, Result<Vec<(i32, i64)>, Unknown>> {
        async move {
            match timeout(FIND_TIMEOUT, self.read_headers(&search)).await {
                Ok(read) => read.map_err(unknown),
                Err(_) => Err(Unknown::Failed(
                    format!("reading took longer than {FIND_TIMEOUT:?}").into(),
                )),
            }
        }
        .boxed()
    }
}

fn unknown(error: ClientError) -> Unknown {
    match error.code() {
        Some(ErrorCode::TopicAuthorizationFailed | ErrorCode::ClusterAuthorizationFailed) => Unknown::NotAllowed,
        _ if matches!(error, ClientError::Version { .. }) => Unknown::NotAllowed,
        _ => Unknown::Failed((&error).into()),
    }
}

fn produce_request(batches: Vec<Stamped>) -> ProduceRequest {
    let mut topics: BTreeMap<Arc<str>, TopicProduceData> = BTreeMap::new();
    for batch in batches {
        let topic = topics
            .entry(Arc::clone(&batch.topic))
            .or_insert_with(|| TopicProduceData {
                name: ByteString::from(&*batch.topic),
                topic_id: batch.stamp.topic_id,
                ..TopicProduceData::default()
            });
        topic.partition_data.push(PartitionProduceData {
            index: batch.stamp.partition,
            records: Some(batch.bytes),
        });
    }
    ProduceRequest {
        acks: -1,
        timeout_ms: i32::try_from(PRODUCE_TIMEOUT.as_millis()).unwrap_or(i32::MAX),
        topic_data: topics.into_values().collect(),
        ..ProduceRequest::default()
    }
}

type Sent = Vec<(BatchNumber, Arc<str>, Stamp)>;

fn answers_of(sent: Sent, response: &ProduceResponse) -> Vec<(BatchNumber, Answer)> {
    let answer = |topic: &str, stamp: &Stamp| -> Option<&PartitionProduceResponse> {
        let topics = response.responses.iter();
        // Answers go by name up to version 12, and by id from then on.
        let mut topics = topics.filter(|answered| {
            if answered.name.is_empty() {
                answered.topic_id == stamp.topic_id
            } else {
                *answered.name == *topic
            }
        });
        topics.find_map(|answered| {
            answered
                .partition_responses
                .iter()
                .find(|answer| answer.index == stamp.partition)
        })
    };
    let answers = sent.iter().map(|(number, topic, stamp)| {
        let answer = match answer(topic, stamp) {
            Some(answer) => {
                let code = ErrorCode::from_code(answer.error_code);
                Answer::of(code, answer.base_offset, answer.error_message.as_deref())
            }
            None => Answer::InDoubt("the answer lacks the partition".into()),
        };
        (*number, answer)
    });
    answers.collect()
}

fn all_in_doubt(sent: Sent, error: &ClientError) -> Vec<(BatchNumber, Answer)> {
    sent.into_iter()
        .map(|(number, ..)| (number, Answer::InDoubt(error.into())))
        .collect()
}

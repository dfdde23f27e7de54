//! Produce 0-13: appends batches and answers once they are on stable storage, whatever `acks` says (with 0 there is no
//! answer at all). Versions below 3 are advertised because old librdkafka turns compression off otherwise; message sets
//! of formats v0 and v1 are refused. Transactions are not spoken yet.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, TopicProduceData, TopicProduceResponse,
};
use tailrace_shared::kafka::messages::{ProduceRequest, ProduceResponse};
use tailrace_shared::record::{BatchView, Batches};
use tokio::time::{Instant, timeout_at};

use super::topic_ref::{find_partition, find_topic};
use crate::broker::Topic;
use crate::catalog::acl::Operation;
use crate::group::OFFSETS_TOPIC;
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;
use crate::metrics::CollectorMetrics;
use crate::partition::{Appended, Appending};

/// How long a request waits at the least for room in the WAL, whatever its timeout says.
const PATIENCE_MIN: Duration = Duration::from_secs(1);
/// How long at the most, so that a connection is not held for ever while the store is out of reach.
const PATIENCE_MAX: Duration = Duration::from_secs(30);

/// Why a partition's batches were not taken.
#[derive(Debug)]
struct Refusal {
    code: ErrorCode,
    message: Option<bytestring::ByteString>,
    /// The records that are to blame, where it is some and not the batch.
    records: Vec<i32>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self {
            code,
            message: None,
            records: Vec::new(),
        }
    }
}

impl<E: ToErrorCode> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self {
            code: error.code(),
            message: error.message(),
            records: error.records().to_vec(),
        }
    }
}

/// A partition's batches: sequenced and on their way to stable storage, or refused.
struct Taken {
    index: i32,
    bytes: u64,
    records: u64,
    appending: Result<Appending, Refusal>,
}

/// Sequences the batches of all partitions; the future that is returned answers when they are durable.
pub(in crate::kafka) async fn produce(
    context: &Context,
    call: &Call,
    request: ProduceRequest,
) -> impl Future<Output = ProduceResponse> + use<> {
    let mut topics = Vec::with_capacity(request.topic_data.len());
    let refused = refuse_all(&request);
    let patience = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
    let give_up = Instant::now() + patience.clamp(PATIENCE_MIN, PATIENCE_MAX);
    for data in request.topic_data {
        let (name, topic_id) = (data.name.clone(), data.topic_id);
        let topic = match refused {
            Some(code) => Err(code),
            None => find_writable(context, call, &data),
        };
        let counted_as = topic
            .as_ref()
            .map_or_else(|_| String::new(), |topic| topic.meta.name.clone());
        let taken = take_topic(call, topic, data, give_up).await;
        topics.push((name, topic_id, counted_as, taken));
    }
    let metrics = Arc::clone(&context.metrics);
    async move {
        let mut responses = Vec::with_capacity(topics.len());
        for (name, topic_id, counted_as, taken) in topics {
            let answers = taken.into_iter().map(|taken| answer(taken, &metrics, &counted_as));
            let partition_responses = join_all(answers).await;
            responses.push(TopicProduceResponse {
                name,
                topic_id,
                partition_responses,
            });
        }
        ProduceResponse {
            responses,
            ..Default::default()
        }
    }
}

fn refuse_all(request: &ProduceRequest) -> Option<ErrorCode> {
    if request.transactional_id.is_some() {
        return Some(ErrorCode::InvalidTxnState);
    }
    (!matches!(request.acks, -1..=1)).then_some(ErrorCode::InvalidRequiredAcks)
}

fn find_writable(context: &Context, call: &Call, data: &TopicProduceData) -> Result<Arc<Topic>, ErrorCode> {
    let topic = find_topic(context, call, Operation::Write, &data.name, data.topic_id)?;
    if topic.meta.name == OFFSETS_TOPIC {
        Err(ErrorCode::InvalidTopicException)
    } else {
        Ok(topic)
    }
}

async fn take_topic(
    call: &Call,
    topic: Result<Arc<Topic>, ErrorCode>,
    data: TopicProduceData,
    give_up: Instant,
) -> Vec<Taken> {
    let mut taken = Vec::with_capacity(data.partition_data.len());
    for partition in data.partition_data {
        let one = take_partition(&topic, partition, give_up).await;
        if let Err(refusal) = &one.appending {
            let topic = topic
                .as_ref()
                .map_or(data.name.as_ref(), |topic| topic.meta.name.as_str());
            let (partition, code) = (one.index, refusal.code.name());
            let message = refusal.message.as_deref().unwrap_or_default();
            let (client, peer) = (&call.client_id, call.peer);
            tracing::debug!(topic, partition, %client, %peer, code, message, "refused a produce");
        }
        taken.push(one);
    }
    taken
}

async fn take_partition(topic: &Result<Arc<Topic>, ErrorCode>, data: PartitionProduceData, give_up: Instant) -> Taken {
    let (index, bytes) = (data.index, data.records.as_ref().map_or(0, Bytes::len) as u64);
    let mut records = 0;
    let appending = match (topic, find_partition(topic, index)) {
        (Ok(topic), Ok(partition)) => match read_batches(topic, data.records.unwrap_or_default()) {
            Ok(batches) => {
                records = batches
                    .iter()
                    .map(|batch| u64::try_from(batch.header.record_count).unwrap_or(0))
                    .sum();
                // Giving up here has no effect on the log: nothing has its place yet.
                match timeout_at(give_up, partition.begin_append(batches)).await {
                    Ok(begun) => begun.map_err(Refusal::from),
                    Err(_) => Err(ErrorCode::RequestTimedOut.into()),
                }
            }
            Err(refusal) => Err(refusal),
        },
        (Err(code), _) => Err((*code).into()),
        (_, Err(code)) => Err(code.into()),
    };
    Taken {
        index,
        bytes,
        records,
        appending,
    }
}

/// Cuts the bytes into batches and checks all that can be checked without decompressing them.
fn read_batches(topic: &Topic, records: Bytes) -> Result<Vec<BatchView>, Refusal> {
    Batches::split(records, topic.settings.max_message_bytes)
        .map(|batch| {
            let batch: BatchView = batch?;
            batch.validate_produced()?;
            if batch.header.attributes.is_transactional() {
                return Err(ErrorCode::InvalidTxnState.into());
            }
            Ok(batch)
        })
        .collect()
}

async fn answer(taken: Taken, metrics: &CollectorMetrics, topic: &str) -> PartitionProduceResponse {
    let appended: Result<Appended, Refusal> = match taken.appending {
        Ok(appending) => appending.durable().await.map_err(Refusal::from),
        Err(refusal) => Err(refusal),
    };
    match appended {
        Ok(appended) => {
            if appended.duplicate {
                metrics.duplicate_batches.with([topic]).inc();
            } else {
                metrics.produced_bytes.with([topic]).inc_by(taken.bytes);
                metrics.produced_records.with([topic]).inc_by(taken.records);
            }
            PartitionProduceResponse {
                index: taken.index,
                base_offset: appended.base_offset,
                log_append_time_ms: appended.log_append_time.unwrap_or(-1),
                log_start_offset: appended.log_start,
                ..Default::default()
            }
        }
        Err(refusal) => {
            metrics.refused_batches.with([topic, refusal.code.name()]).inc();
            PartitionProduceResponse {
                index: taken.index,
                error_code: refusal.code.code(),
                record_errors: refusal.records.into_iter().map(blame).collect(),
                error_message: refusal.message,
                base_offset: -1,
                ..Default::default()
            }
        }
    }
}

/// Why is said once, for the batch.
fn blame(record: i32) -> BatchIndexAndErrorMessage {
    BatchIndexAndErrorMessage {
        batch_index: record,
        batch_index_error_message: None,
    }
}

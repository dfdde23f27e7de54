//! Produce 0-13: appends batches and answers once they are on stable storage, whatever `acks` says (with 0 there is no
//! answer at all). Versions below 3 are advertised because old librdkafka turns compression off otherwise; message sets
//! of formats v0 and v1 are refused. Transactions are not spoken yet.

use bytes::Bytes;
use futures::future::join_all;
use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::produce::{PartitionProduceResponse, TopicProduceData, TopicProduceResponse};
use tailrace_shared::kafka::messages::{ProduceRequest, ProduceResponse};
use tailrace_shared::record::{BatchError, BatchView, Batches};

use super::topic_ref::{find_partition, find_topic};
use crate::catalog::TopicMeta;
use crate::group::OFFSETS_TOPIC;
use crate::kafka::context::{Call, Context};
use crate::kafka::errors::ToErrorCode;
use crate::partition::{AppendError, Appended, Appending};

/// Why a partition's batches were not taken.
#[derive(Debug)]
struct Refusal {
    code: ErrorCode,
    message: Option<bytestring::ByteString>,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

impl<E: ToErrorCode> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self { code: error.code(), message: error.message() }
    }
}

/// A partition's batches: sequenced and on their way to stable storage, or refused.
struct Taken {
    index: i32,
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
    for data in request.topic_data {
        let (name, topic_id) = (data.name.clone(), data.topic_id);
        let taken = take_topic(context, call, data, refused).await;
        topics.push((name, topic_id, taken));
    }
    async move {
        let mut responses = Vec::with_capacity(topics.len());
        for (name, topic_id, taken) in topics {
            let partition_responses = join_all(taken.into_iter().map(answer)).await;
            responses.push(TopicProduceResponse { name, topic_id, partition_responses });
        }
        ProduceResponse { responses, ..Default::default() }
    }
}

fn refuse_all(request: &ProduceRequest) -> Option<ErrorCode> {
    if request.transactional_id.is_some() {
        return Some(ErrorCode::InvalidTxnState);
    }
    (!matches!(request.acks, -1..=1)).then_some(ErrorCode::InvalidRequiredAcks)
}

async fn take_topic(context: &Context, call: &Call, data: TopicProduceData, refused: Option<ErrorCode>) -> Vec<Taken> {
    let topic = match refused {
        Some(code) => Err(code),
        None => find_topic(&context.broker, &data.name, data.topic_id),
    };
    let topic = topic.and_then(|topic| if topic.name == OFFSETS_TOPIC { Err(ErrorCode::InvalidTopicException) } else { Ok(topic) });
    let mut taken = Vec::with_capacity(data.partition_data.len());
    for partition in data.partition_data {
        let appending = match (&topic, find_partition(&context.broker, &topic, partition.index)) {
            (Ok(topic), Ok(found)) => match read_batches(context, topic, partition.records.unwrap_or_default()) {
                Ok(batches) => found.begin_append(batches).await.map_err(Refusal::from),
                Err(error) => Err(error.into()),
            },
            (Err(code), _) | (_, Err(code)) => Err(code.into()),
        };
        if let Err(refusal) = &appending {
            let topic = topic.as_ref().map_or(data.name.as_ref(), |topic| topic.name.as_str());
            let (partition, code) = (partition.index, refusal.code.name());
            let message = refusal.message.as_deref().unwrap_or_default();
            tracing::debug!(topic, partition, client = %call.client_id, peer = %call.peer, code, message, "refused a produce");
        }
        taken.push(Taken { index: partition.index, appending });
    }
    taken
}

/// Cuts the bytes into batches and checks all that can be checked without decompressing them.
fn read_batches(context: &Context, topic: &TopicMeta, records: Bytes) -> Result<Vec<BatchView>, BatchError> {
    let max_batch_bytes = context.broker.topic_settings(topic).max_message_bytes;
    Batches::split(records, max_batch_bytes)
        .map(|batch| {
            let batch = batch?;
            batch.validate_produced()?;
            Ok(batch)
        })
        .collect()
}

async fn answer(taken: Taken) -> PartitionProduceResponse {
    let appended: Result<Appended, Refusal> = match taken.appending {
        Ok(appending) => appending.durable().await.map_err(|error: AppendError| error.into()),
        Err(refusal) => Err(refusal),
    };
    match appended {
        Ok(appended) => PartitionProduceResponse {
            index: taken.index,
            base_offset: appended.base_offset,
            log_append_time_ms: appended.log_append_time.unwrap_or(-1),
            log_start_offset: appended.log_start,
            ..Default::default()
        },
        Err(refusal) => PartitionProduceResponse {
            index: taken.index,
            error_code: refusal.code.code(),
            error_message: refusal.message,
            base_offset: -1,
            ..Default::default()
        },
    }
}

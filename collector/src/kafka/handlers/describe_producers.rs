//! DescribeProducers 0 (KIP-664): the idempotent producers that a partition remembers. An agent asks it after a crash,
//! to learn whether the broker still drops what it would send again.

use tailrace_shared::kafka::ErrorCode;
use tailrace_shared::kafka::messages::describe_producers::{PartitionResponse, ProducerState, TopicResponse};
use tailrace_shared::kafka::messages::{DescribeProducersRequest, DescribeProducersResponse};
use uuid::Uuid;

use super::topic_ref::{find_partition, find_topic};
use crate::catalog::acl::Operation;
use crate::kafka::context::{Call, Context};
use crate::partition::{ActiveProducer, Partition};

pub(in crate::kafka) async fn describe_producers(
    context: &Context,
    call: &Call,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let found = find_topic(context, call, Operation::Read, &topic.name, Uuid::nil());
        let answer = |&partition_index: &i32| {
            let partition = find_partition(&found, partition_index);
            PartitionResponse {
                partition_index,
                error_code: partition.as_ref().err().map_or(ErrorCode::None, |code| *code).code(),
                error_message: None,
                active_producers: partition.map(|partition| producers(partition)).unwrap_or_default(),
            }
        };
        let partitions = topic.partition_indexes.iter().map(answer).collect();
        topics.push(TopicResponse {
            name: topic.name,
            partitions,
        });
    }
    DescribeProducersResponse {
        topics,
        ..Default::default()
    }
}

fn producers(partition: &Partition) -> Vec<ProducerState> {
    let state = |producer: ActiveProducer| ProducerState {
        producer_id: producer.producer_id,
        producer_epoch: producer.epoch.into(),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_appended_at,
        coordinator_epoch: -1,
        current_txn_start_offset: -1,
    };
    partition.producers().into_iter().map(state).collect()
}

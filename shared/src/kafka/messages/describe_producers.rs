//! DescribeProducers (key 61): the idempotent producers that a partition remembers.
//!
//! Source: `DescribeProducersRequest.json` and `DescribeProducersResponse.json`; KIP-664 (v0).

use super::prelude::*;

schema! {
    /// Asks for the producers of partitions.
    message DescribeProducersRequest [DescribeProducers, versions 0-0, flexible 0+] {
        /// The partitions, by topic.
        topics: Vec<TopicRequest> [0+],
    }

    /// Partitions of one topic.
    struct TopicRequest {
        /// Name of the topic.
        name: ByteString [0+],
        /// Numbers of the partitions.
        partition_indexes: Vec<i32> [0+],
    }

    /// The producers.
    message DescribeProducersResponse [DescribeProducers, versions 0-0, flexible 0+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// By topic.
        topics: Vec<TopicResponse> [0+],
    }

    /// The producers of one topic.
    struct TopicResponse {
        /// Name of the topic.
        name: ByteString [0+],
        /// By partition.
        partitions: Vec<PartitionResponse> [0+],
    }

    /// The producers of one partition.
    struct PartitionResponse {
        /// Number of the partition.
        partition_index: i32 [0+],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [0+],
        /// The producers.
        active_producers: Vec<ProducerState> [0+],
    }

    /// What a partition remembers of a producer.
    struct ProducerState {
        /// The producer id.
        producer_id: i64 [0+],
        /// Its epoch.
        producer_epoch: i32 [0+],
        /// Sequence of the last record of its last batch, or -1.
        last_sequence: i32 [0+, default -1],
        /// Timestamp of its last batch in milliseconds, or -1.
        last_timestamp: i64 [0+, default -1],
        /// Epoch of its transaction coordinator.
        coordinator_epoch: i32 [0+],
        /// Offset at which its open transaction began, or -1.
        current_txn_start_offset: i64 [0+, default -1],
    }
}

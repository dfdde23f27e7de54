//! Produce (key 0): appends record batches to partitions.
//!
//! Source: `ProduceRequest.json` and `ProduceResponse.json`; KIP-98 (v3), KIP-110 (v7: zstd), KIP-467 (v8),
//! KIP-951 (v10), KIP-890 (v11, v12), KIP-516 (v13: topic ids).
//!
//! Versions 0 to 2 carry the old message formats, which Tailrace does not store; their layout is here since an old
//! librdkafka turns compression off where version 0 is not offered.

use super::prelude::*;

schema! {
    /// Asks to append record batches.
    message ProduceRequest [Produce, versions 0-13, flexible 9+] {
        /// The transactional id, or null if the producer is not transactional.
        transactional_id: Option<ByteString> [3+],
        /// Acknowledgements required: 0 for none (then there is no response at all), 1 for the leader, -1 for all.
        acks: i16 [0+],
        /// Time to wait for the acknowledgements, in milliseconds.
        timeout_ms: i32 [0+],
        /// What to append, by topic.
        topic_data: Vec<TopicProduceData> [0+],
    }

    /// What to append to one topic.
    struct TopicProduceData {
        /// Name of the topic.
        name: ByteString [0-12, ignorable],
        /// Id of the topic.
        topic_id: Uuid [13+, ignorable],
        /// What to append, by partition.
        partition_data: Vec<PartitionProduceData> [0+],
    }

    /// What to append to one partition.
    struct PartitionProduceData {
        /// Number of the partition.
        index: i32 [0+],
        /// Record batches; exactly one since version 3.
        records: Option<Bytes> [0+],
    }

    /// What became of each batch.
    message ProduceResponse [Produce, versions 0-13, flexible 9+] {
        /// Outcome by topic.
        responses: Vec<TopicProduceResponse> [0+],
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [1+, ignorable],
        /// Addresses of the leaders named in `current_leader`.
        node_endpoints: Vec<NodeEndpoint> [10+, tag 0, ignorable],
    }

    /// Outcome for one topic.
    struct TopicProduceResponse {
        /// Name of the topic.
        name: ByteString [0-12, ignorable],
        /// Id of the topic.
        topic_id: Uuid [13+, ignorable],
        /// Outcome by partition.
        partition_responses: Vec<PartitionProduceResponse> [0+],
    }

    /// Outcome for one partition.
    struct PartitionProduceResponse {
        /// Number of the partition.
        index: i32 [0+],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Offset of the first record appended.
        base_offset: i64 [0+],
        /// Time of the append in milliseconds where the topic keeps LogAppendTime, else -1.
        log_append_time_ms: i64 [2+, default -1, ignorable],
        /// Start offset of the log.
        log_start_offset: i64 [5+, default -1, ignorable],
        /// The records for which the batch was refused.
        record_errors: Vec<BatchIndexAndErrorMessage> [8+, ignorable],
        /// Why the batch was refused.
        error_message: Option<ByteString> [8+, ignorable],
        /// The leader to go to instead.
        current_leader: LeaderIdAndEpoch [10+, tag 0],
    }

    /// A record for which a batch was refused.
    struct BatchIndexAndErrorMessage {
        /// Place of the record in the batch.
        batch_index: i32 [8+],
        /// Why it was refused.
        batch_index_error_message: Option<ByteString> [8+],
    }

    /// The leader of a partition.
    struct LeaderIdAndEpoch {
        /// Id of the leader, or -1 if unknown.
        leader_id: i32 [10+, default -1],
        /// Latest known leader epoch.
        leader_epoch: i32 [10+, default -1],
    }

    /// Where a broker listens.
    struct NodeEndpoint {
        /// Id of the broker.
        node_id: i32 [10+],
        /// Its host name.
        host: ByteString [10+],
        /// Its port.
        port: i32 [10+],
        /// Its rack, or null.
        rack: Option<ByteString> [10+],
    }
}

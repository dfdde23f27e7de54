//! ListOffsets (key 2): finds the offset for a timestamp, or the start or the end of a log.
//!
//! Source: `ListOffsetsRequest.json` and `ListOffsetsResponse.json`; KIP-98 (v2), KIP-320 (v4), KIP-207 (v5),
//! KIP-734 (v7: the largest timestamp), KIP-405 (v8), KIP-1005 (v9), KIP-1075 (v10), KIP-1023 (v11).
//!
//! Version 0 answers with a list of offsets, of which here is one at most. Apache Kafka 4 has it no more, but
//! librdkafka up to 1.6 begins with it.

use super::prelude::*;

/// Asks for the end of the log, in place of a timestamp.
pub const LATEST_TIMESTAMP: i64 = -1;
/// Asks for the start of the log, in place of a timestamp.
pub const EARLIEST_TIMESTAMP: i64 = -2;
/// Asks for the record with the largest timestamp (version 7 and later).
pub const MAX_TIMESTAMP: i64 = -3;
/// Asks for the start of what is kept on the broker's own disk (version 8 and later).
pub const EARLIEST_LOCAL_TIMESTAMP: i64 = -4;
/// Asks for the last offset that was moved to the remote tier (version 9 and later).
pub const LATEST_TIERED_TIMESTAMP: i64 = -5;
/// Asks for the first offset that was not yet moved to the remote tier (version 11 and later).
pub const EARLIEST_PENDING_UPLOAD_TIMESTAMP: i64 = -6;

schema! {
    /// Asks for offsets.
    message ListOffsetsRequest [ListOffsets, versions 0-11, flexible 6+] {
        /// Broker id of a follower, or -1 for a consumer.
        replica_id: i32 [0+],
        /// 0: up to the high watermark; 1: up to the last stable offset.
        isolation_level: i8 [2+],
        /// What to look for, by topic.
        topics: Vec<ListOffsetsTopic> [0+],
        /// Longest time to wait for a remote tier, in milliseconds.
        timeout_ms: i32 [10+, ignorable],
    }

    /// What to look for in one topic.
    struct ListOffsetsTopic {
        /// Name of the topic.
        name: ByteString [0+],
        /// What to look for, by partition.
        partitions: Vec<ListOffsetsPartition> [0+],
    }

    /// What to look for in one partition.
    struct ListOffsetsPartition {
        /// Number of the partition.
        partition_index: i32 [0+],
        /// Leader epoch that the client knows, or -1.
        current_leader_epoch: i32 [4+, default -1, ignorable],
        /// A timestamp in milliseconds, or one of the negative constants.
        timestamp: i64 [0+],
        /// The most offsets to answer with.
        max_num_offsets: i32 [0-0, default 1, ignorable],
    }

    /// The offsets found.
    message ListOffsetsResponse [ListOffsets, versions 0-11, flexible 6+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [2+, ignorable],
        /// What was found, by topic.
        topics: Vec<ListOffsetsTopicResponse> [0+],
    }

    /// What was found in one topic.
    struct ListOffsetsTopicResponse {
        /// Name of the topic.
        name: ByteString [0+],
        /// What was found, by partition.
        partitions: Vec<ListOffsetsPartitionResponse> [0+],
    }

    /// What was found in one partition.
    struct ListOffsetsPartitionResponse {
        /// Number of the partition.
        partition_index: i32 [0+],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// The offset found, or none.
        old_style_offsets: Vec<i64> [0-0, ignorable],
        /// Timestamp of the record found, or -1.
        timestamp: i64 [1+, default -1],
        /// The offset found, or -1.
        offset: i64 [1+, default -1],
        /// Leader epoch of the record found, or -1.
        leader_epoch: i32 [4+, default -1],
    }
}

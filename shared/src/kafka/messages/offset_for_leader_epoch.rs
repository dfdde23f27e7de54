//! OffsetForLeaderEpoch (key 23): where a leader epoch ends, by which a reader finds out that its log was truncated.
//!
//! Source: `OffsetForLeaderEpochRequest.json` and `OffsetForLeaderEpochResponse.json`; KIP-101 (v0), KIP-279 (v1),
//! KIP-320 (v2, v3).
//!
//! Left out: versions 0 and 1, which only brokers sent to each other.

use super::prelude::*;

schema! {
    /// Asks where epochs end.
    message OffsetForLeaderEpochRequest [OffsetForLeaderEpoch, versions 2-4, flexible 4+] {
        /// Broker id of a follower, -1 for a consumer, -2 for a consumer that sees beyond the high watermark.
        replica_id: i32 [3+, default -2, ignorable],
        /// What to look for, by topic.
        topics: Vec<OffsetForLeaderTopic> [0+],
    }

    /// What to look for in one topic.
    struct OffsetForLeaderTopic {
        /// Name of the topic.
        topic: ByteString [0+],
        /// What to look for, by partition.
        partitions: Vec<OffsetForLeaderPartition> [0+],
    }

    /// What to look for in one partition.
    struct OffsetForLeaderPartition {
        /// Number of the partition.
        partition: i32 [0+],
        /// Leader epoch that the client knows, or -1.
        current_leader_epoch: i32 [2+, default -1, ignorable],
        /// The epoch whose end is asked for.
        leader_epoch: i32 [0+],
    }

    /// Where they end.
    message OffsetForLeaderEpochResponse [OffsetForLeaderEpoch, versions 2-4, flexible 4+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [2+, ignorable],
        /// What was found, by topic.
        topics: Vec<OffsetForLeaderTopicResult> [0+],
    }

    /// What was found in one topic.
    struct OffsetForLeaderTopicResult {
        /// Name of the topic.
        topic: ByteString [0+],
        /// What was found, by partition.
        partitions: Vec<EpochEndOffset> [0+],
    }

    /// What was found in one partition.
    struct EpochEndOffset {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Number of the partition.
        partition: i32 [0+],
        /// The largest epoch that is not above the one asked for, or -1.
        leader_epoch: i32 [1+, default -1, ignorable],
        /// Its end offset, or -1.
        end_offset: i64 [0+, default -1],
    }
}

//! CreatePartitions (key 37): adds partitions to topics.
//!
//! Source: `CreatePartitionsRequest.json` and `CreatePartitionsResponse.json`; KIP-195 (v0), KIP-599 (v3).

use super::prelude::*;

schema! {
    /// Asks to add partitions.
    message CreatePartitionsRequest [CreatePartitions, versions 0-3, flexible 2+] {
        /// What to add, by topic.
        topics: Vec<CreatePartitionsTopic> [0+],
        /// Time to wait for it, in milliseconds.
        timeout_ms: i32 [0+],
        /// Whether only to say if it could be done.
        validate_only: bool [0+],
    }

    /// What to add to one topic.
    struct CreatePartitionsTopic {
        /// Its name.
        name: ByteString [0+],
        /// Number of partitions afterwards.
        count: i32 [0+],
        /// Which brokers hold each new partition; null to let the broker choose.
        assignments: Option<Vec<CreatePartitionsAssignment>> [0+],
    }

    /// Which brokers hold a new partition.
    struct CreatePartitionsAssignment {
        /// Ids of the brokers, the leader first.
        broker_ids: Vec<i32> [0+],
    }

    /// Whether they were added.
    message CreatePartitionsResponse [CreatePartitions, versions 0-3, flexible 2+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// Outcome by topic.
        results: Vec<CreatePartitionsTopicResult> [0+],
    }

    /// Outcome for one topic.
    struct CreatePartitionsTopicResult {
        /// Its name.
        name: ByteString [0+],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [0+],
    }
}

//! CreateTopics (key 19).
//!
//! Source: `CreateTopicsRequest.json` and `CreateTopicsResponse.json`; KIP-4 (v0), KIP-464 (v4), KIP-525 (v5),
//! KIP-599 (v6), KIP-516 (v7: topic ids). Versions 0 and 1 are for old kafka-go.

use super::prelude::*;

schema! {
    /// Asks to create topics.
    message CreateTopicsRequest [CreateTopics, versions 0-7, flexible 5+] {
        /// The topics.
        topics: Vec<CreatableTopic> [0+],
        /// Time to wait for them, in milliseconds.
        timeout_ms: i32 [0+, default 60_000],
        /// Whether only to say if it could be done.
        validate_only: bool [1+],
    }

    /// A topic to create.
    struct CreatableTopic {
        /// Its name.
        name: ByteString [0+],
        /// Number of partitions; -1 for the broker's default, or where `assignments` says.
        num_partitions: i32 [0+],
        /// Copies of each partition; -1 for the broker's default, or where `assignments` says.
        replication_factor: i16 [0+],
        /// Which brokers hold which partition; empty to let the broker choose.
        assignments: Vec<CreatableReplicaAssignment> [0+],
        /// Its configuration where it differs from the default.
        configs: Vec<CreatableTopicConfig> [0+],
    }

    /// Which brokers hold a partition.
    struct CreatableReplicaAssignment {
        /// Number of the partition.
        partition_index: i32 [0+],
        /// Ids of the brokers, the leader first.
        broker_ids: Vec<i32> [0+],
    }

    /// An entry of a topic's configuration.
    struct CreatableTopicConfig {
        /// Its key.
        name: ByteString [0+],
        /// Its value, or null.
        value: Option<ByteString> [0+],
    }

    /// Whether the topics were created.
    message CreateTopicsResponse [CreateTopics, versions 0-7, flexible 5+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [2+, ignorable],
        /// Outcome by topic.
        topics: Vec<CreatableTopicResult> [0+],
    }

    /// Outcome for one topic.
    struct CreatableTopicResult {
        /// Its name.
        name: ByteString [0+],
        /// Its id.
        topic_id: Uuid [7+, ignorable],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [1+, ignorable],
        /// Why `configs` is null, or 0.
        topic_config_error_code: i16 [5+, tag 0, ignorable],
        /// Number of its partitions, or -1.
        num_partitions: i32 [5+, default -1, ignorable],
        /// Copies of each partition, or -1.
        replication_factor: i16 [5+, default -1, ignorable],
        /// Its configuration, or null.
        configs: Option<Vec<CreatableTopicConfigs>> [5+, ignorable],
    }

    /// An entry of a topic's configuration, as it came out.
    struct CreatableTopicConfigs {
        /// Its key.
        name: ByteString [5+],
        /// Its value, or null.
        value: Option<ByteString> [5+],
        /// Whether it cannot be changed.
        read_only: bool [5+],
        /// Where the value comes from; see DescribeConfigs.
        config_source: i8 [5+, default -1, ignorable],
        /// Whether the value is a secret.
        is_sensitive: bool [5+],
    }
}

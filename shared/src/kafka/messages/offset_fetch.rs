//! OffsetFetch (key 9): how far a group has read. Up to version 7 one group, from version 8 on several.
//!
//! Source: `OffsetFetchRequest.json` and `OffsetFetchResponse.json`; KIP-88 (v2), KIP-320 (v5), KIP-447 (v7),
//! KIP-709 (v8: several groups), KIP-848 (v9: member epochs, v10: topic ids).
//!
//! Left out: version 0, which reads from ZooKeeper.

use super::prelude::*;

schema! {
    /// Asks for the offsets of groups.
    message OffsetFetchRequest [OffsetFetch, versions 1-10, flexible 6+] {
        /// The group.
        group_id: ByteString [0-7],
        /// The partitions to answer for; null for all.
        topics: Option<Vec<OffsetFetchRequestTopic>> [0-7, nullable 2-7, default Some(Vec::new())],
        /// The groups.
        groups: Vec<OffsetFetchRequestGroup> [8+],
        /// Whether to refuse partitions with commits in undecided transactions.
        require_stable: bool [7+],
    }

    /// Partitions of one topic, up to version 7.
    struct OffsetFetchRequestTopic {
        /// Name of the topic.
        name: ByteString [0-7],
        /// Numbers of the partitions.
        partition_indexes: Vec<i32> [0-7],
    }

    /// A group to answer for.
    struct OffsetFetchRequestGroup {
        /// The group.
        group_id: ByteString [8+],
        /// Id of the asking member, or null.
        member_id: Option<ByteString> [9+, ignorable],
        /// Its epoch, or -1.
        member_epoch: i32 [9+, default -1, ignorable],
        /// The partitions to answer for; null for all.
        topics: Option<Vec<OffsetFetchRequestTopics>> [8+],
    }

    /// Partitions of one topic.
    struct OffsetFetchRequestTopics {
        /// Name of the topic.
        name: ByteString [8-9, ignorable],
        /// Id of the topic.
        topic_id: Uuid [10+, ignorable],
        /// Numbers of the partitions.
        partition_indexes: Vec<i32> [8+],
    }

    /// The offsets of groups.
    message OffsetFetchResponse [OffsetFetch, versions 1-10, flexible 6+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [3+, ignorable],
        /// Offsets by topic.
        topics: Vec<OffsetFetchResponseTopic> [0-7],
        /// Error code for the whole request, or 0.
        error_code: i16 [2-7, ignorable],
        /// Offsets by group.
        groups: Vec<OffsetFetchResponseGroup> [8+],
    }

    /// Offsets of one topic, up to version 7.
    struct OffsetFetchResponseTopic {
        /// Name of the topic.
        name: ByteString [0-7],
        /// Offsets by partition.
        partitions: Vec<OffsetFetchResponsePartition> [0-7],
    }

    /// Offset of one partition, up to version 7.
    struct OffsetFetchResponsePartition {
        /// Number of the partition.
        partition_index: i32 [0-7],
        /// Offset of the next record to read, or -1.
        committed_offset: i64 [0-7],
        /// Epoch of the last record read, or -1.
        committed_leader_epoch: i32 [5-7, default -1, ignorable],
        /// What the client wanted to remember.
        metadata: Option<ByteString> [0-7],
        /// Error code, or 0.
        error_code: i16 [0-7],
    }

    /// Offsets of one group.
    struct OffsetFetchResponseGroup {
        /// The group.
        group_id: ByteString [8+],
        /// Offsets by topic.
        topics: Vec<OffsetFetchResponseTopics> [8+],
        /// Error code for the group, or 0.
        error_code: i16 [8+],
    }

    /// Offsets of one topic.
    struct OffsetFetchResponseTopics {
        /// Name of the topic.
        name: ByteString [8-9, ignorable],
        /// Id of the topic.
        topic_id: Uuid [10+, ignorable],
        /// Offsets by partition.
        partitions: Vec<OffsetFetchResponsePartitions> [8+],
    }

    /// Offset of one partition.
    struct OffsetFetchResponsePartitions {
        /// Number of the partition.
        partition_index: i32 [8+],
        /// Offset of the next record to read, or -1.
        committed_offset: i64 [8+],
        /// Epoch of the last record read, or -1.
        committed_leader_epoch: i32 [8+, default -1, ignorable],
        /// What the client wanted to remember.
        metadata: Option<ByteString> [8+],
        /// Error code, or 0.
        error_code: i16 [8+],
    }
}

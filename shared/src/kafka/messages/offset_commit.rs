//! OffsetCommit (key 8): stores how far a group has read.
//!
//! Source: `OffsetCommitRequest.json` and `OffsetCommitResponse.json`; KIP-211 (v5), KIP-320 (v6), KIP-345 (v7),
//! KIP-848 (v9: member epochs, v10: topic ids).
//!
//! Left out: versions 0 and 1, which ask for a commit to ZooKeeper or with a timestamp of its own.

use super::prelude::*;

schema! {
    /// Asks to store offsets.
    message OffsetCommitRequest [OffsetCommit, versions 2-10, flexible 8+] {
        /// The group.
        group_id: ByteString [0+],
        /// Generation of the group (or the member's epoch), -1 for a commit from outside of it.
        generation_id_or_member_epoch: i32 [1+, default -1, ignorable],
        /// Id of the member.
        member_id: ByteString [1+, ignorable],
        /// The instance id that the user gave to a static member.
        group_instance_id: Option<ByteString> [7+],
        /// How long to keep the offsets, in milliseconds; -1 for the broker's default.
        retention_time_ms: i64 [2-4, default -1, ignorable],
        /// What to store, by topic.
        topics: Vec<OffsetCommitRequestTopic> [0+],
    }

    /// What to store for one topic.
    struct OffsetCommitRequestTopic {
        /// Name of the topic.
        name: ByteString [0-9, ignorable],
        /// Id of the topic.
        topic_id: Uuid [10+, ignorable],
        /// What to store, by partition.
        partitions: Vec<OffsetCommitRequestPartition> [0+],
    }

    /// What to store for one partition.
    struct OffsetCommitRequestPartition {
        /// Number of the partition.
        partition_index: i32 [0+],
        /// Offset of the next record to read.
        committed_offset: i64 [0+],
        /// Epoch of the last record read, or -1.
        committed_leader_epoch: i32 [6+, default -1, ignorable],
        /// What the client wants to remember; comes back as it was.
        committed_metadata: Option<ByteString> [0+],
    }

    /// Whether the offsets were stored.
    message OffsetCommitResponse [OffsetCommit, versions 2-10, flexible 8+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [3+, ignorable],
        /// Outcome by topic.
        topics: Vec<OffsetCommitResponseTopic> [0+],
    }

    /// Outcome for one topic.
    struct OffsetCommitResponseTopic {
        /// Name of the topic.
        name: ByteString [0-9, ignorable],
        /// Id of the topic.
        topic_id: Uuid [10+, ignorable],
        /// Outcome by partition.
        partitions: Vec<OffsetCommitResponsePartition> [0+],
    }

    /// Outcome for one partition.
    struct OffsetCommitResponsePartition {
        /// Number of the partition.
        partition_index: i32 [0+],
        /// Error code, or 0.
        error_code: i16 [0+],
    }
}

//! Fetch (key 1): reads record batches from partitions, waiting for new ones if asked to.
//!
//! Source: `FetchRequest.json` and `FetchResponse.json`; KIP-98 (v4), KIP-227 (v7: sessions), KIP-320 (v9, v12),
//! KIP-392 (v11: racks), KIP-516 (v13: topic ids), KIP-903 (v15), KIP-951 (v16), KIP-853 (v17), KIP-1166 (v18).
//!
//! Left out: versions 0 to 3, which can only carry the old message formats.

use super::prelude::*;
use crate::kafka::Records;

schema! {
    /// Asks for record batches.
    message FetchRequest [Fetch, versions 4-18, flexible 12+] {
        /// Id of the cluster, if known.
        cluster_id: Option<ByteString> [12+, tag 0, ignorable],
        /// Broker id of a follower, or -1 for a consumer.
        replica_id: i32 [0-14, default -1],
        /// The same with the follower's epoch.
        replica_state: ReplicaState [15+, tag 1],
        /// Longest time to wait, in milliseconds.
        max_wait_ms: i32 [0+],
        /// Bytes to wait for.
        min_bytes: i32 [0+],
        /// Most bytes to answer with; the first batch is sent whole even if it is larger.
        max_bytes: i32 [3+, default 0x7fff_ffff, ignorable],
        /// 0: all records; 1: only records of committed transactions.
        isolation_level: i8 [4+, ignorable],
        /// Id of the fetch session, or 0.
        session_id: i32 [7+, ignorable],
        /// Orders the requests of a session; -1 outside of one.
        session_epoch: i32 [7+, default -1, ignorable],
        /// What to read, by topic.
        topics: Vec<FetchTopic> [0+],
        /// Partitions that leave the session.
        forgotten_topics_data: Vec<ForgottenTopic> [7+],
        /// Rack of the consumer.
        rack_id: ByteString [11+, ignorable],
    }

    /// A follower's identity.
    struct ReplicaState {
        /// Broker id of the follower, or -1 for a consumer.
        replica_id: i32 [15+, default -1],
        /// Its epoch, or -1.
        replica_epoch: i64 [15+, default -1],
    }

    /// What to read from one topic.
    struct FetchTopic {
        /// Name of the topic.
        topic: ByteString [0-12, ignorable],
        /// Id of the topic.
        topic_id: Uuid [13+, ignorable],
        /// What to read, by partition.
        partitions: Vec<FetchPartition> [0+],
    }

    /// What to read from one partition.
    struct FetchPartition {
        /// Number of the partition.
        partition: i32 [0+],
        /// Leader epoch that the reader knows, or -1.
        current_leader_epoch: i32 [9+, default -1, ignorable],
        /// Offset to read from.
        fetch_offset: i64 [0+],
        /// Epoch of the last record read, or -1.
        last_fetched_epoch: i32 [12+, default -1],
        /// A follower's own log start.
        log_start_offset: i64 [5+, default -1, ignorable],
        /// Most bytes to read from this partition; the first batch is sent whole even if it is larger.
        partition_max_bytes: i32 [0+],
        /// A follower's log directory.
        replica_directory_id: Uuid [17+, tag 0, ignorable],
        /// High watermark that a follower knows.
        high_watermark: i64 [18+, tag 1, default i64::MAX, ignorable],
    }

    /// Partitions of one topic that leave the session.
    struct ForgottenTopic {
        /// Name of the topic.
        topic: ByteString [7-12, ignorable],
        /// Id of the topic.
        topic_id: Uuid [13+, ignorable],
        /// Numbers of the partitions.
        partitions: Vec<i32> [7+],
    }

    /// The record batches found.
    message FetchResponse [Fetch, versions 4-18, flexible 12+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [1+, ignorable],
        /// Error code for the whole request, or 0.
        error_code: i16 [7+, ignorable],
        /// Id of the fetch session, or 0.
        session_id: i32 [7+],
        /// What was found, by topic.
        responses: Vec<FetchableTopicResponse> [0+],
        /// Addresses of the leaders named in `current_leader`.
        node_endpoints: Vec<NodeEndpoint> [16+, tag 0],
    }

    /// What was found in one topic.
    struct FetchableTopicResponse {
        /// Name of the topic.
        topic: ByteString [0-12, ignorable],
        /// Id of the topic.
        topic_id: Uuid [13+, ignorable],
        /// What was found, by partition.
        partitions: Vec<PartitionData> [0+],
    }

    /// What was found in one partition.
    struct PartitionData {
        /// Number of the partition.
        partition_index: i32 [0+],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// The high watermark.
        high_watermark: i64 [0+],
        /// The last stable offset: all transactions before it are decided.
        last_stable_offset: i64 [4+, default -1, ignorable],
        /// Start offset of the log.
        log_start_offset: i64 [5+, default -1, ignorable],
        /// Where the reader's log and ours part, if they do.
        diverging_epoch: EpochEndOffset [12+, tag 0],
        /// The leader to go to instead.
        current_leader: LeaderIdAndEpoch [12+, tag 1],
        /// The snapshot to load instead.
        snapshot_id: SnapshotId [12+, tag 2],
        /// Transactions among the records that were aborted; null unless they were asked for.
        aborted_transactions: Option<Vec<AbortedTransaction>> [4+, ignorable],
        /// Replica to read from instead, or -1.
        preferred_read_replica: i32 [11+, default -1],
        /// Record batches, the first of which may begin before the offset asked for.
        records: Option<Records> [0+],
    }

    /// An epoch and where it ends.
    struct EpochEndOffset {
        /// Largest epoch.
        epoch: i32 [12+, default -1],
        /// End offset of that epoch.
        end_offset: i64 [12+, default -1],
    }

    /// The leader of a partition.
    struct LeaderIdAndEpoch {
        /// Id of the leader, or -1 if unknown.
        leader_id: i32 [12+, default -1],
        /// Latest known leader epoch.
        leader_epoch: i32 [12+, default -1],
    }

    /// A snapshot of a log.
    struct SnapshotId {
        /// End offset of the snapshot.
        end_offset: i64 [0+, default -1],
        /// Epoch of the snapshot.
        epoch: i32 [0+, default -1],
    }

    /// A transaction that was aborted.
    struct AbortedTransaction {
        /// Its producer.
        producer_id: i64 [4+],
        /// Offset of its first record.
        first_offset: i64 [4+],
    }

    /// Where a broker listens.
    struct NodeEndpoint {
        /// Id of the broker.
        node_id: i32 [16+],
        /// Its host name.
        host: ByteString [16+],
        /// Its port.
        port: i32 [16+],
        /// Its rack, or null.
        rack: Option<ByteString> [16+],
    }
}

//! Metadata (key 3): the brokers, the topics, and who leads each partition.
//!
//! Source: `MetadataRequest.json` and `MetadataResponse.json`; KIP-4 (v1), KIP-78 (v2), KIP-112 (v5), KIP-320 (v7),
//! KIP-430 (v8), KIP-516 (v10, v12: topic ids), KIP-700 (v11), KIP-1102 (v13).

use super::prelude::*;

/// The value of a field of authorized operations that were not asked for.
pub const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

schema! {
    /// Asks for metadata.
    message MetadataRequest [Metadata, versions 0-13, flexible 9+] {
        /// The topics to describe. Null: all; in version 0 an empty list says so.
        topics: Option<Vec<MetadataRequestTopic>> [0+, nullable 1+, default Some(Vec::new())],
        /// Whether a topic that is missing may be created.
        allow_auto_topic_creation: bool [4+, default true],
        /// Whether to say what the client may do with the cluster.
        include_cluster_authorized_operations: bool [8-10],
        /// Whether to say what the client may do with each topic.
        include_topic_authorized_operations: bool [8+],
    }

    /// A topic to describe.
    struct MetadataRequestTopic {
        /// Id of the topic.
        topic_id: Uuid [10+, ignorable],
        /// Name of the topic; null where the id says which.
        name: Option<ByteString> [0+, nullable 10+, default Some(ByteString::new())],
    }

    /// The cluster as this broker sees it.
    message MetadataResponse [Metadata, versions 0-13, flexible 9+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [3+, ignorable],
        /// The brokers.
        brokers: Vec<MetadataResponseBroker> [0+],
        /// Id of the cluster.
        cluster_id: Option<ByteString> [2+, ignorable],
        /// Broker to which administrative requests go, or -1.
        controller_id: i32 [1+, default -1, ignorable],
        /// The topics.
        topics: Vec<MetadataResponseTopic> [0+],
        /// What the client may do with the cluster, a bit for each operation.
        cluster_authorized_operations: i32 [8-10, default OPERATIONS_NOT_ASKED],
        /// Error code for the whole request, or 0.
        error_code: i16 [13+, ignorable],
    }

    /// A broker.
    struct MetadataResponseBroker {
        /// Id of the broker.
        node_id: i32 [0+],
        /// Its host name.
        host: ByteString [0+],
        /// Its port.
        port: i32 [0+],
        /// Its rack, or null.
        rack: Option<ByteString> [1+, ignorable],
    }

    /// A topic.
    struct MetadataResponseTopic {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Name of the topic; null for an id that is not known.
        name: Option<ByteString> [0+, nullable 12+, default Some(ByteString::new())],
        /// Id of the topic; zero for a name that is not known.
        topic_id: Uuid [10+, ignorable],
        /// Whether the topic is internal.
        is_internal: bool [1+, ignorable],
        /// Its partitions.
        partitions: Vec<MetadataResponsePartition> [0+],
        /// What the client may do with the topic, a bit for each operation.
        topic_authorized_operations: i32 [8+, default OPERATIONS_NOT_ASKED],
    }

    /// A partition.
    struct MetadataResponsePartition {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Number of the partition.
        partition_index: i32 [0+],
        /// Id of the leader, or -1.
        leader_id: i32 [0+],
        /// Epoch of the leader, or -1.
        leader_epoch: i32 [7+, default -1, ignorable],
        /// Brokers that hold the partition.
        replica_nodes: Vec<i32> [0+],
        /// Those of them that are in sync.
        isr_nodes: Vec<i32> [0+],
        /// Those of them that are offline.
        offline_replicas: Vec<i32> [5+, ignorable],
    }
}

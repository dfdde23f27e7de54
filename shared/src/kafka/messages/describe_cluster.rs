//! DescribeCluster (key 60): the brokers of the cluster.
//!
//! Source: `DescribeClusterRequest.json` and `DescribeClusterResponse.json`; KIP-700 (v0), KIP-919 (v1),
//! KIP-1073 (v2: fenced brokers).

use super::metadata::OPERATIONS_NOT_ASKED;
use super::prelude::*;

/// The endpoints of brokers.
pub const ENDPOINT_TYPE_BROKERS: i8 = 1;

schema! {
    /// Asks for the cluster.
    message DescribeClusterRequest [DescribeCluster, versions 0-2, flexible 0+] {
        /// Whether to say what the client may do with the cluster.
        include_cluster_authorized_operations: bool [0+],
        /// Which endpoints to list: 1 brokers, 2 controllers.
        endpoint_type: i8 [1+, default ENDPOINT_TYPE_BROKERS],
        /// Whether to list fenced brokers too.
        include_fenced_brokers: bool [2+],
    }

    /// The cluster.
    message DescribeClusterResponse [DescribeCluster, versions 0-2, flexible 0+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [0+],
        /// Which endpoints are listed: 1 brokers, 2 controllers.
        endpoint_type: i8 [1+, default ENDPOINT_TYPE_BROKERS],
        /// Id of the cluster.
        cluster_id: ByteString [0+],
        /// Broker to which administrative requests go, or -1.
        controller_id: i32 [0+, default -1],
        /// The brokers.
        brokers: Vec<DescribeClusterBroker> [0+],
        /// What the client may do with the cluster, a bit for each operation.
        cluster_authorized_operations: i32 [0+, default OPERATIONS_NOT_ASKED],
    }

    /// A broker.
    struct DescribeClusterBroker {
        /// Its id.
        broker_id: i32 [0+],
        /// Its host name.
        host: ByteString [0+],
        /// Its port.
        port: i32 [0+],
        /// Its rack, or null.
        rack: Option<ByteString> [0+],
        /// Whether it is fenced.
        is_fenced: bool [2+],
    }
}

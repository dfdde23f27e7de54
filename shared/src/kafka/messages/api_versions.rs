//! ApiVersions (key 18): which APIs a broker speaks, in which versions.
//!
//! Source: `ApiVersionsRequest.json` and `ApiVersionsResponse.json`; KIP-35 (v0), KIP-511 (v3), KIP-584 (features), KIP-1242 (v5).
//! The response always has header version 0. A request in a version that the broker does not know is answered in
//! version 0, with UNSUPPORTED_VERSION and the list.

use super::prelude::*;

schema! {
    /// Asks for the APIs.
    message ApiVersionsRequest [ApiVersions, versions 0-5, flexible 3+] {
        /// Name of the client's software.
        client_software_name: ByteString [3+, ignorable],
        /// Version of the client's software.
        client_software_version: ByteString [3+, ignorable],
        /// The cluster that the client means to reach; null where it does not know it yet.
        cluster_id: Option<ByteString> [5+, ignorable],
        /// The broker that the client means to reach, or -1.
        node_id: i32 [5+, default -1, ignorable],
    }

    /// The APIs.
    message ApiVersionsResponse [ApiVersions, versions 0-5, flexible 3+] {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// The APIs.
        api_keys: Vec<ApiVersion> [0+],
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [1+, ignorable],
        /// Features that the broker supports.
        supported_features: Vec<SupportedFeatureKey> [3+, tag 0, ignorable],
        /// Epoch of the finalized features, or -1.
        finalized_features_epoch: i64 [3+, tag 1, default -1, ignorable],
        /// Features that the cluster has agreed on.
        finalized_features: Vec<FinalizedFeatureKey> [3+, tag 2, ignorable],
        /// Whether a controller is ready to migrate from ZooKeeper.
        zk_migration_ready: bool [3+, tag 3, ignorable],
    }

    /// An API and its versions.
    struct ApiVersion {
        /// Number of the API.
        api_key: i16 [0+],
        /// Lowest version.
        min_version: i16 [0+],
        /// Highest version.
        max_version: i16 [0+],
    }

    /// A feature that the broker supports.
    struct SupportedFeatureKey {
        /// Its name.
        name: ByteString [3+],
        /// Lowest version.
        min_version: i16 [3+],
        /// Highest version.
        max_version: i16 [3+],
    }

    /// A feature that the cluster has agreed on.
    struct FinalizedFeatureKey {
        /// Its name.
        name: ByteString [3+],
        /// Highest level.
        max_version_level: i16 [3+],
        /// Lowest level.
        min_version_level: i16 [3+],
    }
}

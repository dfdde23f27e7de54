//! ListConfigResources (key 74): what may have a configuration.
//!
//! Source: `ListConfigResourcesRequest.json` and `ListConfigResourcesResponse.json`; KIP-714 (v0, client metrics only), KIP-1142
//! (v1).

use super::prelude::*;

schema! {
    /// Asks for resources.
    message ListConfigResourcesRequest [ListConfigResources, versions 0-1, flexible 0+] {
        /// Of which types; empty for all.
        resource_types: Vec<i8> [1+],
    }

    /// Resources.
    message ListConfigResourcesResponse [ListConfigResources, versions 0-1, flexible 0+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Each of them.
        config_resources: Vec<ConfigResource> [0+],
    }

    /// A resource.
    struct ConfigResource {
        /// Its name.
        resource_name: ByteString [0+],
        /// Its type.
        resource_type: i8 [1+, default 16, ignorable],
    }
}

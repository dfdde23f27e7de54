//! AlterConfigs (key 33): replaces the whole configuration of topics. Superseded by IncrementalAlterConfigs, and still sent by
//! older tools.
//!
//! Source: `AlterConfigsRequest.json` and `AlterConfigsResponse.json`; KIP-133 (v0).

use super::prelude::*;

schema! {
    /// Replaces configurations.
    message AlterConfigsRequest [AlterConfigs, versions 0-2, flexible 2+] {
        /// What to configure.
        resources: Vec<AlterConfigsResource> [0+],
        /// Whether to check only, and change nothing.
        validate_only: bool [0+],
    }

    /// A resource, and all that shall be set on it.
    struct AlterConfigsResource {
        /// What it is; see [`describe_configs`](super::describe_configs).
        resource_type: i8 [0+],
        /// Its name.
        resource_name: ByteString [0+],
        /// Every key that shall not have its default.
        configs: Vec<AlterableConfig> [0+],
    }

    /// A key and its value.
    struct AlterableConfig {
        /// The key.
        name: ByteString [0+],
        /// The value.
        value: Option<ByteString> [0+],
    }

    /// What came of it.
    message AlterConfigsResponse [AlterConfigs, versions 0-2, flexible 2+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// By resource.
        responses: Vec<AlterConfigsResourceResponse> [0+],
    }

    /// What came of one resource.
    struct AlterConfigsResourceResponse {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [0+],
        /// What the resource is.
        resource_type: i8 [0+],
        /// Its name.
        resource_name: ByteString [0+],
    }
}

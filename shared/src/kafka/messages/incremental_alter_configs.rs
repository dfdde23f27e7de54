//! IncrementalAlterConfigs (key 44): sets some keys of the configuration of topics and leaves the others as they are.
//!
//! Source: `IncrementalAlterConfigsRequest.json` and `IncrementalAlterConfigsResponse.json`; KIP-339 (v0).

use super::prelude::*;

/// The key gets the value.
pub const OPERATION_SET: i8 = 0;
/// The key gets its default back.
pub const OPERATION_DELETE: i8 = 1;
/// The list gets more values.
pub const OPERATION_APPEND: i8 = 2;
/// The list loses values.
pub const OPERATION_SUBTRACT: i8 = 3;

schema! {
    /// Changes configurations.
    message IncrementalAlterConfigsRequest [IncrementalAlterConfigs, versions 0-1, flexible 1+] {
        /// What to configure.
        resources: Vec<AlterConfigsResource> [0+],
        /// Whether to check only, and change nothing.
        validate_only: bool [0+],
    }

    /// A resource, and what shall change.
    struct AlterConfigsResource {
        /// What it is; see [`describe_configs`](super::describe_configs).
        resource_type: i8 [0+],
        /// Its name.
        resource_name: ByteString [0+],
        /// The changes.
        configs: Vec<AlterableConfig> [0+],
    }

    /// A change.
    struct AlterableConfig {
        /// The key.
        name: ByteString [0+],
        /// 0 set, 1 delete, 2 append, 3 subtract.
        config_operation: i8 [0+],
        /// The value, or the values of a list behind commas.
        value: Option<ByteString> [0+],
    }

    /// What came of it.
    message IncrementalAlterConfigsResponse [IncrementalAlterConfigs, versions 0-1, flexible 1+] {
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

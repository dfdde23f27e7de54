//! DescribeConfigs (key 32): the configuration of topics and brokers, and where each value comes from.
//!
//! Source: `DescribeConfigsRequest.json` and `DescribeConfigsResponse.json`; KIP-133 (v0), KIP-226 (v1: sources and
//! synonyms), KIP-569 (v3: types and documentation).
//!
//! Left out: version 0, as in Kafka 4.

use super::prelude::*;

/// The resource is a topic.
pub const RESOURCE_TOPIC: i8 = 2;
/// The resource is a broker.
pub const RESOURCE_BROKER: i8 = 4;

/// The value was set on the topic.
pub const SOURCE_TOPIC: i8 = 1;
/// The value stands in the broker's configuration file.
pub const SOURCE_STATIC_BROKER: i8 = 4;
/// The value is the default.
pub const SOURCE_DEFAULT: i8 = 5;

schema! {
    /// Asks for configurations.
    message DescribeConfigsRequest [DescribeConfigs, versions 1-4, flexible 4+] {
        /// What to describe.
        resources: Vec<DescribeConfigsResource> [0+],
        /// Whether to list the synonyms.
        include_synonyms: bool [1+],
        /// Whether to include the documentation.
        include_documentation: bool [3+],
    }

    /// A resource to describe.
    struct DescribeConfigsResource {
        /// What it is.
        resource_type: i8 [0+],
        /// Its name; for a broker its id, in decimal.
        resource_name: ByteString [0+],
        /// The keys to describe; null for all.
        configuration_keys: Option<Vec<ByteString>> [0+],
    }

    /// The configurations.
    message DescribeConfigsResponse [DescribeConfigs, versions 1-4, flexible 4+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// By resource.
        results: Vec<DescribeConfigsResult> [0+],
    }

    /// The configuration of one resource.
    struct DescribeConfigsResult {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [0+],
        /// What the resource is.
        resource_type: i8 [0+],
        /// Its name.
        resource_name: ByteString [0+],
        /// Its configuration.
        configs: Vec<DescribeConfigsResourceResult> [0+],
    }

    /// An entry of a configuration.
    struct DescribeConfigsResourceResult {
        /// Its key.
        name: ByteString [0+],
        /// Its value; null for a secret.
        value: Option<ByteString> [0+],
        /// Whether it cannot be changed.
        read_only: bool [0+],
        /// Where the value comes from.
        config_source: i8 [1+, default -1, ignorable],
        /// Whether the value is a secret.
        is_sensitive: bool [0+],
        /// All places that set the key, the one that counts first.
        synonyms: Vec<DescribeConfigsSynonym> [1+, ignorable],
        /// Type of the value: 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password.
        config_type: i8 [3+, ignorable],
        /// What the key means.
        documentation: Option<ByteString> [3+, ignorable],
    }

    /// A place that sets a key.
    struct DescribeConfigsSynonym {
        /// The key as it is called there.
        name: ByteString [1+],
        /// The value there.
        value: Option<ByteString> [1+],
        /// What the place is.
        source: i8 [1+],
    }
}

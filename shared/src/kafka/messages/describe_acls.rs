//! DescribeAcls (key 29): access control entries that a filter picks.
//!
//! Source: `DescribeAclsRequest.json` and `DescribeAclsResponse.json`; KIP-140 (v0), KIP-290 (v1, prefixed patterns), flexible
//! versions (v2), user resources (v3).

use super::prelude::*;

schema! {
    /// Asks for access control entries.
    message DescribeAclsRequest [DescribeAcls, versions 1-3, flexible 2+] {
        /// Type of the resources, or 1 for any.
        resource_type_filter: i8 [0+],
        /// Name of the resources, or null for any.
        resource_name_filter: Option<ByteString> [0+],
        /// How the name is to be taken: 1 any, 2 match, 3 literal, 4 prefixed.
        pattern_type_filter: i8 [1+, default 3],
        /// The principal, or null for any.
        principal_filter: Option<ByteString> [0+],
        /// The host, or null for any.
        host_filter: Option<ByteString> [0+],
        /// The operation, or 1 for any.
        operation: i8 [0+],
        /// Whether it is denied (2) or allowed (3), or 1 for any.
        permission_type: i8 [0+],
    }

    /// Access control entries.
    message DescribeAclsResponse [DescribeAcls, versions 1-3, flexible 2+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [0+],
        /// The entries, by resource.
        resources: Vec<DescribeAclsResource> [0+],
    }

    /// The entries of one resource.
    struct DescribeAclsResource {
        /// Its type.
        resource_type: i8 [0+],
        /// Its name.
        resource_name: ByteString [0+],
        /// How the name is to be taken: 3 literal, 4 prefixed.
        pattern_type: i8 [1+, default 3],
        /// The entries.
        acls: Vec<AclDescription> [0+],
    }

    /// One entry.
    struct AclDescription {
        /// The principal.
        principal: ByteString [0+],
        /// The host.
        host: ByteString [0+],
        /// The operation.
        operation: i8 [0+],
        /// Whether it is denied (2) or allowed (3).
        permission_type: i8 [0+],
    }
}

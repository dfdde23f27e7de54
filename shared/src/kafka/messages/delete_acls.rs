//! DeleteAcls (key 31): removes the access control entries that filters pick.
//!
//! Source: `DeleteAclsRequest.json` and `DeleteAclsResponse.json`; KIP-140 (v0), KIP-290 (v1, prefixed patterns), flexible versions
//! (v2), user resources (v3).

use super::prelude::*;

schema! {
    /// Asks to remove access control entries.
    message DeleteAclsRequest [DeleteAcls, versions 1-3, flexible 2+] {
        /// What picks them.
        filters: Vec<DeleteAclsFilter> [0+],
    }

    /// Picks entries.
    struct DeleteAclsFilter {
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

    /// What was removed.
    message DeleteAclsResponse [DeleteAcls, versions 1-3, flexible 2+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// Outcome of each filter, in the order of the request.
        filter_results: Vec<DeleteAclsFilterResult> [0+],
    }

    /// Outcome of one filter.
    struct DeleteAclsFilterResult {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [0+],
        /// The entries that it picked.
        matching_acls: Vec<DeleteAclsMatchingAcl> [0+],
    }

    /// One entry that was to be removed.
    struct DeleteAclsMatchingAcl {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [0+],
        /// Type of the resource.
        resource_type: i8 [0+],
        /// Name of the resource.
        resource_name: ByteString [0+],
        /// How the name is to be taken: 3 literal, 4 prefixed.
        pattern_type: i8 [1+, default 3],
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

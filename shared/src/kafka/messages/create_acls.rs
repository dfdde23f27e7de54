//! CreateAcls (key 30): adds access control entries.
//!
//! Source: `CreateAclsRequest.json` and `CreateAclsResponse.json`; KIP-140 (v0), KIP-290 (v1, prefixed patterns), flexible versions
//! (v2), user resources (v3).

use super::prelude::*;

schema! {
    /// Asks to add access control entries.
    message CreateAclsRequest [CreateAcls, versions 1-3, flexible 2+] {
        /// Which.
        creations: Vec<AclCreation> [0+],
    }

    /// One entry to add.
    struct AclCreation {
        /// Type of the resource.
        resource_type: i8 [0+],
        /// Name of the resource.
        resource_name: ByteString [0+],
        /// How the name is to be taken: 3 literal, 4 prefixed.
        resource_pattern_type: i8 [1+, default 3],
        /// The principal.
        principal: ByteString [0+],
        /// The host.
        host: ByteString [0+],
        /// The operation.
        operation: i8 [0+],
        /// Whether it is denied (2) or allowed (3).
        permission_type: i8 [0+],
    }

    /// Whether they were added.
    message CreateAclsResponse [CreateAcls, versions 1-3, flexible 2+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// Outcome of each, in the order of the request.
        results: Vec<AclCreationResult> [0+],
    }

    /// Outcome for one entry.
    struct AclCreationResult {
        /// Error code, or 0.
        error_code: i16 [0+],
        /// Error message, or null.
        error_message: Option<ByteString> [0+],
    }
}

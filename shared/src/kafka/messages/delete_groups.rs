//! DeleteGroups (key 42): forgets groups and their offsets.
//!
//! Source: `DeleteGroupsRequest.json` and `DeleteGroupsResponse.json`; KIP-229 (v0).

use super::prelude::*;

schema! {
    /// Asks to delete groups.
    message DeleteGroupsRequest [DeleteGroups, versions 0-3, flexible 2+] {
        /// The groups.
        groups_names: Vec<ByteString> [0+],
    }

    /// Whether they were deleted.
    message DeleteGroupsResponse [DeleteGroups, versions 0-3, flexible 2+] {
        /// Time for which the request was throttled, in milliseconds.
        throttle_time_ms: i32 [0+],
        /// Outcome by group.
        results: Vec<DeletableGroupResult> [0+],
    }

    /// Outcome for one group.
    struct DeletableGroupResult {
        /// The group.
        group_id: ByteString [0+],
        /// Error code, or 0.
        error_code: i16 [0+],
        /// What went wrong, in words.
        error_message: Option<ByteString> [3+, ignorable],
    }
}
